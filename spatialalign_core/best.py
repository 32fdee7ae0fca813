"""Best of N: which of several videos obeys its sentence best. Needs no training and helps at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import SpatialAlignError
from .score import Score


def split_clips(frames: NDArray[np.uint8], clips: int) -> list[NDArray[np.uint8]]:
    """A batch (N F, H, W, 3) that holds `clips` videos of equal length, one after the other, as those videos.

    SpatialAlignError when the frames do not divide by that number.
    """
    if clips < 1:
        raise SpatialAlignError(f"The number of clips must be at least 1, not {clips}.")
    if len(frames) % clips:
        raise SpatialAlignError(
            f"{len(frames)} frames are not {clips} clips of equal length; set 'clips' to the batch size that the "
            "videos were made with, and to 1 where they come as a list."
        )
    return list(frames.reshape(clips, -1, *frames.shape[1:]))


def pick_best(scores: Sequence[Score]) -> int:
    """Index of the highest DSR-Score, the first of equals.

    An INVALID video is chosen only when all are: then the one of which most frames count. SpatialAlignError for none.
    """
    if not scores:
        raise SpatialAlignError("There is no video to choose from; connect at least one.")
    return max(range(len(scores)), key=lambda index: (*_rank(scores[index]), -index))


def _rank(score: Score) -> tuple[bool, float, int]:
    """What a video is judged by, most important first."""
    valid = score.valid and score.dsr is not None and bool(np.isfinite(score.dsr))
    return valid, score.dsr if valid and score.dsr is not None else 0.0, 0 if valid else score.scored_frames


def score_table(scores: Sequence[Score], best: int) -> str:
    """One line a video, in their order, numbered from 1."""
    lines = []
    for index, score in enumerate(scores):
        words = f"INVALID, {score.reason}" if score.dsr is None else f"{score.dsr:.2f}"
        lines.append(f"{index + 1}: {words}{'  <- best' if index == best else ''}")
    return "\n".join(lines)
