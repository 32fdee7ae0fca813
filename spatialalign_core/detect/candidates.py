"""Of everything that was found: one box a thing, and of several things of one noun the one to follow.

A thing is a path through the frames with at most one detection a frame. The worth of a path is how sure its detections
are, less what it would take to move like that; the best path is found by dynamic programming (Viterbi), the next one in
what it leaves over. Of paths that are about as well detected the biggest is followed: a person in front, not one
far behind. A big one that is detected now and then, and not surely, is no match for a small one that is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Detection
from .validity import UNKNOWN, DetectionRule, Picture

Floats = NDArray[np.float64]

_SAME = 0.7  # IoU from which two boxes of one noun are one thing
_SAME_PLACE = 0.9  # IoU from which two boxes of different nouns are one thing
_MOST = 8  # candidates of a noun in a frame that are looked at, the surest first
_STRAY = (
    0.1  # what moving by one's own size costs, next to 1 for a sure detection: the nearer one is preferred
)
_BIGGER = (
    0.25  # power of the size in a detection's worth: of two that are about as sure the bigger is preferred
)
_GROWTH = 0.35  # change of size, in powers of e, that costs nothing from frame to frame,
_SLOWLY = 0.1  # share of it that is added by each frame between two,
_FADING = 0.9  # how much of its size a thing keeps at least from frame to frame
_TOO_MUCH = 0.2  # and what more of it is a leap
_LEAP = 0.25  # share of the clip that must be gained for a path to leap
_AS_WELL = 0.5  # share of the best path's worth, and
_AS_SURELY = 0.8  # of its mean confidence, from which a bigger thing is followed instead,
_RIVAL = 0.35  # and share of the followed one's from which it leaves in doubt which is meant
_AS_BIG = 0.75  # share of the followed one's size, and
_AS_SURE = 0.5  # share of its confidence, from which another of its kind is as good a candidate
_COVERED = 0.8  # share of the smaller box from which two nouns may be one thing, where one of them
_LESS_SURE = 0.9  # is less sure than the same noun elsewhere


def suppress(found: Sequence[Sequence[Detection]]) -> list[list[Detection]]:
    """Class-aware NMS: of boxes that show one thing under one noun only the surest stays, in the order found.

    Two nouns in the same place are one thing as well, which the detector cannot tell apart: the surer noun stays.
    """
    return [_one_noun_a_place(each) for each in _one_box_a_thing(found)]


def _one_box_a_thing(found: Sequence[Sequence[Detection]]) -> list[list[Detection]]:
    result = [list(each) for each in found]
    # Most frames show each noun once; torch need not be asked about them.
    crowded = [i for i, each in enumerate(result) if len({one.noun for one in each}) < len(each)]
    if not crowded:
        return result
    import torch
    from torchvision.ops import batched_nms

    flat = [(frame, each) for frame in crowded for each in result[frame]]
    numbers: dict[tuple[int, str], int] = {}
    groups = [numbers.setdefault((frame, each.noun), len(numbers)) for frame, each in flat]
    kept = batched_nms(
        torch.from_numpy(np.stack([each.box for _, each in flat])),
        torch.tensor([each.confidence for _, each in flat], dtype=torch.float64),
        torch.tensor(groups),
        _SAME,
    )
    for frame in crowded:
        result[frame] = []
    for index in sorted(kept.tolist()):
        frame, each = flat[index]
        result[frame].append(each)
    return result


def _one_noun_a_place(found: list[Detection]) -> list[Detection]:
    if len(found) < 2:
        return found
    boxes = np.stack([each.box for each in found])
    same = iou(boxes[:, None], boxes) >= _SAME_PLACE
    kept: list[int] = []
    for index in sorted(range(len(found)), key=lambda i: -found[i].confidence):
        if not any(same[index, other] and found[index].noun != found[other].noun for other in kept):
            kept.append(index)
    return [found[index] for index in sorted(kept)]


def iou(one: Floats, other: Floats) -> Floats:
    """Shared part of two boxes, 0..1: (..., 4), (..., 4) -> (...); NaN for NaN, 0 for two boxes without any area."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    common = np.clip(high - low, 0, None).prod(-1)
    both = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    result: Floats = common / np.maximum(both - common, 1e-9)
    return result


@dataclass(frozen=True, eq=False)
class Candidates:
    """The detections of one noun as arrays: boxes (F, K, 4) and confidences (F, K), NaN where there are fewer.

    index: (F, K) place of each in its frame's list, -1 where there is none.
    """

    boxes: Floats
    confidences: Floats
    index: NDArray[np.int64]

    @property
    def centres(self) -> Floats:
        """(F, K, 2) pixels."""
        return (self.boxes[..., :2] + self.boxes[..., 2:]) / 2

    @property
    def sizes(self) -> Floats:
        """(F, K) pixels: the side of a square of the box's area."""
        return box_size(self.boxes)


def box_size(boxes: Floats) -> Floats:
    """Side of a square of each box's area, (..., 4) -> (...); NaN for NaN, never 0."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 1e-3)
    size: Floats = np.sqrt(sides[..., 0] * sides[..., 1])
    return size


def candidates(found: Sequence[Sequence[Detection]], noun: str) -> Candidates:
    """The detections of a noun, the surest first."""
    ranked = [
        sorted((i for i, each in enumerate(all_) if each.noun == noun), key=lambda i: -all_[i].confidence)[
            :_MOST
        ]
        for all_ in found
    ]
    width = max((len(row) for row in ranked), default=0)
    boxes = np.full((len(found), width, 4), np.nan)
    confidences = np.full((len(found), width), np.nan)
    index = np.full((len(found), width), -1, dtype=np.int64)
    for frame, row in enumerate(ranked):
        for place, i in enumerate(row):
            boxes[frame, place] = found[frame][i].box
            confidences[frame, place] = found[frame][i].confidence
            index[frame, place] = i
    return Candidates(boxes, confidences, index)


def best_path(
    things: Candidates, rule: DetectionRule, picture: Picture = UNKNOWN
) -> tuple[NDArray[np.int64], float]:
    """Which candidate to follow in each frame, (F,), -1 for none of them; and the worth of that path.

    A step within the rule's reach costs next to nothing, beyond it quickly as much as a leap, which has to gain a
    quarter of the clip; so does a sudden change of size, unless the picture's edge cuts off what is smaller. Through a
    gap the reach grows with its length.
    """
    frames, width = things.index.shape
    path = np.full(frames, -1, dtype=np.int64)
    there = things.index >= 0
    if not there.any():
        return path, 0.0
    sizes, centres = things.sizes, things.centres
    worth = things.confidences * np.minimum(1.0, sizes / np.quantile(sizes[there], 0.9)) ** _BIGGER
    worth = np.where(there, worth, -np.inf)
    cut = picture.cut(things.boxes)
    speed, window = rule.speed(frames, picture.fps), rule.gap(frames) + 1
    leap = max(1.5, _LEAP * frames)

    value = np.full((frames, width), -np.inf)
    before = np.full((frames, width), -1, dtype=np.int64)  # frame * width + candidate
    usual = sizes.copy()  # of the thing on the best path there: half hidden it is as big as before
    oldest = -1  # end of the best path among those that ended before the window
    for frame in range(frames):
        old = frame - window - 1
        if old >= 0:
            end = old * width + int(value[old].argmax())
            if oldest < 0 or value.flat[end] > value.flat[oldest]:
                oldest = end
        first = max(0, frame - window) * width
        ends = np.arange(first, frame * width)
        if oldest >= 0:
            ends = np.concatenate([[oldest], ends])
        value[frame] = 0.0
        if len(ends):
            at, which = ends // width, ends % width
            steps = (frame - at)[:, None]
            own = usual[at, which][:, None]
            way = np.linalg.norm(centres[at, which][:, None] - centres[frame], axis=-1)
            size = np.sqrt(own * sizes[frame])
            growth = np.log(sizes[frame] / own)
            part = np.where(growth > 0, cut[at, which][:, None], cut[frame])
            growth = np.where(part, 0.0, np.abs(growth))
            grown = np.maximum(0.0, growth - _GROWTH * (1 + _SLOWLY * (steps - 1))) / _TOO_MUCH
            too_far = np.maximum(0.0, way / (speed * np.maximum(size * steps, picture.small)) - 1)
            reached = (
                value[at, which][:, None] - leap * np.minimum(too_far + grown, 1.0) - _STRAY * way / size
            )
            reached = np.where(np.isnan(reached), -np.inf, reached)
            better = reached.max(0) > 0.0
            value[frame] = np.where(better, reached.max(0), 0.0)
            before[frame] = np.where(better, ends[reached.argmax(0)], -1)
            earlier = np.where(better, usual.flat[ends[reached.argmax(0)]], 0.0)
            usual[frame] = np.maximum(sizes[frame], _FADING * earlier)
        value[frame] += worth[frame]
    place = int(value.argmax())
    best = float(value.flat[place])
    while place >= 0:
        path[place // width] = place % width
        place = int(before.flat[place])
    return path, best


def _filled_up(
    things: Candidates, path: NDArray[np.int64], rule: DetectionRule, picture: Picture
) -> NDArray[np.int64]:
    """The path with candidates in its gaps that one of the gap's ends can have moved to, or on the way between them.

    The best path may leave a few frames out to make the way between two places look slower than it was.
    """
    path, frames = path.copy(), len(path)
    speed, sizes, centres = rule.speed(frames, picture.fps), things.sizes, things.centres
    at = np.flatnonzero(path >= 0)
    for start, end in itertools.pairwise(at.tolist()):
        step = (centres[end, path[end]] - centres[start, path[start]]) / (end - start)
        for last, inside in ((start, range(start + 1, end)), (end, range(end - 1, start, -1))):
            for frame in inside:
                if path[frame] >= 0 or not (things.index[frame] >= 0).any():
                    continue
                here = last, path[last]
                way = np.linalg.norm(centres[frame] - centres[here], axis=-1)
                far = speed * max(abs(frame - last) * sizes[here], picture.small)
                same = np.abs(np.log(sizes[frame] / sizes[here])) <= 3 * _GROWTH
                # What is flung is soon beyond any reach, but on its way to where it is seen next.
                between = centres[start, path[start]] + (frame - start) * step
                on_its_way = np.linalg.norm(centres[frame] - between, axis=-1) <= far + np.linalg.norm(step)
                near = ((way <= far) | on_its_way) & same
                if near.any():
                    path[frame] = int(np.where(near, way, np.inf).argmin())
                    last = frame
    return path


@dataclass(frozen=True, eq=False)
class Followed:
    """One thing through the video: its place in each frame's list (-1 where it is not), boxes (F, 4) and confidences.

    rival: bool (F,), frames in which another of its kind stands there as big and as sure. elsewhere: bool (F,), frames
    in which it is not, but one as big and as sure is found in a place that it cannot have reached.
    """

    picks: NDArray[np.int64]
    boxes: Floats
    confidences: Floats
    rival: NDArray[np.bool_]
    elsewhere: NDArray[np.bool_]


def follow(
    found: Sequence[Sequence[Detection]],
    noun: str,
    rule: DetectionRule,
    picture: Picture = UNKNOWN,
    other_boxes: Floats | None = None,
) -> Followed:
    """The most consistent thing of that noun, and whether there is a rival to it.

    other_boxes: (F, 4) of the other noun's thing. A less sure find in its very place is that thing under a wrong name.
    """
    things = candidates(found, noun)
    paths = _paths(things, rule, picture)
    if not paths:
        boxes, confidences, picks = _along(things, np.full(len(found), -1, dtype=np.int64))
        none = np.zeros(len(found), dtype=bool)
        return Followed(picks, boxes, confidences, none, none.copy())
    path, worth = paths.pop(_leading(things, paths))
    boxes, confidences, picks = _along(things, path)
    seen = path >= 0
    rival, elsewhere = np.zeros_like(seen), np.zeros_like(seen)
    for each, its_worth in paths:
        # What flashes up for a moment is no thing.
        other = lasting(each >= 0, rule.gap(len(seen)) + 1)
        if not other.any():
            continue
        its_boxes, its_confidences, _ = _along(things, each)
        size = np.median(box_size(its_boxes[other])) / np.median(box_size(boxes[seen]))
        sure = np.mean(its_confidences[other]) / np.maximum(np.mean(confidences[seen]), 1e-9)
        if size < _AS_BIG or sure < _AS_SURE:
            continue
        if (
            sure < _LESS_SURE
            and other_boxes is not None
            and _same_place(its_boxes[other], other_boxes[other])
        ):
            continue
        together = other & seen
        if together.sum() <= 0.2 * other.sum():
            elsewhere |= other & ~seen
        elif its_worth >= _RIVAL * worth:
            rival |= together
    return Followed(picks, boxes, confidences, rival, elsewhere)


_Path = tuple[NDArray[np.int64], float]


def _paths(things: Candidates, rule: DetectionRule, picture: Picture) -> list[_Path]:
    """The best path, the best one through what it leaves over, and so on; each with its worth."""
    paths: list[_Path] = []
    left = things
    for _ in range(things.index.shape[1] + 1):
        path, worth = best_path(left, rule, picture)
        if not (path >= 0).any():
            break
        path = _filled_up(left, path, rule, picture)
        paths.append((path, worth))
        left = _without(left, path)
    return paths


def _leading(things: Candidates, paths: Sequence[_Path]) -> int:
    """Which path to follow: the first, or a bigger thing that is about as well detected beside it."""
    first = paths[0][0] >= 0
    least = _AS_SURELY * np.nanmean(_along(things, paths[0][0])[1])
    sizes = []
    for path, worth in paths:
        seen = path >= 0
        boxes, confidences, _ = _along(things, path)
        beside = (seen & first).sum() > 0.5 * seen.sum()
        as_well = worth >= _AS_WELL * paths[0][1] and np.nanmean(confidences) >= least
        sizes.append(float(np.median(box_size(boxes[seen]))) if beside and as_well else 0.0)
    return int(np.argmax(sizes))


def _same_place(boxes: Floats, others: Floats) -> bool:
    """Whether two things cover each other in most of the frames in which both are seen, (N, 4), (N, 4)."""
    both = np.isfinite(others[:, 0])
    low = np.maximum(boxes[both, :2], others[both, :2])
    high = np.minimum(boxes[both, 2:], others[both, 2:])
    smaller = np.minimum(box_size(boxes[both]), box_size(others[both])) ** 2
    covered = np.clip(high - low, 0, None).prod(-1) >= _COVERED * smaller
    return bool(len(covered)) and bool(covered.mean() > 0.5)


def lasting(there: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """The runs of at least that many frames, (F,) -> (F,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    result = np.zeros_like(there)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        result[start:end] = end - start >= least
    return result


def _along(things: Candidates, path: NDArray[np.int64]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    if not things.index.shape[1]:
        frames = len(path)
        return np.full((frames, 4), np.nan), np.full(frames, np.nan), path
    rows, seen = np.arange(len(path)), path >= 0
    return (
        np.where(seen[:, None], things.boxes[rows, path], np.nan),
        np.where(seen, things.confidences[rows, path], np.nan),
        np.where(seen, things.index[rows, path], -1),
    )


def _without(things: Candidates, path: NDArray[np.int64]) -> Candidates:
    taken = np.zeros(things.index.shape, dtype=bool)
    rows = np.flatnonzero(path >= 0)
    taken[rows, path[rows]] = True
    return Candidates(
        np.where(taken[..., None], np.nan, things.boxes),
        np.where(taken, np.nan, things.confidences),
        np.where(taken, -1, things.index),
    )
