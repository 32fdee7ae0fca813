"""Which videos of a run make pairs, and under which texts: what the scores say, and what was decided by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import SpatialAlignError
from ..pair_choice import PairSelection, choose_pairs, retold_id
from ..pair_settings import PairSettings
from ..prompts import Combination, DsrPrompt, retell
from ..relations import CHANGES, RelationChange
from ..rulings import Ruling, add_ruling, read_rulings, remove_ruling
from ..score import Score, score_tracks
from ..tracks import Track, read_track
from .layout import BASE, RunLayout
from .samples import video_digest
from .scores import ScoreRow, read_scores

Sources = Mapping[str, range | None]
"""The sets whose videos make pairs, and which seeds of each, None for all. No seed may be in two of them."""

BASE_VIDEOS: Sources = {BASE: None}


@dataclass(frozen=True)
class Choice:
    """The chosen pairs, and what they were chosen from.

    rows: the scored videos of the prompts, by (prompt id, seed). texts: every text that a pair may name, with its text
    id as id. retold: as `choose_pairs` takes it. rulings: those that hold.
    """

    selection: PairSelection
    rows: Mapping[tuple[str, int], ScoreRow]
    texts: Sequence[DsrPrompt]
    retold: Mapping[tuple[str, str], Mapping[int, Score]]
    rulings: Sequence[Ruling]

    def score(self, prompt_id: str, told: str, seed: int) -> Score | None:
        """The score of a video under one of its prompt's texts; None where it has none."""
        if told:
            return self.retold.get((prompt_id, told), {}).get(seed)
        row = self.rows.get((prompt_id, seed))
        return row.score if row else None


def choose(
    layout: RunLayout,
    prompts: Sequence[DsrPrompt],
    settings: PairSettings,
    kept_apart: Collection[Combination],
    sources: Sources = BASE_VIDEOS,
) -> Choice:
    """The pairs of these prompts. kept_apart: what no text may tell of unless its prompt does."""
    rows = _scored(layout, prompts, sources)
    texts = list(prompts)
    retold: dict[tuple[str, str], dict[int, Score]] = {}
    if settings.retell:
        tracks = {key: track for key in rows if (track := _current_track(layout, rows[key]))}
        for prompt in prompts:
            others = _retellings(prompt, kept_apart)
            texts += [replace(other, id=retold_id(prompt.id, other.change.code)) for other in others]
            retold |= _scores_under(prompt.id, [other.change for other in others], tracks)
    rulings = _rulings(layout, prompts)
    videos = {key: row.video for key, row in rows.items()}
    holding = [ruling for ruling in rulings if ruling.holds(videos)]
    selection = choose_pairs({key: row.score for key, row in rows.items()}, settings, retold, holding)
    if len(holding) < len(rulings):
        selection = replace(
            selection, explanation=f"{selection.explanation} {_outdated(len(rulings) - len(holding))}"
        )
    return Choice(selection, rows, texts, retold, holding)


def rule(
    layout: RunLayout,
    prompt: DsrPrompt,
    winner_seed: int,
    loser_seed: int,
    keep: bool | None,
    told: str,
    kept_apart: Collection[Combination],
) -> None:
    """Keep or drop a pair by hand, or forget what was decided (None); see `Run.rule_pair`."""
    key = prompt.id, told, winner_seed, loser_seed
    if keep is None:
        remove_ruling(layout.rulings_file, key)
        return
    if winner_seed == loser_seed:
        raise SpatialAlignError(f"A pair takes two videos; seed {winner_seed} was named twice.")
    choice = choose(layout, [prompt], PairSettings(retell=bool(told)), kept_apart)
    for seed in (winner_seed, loser_seed):
        score = choice.score(prompt.id, told, seed)
        if score is None or not score.valid or score.dsr is None:
            under = f" under the text that tells of {told}" if told else ""
            why = f" ({score.reason})" if score is not None and score.reason else ""
            raise SpatialAlignError(
                f"The video of prompt {prompt.id!r}, seed {seed}, has no score{under}{why}, so it can be in no pair; "
                "choose another one."
            )
    videos = (choice.rows[prompt.id, seed].video for seed in (winner_seed, loser_seed))
    add_ruling(layout.rulings_file, Ruling(prompt.id, winner_seed, loser_seed, told, keep, *videos))


def _rulings(layout: RunLayout, prompts: Sequence[DsrPrompt]) -> list[Ruling]:
    ids = {prompt.id for prompt in prompts}
    return [ruling for ruling in read_rulings(layout.rulings_file) if ruling.prompt_id in ids]


def _outdated(number: int) -> str:
    if number == 1:
        return (
            "1 choice by hand is of videos that have changed since, and does not count; look at them again."
        )
    return f"{number} choices by hand are of videos that have changed since, and do not count; look at them again."


def _scored(
    layout: RunLayout, prompts: Sequence[DsrPrompt], sources: Sources
) -> dict[tuple[str, int], ScoreRow]:
    ids = {prompt.id for prompt in prompts}

    def belongs(row: ScoreRow) -> bool:
        seeds = sources.get(row.set)
        return row.set in sources and row.prompt_id in ids and (seeds is None or row.seed in seeds)

    return {(row.prompt_id, row.seed): row for row in read_scores(layout.scores_file) if belongs(row)}


def _retellings(prompt: DsrPrompt, kept_apart: Collection[Combination]) -> list[DsrPrompt]:
    """The prompt told of every other change that is not kept apart."""
    changes = [
        change
        for change in CHANGES
        if change != prompt.change and (prompt.subject, prompt.object, change) not in kept_apart
    ]
    return [other for change in changes if (other := retell(prompt, change)) is not None]


def _current_track(layout: RunLayout, row: ScoreRow) -> Track | None:
    """The track of the video that was scored; None when it is missing, damaged or of another video."""
    key = row.set, row.prompt_id, row.seed
    if video_digest(layout.video_path(*key)) != row.video:
        return None
    with contextlib.suppress(SpatialAlignError):
        return read_track(layout.track_path(*key))
    return None


def _scores_under(
    prompt_id: str, changes: Sequence[RelationChange], tracks: Mapping[tuple[str, int], Track]
) -> dict[tuple[str, str], dict[int, Score]]:
    """(prompt id, change code) -> seed -> score of that prompt's videos under each change."""
    seeds = [seed for other, seed in tracks if other == prompt_id]
    own = [tracks[prompt_id, seed] for seed in seeds]
    return {
        (prompt_id, change.code): dict(zip(seeds, score_tracks(own, [change] * len(own)), strict=True))
        for change in changes
    }
