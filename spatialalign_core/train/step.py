"""One comparison of policy and reference, as a plan says; and the optimiser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpatialAlignError
from ..models.base import VideoModel
from .draws import Draw
from .losses import LossTerms, preference_loss
from .plans import MemoryPlan
from .settings import TrainSettings


def pair_loss(
    model: VideoModel, draws: Sequence[Draw], settings: TrainSettings, plan: MemoryPlan, device: torch.device
) -> LossTerms:
    """Loss of some pairs: winners and losers in one batch (or one video after the other), once without the adapter and
    once with it."""
    dtype = model.dtype
    count = len(draws)
    noisy = torch.stack([d.noisy_winner for d in draws] + [d.noisy_loser for d in draws]).to(device, dtype)
    text = torch.stack([d.text for d in draws] * 2).to(device, dtype)
    sigma = torch.tensor([d.sigma for d in draws] * 2, device=device)
    # So that the mean over all pairs is the mean over those whose preference is learned.
    learned = settings.pairs_per_step / (settings.pairs_per_step - settings.anchors)
    weights = torch.tensor([0.0 if d.anchor else learned * d.weight for d in draws], device=device)
    size = 1 if plan.one_video else 2 * count

    def velocity() -> Tensor:
        parts = [
            model.family.velocity(
                model.transformer,
                noisy[start : start + size],
                sigma[start : start + size],
                text[start : start + size],
            )
            for start in range(0, 2 * count, size)
        ]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    transformer = model.transformer
    with torch.no_grad():
        transformer.disable_adapters()
        try:
            reference = velocity()
        finally:
            transformer.enable_adapters()
    policy = velocity()
    return preference_loss(
        policy[:count],
        policy[count:],
        reference[:count],
        reference[count:],
        torch.stack([d.target_winner for d in draws]).to(device),
        torch.stack([d.target_loser for d in draws]).to(device),
        loss=settings.loss,
        beta=settings.beta,
        clip=settings.clip,
        zo_weight=settings.zo_weight,
        sft_weight=settings.sft_weight,
        weights=weights,
    )


def make_optimizer(parameters: Iterable[nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW as the settings say. SpatialAlignError when the package for 8 bits is missing."""
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw_8bit":
        try:
            from bitsandbytes.optim import AdamW8bit
        except ImportError:
            raise SpatialAlignError(
                "The optimizer adamw_8bit needs the package bitsandbytes; install it, or choose adamw."
            ) from None
        return AdamW8bit(parameters, **options)
    if settings.optimizer == "adamw_fused":
        options["fused"] = True
    return torch.optim.AdamW(parameters, **options)
