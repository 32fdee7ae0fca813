"""Where a run stands in the loop: what works now, how far it is, what is done, the newest videos.

Plain values, ready for JSON: codes and numbers, which the panel says in words.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import safe_name
from ..prompts import DsrPrompt
from ..score import obeys
from ..score_words import missed_words
from .layout import ALIGNED, BASE, RunLayout
from .scores import ScoreRow, read_scores
from .training_view import AT_WORK, training_rows, training_state
from .work import STEPS, is_working

NEXT = "next"
_CLIPS = 4
_COUNTED = ("videos", "tracks", "scores")
_EXTRA = ("rounds", "comparison")  # steps that only some workflows have
_BY_ROUNDS = ("tracks", "scores", "pairs", "training")  # what rounds do themselves


def work_now(layout: RunLayout, expected: str | None = None) -> dict[str, Any]:
    """What is at work in the run: `work_view` without the parts that look at every file.

    expected: the step that somebody is about to do, as a node that loads its model; `NEXT` where all that is known is
    that it goes on, as ComfyUI between two nodes of a workflow; None where nobody is there.
    state: "none" before the first stage, "working", "between" two stages, "paused"; else how the last stage ended,
    "done", "stopped", "failed", or "interrupted" when its process was killed. step: one of `STEPS`, None before the
    first. stage: "generate", "detect" and so on. done, total: of its items. seconds_left: of this stage, None where it
    cannot be known yet. inner: {stage, done, total} of held-out videos while a LoRA is trained. round: number and total
    where there are rounds. message: what it said last; the error where it failed.
    """
    work = layout.work.read()
    training = training_state(layout)
    names = ("step", "stage", "done", "total", "seconds_left", "inner", "round", "message")
    now = {name: work.get(name) for name in names}
    if work and is_working(layout.folder, work):
        now["state"] = "working"
        if now["seconds_left"] is not None:  # counted down while nothing new is told
            now["seconds_left"] = max(1.0, now["seconds_left"] - (time.time() - work["time"]))
    elif training in AT_WORK:  # of a version that told of its trainings alone
        told = layout.control.state()
        now |= {"state": "working", "step": "training", "stage": "train"}
        now |= {"done": told.get("step"), "total": told.get("total")}
    elif expected in STEPS:
        now |= {"state": "between", "step": expected}
    elif work and expected and work["state"] in ("done", "part"):
        following = work["step"] if work["state"] == "part" else _next(work)
        now |= {"state": "between" if following else "done", "step": following or work["step"]}
    elif work:
        ended = {"working": "interrupted", "part": "stopped"}
        now["state"] = ended.get(work["state"], work["state"])
    else:
        now["state"] = "none"
    if now["state"] == "working" and now["stage"] == "train" and training in AT_WORK:
        now["seconds_left"] = layout.control.state().get("seconds_left")
        now["state"] = "paused" if training == "paused" else "working"
    return now


def work_view(layout: RunLayout, expected: str | None = None) -> dict[str, Any]:
    """`work_now`, and with it

    steps: the loop, {name, state, done, total}; state "done", "now", "next", "part" where something is there or has to
    be made again, or "none". clips: the newest videos, {set, prompt, seed, text, dsr, obeys, reason}, dsr None where
    it is not scored.
    """
    now, work, there = work_now(layout, expected), layout.work.read(), _There(layout)
    return now | {"steps": _steps(now, work, there), "clips": _clips(there, work.get("clips", []))}


def _next(work: Mapping[str, Any]) -> str | None:
    """The first step after the last one that is not done; None at the end of the loop."""
    later = STEPS[STEPS.index(work["step"]) + 1 :]
    ended = work["steps"]
    return next((s for s in later if s not in _EXTRA and ended.get(s, {}).get("state") != "done"), None)


class _There:
    """What is in the folder, read once."""

    def __init__(self, layout: RunLayout) -> None:
        self.layout = layout
        self.prompts: dict[str, DsrPrompt] = {}
        with contextlib.suppress(SpatialAlignError):  # none yet, or damaged: then there is nothing to show
            self.prompts = {safe_name(prompt.id): prompt for prompt in layout.prompts()}
        self.rows = _scores(layout.scores_file)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Of each step, how much of it is there and how much should be, as far as the folder tells."""
        layout = self.layout
        train = {name for name, prompt in self.prompts.items() if prompt.split != "held_out"} or {
            *self.prompts
        }
        videos = _count(layout.folder / "samples" / BASE, train, ".mp4")
        rows = training_rows(layout)
        evaluated = sum(row.set == ALIGNED for row in self.rows) if layout.report_json.exists() else 0
        counts = {
            "prompts": len(self.prompts),
            "pairs": _lines(layout.pairs_folder / "train.jsonl"),
            "rounds": max(0, len(layout.finished_rounds()) - 1),
            "evaluation": evaluated,
            "comparison": sum(1 for _ in layout.comparisons_folder.glob("*/comparison.json")),
        }
        return {name: (count, count) for name, count in counts.items()} | {
            "videos": (videos, videos),
            "tracks": (_count(layout.folder / "tracks" / BASE, train, ".json"), videos),
            "scores": (
                sum(row.set == BASE and safe_name(row.prompt_id) in train for row in self.rows),
                videos,
            ),
            "training": (int(rows[-1]["step"]), int(rows[-1]["total"])) if rows else (0, 0),
        }


def _steps(now: Mapping[str, Any], work: Mapping[str, Any], there: _There) -> list[dict[str, Any]]:
    counts, ended = there.counts(), work.get("steps", {})
    active = {"working": "now", "paused": "now", "between": "next"}.get(now["state"])
    steps = {}
    for name in STEPS:
        (done, total), known = counts[name], ended.get(name, {}).get("state")
        if name in _COUNTED:
            total = max(total, ended.get(name, {}).get("total", 0))
        state = "done" if known == "done" or (known is None and 0 < done >= total) else "none"
        if state == "none" and (known or done):
            state = "part"
        if active and name == now["step"]:
            state = active
            if active == "now" and now["total"] and name in (*_COUNTED, "training"):
                done, total = now["done"], now["total"]
        steps[name] = {"name": name, "state": state, "done": done, "total": max(total, done)}
    # Not every workflow has all of them; rounds do some themselves.
    unseen = (*_EXTRA, *(_BY_ROUNDS if steps["rounds"]["state"] != "none" else ()))
    return [step for step in steps.values() if step["state"] != "none" or step["name"] not in unseen]


def _clips(there: _There, clips: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    layout, scores = there.layout, {(r.set, safe_name(r.prompt_id), r.seed): r.score for r in there.rows}
    found: list[dict[str, Any]] = []
    for set, folder, seed in clips:
        prompt = there.prompts.get(folder)
        video = layout.folder / "samples" / set / folder / f"{seed}.mp4"
        if prompt is None or not video.exists() or len(found) == _CLIPS:
            continue
        score = scores.get((set, folder, seed))
        if score is not None and video.stat().st_mtime > layout.scores_file.stat().st_mtime:
            score = None  # of the video that was there before
        found.append(
            {
                "set": set,
                "prompt": prompt.id,
                "seed": seed,
                "text": prompt.text,
                "dsr": score.dsr if score else None,
                "obeys": score is not None and obeys(score),
                "reason": score
                and (score.reason or missed_words(score, prompt.change, prompt.object) or None),
            }
        )
    return found


def _count(folder: Path, names: Collection[str], ending: str) -> int:
    return sum(
        file.suffix == ending and file.stem.isdecimal()
        for name in names
        if (folder / name).is_dir()
        for file in (folder / name).iterdir()
    )


def _scores(path: Path) -> Sequence[ScoreRow]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return _scores_of(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _scores_of(path: Path, changed: int, size: int) -> Sequence[ScoreRow]:
    with contextlib.suppress(SpatialAlignError):
        return read_scores(path)
    return ()


def _lines(path: Path) -> int:
    try:
        return len(path.read_bytes().splitlines())
    except OSError:
        return 0
