"""How long work will take and how much room its files need, said before it begins and corrected by what is measured.

Operations of one pass of one video: 2 for each weight of the transformer and token, and 4 n^2 d for the self-attention
of each block over n tokens of width d. A denoising step is one pass, two with guidance. A pair of a training step is
PASSES passes: winner and loser, each once as reference, once as policy, once more recomputed, and backwards, which
counts two. VAE, texts and waiting add OVERHEAD to denoising.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..models.base import GenerateSettings, VideoModel
from ..plan import patch_size

PASSES = 10
OVERHEAD = 0.10
FIND_SHARE = 0.10
"""Finding both things in a video, as a share of making it: an assumption, on the safe side for large models."""
_SHARE = {"cuda": 0.6, "cpu": 0.45}
"""Of the speed of large matrix products, what a whole pass reaches. A published time of Wan2.1-1.3B on a card is 0.76,
what was measured of the pocket model on a core 0.45."""
_FILM = 0.1  # bytes of an mp4 for each pixel of each frame
_TRACK = 400  # bytes of a track for each frame
_FLOAT = 4


@dataclass(frozen=True)
class Cost:
    """What some work takes: seconds, and bytes of files on disk."""

    seconds: float
    files: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.files + other.files)


def pass_operations(transformer: Any, latents: Sequence[int]) -> float:
    """Operations of one pass of one video. latents: (C, F', H', W')."""
    sides = patch_size(transformer)
    tokens = math.prod(latents[1:]) / math.prod(sides)
    config = transformer.config
    width = config.num_attention_heads * config.attention_head_dim
    blocks = config.num_layers + (getattr(config, "num_single_layers", None) or 0)
    weights = sum(each.numel() for each in transformer.parameters() if each.ndim == 2)
    return 2.0 * weights * tokens + 4.0 * tokens**2 * width * blocks


def video_operations(model: VideoModel, settings: GenerateSettings) -> float:
    """Operations of one video, from noise to frames."""
    passes = settings.steps * (2 if settings.guidance_scale > 1 else 1)
    latents = model.family.latent_shape(model.pipeline, settings)
    return passes * pass_operations(model.transformer, latents) * (1 + OVERHEAD)


def pair_operations(model: VideoModel, settings: GenerateSettings) -> float:
    """Operations of one pair of a training step, for videos of these settings."""
    return PASSES * pass_operations(model.transformer, model.family.latent_shape(model.pipeline, settings))


def sample_bytes(model: VideoModel, settings: GenerateSettings) -> int:
    """Bytes of one sample on disk: latents, their noise, the mp4, and its track."""
    numbers = math.prod(model.family.latent_shape(model.pipeline, settings))
    pixels = settings.height * settings.width * settings.num_frames
    return 2 * _FLOAT * numbers + int(_FILM * pixels) + _TRACK * settings.num_frames


def pair_bytes(model: VideoModel, settings: GenerateSettings) -> int:
    """Bytes that one video takes in pairs/, which hold copies of the latents."""
    return 2 * _FLOAT * math.prod(model.family.latent_shape(model.pipeline, settings))


def videos_cost(model: VideoModel, settings: GenerateSettings, count: int, speed: float) -> Cost:
    """Of `count` videos. speed: operations a second, see `machine_speed`."""
    return Cost(count * video_operations(model, settings) / speed, count * sample_bytes(model, settings))


@dataclass(frozen=True)
class LoopPlan:
    """The whole loop: prompts of both kinds, videos of each, and one training with its looks at held-out videos.

    check_every: steps between two looks, 0 for none; check_prompts: videos of each.
    """

    train_prompts: int
    held_out_prompts: int
    seeds: int
    held_out_seeds: int
    steps: int
    pairs_per_step: int
    check_every: int = 0
    check_prompts: int = 8

    @property
    def looks(self) -> int:
        """Looks at held-out videos, the first of them at the untrained model."""
        return 0 if not self.check_every else 1 + -(-self.steps // self.check_every)


def loop_costs(
    model: VideoModel, settings: GenerateSettings, plan: LoopPlan, speed: float
) -> dict[str, Cost]:
    """What each part of the loop takes, by its name. speed: operations a second."""

    def videos(count: int) -> Cost:
        made = videos_cost(model, settings, count, speed)
        return Cost(made.seconds * (1 + FIND_SHARE), made.files)

    training = plan.train_prompts * plan.seeds
    pairs = plan.steps * plan.pairs_per_step
    return {
        f"{training} training videos": videos(training),
        "pairs": Cost(0, training * pair_bytes(model, settings)),
        f"{plan.steps} steps of {plan.pairs_per_step} pairs": Cost(
            pairs * pair_operations(model, settings) / speed
        ),
        f"{plan.looks} looks at held-out videos": videos(
            plan.looks * min(plan.check_prompts, plan.held_out_prompts)
        ),
        "held-out videos before and after": videos(2 * plan.held_out_prompts * plan.held_out_seeds),
    }


@functools.cache
def machine_speed(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second that a pass will reach on the device, from large matrix products."""
    size, products = (2048, 20) if device.type == "cuda" else (768, 1)
    best = math.inf
    with torch.no_grad():
        one = torch.randn(size, size, device=device).to(dtype)
        for _ in range(4):  # the first one also loads the library
            begun = time.perf_counter()
            for _ in range(products):
                product = one @ one
            float(product[0, 0])  # waits for the device
            best = min(best, (time.perf_counter() - begun) / products)
    return 2.0 * size**3 / best * _SHARE.get(device.type, _SHARE["cpu"])


def duration(seconds: float) -> str:
    """24000 -> "6 h 40 min"; a number that people remember, never more exact than it is known."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"


def gibibytes(size: float) -> str:
    """3.3e9 -> "3.1 GiB"; "12 MiB" below a tenth of one."""
    return f"{size / 2**30:.1f} GiB" if size >= 0.1 * 2**30 else f"{max(1, round(size / 2**20))} MiB"


def free_disk(folder: Path) -> int | None:
    """Bytes that are free where the folder lies or will lie; None where the system does not say."""
    import shutil

    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        return shutil.disk_usage(there).free
    except OSError:
        return None
