"""A memory plan put on the transformer's blocks; and frozen weights that are kept elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..compiling import compile_function
from .away import settle
from .plans import MemoryPlan
from .ranks import ALONE, Ranks
from .recompute import Recomputation, recomputing
from .shards import Shards

_FP8 = torch.float8_e4m3fn
_FP8_LARGEST = 448.0


def blocks_of(transformer: nn.Module) -> list[nn.Module]:
    """The repeated blocks: the members of the module list with the most parameters."""
    lists = [module for module in transformer.modules() if isinstance(module, nn.ModuleList) and len(module)]
    if not lists:
        return []

    def size(blocks: nn.Module) -> int:
        return sum(parameter.numel() for parameter in blocks.parameters())

    return list(max(lists, key=size))


class PlannedBlocks:
    """Puts a plan on the transformer's blocks, with the LoRA on them already; `close` takes it off to the bit."""

    def __init__(
        self,
        transformer: nn.Module,
        plan: MemoryPlan,
        device: torch.device,
        ranks: Ranks = ALONE,
        compile: bool = False,
    ) -> None:
        """device: where blocks compute. The rest of the transformer must be there already. compile: with torch.compile,
        which happens when a block is first used."""
        self.blocks = blocks_of(transformer)
        self.device = device
        self._stores: list[_Store | Shards] = []
        count = round(plan.recompute * len(self.blocks))
        for index, block in enumerate(self.blocks):
            store: _Store | Shards | None = None
            if plan.weights != "resident":
                spread = plan.weights == "sharded"
                store = Shards(block, device, ranks) if spread else _Store(block, plan.weights, device)
                self._stores.append(store)
            if index < count or compile or store:
                forward = compile_function(block.forward) if compile else block.forward
                how = Recomputation(
                    store.held if store else contextlib.nullcontext,
                    plan.keep_attention,
                    plan.kept_on_host,
                    compile,
                )
                # Weights that come and go must not be what the backward pass has kept.
                again = index < count or store is not None
                block.forward = recomputing(forward, how) if again else forward

    def originals(self) -> list[Tensor]:
        """Weights that lie in the computer's memory because of the plan."""
        stores = [store for store in self._stores if isinstance(store, _Store)]
        return [kept.original for store in stores for kept in store.kept]

    def close(self, device: torch.device) -> None:
        """The blocks as they were, with the weights that they had, on `device`; spread ones do not come back."""
        for block in self.blocks:
            block.__dict__.pop("forward", None)
        settle()
        for store in self._stores:
            store.close(device)
        self._stores = []


@dataclass
class _Kept:
    parameter: nn.Parameter
    original: Tensor
    home: Tensor
    scale: Tensor | None


class _Store:
    """The frozen weights of one block, away from where they are used; LoRA weights stay."""

    def __init__(self, block: nn.Module, kind: str, device: torch.device) -> None:
        self.device = device
        self.kept: list[_Kept] = []
        for module in block.modules():
            for parameter in module.parameters(recurse=False):
                if parameter.requires_grad:
                    continue
                if kind == "fp8" and not (isinstance(module, nn.Linear) and parameter.ndim == 2):
                    parameter.data = parameter.data.to(device)
                    continue
                original = _to_host(parameter.data)
                if kind == "fp8":
                    home, scale = _to_fp8(parameter.data.to(device))
                else:
                    if device.type == "cuda":  # these travel at every use
                        original = original.pin_memory()
                    home, scale = original, None
                self.kept.append(_Kept(parameter, original, home, scale))
                parameter.data = home

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within the block the weights are where and what the computation needs."""
        try:
            for kept in self.kept:
                if kept.scale is None:
                    kept.parameter.data = kept.home.to(self.device, non_blocking=True, copy=True)
                else:
                    kept.parameter.data = kept.home.to(kept.original.dtype) * kept.scale
            yield
        finally:
            for kept in self.kept:
                kept.parameter.data = kept.home

    def close(self, device: torch.device) -> None:
        for kept in self.kept:
            kept.parameter.data = kept.original.to(device)
        self.kept = []


def _to_host(value: Tensor) -> Tensor:
    return value if value.device.type == "meta" else value.to("cpu")


def _to_fp8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """8 bits and a scale (rows, 1): weights are far smaller than what 8 bits resolve well."""
    scale = (weight.float().abs().amax(1, keepdim=True).clamp(min=1e-12) / _FP8_LARGEST).to(weight.dtype)
    return (weight.float() / scale.float()).clamp(-_FP8_LARGEST, _FP8_LARGEST).to(_FP8), scale
