"""The one error an artist sees."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection


class SpatialAlignError(Exception):
    """Something the person in front of the screen can put right.

    The message is one clear sentence (or two): what happened, to which file, prompt or widget, and what to do. The
    command line prints it without a traceback; a node shows it as it is.
    """


class StopRequested(SpatialAlignError):
    """Somebody asked the work to end here. What is done is saved."""


_NAMES: dict[str, dict[str, str]] = {
    "options": {
        "batch_size": "--batch",
        "learning_rate": "--lr",
        "memory_plan": "--plan",
        "num_frames": "--frames",
        "guidance_scale": "--guidance",
    },
    "widgets": {"num_frames": "frames", "guidance_scale": "guidance"},
}
_DOOR = "SPATIALALIGN_DOOR"  # in the environment, so that processes started from here speak alike


def speak_of(door: str) -> str:
    """From now on, here and in processes started from here, advice names "options" of the command line, "widgets", or
    with "" names as in Python. Returns what it was before."""
    before = os.environ.get(_DOOR, "")
    os.environ[_DOOR] = door
    return before


def setting(name: str) -> str:
    """What a setting is called where the reader can change it: "num_frames" is `--frames` on the command line, the
    widget `frames` in ComfyUI, and keeps its name in Python."""
    door = os.environ.get(_DOOR, "")
    usual = f"--{name.replace('_', '-')}" if door == "options" else name
    return _NAMES.get(door, {}).get(name, usual)


_LESS_MEMORY = {  # by the option's name in the parser
    "batch": ("a smaller {}", "batch_size"),
    "workers": ("{} 1", "workers"),
    "short_side": ("a smaller {}", "short_side"),
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
    """What to say of an error that `is_out_of_memory`, to somebody who has these options of the
    command line."""
    if _UNLOADED in str(error):
        return NO_ROOM_FOR_LIBRARIES
    if os.environ.get(_DOOR) == "widgets":  # no node has the others
        options = ("batch",)
    ways = [way.format(setting(of)) for name, (way, of) in _LESS_MEMORY.items() if name in options]
    ways = ways or ["shorter or smaller videos"]
    return f"The memory is full. Use {' or '.join(ways)}, or close other programs; what is done is kept."


def check_memory(error: BaseException, what: object) -> None:
    """SpatialAlignError where memory ran out while `what` was loaded; for whoever takes any error for damage."""
    if is_out_of_memory(error):
        raise SpatialAlignError(
            f"There is not enough memory to load {what}; close other programs, or choose a smaller model."
        ) from error
