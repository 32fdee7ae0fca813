"""One writer at a time in a run folder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import SpatialAlignError
from ..files import cause

_NAME = ".lock"
_TRIES, _NAP = 5, 0.02  # `is_locked` holds the lock for an instant


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. SpatialAlignError at once when another process (or another stage) holds it.

    The operating system lets go of the lock when its holder dies, however it dies; so a lock is never stale.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / _NAME, "a+", encoding="utf-8")  # noqa: SIM115 - closed below, which also unlocks
    except OSError as error:
        raise SpatialAlignError(
            f"Cannot write into the run folder {folder}: {cause(error)}. Choose another run_folder or "
            "change its permissions."
        ) from error
    with file:
        if not _take_soon(file):
            file.seek(0)
            holder = file.read().strip()
            raise SpatialAlignError(
                f"Another process{f' (number {holder})' if holder else ''} is working in the run folder {folder}. Wait "
                "until it has finished, stop it, or choose another run_folder."
            )
        with contextlib.suppress(OSError):  # on a full disk nobody is told who works here, no more
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield


def is_locked(folder: Path) -> bool:
    """Whether a process, this one included, works in the folder right now. Does not make the folder.

    True where the disk knows no locks: then what the process told last is all there is to go by.
    """
    try:
        file = open(folder / _NAME, "r+", encoding="utf-8")  # noqa: SIM115 - closed below, which also unlocks
    except OSError:
        return False
    with file:
        try:
            return not _lock(file)
        except OSError:
            return True


def lock_holder(folder: Path) -> int | None:
    """Number of the process that holds the lock, or held it last; None where nobody knows."""
    try:
        return int((folder / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _take_soon(file: IO[str]) -> bool:
    for _ in range(_TRIES - 1):
        if _take(file):
            return True
        time.sleep(_NAP)
    return _take(file)


def _take(file: IO[str]) -> bool:
    try:
        return _lock(file)
    except OSError:
        return True  # some network disks know no locks; better to work without than not at all


def _lock(file: IO[str]) -> bool:
    """Whether it could be taken. OSError where the disk knows no locks."""
    try:
        if os.name == "nt":
            import msvcrt

            # A byte far behind the text, because Windows forbids others to read a locked one.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return True
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except PermissionError:
        return False
