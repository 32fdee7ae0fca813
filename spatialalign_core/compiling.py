"""torch.compile: room for all the ways in which a block is used, and an artist's words where it does not work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .errors import SpatialAlignError

_WAYS = 32
"""A block is used with the adapter and without, with gradients and without, the first one with inputs that need none:
up to seven pieces of one function have been seen, and torch gives up on it after eight."""


def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with torch.compile, which happens when it is first used."""
    import torch._dynamo

    made, config = torch.compile(function), torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"

    def run(*arguments: Any, **named: Any) -> Any:
        # Here, since the setting is each thread's own, and backward passes have theirs.
        with config.patch({limit: _WAYS}):
            return made(*arguments, **named)

    return run


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Within it something compiled may be used for the first time. SpatialAlignError where torch cannot compile."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        first_line = str(error).strip().splitlines()[0]
        raise SpatialAlignError(
            f"torch.compile does not work on this machine ({first_line}); switch 'compile' off."
        ) from error
