"""What a network predicts at a noise level, and how latents get there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Prediction(Protocol):
    """sigma is the noise level, 0 (clean) to 1 (noise)."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def noisy(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """The latents at that level."""
        ...

    def target(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """What a perfect network says there; training compares with it."""
        ...

    def clean(self, noisy: Tensor, prediction: Tensor, sigma: float) -> Tensor:
        """The clean latents that a prediction means."""
        ...


@dataclass(frozen=True)
class FlowMatching:
    """Straight paths: x = (1 - sigma) latents + sigma noise; predicted is dx / dsigma (arXiv 2209.03003)."""

    name: str = "flow matching"

    def noisy(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        return (1 - sigma) * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        return noise - latents

    def clean(self, noisy: Tensor, prediction: Tensor, sigma: float) -> Tensor:
        return noisy - sigma * prediction


class VPrediction:
    """x = sqrt(a) latents + sqrt(1 - a) noise; predicted is v = sqrt(a) noise - sqrt(1 - a) latents (arXiv 2202.00512).

    a comes from the scheduler's own table. sigma is the place in that table: timestep n of N is sigma (n + 1) / N.
    """

    name = "v-prediction"

    def __init__(self, alphas_cumprod: Tensor) -> None:
        """alphas_cumprod: (N,), from the cleanest timestep to the noisiest."""
        self._alphas = alphas_cumprod.double().cpu()

    def noisy(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        signal, spread = self._scales(sigma)
        return signal * latents + spread * noise

    def target(self, latents: Tensor, noise: Tensor, sigma: float) -> Tensor:
        signal, spread = self._scales(sigma)
        return signal * noise - spread * latents

    def clean(self, noisy: Tensor, prediction: Tensor, sigma: float) -> Tensor:
        signal, spread = self._scales(sigma)
        return signal * noisy - spread * prediction

    def _scales(self, sigma: float) -> tuple[float, float]:
        alpha = self._alphas[timestep_of(sigma, len(self._alphas))]
        return float(alpha.sqrt()), float((1 - alpha).sqrt())


def timestep_of(sigma: float | Tensor, count: int = 1000) -> int | Tensor:
    """Place in a table of `count` timesteps of a noise level in 0..1."""
    if isinstance(sigma, Tensor):
        return (sigma.double() * count - 1).round().clamp(0, count - 1).to(torch.int64)
    return min(count - 1, max(0, round(sigma * count - 1)))


FLOW = FlowMatching()
