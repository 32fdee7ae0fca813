"""The videos of a run side by side: base and trained, same prompt, same seed. Plain values, ready for JSON."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from ..errors import SpatialAlignError
from ..files import safe_name
from ..prompts import DsrPrompt
from ..score import Score, obeys
from ..score_words import missed_words
from .held_out import look_set
from .layout import ALIGNED, BASE, RunLayout
from .scores import read_scores

Key = tuple[str, str, int]  # set, prompt id, seed


def looks_view(layout: RunLayout) -> dict[str, Any]:
    """Every held-out video that was made with a LoRA, and the base video to compare it with.

    prompts: text by id. rows: newest look first, in it by prompt and seed; of each the step (None for the set
    "aligned", which Evaluate made), and "aligned" and "base" as {set, prompt, seed, dsr, obeys, reason}; dsr is None
    where there is no score, reason says why it does not count or does not obey in spite of its score, base is None
    where there is no such video. base_score: mean score of the untrained model, None before the first look.
    """
    prompts = _prompts(layout)
    texts = {prompt.id: prompt.text for prompt in prompts.values()}
    scores = _scores(layout)
    found = set(_videos(layout, texts))

    def shown(key: Key) -> dict[str, Any]:
        score = scores.get(key)
        prompt = prompts[key[1]]
        values = {
            "dsr": score.dsr if score else None,
            "obeys": score is not None and obeys(score),
            "reason": score and (score.reason or missed_words(score, prompt.change, prompt.object) or None),
        }
        return dict(zip(("set", "prompt", "seed"), key, strict=True)) | values

    rows = []
    for each, prompt, seed in sorted(found, key=_newest_first):
        step = step_of(each)
        if step == 0 or (step is None and each != ALIGNED):
            continue
        bases = (look_set(0), BASE) if step else (BASE, look_set(0))
        base = next((key for name in bases if (key := (name, prompt, seed)) in found), None)
        rows.append(
            {
                "step": step,
                "aligned": shown((each, prompt, seed)),
                "base": shown(base) if base else None,
            }
        )
    return {"prompts": texts, "rows": rows, "base_score": _base_score(scores)}


def step_of(set: str) -> int | None:
    """The step whose look made this set of videos; None for another set."""
    match = re.fullmatch(r"step-(\d+)", set)
    return int(match[1]) if match else None


def _newest_first(key: Key) -> tuple[float, str, int]:
    step = step_of(key[0])
    return (float("-inf") if step is None else -step, key[1], key[2])


def _base_score(scores: dict[Key, Score]) -> float | None:
    values = [score.dsr or 0.0 for key, score in scores.items() if key[0] == look_set(0)]
    return sum(values) / len(values) if values else None


def _videos(layout: RunLayout, texts: dict[str, str]) -> Iterator[Key]:
    ids = {safe_name(prompt): prompt for prompt in texts}
    for video in (layout.folder / "samples").glob("*/*/*.mp4"):
        folder, prompt = video.parent.parent.name, ids.get(video.parent.name)
        known = folder in (BASE, ALIGNED) or step_of(folder) is not None
        if known and prompt is not None and video.stem.isdecimal():
            yield folder, prompt, int(video.stem)


def _prompts(layout: RunLayout) -> dict[str, DsrPrompt]:
    with contextlib.suppress(SpatialAlignError):  # none yet, or damaged: then there is nothing to show
        return {prompt.id: prompt for prompt in layout.prompts()}
    return {}


def _scores(layout: RunLayout) -> dict[Key, Score]:
    with contextlib.suppress(SpatialAlignError):
        return {(row.set, row.prompt_id, row.seed): row.score for row in read_scores(layout.scores_file)}
    return {}
