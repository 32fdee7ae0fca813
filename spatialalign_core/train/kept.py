"""What a recomputed block keeps: what self-attention gave, and tensors that wait in the computer's memory."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

ATTENTION = tuple(
    getattr(torch.ops.aten, name).default
    for name in (
        "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_fused_attention_overrideable",
    )
    if hasattr(torch.ops.aten, name)
)


def waiting() -> int:
    """Bytes that wait in the computer's memory now, for backward passes to come; in a rehearsal, that would."""
    # Memory that a card can reach is given out in powers of two.
    return sum(1 << (away.shape.numel() * away.dtype.itemsize - 1).bit_length() for away in Away.all)


@dataclass
class Shelf:
    """Results of one block's self-attention, in the order in which they were made."""

    on_host: bool
    results: deque[Any] = field(default_factory=deque)

    def put(self, result: Any, like: Tensor) -> None:
        def away(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return Away(value) if self.on_host and value.shape == like.shape else value.detach()

        self.results.append(tree_map(away, result))

    def take(self) -> Any:
        return tree_map(Away.back, self.results.popleft())


class Keeping(TorchDispatchMode):
    """Within it, results of self-attention go on the shelf."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        if _is_self_attention(function, arguments):
            self.shelf.put(result, arguments[0])
        return result


class Replaying(TorchDispatchMode):
    """Within it, self-attention takes its results from the shelf instead of making them."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if self.shelf.results and _is_self_attention(function, arguments):
            return self.shelf.take()
        return function(*arguments, **(named or {}))


def _is_self_attention(function: Any, arguments: Any) -> bool:
    """Few keys, as those of a text, take no time worth room."""
    return function in ATTENTION and arguments[1].shape[-2] >= arguments[0].shape[-2]


class Away:
    """A tensor that waits in the computer's memory. Copies are in the stream's order, so nobody waits for them."""

    all: ClassVar[weakref.WeakSet[Away]] = weakref.WeakSet()

    def __init__(self, value: Tensor) -> None:
        self.all.add(self)
        self.device, self.dtype = value.device, value.dtype
        self.shape, self.stride = value.shape, value.stride()
        self.host: Tensor | None = None
        if value.device.type != "meta":  # in a rehearsal there is nothing to keep
            pinned = value.device.type == "cuda"
            self.host = torch.empty_like(value, device="cpu", pin_memory=pinned, requires_grad=False)
            self.host.copy_(value.detach(), non_blocking=True)

    @staticmethod
    def back(value: Any) -> Any:
        """The tensor of something away; anything else as it is."""
        if not isinstance(value, Away):
            return value
        if value.host is None:
            return torch.empty_strided(value.shape, value.stride, dtype=value.dtype, device="meta")
        return value.host.to(value.device, non_blocking=True)
