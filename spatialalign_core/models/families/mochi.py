"""Mochi 1 text-to-video, through diffusers' MochiPipeline: flow matching that counts from noise to picture, text from
T5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...weight_files import Shapes, count
from ..base import Family, GenerateSettings, known_size, to_frames, with_mask, without_mask
from ..names import Fused, KeyNames
from ..weights import require

_BLOCK = {
    "norm1.linear": "mod_x",
    "norm1_context.linear": "mod_y",
    "norm1_context.linear_1": "mod_y",  # of the last block
    "attn1.norm_q": "attn.q_norm_x",
    "attn1.norm_k": "attn.k_norm_x",
    "attn1.norm_added_q": "attn.q_norm_y",
    "attn1.norm_added_k": "attn.k_norm_y",
    "attn1.to_out.0": "attn.proj_x",
    "attn1.to_add_out": "attn.proj_y",
    "ff.net.2": "mlp_x.w2",
    "ff_context.net.2": "mlp_y.w2",
}
_RENAMES = {
    "patch_embed.proj": "x_embedder.proj",
    "time_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    **{f"time_embed.pooler.{part}": f"t5_y_embedder.{part}" for part in ("to_q", "to_kv", "to_out")},
    "time_embed.caption_proj": "t5_yproj",
    "proj_out": "final_layer.linear",
    **{f"transformer_blocks.{{}}.{ours}": f"blocks.{{}}.{native}" for ours, native in _BLOCK.items()},
}
_OURS = "transformer_blocks.{}."
# diffusers' gated feed-forward and final modulation take their two halves in the other order.
_FUSED = (
    Fused("blocks.{}.attn.qkv_x", tuple(f"{_OURS}attn1.to_{part}" for part in "qkv")),
    Fused("blocks.{}.attn.qkv_y", tuple(f"{_OURS}attn1.add_{part}_proj" for part in "qkv")),
    Fused("blocks.{}.mlp_x.w1", (f"{_OURS}ff.net.0.proj",), halves_swapped=True),
    Fused("blocks.{}.mlp_y.w1", (f"{_OURS}ff_context.net.0.proj",), halves_swapped=True),
    Fused("final_layer.mod", ("norm_out.linear",), halves_swapped=True),
)
_LAYERS = (
    3,
    3,
    4,
    6,
    3,
)  # residual blocks of the VAE's encoder, from pictures to latents; its decoder goes back


def _residual(native: str, ours: str, index: int) -> dict[str, str]:
    """Renames of one residual block of the VAE, and of its attention where it has one."""
    resnet = f"{ours}.resnets.{index}"
    return {
        f"{resnet}.norm1.norm_layer": f"{native}.stack.0",
        f"{resnet}.conv1.conv": f"{native}.stack.2",
        f"{resnet}.norm2.norm_layer": f"{native}.stack.3",
        f"{resnet}.conv2.conv": f"{native}.stack.5",
        f"{ours}.norms.{index}.norm_layer": f"{native}.attn_block.norm",
        f"{ours}.attentions.{index}.to_out.0": f"{native}.attn_block.attn.out",
    }


def _vae_names() -> KeyNames:
    first, *middle, last = _LAYERS
    places = [(f"encoder.layers.{1 + n}", "encoder.block_in", n) for n in range(first)]
    places += [(f"encoder.layers.{1 + first + len(middle) + n}", "encoder.block_out", n) for n in range(last)]
    places += [(f"decoder.blocks.0.{1 + n}", "decoder.block_in", n) for n in range(last)]
    places += [(f"decoder.blocks.{1 + len(middle)}.{n}", "decoder.block_out", n) for n in range(first)]
    renames = {
        "encoder.proj_in": "encoder.layers.0",
        "encoder.norm_out.norm_layer": "encoder.output_norm",
        "encoder.proj_out": "encoder.output_proj",
        "decoder.conv_in": "decoder.blocks.0.0",
        "decoder.proj_out": "decoder.output_proj",
    }
    for block, layers in enumerate(middle):
        down, up = f"encoder.layers.{1 + first + block}.layers", f"decoder.blocks.{1 + block}"
        renames[f"encoder.down_blocks.{block}.conv_in.conv"] = f"{down}.0"
        renames[f"decoder.up_blocks.{block}.proj"] = f"{up}.proj"
        places += [(f"{down}.{1 + n}", f"encoder.down_blocks.{block}", n) for n in range(layers)]
        places += [(f"{up}.blocks.{n}", f"decoder.up_blocks.{block}", n) for n in range(middle[-1 - block])]
    for native, ours, index in places:
        renames |= _residual(native, ours, index)
    fused = [
        Fused(
            f"{native}.attn_block.attn.qkv", tuple(f"{ours}.attentions.{index}.to_{part}" for part in "qkv")
        )
        for native, ours, index in places
    ]
    return KeyNames(renames, fused)


class Mochi(Family):
    name = "mochi"
    title = "Mochi 1"
    pipeline_class = "MochiPipeline"
    transformer_class = "MochiTransformer3DModel"
    vae_class = "AutoencoderKLMochi"
    masked_attention = True
    training_shift = 5.0
    defaults = GenerateSettings(height=480, width=848, num_frames=163, fps=30, steps=64, guidance_scale=4.5)
    names = KeyNames(_RENAMES, _FUSED)
    text_kinds = ("t5",)
    lora_targets: ClassVar[dict[str, tuple[str, ...]]] = {
        "published": ("time_embed.caption_proj", "attn1.add_k_proj", "attn1.add_v_proj"),
        "wide": (
            "time_embed.caption_proj",
            *(f"attn1.to_{part}" for part in ("q", "k", "v", "out.0", "add_out")),
            *(f"attn1.add_{part}_proj" for part in "qkv"),
            "ff.net.0.proj",
            "ff.net.2",
        ),
    }

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        if not require(shapes, "t5_yproj.weight", "pos_frequencies", "blocks.0.attn.qkv_x.weight"):
            return None
        layers = count(shapes, r"blocks\.(\d+)\.")
        return f"{self.title} {known_size({(48,): 'preview'}, (layers,), f'of {layers} layers')}"

    def transformer_config(self, shapes: Shapes) -> dict[str, Any]:
        _, heads, half_head = shapes["pos_frequencies"]
        _, channels, patch, _ = shapes["x_embedder.proj.weight"]
        return {
            "patch_size": patch,
            "num_attention_heads": heads,
            "attention_head_dim": half_head * 2,
            "num_layers": count(shapes, r"blocks\.(\d+)\."),
            "pooled_projection_dim": shapes["blocks.0.attn.qkv_y.weight"][1],
            "in_channels": channels,
            "text_embed_dim": shapes["t5_yproj.weight"][1],
            "time_embed_dim": shapes["t_embedder.mlp.0.weight"][1],
        }

    def recognise_vae(self, shapes: Shapes) -> str | None:
        wanted = (
            "decoder.blocks.2.blocks.3.stack.5.weight",
            "encoder.layers.4.layers.1.attn_block.attn.qkv.weight",
        )
        return "Mochi VAE" if require(shapes, *wanted) else None

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        first = {
            "encoder": shapes["encoder.layers.0.weight"][0],
            "decoder": shapes["decoder.output_proj.weight"][1],
        }
        return {
            f"{side}_block_out_channels": [width * n for n in (1, 2, 4, 6)] for side, width in first.items()
        }

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        return _vae_names().to_ours(state, rows)

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        length = min(256, pipeline.tokenizer.model_max_length)
        states, mask, _, _ = pipeline.encode_prompt(
            texts,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            device=pipeline.text_encoder.device,
        )
        return with_mask(states, mask)

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        spatial, patch = pipeline.vae_spatial_scale_factor, pipeline.transformer.config.patch_size
        return (
            pipeline.transformer.config.in_channels,
            (settings.num_frames - 1) // pipeline.vae_temporal_scale_factor + 1,
            settings.height // (spatial * patch) * patch,
            settings.width // (spatial * patch) * patch,
        )

    def size_steps(self, pipeline: Any) -> tuple[int, int]:
        pixels = pipeline.vae_spatial_scale_factor * pipeline.transformer.config.patch_size
        return pixels, pipeline.vae_temporal_scale_factor

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        states, mask = without_mask(text)
        # Its time runs from 0, noise, to 1, and so does what it predicts.
        return -transformer(
            hidden_states=noisy,
            encoder_hidden_states=states,
            timestep=(1 - sigma) * 1000,
            encoder_attention_mask=mask,
            return_dict=False,
        )[0]

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        pipeline.set_progress_bar_config(disable=True)
        states, mask = without_mask(text)
        other, other_mask = (None, None) if negative is None else without_mask(negative)
        spatial, temporal = pipeline.vae_spatial_scale_factor, pipeline.vae_temporal_scale_factor
        return pipeline(
            height=noise.shape[3] * spatial,
            width=noise.shape[4] * spatial,
            num_frames=(noise.shape[2] - 1) * temporal + 1,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            prompt_embeds=states,
            prompt_attention_mask=mask,
            negative_prompt_embeds=other,
            negative_prompt_attention_mask=other_mask,
            latents=noise,
            output_type="latent",
        ).frames

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        vae = pipeline.vae
        latents = latents.to(vae.device, torch.float32) / vae.config.scaling_factor
        if vae.config.latents_mean is not None and vae.config.latents_std is not None:
            shape = (1, -1, 1, 1, 1)
            mean = torch.tensor(vae.config.latents_mean, device=vae.device).view(shape)
            std = torch.tensor(vae.config.latents_std, device=vae.device).view(shape)
            latents = latents * std + mean
        return to_frames(vae.decode(latents.to(vae.dtype), return_dict=False)[0])


FAMILIES = (Mochi(),)
