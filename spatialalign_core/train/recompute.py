"""A transformer block that keeps its inputs, and little else; the backward pass makes its inner values again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from .away import Away
from .kept import Shelf, shelving


@dataclass(frozen=True)
class Recomputation:
    """How a block is made again.

    held: within it the block's weights are there. attention: results of self-attention are kept, which take most of the
    time to make again and little room. on_host: what is kept waits in the computer's memory. compiled: whether the
    block's forward is.
    """

    held: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    attention: bool = False
    on_host: bool = False
    compiled: bool = False

    def shelving(self, shelf: Shelf, again: bool) -> contextlib.AbstractContextManager[None]:
        return shelving(shelf, again, self.compiled) if self.attention else contextlib.nullcontext()


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


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, forward: Any, how: Recomputation, structure: Any, anchor: Tensor, *leaves: Any
    ) -> Any:
        ctx.forward_again, ctx.how, ctx.structure = forward, how, structure
        ctx.wanted = [isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves]
        ctx.shelf = Shelf(how.on_host)
        arguments, named = tree_unflatten(_apart(leaves, [False] * len(leaves)), structure)
        with how.held(), how.shelving(ctx.shelf, again=False):
            output = forward(*arguments, **named)
        # What is as large as the result is one block's own; the rest is small, or the same for all blocks.
        own = [how.on_host and isinstance(leaf, Tensor) and leaf.shape == output.shape for leaf in leaves]
        ctx.is_saved = [isinstance(leaf, Tensor) and not away for leaf, away in zip(leaves, own, strict=True)]
        ctx.save_for_backward(*(leaf for leaf, saved in zip(leaves, ctx.is_saved, strict=True) if saved))
        ctx.others = [
            None if saved else Away(leaf) if away else leaf
            for leaf, saved, away in zip(leaves, ctx.is_saved, own, strict=True)
        ]
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        saved = iter(ctx.saved_tensors)
        leaves = [
            next(saved) if is_saved else Away.back(other)
            for is_saved, other in zip(ctx.is_saved, ctx.others, strict=True)
        ]
        ctx.others = None  # the loss may outlive its step, and the graph with it
        leaves = _apart(leaves, ctx.wanted)
        arguments, named = tree_unflatten(leaves, ctx.structure)
        with ctx.how.held():
            with torch.enable_grad(), ctx.how.shelving(ctx.shelf, again=True):
                output = ctx.forward_again(*arguments, **named)
            torch.autograd.backward(output, gradients[0])
        return (
            None,
            None,
            None,
            None,
            *(leaf.grad if wanted else None for leaf, wanted in zip(leaves, ctx.wanted, strict=True)),
        )


def _apart(leaves: Any, wanted: list[bool]) -> list[Any]:
    """The same values, without the graph that they come from."""
    return [
        leaf.detach().requires_grad_(asked) if isinstance(leaf, Tensor) else leaf
        for leaf, asked in zip(leaves, wanted, strict=True)
    ]
