"""CogVideoX 2B, 5B and 1.5 text-to-video, through diffusers' CogVideoXPipeline: v-prediction, text from T5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...weight_files import Shapes, count
from ..base import Family, GenerateSettings, known_size, read_config, to_frames
from ..names import KeyNames
from ..prediction import Prediction, VPrediction, timestep_of
from ..weights import require

_BLOCK = {
    "norm1.linear": "norm1.linear",
    "norm1.norm": "norm1.norm",
    "norm2.linear": "norm2.linear",
    "norm2.norm": "norm2.norm",
    "attn1.to_q": "q",
    "attn1.to_k": "k",
    "attn1.to_v": "v",
    "attn1.to_out.0": "attn_out",
    "attn1.norm_q": "norm_q",
    "attn1.norm_k": "norm_k",
    "ff.net.0.proj": "ff_proj",
    "ff.net.2": "ff_out",
}
_RENAMES = {
    "time_embedding.linear_1": "time_embedding_linear_1",
    "time_embedding.linear_2": "time_embedding_linear_2",
    **{f"transformer_blocks.{{}}.{ours}": f"blocks.{{}}.{native}" for ours, native in _BLOCK.items()},
}
_HEAD = 64
_CHANNELS = 16  # 32 and more start from images
_SMALL = (30 * _HEAD, 30)  # width and layers of the 2B model


class CogVideoX(Family):
    """The 5B model: positions turned into the queries and keys."""

    name = "cogvideox-5b"
    title = "CogVideoX"
    pipeline_class = "CogVideoXPipeline"
    transformer_class = "CogVideoXTransformer3DModel"
    vae_class = "AutoencoderKLCogVideoX"
    training_shift = 1.0
    defaults = GenerateSettings(height=480, width=720, num_frames=49, fps=8, steps=50, guidance_scale=6.0)
    names = KeyNames(_RENAMES)
    text_kinds = ("t5",)
    # Text and picture share their attention: what reads the text is its embedding, and every key and value.
    lora_targets: ClassVar[dict[str, tuple[str, ...]]] = {
        "published": ("patch_embed.text_proj", "attn1.to_k", "attn1.to_v"),
        "wide": (
            "patch_embed.text_proj",
            *(f"attn1.{part}" for part in ("to_q", "to_k", "to_v", "to_out.0")),
            "ff.net.0.proj",
            "ff.net.2",
        ),
    }
    _two_frames_a_patch = False

    def matches(self, index: Mapping[str, Any], folder: Path) -> bool:
        if not super().matches(index, folder):
            return False
        try:
            config = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            config = {}  # loading says what is wrong
        return self._is(
            bool(config.get("patch_size_t")), bool(config.get("use_rotary_positional_embeddings"))
        )

    def _is(self, two_frames_a_patch: bool, turned: bool) -> bool:
        return turned and not two_frames_a_patch

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        wanted = (
            "blocks.0.norm1.linear.weight",
            "patch_embed.text_proj.weight",
            "time_embedding_linear_1.weight",
        )
        if not require(shapes, *wanted, "patch_embed.proj.weight"):
            return None
        width, channels, *patch = shapes["patch_embed.proj.weight"]
        layers = count(shapes, r"blocks\.(\d+)\.")
        turned = (width, layers) != _SMALL and "patch_embed.pos_embedding" not in shapes
        if (channels if patch else channels // 8) != _CHANNELS or not self._is(not patch, turned):
            return None
        size = known_size(
            {(3072, 42): "5B", _SMALL: "2B"}, (width, layers), f"of {layers} layers, {width} wide"
        )
        return f"{self.title} {size}"

    def transformer_config(self, shapes: Shapes) -> dict[str, Any]:
        width = shapes["patch_embed.proj.weight"][0]
        return {
            "num_attention_heads": max(1, width // _HEAD),
            "attention_head_dim": width // max(1, width // _HEAD),
            "in_channels": _CHANNELS,
            "out_channels": _CHANNELS,
            "time_embed_dim": shapes["time_embedding_linear_1.weight"][0],
            "text_embed_dim": shapes["patch_embed.text_proj.weight"][1],
            "num_layers": count(shapes, r"blocks\.(\d+)\."),
            **self._positions(shapes),
        }

    def _positions(self, shapes: Shapes) -> dict[str, Any]:
        return {"use_rotary_positional_embeddings": True}

    def recognise_vae(self, shapes: Shapes) -> str | None:
        wanted = ("decoder.mid_block.resnets.0.norm1.norm_layer.weight", "decoder.conv_in.conv.weight")
        return "CogVideoX VAE" if require(shapes, *wanted) else None

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        first = shapes["encoder.conv_in.conv.weight"][0]
        widths = [first, first * 2, first * 2, first * 4]
        return {
            **read_config(self.name)["vae"],
            "block_out_channels": widths,
            "norm_num_groups": min(32, first),
        }

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        return state

    def prediction(self, pipeline: Any) -> Prediction:
        return VPrediction(pipeline.scheduler.alphas_cumprod)

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        length = min(pipeline.transformer.config.max_text_seq_length, pipeline.tokenizer.model_max_length)
        states, _ = pipeline.encode_prompt(
            texts,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            device=pipeline.text_encoder.device,
        )
        return states

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        spatial, config = pipeline.vae_scale_factor_spatial, pipeline.transformer.config
        frames = (settings.num_frames - 1) // pipeline.vae_scale_factor_temporal + 1
        together = config.patch_size_t or 1
        return (
            config.in_channels,
            -(-frames // together) * together,
            settings.height // (spatial * config.patch_size) * config.patch_size,
            settings.width // (spatial * config.patch_size) * config.patch_size,
        )

    def size_steps(self, pipeline: Any) -> tuple[int, int]:
        pixels = pipeline.vae_scale_factor_spatial * pipeline.transformer.config.patch_size
        return pixels, pipeline.vae_scale_factor_temporal

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        return transformer(
            hidden_states=noisy.transpose(1, 2),  # B C F H W -> B F C H W
            encoder_hidden_states=text,
            timestep=timestep_of(sigma),
            image_rotary_emb=_rotations(transformer.config, noisy),
            return_dict=False,
        )[0].transpose(1, 2)

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        pipeline.set_progress_bar_config(disable=True)
        spatial, temporal = pipeline.vae_scale_factor_spatial, pipeline.vae_scale_factor_temporal
        return pipeline(
            height=noise.shape[3] * spatial,
            width=noise.shape[4] * spatial,
            num_frames=(noise.shape[2] - 1) * temporal + 1,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            prompt_embeds=text,
            negative_prompt_embeds=negative,
            latents=noise.transpose(1, 2),
            output_type="latent",
        ).frames.transpose(1, 2)

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        vae = pipeline.vae
        latents = latents[:, :, self.leading_latents :]
        scaled = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor
        return to_frames(vae.decode(scaled, return_dict=False)[0])


class CogVideoXSmall(CogVideoX):
    """The 2B model: positions added, and noise levels of its own."""

    name = "cogvideox-2b"

    def _is(self, two_frames_a_patch: bool, turned: bool) -> bool:
        return not turned and not two_frames_a_patch

    def _positions(self, shapes: Shapes) -> dict[str, Any]:
        return {}


class CogVideoXNewer(CogVideoX):
    """1.5: two frames a patch. Its VAE makes an odd number of latents, so that the first one fills up."""

    name = "cogvideox-1.5"
    title = "CogVideoX 1.5"
    defaults = replace(CogVideoX.defaults, height=768, width=1360, num_frames=81, fps=16)
    leading_latents = 1

    def _is(self, two_frames_a_patch: bool, turned: bool) -> bool:
        return two_frames_a_patch

    def _positions(self, shapes: Shapes) -> dict[str, Any]:
        return {
            "use_rotary_positional_embeddings": True,
            "patch_size_t": 2,
            "sample_height": 96,
            "sample_width": 170,
            "sample_frames": 81,
            "max_text_seq_length": 224,
        }


def _rotations(config: Any, noisy: Tensor) -> tuple[Tensor, Tensor] | None:
    """What turns queries and keys by their place, as the pipeline makes it for latents (B, C, F, H, W)."""
    if not config.use_rotary_positional_embeddings:
        return None
    from diffusers.models.embeddings import get_3d_rotary_pos_embed
    from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

    frames, height, width = noisy.shape[2:]
    grid = (height // config.patch_size, width // config.patch_size)
    base = (config.sample_height // config.patch_size, config.sample_width // config.patch_size)
    if config.patch_size_t is None:
        cosines, sines = get_3d_rotary_pos_embed(
            embed_dim=config.attention_head_dim,
            crops_coords=get_resize_crop_region_for_grid(grid, base[1], base[0]),
            grid_size=grid,
            temporal_size=frames,
            device=noisy.device,
        )
    else:
        cosines, sines = get_3d_rotary_pos_embed(
            embed_dim=config.attention_head_dim,
            crops_coords=None,
            grid_size=grid,
            temporal_size=-(-frames // config.patch_size_t),
            grid_type="slice",
            max_size=base,
            device=noisy.device,
        )
    return cosines, sines


FAMILIES = (CogVideoXNewer(), CogVideoXSmall(), CogVideoX())
