"""SAM in its authors' format, a `.pth` file, through the optional package segment-anything.

Every measure of the model follows from the shapes of its weights, so any size can be loaded, not only the published
three (vit_b, vit_l, vit_h).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..weight_files import Shapes, count, read_weights, weights_fingerprint
from .checkpoints import recognise_shapes
from .other_models import other_model
from .sam import Boxes, Masks

_MEAN = (123.675, 116.28, 103.53)
_DEVIATION = (58.395, 57.12, 57.375)


class OriginalSam:
    """A BoxSegmenter over segment-anything's model."""

    def __init__(self, model: Any, name: str, device: str | torch.device = "cpu", weights: str = "") -> None:
        self.name = name
        self.fingerprint = fingerprint([name, weights])
        self.device = torch.device(device)
        self.model = model.to(self.device).eval()

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> OriginalSam:
        """From a published checkpoint. SpatialAlignError without the package, and for a file that is no SAM."""
        file = Path(path)
        weights = read_weights(file)
        shapes = {key: tuple(value.shape) for key, value in weights.items()}
        kind, other = recognise_shapes(shapes), other_model(shapes)
        if other is not None:
            raise SpatialAlignError(f"{file} holds {other}.")
        if kind is None or kind.family != "sam":
            raise SpatialAlignError(
                f"{file} is not a SAM checkpoint; choose one, such as sam_vit_b_01ec64.pth."
            )
        try:
            model = build_sam(shapes)
            more = [key for key in weights if key not in model.state_dict()]
            if more:
                raise SpatialAlignError(
                    f"{file} holds {len(more)} weights that a SAM does not have, {more[0]} first, so it is another "
                    "model made from it; choose a SAM, such as sam_vit_b_01ec64.pth."
                )
            model.load_state_dict(weights)
        except (KeyError, IndexError, RuntimeError, TypeError, ZeroDivisionError) as error:
            first = str(error).strip().splitlines()[0]
            raise SpatialAlignError(
                f"{file} lacks weights of a SAM, or they do not fit together ({first}); download it again."
            ) from error
        return cls(model, f"SAM {kind.variant}", device, weights_fingerprint(file))

    def segment(self, frames: NDArray[np.uint8], boxes: Sequence[Boxes]) -> list[Masks]:
        """See `BoxSegmenter`."""
        height, width = frames.shape[1:3]
        side = self.model.image_encoder.img_size
        scale = side / max(height, width)
        inside = (int(height * scale + 0.5), int(width * scale + 0.5))
        stretch = np.tile([inside[1] / width, inside[0] / height], 2)
        masks = [np.zeros((len(each), height, width), dtype=bool) for each in boxes]
        busy = [index for index, each in enumerate(boxes) if len(each)]
        if not busy:
            return masks
        with torch.inference_mode():
            pictures = torch.stack([_picture(frames[index], inside) for index in busy]).to(self.device)
            features = self.model.image_encoder(self.model.preprocess(pictures))
            for index, feature in zip(busy, features, strict=True):
                prompt = torch.tensor(boxes[index] * stretch, dtype=torch.float32, device=self.device)
                sparse, dense = self.model.prompt_encoder(points=None, boxes=prompt, masks=None)
                low, _ = self.model.mask_decoder(
                    image_embeddings=feature[None],
                    image_pe=self.model.prompt_encoder.get_dense_pe(),
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                    multimask_output=False,
                )
                whole = self.model.postprocess_masks(low, inside, (height, width))
                masks[index] = (whole[:, 0] > self.model.mask_threshold).cpu().numpy()
        return masks


def build_sam(shapes: Shapes) -> Any:
    """An untrained segment-anything model that weights of these shapes fit into."""
    try:
        from segment_anything import modeling
    except ImportError as error:
        raise SpatialAlignError(
            f"SAM .pth files need the package segment-anything, which is not there ({error}). Install it with "
            "`pip install segment-anything` in ComfyUI's environment, or use a SAM folder in transformers' layout."
        ) from error
    width, _, patch, _ = shapes["image_encoder.patch_embed.proj.weight"]
    grid = shapes["image_encoder.pos_embed"][1]
    depth = count(shapes, r"image_encoder\.blocks\.(\d+)\.")
    reach = [shapes[f"image_encoder.blocks.{block}.attn.rel_pos_h"] for block in range(depth)]
    whole = [block for block, (length, _) in enumerate(reach) if length == 2 * grid - 1]
    windows = [(length + 1) // 2 for length, _ in reach if length != 2 * grid - 1]
    channels = shapes["image_encoder.neck.0.weight"][0]
    encoder = modeling.ImageEncoderViT(
        depth=depth,
        embed_dim=width,
        img_size=grid * patch,
        mlp_ratio=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0] / width,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=width // reach[0][1],
        patch_size=patch,
        qkv_bias="image_encoder.blocks.0.attn.qkv.bias" in shapes,
        use_rel_pos=True,
        global_attn_indexes=whole,
        window_size=windows[0] if windows else 0,
        out_chans=channels,
    )
    prompts = modeling.PromptEncoder(
        embed_dim=channels,
        image_embedding_size=(grid, grid),
        input_image_size=(grid * patch, grid * patch),
        mask_in_chans=shapes["prompt_encoder.mask_downscaling.6.weight"][1],
    )
    decoder = modeling.MaskDecoder(
        num_multimask_outputs=shapes["mask_decoder.mask_tokens.weight"][0] - 1,
        transformer=modeling.TwoWayTransformer(
            depth=count(shapes, r"mask_decoder\.transformer\.layers\.(\d+)\."),
            embedding_dim=channels,
            mlp_dim=shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
            num_heads=8,
        ),
        transformer_dim=channels,
        iou_head_depth=count(shapes, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
        iou_head_hidden_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
    )
    return modeling.Sam(encoder, prompts, decoder, pixel_mean=list(_MEAN), pixel_std=list(_DEVIATION))


def _picture(frame: NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
    """(H, W, 3) uint8 -> float (3, h, w) of values 0..255, as the published predictor resizes it."""
    resized = Image.fromarray(np.ascontiguousarray(frame)).resize(size[::-1], Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1).float()
