"""What one step is trained on: pairs, noise levels and noise, all from (seed, step)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..errors import SpatialAlignError
from ..models.base import VideoModel
from ..pairs import Pair, PairData
from .settings import TrainSettings

_ATTEMPTS = 100
_LARGEST = 1e4
"""Latents lie within a few units of 0; what is a thousand times larger is damage, and its square fits no number."""


@dataclass(frozen=True)
class Draw:
    """What one pair is trained on: noisy latents and targets (C, F', H', W'), noise level, text.

    weight: how much its preference counts, 1 on average. An anchor's is not learned; only the regulariser sees it.
    """

    noisy_winner: Tensor
    noisy_loser: Tensor
    target_winner: Tensor
    target_loser: Tensor
    sigma: float
    text: Tensor
    anchor: bool
    weight: float = 1.0


class Drawer:
    """Draws the pairs of a step. Every choice of step n comes from (settings.seed, n), so nothing has to be remembered.

    set_aside: videos and texts whose numbers are not finite or far too large, with the reason; pairs that hold one are
    never drawn.
    """

    def __init__(self, pairs: PairData, settings: TrainSettings, model: VideoModel) -> None:
        self.pairs, self.settings = pairs, settings
        self.shift = settings.shift if settings.shift is not None else model.family.training_shift
        self.prediction, self.sigma_range = model.prediction, model.sigma_range
        self.set_aside: dict[str, str] = {}
        self._sound: set[str] = set()
        self._by_text: dict[str, list[Pair]] = {}
        powers = [pair.margin**settings.margin_weight for pair in pairs.pairs if pair.margin > 0]
        self._mean_power = sum(powers) / len(powers) if powers else 1.0
        for pair in pairs.pairs:
            self._by_text.setdefault(pair.text_id, []).append(pair)

    def draw(self, step: int, share: range | None = None) -> list[Draw]:
        """The pairs of step `step` (from 0): a text at random, one of its pairs at random, a noise level and noise.

        share: only these of them, as they would be among all; the rest is drawn but not loaded.
        SpatialAlignError when hardly any pair is sound, or a file has gone.
        """
        settings = self.settings
        rng = np.random.default_rng((settings.seed, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        draws = []
        for index in range(settings.pairs_per_step):
            pair = self._pair(rng)
            low, high = self.sigma_range  # an expert's share of the noise levels
            sigma = low + (high - low) * draw_sigma(settings, self.shift, rng, index)
            if share is None or index in share:
                draws.append(self._draw(pair, sigma, index < settings.anchors, generator))
            else:
                self._pass_over(generator)
        return draws

    def _pair(self, rng: np.random.Generator) -> Pair:
        text_ids = list(self._by_text)
        for _ in range(_ATTEMPTS):
            candidates = self._by_text[text_ids[rng.integers(len(text_ids))]]
            pair = candidates[rng.integers(len(candidates))]
            if self._is_sound(pair):
                return pair
        raise SpatialAlignError(
            "Nearly all pairs have NaN, infinite or far too large values: "
            f"{', '.join(list(self.set_aside)[:3])}. Generate the videos and export the pairs again."
        )

    def _is_sound(self, pair: Pair) -> bool:
        """Looks at each tensor once. What it remembers changes nothing about which pairs are drawn."""
        prompt, loser = pair.prompt_id, pair.loser_seed
        parts: dict[str, tuple[Callable[[], Tensor], float]] = {
            f"{prompt}, seed {seed}": (partial(self.pairs.latents, prompt, seed), _LARGEST)
            for seed in (pair.winner_seed, loser)
        }
        if self.settings.noise == "loser":
            parts[f"the noise of {prompt}, seed {loser}"] = partial(self.pairs.noise, prompt, loser), _LARGEST
        parts[f"the text of {pair.text_id}"] = partial(self.pairs.text, pair.text_id), math.inf
        for name, (load, most) in parts.items():
            if name in self._sound or name in self.set_aside:
                continue
            if bool((load().abs() < most).all()):
                self._sound.add(name)
            else:
                self.set_aside[name] = (
                    f"{name} has NaN, infinite or far too large values and is left out; "
                    "generate it and export the pairs again to use it."
                )
        return not any(name in self.set_aside for name in parts)

    def _draw(self, pair: Pair, sigma: float, anchor: bool, generator: torch.Generator) -> Draw:
        winner = self.pairs.latents(pair.prompt_id, pair.winner_seed).float()
        loser = self.pairs.latents(pair.prompt_id, pair.loser_seed).float()
        if self.settings.noise == "loser":
            noise_winner = noise_loser = self.pairs.noise(pair.prompt_id, pair.loser_seed).float()
        else:
            noise_winner = torch.randn(winner.shape, generator=generator)
            separate = self.settings.noise == "separate"
            noise_loser = torch.randn(loser.shape, generator=generator) if separate else noise_winner
        return Draw(
            noisy_winner=self.prediction.noisy(winner, noise_winner, sigma),
            noisy_loser=self.prediction.noisy(loser, noise_loser, sigma),
            target_winner=self.prediction.target(winner, noise_winner, sigma),
            target_loser=self.prediction.target(loser, noise_loser, sigma),
            sigma=sigma,
            text=self.pairs.text(pair.text_id),
            anchor=anchor,
            weight=self._weight(pair),
        )

    def _weight(self, pair: Pair) -> float:
        """1 for a pair that was kept by hand against its scores: its margin says nothing."""
        return pair.margin**self.settings.margin_weight / self._mean_power if pair.margin > 0 else 1.0

    def _pass_over(self, generator: torch.Generator) -> None:
        """Take from the generator what a pair would have taken; all videos of a run are of one size."""
        if self.settings.noise == "loser":
            return
        pair = self.pairs.pairs[0]
        shape = self.pairs.latents(pair.prompt_id, pair.winner_seed).shape
        for _ in range(2 if self.settings.noise == "separate" else 1):
            torch.randn(shape, generator=generator)


def draw_sigma(settings: TrainSettings, shift: float, rng: np.random.Generator, index: int) -> float:
    """Noise level of pair `index` of a step.

    Over the whole of 0..1: uniform over a grid of 1000 levels, shifted as in the released recipe. Over a narrower range
    the levels of a step are spread evenly, those of its first `settings.anchors` pairs over what lies outside of it.
    """
    if settings.sigma_min == 0 and settings.sigma_max == 1:
        u = 1 - rng.integers(1000) / 1000
        return float(shift * u / (1 + (shift - 1) * u))
    inside = settings.sigma_max - settings.sigma_min
    anchors = settings.anchors
    if index < anchors:
        outside = (1 - inside) * (index + rng.random()) / anchors
        return outside if outside < settings.sigma_min else outside + inside
    return settings.sigma_min + inside * (index - anchors + rng.random()) / (
        settings.pairs_per_step - anchors
    )
