"""A scored or tracked video as values for a chart on a node, ready for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from .relations import RelationChange
from .score import Floats, Score, obeys, ssr_sequences
from .score_words import score_parts, verdict_words
from .tracks import Track

_DIGITS = 4


def score_view(
    track: Track, change: RelationChange | None = None, score: Score | None = None
) -> dict[str, Any]:
    """frames: length of the video. title: the result in a few words, good: whether it obeys (None without a score).

    lines: two of {words, values}, one value a frame, None where a frame does not count: SSR of the first and the last
    relation (low -1, high 1), or without `change` how sure the detector is of both things (0 to 1).
    gaps: stretches [{from, to, reason}] of frames that do not count, in order. bridged: frames with a box that was
    drawn between its neighbours. parts: of the score, {name, text, answer, value}; empty without one. reason: why the
    video does not count, or None.
    """
    if change is None:
        title, good = _found(track), None
        lines = [
            _line(f"how sure of the {track.subject}", track.subject_confidences),
            _line(f"how sure of the {track.object}", track.object_confidences),
        ]
        counts = np.array([reason is None for reason in track.frame_reasons], dtype=bool)
    else:
        first, last = ssr_sequences(track, change)
        title, good = _result(score, change, track.object)
        lines = [
            _line(f"{change.initial.side} the {track.object} (should fall)", first),
            _line(f"{change.final.side} the {track.object} (should rise)", last),
        ]
        counts = np.isfinite(first)
    parts = score_parts(track, change, score) if change is not None and score is not None else []
    return {
        "frames": track.frames,
        "title": title,
        "good": good,
        "low": 0 if change is None else -1,
        "high": 1,
        "lines": lines,
        "gaps": gaps(track, counts),
        "bridged": np.flatnonzero(track.bridged).tolist(),
        "parts": [{"name": p.name, "text": str(p), "answer": p.answer, "value": p.value} for p in parts],
        "reason": track.reason if score is None else score.reason,
    }


def gaps(track: Track, counts: Sequence[bool] | np.ndarray) -> list[dict[str, Any]]:
    """Neighbouring frames that do not count for one reason, as {from, to, reason}, both ends included."""
    # A box without a size is all that can be wrong with a frame that gives no reason.
    reasons = [
        None if counted else reason or "a box has no size"
        for counted, reason in zip(counts, track.frame_reasons, strict=True)
    ]
    found = []
    for reason, frames in groupby(range(track.frames), key=lambda frame: reasons[frame]):
        numbers = list(frames)
        if reason is not None:
            found.append({"from": numbers[0], "to": numbers[-1], "reason": reason})
    return found


def _result(score: Score | None, change: RelationChange, object: str) -> tuple[str, bool | None]:
    if score is None:
        return "", None
    if score.dsr is None:
        return "No score", None
    return verdict_words(score, change, object), obeys(score)


def _found(track: Track) -> str:
    counts = sum(reason is None for reason in track.frame_reasons)
    return f"Both found in {counts} of {track.frames} frames"


def _line(words: str, values: Floats) -> dict[str, Any]:
    numbers = [round(float(value), _DIGITS) if np.isfinite(value) else None for value in values]
    return {"words": words, "values": numbers}
