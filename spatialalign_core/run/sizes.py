"""How much room a run takes on the disk, and for what."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

KINDS = ("videos", "latents", "checkpoints", "lora", "other")
_SETTLED = 5.0  # seconds without a change after which a folder's time tells the next change


@dataclass
class Sizes:
    """Bytes by kind. shared: of those, what another run's files stand on too (hard links of a duplicate), and what
    deleting would not free."""

    videos: int = 0
    latents: int = 0
    checkpoints: int = 0
    lora: int = 0
    other: int = 0
    shared: int = 0

    @property
    def total(self) -> int:
        return sum(getattr(self, kind) for kind in KINDS)

    def add(self, other: Sizes) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


_known: dict[
    str, tuple[int, Sizes, list[str]]
] = {}  # folder -> time of its change, its own files, its folders


def run_sizes(folder: Path) -> Sizes:
    """Of all files in a run folder. Links inside it count nothing, and are not followed; the run itself may be one.

    What has not changed since the last call is not looked at again: a folder changes whenever a file in it is replaced.
    """
    sizes, waiting = Sizes(), [os.path.realpath(folder)]
    top = waiting[0]
    while waiting:
        place = waiting.pop()
        own, inner = _folder_sizes(place, os.path.relpath(place, top))
        sizes.add(own)
        waiting += inner
    return sizes


def _folder_sizes(place: str, inside: str) -> tuple[Sizes, list[str]]:
    own, inner = Sizes(), []
    with contextlib.suppress(OSError):  # deleted or replaced meanwhile: what is left counts
        changed = os.stat(place).st_mtime_ns
        known = _known.get(place)
        if known and known[0] == changed:
            return known[1], known[2]
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    stat = entry.stat(follow_symlinks=False)
                    kind = kind_of(Path(inside, entry.name))
                    setattr(own, kind, getattr(own, kind) + stat.st_size)
                    # On Windows a directory entry does not say how many names a file has.
                    own.shared += stat.st_size if stat.st_nlink > 1 else 0
        # Logs grow where they are, and the clock of a file system is coarse: such folders are looked at each time.
        if inside not in (".", "tensorboard") and time.time() - changed / 1e9 > _SETTLED:
            _known[place] = (changed, own, inner)
    return own, inner


def kind_of(file: Path) -> str:
    """One of `KINDS` for a file by its path inside the run folder."""
    parts = file.parts
    if parts[0] == "rounds" and len(parts) > 2:
        parts = parts[2:]  # rounds/01/pairs/... as pairs/...
    if parts[0] == "samples":
        return "videos" if file.suffix == ".mp4" else "latents"
    if parts[0] == "pairs":
        return "latents"
    if parts[0] == "lora":
        return "checkpoints" if "checkpoints" in parts else "lora"
    return "other"
