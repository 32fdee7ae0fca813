"""A video model as the rest of the core sees it: text in, latents and frames out, one network between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..errors import SpatialAlignError, setting
from ..files import fingerprint
from ..weight_files import Shapes
from .names import KeyNames
from .prediction import FLOW, Prediction

_CONFIGS = Path(__file__).parent / "families"


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
                raise SpatialAlignError(
                    f"{setting(name)} must be at least 1, not {getattr(self, name)}; raise it."
                )
        if self.fps <= 0:
            raise SpatialAlignError(f"{setting('fps')} must be above 0, not {self.fps}; raise it.")
        if self.guidance_scale < 0:
            raise SpatialAlignError(
                f"{setting('guidance_scale')} must not be negative, got {self.guidance_scale}; use 1 or more."
            )

    def __str__(self) -> str:
        """For people: "50 steps, guidance 5, 832 x 480 pixels, 81 frames at 16 fps"."""
        text = (
            f"{self.steps} step{'s' * (self.steps > 1)}, guidance {self.guidance_scale:g}, "
            f"{self.width} x {self.height} pixels, {self.num_frames} frames at {self.fps:g} fps"
        )
        return f"{text}, negative prompt {self.negative_prompt!r}" if self.negative_prompt else text


class Family:
    """What differs between video model families. One object each; a new family touches its own file only."""

    name: str
    title: str
    """For people."""
    pipeline_class: str
    transformer_class: str
    vae_class: str
    defaults: GenerateSettings
    training_shift: float
    """Shift of the published recipe's training schedule: sigma = shift u / (1 + (shift - 1) u)."""
    names: ClassVar[KeyNames]
    lora_targets: ClassVar[dict[str, tuple[str, ...]]]
    """Module name endings for the sets "published" and "wide"."""
    lora_prefix: ClassVar[str] = "diffusion_model."
    """Before the original names in a LoRA file; one that both ComfyUI and diffusers take, where there is one."""
    lora_left_alone: ClassVar[tuple[str, ...]] = ()
    """Beginnings of module names that no set means."""
    widths: ClassVar[dict[int, str]] = {}
    """Published sizes by the numbers that stand for a token; to say which of them a LoRA was trained on."""
    text_kinds: ClassVar[tuple[str, ...]]
    """Which text encoders it needs, as `text_encoders.recognise` calls them, in the pipeline's order."""
    masked_attention: ClassVar[bool] = False
    """Whether attention takes a mask of the text, with which cuDNN's backward pass can give NaN (pytorch issue 196678).
    """
    leading_latents: ClassVar[int] = 0
    """Frames of latents at the start that stand for nothing, and repeat the first one where a video is encoded."""
    experts: ClassVar[tuple[str, ...]] = ()
    """Names of its networks where noise levels are shared between several, in the pipeline's order."""

    def matches(self, index: Mapping[str, Any], folder: Path) -> bool:
        """Whether a diffusers folder with this model_index.json is of this family."""
        return index.get("_class_name") == self.pipeline_class

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        """What a transformer of original key names is, for people; None where it is not of this family.

        name: of its folder and file ("folder/file"), for families that no key or shape tells apart. SpatialAlignError
        where the name leaves open what has to be known.
        """
        raise NotImplementedError

    def doubt(self, shapes: Shapes, name: str) -> str | None:
        """What neither weights nor name tell of a transformer of this family, as a sentence; None where it is known."""
        return None

    def transformer_config(self, shapes: Shapes) -> dict[str, Any]:
        """diffusers' configuration of that transformer."""
        raise NotImplementedError

    def recognise_vae(self, shapes: Shapes) -> str | None:
        """What a VAE of original key names is, for people; None where it does not belong to this family."""
        raise NotImplementedError

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        """diffusers' configuration of that VAE."""
        raise NotImplementedError

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        """The VAE's weights under diffusers' names. rows: rows of each of diffusers' weights."""
        raise NotImplementedError

    def scheduler(self, title: str) -> Any:
        """The pipeline's scheduler, from the configuration that ships with the pack. title: as recognised."""
        return make_scheduler(read_config(self.name)["scheduler"])

    def pipeline_options(self) -> dict[str, Any]:
        """What the pipeline takes besides its components."""
        return {}

    def prediction(self, pipeline: Any) -> Prediction:
        """What the network predicts."""
        return FLOW

    def expert_range(self, pipeline: Any, expert: str) -> tuple[float, float]:
        """Noise levels that an expert of the family is there for, from and to."""
        return 0.0, 1.0

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        """Texts -> (B, L, D) text states as `velocity` takes them."""
        raise NotImplementedError

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        """(C, F', H', W') of one video."""
        raise NotImplementedError

    def size_steps(self, pipeline: Any) -> tuple[int, int]:
        """Width and height are multiples of the first, in pixels; frames are multiples of the second, plus one."""
        raise NotImplementedError

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        """What the network predicts, as `prediction` means it. noisy (B, C, F', H', W'), sigma (B,), text (B, L, D)."""
        raise NotImplementedError

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        """Noise (B, C, F', H', W') -> latents of the same shape, by the pipeline's own sampler."""
        raise NotImplementedError

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        """Latents (B, C, F', H', W') -> uint8 frames (B, F, H, W, 3)."""
        raise NotImplementedError


@dataclass
class VideoModel:
    """A loaded pipeline and its family. `fingerprint` tells two sets of weights apart.

    folder: where it lies, the transformer's file where it was put together from single files. expert: which of the
    family's networks is trained. description: what it was recognised as, for people.
    """

    folder: Path
    family: Family
    pipeline: Any
    defaults: GenerateSettings
    fingerprint: str
    expert: str | None = None
    description: str = ""

    @property
    def transformer(self) -> Any:
        """The network that is trained, and that takes a LoRA."""
        if self.expert is not None and self.family.experts.index(self.expert) > 0:
            return self.pipeline.transformer_2
        return self.pipeline.transformer

    @property
    def trained_fingerprint(self) -> str:
        """Tells two networks that are trained apart: the experts of a pair make the same videos and learn each for
        itself."""
        return self.fingerprint if self.expert is None else fingerprint([self.fingerprint, self.expert])

    def lora_name(self, name: str) -> str:
        """Name of the trained network's LoRA file: of an expert's it says which, as ComfyUI's workflows load both."""
        suffix = "" if self.expert is None else self.expert.replace(" ", "_")
        return name if suffix in name else f"{name}-{suffix}"

    @property
    def prediction(self) -> Prediction:
        """What the network predicts."""
        return self.family.prediction(self.pipeline)

    @property
    def sigma_range(self) -> tuple[float, float]:
        """Noise levels that the trained network is there for."""
        return (0.0, 1.0) if self.expert is None else self.family.expert_range(self.pipeline, self.expert)

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the transformer computes in; single parameters of it may stay in float32, in Wan the very first one."""
        return self.pipeline.transformer.dtype

    @property
    def width(self) -> int:
        """Numbers that stand for a token within the transformer."""
        config = self.pipeline.transformer.config
        return int(config.num_attention_heads * config.attention_head_dim)

    def settings_with(self, chosen: Mapping[str, Any]) -> GenerateSettings:
        """The model's own settings with those that somebody chose in their place.

        SpatialAlignError for a size or a number of frames that the model cannot make.
        """
        pixels, frames = self.family.size_steps(self.pipeline)
        settings = replace(self.defaults, **chosen)
        for name in ("width", "height", "num_frames"):
            step, rest = (frames, 1) if name == "num_frames" else (pixels, 0)
            if name not in chosen or chosen[name] % step == rest % step:
                continue
            below = (chosen[name] - rest) // step * step + rest
            near = f"{below} or {below + step}" if below > 0 else f"{below + step}"
            kind = f"a multiple of {step} plus 1" if rest else f"a multiple of {step}"
            raise SpatialAlignError(
                f"{setting(name)} must be {kind} for {self.family.title}, not {chosen[name]}; choose {near}."
            )
        return settings

    @torch.no_grad()
    def encode_text(self, texts: list[str]) -> Tensor:
        """(B, L, D) text states of `texts`, on the model's device."""
        return self.family.encode_text(self.pipeline, texts)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """uint8 frames (B, F, H, W, 3) of normalised latents (B, C, F', H', W')."""
        return self.family.decode(self.pipeline, latents)


def networks(pipeline: Any) -> list[torch.nn.Module]:
    """Every network of a pipeline."""
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


@cache
def read_config(name: str) -> dict[str, Any]:
    """The configuration that ships with the pack for the family of that name: scheduler, and constants of its VAE."""
    return json.loads((_CONFIGS / f"{name}.json").read_text(encoding="utf-8"))


def make_scheduler(config: Mapping[str, Any]) -> Any:
    """A diffusers scheduler from its configuration."""
    import diffusers

    return getattr(diffusers, config["_class_name"]).from_config(dict(config))


def to_frames(video: Tensor) -> np.ndarray:
    """What a VAE decodes, -1..1 (B, 3, F, H, W) -> uint8 (B, F, H, W, 3)."""
    pixels = ((video.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 4, 1).cpu().numpy()


def with_mask(states: Tensor, mask: Tensor) -> Tensor:
    """Text states (B, L, D) and which of them count (B, L) in one tensor (B, L, D + 1)."""
    return torch.cat([states, mask.to(states)[..., None]], dim=-1)


def without_mask(text: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `with_mask`; the mask is bool."""
    return text[..., :-1], text[..., -1] > 0.5


def known_size(sizes: Mapping[Any, str], found: tuple[int, ...], words: str) -> str:
    """The published name of a size, or what it is in `words`."""
    return sizes.get(found, words)
