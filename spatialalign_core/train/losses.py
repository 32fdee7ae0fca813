"""Flow-matching preference losses on plain tensors.

Sources: SpatialAlign (arXiv 2602.22745) for the zeroth-order regularised objective and its constants, Diffusion-DPO
(arXiv 2311.12908) for the margin of denoising errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOSSES: tuple[str, ...] = ("dpo", "dpo+zo", "sft", "dpo+sft", "dpo+zo+sft")


@dataclass(frozen=True)
class LossTerms:
    """total: what is minimised, a scalar with gradient. The rest are (pairs,) without gradient, for the log.

    margin: beta (S_w - S_l) before clipping, where S = MSE_reference - MSE_policy. Its sign is the implicit label.
    """

    total: Tensor
    dpo: Tensor
    regulariser: Tensor
    margin: Tensor

    @property
    def accuracy(self) -> float:
        """Implicit accuracy: share of pairs in which the policy prefers the winner more than the reference does."""
        return (self.margin > 0).float().mean().item()


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """(B, ...) -> (B,): mean over everything but the batch, in float32."""
    return (prediction.float() - target.float()).square().flatten(1).mean(1)


def preference_loss(
    winner: Tensor,
    loser: Tensor,
    reference_winner: Tensor,
    reference_loser: Tensor,
    target_winner: Tensor,
    target_loser: Tensor,
    *,
    loss: str = "dpo+zo",
    beta: float = 1.0,
    clip: float | None = 5.0,
    zo_weight: float = 0.5,
    sft_weight: float = 1.0,
    weights: Tensor | None = None,
) -> LossTerms:
    """Loss of a batch of pairs; all six tensors are velocities of the same shape (pairs, C, F, H, W).

    dpo         -log sigmoid(m),  m = clip(beta (S_w - S_l), -clip, clip),  S = MSE_ref - MSE_policy
    dpo+zo      dpo + zo_weight zo,  zo = 1/2 [MSE(v_w, v_w_ref) + MSE(v_l, v_l_ref)]
    sft         MSE(v_w, target_w)
    dpo+sft     dpo + sft_weight MSE(v_w, target_w)
    dpo+zo+sft  dpo + zo_weight zo + sft_weight MSE(v_w, target_w)

    weights (pairs,) scale each pair's preference term; None means 1. The regulariser that is logged is zo where the
    loss has it, else the winner's error. ValueError for an unknown loss.
    """
    if loss not in LOSSES:
        raise ValueError(f"Unknown loss {loss!r}; known: {', '.join(LOSSES)}.")
    error_winner = mean_squared_error(winner, target_winner)
    error_loser = mean_squared_error(loser, target_loser)
    score_winner = mean_squared_error(reference_winner, target_winner) - error_winner
    score_loser = mean_squared_error(reference_loser, target_loser) - error_loser
    margin = beta * (score_winner - score_loser)
    clipped = margin if clip is None else margin.clamp(-clip, clip)
    dpo = -torch.nn.functional.logsigmoid(clipped)
    if weights is not None:
        dpo = dpo * weights
    drift = 0.5 * (mean_squared_error(winner, reference_winner) + mean_squared_error(loser, reference_loser))
    terms = {
        "dpo": (dpo, torch.zeros_like(dpo)),
        "dpo+zo": (dpo + zo_weight * drift, drift),
        "sft": (error_winner, error_winner),
        "dpo+sft": (dpo + sft_weight * error_winner, error_winner),
        "dpo+zo+sft": (dpo + zo_weight * drift + sft_weight * error_winner, drift),
    }
    total, regulariser = terms[loss]
    return LossTerms(total.mean(), dpo.detach(), regulariser.detach(), margin.detach())
