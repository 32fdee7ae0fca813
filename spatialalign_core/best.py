"""Best of N: which of several videos obeys its sentence best. Needs no training and helps at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import SpatialAlignError
from .prompts import DsrPrompt
from .score import GOOD, Score, obeys
from .score_words import missed_words, score_digits


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
    """Index of the highest DSR-Score among those that obey, or among all where none does; the first of equals.

    An INVALID video is chosen only when all are: then the one of which most frames count. SpatialAlignError for none.
    """
    if not scores:
        raise SpatialAlignError("There is no video to choose from; connect at least one.")
    return max(range(len(scores)), key=lambda index: (*_rank(scores[index]), -index))


def _rank(score: Score) -> tuple[bool, bool, float, int]:
    """What a video is judged by, most important first."""
    valid = score.valid and score.dsr is not None and bool(np.isfinite(score.dsr))
    dsr = score.dsr if valid and score.dsr is not None else 0.0
    return valid, valid and obeys(score), dsr, 0 if valid else score.scored_frames


def best_words(scores: Sequence[Score], best: int, prompt: DsrPrompt) -> str:
    """One sentence on the chosen video."""
    score = scores[best]
    if score.dsr is None:
        return "No video could be scored; the one with the most valid frames is output."
    start = f"The best of {len(scores)} scores {score_digits(score.dsr)}"
    if obeys(score):
        return f"{start}, it obeys the sentence."
    why = missed_words(score, prompt.change, prompt.object)
    return (
        f"{start}, but {why}: it does not obey the sentence."
        if why
        else f"{start}, below the threshold of {GOOD}."
    )


def score_table(scores: Sequence[Score], best: int, prompt: DsrPrompt) -> str:
    """One line a video, in their order, numbered from 1; one whose score is high enough and that does not obey says
    why."""
    lines = []
    for index, score in enumerate(scores):
        words = f"INVALID, {score.reason}" if score.dsr is None else score_digits(score.dsr)
        if why := missed_words(score, prompt.change, prompt.object):
            words += f", but {why}"
        lines.append(f"{index + 1}: {words}{'  <- best' if index == best else ''}")
    return "\n".join(lines)
