"""The one error an artist sees."""

from __future__ import annotations

import errno
from collections.abc import Collection


class SpatialAlignError(Exception):
    """Something the person in front of the screen can put right.

    The message is one clear sentence (or two): what happened, to which file, prompt or widget, and what to do. The
    command line prints it without a traceback; a node shows it as it is.
    """


class StopRequested(SpatialAlignError):
    """Somebody asked the work to end here. What is done is saved."""


_LESS_MEMORY = {  # by the option's name in the parser
    "batch": "a smaller --batch",
    "workers": "--workers 1",
    "short_side": "a smaller --short-side",
}
NO_ROOM_FOR_LIBRARIES = (
    "The libraries do not fit into the memory that this process may address (`ulimit -v`): PyTorch alone maps several "
    "GiB that it never fills. Raise that limit, or limit the memory in use, as containers and control groups do."
)
_UNLOADED = "failed to map segment"
_FULL = (
    *("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory", "bad_alloc"),
    "status_alloc_failed",  # cuBLAS and cuDNN, which take memory of their own
    *(_UNLOADED, "can't start new thread", "unable to mmap"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on any device. Needs no torch, which may be what did not fit."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    kinds = (RuntimeError, ImportError, OSError)  # the last two where a library is loaded
    return isinstance(error, kinds) and any(words in str(error).lower() for words in _FULL)


def full_memory_sentence(error: BaseException, options: Collection[str] = ("batch", "workers")) -> str:
    """What to say of an error that `is_out_of_memory`, to somebody who has these options of the command line."""
    if _UNLOADED in str(error):
        return NO_ROOM_FOR_LIBRARIES
    ways = [way for name, way in _LESS_MEMORY.items() if name in options] or ["shorter or smaller videos"]
    return f"The memory is full. Use {' or '.join(ways)}, or close other programs; what is done is kept."


def check_memory(error: BaseException, what: object) -> None:
    """SpatialAlignError where memory ran out while `what` was loaded; for whoever takes any error for damage."""
    if is_out_of_memory(error):
        raise SpatialAlignError(
            f"There is not enough memory to load {what}; close other programs, or choose a smaller model."
        ) from error
