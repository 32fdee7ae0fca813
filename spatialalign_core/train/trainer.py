"""The training loop: compares policy and reference, steps the optimiser, yields what happened."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..attention import Attention, attention_kernels, attention_order
from ..compiling import compiling
from ..errors import SpatialAlignError, setting
from ..files import fingerprint
from ..models.base import VideoModel
from ..pairs import PairData
from .blocks import PlannedBlocks, blocks_of
from .draws import Draw, Drawer, draw_sigma
from .guard import LossGuard
from .lora import add_lora, lora_origin, native_state, remove_lora, start_from
from .losses import LossTerms
from .plans import FAST, MemoryPlan
from .ranks import ALONE, Order, Ranks
from .settings import TrainSettings
from .step import make_optimizer, pair_loss

__all__ = ["StepLog", "TrainState", "Trainer", "draw_sigma", "learning_rate_at"]


@dataclass(frozen=True)
class StepLog:
    """One optimiser step. margin: mean of beta (S_w - S_l). accuracy: implicit accuracy, 0..1. seconds: this step.
    gradient_norm: before clipping."""

    step: int
    total: int
    loss: float
    dpo: float
    regulariser: float
    margin: float
    accuracy: float
    learning_rate: float
    seconds: float
    gradient_norm: float


@dataclass(frozen=True)
class TrainState:
    """Everything a run needs to go on as if it had never stopped. `step` steps are done, the last with `plan`."""

    step: int
    tensors: dict[str, Tensor]
    settings_fingerprint: str
    plan: str = FAST.name


class Trainer:
    """Trains a LoRA on `model` from `pairs`, fresh or on from a file. The reference is the same model with the adapter
    off.

    Every random choice of step n comes from (settings.seed, n), so that position in the data and random state are one
    number, and a restored run repeats an uninterrupted one to the bit on the same machine.
    """

    parameters: dict[str, nn.Parameter]
    average: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    blocks: PlannedBlocks
    _parked: list[tuple[nn.Module, torch.device]]

    def __init__(
        self,
        model: VideoModel,
        pairs: PairData,
        settings: TrainSettings,
        plan: MemoryPlan = FAST,
        device: torch.device | None = None,
        continue_from: Path | None = None,
        ranks: Ranks = ALONE,
        compile: bool = False,
    ) -> None:
        """device: where to compute, None for where the model is; `close` brings it back. continue_from: a LoRA file of
        any style to begin with. ranks: this process among those that train together. compile: the blocks with
        torch.compile. SpatialAlignError when the file changes layers that are not trained, or there are more processes
        than pairs in a step.
        """
        if not pairs.pairs:
            raise SpatialAlignError(f"There are no pairs to train on. {pairs.explanation}".strip())
        if ranks.count > settings.pairs_per_step:
            raise SpatialAlignError(
                f"{ranks.count} processes cannot share the {settings.pairs_per_step} pairs of a step; start fewer, or "
                f"raise {setting('pairs_per_step')}."
            )
        if plan.weights == "sharded" and (ranks.count == 1 or settings.pairs_per_step % ranks.count):
            raise SpatialAlignError(
                f"The plan {plan.name!r} needs several processes that share the pairs of a step equally; start them "
                f"by a launcher, a divisor of {settings.pairs_per_step} in number."
            )
        self.model, self.pairs, self.settings, self.plan = model, pairs, settings, plan
        self.ranks, self.compile = ranks, compile
        self._own_way = True  # the state is not what the followers' own steps have led to
        self.device = device or model.device
        self._slowness = settings.slowness(model.width)
        self._kernels: tuple[str, ...] = ()
        if self.device.type == "cuda":
            wish: Attention = "flash" if model.family.masked_attention else "auto"
            self._kernels = attention_order(wish, torch.cuda.get_device_capability(self.device))
        self.step = 0
        self.torn = False
        """Whether an error left the weights between two steps; `restore` mends that."""
        self.guard = LossGuard(settings.diverged)
        self.drawer = Drawer(pairs, settings, model)
        self.fingerprint = fingerprint(
            [settings.chosen(), pairs.fingerprint, model.trained_fingerprint, *lora_origin(continue_from)]
        )
        self._attach()
        if continue_from is not None:
            start_from(model, self.parameters, continue_from, settings.alpha / settings.rank)
            self.average = {name: self.parameters[name].detach().clone() for name in self.average}

    def run(self) -> Iterator[StepLog]:
        """Train from the current step to the last, yielding after each. Stop iterating to pause."""
        while self.step < self.settings.steps:
            state = self.state().tensors if self._own_way and self.ranks.count > 1 else None
            self.ranks.tell(Order(self.step, self.plan.name, self.fingerprint, state))
            self._own_way = False
            yield self.one_step()

    def lora(self) -> dict[str, Tensor]:
        """The adapter as ComfyUI's loader knows it: the averaged weights where averaging is on, else the last."""
        chosen = self.average or self.parameters
        return native_state(self.model, dict(chosen), self.settings.alpha / self.settings.rank)

    def state(self) -> TrainState:
        """A snapshot that does not change when training goes on."""
        tensors = {f"lora.{n}": p.detach().clone().cpu() for n, p in self.parameters.items()}
        tensors |= {f"average.{n}": v.clone().cpu() for n, v in self.average.items()}
        tensors["guard"] = self.guard.state()
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value).detach().clone().cpu()
        return TrainState(self.step, tensors, self.fingerprint, self.plan.name)

    def restore(self, state: TrainState) -> None:
        """Go on from a snapshot. SpatialAlignError when it belongs to other settings, pairs or weights."""
        if state.settings_fingerprint != self.fingerprint:
            raise SpatialAlignError(
                "The checkpoint belongs to other settings, pairs or weights; start a new run."
            )
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(state.tensors[f"lora.{name}"])
                if self.average:
                    self.average[name].copy_(state.tensors[f"average.{name}"])
                prefix, suffix = "optimizer.", f".{name}"
                self.optimizer.state[parameter] = {
                    key.removeprefix(prefix).removesuffix(suffix): self._optimizer_value(value)
                    for key, value in state.tensors.items()
                    if key.startswith(prefix) and key.endswith(suffix)
                }
        self.optimizer.zero_grad(set_to_none=True)
        self.guard.restore(state.tensors["guard"])
        self.step = state.step
        self.torn = False
        self._own_way = True

    def use(self, plan: MemoryPlan, state: TrainState | None = None) -> None:
        """Go on with another plan, from `state` or from where the training is."""
        state = state or self.state()
        self.close()
        self.plan = plan
        self._attach()
        self.restore(state)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Within the block the model is free for other work; after it the training is where it was, to the bit."""
        state = self.state()
        self.close()
        try:
            yield
        finally:
            self._attach()
            self.restore(state)

    def close(self) -> None:
        """Take the adapter and the plan off; the model is the base again, where it was."""
        self.blocks.close(self._origin)
        remove_lora(self.model)
        self.parameters = {}
        self.average = {}
        self.optimizer.state.clear()
        self.optimizer.param_groups.clear()
        if self._origin != self.device:
            self.model.transformer.to(self._origin)
        for module, device in self._parked:
            module.to(device)
        self._parked = []

    def _attach(self) -> None:
        model, settings = self.model, self.settings
        remove_lora(model)
        self._origin = model.device
        self.parameters = add_lora(model, settings.targets, settings.rank, settings.alpha, settings.seed)
        self._parked = self._park()
        self._move()
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()} if settings.average else {}
        self.optimizer = make_optimizer(self.parameters.values(), settings)
        self.blocks = PlannedBlocks(model.transformer, self.plan, self.device, self.ranks, self.compile)

    def _park(self) -> list[tuple[nn.Module, torch.device]]:
        """Pictures and words are latents and embeddings by now: what makes them leaves the device."""
        parked = []
        for name in ("vae", "text_encoder", "text_encoder_2"):
            module = getattr(self.model.pipeline, name, None)
            if not isinstance(module, nn.Module):
                continue
            place = next(module.parameters()).device
            if place.type not in ("cpu", "meta"):
                parked.append((module, place))
                module.to("cpu")
        return parked

    def _move(self) -> None:
        """To the device, but for the weights that the plan keeps elsewhere."""
        if self._origin == self.device:
            return
        stay: set[int] = set()
        if self.plan.weights in ("host", "sharded"):
            in_blocks = (p for block in blocks_of(self.model.transformer) for p in block.parameters())
            stay = {id(parameter) for parameter in in_blocks if not parameter.requires_grad}
        for tensor in (*self.model.transformer.parameters(), *self.model.transformer.buffers()):
            if id(tensor) not in stay:
                tensor.data = tensor.data.to(self.device)

    def _optimizer_value(self, value: Tensor) -> Tensor | int:
        # The fused optimiser's kernel reads the number of steps too, and would take an address of the computer's
        # memory for one of the card's.
        if value.ndim or self.optimizer.defaults.get("fused"):
            return value.clone().to(self.device)
        return value.clone() if value.is_floating_point() else int(value)

    def one_step(self) -> StepLog:
        """The next step, together with the other processes."""
        started = time.perf_counter()
        settings = self.settings
        rate = learning_rate_at(settings, self.step) * self._slowness
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.ranks.all_well(), attention_kernels(self._kernels), compiling():
            loss, parts = self._gradients(self._draws())
        loss = self.ranks.add_up(loss)
        self.ranks.add_up_gradients(list(self.parameters.values()))
        own = torch.stack(
            [
                torch.cat([getattr(terms, name) for terms in parts])
                for name in ("dpo", "regulariser", "margin")
            ]
        )
        dpo, regulariser, margin = self.ranks.gather(own, settings.pairs_per_step)
        norm = nn.utils.clip_grad_norm_(
            list(self.parameters.values()),
            math.inf if settings.max_grad_norm is None else settings.max_grad_norm,
        ).item()
        self.guard.see(self.step + 1, loss, norm)
        self._change_weights()
        margin = margin[settings.anchors :]
        return StepLog(
            step=self.step,
            total=settings.steps,
            loss=loss,
            dpo=dpo.mean().item(),
            regulariser=regulariser.mean().item(),
            margin=margin.mean().item(),
            accuracy=(margin > 0).float().mean().item(),
            learning_rate=rate,
            seconds=time.perf_counter() - started,
            gradient_norm=norm,
        )

    def _gradients(self, draws: list[Draw]) -> tuple[float, list[LossTerms]]:
        """Gradients of this process's share of the step's loss, left in the parameters.

        That share, and the terms of each micro-batch.
        """
        self.optimizer.zero_grad(set_to_none=True)
        parts: list[LossTerms] = []
        loss = 0.0
        for start in range(0, len(draws), self.plan.micro_batch):
            part = draws[start : start + self.plan.micro_batch]
            terms = self._loss(part)
            share = len(part) / self.settings.pairs_per_step
            (terms.total * share).backward()
            loss += terms.total.item() * share
            parts.append(terms)
        return loss, parts

    def _change_weights(self) -> None:
        self.torn = True
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            decay = min(self.settings.average, (self.step + 1) / (self.step + 10))
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    self.average[name].lerp_(parameter, 1 - decay)
        self.step += 1
        self.torn = False

    def _draws(self) -> list[Draw]:
        return self.drawer.draw(self.step, self.ranks.share(self.settings.pairs_per_step))

    def _loss(self, draws: list[Draw]) -> LossTerms:
        return pair_loss(self.model, draws, self.settings, self.plan, self.device)


def learning_rate_at(settings: TrainSettings, step: int) -> float:
    """Rate of step `step` (from 0): linear warm-up from 0, then half a cosine to 0 or constant."""
    if step < settings.warmup:
        return settings.learning_rate * step / settings.warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    progress = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
