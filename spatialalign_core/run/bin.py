"""Runs that were deleted, until the bin is emptied: in .bin beside the runs, so on the same disk.

.bin/<number>/run/<name>/     the run as it was; for a linked run the link alone, since what it leads to is not ours
.bin/<number>/deleted.json    when, and which entries of Load LoRA's list went with it
.bin/<number>/loras/          those entries
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import atomic_write
from .at_rest import at_rest, free_name, move
from .sizes import run_sizes
from .uses import listed_loras

BIN = ".bin"
_ABOUT, _LORAS, _RUN = "deleted.json", "loras", "run"


@dataclass(frozen=True)
class Deleted:
    """A run in the bin. number: its place there. deleted: seconds since 1970. bytes: what emptying the bin frees."""

    number: int
    name: str
    deleted: float
    bytes: int


def delete_run(folder: Path, lists: Sequence[Path] = (), with_loras: bool = False) -> Deleted:
    """Move a run to the bin. lists: folders of Load LoRA's list, from which the copies of its LoRAs go to the bin too
    where `with_loras` says so. SpatialAlignError for a run at work, and where the system refuses."""
    root = folder.parent / BIN
    with at_rest(folder, "deleted"):
        entries = list(listed_loras(folder, lists)) if with_loras else []
        place = _new_place(root)
        try:
            move(folder, place / _RUN / folder.name)
        except SpatialAlignError:
            shutil.rmtree(place, ignore_errors=True)
            raise
    taken = []
    for entry in entries:
        with contextlib.suppress(OSError):  # what is open elsewhere stays on the list
            (place / _LORAS).mkdir(exist_ok=True)
            shutil.move(entry, place / _LORAS / entry.name)
            taken.append(str(entry))
    atomic_write(place / _ABOUT, json.dumps({"deleted": time.time(), "loras": taken}) + "\n")
    return _deleted(place)


def list_bin(root: Path) -> list[Deleted]:
    """The deleted runs of the folder of all runs, the last one first."""
    places = (root / BIN).iterdir() if (root / BIN).is_dir() else ()
    found = []
    for place in places:
        with contextlib.suppress(SpatialAlignError, OSError):
            found.append(_deleted(place))
    return sorted(found, key=lambda each: (-each.deleted, -each.number))


def restore_run(root: Path, number: int) -> Path:
    """Put a deleted run back, under the first free name where its own is taken; and its LoRAs onto the list, where none
    of their names lie. SpatialAlignError for one that is not in the bin (any more)."""
    place = root / BIN / str(number)
    deleted = _deleted(place)
    target = free_name(root, deleted.name)
    move(place / _RUN / deleted.name, target)
    for entry in map(Path, _about(place).get("loras", ())):
        if not entry.exists() and entry.parent.is_dir():
            with contextlib.suppress(OSError):
                shutil.move(place / _LORAS / entry.name, entry)
    with contextlib.suppress(OSError):
        shutil.rmtree(place)
    return target


def empty_bin(root: Path, number: int | None = None) -> int:
    """Delete for good what lies in the bin, or one run of it; the bytes that were freed.

    Of a linked run the link goes, never what it leads to. SpatialAlignError where a file cannot be deleted; the rest is
    gone then, and emptying again takes what is left.
    """
    chosen = [each for each in list_bin(root) if number is None or each.number == number]
    if number is not None and not chosen:
        raise _gone(number)
    failed: list[str] = []

    def refused(work: Callable[..., Any], path: str, *_: object) -> None:
        with contextlib.suppress(OSError):  # Windows deletes no file that is marked read-only
            os.chmod(path, stat.S_IWRITE)
            work(path)
            return
        failed.append(path)

    for each in chosen:
        place = root / BIN / str(each.number)
        run = place / _RUN / each.name
        if run.is_symlink():
            run.unlink()
        shutil.rmtree(place, onerror=refused)
    if failed:
        raise SpatialAlignError(
            f"{len(failed)} files could not be deleted, first {failed[0]}: they are open in another program, or "
            "read-only for you. Close it, and empty the bin again."
        )
    with contextlib.suppress(OSError):
        (root / BIN).rmdir()
    return sum(each.bytes for each in chosen)


def _new_place(root: Path) -> Path:
    try:
        root.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(each.name) for each in root.iterdir() if each.name.isdecimal()), default=0)
        while True:
            with contextlib.suppress(FileExistsError):  # another request was quicker
                (root / str(number)).mkdir()
                return root / str(number)
            number += 1
    except OSError as error:
        raise SpatialAlignError(
            f"Cannot write the bin {root}: {error.strerror or error}. Nothing has changed."
        ) from error


def _deleted(place: Path) -> Deleted:
    if not place.name.isdecimal() or not place.is_dir() or place.is_symlink():
        raise _gone(place.name)
    run = next(iter(sorted((place / _RUN).iterdir())) if (place / _RUN).is_dir() else iter(()), None)
    if run is None:
        raise _gone(place.name)
    sizes = 0 if run.is_symlink() else (found := run_sizes(run)).total - found.shared
    return Deleted(int(place.name), run.name, _about(place).get("deleted", place.stat().st_mtime), sizes)


def _about(place: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _gone(number: object) -> SpatialAlignError:
    return SpatialAlignError(f"The run number {number} is not in the bin any more; look at the list again.")
