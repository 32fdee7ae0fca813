"""Training pairs: a winner and a loser of the same prompt, chosen by DSR-Score.

Choosing is a pure function of the scores. `pairs` writes what was chosen to disk and reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from .errors import SpatialAlignError
from .score import Score

Mode = Literal["all", "best_worst"]


@dataclass(frozen=True)
class Pair:
    """Two videos of one prompt: the winner obeys a text better than the loser. Scores are DSR-Scores in [0, 1].

    told: code of the relation change that the text tells of, where that is not the prompt's own; else empty.
    """

    prompt_id: str
    winner_seed: int
    loser_seed: int
    winner_score: float
    loser_score: float
    told: str = ""

    @property
    def text_id(self) -> str:
        """Names the text: the prompt's id, and for a retold one the change after it."""
        return retold_id(self.prompt_id, self.told)

    @property
    def margin(self) -> float:
        return self.winner_score - self.loser_score


def retold_id(prompt_id: str, told: str) -> str:
    """The id of a prompt's text when it tells of the change `told` instead; the prompt's own id for ""."""
    return f"{prompt_id}~{told}" if told else prompt_id


@dataclass(frozen=True)
class PairSettings:
    """Which videos make pairs.

    threshold: a valid video with DSR-Score >= threshold is a winner, any other valid one a loser.
    min_margin: pairs whose scores lie closer together than this are left out.
    mode: "all" winners with all losers, or one pair a prompt: the best winner with the worst loser.
    max_pairs_per_prompt: keeps the largest margins of each text; None keeps all.
    retell: the videos of a prompt are compared under the other relation changes too, with its text told accordingly: a
    video that obeys another change than it was asked for is a winner there. The same two videos then meet under texts
    that differ by the relation words alone, which leaves nothing else to learn.
    """

    threshold: float = 0.7
    min_margin: float = 0.0
    mode: Mode = "all"
    max_pairs_per_prompt: int | None = None
    retell: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise SpatialAlignError(f"The pair threshold must lie between 0 and 1, got {self.threshold}.")
        if not self.min_margin >= 0:
            raise SpatialAlignError(
                f"The smallest margin of a pair must be 0 or more, got {self.min_margin}."
            )
        if self.mode not in get_args(Mode):
            known = " or ".join(get_args(Mode))
            raise SpatialAlignError(f"Unknown way to choose pairs {self.mode!r}; choose {known}.")
        if self.max_pairs_per_prompt is not None and self.max_pairs_per_prompt < 1:
            raise SpatialAlignError(
                f"The most pairs a prompt must be 1 or more, or empty for all, got {self.max_pairs_per_prompt}."
            )


@dataclass(frozen=True)
class PromptCount:
    """What became of one prompt's videos under its own text; retold: pairs under other texts."""

    winners: int
    losers: int
    invalid: int
    pairs: int
    retold: int = 0


@dataclass(frozen=True)
class PairSelection:
    """Chosen pairs, sorted by prompt id, text and falling margin, and in plain words how they came about."""

    pairs: tuple[Pair, ...]
    explanation: str
    counts: Mapping[str, PromptCount]
    settings: PairSettings = PairSettings()


def choose_pairs(
    scores: Mapping[tuple[str, int], Score],
    settings: PairSettings = PairSettings(),
    retold: Mapping[tuple[str, str], Mapping[int, Score]] | None = None,
) -> PairSelection:
    """Pairs of every text that has winners and losers; INVALID videos are neither.

    scores: (prompt id, seed) -> score. retold: (prompt id, change code) -> seed -> score of the same videos under that
    change; used when `settings.retell`. The result does not depend on the order of the mappings. When no text has both
    kinds the selection is empty and its explanation says why and what to do; nothing is raised.
    """
    own: dict[str, dict[int, Score]] = {}
    for (prompt_id, seed), score in sorted(scores.items(), key=lambda item: item[0]):
        own.setdefault(prompt_id, {})[seed] = score
    others = sorted(retold or {}) if settings.retell else []

    pairs: list[Pair] = []
    counts: dict[str, PromptCount] = {}
    for prompt_id, videos in own.items():
        winners, losers = _split(videos, settings)
        chosen = _pairs_of(prompt_id, "", winners, losers, settings)
        under_others = [
            pair
            for other, told in others
            if other == prompt_id
            for pair in _pairs_of(prompt_id, told, *_split((retold or {})[other, told], settings), settings)
        ]
        pairs += chosen + under_others
        invalid = len(videos) - len(winners) - len(losers)
        counts[prompt_id] = PromptCount(len(winners), len(losers), invalid, len(chosen), len(under_others))
    return PairSelection(tuple(pairs), _explain(counts, settings), counts, settings)


def _split(
    videos: Mapping[int, Score], settings: PairSettings
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(seed, score) of the winners and of the losers."""
    valid = [(seed, dsr) for seed, score in sorted(videos.items()) if (dsr := _valid_dsr(score)) is not None]
    winners = [(seed, dsr) for seed, dsr in valid if dsr >= settings.threshold]
    losers = [(seed, dsr) for seed, dsr in valid if dsr < settings.threshold]
    return winners, losers


def _valid_dsr(score: Score) -> float | None:
    return score.dsr if score.valid and score.dsr is not None and math.isfinite(score.dsr) else None


def _pairs_of(
    prompt_id: str,
    told: str,
    winners: list[tuple[int, float]],
    losers: list[tuple[int, float]],
    settings: PairSettings,
) -> list[Pair]:
    if settings.mode == "best_worst" and winners and losers:
        winners = [min(winners, key=lambda video: (-video[1], video[0]))]
        losers = [min(losers, key=lambda video: (video[1], video[0]))]
    pairs = [
        Pair(prompt_id, winner_seed, loser_seed, winner_score, loser_score, told)
        for winner_seed, winner_score in winners
        for loser_seed, loser_score in losers
        if winner_score - loser_score >= settings.min_margin
    ]
    pairs.sort(key=lambda pair: (-pair.margin, pair.winner_seed, pair.loser_seed))
    return pairs[: settings.max_pairs_per_prompt]


def _explain(counts: Mapping[str, PromptCount], settings: PairSettings) -> str:
    pairs = sum(count.pairs for count in counts.values())
    retold = sum(count.retold for count in counts.values())
    if not counts:
        return (
            "No pairs: no video has been scored yet. Generate, detect and score the training prompts first."
        )
    both = sum(c.winners > 0 and c.losers > 0 for c in counts.values())
    only_winners = sum(c.winners > 0 and not c.losers for c in counts.values())
    only_losers = sum(c.losers > 0 and not c.winners for c in counts.values())
    nothing = sum(not c.winners and not c.losers for c in counts.values())
    too_close = sum(c.winners > 0 and c.losers > 0 and not c.pairs for c in counts.values())
    rest = "; ".join(
        words
        for number, words in (
            (only_winners, f"{_prompts(only_winners)} had only winners (every valid video scores "
                           f"{settings.threshold:g} or more)"),
            (only_losers, f"{_prompts(only_losers)} had only losers (every valid video scores below "
                          f"{settings.threshold:g})"),
            (nothing, f"{_prompts(nothing)} had no valid video"),
            (too_close, f"{_prompts(too_close)} had no two videos that lie {settings.min_margin:g} apart"),
        )
        if number
    )  # fmt: skip
    if pairs or retold:
        used = sum(c.pairs > 0 for c in counts.values())
        text = f"{_pairs(pairs)} from {used} of {_prompts(len(counts))}."
        if retold:
            text += f" {_pairs(retold)} more under texts that tell of another change, which some videos obey instead."
        return f"{text} Not used: {rest}." if rest else text
    start = (
        "No pairs: none of the videos can be paired"
        if both
        else "No pairs: no prompt has a winner and a loser"
    )
    return f"{start}. Of {_prompts(len(counts))}, {rest}. {_advice(only_winners, only_losers, nothing, too_close)}"


def _advice(only_winners: int, only_losers: int, nothing: int, too_close: int) -> str:
    steps = []
    if only_winners or only_losers:
        steps.append("generate more seeds for each prompt")
    if only_losers:
        steps.append("lower the threshold")
    if only_winners:
        steps.append(
            "raise the threshold" if not only_losers else "or raise it for the prompts that always win"
        )
    if too_close:
        steps.append("lower the smallest margin (min_margin)")
    if nothing:
        steps.append("look at the videos without a valid one: the detector must find both nouns in them")
    return f"What helps: {', '.join(steps)}."


def _pairs(number: int) -> str:
    return "1 pair" if number == 1 else f"{number} pairs"


def _prompts(number: int) -> str:
    return "1 prompt" if number == 1 else f"{number} prompts"
