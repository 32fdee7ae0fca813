"""What torch.compile says when it does not work, in an artist's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import SpatialAlignError


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Within it a compiled block may be used for the first time. SpatialAlignError where torch cannot compile."""
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        first_line = str(error).strip().splitlines()[0]
        raise SpatialAlignError(
            f"torch.compile does not work on this machine ({first_line}); switch 'compile' off."
        ) from error
