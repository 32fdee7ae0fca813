"""SAM 2 in its authors' format (`sam2.1_hiera_tiny.pt`, or the same weights as safetensors), as transformers' model.

The architecture is the same; only the keys have other names. The size of the model follows from the shapes of its
weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import SpatialAlignError
from ..weight_files import Shapes, read_weights
from .checkpoints import recognise_shapes
from .other_models import other_model

# What the shapes do not tell, by the width of the first stage: heads, global attention, window sizes.
_HIERA: dict[int, dict[str, Any]] = {
    96: {"num_attention_heads_per_stage": [1, 2, 4, 8], "window_size_per_stage": [8, 4, 14, 7]},
    112: {"num_attention_heads_per_stage": [2, 4, 8, 16], "window_size_per_stage": [8, 4, 14, 7]},
    144: {"num_attention_heads_per_stage": [2, 4, 8, 16], "window_size_per_stage": [8, 4, 16, 8]},
}
_GLOBAL = {(96, 12): [5, 7, 9], (96, 16): [7, 10, 13], (112, 24): [12, 16, 20], (144, 48): [23, 33, 43]}

# Applied in this order to every key: the parts of the model, then layers, then single weights.
_NAMES = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
        (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
        (r"^sam_prompt_encoder\.", "prompt_encoder."),
        (r"^sam_mask_decoder\.", "mask_decoder."),
        (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
        (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
        (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
        (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
        (r"^no_mem_embed$", "no_memory_embedding"),
        (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
        (r"^no_obj_ptr$", "no_object_pointer"),
        (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
        (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
        (r"^obj_ptr_proj\.", "object_pointer_proj."),
        (r"pe_layer\.positional_encoding_gaussian_matrix$", "shared_embedding.positional_embedding"),
        (r"patch_embed\.proj\.", "patch_embed.projection."),
        (r"mask_downscaling\.0\.", "mask_embed.conv1."),
        (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
        (r"mask_downscaling\.3\.", "mask_embed.conv2."),
        (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
        (r"mask_downscaling\.6\.", "mask_embed.conv3."),
        (r"output_upscaling\.0\.", "upscale_conv1."),
        (r"output_upscaling\.1\.", "upscale_layer_norm."),
        (r"output_upscaling\.3\.", "upscale_conv2."),
        (r"\.norm(\d*|_final_attn)\.", r".layer_norm\1."),
        (r"\.dwconv\.", ".depthwise_conv."),
        (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
        (r"\.gamma$", ".scale"),
        (r"(_attn\w*|_to_token|_to_image)\.out_proj\.", r"\1.o_proj."),
        (r"(blocks\.\d+|transformer\.layers\.\d+)\.mlp\.layers\.0\.", r"\1.mlp.proj_in."),
        (r"(blocks\.\d+|transformer\.layers\.\d+)\.mlp\.layers\.1\.", r"\1.mlp.proj_out."),
        (r"(head|mlps\.\d+|object_pointer_proj)\.layers\.0\.", r"\1.proj_in."),
        (r"(head|mlps\.\d+|object_pointer_proj)\.layers\.2\.", r"\1.proj_out."),
        (r"(head|mlps\.\d+|object_pointer_proj)\.layers\.1\.", r"\1.layers.0."),
    )
]
_DOWNSAMPLER = re.compile(r"^memory_encoder\.mask_downsampler\.encoder\.(\d+)\.")


def load_original(path: Path) -> tuple[Any, Any]:
    """(Sam2VideoModel, Sam2VideoProcessor) from a published checkpoint.

    SpatialAlignError for a file that is damaged, no SAM 2, or of a size that is not known.
    """
    from transformers import (
        Sam2ImageProcessor,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoVideoProcessor,
    )

    weights = read_weights(path)
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    kind, other = recognise_shapes(shapes), other_model(shapes)
    if other is not None:
        raise SpatialAlignError(f"{path} holds {other}.")
    if kind is None or kind.family != "sam2":
        raise SpatialAlignError(
            f"{path} is not a SAM 2 checkpoint; choose one, such as sam2.1_hiera_tiny.pt."
        )
    try:
        model = Sam2VideoModel(sam2_config(shapes))
        model.load_state_dict(convert(weights))
    except (KeyError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise SpatialAlignError(
            f"{path} is a SAM 2 ({kind.variant}) that does not fit the published sizes ({first}); choose one of them, "
            "or a SAM 2 folder in transformers' layout."
        ) from error
    return model, Sam2VideoProcessor(Sam2ImageProcessor(), Sam2VideoVideoProcessor())


def convert(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same weights under transformers' names."""
    renamed = {convert_key(key): value for key, value in weights.items()}
    points = sorted(key for key in renamed if key.startswith("prompt_encoder.point_embeddings."))
    renamed["prompt_encoder.point_embed.weight"] = torch.cat([renamed.pop(key) for key in points])
    # transformers has the picture's positions twice, for the pixels and for the prompts.
    positions = renamed["prompt_encoder.shared_embedding.positional_embedding"]
    renamed["shared_image_embedding.positional_embedding"] = positions.clone()
    return renamed


def convert_key(key: str) -> str:
    """transformers' name for one of the authors' keys; the four point embeddings become one only in `convert`."""
    layer = _DOWNSAMPLER.match(key)
    if layer:  # blocks of convolution, norm and activation; the last convolution stands alone
        block, part = divmod(int(layer[1]), 3)
        place = "final_conv" if block == 4 else f"layers.{block}.{('conv', 'layer_norm')[part]}"
        return f"memory_encoder.mask_downsampler.{place}.{key[layer.end() :]}"
    for pattern, new in _NAMES:
        key = pattern.sub(new, key)
    return key


def sam2_config(shapes: Shapes, image_size: int = 1024) -> Any:
    """Sam2VideoConfig for weights of these shapes. KeyError for a size that was not published."""
    from transformers import (
        Sam2HieraDetConfig,
        Sam2VideoConfig,
        Sam2VideoPromptEncoderConfig,
        Sam2VisionConfig,
    )

    trunk = "image_encoder.trunk."
    width = shapes[trunk + "patch_embed.proj.weight"][0]
    widths = [width * 2**stage for stage in range(4)]
    blocks = [0, 0, 0, 0]
    index = 0
    while f"{trunk}blocks.{index}.attn.proj.weight" in shapes:
        blocks[widths.index(shapes[f"{trunk}blocks.{index}.attn.proj.weight"][0])] += 1
        index += 1
    backbone = Sam2HieraDetConfig(
        hidden_size=width,
        embed_dim_per_stage=widths,
        blocks_per_stage=blocks,
        global_attention_blocks=_GLOBAL[width, index],
        window_positional_embedding_background_size=list(shapes[trunk + "pos_embed"][2:]),
        image_size=[image_size, image_size],
        **_HIERA[width],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=widths[::-1],
        backbone_feature_sizes=[[image_size // stride] * 2 for stride in (4, 8, 16)],
    )
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=image_size),
        image_size=image_size,
        memory_attention_rope_feat_sizes=[image_size // 16] * 2,
        # SAM 2.1 has both, SAM 2 neither.
        enable_temporal_pos_encoding_for_object_pointers="obj_ptr_tpos_proj.weight" in shapes,
        enable_occlusion_spatial_embedding="no_obj_embed_spatial" in shapes,
    )
