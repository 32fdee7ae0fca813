"""The published score: how well a video obeys "first here, then there" (arXiv 2602.22745).

SSR says for one frame how much the subject is at a relation to the object; the DSR-Score sums up a video from the
first relation at its start, the last relation at its end, and how much both changed in between. Score and accuracy are
arithmetic on boxes and equal the authors' released procedure; an improved score gets another name. `obeys` is ours: it
is the one place that decides what is said of a video in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .relations import Relation, RelationChange
from .tracks import Track, least_frames

PUBLISHED_MIN_FRAMES = 20
TAUS: tuple[float, ...] = tuple(step / 10 for step in range(10))
GOOD = 0.7
"""The published threshold of the DSR-Score, as in accuracy@0.7."""
END_SSR = 0.2
"""SSR at the start, or at the end, below which the subject is not where the sentence says."""
_ENDS = 3  # frames that the score looks at on either end
_OVER = 0.25  # share of the narrower width from which one thing is over or under the other
_CLEARER = 0.05  # SSR by which another relation must be ahead to be the one that is seen

End = Literal["initial_ssr", "final_ssr"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """DSR-Score of one video and its four parts; all of them None when the video is INVALID, with the reason.

    dsr is in 0..1; initial_ssr, final_ssr, initial_gap and final_gap are in -1..1. missed: which ends are not where the
    sentence says, as the boxes show it, see `missed_ends`; None where only the numbers are known.
    """

    valid: bool
    reason: str | None
    dsr: float | None
    initial_ssr: float | None
    final_ssr: float | None
    initial_gap: float | None
    final_gap: float | None
    scored_frames: int
    missed: tuple[End, ...] | None = None


def ssr(subject_boxes: ArrayLike, object_boxes: ArrayLike, relation: Relation) -> Floats:
    """How much the subject is at `relation` to the object, in -1..1.

    Boxes: xyxy pixels with y down, shape (..., 4). Returns (...,); NaN where a box is NaN. Boxes without any size get
    the limit of the formula: full distance where the centres differ, none where they do not.
    """
    subject, object = (np.asarray(boxes, dtype=np.float64) for boxes in (subject_boxes, object_boxes))
    distance = (subject[..., :2] + subject[..., 2:] - object[..., :2] - object[..., 2:]) / 2
    reach = ((subject[..., 2:] - subject[..., :2]) + (object[..., 2:] - object[..., :2])) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.clip(np.where(distance == 0, 0.0, np.abs(distance) / reach), 0.0, 1.0)
        length = np.hypot(distance[..., 0], distance[..., 1])[..., None]
        cosine = np.where(length == 0, 0.0, distance / length)
    axis, sign = _AXES[relation]
    result: Floats = sign * cosine[..., axis] * apart[..., axis]
    return result


_AXES: dict[Relation, tuple[int, float]] = {
    Relation.LEFT: (0, -1.0),
    Relation.RIGHT: (0, 1.0),
    Relation.TOP: (1, -1.0),
}


def counted(subject_boxes: ArrayLike, object_boxes: ArrayLike) -> NDArray[np.bool_]:
    """Frames that can be scored: both boxes there, both widths and the summed height not zero. (..., 4) -> (...)."""
    subject, object = (np.asarray(boxes, dtype=np.float64) for boxes in (subject_boxes, object_boxes))
    there = np.isfinite(subject).all(-1) & np.isfinite(object).all(-1)
    widths = [boxes[..., 2] - boxes[..., 0] for boxes in (subject, object)]
    heights = [boxes[..., 3] - boxes[..., 1] for boxes in (subject, object)]
    result: NDArray[np.bool_] = there & (widths[0] != 0) & (widths[1] != 0) & (heights[0] + heights[1] != 0)
    return result


def ssr_sequences(track: Track, change: RelationChange) -> tuple[Floats, Floats]:
    """SSR of the first and of the last relation in every frame, (F,) each; NaN in frames that do not count."""
    counts = _counted_frames(track)
    first, last = (ssr(track.subject_boxes, track.object_boxes, r) for r in (change.initial, change.final))
    return np.where(counts, first, np.nan), np.where(counts, last, np.nan)


def score_track(track: Track, change: RelationChange, min_frames: int | None = None) -> Score:
    """Score of one video; see `score_tracks`."""
    return score_tracks([track], [change], min_frames)[0]


def score_tracks(
    tracks: Sequence[Track], changes: Sequence[RelationChange], min_frames: int | None = None
) -> list[Score]:
    """Scores of many videos at once; lengths may differ.

    A video whose track gives a reason is INVALID for that reason. Otherwise it needs `min_frames` counted frames; None
    means the published share of its length, 20 of 81. ValueError when there is not one change for each track.
    """
    if len(tracks) != len(changes):
        raise ValueError(f"{len(tracks)} tracks need as many relation changes, got {len(changes)}.")
    if not tracks:
        return []
    sequences = [ssr_sequences(track, change) for track, change in zip(tracks, changes, strict=True)]
    parts, counts = dsr_parts(
        _padded(first for first, _ in sequences), _padded(last for _, last in sequences)
    )
    scores = []
    for track, change, numbers, count in zip(tracks, changes, parts, counts, strict=True):
        needed = least_frames(PUBLISHED_MIN_FRAMES, track.frames) if min_frames is None else min_frames
        reason = track.reason or _too_few(int(count), needed, track.frames)
        missed = None if reason else _missed(track, change)
        scores.append(_score(reason, numbers, int(count), missed))
    return scores


def score_published(tracks: Sequence[Track], changes: Sequence[RelationChange]) -> list[Score]:
    """Scores by the published rule: 20 counted frames, however long the video is."""
    return score_tracks(tracks, changes, PUBLISHED_MIN_FRAMES)


def dsr_parts(first: ArrayLike, last: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    """DSR-Score and parts from the SSR sequences of N videos.

    first, last: (N, F) SSR of the first and the last relation in time order, NaN in frames that do not count (padding
    too). Returns (N, 5), columns dsr, initial_ssr, final_ssr, initial_gap, final_gap, NaN without any counted frame;
    and the number of counted frames (N,).
    """
    first, last = (np.asarray(values, dtype=np.float64) for values in (first, last))
    counts = np.isfinite(first) & np.isfinite(last)
    number = counts.sum(1)
    # The counted frames move to the front and keep their order.
    order = np.argsort(~counts, axis=1, kind="stable")
    first, last = (np.take_along_axis(values, order, axis=1) for values in (first, last))
    # Videos without a counted frame, or without any frame, get one column of NaN to read from.
    first, last = (np.pad(values, ((0, 0), (0, 1)), constant_values=np.nan) for values in (first, last))

    rows = np.arange(len(number))
    end = np.maximum(number - 1, 0)
    index = np.arange(3)
    share = np.minimum(number, 3)
    inside = index < share[:, None]
    from_start = np.where(inside, index, 0)
    from_end = np.where(inside, end[:, None] - index, 0)
    with np.errstate(invalid="ignore"):
        initial = np.where(inside, first[rows[:, None], from_start], 0.0).sum(1) / share
        final = np.where(inside, last[rows[:, None], from_end], 0.0).sum(1) / share
    initial_gap = (first[:, 0] - first[rows, end]) / 2
    final_gap = (last[rows, end] - last[:, 0]) / 2
    dsr = (initial + initial_gap + final + final_gap) / 8 + 0.5
    return np.stack([dsr, initial, final, initial_gap, final_gap], axis=1), number


def obeys(score: Score, tau: float = GOOD) -> bool:
    """Whether a video does what its sentence says: valid, a DSR-Score of at least `tau`, and both ends right.

    The score alone is a mean of four parts, of which three can make up for the fourth: a subject that passes the object
    at one height scores 0.75 for "... then on top of". So SSR must also be at least `END_SSR` at the start and at the
    end.
    """
    return score.valid and score.dsr is not None and score.dsr >= tau and not missed_ends(score)


def missed_ends(score: Score) -> tuple[End, ...]:
    """Which ends of a video are not where the sentence says; none of one without a score.

    An end is right with an SSR of `END_SSR` or more there, and if that relation is the one that is seen, see
    `is_seen`. Of scores without their boxes the SSR alone decides.
    """
    if score.missed is not None:
        return score.missed
    ends: tuple[tuple[End, float | None], ...] = (
        ("initial_ssr", score.initial_ssr),
        ("final_ssr", score.final_ssr),
    )
    # Turned round, so that NaN counts as missed.
    return tuple(end for end, value in ends if value is not None and not value >= END_SSR)


def _missed(track: Track, change: RelationChange) -> tuple[End, ...]:
    frames = np.flatnonzero(_counted_frames(track))
    # From the end inwards: the first of these frames is the outermost.
    ends: tuple[tuple[End, Relation, NDArray[np.int64]], ...] = (
        ("initial_ssr", change.initial, frames[:_ENDS]),
        ("final_ssr", change.final, frames[::-1][:_ENDS]),
    )
    missed = []
    for end, relation, at in ends:
        subject, object = track.subject_boxes[at], track.object_boxes[at]
        values = ssr(subject, object, relation)
        # What is quick is only at the very end where it begins or stops; the mean of three frames is on the way.
        if not max(values.mean(), values[0]) >= END_SSR or not is_seen(subject, object, relation):
            missed.append(end)
    return tuple(missed)


def is_seen(subject_boxes: ArrayLike, object_boxes: ArrayLike, relation: Relation) -> bool:
    """Whether a relation is the one that a person would name, in some frames, (N, 4) xyxy boxes each.

    SSR calls everything that is higher in the picture "on top", such as what stands farther away. On top is what is
    over the object: their widths overlap by a quarter of the narrower one, and between them is no more room than both
    are high on average. What is over it, and more so than beside it, is not on its left or right, and the other way
    round.
    """
    subject, object = (np.asarray(boxes, dtype=np.float64) for boxes in (subject_boxes, object_boxes))
    means = {each: float(np.mean(ssr(subject, object, each))) for each in Relation}
    over = is_over(subject, object)
    if relation == Relation.TOP:
        beside = max(means[Relation.LEFT], means[Relation.RIGHT])
        return over and means[relation] >= beside - _CLEARER
    return not over or means[relation] >= means[Relation.TOP] - _CLEARER


def is_over(subject_boxes: ArrayLike, object_boxes: ArrayLike) -> bool:
    """Whether the subject is over the object rather than only higher in the picture; boxes as for `is_seen`."""
    subject, object = (np.asarray(boxes, dtype=np.float64) for boxes in (subject_boxes, object_boxes))
    common = np.minimum(subject[:, 2], object[:, 2]) - np.maximum(subject[:, 0], object[:, 0])
    narrower = np.minimum(subject[:, 2] - subject[:, 0], object[:, 2] - object[:, 0])
    room = object[:, 1] - subject[:, 3]
    height = (subject[:, 3] - subject[:, 1] + object[:, 3] - object[:, 1]) / 2
    return bool(np.mean(common) >= _OVER * np.mean(narrower) and np.mean(room) <= np.mean(height))


def obey_share(scores: Sequence[Score], tau: float = GOOD) -> float:
    """Share of videos that obey, see `obeys`; INVALID videos do not. NaN for no videos."""
    return sum(obeys(score, tau) for score in scores) / len(scores) if scores else float("nan")


def accuracy_at(scores: Sequence[Score], tau: float) -> float:
    """The published accuracy: share of videos with a DSR-Score of at least `tau`; INVALID videos count as failures.

    NaN for no videos. See `obey_share` for the share that does what its sentence says.
    """
    if not scores:
        return float("nan")
    return sum(score.dsr is not None and score.dsr >= tau for score in scores) / len(scores)


def accuracy_curve(scores: Sequence[Score], taus: Iterable[float] = TAUS) -> Floats:
    """`accuracy_at` for every threshold."""
    return np.array([accuracy_at(scores, tau) for tau in taus])


def _counted_frames(track: Track) -> NDArray[np.bool_]:
    accepted = np.array([reason is None for reason in track.frame_reasons], dtype=bool)
    return counted(track.subject_boxes, track.object_boxes) & accepted


def _padded(sequences: Iterable[Floats]) -> Floats:
    """Rows of different lengths as one array, NaN behind the shorter ones."""
    rows = list(sequences)
    result = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for target, row in zip(result, rows, strict=True):
        target[: len(row)] = row
    return result


def _too_few(count: int, needed: int, frames: int) -> str | None:
    if count >= needed and count > 0:
        return None
    if count == 0:
        return "the subject and the object were never found together"
    return f"only {count} of {frames} frames are valid; at least {needed} are needed"


def _score(reason: str | None, numbers: Floats, count: int, missed: tuple[End, ...] | None) -> Score:
    if reason is not None:
        return Score(False, reason, None, None, None, None, None, count)
    dsr, initial, final, initial_gap, final_gap = numbers.tolist()
    return Score(True, None, dsr, initial, final, initial_gap, final_gap, count, missed)
