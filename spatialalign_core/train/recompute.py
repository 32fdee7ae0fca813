"""A transformer block that keeps its inputs alone; the backward pass makes its inner values again."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

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


@dataclass(frozen=True)
class Recomputation:
    """How a block is made again.

    held: within it the block's weights are there. attention: results of self-attention are kept, which take most of the
    time to make again and little room. on_host: what is kept waits in the computer's memory.
    """

    held: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    attention: bool = False
    on_host: bool = False


def recomputing(forward: Callable[..., Any], how: Recomputation) -> Callable[..., Any]:
    """`forward`, which returns one tensor, as a function that is made again in the backward pass."""

    def run(*arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            with how.held():
                return forward(*arguments, **named)
        leaves, structure = tree_flatten((arguments, named))
        # A leaf that asks for a gradient, so that the block is passed through even when none of its inputs does.
        anchor = torch.zeros((), requires_grad=True)
        return _Recomputed.apply(forward, how, structure, anchor, *leaves)

    return run


def waiting() -> int:
    """Bytes that wait in the computer's memory now, for backward passes to come; in a rehearsal, that would."""
    # Memory that a card can reach is given out in powers of two.
    return sum(1 << (away.shape.numel() * away.dtype.itemsize - 1).bit_length() for away in _Away.all)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, forward: Any, how: Recomputation, structure: Any, anchor: Tensor, *leaves: Any
    ) -> Any:
        ctx.forward_again, ctx.how, ctx.structure = forward, how, structure
        ctx.wanted = [isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves]
        ctx.shelf = _Shelf(how.on_host)
        with how.held():
            if how.attention:
                output = _attentive(forward, ctx, leaves)
            else:
                arguments, named = tree_unflatten(list(leaves), structure)
                output = forward(*arguments, **named)
        # What is as large as the result is one block's own; the rest is small, or the same for all blocks.
        own = [how.on_host and isinstance(leaf, Tensor) and leaf.shape == output.shape for leaf in leaves]
        ctx.is_saved = [isinstance(leaf, Tensor) and not away for leaf, away in zip(leaves, own, strict=True)]
        ctx.save_for_backward(*(leaf for leaf, saved in zip(leaves, ctx.is_saved, strict=True) if saved))
        ctx.others = [
            None if saved else _Away(leaf) if away else leaf
            for leaf, saved, away in zip(leaves, ctx.is_saved, own, strict=True)
        ]
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        saved = iter(ctx.saved_tensors)
        leaves = [
            next(saved) if is_saved else _Away.back(other)
            for is_saved, other in zip(ctx.is_saved, ctx.others, strict=True)
        ]
        ctx.others = None  # the loss may outlive its step, and the graph with it
        leaves = _apart(leaves, ctx.wanted)
        arguments, named = tree_unflatten(leaves, ctx.structure)
        with ctx.how.held():
            with torch.enable_grad(), _Replaying(ctx.shelf):
                output = ctx.forward_again(*arguments, **named)
            torch.autograd.backward(output, gradients[0])
        return (
            None,
            None,
            None,
            None,
            *(leaf.grad if wanted else None for leaf, wanted in zip(leaves, ctx.wanted, strict=True)),
        )


def _attentive(forward: Any, ctx: Any, leaves: tuple[Any, ...]) -> Tensor:
    """The block's result, with what self-attention gave put on the shelf.

    With gradients on, since kernels leave out what only a backward pass needs; the graph itself keeps nothing.
    """
    arguments, named = tree_unflatten(_apart(leaves, ctx.wanted), ctx.structure)
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: None, lambda nothing: nothing)
    with torch.enable_grad(), hooks, _Keeping(ctx.shelf):
        return forward(*arguments, **named).detach()


def _apart(leaves: Any, wanted: list[bool]) -> list[Any]:
    """The same values, without the graph that they come from."""
    return [
        leaf.detach().requires_grad_(asked) if isinstance(leaf, Tensor) else leaf
        for leaf, asked in zip(leaves, wanted, strict=True)
    ]


@dataclass
class _Shelf:
    """Results of one block's self-attention, in the order in which they were made."""

    on_host: bool
    results: deque[Any] = field(default_factory=deque)

    def put(self, result: Any, like: Tensor) -> None:
        def away(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            return _Away(value) if self.on_host and value.shape == like.shape else value.detach()

        self.results.append(tree_map(away, result))

    def take(self) -> Any:
        return tree_map(_Away.back, self.results.popleft())


class _Keeping(TorchDispatchMode):
    def __init__(self, shelf: _Shelf) -> None:
        super().__init__()
        self.shelf = shelf

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        if _is_self_attention(function, arguments):
            self.shelf.put(result, arguments[0])
        return result


class _Replaying(TorchDispatchMode):
    def __init__(self, shelf: _Shelf) -> None:
        super().__init__()
        self.shelf = shelf

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if self.shelf.results and _is_self_attention(function, arguments):
            return self.shelf.take()
        return function(*arguments, **(named or {}))


def _is_self_attention(function: Any, arguments: Any) -> bool:
    """Few keys, as those of a text, take no time worth room."""
    return function in ATTENTION and arguments[1].shape[-2] >= arguments[0].shape[-2]


class _Away:
    """A tensor that waits in the computer's memory. Copies are in the stream's order, so nobody waits for them."""

    all: ClassVar[weakref.WeakSet[_Away]] = weakref.WeakSet()

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
        if not isinstance(value, _Away):
            return value
        if value.host is None:
            return torch.empty_strided(value.shape, value.stride, dtype=value.dtype, device="meta")
        return value.host.to(value.device, non_blocking=True)
