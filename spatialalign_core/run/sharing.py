"""A run as one zip file, made while it is sent: nothing is written to the disk."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from ..errors import SpatialAlignError
from ..files import contained
from .note import NOTE
from .workflow_file import WORKFLOW

PARTS = ("report", "lora", "scores", "comparisons", "workflow", "videos")
USUAL = ("report", "lora", "scores", "comparisons", "workflow")
_SCORES = ("prompts.csv", "scores.csv", "rulings.json", "training.csv", "rounds.json", NOTE)
_PACKED = {".mp4", ".png", ".webp", ".jpg", ".safetensors"}  # that packing makes no smaller
_CHUNK = 1 << 20


def share_sizes(folder: Path) -> dict[str, int]:
    """Bytes of each of `PARTS` before packing; 0 for what the run does not have."""
    return {part: sum(file.stat().st_size for file in _files(folder, part)) for part in PARTS}


def share_zip(folder: Path, parts: Collection[str] = USUAL) -> Iterator[bytes]:
    """The bytes of the zip, piece by piece; all below a folder with the run's name. Latents and checkpoints stay here.

    SpatialAlignError, before the first piece, for a part that there is none of, and where nothing would be in it. What
    is deleted while it is sent is left out.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise SpatialAlignError(f"Cannot share {unknown[0]!r}; choose among: {', '.join(PARTS)}.")
    files = [file for part in PARTS if part in parts for file in _files(folder, part)]
    if not files:
        raise SpatialAlignError(
            f"The run {folder.name!r} has nothing of what was chosen; choose other parts."
        )
    return _packed(folder, files)


def _packed(folder: Path, files: list[Path]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", allowZip64=True, strict_timestamps=False) as pack:  # type: ignore[arg-type]
        for file in files:
            try:
                source = file.open("rb")
            except OSError:
                continue
            with source:
                name = f"{folder.name}/{file.relative_to(folder).as_posix()}"
                info = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
                packed = file.suffix.lower() in _PACKED
                info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
                with pack.open(info, "w", force_zip64=True) as target:
                    while data := source.read(_CHUNK):
                        target.write(data)
                        yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Where the zip file is written, from which the bytes are taken away."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._data += piece
        return len(piece)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


def _files(folder: Path, part: str) -> list[Path]:
    """Those that are there, without links that lead out of the run."""
    patterns = {
        "report": ("report.html", "report.json"),
        "lora": ("lora/*.safetensors",),
        "scores": _SCORES,
        "comparisons": ("comparisons/*/*",),
        "workflow": (WORKFLOW,),
        "videos": ("samples/*/*/*.mp4",),
    }[part]
    found = (file for pattern in patterns for file in sorted(folder.glob(pattern)))
    return [
        file for file in found if file.is_file() and not file.name.startswith(".") and _inside(folder, file)
    ]


def _inside(folder: Path, file: Path) -> bool:
    try:
        contained(folder, file.relative_to(folder))
    except SpatialAlignError:
        return False
    return os.access(file, os.R_OK)
