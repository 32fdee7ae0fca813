"""Wan2.1 and Wan2.2 text-to-video, through diffusers' WanPipeline: flow matching in AutoencoderKLWan's latent space,
text from UMT5."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...errors import SpatialAlignError
from ...weight_files import Shapes, count
from .. import experts
from ..base import Family, GenerateSettings, known_size, read_config, to_frames
from ..names import KeyNames
from ..weights import require

_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o", "norm_q": "norm_q", "norm_k": "norm_k"}
_RENAMES = {
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "scale_shift_table": "head.modulation",
    "proj_out": "head.head",
    "blocks.{}.scale_shift_table": "blocks.{}.modulation",
    "blocks.{}.norm2": "blocks.{}.norm3",
    "blocks.{}.ffn.net.0.proj": "blocks.{}.ffn.0",
    "blocks.{}.ffn.net.2": "blocks.{}.ffn.2",
    **{f"blocks.{{}}.attn1.{ours}": f"blocks.{{}}.self_attn.{native}" for ours, native in _ATTENTION.items()},
    **{
        f"blocks.{{}}.attn2.{ours}": f"blocks.{{}}.cross_attn.{native}" for ours, native in _ATTENTION.items()
    },
}
_TEXT_EMBEDDER = (
    "condition_embedder.text_embedder.linear_1",
    "condition_embedder.text_embedder.linear_2",
)
_SIZES = {(1536, 30): "1.3B", (5120, 40): "14B", (3072, 30): "5B"}
_HEAD = 128  # published Wan models of every size have heads of this width
# What image-to-video, VACE, camera, speech and animation models have besides.
_OTHER_KINDS = (
    "img_emb.",
    "vace_",
    "control_adapter.",
    "casual_audio_encoder.",
    "audio_proj.",
    "face_adapter.",
)


class Wan21(Family):
    name = "wan2.1"
    title = "Wan2.1 T2V"
    pipeline_class = "WanPipeline"
    transformer_class = "WanTransformer3DModel"
    vae_class = "AutoencoderKLWan"
    training_shift = 5.0
    defaults = GenerateSettings(height=480, width=832, num_frames=81, fps=16, steps=50, guidance_scale=5.0)
    names = KeyNames(_RENAMES)
    text_kinds = ("umt5",)
    widths: ClassVar[dict[int, str]] = {width: size for (width, _), size in _SIZES.items()}
    lora_targets: ClassVar[dict[str, tuple[str, ...]]] = {
        "published": (*_TEXT_EMBEDDER, "attn2.to_k", "attn2.to_v"),
        "wide": (
            *_TEXT_EMBEDDER,
            *(f"{a}.{part}" for a in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")),
            "ffn.net.0.proj",
            "ffn.net.2",
        ),
    }
    _channels = 16

    def matches(self, index: Mapping[str, Any], folder: Path) -> bool:
        return (
            super().matches(index, folder) and not index.get("expand_timesteps") and not _two_experts(index)
        )

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        if not _is_text_to_video(shapes, self._channels) or _is_expert(shapes, name):
            return None
        return f"{self.title} {_size(shapes)}"

    def doubt(self, shapes: Shapes, name: str) -> str | None:
        if not _may_be_expert(shapes) or (experts.says_older(name) and not experts.experts_in(name)):
            return None
        return (
            "Its weights could also be one of the two networks of Wan2.2 T2V A14B. It is taken for one network for all "
            "noise; if it is not, rename the file so that its name holds high_noise or low_noise."
        )

    def transformer_config(self, shapes: Shapes) -> dict[str, Any]:
        width, channels, *patch = shapes["patch_embedding.weight"]
        return {
            "patch_size": patch,
            # Narrower than one head is no published model; the whole width is then one head.
            "num_attention_heads": max(1, width // _HEAD),
            "attention_head_dim": width // max(1, width // _HEAD),
            "in_channels": channels,
            "out_channels": shapes["head.head.weight"][0] // math.prod(patch),
            "text_dim": shapes["text_embedding.0.weight"][1],
            "freq_dim": shapes["time_embedding.0.weight"][1],
            "ffn_dim": shapes["blocks.0.ffn.0.weight"][0],
            "num_layers": count(shapes, r"blocks\.(\d+)\."),
            "cross_attn_norm": "blocks.0.norm3.weight" in shapes,
            "qk_norm": "rms_norm_across_heads",
        }

    def recognise_vae(self, shapes: Shapes) -> str | None:
        original = require(
            shapes, "decoder.middle.0.residual.0.gamma", "conv2.weight", "encoder.conv1.weight"
        )
        if not original or "decoder.upsamples.0.upsamples.0.residual.2.weight" in shapes:
            return None
        return "Wan2.1 VAE" if shapes["conv2.weight"][0] == self._channels else None

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        # The constants of Wan2.1's latents are diffusers' defaults.
        return {
            "base_dim": shapes["encoder.conv1.weight"][0],
            "decoder_base_dim": shapes["decoder.head.0.gamma"][0],
            "z_dim": shapes["conv2.weight"][0],
        }

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

        return convert_wan_vae_to_diffusers(state)

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        # Real tokenizers name no limit of their own; Wan was trained on 512.
        length = min(512, pipeline.tokenizer.model_max_length)
        states, _ = pipeline.encode_prompt(
            texts,
            do_classifier_free_guidance=False,
            max_sequence_length=length,
            device=pipeline.text_encoder.device,
        )
        return states

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        temporal, spatial = pipeline.vae_scale_factor_temporal, pipeline.vae_scale_factor_spatial
        _, patch_height, patch_width = pipeline.transformer.config.patch_size
        frames = settings.num_frames
        if frames % temporal != 1:  # the pipeline rounds so
            frames = frames // temporal * temporal + 1
        return (
            pipeline.transformer.config.in_channels,
            (max(frames, 1) - 1) // temporal + 1,
            settings.height // (spatial * patch_height) * patch_height,
            settings.width // (spatial * patch_width) * patch_width,
        )

    def size_steps(self, pipeline: Any) -> tuple[int, int]:
        pixels = pipeline.vae_scale_factor_spatial * max(pipeline.transformer.config.patch_size[1:])
        return pixels, pipeline.vae_scale_factor_temporal

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        return transformer(noisy, sigma * 1000, text, return_dict=False)[0]

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        pipeline.set_progress_bar_config(disable=True)
        # Sizes are rounded in `latent_shape`, as the pipeline rounds them; its warning a batch tells nobody anything.
        logging.getLogger("diffusers.pipelines.wan.pipeline_wan").setLevel(logging.ERROR)
        return pipeline(
            height=settings.height,
            width=settings.width,
            num_frames=settings.num_frames,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            prompt_embeds=text,
            negative_prompt_embeds=negative,
            latents=noise,
            output_type="latent",
        ).frames

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        vae = pipeline.vae
        shape = (1, -1, 1, 1, 1)
        mean = torch.tensor(vae.config.latents_mean, device=vae.device).view(shape)
        std = torch.tensor(vae.config.latents_std, device=vae.device).view(shape)
        return to_frames(
            vae.decode((latents.to(vae.device) * std + mean).to(vae.dtype), return_dict=False)[0]
        )


class Wan22Small(Wan21):
    """The 5B model: 48 channels, 16 times smaller sides."""

    name = "wan2.2-5b"
    title = "Wan2.2 TI2V"
    defaults = GenerateSettings(height=704, width=1280, num_frames=121, fps=24, steps=50, guidance_scale=5.0)
    _channels = 48

    def matches(self, index: Mapping[str, Any], folder: Path) -> bool:
        return Family.matches(self, index, folder) and bool(index.get("expand_timesteps"))

    def pipeline_options(self) -> dict[str, Any]:
        return {"expand_timesteps": True}

    def recognise_vae(self, shapes: Shapes) -> str | None:
        newer = require(shapes, "decoder.upsamples.0.upsamples.0.residual.2.weight", "conv2.weight")
        return "Wan2.2 VAE" if newer and shapes["conv2.weight"][0] == self._channels else None

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        return {**read_config(self.name)["vae"], **super().vae_config(shapes)}

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        # What is outside of the nested blocks is named as in Wan2.1.
        nested = {key: value for key, value in state.items() if "samples." in key}
        outside = {key: value for key, value in state.items() if key not in nested}
        return super().vae_weights(outside, rows) | {
            _nested_name(key): value for key, value in nested.items()
        }


class Wan22Experts(Wan21):
    """The A14B model: one network for high noise, one for low. Each has the shape of Wan2.1 14B, so that only the
    file's name tells them apart."""

    name = "wan2.2-a14b"
    title = "Wan2.2 T2V A14B"
    experts = ("high noise", "low noise")
    training_shift = 12.0
    defaults = replace(Wan21.defaults, steps=40, guidance_scale=3.5)

    def matches(self, index: Mapping[str, Any], folder: Path) -> bool:
        return Family.matches(self, index, folder) and _two_experts(index)

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        if not _is_text_to_video(shapes, self._channels) or not _is_expert(shapes, name):
            return None
        found = experts.experts_in(name)
        if len(found) != 1:
            which = "both high and low noise" if found else "neither high nor low noise"
            raise SpatialAlignError(
                f"{name.rpartition('/')[2]} is one of the two networks of {self.title}, and its name says {which}; "
                "rename the file so that its name holds high_noise or low_noise."
            )
        return f"{self.title}, {found.pop()} noise"

    def doubt(self, shapes: Shapes, name: str) -> str | None:
        return None

    def pipeline_options(self) -> dict[str, Any]:
        return {"boundary_ratio": 0.875}

    def expert_range(self, pipeline: Any, expert: str) -> tuple[float, float]:
        boundary = pipeline.config.boundary_ratio
        return (boundary, 1.0) if expert == self.experts[0] else (0.0, boundary)


def _is_text_to_video(shapes: Shapes, channels: int) -> bool:
    if not require(
        shapes, "head.modulation", "head.head.weight", "text_embedding.0.weight", "patch_embedding.weight"
    ):
        return False
    if any(key.startswith(_OTHER_KINDS) for key in shapes):
        return False
    return shapes["patch_embedding.weight"][1] == channels


def _may_be_expert(shapes: Shapes) -> bool:
    """Of 16 channels and not of a size that only Wan2.1 has."""
    width, channels = shapes["patch_embedding.weight"][:2]
    return channels == 16 and _SIZES.get((width, count(shapes, r"blocks\.(\d+)\."))) in (None, "14B")


def _is_expert(shapes: Shapes, name: str) -> bool:
    """Whether the file is one of Wan2.2 A14B's networks, as far as its name tells."""
    if not _may_be_expert(shapes) or experts.says_older(name):
        return False
    found = experts.experts_in(name)
    return len(found) == 1 or ((bool(found) or experts.says_pair(name)) and not experts.says_merged(name))


def _size(shapes: Shapes) -> str:
    width, layers = shapes["patch_embedding.weight"][0], count(shapes, r"blocks\.(\d+)\.")
    return known_size(_SIZES, (width, layers), f"of {layers} layers, {width} wide")


def _two_experts(index: Mapping[str, Any]) -> bool:
    second = index.get("transformer_2") or (None, None)
    return second[0] is not None


_RESIDUAL = {
    "residual.0.": "norm1.",
    "residual.2.": "conv1.",
    "residual.3.": "norm2.",
    "residual.6.": "conv2.",
}


def _nested_name(key: str) -> str:
    """Wan2.2's VAE: encoder.downsamples.1.downsamples.0.residual.2.x -> encoder.down_blocks.1.resnets.0.conv1.x"""
    match = re.fullmatch(r"(encoder|decoder)\.(down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)", key)
    if match is None:
        return key
    side, way, block, layer, rest = match.groups()
    start = f"{side}.{way}_blocks.{block}"
    if rest.startswith(("resample.", "time_conv.")):
        return f"{start}.{way}sampler.{rest}"
    for original, ours in _RESIDUAL.items():
        if rest.startswith(original):
            return f"{start}.resnets.{layer}.{ours}{rest.removeprefix(original)}"
    return f"{start}.resnets.{layer}.{rest.replace('shortcut.', 'conv_shortcut.')}"


FAMILIES = (Wan22Experts(), Wan22Small(), Wan21())
