"""The `default` rule: short gaps are filled and marked, and what cannot be one thing's motion is found and said.

Real things do not leap across the picture from one frame to the next, do not change places with each other, and do not
go out like a lamp in the middle of the picture. Where a track does, either the video is wrong or the detector is, and
neither gives a score to trust. But a ball that is kicked flies on, what is behind the other thing is hidden, and what
comes back just where it has to be by then may only have been missed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidates import box_size, iou
from .validity import UNKNOWN, DetectionRule, Picture, first_run_of, video_reason

Floats = NDArray[np.float64]

_WHOLE = 0.8  # share of a thing's usual area from which it is seen whole
_EDGE = 0.25  # nearer to the picture's edge than this many sizes it may have walked in or out
_SWAPPED = 0.5  # IoU with the other's last box from which two have changed places
_HIDDEN = 0.5  # share of a box inside the other's from which the other may hide it
_FASTER = 1.5  # than just before or after, and in the same direction: no leap, but fast motion
_ASTRAY = 1.0  # sizes that something may be off its own motion after it was not found for a while
_RESIZED = 0.45  # change of size, in powers of e, that it may have had by then


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


def repair(sights: Mapping[str, Sight], picture: Picture, rule: DetectionRule) -> Repaired:
    """Fill the short gaps of subject and object and judge the clip; sights by noun, the subject first."""
    frames = len(next(iter(sights.values())).boxes)
    filled, bridged = {}, np.zeros(frames, dtype=bool)
    for noun, sight in sights.items():
        filled[noun], gaps = bridge(sight, rule, picture)
        bridged |= gaps
    reasons = _frame_reasons(filled)
    counts = [reason is None for reason in reasons]
    scaled = rule.validity.for_length(frames)
    crowded = int(np.any([sight.rival for sight in sights.values()], axis=0).sum()) if frames else 0
    reason = (
        video_reason(counts, crowded, first_run_of(counts, scaled.min_run), reasons, scaled)
        or _swap(sights)
        or _leap(sights, rule, picture)
        or _elsewhere(sights, rule)
        or _blink(sights, rule, picture)
        or _unseen_end(sights, counts, rule)
    )
    return Repaired(filled, bridged & np.array(counts, dtype=bool), reasons, reason)


def bridge(sight: Sight, rule: DetectionRule, picture: Picture = UNKNOWN) -> tuple[Sight, NDArray[np.bool_]]:
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
        size = float(box_size(sight.boxes[[start, end]]).max())
        way = np.linalg.norm(_centres(sight.boxes[end]) - _centres(sight.boxes[start]))
        if way > rule.speed(frames, picture.fps) * max(size * (end - start), picture.small):
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


def _leap(sights: Mapping[str, Sight], rule: DetectionRule, picture: Picture) -> str | None:
    """Leaps of one relative to the other, so that a panning or cutting camera that keeps both is none."""
    (subject, one), (object, other) = sights.items()
    frames = len(one.boxes)
    at = np.flatnonzero(one.seen & other.seen)
    if len(at) < 2:
        return None
    before, after = at[:-1], at[1:]
    centres = [_centres(sight.boxes) for sight in (one, other)]
    relative = centres[0] - centres[1]
    sizes = np.stack([_usual_size(sight.boxes[at])[:-1] for sight in (one, other)])
    own = [np.linalg.norm(c[after] - c[before], axis=-1) for c in centres]
    who = np.where(own[0] >= own[1], 0, 1)
    # What a thing is placed by may be much bigger than itself: half way past a man is no leap of his racket.
    size = np.maximum(np.where(who == 0, *sizes), sizes.mean(0))
    velocity = (relative[after] - relative[before]) / (after - before)[:, None]
    speed = np.linalg.norm(velocity, axis=-1)
    reach = rule.speed(frames, picture.fps) * np.maximum(size, picture.small)
    leaps = speed > np.maximum(reach, _FASTER * _pace_around(velocity))
    for index, noun in enumerate((subject, object)):
        reason = _between(f"the {noun} jumps", before, after, leaps & (who == index))
        if reason:
            return reason
    return None


def _pace_around(velocity: Floats) -> Floats:
    """How fast it goes in the same direction just before or after each step, (N, 2) -> (N,); 0 where it turns."""
    speed = np.linalg.norm(velocity, axis=-1)
    straight = (velocity[1:] * velocity[:-1]).sum(-1) > 0.7 * speed[1:] * speed[:-1]
    pace = np.zeros(len(speed))
    pace[1:] = np.where(straight, speed[:-1], 0.0)
    pace[:-1] = np.maximum(pace[:-1], np.where(straight, speed[1:], 0.0))
    return pace


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


def _blink(sights: Mapping[str, Sight], rule: DetectionRule, picture: Picture) -> str | None:
    """Gaps longer than `rule.blink`, with the whole thing seen on both sides of it and far from the picture's edge.

    Unless the other thing may hide it, or it comes back where it has to be by then: see `DetectionRule.missed`.
    """
    for (noun, sight), other in zip(sights.items(), reversed(list(sights.values())), strict=True):
        at = np.flatnonzero(sight.seen)
        if not len(at):
            continue
        boxes = sight.boxes
        areas = box_size(boxes) ** 2
        hidden = _hidden(sight, other, rule)
        margin = _EDGE * np.median(box_size(boxes[at]))
        size = np.array([picture.width or np.inf, picture.height or np.inf])
        room = np.concatenate([boxes[:, :2], size - boxes[:, 2:]], axis=1)
        inside = room.min(axis=1) >= margin
        for start, end in itertools.pairwise(at.tolist()):
            missing = end - start - 1
            if missing <= rule.blink(len(boxes)) or not (inside[start] and inside[end]):
                continue
            usual = [np.median(areas[at[at <= start][-8:]]), np.median(areas[at[at >= end][:8]])]
            if areas[start] < _WHOLE * usual[0] or areas[end] < _WHOLE * usual[1]:
                continue
            if missing <= rule.missed(len(boxes)) and _where_it_has_to_be(boxes, at, start, end):
                continue
            if missing - hidden[start + 1 : end].sum() > rule.blink(len(boxes)):
                return f"the {noun} vanishes in frame {start + 2} and is back in frame {end + 1}"
    return None


def _where_it_has_to_be(boxes: Floats, at: NDArray[np.int64], start: int, end: int) -> bool:
    """Whether it is after a gap as big as before, and in a place that its motion before or after leads to, or rest."""
    sizes = box_size(boxes[[start, end]])
    if abs(np.log(sizes[0] / sizes[1])) > _RESIZED:
        return False
    way = _centres(boxes[end]) - _centres(boxes[start])
    led = [np.zeros(2)]
    for around in (at[at <= start][-4:], at[at >= end][:4]):
        if len(around) > 1:
            moved = _centres(boxes[around[-1]]) - _centres(boxes[around[0]])
            led.append(moved / (around[-1] - around[0]) * (end - start))
    return bool(min(np.linalg.norm(way - each) for each in led) <= _ASTRAY * sizes.max())


def _hidden(sight: Sight, other: Sight, rule: DetectionRule) -> NDArray[np.bool_]:
    """Frames in which it is not seen and the other thing may be in front of it, (F,).

    Between two sightings it is taken to move straight on, before and after all of them to rest; the other thing to be
    where it was seen nearest in time, not too long ago.
    """
    hidden = np.zeros(len(sight.boxes), dtype=bool)
    at, others, frames = np.flatnonzero(sight.seen), np.flatnonzero(other.seen), np.flatnonzero(~sight.seen)
    if not len(at) or not len(others) or not len(frames):
        return hidden
    boxes = np.stack([np.interp(frames, at, sight.boxes[at, side]) for side in range(4)], axis=1)
    apart = np.abs(others[None] - frames[:, None])
    screen = other.boxes[others[apart.argmin(1)]]
    low, high = np.maximum(boxes[:, :2], screen[:, :2]), np.minimum(boxes[:, 2:], screen[:, 2:])
    inside = np.clip(high - low, 0, None).prod(-1) >= _HIDDEN * box_size(boxes) ** 2
    hidden[frames] = inside & (apart.min(1) <= rule.unseen(len(hidden)))
    return hidden


def _unseen_end(sights: Mapping[str, Sight], counts: Sequence[bool], rule: DetectionRule) -> str | None:
    at = np.flatnonzero(counts)
    frames = len(counts)
    one, other = sights.values()
    hidden = _hidden(one, other, rule) | _hidden(other, one, rule)
    for missing, out, end in (
        (int(at[0]), slice(0, at[0]), "first"),
        (frames - 1 - int(at[-1]), slice(at[-1] + 1, None), "last"),
    ):
        if missing - hidden[out].sum() > rule.unseen(frames):
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


def _centres(boxes: Floats) -> Floats:
    result: Floats = (boxes[..., :2] + boxes[..., 2:]) / 2
    return result
