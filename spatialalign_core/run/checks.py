"""What can be known before work begins: each stage asks here first, so that nobody waits an hour for a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..detect.base import Detector, check_nouns
from ..errors import SpatialAlignError
from ..files import check_folder
from ..generate import Job, check_jobs
from ..models.base import GenerateSettings, VideoModel
from ..prompts import DsrPrompt
from ..train.lora import check_lora
from .estimate import free_disk, gibibytes, sample_bytes

_SPARE = 1.05  # of what the files need; other programs write too


def check_videos(
    folder: Path,
    model: VideoModel,
    jobs: Sequence[Job],
    settings: GenerateSettings,
    missing: int,
    lora: Path | None = None,
) -> None:
    """Before videos are made: prompts, size, LoRA, permissions and room on the disk.

    folder: where they go. missing: how many are to be made. SpatialAlignError for the first thing that is wrong.
    """
    check_jobs(model, jobs, settings)
    if lora is not None:
        if not lora.is_file():
            raise SpatialAlignError(f"There is no LoRA {lora} yet; train one first, or choose another.")
        check_lora(model, lora)
    if missing:
        check_folder(folder, "the videos")
        check_room(folder, missing * sample_bytes(model, settings), f"{missing} videos")


def check_words(detector: Detector, prompts: Iterable[DsrPrompt]) -> None:
    """Before anything is looked for: SpatialAlignError that names all subjects and objects without a word."""
    check_nouns(detector, [noun for prompt in prompts for noun in (prompt.subject, prompt.object)])


def check_room(folder: Path, needed: int, what: str) -> None:
    """SpatialAlignError when the disk of `folder` has less than `needed` bytes for `what`."""
    free = free_disk(folder)
    if free is not None and needed * _SPARE > free:
        raise SpatialAlignError(
            f"{what} need about {gibibytes(needed)}, and {gibibytes(free)} are free on the disk of {folder}; free some "
            "space, or make fewer, smaller or shorter videos."
        )
