"""Frozen weights spread over the processes that train together, for models that one card cannot hold.

What FSDP does (ZeRO, stage 3), for weights that never change: each process keeps an equal part of every block, and all
put a block together for as long as it works. LoRA weights stay whole everywhere. torch's own FSDP is not used: without
gradients to spread this is all there is to do, and it goes with how blocks are recomputed here.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .ranks import Ranks


class Shards:
    """The frozen weights of one block. All processes must enter `held` equally often and in the same order."""

    def __init__(self, block: nn.Module, device: torch.device, ranks: Ranks) -> None:
        self.ranks = ranks
        self.frozen = [parameter for parameter in block.parameters() if not parameter.requires_grad]
        kinds = dict.fromkeys(parameter.dtype for parameter in self.frozen)
        self.parts = {kind: self._own_part(kind, device) for kind in kinds}
        self._let_go()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within the block the weights are whole."""
        try:
            for kind, part in self.parts.items():
                whole, start = self.ranks.join(part), 0
                for parameter in self._of(kind):
                    size = parameter.numel()
                    parameter.data = whole[start : start + size].view(parameter.shape)
                    start += size
            yield
        finally:
            self._let_go()

    def close(self, device: torch.device) -> None:
        """Nothing comes back: putting the model together again takes all processes, and some may be gone."""

    def _own_part(self, kind: torch.dtype, device: torch.device) -> Tensor:
        flat = torch.cat([parameter.data.flatten() for parameter in self._of(kind)])
        length = math.ceil(len(flat) / self.ranks.count)
        own = flat[self.ranks.index * length : (self.ranks.index + 1) * length]
        part = torch.zeros(length, dtype=kind, device=device)
        part[: len(own)] = own
        return part

    def _of(self, kind: torch.dtype) -> list[nn.Parameter]:
        return [parameter for parameter in self.frozen if parameter.dtype == kind]

    def _let_go(self) -> None:
        for parameter in self.frozen:  # the shape stays, one number stands for all
            device = next(iter(self.parts.values())).device
            parameter.data = torch.zeros(1, dtype=parameter.dtype, device=device).expand(parameter.shape)
