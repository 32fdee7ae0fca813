"""What self-attention gave, kept for the backward pass so that it is not made again."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from .away import Away

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


@dataclass
class Shelf:
    """Results of one block's self-attention, in the order in which they were made, each with the kernel it is of."""

    on_host: bool
    results: deque[tuple[Any, Any]] = field(default_factory=deque)

    def put(self, kernel: Any, result: Any, like: Tensor) -> None:
        def away(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return Away(value) if self.on_host and value.shape == like.shape else value.detach()

        self.results.append((kernel, tree_map(away, result)))

    def take(self) -> Any:
        return tree_map(Away.back, self.results.popleft()[1])


@contextlib.contextmanager
def shelving(shelf: Shelf, again: bool, compiled: bool = False) -> Iterator[None]:
    """Within it, self-attention of this thread puts its results on the shelf; `again`, it takes them from there.

    Attention alone goes through `_attention`: what is around it may be compiled, and nothing else is slowed down.
    """
    found, before = nn.functional.scaled_dot_product_attention, _here.shelf
    # Within another of these blocks, of this thread or another's, the real one is torch's own.
    _here.shelf = (shelf, again, _torch_attention if hasattr(found, "is_shelving") else found)
    nn.functional.scaled_dot_product_attention = _uncompiled() if compiled else _attention
    try:
        yield
    finally:
        nn.functional.scaled_dot_product_attention = found
        _here.shelf = before


class _Here(threading.local):
    """The shelf at hand, whether attention is made again, and what attention is without us."""

    shelf: tuple[Shelf, bool, Callable[..., Tensor]] | None = None


_here = _Here()
_torch_attention = nn.functional.scaled_dot_product_attention


def _attention(query: Tensor, key: Tensor, value: Tensor, *arguments: Any, **named: Any) -> Tensor:
    """torch's attention, and the shelf that is at hand in this thread."""
    shelf, again, real = _here.shelf or (None, False, _torch_attention)
    # Few keys, as those of a text, take no time worth room.
    if shelf is None or key.shape[-2] < query.shape[-2]:
        return real(query, key, value, *arguments, **named)
    if again:
        with _Replaying(shelf):
            return real(query, key, value, *arguments, **named)
    # With gradients on, since kernels leave out what only a backward pass needs; the graph itself keeps nothing.
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing)
    with torch.enable_grad(), hooks, _Keeping(shelf):
        asking = (each.detach().requires_grad_() for each in (query, key, value))
        return real(*asking, *arguments, **named).detach()


_attention.is_shelving = True  # type: ignore[attr-defined]


@functools.cache
def _uncompiled() -> Callable[..., Any]:
    """`_attention` as a step that the compiler leaves as it is; one and the same, or it would compile anew."""
    return torch.compiler.disable(_attention)  # with its mark


class _Keeping(TorchDispatchMode):
    """Within it, what attention's kernel gives goes on the shelf."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        if function in ATTENTION:
            self.shelf.put(function, result, arguments[0])
        return result


class _Replaying(TorchDispatchMode):
    """Within it, attention's kernel takes its results from the shelf instead of making them."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if self.shelf.results and self.shelf.results[0][0] is function:
            return self.shelf.take()
        return function(*arguments, **(named or {}))
