"""The words of the report: what happened, said plainly and no better than it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..evaluate import Comparison, Estimate, Evaluation
from ..prompts import DsrPrompt
from ..relations import Relation, RelationChange
from ..score import END_SSR, Score, obeys

_THIN = "\N{NARROW NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
_ANIMAL_WORDS = """
    bear bird bunny cat chick chicken cow crab deer dog duck elephant fish fox frog goat hamster hedgehog horse
    kangaroo kitten koala lion lizard monkey mouse owl panda penguin pig pigeon puppy rabbit raccoon sheep snail
    snake squirrel tiger turtle wolf zebra
"""
_ANIMALS = frozenset(_ANIMAL_WORDS.split())
_SIDES = {Relation.LEFT: "left", Relation.RIGHT: "right", Relation.TOP: "top"}
_CLEARLY = 0.4  # an SSR from which the subject plainly stands where the relation says


def percent(share: float) -> str:
    """0.706 -> "71 %", halves up as people round; a dash for NaN."""
    return f"{math.floor(100 * share + 0.5 + 1e-9)}{_THIN}%" if math.isfinite(share) else "–"


def points(difference: float, digits: int = 0) -> str:
    """0.29 -> "+29 points"; a real minus sign; a dash for NaN."""
    if not math.isfinite(difference):
        return "–"
    number = _signed(difference, digits)
    return f"{number} {'point' if number[1:] == '1' else 'points'}"


def interval(estimate: Estimate, signed: bool = False) -> str:
    """ "35 to 49 %", or "+22 to +36"; empty for NaN."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    if signed:
        return f"{_signed(estimate.low)} to {_signed(estimate.high)}"
    return f"{100 * estimate.low:.0f} to {percent(estimate.high)}"


def score_number(value: float | None) -> str:
    return f"{value:.2f}" if value is not None and math.isfinite(value) else "–"


def change_words(change: RelationChange) -> str:
    """ "left → right" """
    return f"{_SIDES[change.initial]} → {_SIDES[change.final]}"


def headline(evaluation: Evaluation, prompts: Iterable[DsrPrompt]) -> str:
    """One sentence that a stranger understands."""
    prompts = list(prompts)
    unseen = all(prompt.split == "held_out" for prompt in prompts)
    noun = _noun({prompt.subject for prompt in prompts})
    where = f"On {_many(evaluation.prompts, 'prompt')}{' it had never seen' if unseen else ''}"
    before, after = (percent(e.value) for e in (evaluation.obey.base, evaluation.obey.aligned))
    puts = f"puts the {noun} where the prompt says in"
    if evaluation.verdict == "better":
        return f"{where}, the model now {puts} {after} of videos, up from {before}."
    if evaluation.verdict == "worse":
        return f"{where}, the model got worse: it {puts} {after} of videos, down from {before}."
    if before == after:
        return f"{where}, training made no clear difference: the model {puts} {after} of videos, as before."
    return (
        f"{where}, training made no clear difference: the model {puts} {after} of videos; before, {before}."
    )


def lede(evaluation: Evaluation) -> str:
    """How sure we can be, and on what it rests."""
    difference = evaluation.obey.difference
    span = interval(difference, signed=True)
    if not span:
        sure = (
            f"The difference is {points(difference.value, 1)}. One prompt is too few to say how sure that is."
        )
    elif evaluation.obey.changed:
        sure = (
            f"The difference is {points(difference.value, 1)}; the 95{_THIN}% interval reaches from {span}."
        )
    else:
        sure = (
            f"The difference is {points(difference.value, 1)}; the 95{_THIN}% interval reaches from {span} and "
            "includes 0, so it may be chance. More prompts, or longer training, would tell."
        )
    videos = _many(evaluation.videos, "video")
    return (
        f"{sure} Each model made {videos} from the same prompts, the same starting noise and the same settings; "
        "the only difference is the LoRA."
    )


def cautions(evaluation: Evaluation) -> list[str]:
    """What the headline does not say and the reader should know."""
    found = []
    invalid, mean = evaluation.invalid, evaluation.mean_dsr
    if invalid.difference.low > 0:
        found.append(
            f"Fewer videos can be scored than before: {percent(invalid.aligned.value)} are invalid, up from "
            f"{percent(invalid.base.value)}. The training may have hurt how clearly things are drawn."
        )
    if evaluation.verdict == "better" and mean.changed and mean.difference.value < 0:
        found.append(
            "The mean score of valid videos fell all the same: successes are more, failures are worse."
        )
    if evaluation.verdict != "worse" and (
        lost := [c for c in evaluation.obey_by_change.items() if c[1].difference.value < 0 and c[1].changed]
    ):
        names = ", ".join(change_words(RelationChange.parse(code)) for code, _ in lost)
        found.append(f"Not every movement gained: {names} got worse.")
    if evaluation.prompts < 20:
        found.append(f"Only {_many(evaluation.prompts, 'prompt')}: read the numbers as a first impression.")
    return found


def outcome(base: Score, aligned: Score, tau: float) -> str:
    """Which of OUTCOMES a pair of videos is."""
    before, after = obeys(base, tau), obeys(aligned, tau)
    if after:
        return "kept" if before else "improved"
    return "lost" if before else "missed"


OUTCOMES = {
    "improved": "Now as the prompt says",
    "kept": "Right before and after",
    "missed": "Not there yet",
    "lost": "Right before, wrong now",
}
"""Kinds of video pairs in the order they are shown, with their names."""


def obeys_when(tau: float) -> str:
    """What a video needs to obey, to follow on "A video obeys when "."""
    return f"its DSR-Score is at least {tau:g} of 1 and the subject starts and ends where the prompt says"


def round_shares(rounds: Sequence[Mapping[str, Any]]) -> tuple[str, list[float]]:
    """What is shown of rounds beside their score: its name, and a value for each. The share of held-out videos that
    obeys, or accuracy@0.7 where a round was written by version 0.1, which did not know the former."""
    known = all(_finite(row.get("held_out_obey")) for row in rounds)
    name, column = ("share that obeys", "obey") if known else ("share that scores at least 0.7", "accuracy")
    return name, [float(row.get(f"held_out_{column}", math.nan)) for row in rounds]


def verdict(score: Score, change: RelationChange, tau: float) -> str:
    """What one video does, in a few words."""
    if not score.valid or score.dsr is None:
        return f"cannot be scored: {score.reason or 'no reason given'}"
    if obeys(score, tau):
        return "does what the prompt says"
    # Where the score is high enough it is an end that is wrong; elsewhere both are looked at more closely.
    least = END_SSR if score.dsr >= tau else _CLEARLY
    starts, ends = (score.initial_ssr or 0) >= least, (score.final_ssr or 0) >= least
    first, last = _SIDES[change.initial], _SIDES[change.final]
    if starts and ends:
        return f"{first} and {last} are there, but not clearly enough"
    if starts:
        return f"starts {_at(first)}, does not end {_at(last)}"
    if ends:
        return f"ends {_at(last)}, does not start {_at(first)}"
    return f"neither starts {_at(first)} nor ends {_at(last)}"


def comparison_words(comparison: Comparison) -> str:
    """ "33 % → 70 %" """
    return f"{percent(comparison.base.value)} → {percent(comparison.aligned.value)}"


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _at(side: str) -> str:
    return "on top" if side == "top" else f"on the {side}"


def _signed(difference: float, digits: int = 0) -> str:
    number = round(100 * difference, digits)
    return f"{_MINUS if number < 0 else '+' if number > 0 else '±'}{abs(number):.{digits}f}"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _noun(subjects: set[str]) -> str:
    if len(subjects) == 1:
        return next(iter(subjects))
    return "animal" if all(subject.lower() in _ANIMALS for subject in subjects) else "subject"
