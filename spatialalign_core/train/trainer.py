"""The training loop: draws pairs, compares policy and reference, steps the optimiser, yields what happened."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..models.base import VideoModel
from ..pairs import Pair, PairData
from .lora import add_lora, native_state, remove_lora
from .losses import LossTerms, preference_loss
from .settings import TrainSettings


@dataclass(frozen=True)
class StepLog:
    """One optimiser step. margin: mean of beta (S_w - S_l). accuracy: implicit accuracy, 0..1. seconds: this step."""

    step: int
    total: int
    loss: float
    dpo: float
    regulariser: float
    margin: float
    accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainState:
    """Everything a run needs to go on as if it had never stopped. `step` steps are done."""

    step: int
    tensors: dict[str, Tensor]
    settings_fingerprint: str


@dataclass(frozen=True)
class _Draw:
    """What one pair is trained on: noisy latents and targets (C, F', H', W'), noise level, text.

    An anchor's preference is not learned; only the regulariser sees it.
    """

    noisy_winner: Tensor
    noisy_loser: Tensor
    target_winner: Tensor
    target_loser: Tensor
    sigma: float
    text: Tensor
    anchor: bool


class Trainer:
    """Trains a fresh LoRA on `model` from `pairs`. The reference is the same model with the adapter off.

    Every random choice of step n comes from (settings.seed, n), so that position in the data and random state are one
    number, and a restored run repeats an uninterrupted one to the bit on the same machine.
    """

    def __init__(
        self, model: VideoModel, pairs: PairData, settings: TrainSettings, micro_batch: int = 16
    ) -> None:
        """micro_batch: pairs that go through the model at once; gradients of a step are summed over them."""
        if not pairs.pairs:
            raise SpatialAlignError(f"There are no pairs to train on. {pairs.explanation}".strip())
        self.model, self.pairs, self.settings = model, pairs, settings
        self.micro_batch = max(1, micro_batch)
        self.step = 0
        self._by_text: dict[str, list[Pair]] = {}
        for pair in pairs.pairs:
            self._by_text.setdefault(pair.text_id, []).append(pair)
        remove_lora(model)
        self.parameters = add_lora(model, settings.targets, settings.rank, settings.alpha, settings.seed)
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.fingerprint = fingerprint([asdict(settings), pairs.fingerprint, model.fingerprint])

    def run(self) -> Iterator[StepLog]:
        """Train from the current step to the last, yielding after each. Stop iterating to pause."""
        while self.step < self.settings.steps:
            yield self._one_step()

    def lora(self) -> dict[str, Tensor]:
        """The adapter as ComfyUI's loader knows it: the averaged weights where averaging is on, else the last."""
        chosen = self.average if self.settings.average else self.parameters
        return native_state(self.model, dict(chosen), self.settings.alpha / self.settings.rank)

    def state(self) -> TrainState:
        """A snapshot that does not change when training goes on."""
        tensors = {f"lora.{n}": p.detach().clone().cpu() for n, p in self.parameters.items()}
        tensors |= {f"average.{n}": v.clone().cpu() for n, v in self.average.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value).detach().clone().cpu()
        return TrainState(self.step, tensors, self.fingerprint)

    def restore(self, state: TrainState) -> None:
        """Go on from a snapshot. SpatialAlignError when it belongs to other settings, pairs or weights."""
        if state.settings_fingerprint != self.fingerprint:
            raise SpatialAlignError(
                "The checkpoint belongs to other settings, pairs or weights; start a new run."
            )
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state.tensors[f"lora.{name}"])
                self.average[name].copy_(state.tensors[f"average.{name}"])
                prefix, suffix = "optimizer.", f".{name}"
                self.optimizer.state[parameter] = {
                    key.removeprefix(prefix).removesuffix(suffix): (
                        value.clone() if value.ndim == 0 else value.clone().to(parameter.device)
                    )
                    for key, value in state.tensors.items()
                    if key.startswith(prefix) and key.endswith(suffix)
                }
        self.step = state.step

    def close(self) -> None:
        """Take the adapter off; the model is the base again."""
        remove_lora(self.model)

    def _one_step(self) -> StepLog:
        started = time.perf_counter()
        settings = self.settings
        rate = learning_rate_at(settings, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        draws = self._draws()
        parts: list[LossTerms] = []
        loss = 0.0
        for start in range(0, len(draws), self.micro_batch):
            part = draws[start : start + self.micro_batch]
            terms = self._loss(part)
            share = len(part) / len(draws)
            (terms.total * share).backward()
            loss += terms.total.item() * share
            parts.append(terms)
        if not math.isfinite(loss):
            raise SpatialAlignError(
                f"The loss became {loss} at step {self.step + 1}; the last checkpoint is kept. "
                "Lower learning_rate or beta."
            )
        if settings.max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if settings.average:
            decay = min(settings.average, self.step / (self.step + 9))
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    self.average[name].lerp_(parameter, 1 - decay)
        margin = torch.cat([terms.margin for terms in parts]).cpu()[[not draw.anchor for draw in draws]]
        return StepLog(
            step=self.step,
            total=settings.steps,
            loss=loss,
            dpo=torch.cat([terms.dpo for terms in parts]).mean().item(),
            regulariser=torch.cat([terms.regulariser for terms in parts]).mean().item(),
            margin=margin.mean().item(),
            accuracy=(margin > 0).float().mean().item(),
            learning_rate=rate,
            seconds=time.perf_counter() - started,
        )

    def _draws(self) -> list[_Draw]:
        """The pairs of this step: a text at random, one of its pairs at random, a noise level and noise."""
        settings = self.settings
        rng = np.random.default_rng((settings.seed, self.step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        text_ids = list(self._by_text)
        shift = settings.shift if settings.shift is not None else self.model.family.training_shift
        draws = []
        for index in range(settings.pairs_per_step):
            candidates = self._by_text[text_ids[rng.integers(len(text_ids))]]
            pair = candidates[rng.integers(len(candidates))]
            low, high = self.model.sigma_range  # an expert's share of the noise levels
            sigma = low + (high - low) * draw_sigma(settings, shift, rng, index)
            draws.append(self._draw(pair, sigma, index < settings.anchors, generator))
        return draws

    def _draw(self, pair: Pair, sigma: float, anchor: bool, generator: torch.Generator) -> _Draw:
        winner = self.pairs.latents(pair.prompt_id, pair.winner_seed).float()
        loser = self.pairs.latents(pair.prompt_id, pair.loser_seed).float()
        if self.settings.noise == "loser":
            noise_winner = noise_loser = self.pairs.noise(pair.prompt_id, pair.loser_seed).float()
        else:
            noise_winner = torch.randn(winner.shape, generator=generator)
            separate = self.settings.noise == "separate"
            noise_loser = torch.randn(loser.shape, generator=generator) if separate else noise_winner
        prediction = self.model.prediction
        return _Draw(
            noisy_winner=prediction.noisy(winner, noise_winner, sigma),
            noisy_loser=prediction.noisy(loser, noise_loser, sigma),
            target_winner=prediction.target(winner, noise_winner, sigma),
            target_loser=prediction.target(loser, noise_loser, sigma),
            sigma=sigma,
            text=self.pairs.text(pair.text_id),
            anchor=anchor,
        )

    def _loss(self, draws: list[_Draw]) -> LossTerms:
        """Winners and losers in one batch, once without and once with the adapter."""
        model, settings = self.model, self.settings
        device, dtype = model.device, model.dtype
        count = len(draws)
        noisy = torch.stack([d.noisy_winner for d in draws] + [d.noisy_loser for d in draws]).to(
            device, dtype
        )
        text = torch.stack([d.text for d in draws] * 2).to(device, dtype)
        sigma = torch.tensor([d.sigma for d in draws] * 2, device=device)
        # So that the mean over all pairs is the mean over those whose preference is learned.
        learned = settings.pairs_per_step / (settings.pairs_per_step - settings.anchors)
        weights = torch.tensor([0.0 if d.anchor else learned for d in draws], device=device)
        transformer = model.transformer
        with torch.no_grad():
            transformer.disable_adapters()
            reference = model.family.velocity(transformer, noisy, sigma, text)
            transformer.enable_adapters()
        policy = model.family.velocity(transformer, noisy, sigma, text)
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


def learning_rate_at(settings: TrainSettings, step: int) -> float:
    """Rate of step `step` (from 0): linear warm-up from 0, then half a cosine to 0 or constant."""
    if step < settings.warmup:
        return settings.learning_rate * step / settings.warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


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
