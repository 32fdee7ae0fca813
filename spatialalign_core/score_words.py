"""A score in words: whether the video obeys, and its four parts: "ends right: no, it stops in front of the stump"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .relations import Relation, RelationChange
from .score import END_SSR, GOOD, End, Floats, Score, is_over, missed_ends, obeys, ssr, ssr_sequences
from .tracks import Track

Answer = Literal["yes", "partly", "no"]

_SIDES = {Relation.LEFT: "left", Relation.RIGHT: "right", Relation.TOP: "on top"}
_GOALS = {Relation.LEFT: "to the left", Relation.RIGHT: "to the right", Relation.TOP: "on top"}
# SSR of a place: clearly there, and only a little.
_CLEARLY, _SOMEWHAT = 0.5, END_SSR
_MUCH, _LITTLE = 0.25, 0.1  # gap: half of how far an SSR moved; 1 is from one side all the way to the other
_ENDS = 3  # frames that the score looks at on either end
_NEARER = 0.1  # of the object's height


@dataclass(frozen=True)
class Part:
    """One part of a DSR-Score. name: as in `Score`. claim: what the prompt wants. why: where it is not so, else ""."""

    name: str
    claim: str
    answer: Answer
    why: str
    value: float

    def __str__(self) -> str:
        return f"{self.claim}: {self.answer}" + (f", {self.why}" if self.why else "")


def verdict_words(score: Score, change: RelationChange, object: str, tau: float = GOOD) -> str:
    """Score and verdict of a valid video: "DSR-Score 0.75 of 1, but it does not end on top of the box: does not obey
    the sentence". object: the noun."""
    assert score.dsr is not None
    start = f"DSR-Score {score_digits(score.dsr, tau)} of 1"
    if obeys(score, tau):
        return f"{start}: obeys the sentence"
    why = missed_words(score, change, object, tau)
    return f"{start}{', but ' if why else ''}{why}: does not obey the sentence"


def missed_words(score: Score, change: RelationChange, object: str, tau: float = GOOD) -> str:
    """Why a video does not obey though its score is high enough: "it does not end on top of the box". Else empty."""
    if not score.valid or score.dsr is None or not score.dsr >= tau:
        return ""
    missed = missed_ends(score)
    if len(missed) > 1:
        return "it neither starts nor ends where the sentence says"
    if missed == ("initial_ssr",):
        return f"it does not start {change.initial.side} the {object}"
    return f"it does not end {change.final.side} the {object}" if missed else ""


def score_digits(dsr: float, tau: float = GOOD) -> str:
    """Two decimals, and as many more as it takes to stay on its side of `tau`: 0.6996 is no "0.70" that fails."""
    texts = (f"{dsr:.{digits}f}" for digits in range(2, 17))
    return next((text for text in texts if (float(text) >= tau) == (dsr >= tau)), repr(dsr))


def score_parts(track: Track, change: RelationChange, score: Score) -> list[Part]:
    """The four parts in the order of the video; none for a video without a score."""
    if score.dsr is None:
        return []
    assert score.initial_ssr is not None and score.final_ssr is not None
    assert score.initial_gap is not None and score.final_gap is not None
    first, last = ssr_sequences(track, change)
    frames = np.flatnonzero(np.isfinite(first))
    began, stopped = frames[:_ENDS], frames[-_ENDS:]
    start, end = _SIDES[change.initial], _SIDES[change.final]
    return [
        _place("initial_ssr", f"starts {start}", "starts", score, track, began),
        _away(change.initial, score.initial_gap, score.initial_ssr),
        _towards(f"goes {_GOALS[change.final]}", score.final_gap, float(last[stopped[-1]])),
        _place("final_ssr", f"ends {end}", "stops", score, track, stopped),
    ]


def _place(name: End, claim: str, verb: str, score: Score, track: Track, frames: np.ndarray) -> Part:
    value = getattr(score, name)
    missed = name in missed_ends(score)
    if value >= _CLEARLY and not missed:
        return Part(name, claim, "yes", "", value)
    where = place_words(track.subject_boxes[frames], track.object_boxes[frames], track.object)
    return Part(name, claim, "no" if missed else "partly", f"it {verb} {where}", value)


def _away(place: Relation, gap: float, start: float) -> Part:
    if gap >= _MUCH:
        answer, why = "yes", ""
    elif gap >= _LITTLE:
        answer, why = "partly", "it moves away only a little"
    elif gap <= -_LITTLE:
        answer, why = "no", f"it moves {_GOALS[place]}"
    elif start < _SOMEWHAT:
        answer, why = "no", "it was never there"
    else:
        answer, why = "no", "it stays there"
    return Part("initial_gap", f"leaves {_leaving(place)}", answer, why, gap)  # type: ignore[arg-type]


def _towards(claim: str, gap: float, end: float) -> Part:
    if gap >= _MUCH:
        answer, why = "yes", ""
    elif gap >= _LITTLE:
        answer, why = "partly", "it moves there only a little"
    elif gap <= -_LITTLE:
        answer, why = "no", "it moves away from there"
    else:
        answer, why = "no", "it is there from the start" if end >= _CLEARLY else "it does not come nearer"
    return Part("final_gap", claim, answer, why, gap)  # type: ignore[arg-type]


def place_words(subject: Floats, object: Floats, noun: str) -> str:
    """Where the subject is, such as "left of the box". subject, object: xyxy boxes of some frames, (N, 4).

    Where both overlap, what reaches lower in the picture stands nearer to the camera, and what sticks out above it is
    behind. What lies within the object's outline is not hidden by it: a cat on a couch, or one in front of it.
    """
    values = {relation: float(np.mean(ssr(subject, object, relation))) for relation in Relation}
    below = -values[Relation.TOP]
    if not is_over(subject, object):
        # Only higher in the picture, perhaps farther away.
        del values[Relation.TOP]
    relation = max(values, key=lambda each: values[each])
    if values[relation] >= _CLEARLY:
        return f"{relation.side} the {noun}"
    if below >= _CLEARLY:
        return f"below the {noun}"
    if values[relation] >= _SOMEWHAT:
        return f"only a little {relation.side} the {noun}"
    within = (subject[:, :2] >= object[:, :2]).all() and (subject[:, 2:] <= object[:, 2:]).all()
    if within and (subject[:, 3] < object[:, 3]).all():
        return f"on or in front of the {noun}"
    lower = float(np.mean(subject[:, 3] - object[:, 3]))
    height = float(np.mean(object[:, 3] - object[:, 1]))
    return f"{'behind' if lower < -_NEARER * height else 'in front of'} the {noun}"


def _leaving(relation: Relation) -> str:
    return "the top" if relation == Relation.TOP else f"the {_SIDES[relation]}"
