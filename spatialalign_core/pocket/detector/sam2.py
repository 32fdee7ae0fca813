"""The pocket SAM 2, untrained: configuration, processor, and weights that start in a good place."""

from __future__ import annotations

import torch
from torch import nn
from transformers import (
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam2VideoProcessor,
    Sam2VideoVideoProcessor,
)
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from transformers.models.sam2_video.configuration_sam2_video import (
    Sam2VideoMaskDecoderConfig,
    Sam2VideoPromptEncoderConfig,
)

SIDE = 160  # pictures are squeezed to this square; masks have a quarter of it
MASK_SIDE = SIDE // 4
_PLACE_FREQUENCY = 0.5
_SHARPNESS, _QUIET, _FEATURE_SIZE = 2.0, 0.1, 0.4
_HIDDEN, _MEMORY = 128, 64  # the only small pair that the model class allows: its memory width is fixed at 64


def build_config() -> Sam2VideoConfig:
    """Five Hiera blocks, one layer of memory attention, three memory frames: about 1.5 million weights."""
    cells = MASK_SIDE // 4
    vision = Sam2VisionConfig(
        backbone_config=Sam2HieraDetConfig(
            hidden_size=16, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
            embed_dim_per_stage=[16, 32, 64, 96], num_attention_heads_per_stage=[1, 2, 2, 4],
            window_size_per_stage=[8, 4, cells, cells], global_attention_blocks=[], mlp_ratio=3.0,
            window_positional_embedding_background_size=[5, 5],
        ),
        backbone_channel_list=[96, 64, 32, 16],
        backbone_feature_sizes=[[4 * cells] * 2, [2 * cells] * 2, [cells] * 2],
        fpn_hidden_size=_HIDDEN,
    )  # fmt: skip
    return Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(
            hidden_size=_HIDDEN, image_size=SIDE, mask_input_channels=8
        ),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=_HIDDEN, mlp_dim=256, num_attention_heads=4, num_multimask_outputs=1,
            iou_head_hidden_dim=64, dynamic_multimask_via_stability=False,
        ),
        image_size=SIDE, num_maskmem=3, max_object_pointers_in_encoder=4,
        # Clips of any length then look alike to the model.
        enable_temporal_pos_encoding_for_object_pointers=False,
        multimask_output_in_sam=False, multimask_output_for_tracking=False,
        memory_attention_hidden_size=_HIDDEN, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=256, memory_attention_dropout=0.0,
        memory_attention_rope_feat_sizes=[cells, cells], memory_attention_rope_dropout=0.0,
        memory_encoder_hidden_size=_HIDDEN, memory_encoder_output_channels=_MEMORY,
        mask_downsampler_embed_dim=_HIDDEN, memory_fuser_num_layers=1, memory_fuser_embed_dim=_HIDDEN,
        memory_fuser_intermediate_dim=256, memory_fuser_kernel_size=3, memory_fuser_padding=1,
        memory_fuser_layer_scale_init_value=0.1,
    )  # fmt: skip


def build_processor() -> Sam2VideoProcessor:
    """Pictures and clips go in at `SIDE` x `SIDE`."""
    size = {"height": SIDE, "width": SIDE}
    return Sam2VideoProcessor(
        image_processor=Sam2ImageProcessor(size=size, mask_size={"height": MASK_SIDE, "width": MASK_SIDE}),
        video_processor=Sam2VideoVideoProcessor(size=size),
        target_size=SIDE,
    )


def build_model(seed: int) -> Sam2VideoModel:
    """The untrained model."""
    torch.manual_seed(seed)
    model = Sam2VideoModel(build_config())
    for module in model.modules():
        # The class's own start of 0.02 is for hundreds of channels; ours are few.
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    for head in model.mask_decoder.output_hypernetworks_mlps:
        nn.init.xavier_uniform_(head.proj_out.weight, gain=0.1)  # masks start undecided instead of far off
    for parameter in (model.memory_temporal_positional_encoding, model.no_memory_embedding):
        nn.init.normal_(parameter, std=0.1)
    # The hard part is to see where the box is. It is learned soonest when the two corners and the kinds of tokens
    # differ as much as places do, when places vary slowly, and when what is seen does not drown them.
    decoder, prompts = model.mask_decoder, model.prompt_encoder
    for embedding in (decoder.iou_token, decoder.mask_tokens, decoder.obj_score_token, prompts.point_embed):
        nn.init.normal_(embedding.weight, std=0.5)
    for convolution in model.vision_encoder.neck.convs:
        convolution.weight.data.mul_(0.3)
    # One space for prompts and pictures, as in the published model.
    places = model.shared_image_embedding.positional_embedding
    places.mul_(_PLACE_FREQUENCY)
    prompts.shared_embedding.positional_embedding.copy_(places)
    _look_where_it_is_alike(model)
    return model


@torch.no_grad()
def _look_where_it_is_alike(model: Sam2VideoModel) -> None:
    """Let attention start as looking at what is like oneself, which is slow to be learned from random projections.

    Corners of a box then look at the places where they are; a cell of a new frame looks at the remembered cells that
    show the same, and takes over whether they belonged to the thing.
    """
    for layer in model.mask_decoder.transformer.layers:
        for attention in (layer.cross_attn_token_to_image, layer.cross_attn_image_to_token):
            attention.k_proj.weight.copy_(attention.q_proj.weight)
    encoder = model.memory_encoder
    nn.init.dirac_(encoder.feature_projection.weight)
    shown = nn.init.orthogonal_(torch.empty(_MEMORY, _HIDDEN))
    encoder.projection.weight.copy_(shown[:, :, None, None])
    for layer in model.memory_attention.layers:
        across = layer.cross_attn_image
        across.q_proj.weight.copy_(_SHARPNESS * torch.eye(_HIDDEN))
        across.k_proj.weight.copy_(shown.T)
        across.v_proj.weight.copy_(shown.T)
        across.o_proj.weight.copy_(torch.eye(_HIDDEN))
        # Nothing else disturbs that at first.
        layer.self_attn.o_proj.weight.mul_(_QUIET)
        layer.linear2.weight.mul_(_QUIET)
    # The decoder has learned from stills, which do not go through this norm, how large features are.
    nn.init.constant_(model.memory_attention.layer_norm.weight, _FEATURE_SIZE)
