"""Whole run folders are moved and copied only while nothing works in them, and names are free on every system."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ..errors import SpatialAlignError
from ..files import name_fault, why_not
from .lock import is_locked, locked


@contextlib.contextmanager
def at_rest(folder: Path, wish: str) -> Iterator[None]:
    """Nothing works in the run while the block does. wish: what is to be done, such as "deleted".

    SpatialAlignError for a run that is at work, and for a folder that is not there.
    """
    if not folder.is_dir():
        raise SpatialAlignError(f"There is no run folder {folder}; check its name.")
    if is_locked(folder):
        raise SpatialAlignError(
            f"The run {folder.name!r} is at work and cannot be {wish} now. Stop it, or wait until it has finished."
        )
    if os.name == "nt":  # Windows moves no folder in which a file, such as the lock, is open
        yield
        return
    with contextlib.ExitStack() as holding:
        with contextlib.suppress(SpatialAlignError):  # a read-only folder: nothing works there
            holding.enter_context(locked(folder))
        yield


def check_free(root: Path, name: str, own: Path | None = None) -> Path:
    """The folder of a new run with this name. own: the one that is to be renamed, which may keep its letters.

    SpatialAlignError for a name that some system forbids, that begins with a dot, or that a run there has already:
    also one that differs only by case or by how accents are written, which Windows and macOS take for the same.
    """
    name = name.strip()
    fault = name_fault(name)
    if fault or name.startswith("."):
        raise SpatialAlignError(
            f"{name!r} cannot name a run, because {fault or 'it begins with a dot'}; choose another name."
        )
    for other in root.iterdir() if root.is_dir() else ():
        if _same(other.name, name) and (own is None or other.name != own.name):
            differs = "" if other.name == name else ", and many disks do not tell the two apart"
            raise SpatialAlignError(f"There is a run {other.name!r} already{differs}; choose another name.")
    return root / name


def free_name(root: Path, name: str) -> Path:
    """The folder with this name, or with the first number behind it that is free."""
    taken = {_plain(other.name) for other in root.iterdir()} if root.is_dir() else set()
    number, wanted = 1, name
    while _plain(wanted) in taken:
        number += 1
        wanted = f"{name} {number}"
    return root / wanted


def move(source: Path, target: Path) -> None:
    """Rename a folder, or the link to one. SpatialAlignError where the system refuses; then all is as it was."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
    except OSError as error:
        why = why_not(error) or error.strerror or str(error)
        if isinstance(error, PermissionError):
            why = (
                "a file in it is open in another program, or the folder is read-only for you; close what shows its "
                "files, or change its permissions"
            )
        raise SpatialAlignError(f"Cannot move {source} to {target}: {why}. Nothing has changed.") from error


def _same(one: str, other: str) -> bool:
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
