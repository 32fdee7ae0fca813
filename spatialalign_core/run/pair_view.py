"""What a run browser shows: the videos of every prompt with their scores, and their pairs. Plain values, for JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import safe_name
from ..pair_choice import Pair, choose_pairs
from ..pair_settings import PairSettings
from ..pairs import PairData, load_pairs
from ..prompts import DsrPrompt
from ..rulings import Ruling, read_rulings
from ..score import Score, obeys
from ..score_words import missed_words
from .choosing import choose
from .layout import BASE, RunLayout
from .scores import read_scores

_TRAIN = "train"


def samples_view(layout: RunLayout, set: str = BASE) -> dict[str, Any]:
    """All videos of one set, by prompt.

    sets: the sets that there are. threshold: from which score on a video is a winner. export: what the last export says
    of itself, None before the first. stale: whether something was decided by hand since. prompts: in the order of the
    file, {id, text, change, split, pairs, kept, dropped, samples}; samples: the best score first, {seed, dsr, obeys,
    reason, role, changed}, dsr None without a score, reason why it does not count or does not obey in spite of its
    score, role "winner" or "loser" of a pair under the prompt's own text, else "", changed in milliseconds since 1970.
    """
    exported = _exported(layout)
    settings = exported.settings if exported else PairSettings()
    prompts = layout.prompts()
    trained = exported.prompts if exported else {p.id for p in prompts if p.split == _TRAIN}
    scores = _scores(layout, set)
    rulings = _holding(layout) if set == BASE else []
    chosen = choose_pairs(
        {key: score for key, (score, _) in scores.items() if set == BASE and key[0] in trained},
        replace(settings, retell=False),
        rulings=rulings,
    )
    roles = {(pair.prompt_id, pair.loser_seed): "loser" for pair in chosen.pairs}
    roles |= {(pair.prompt_id, pair.winner_seed): "winner" for pair in chosen.pairs}
    videos = _videos(layout, set)
    return {
        "run": layout.folder.name,
        "set": set,
        "sets": _sets(layout),
        "threshold": settings.threshold,
        "export": {"pairs": len(exported), "explanation": exported.explanation} if exported else None,
        "stale": _is_newer(layout.rulings_file, layout.pairs_folder / "export.json"),
        "prompts": [
            _prompt(prompt, videos.get(safe_name(prompt.id), []), scores, roles, settings.threshold)
            | _by_hand(prompt.id, chosen.pairs, rulings)
            for prompt in prompts
        ],
    }


def pairs_view(layout: RunLayout, prompt_id: str, seed: int | None = None, most: int = 500) -> dict[str, Any]:
    """The pairs of one prompt, or those of one of its videos, under every text; also those dropped by hand.

    pairs: at most `most`, widest margin first, {told, text, winner, loser, winner_score, loser_score, winner_obeys,
    loser_obeys, margin, ruling}; ruling "keep", "drop" or "". more: how many are left out. texts: of each change that
    the videos can be told of.
    """
    prompts = layout.prompts()
    prompt = next((each for each in prompts if each.id == prompt_id), None)
    if prompt is None:
        raise SpatialAlignError(f"There is no prompt {prompt_id!r} in {layout.folder}; choose another one.")
    exported = _exported(layout)
    kept_apart = {(p.subject, p.object, p.change) for p in prompts if p.split == "held_out"}
    settings = exported.settings if exported else PairSettings()
    choice = choose(layout, [prompt], settings, kept_apart)
    rulings = {ruling.key: ruling for ruling in choice.rulings}
    pairs = list(choice.selection.pairs)
    for ruling in rulings.values():
        winner, loser = (
            choice.score(prompt_id, ruling.told, each) for each in (ruling.winner_seed, ruling.loser_seed)
        )
        if not ruling.keep and winner and loser and winner.dsr is not None and loser.dsr is not None:
            pairs.append(Pair(*_named(ruling), winner.dsr, loser.dsr, ruling.told))
    if seed is not None:
        pairs = [pair for pair in pairs if seed in (pair.winner_seed, pair.loser_seed)]
    pairs.sort(key=lambda pair: (pair.told != "", -pair.margin, pair.winner_seed, pair.loser_seed))
    texts = {each.id: each.text for each in choice.texts}

    def obey(pair: Pair) -> dict[str, bool]:
        seeds = {"winner": pair.winner_seed, "loser": pair.loser_seed}
        found = {name: choice.score(prompt_id, pair.told, each) for name, each in seeds.items()}
        return {
            f"{name}_obeys": bool(each and obeys(each, settings.threshold)) for name, each in found.items()
        }

    return {
        "prompt": prompt_id,
        "text": prompt.text,
        "pairs": [_pair(pair, texts, rulings.get(pair.key)) | obey(pair) for pair in pairs[:most]],
        "more": max(0, len(pairs) - most),
    }


def _prompt(
    prompt: DsrPrompt,
    videos: list[tuple[int, int]],
    scores: Mapping[tuple[str, int], tuple[Score, str]],
    roles: Mapping[tuple[str, int], str],
    threshold: float,
) -> dict[str, Any]:
    samples = []
    for seed, changed in videos:
        score, _ = scores.get((prompt.id, seed), (None, ""))
        why = score and (score.reason or missed_words(score, prompt.change, prompt.object, threshold) or None)
        samples.append(
            {
                "seed": seed,
                "dsr": score.dsr if score is not None and score.valid else None,
                "obeys": score is not None and obeys(score, threshold),
                "reason": why if score is not None else "not scored yet",
                "role": roles.get((prompt.id, seed), ""),
                "changed": changed,
            }
        )
    samples.sort(key=lambda each: (-_dsr(each), each["seed"]))
    return {
        "id": prompt.id,
        "text": prompt.text,
        "change": prompt.change.code,
        "split": prompt.split,
        "samples": samples,
    }


def _dsr(sample: Mapping[str, Any]) -> float:
    return -1.0 if sample["dsr"] is None else float(sample["dsr"])


def _by_hand(prompt_id: str, pairs: tuple[Pair, ...], rulings: list[Ruling]) -> dict[str, int]:
    own = [ruling for ruling in rulings if ruling.prompt_id == prompt_id]
    return {
        "pairs": sum(pair.prompt_id == prompt_id for pair in pairs),
        "kept": sum(ruling.keep for ruling in own),
        "dropped": sum(not ruling.keep for ruling in own),
    }


def _named(ruling: Ruling) -> tuple[str, int, int]:
    return ruling.prompt_id, ruling.winner_seed, ruling.loser_seed


def _pair(pair: Pair, texts: Mapping[str, str], ruling: Ruling | None) -> dict[str, Any]:
    return {
        "told": pair.told,
        "text": texts.get(pair.text_id, ""),
        "winner": pair.winner_seed,
        "loser": pair.loser_seed,
        "winner_score": pair.winner_score,
        "loser_score": pair.loser_score,
        "margin": pair.margin,
        "ruling": "" if ruling is None else "keep" if ruling.keep else "drop",
    }


def _exported(layout: RunLayout) -> PairData | None:
    with contextlib.suppress(SpatialAlignError):
        return load_pairs(layout.pairs_folder)
    return None


def _scores(layout: RunLayout, set: str) -> dict[tuple[str, int], tuple[Score, str]]:
    with contextlib.suppress(SpatialAlignError):  # videos without scores are worth showing too
        rows = read_scores(layout.scores_file)
        return {(row.prompt_id, row.seed): (row.score, row.video) for row in rows if row.set == set}
    return {}


def _holding(layout: RunLayout) -> list[Ruling]:
    videos = {key: digest for key, (_, digest) in _scores(layout, BASE).items()}
    return [ruling for ruling in read_rulings(layout.rulings_file) if ruling.holds(videos)]


def _sets(layout: RunLayout) -> list[str]:
    folder = layout.folder / "samples"
    found = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return sorted(found, key=lambda name: (name != BASE, name))


def _videos(layout: RunLayout, set: str) -> dict[str, list[tuple[int, int]]]:
    """By the name of each prompt's folder: seed of each video, and when it was changed."""
    folder = layout.video_path(set, "any", 0).parent.parent
    found: dict[str, list[tuple[int, int]]] = {}
    for video in folder.glob("*/*.mp4"):
        with contextlib.suppress(OSError):  # deleted meanwhile
            if video.stem.isdecimal():
                entry = int(video.stem), video.stat().st_mtime_ns // 1_000_000
                found.setdefault(video.parent.name, []).append(entry)
    return found


def _is_newer(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_mtime_ns > other.stat().st_mtime_ns
    except OSError:
        return False
