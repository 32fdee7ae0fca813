"""How much memory a step will take, found out before anything is loaded: the step itself is rehearsed on shapes.

A transformer without weights (torch's "meta" device) goes through the real code of a step, plan and all, while the
bytes that live at each moment are counted. So the estimate holds for every model family and follows every change of
the code.
"""

from __future__ import annotations

import contextlib
import json
import math
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from ..errors import SpatialAlignError
from ..files import cause
from ..models.base import Family, VideoModel
from .away import waiting
from .blocks import PlannedBlocks
from .draws import Draw
from .lora import add_lora
from .memory import reachable_size
from .plans import LADDER, MemoryPlan
from .settings import TrainSettings
from .step import pair_loss

_META = torch.device("meta")
_ROOM = 1.1
"""What the allocator loses between tensors."""
_HOST_ROOM, _HOST_FIRST = 2.0, 360 * 2**20
"""On a CPU the C library keeps much of what was freed, and the first steps load code of their own: with the pocket
model an estimate of 0.60 GiB made the process grow by 1.48 GiB, one of 0.06 GiB by 0.43."""

_OF_HOST = 0.7
"""Of the free memory of a computer: what a card reaches cannot be swapped out."""


@dataclass(frozen=True)
class Estimate:
    """Bytes on the device. peak: most at any moment of a step, weights included. weights: of the model alone. host: in
    the computer's memory besides."""

    plan: MemoryPlan
    peak: int
    weights: int
    host: int = 0

    def __str__(self) -> str:
        besides = f", {self.host / 2**30:.2f} GiB RAM" if self.host else ""
        return f"{self.plan.name} ({self.plan.about}): {self.peak / 2**30:.2f} GiB{besides}"


@dataclass(frozen=True)
class StepShape:
    """What a step is about: latents (C, F', H', W'), text (L, D), the number type of the model, and whether the device
    is the computer itself."""

    latents: tuple[int, ...]
    text: tuple[int, ...]
    dtype: torch.dtype
    host: bool = False


def read_transformer_config(folder: Path) -> dict[str, Any]:
    """The transformer's configuration in a model folder. SpatialAlignError when it cannot be read."""
    path = folder / "transformer" / "config.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SpatialAlignError(
            f"{path} cannot be read ({cause(error)}); copy the model folder again."
        ) from error


def estimate(
    family: Family, config: dict[str, Any], shape: StepShape, settings: TrainSettings, plan: MemoryPlan
) -> Estimate:
    """Peak memory of a training step. config: the transformer's, with its `_class_name`."""
    import diffusers

    with _Counter() as counter, _fused_attention():
        with _META:
            transformer = getattr(diffusers, config["_class_name"]).from_config(config)
        _cast(transformer, shape.dtype)
        transformer.requires_grad_(False)
        model = VideoModel(Path(), family, SimpleNamespace(transformer=transformer), family.defaults, "")
        add_lora(model, settings.targets, settings.rank, settings.alpha, 0)
        transformer.to(_META)
        trained = [p for p in transformer.parameters() if p.requires_grad]
        weights = _bytes(transformer.parameters())
        # Spread over many processes, little more than the block at work is here.
        rehearsed = replace(plan, weights="host") if plan.weights == "sharded" else plan
        away = PlannedBlocks(transformer, rehearsed, _META).originals()
        counter.forget(away)
        copies = {"adamw_8bit": 1}.get(settings.optimizer, 2) + (settings.average > 0)
        if plan.micro_batch < settings.pairs_per_step:  # gradients of the micro-batches before
            copies += 1
        state = [torch.empty_like(p) for _ in range(copies) for p in trained]
        pairs = min(plan.micro_batch, settings.pairs_per_step)
        loss = pair_loss(model, _draws(pairs, shape), settings, plan, _META).total
        host = waiting() + sum(map(reachable_size, away))
        loss.backward()
        del loss
        del state
    peak = counter.peak
    if shape.host:  # the pairs of a whole step lie in the same memory
        peak += 4 * settings.pairs_per_step * math.prod(shape.latents) * 4
    return Estimate(plan, peak, weights, 0 if shape.host else host)


def choose_plan(
    family: Family,
    config: dict[str, Any],
    shape: StepShape,
    settings: TrainSettings,
    room: int,
    plans: Sequence[MemoryPlan] = LADDER,
    host_room: int | None = None,
) -> Estimate:
    """The first plan that fits with some air into `room` bytes on the device and `host_room` in the computer's memory
    (None: any number). SpatialAlignError when none does."""
    found: list[Estimate] = []
    for plan in plans:
        each = estimate(family, config, shape, settings, plan)
        if host_room is not None and each.host > _OF_HOST * host_room:
            continue
        found.append(each)
        if _needed(each, shape) <= room:
            return each
    if not found:
        raise SpatialAlignError(
            f"The plan {plans[-1].name!r} needs more of the computer's memory than is free; close other programs."
        )
    least = min(found, key=lambda each: each.peak)
    raise SpatialAlignError(
        f"Training needs about {_needed(least, shape) / 2**30:.1f} GiB even with the plan {least.plan.name!r}, and "
        f"{room / 2**30:.1f} GiB are free; generate the training videos smaller or shorter, or close other programs."
    )


def _needed(estimate: Estimate, shape: StepShape) -> float:
    """Bytes that must be free."""
    return estimate.peak * _HOST_ROOM + _HOST_FIRST if shape.host else estimate.peak * _ROOM


class _Counter(TorchDispatchMode):
    """Counts the bytes of the tensors without content that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, tuple[Any, int]] = {}

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        for leaf in tree_iter(result):
            if isinstance(leaf, Tensor) and leaf.device.type == "meta":
                self._see(leaf.untyped_storage())
        return result

    def forget(self, tensors: Sequence[Tensor]) -> None:
        """They live elsewhere; and the peak begins here."""
        for tensor in tensors:
            key = tensor.untyped_storage()._cdata
            if key in self._known:
                self.now -= self._known.pop(key)[1]
        self.peak = self.now

    def _see(self, storage: Any) -> None:
        key = storage._cdata
        if key in self._known:
            return

        def gone(_: Any) -> None:
            if key in self._known:
                self.now -= self._known.pop(key)[1]

        self._known[key] = (weakref.ref(storage, gone), storage.nbytes())
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)


@contextlib.contextmanager
def _fused_attention() -> Iterator[None]:
    """Attention as the fused kernels do it, which never hold the whole table of weights. Only for tensors without
    content, for which torch itself would take the plain way."""
    real = nn.functional.scaled_dot_product_attention

    def attention(query: Tensor, key: Tensor, value: Tensor, *arguments: Any, **named: Any) -> Tensor:
        if query.device.type == "meta":
            return torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]
        return real(query, key, value, *arguments, **named)

    nn.functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = real


def _draws(count: int, shape: StepShape) -> list[Draw]:
    """In the computer's memory, as in a real step, and so not counted before they are moved."""
    video, text = torch.empty(shape.latents), torch.empty(shape.text)
    return [Draw(video, video, video, video, 0.5, text, False) for _ in range(count)]


def _cast(transformer: nn.Module, dtype: torch.dtype) -> None:
    """As loading does it: some modules of a family stay in float32."""
    keep = getattr(transformer, "_keep_in_fp32_modules", None) or ()
    for name, parameter in transformer.named_parameters():
        if not any(part in name.split(".") for part in keep):
            parameter.data = parameter.data.to(dtype)


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
