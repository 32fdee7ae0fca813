"""Prompts and seeds to videos, in batches, with the noise each came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import SpatialAlignError
from .models.base import GenerateSettings, VideoModel


@dataclass(frozen=True)
class Job:
    """One video to make. The noise depends on (prompt_id, seed) alone, so base and aligned videos start alike."""

    prompt_id: str
    text: str
    seed: int


@dataclass(frozen=True)
class Sample:
    """One video: uint8 frames (F, H, W, 3); normalised latents and their initial noise, float32 (C, F', H', W')."""

    job: Job
    frames: np.ndarray
    latents: Tensor
    noise: Tensor


def initial_noise(job: Job, shape: Sequence[int]) -> Tensor:
    """Standard normal noise of `shape`, the same on every machine for the same prompt id and seed."""
    digest = hashlib.sha256(f"{job.prompt_id}|{job.seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(tuple(shape), generator=generator)


@torch.no_grad()
def generate(
    model: VideoModel, jobs: Sequence[Job], settings: GenerateSettings | None = None, batch_size: int = 8
) -> Iterator[Sample]:
    """Yield one `Sample` a job, in order; stop iterating to cancel between two batches.

    settings: the model's own defaults where None. Texts are encoded once each. SpatialAlignError for an empty prompt
    or a size the model cannot make.
    """
    settings = settings or model.defaults
    for job in jobs:
        if not job.text.strip():
            raise SpatialAlignError(f"Prompt {job.prompt_id!r} is empty; write what should be seen.")
    shape = model.family.latent_shape(model.pipeline, settings)
    if min(shape) < 1:
        raise SpatialAlignError(
            f"{settings.width} x {settings.height} pixels is too small for this model; use multiples of 16."
        )
    texts = list(dict.fromkeys(job.text for job in jobs))
    states = {text: model.encode_text([text]) for text in texts}
    negative = model.encode_text([settings.negative_prompt]) if settings.guidance_scale > 1 else None
    for start in range(0, len(jobs), max(1, batch_size)):
        batch = jobs[start : start + max(1, batch_size)]
        noise = torch.stack([initial_noise(job, shape) for job in batch])
        text = torch.cat([states[job.text] for job in batch])
        latents = model.family.sample(
            model.pipeline,
            text,
            None if negative is None else negative.expand(len(batch), -1, -1),
            noise.to(model.device),
            settings,
        )
        frames = model.decode(latents)
        for index, job in enumerate(batch):
            yield Sample(job, frames[index], latents[index].float().cpu(), noise[index])
