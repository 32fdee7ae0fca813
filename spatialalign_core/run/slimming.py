"""Freeing room in a run: what can be deleted, what making it again costs, and deleting it.

unused       latents of videos that are never trained on: held-out, evaluated and compared ones
training     latents of the videos that pairs are made of; those in the exported pairs have a copy there
pairs        the exported pairs with their copies of latents
checkpoints  from which a training goes on

Videos, tracks, scores and LoRAs stay, and so does what each video was made from: whatever was up to date still is.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..errors import SpatialAlignError
from ..prompts import DsrPrompt
from .at_rest import at_rest
from .kept_latents import export_folders, kept_latents
from .layout import BASE, RunLayout
from .samples import DROPPED, ENCODE_SECONDS, drop_tensors, sample_metadata
from .sizes import run_sizes
from .training_view import training_state

PARTS = ("unused", "training", "pairs", "checkpoints")


@dataclass(frozen=True)
class Part:
    """What one of `PARTS` takes, and what deleting it costs.

    bytes: of its files. videos: how many would have to be encoded again to train on them, 0 where none. seconds: how
    long that takes, None where nothing was encoded in this run yet. copies: of "training", how many videos need no
    encoding as long as the pairs are kept. step: of "checkpoints", the step after which a training that has not
    finished would go on, else None.
    """

    name: str
    bytes: int
    videos: int = 0
    seconds: float | None = None
    copies: int = 0
    step: int | None = None


def slim_parts(folder: Path) -> list[Part]:
    """Of all `PARTS`, also of those that take nothing."""
    layout = RunLayout(folder)
    unused, training = _latents(layout)
    copies = sum(_has_copy(layout, video) for video in training)
    pace = _seconds_a_video(layout)
    encoded = len(training) - copies
    exported = sum(_bytes(place) for place in export_folders(layout))
    return [
        Part("unused", sum(map(_size, unused))),
        Part(
            "training", sum(map(_size, training)), encoded, None if pace is None else pace * encoded, copies
        ),
        Part("pairs", exported),
        Part("checkpoints", run_sizes(folder).checkpoints, step=_unfinished(layout)),
    ]


def slim_run(folder: Path, parts: Collection[str]) -> int:
    """Delete these of `PARTS`; the bytes that are free now. SpatialAlignError for a run at work, and another part."""
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise SpatialAlignError(
            f"Cannot free {(unknown or ['nothing'])[0]!r}; choose among: {', '.join(PARTS)}."
        )
    layout = RunLayout(folder)
    with at_rest(folder, "made smaller"):
        before = run_sizes(folder).total
        unused, training = _latents(layout)
        # Latents before the pairs, so that those of the samples still know their copies.
        for video in (*(unused if "unused" in parts else ()), *(training if "training" in parts else ())):
            drop_tensors(video)
        for place in export_folders(layout) if "pairs" in parts else ():
            _remove(place)
        if "checkpoints" in parts:
            _remove(layout.folder / "lora" / "checkpoints")
        return before - run_sizes(folder).total


def _latents(layout: RunLayout) -> tuple[list[Path], list[Path]]:
    """Videos that still have tensors, those that are never trained on and the others."""
    train = _training_folders(layout)
    unused: list[Path] = []
    training: list[Path] = []
    for file in sorted((layout.folder / "samples").glob("*/*/*.safetensors")):
        video, set = file.with_suffix(".mp4"), file.parent.parent.name
        with contextlib.suppress(SpatialAlignError):  # a damaged one is made again by its stage
            if DROPPED not in sample_metadata(video) and file.stat().st_size > _header(file):
                learns = (set == BASE or set.startswith("round-")) and file.parent.name in train
                (training if learns else unused).append(video)
    return unused, training


def _training_folders(layout: RunLayout) -> set[str]:
    """Folder names of the prompts that are trained on; of all where the prompts cannot be read."""
    prompts: list[DsrPrompt] = []
    with contextlib.suppress(SpatialAlignError):
        prompts = layout.prompts()
    held_out = {layout.video_path(BASE, p.id, 0).parent.name for p in prompts if p.split == "held_out"}
    found = {place.name for place in (layout.folder / "samples").glob("*/*")}
    return found - held_out


def _header(file: Path) -> int:
    """Bytes of a safetensors file before its tensors."""
    with file.open("rb") as opened:
        return 8 + int.from_bytes(opened.read(8), "little")


def _has_copy(layout: RunLayout, video: Path) -> bool:
    return kept_latents(layout, video) is not None


def _seconds_a_video(layout: RunLayout) -> float | None:
    known = []
    for file in _some((layout.folder / "samples").glob("*/*/*.safetensors"), 200):
        with contextlib.suppress(SpatialAlignError, ValueError):
            told = sample_metadata(file.with_suffix(".mp4")).get(ENCODE_SECONDS)
            known += [float(told)] if told else []
    return median(known) if known else None


def _some(files: Iterator[Path], most: int) -> Iterator[Path]:
    for _, file in zip(range(most), files, strict=False):
        yield file


def _unfinished(layout: RunLayout) -> int | None:
    if training_state(layout) not in ("stopped", "interrupted"):
        return None
    rows = layout.training_log()
    return int(rows[-1]["step"]) if rows else None


def _size(video: Path) -> int:
    return video.with_suffix(".safetensors").stat().st_size


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def _remove(place: Path) -> None:
    try:
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            shutil.rmtree(place)
    except OSError as error:
        raise SpatialAlignError(
            f"{place} could not be deleted ({error.strerror or error}); close what has its files open, and try again."
        ) from error
