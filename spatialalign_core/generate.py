"""Prompts and seeds to videos, in batches, with the noise each came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import SpatialAlignError
from .models.base import GenerateSettings, VideoModel
from .placement import compiled, decode, put_to_work, sampling
from .plan import USUAL, GenerateOptions, Plan, plan_generation


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
    model: VideoModel,
    jobs: Sequence[Job],
    settings: GenerateSettings | None = None,
    batch_size: int = 8,
    options: GenerateOptions = USUAL,
    states: dict[str, Tensor] | None = None,
) -> Iterator[Sample]:
    """Yield one `Sample` a job, in order; stop iterating to cancel between two batches.

    settings: the model's own defaults where None. batch_size: the most videos at once; a card that is too small for
    them gets fewer. states: what `encode_texts` has made already. Texts are encoded once each, before the first video,
    so that the text encoder can then leave the card. Leaves the transformer on the model's device. SpatialAlignError
    for an empty prompt or a size the model cannot make.
    """
    settings = settings or model.defaults
    check_jobs(model, jobs, settings)
    device = model.device
    plan = plan_generation(model, settings, max(1, batch_size), options)
    try:
        known = {} if states is None else states
        for _ in encode_texts(model, jobs, settings, known, plan, device):
            pass
        negative = known[settings.negative_prompt].to(device) if settings.guidance_scale > 1 else None
        with compiled(model, plan):
            for start in range(0, len(jobs), plan.batch_size):
                batch = jobs[start : start + plan.batch_size]
                yield from _batch(model, batch, known, negative, settings, plan, device)
    finally:
        put_to_work(model, "transformer", plan, device)


def check_jobs(model: VideoModel, jobs: Sequence[Job], settings: GenerateSettings) -> None:
    """SpatialAlignError for an empty prompt or a size the model cannot make."""
    for job in jobs:
        if not job.text.strip():
            raise SpatialAlignError(f"Prompt {job.prompt_id!r} is empty; write what should be seen.")
    if min(model.family.latent_shape(model.pipeline, settings)) < 1:
        raise SpatialAlignError(
            f"{settings.width} x {settings.height} pixels is too small for this model; use multiples of 16."
        )


@torch.no_grad()
def encode_texts(
    model: VideoModel,
    jobs: Sequence[Job],
    settings: GenerateSettings,
    states: dict[str, Tensor],
    plan: Plan,
    device: torch.device,
) -> Iterator[str]:
    """Put the text states (1, L, D) that the jobs need into `states`; yields each text when it is there.

    They wait in main memory: one of Wan's takes 4 MiB, and a run has many texts. A large encoder on a CPU takes many
    seconds a text, so this too can be stopped between two.
    """
    texts = [job.text for job in jobs]
    if settings.guidance_scale > 1:
        texts.append(settings.negative_prompt)
    for text in dict.fromkeys(texts):
        if text not in states:
            put_to_work(model, "text_encoder", plan, device)
            # One by one: a text's states must not depend on which others it is encoded with.
            states[text] = model.encode_text([text]).cpu()
            yield text


def _batch(
    model: VideoModel,
    batch: Sequence[Job],
    states: Mapping[str, Tensor],
    negative: Tensor | None,
    settings: GenerateSettings,
    plan: Plan,
    device: torch.device,
) -> Iterator[Sample]:
    shape = model.family.latent_shape(model.pipeline, settings)
    noise = torch.stack([initial_noise(job, shape) for job in batch])
    text = torch.cat([states[job.text] for job in batch]).to(device)
    put_to_work(model, "transformer", plan, device)
    with sampling(model, plan):
        latents = model.family.sample(
            model.pipeline,
            text,
            None if negative is None else negative.expand(len(batch), -1, -1),
            noise.to(device),
            settings,
        )
    latents = latents.clone()
    put_to_work(model, "vae", plan, device)
    frames = decode(model, latents, plan)
    for index, job in enumerate(batch):
        yield Sample(job, frames[index], latents[index].float().cpu(), noise[index])
