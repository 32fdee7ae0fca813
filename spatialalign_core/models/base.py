"""A video model as the rest of the core sees it: text in, latents and frames out, one velocity network between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import SpatialAlignError


@dataclass(frozen=True)
class GenerateSettings:
    """Size and sampler of one video. Pixels, frames, frames a second; guidance 1 switches guidance off."""

    height: int
    width: int
    num_frames: int
    fps: float
    steps: int
    guidance_scale: float
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        for name in ("height", "width", "num_frames", "steps"):
            if getattr(self, name) < 1:
                raise SpatialAlignError(f"{name} must be at least 1, not {getattr(self, name)}; raise it.")
        if self.fps <= 0:
            raise SpatialAlignError(f"fps must be above 0, not {self.fps}; raise it.")
        if self.guidance_scale < 0:
            raise SpatialAlignError(
                f"guidance_scale must not be negative, got {self.guidance_scale}; use 1 or more."
            )


class Family(Protocol):
    """What differs between video model families. One object each; a new family touches its own file only."""

    name: str
    pipeline_class: str
    defaults: GenerateSettings
    lora_targets: ClassVar[dict[str, tuple[str, ...]]]
    """Module name endings for the sets "published" and "wide"."""
    training_shift: float
    """Shift of the published recipe's training schedule: sigma = shift u / (1 + (shift - 1) u)."""

    def native_name(self, module: str) -> str:
        """diffusers module name -> the name ComfyUI's own LoRA loader knows, without "diffusion_model."."""
        ...

    def diffusers_name(self, module: str) -> str:
        """The inverse of `native_name`."""
        ...

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        """Texts -> (B, L, D) text states as the transformer takes them."""
        ...

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        """(C, F', H', W') of one video."""
        ...

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        """Predicted d x / d sigma. noisy (B, C, F', H', W'), sigma (B,) in 0..1, text (B, L, D)."""
        ...

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        """Noise (B, C, F', H', W') -> latents of the same shape, by the pipeline's own sampler."""
        ...

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        """Latents (B, C, F', H', W') -> uint8 frames (B, F, H, W, 3)."""
        ...


@dataclass
class VideoModel:
    """A loaded pipeline and its family. `fingerprint` tells two sets of weights apart."""

    folder: Path
    family: Family
    pipeline: Any
    defaults: GenerateSettings
    fingerprint: str

    @property
    def transformer(self) -> torch.nn.Module:
        return self.pipeline.transformer

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the transformer computes in; single parameters of it may stay in float32, in Wan the very first one."""
        return self.pipeline.transformer.dtype

    @torch.no_grad()
    def encode_text(self, texts: list[str]) -> Tensor:
        """(B, L, D) text states of `texts`, on the model's device."""
        return self.family.encode_text(self.pipeline, texts)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """uint8 frames (B, F, H, W, 3) of normalised latents (B, C, F', H', W')."""
        return self.family.decode(self.pipeline, latents)
