"""Wan2.1 text-to-video, through diffusers' WanPipeline."""

from __future__ import annotations

import logging
import re
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .base import GenerateSettings

# diffusers name -> name in the original checkpoints, which is what ComfyUI's loader knows.
_RENAMES: tuple[tuple[str, str], ...] = (
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    (".attn1.to_q", ".self_attn.q"),
    (".attn1.to_k", ".self_attn.k"),
    (".attn1.to_v", ".self_attn.v"),
    (".attn1.to_out.0", ".self_attn.o"),
    (".attn2.to_q", ".cross_attn.q"),
    (".attn2.to_k", ".cross_attn.k"),
    (".attn2.to_v", ".cross_attn.v"),
    (".attn2.to_out.0", ".cross_attn.o"),
    (".ffn.net.0.proj", ".ffn.0"),
    (".ffn.net.2", ".ffn.2"),
)
_NATIVE_NAMES = dict(_RENAMES)
_DIFFUSERS_NAMES = {native: ours for ours, native in _RENAMES}


class WanFamily:
    """Flow matching in the latent space of AutoencoderKLWan; text from UMT5."""

    name = "wan2.1"
    pipeline_class = "WanPipeline"
    training_shift = 5.0
    defaults = GenerateSettings(height=480, width=832, num_frames=81, fps=16, steps=50, guidance_scale=5.0)
    lora_targets: ClassVar[dict[str, tuple[str, ...]]] = {
        "published": (
            "condition_embedder.text_embedder.linear_1",
            "condition_embedder.text_embedder.linear_2",
            "attn2.to_k",
            "attn2.to_v",
        ),
        "wide": (
            "condition_embedder.text_embedder.linear_1",
            "condition_embedder.text_embedder.linear_2",
            *(
                f"{attention}.{part}"
                for attention in ("attn1", "attn2")
                for part in ("to_q", "to_k", "to_v", "to_out.0")
            ),
            "ffn.net.0.proj",
            "ffn.net.2",
        ),
    }

    def native_name(self, module: str) -> str:
        return _rename(module, _NATIVE_NAMES)

    def diffusers_name(self, module: str) -> str:
        return _rename(module, _DIFFUSERS_NAMES)

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
        video = vae.decode((latents.to(vae.device) * std + mean).to(vae.dtype), return_dict=False)[0]
        pixels = ((video.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)  # B C F H W
        return pixels.permute(0, 2, 3, 4, 1).cpu().numpy()


def _rename(module: str, names: dict[str, str]) -> str:
    if module in names:
        return names[module]
    match = re.fullmatch(r"(blocks\.\d+)(\..+)", module)
    if match and match[2] in names:
        return match[1] + names[match[2]]
    raise KeyError(module)
