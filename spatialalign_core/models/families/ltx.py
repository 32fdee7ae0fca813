"""LTX-Video text-to-video, through diffusers' LTXPipeline: flow matching on 128 channels, text from T5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...weight_files import Shapes, count
from ..base import (
    Family,
    GenerateSettings,
    known_size,
    read_config,
    to_frames,
    with_mask,
    without_mask,
)
from ..names import KeyNames
from ..weights import require

_RENAMES = {
    "proj_in": "patchify_proj",
    "time_embed.linear": "adaln_single.linear",
    **{
        f"time_embed.emb.timestep_embedder.linear_{n}": f"adaln_single.emb.timestep_embedder.linear_{n}"
        for n in (1, 2)
    },
    **{
        f"transformer_blocks.{{}}.{attention}.norm_{part}": f"transformer_blocks.{{}}.{attention}.{part}_norm"
        for attention in ("attn1", "attn2")
        for part in ("q", "k")
    },
}
_TEXT_EMBEDDER = ("caption_projection.linear_1", "caption_projection.linear_2")
_SIZES = {(2048, 28): "2B", (4096, 48): "13B"}
_HEADS = 32  # of every published size
_FRAME_RATE = 25.0  # what positions in time are counted in; one value, so that training and sampling agree
_DECODE_TIMESTEP, _DECODE_NOISE = 0.05, 0.025  # of the VAEs that denoise while they decode


class Ltx(Family):
    name = "ltx-video"
    title = "LTX-Video"
    pipeline_class = "LTXPipeline"
    transformer_class = "LTXVideoTransformer3DModel"
    vae_class = "AutoencoderKLLTXVideo"
    masked_attention = True
    training_shift = 5.0
    defaults = GenerateSettings(
        height=512,
        width=704,
        num_frames=121,
        fps=_FRAME_RATE,
        steps=40,
        guidance_scale=3.0,
        negative_prompt="worst quality, inconsistent motion, blurry, jittery, distorted",
    )
    names = KeyNames(_RENAMES)
    text_kinds = ("t5",)
    widths: ClassVar[dict[int, str]] = {width: size for (width, _), size in _SIZES.items()}
    lora_targets: ClassVar[dict[str, tuple[str, ...]]] = {
        "published": (*_TEXT_EMBEDDER, "attn2.to_k", "attn2.to_v"),
        "wide": (
            *_TEXT_EMBEDDER,
            *(f"{a}.{part}" for a in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")),
            "ff.net.0.proj",
            "ff.net.2",
        ),
    }

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        if not require(
            shapes, "patchify_proj.weight", "adaln_single.linear.weight", "caption_projection.linear_1.weight"
        ):
            return None
        if any(key.startswith(("audio_", "av_")) for key in shapes):  # LTX-2
            return None
        width, layers = shapes["patchify_proj.weight"][0], count(shapes, r"transformer_blocks\.(\d+)\.")
        return f"{self.title} {known_size(_SIZES, (width, layers), f'of {layers} layers, {width} wide')}"

    def transformer_config(self, shapes: Shapes) -> dict[str, Any]:
        width, channels = shapes["patchify_proj.weight"]
        heads = _HEADS if width % _HEADS == 0 else 1
        return {
            "in_channels": channels,
            "out_channels": shapes["proj_out.weight"][0],
            "num_attention_heads": heads,
            "attention_head_dim": width // heads,
            "cross_attention_dim": shapes["transformer_blocks.0.attn2.to_k.weight"][1],
            "num_layers": count(shapes, r"transformer_blocks\.(\d+)\."),
            "caption_channels": shapes["caption_projection.linear_1.weight"][1],
        }

    def recognise_vae(self, shapes: Shapes) -> str | None:
        wanted = ("decoder.up_blocks.0.res_blocks.0.conv1.conv.weight", "encoder.conv_out.conv.weight")
        return f"LTX-Video VAE {_vae_version(shapes)}" if require(shapes, *wanted) else None

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        config = dict(read_config(self.name)["vae"][_vae_version(shapes)])
        for side in ("encoder", "decoder"):
            key = "block_out_channels" if side == "encoder" else "decoder_block_out_channels"
            published, found = config[key], shapes[f"{side}.conv_in.conv.weight"][0]
            first = published[0] if side == "encoder" else published[-1]
            config[key] = [width * found // first for width in published]
        return config

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        from diffusers.loaders.single_file_utils import convert_ltx_vae_checkpoint_to_diffusers

        return convert_ltx_vae_checkpoint_to_diffusers({f"vae.{key}": value for key, value in state.items()})

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        length = min(128, pipeline.tokenizer.model_max_length)
        states, mask, _, _ = pipeline.encode_prompt(
            texts,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            device=pipeline.text_encoder.device,
        )
        return with_mask(states, mask)

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        spatial = pipeline.vae_spatial_compression_ratio
        return (
            pipeline.transformer.config.in_channels,
            (settings.num_frames - 1) // pipeline.vae_temporal_compression_ratio + 1,
            settings.height // spatial,
            settings.width // spatial,
        )

    def size_steps(self, pipeline: Any) -> tuple[int, int]:
        pixels = pipeline.vae_spatial_compression_ratio
        return pixels, pipeline.vae_temporal_compression_ratio

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        states, mask = without_mask(text)
        frames, height, width = noisy.shape[2:]
        tokens = transformer(
            hidden_states=_pack(noisy),
            encoder_hidden_states=states,
            timestep=sigma * 1000,
            encoder_attention_mask=mask,
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=(8 / _FRAME_RATE, 32, 32),
            return_dict=False,
        )[0]
        return _unpack(tokens, noisy.shape)

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        pipeline.set_progress_bar_config(disable=True)
        states, mask = without_mask(text)
        other, other_mask = (None, None) if negative is None else without_mask(negative)
        spatial, temporal = pipeline.vae_spatial_compression_ratio, pipeline.vae_temporal_compression_ratio
        tokens = pipeline(
            height=noise.shape[3] * spatial,
            width=noise.shape[4] * spatial,
            num_frames=(noise.shape[2] - 1) * temporal + 1,
            frame_rate=_FRAME_RATE,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            prompt_embeds=states,
            prompt_attention_mask=mask,
            negative_prompt_embeds=other,
            negative_prompt_attention_mask=other_mask,
            latents=_pack(noise),
            output_type="latent",
        ).frames
        return _unpack(tokens, noise.shape)

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        vae = pipeline.vae
        shape = (1, -1, 1, 1, 1)
        latents = latents.to(vae.device, torch.float32)
        mean, std = vae.latents_mean.float().view(shape), vae.latents_std.float().view(shape)
        latents = latents * std / vae.config.scaling_factor + mean
        timestep = None
        if vae.config.timestep_conditioning:
            generator = torch.Generator().manual_seed(0)
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = (1 - _DECODE_NOISE) * latents + _DECODE_NOISE * noise
            timestep = torch.full((len(latents),), _DECODE_TIMESTEP, device=vae.device, dtype=vae.dtype)
        return to_frames(vae.decode(latents.to(vae.dtype), timestep, return_dict=False)[0])


def _vae_version(shapes: Shapes) -> str:
    if shapes["encoder.conv_out.conv.weight"][1] > shapes["encoder.conv_in.conv.weight"][0] * 4:
        return "0.9.5"
    return "0.9.1" if "decoder.last_time_embedder.timestep_embedder.linear_1.weight" in shapes else "0.9.0"


def _pack(latents: Tensor) -> Tensor:
    """(B, C, F, H, W) -> (B, F H W, C)."""
    return latents.flatten(2).transpose(1, 2)


def _unpack(tokens: Tensor, shape: torch.Size) -> Tensor:
    return tokens.transpose(1, 2).reshape(shape)


FAMILIES = (Ltx(),)
