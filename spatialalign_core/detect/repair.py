"""The `default` rule: short gaps are filled and marked, and what cannot be one thing's motion is found and said.

Real things do not leap across the picture from one frame to the next, do not change places with each other, and do not
go out like a lamp in the middle of the picture. Where a track does, either the video is wrong or the detector is, and
neither gives a score to trust.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidates import box_size, iou
from .validity import DetectionRule, first_run_of, video_reason

Floats = NDArray[np.float64]

_WHOLE = 0.8  # share of a thing's usual area from which it is seen whole
_EDGE = 0.25  # nearer to the picture's edge than this many sizes it may have walked in or out
_SWAPPED = 0.5  # IoU with the other's last box from which two have changed places


@dataclass(frozen=True, eq=False)
class Sight:
    """What was seen of one noun: boxes (F, 4) and confidences (F,), NaN where it was not seen.

    rival, elsewhere: see `candidates.Followed`.
    """

    boxes: Floats
    confidences: Floats
    rival: NDArray[np.bool_]
    elsewhere: NDArray[np.bool_]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Frames in which it is there, (F,)."""
        result: NDArray[np.bool_] = np.isfinite(self.boxes[:, 0])
        return result


@dataclass(frozen=True, eq=False)
class Repaired:
    """Both sights with their short gaps filled, and the verdict on frames and video."""

    sights: Mapping[str, Sight]
    bridged: NDArray[np.bool_]
    frame_reasons: tuple[str | None, ...]
    reason: str | None


def repair(sights: Mapping[str, Sight], width: int, height: int, rule: DetectionRule) -> Repaired:
    """Fill the short gaps of subject and object and judge the clip; sights by noun, the subject first."""
    frames = len(next(iter(sights.values())).boxes)
    filled, bridged = {}, np.zeros(frames, dtype=bool)
    for noun, sight in sights.items():
        filled[noun], gaps = bridge(sight, rule)
        bridged |= gaps
    reasons = _frame_reasons(filled)
    counts = [reason is None for reason in reasons]
    scaled = rule.validity.for_length(frames)
    crowded = int(np.any([sight.rival for sight in sights.values()], axis=0).sum()) if frames else 0
    reason = (
        video_reason(counts, crowded, first_run_of(counts, scaled.min_run), reasons, scaled)
        or _swap(sights)
        or _leap(sights, rule)
        or _elsewhere(sights, rule)
        or _blink(sights, width, height, rule)
        or _unseen_end(counts, rule)
    )
    return Repaired(filled, bridged & np.array(counts, dtype=bool), reasons, reason)


def bridge(sight: Sight, rule: DetectionRule) -> tuple[Sight, NDArray[np.bool_]]:
    """The sight with gaps of up to `rule.gap` frames filled by straight lines, and which frames those are.

    A gap is left open when the way across it is beyond the rule's reach. Confidences there are the lower of both ends'.
    """
    frames = len(sight.boxes)
    boxes, confidences = sight.boxes.copy(), sight.confidences.copy()
    gaps = np.zeros(frames, dtype=bool)
    at = np.flatnonzero(sight.seen)
    for start, end in itertools.pairwise(at):
        if not 1 < end - start <= rule.gap(frames) + 1:
            continue
        if _sizes_moved(sight.boxes[start], sight.boxes[end]) > rule.speed(frames) * (end - start):
            continue
        inside = np.arange(start + 1, end)
        part = ((inside - start) / (end - start))[:, None]
        boxes[inside] = boxes[start] * (1 - part) + boxes[end] * part
        confidences[inside] = min(confidences[start], confidences[end])
        gaps[inside] = True
    return Sight(boxes, confidences, sight.rival, sight.elsewhere), gaps


def best_run(sights: Sequence[Sight]) -> int | None:
    """The frame to start a mask tracker from: the surest of the longest run in which all are seen and nobody rivals.

    None when they are never seen together.
    """
    good = np.all([sight.seen & ~sight.rival for sight in sights], axis=0)
    if not good.any():
        good = np.all([sight.seen for sight in sights], axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return None
    longest = int((ends - starts).argmax())
    run = slice(int(starts[longest]), int(ends[longest]))
    # Big and sure: half hidden, it would teach the tracker half of the thing.
    sure = np.prod([sight.confidences[run] * box_size(sight.boxes[run]) for sight in sights], axis=0)
    return run.start + int(sure.argmax())


def _frame_reasons(sights: Mapping[str, Sight]) -> tuple[str | None, ...]:
    (subject, one), (object, other) = sights.items()
    reasons: list[str | None] = []
    for there, its_there, rival, its_rival in zip(one.seen, other.seen, one.rival, other.rival, strict=True):
        if not there and not its_there:
            reasons.append(f"neither the {subject} nor the {object} was found")
        elif not there or not its_there:
            reasons.append(f"the {object if there else subject} was not found")
        elif rival or its_rival:
            reasons.append(f"more than one {subject if rival else object} was found")
        else:
            reasons.append(None)
    return tuple(reasons)


def _swap(sights: Mapping[str, Sight]) -> str | None:
    (subject, one), (object, other) = sights.items()
    at = np.flatnonzero(one.seen & other.seen)
    before, after = at[:-1], at[1:]
    crossed = (iou(one.boxes[before], other.boxes[after]) > _SWAPPED) & (
        iou(other.boxes[before], one.boxes[after]) > _SWAPPED
    )
    stayed = (iou(one.boxes[before], one.boxes[after]) > 0.3) | (
        iou(other.boxes[before], other.boxes[after]) > 0.3
    )
    return _between(f"the {subject} and the {object} change places", before, after, crossed & ~stayed)


def _leap(sights: Mapping[str, Sight], rule: DetectionRule) -> str | None:
    """Leaps of one relative to the other, so that a panning or cutting camera that keeps both is none."""
    (subject, one), (object, other) = sights.items()
    frames = len(one.boxes)
    at = np.flatnonzero(one.seen & other.seen)
    before, after = at[:-1], at[1:]
    reach = rule.speed(frames) * (after - before)
    centres = [(sight.boxes[:, :2] + sight.boxes[:, 2:]) / 2 for sight in (one, other)]
    relative = centres[0] - centres[1]
    sizes = [_usual_size(sight.boxes[at])[:-1] for sight in (one, other)]
    own = [np.linalg.norm(c[after] - c[before], axis=-1) for c in centres]
    who = np.where(own[0] >= own[1], 0, 1)
    way = np.linalg.norm(relative[after] - relative[before], axis=-1) / np.where(who == 0, *sizes)
    for index, noun in enumerate((subject, object)):
        reason = _between(f"the {noun} jumps", before, after, (way > reach) & (who == index))
        if reason:
            return reason
    return None


def _usual_size(boxes: Floats) -> Floats:
    """The largest size within three sightings of each, (N, 4) -> (N,): what is half hidden is still as big."""
    around = np.pad(box_size(boxes), 3, mode="edge") if len(boxes) else np.zeros(6)
    usual: Floats = np.lib.stride_tricks.sliding_window_view(around, 7).max(-1)
    return usual


def _elsewhere(sights: Mapping[str, Sight], rule: DetectionRule) -> str | None:
    for noun, sight in sights.items():
        if sight.elsewhere.sum() > rule.gap(len(sight.boxes)):
            first = int(np.flatnonzero(sight.elsewhere)[0])
            return f"another {noun} takes the place of the first (frame {first + 1})"
    return None


def _blink(sights: Mapping[str, Sight], width: int, height: int, rule: DetectionRule) -> str | None:
    """Gaps longer than `rule.blink`, with the whole thing seen on both sides of it and far from the picture's edge."""
    for noun, sight in sights.items():
        at = np.flatnonzero(sight.seen)
        if not len(at):
            continue
        boxes = sight.boxes
        areas = box_size(boxes) ** 2
        margin = _EDGE * np.median(box_size(boxes[at]))
        room = np.concatenate([boxes[:, :2], np.array([width, height]) - boxes[:, 2:]], axis=1)
        inside = room.min(axis=1) >= margin
        for start, end in itertools.pairwise(at):
            if end - start - 1 <= rule.blink(len(boxes)):
                continue
            usual = [np.median(areas[at[at <= start][-8:]]), np.median(areas[at[at >= end][:8]])]
            whole = areas[start] >= _WHOLE * usual[0] and areas[end] >= _WHOLE * usual[1]
            if whole and inside[start] and inside[end]:
                return f"the {noun} vanishes in frame {start + 2} and is back in frame {end + 1}"
    return None


def _unseen_end(counts: Sequence[bool], rule: DetectionRule) -> str | None:
    at = np.flatnonzero(counts)
    frames = len(counts)
    for missing, end in ((int(at[0]), "first"), (frames - 1 - int(at[-1]), "last")):
        if missing > rule.unseen(frames):
            most = rule.unseen(frames)
            return f"the {end} {missing} of {frames} frames do not show both; at most {most} may be missing"
    return None


def _between(
    words: str, before: NDArray[np.int64], after: NDArray[np.int64], where: NDArray[np.bool_]
) -> str | None:
    if not where.any():
        return None
    first = int(np.flatnonzero(where)[0])
    return f"{words} between frame {before[first] + 1} and frame {after[first] + 1}"


def _sizes_moved(before: Floats, after: Floats) -> float:
    way = np.linalg.norm((after[:2] + after[2:] - before[:2] - before[2:]) / 2)
    return float(way / max(box_size(before), box_size(after)))
