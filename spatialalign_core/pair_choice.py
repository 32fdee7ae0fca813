"""Training pairs: a winner and a loser of the same prompt, chosen by DSR-Score.

Choosing is a pure function of the scores. `pairs` writes what was chosen to disk and reads it back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .pair_settings import USUAL, PairSettings, PromptCount
from .pair_words import explain
from .rulings import Ruling
from .score import Score, obeys


@dataclass(frozen=True)
class Pair:
    """Two videos of one prompt: the winner obeys a text and the loser does not, unless the pair was kept by hand.

    Scores are DSR-Scores in [0, 1].
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
        """At least 0 but for a pair that was kept by hand against its scores."""
        return self.winner_score - self.loser_score

    @property
    def key(self) -> tuple[str, str, int, int]:
        """As `Ruling.key`."""
        return self.prompt_id, self.told, self.winner_seed, self.loser_seed


def retold_id(prompt_id: str, told: str) -> str:
    """The id of a prompt's text when it tells of the change `told` instead; the prompt's own id for ""."""
    return f"{prompt_id}~{told}" if told else prompt_id


@dataclass(frozen=True)
class PairSelection:
    """Chosen pairs, sorted by prompt id, text and falling margin, and in plain words how they came about."""

    pairs: tuple[Pair, ...]
    explanation: str
    counts: Mapping[str, PromptCount]
    settings: PairSettings = USUAL


def choose_pairs(
    scores: Mapping[tuple[str, int], Score],
    settings: PairSettings = USUAL,
    retold: Mapping[tuple[str, str], Mapping[int, Score]] | None = None,
    rulings: Sequence[Ruling] = (),
) -> PairSelection:
    """Pairs of every text that has winners and losers; INVALID videos are neither.

    scores: (prompt id, seed) -> score. retold: (prompt id, change code) -> seed -> score of the same videos under that
    change; used when `settings.retell`. rulings: what was decided by hand; a pair that was dropped leaves its room to
    the next one, a pair that was kept comes on top of what the settings choose. The result does not depend on the
    order of the mappings. When no text has both kinds the selection is empty and its explanation says why and what to
    do; nothing is raised.
    """
    own: dict[str, dict[int, Score]] = {}
    for (prompt_id, seed), score in sorted(scores.items(), key=lambda item: item[0]):
        own.setdefault(prompt_id, {})[seed] = score
    others = sorted((retold or {}).items(), key=lambda item: item[0]) if settings.retell else []

    pairs: list[Pair] = []
    counts: dict[str, PromptCount] = {}
    for prompt_id, videos in own.items():
        texts = {"": videos} | {told: other for (other_id, told), other in others if other_id == prompt_id}
        ruled = [ruling for ruling in rulings if ruling.prompt_id == prompt_id]
        chosen = [
            pair
            for told, scored in texts.items()
            for pair in _pairs_of(prompt_id, told, scored, settings, [r for r in ruled if r.told == told])
        ]
        pairs += chosen
        winners, losers = _split(videos, settings)
        wrong_end = sum(dsr >= settings.threshold for _, dsr in losers)
        keys = {pair.key for pair in chosen}
        own_pairs = sum(not pair.told for pair in chosen)
        counts[prompt_id] = PromptCount(
            winners=len(winners),
            losers=len(losers),
            invalid=len(videos) - len(winners) - len(losers),
            pairs=own_pairs,
            retold=len(chosen) - own_pairs,
            kept=sum(ruling.keep and ruling.key in keys for ruling in ruled),
            dropped=sum(not ruling.keep and ruling.told in texts for ruling in ruled),
            wrong_end=wrong_end,
        )
    return PairSelection(tuple(pairs), explain(counts, settings), counts, settings)


def _split(
    videos: Mapping[int, Score], settings: PairSettings
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """(seed, score) of the winners, which obey, and of the losers, which are valid and do not."""
    valid = [(seed, dsr) for seed, score in sorted(videos.items()) if (dsr := _valid_dsr(score)) is not None]
    winners = [(seed, dsr) for seed, dsr in valid if obeys(videos[seed], settings.threshold)]
    losers = [(seed, dsr) for seed, dsr in valid if not obeys(videos[seed], settings.threshold)]
    return winners, losers


def _valid_dsr(score: Score) -> float | None:
    return score.dsr if score.valid and score.dsr is not None and math.isfinite(score.dsr) else None


def _pairs_of(
    prompt_id: str,
    told: str,
    videos: Mapping[int, Score],
    settings: PairSettings,
    rulings: Sequence[Ruling],
) -> list[Pair]:
    """The pairs of one text, by falling margin."""

    def pair(winner: tuple[int, float], loser: tuple[int, float]) -> Pair:
        return Pair(prompt_id, winner[0], loser[0], winner[1], loser[1], told)

    ruled_out = {ruling.turned if ruling.keep else ruling.key for ruling in rulings}
    winners, losers = _split(videos, settings)
    pairs = [
        each
        for each in (pair(winner, loser) for winner in winners for loser in losers)
        if each.margin >= settings.min_margin and each.key not in ruled_out
    ]
    if settings.mode == "best_worst":
        pairs.sort(key=lambda p: (-p.winner_score, p.winner_seed, p.loser_score, p.loser_seed))
        del pairs[1:]
    pairs = sorted(pairs, key=_by_margin)[: settings.max_pairs_per_prompt]
    known = {each.key for each in pairs}
    valid = dict(winners + losers)
    pairs += [
        pair((r.winner_seed, valid[r.winner_seed]), (r.loser_seed, valid[r.loser_seed]))
        for r in rulings
        if r.keep and r.key not in known and {r.winner_seed, r.loser_seed} <= valid.keys()
    ]
    return sorted(pairs, key=_by_margin)


def _by_margin(pair: Pair) -> tuple[float, int, int]:
    return -pair.margin, pair.winner_seed, pair.loser_seed
