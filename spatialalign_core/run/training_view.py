"""What a training panel shows, from the run folder alone: plain values, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..curves import running_mean, thinned
from .control import REQUESTS
from .layout import RunLayout
from .lock import is_locked
from .training_log import HELD_OUT, read_training_log
from .work import is_working

Rows = Sequence[Mapping[str, float]]

AT_WORK = ("training", "paused", "sampling")
CURVES = ("loss", "margin", "accuracy", *HELD_OUT)
_SLACK = 60.0  # seconds: both notes of a training are written now and then
_FEW = 40  # looks at held-out videos are few and far between: no running mean
_ABOUT = {
    "none": "not trained yet",
    "training": "training",
    "paused": "paused",
    "sampling": "making held-out videos",
    "stopped": "stopped; run it again and it goes on",
    "interrupted": "ended without a word; run it again and it goes on from the last save",
    "finished": "finished",
}


def training_view(layout: RunLayout, points: int = 600) -> dict[str, Any]:
    """How the training of this run stands.

    run: its name. state: a key of words in `_ABOUT`, about: those words. step, total. at_work: whether buttons have an
    effect. asked: requests that are not answered yet. can_sample: whether held-out videos can be asked for; True where
    unknown. plan, seconds_left, seconds_per_step, memory, memory_total, device: None where unknown. curves: of each of
    `CURVES` that has any, "raw" and "mean" as [step, value] lists of at most `points`. latest: the last value of each,
    of its mean where it has one, since one step alone says little. best: step with the best held-out score, or None.
    """
    rows = training_rows(layout)
    told = layout.control.state()
    state = training_state(layout, rows, told)
    at_work = state in AT_WORK
    last = rows[-1] if rows else {}
    curves = {name: curve for name in CURVES if (curve := _curve(rows, name, points))}
    return {
        "run": layout.folder.name,
        "state": state,
        "about": _ABOUT[state],
        "at_work": at_work,
        "asked": [request for request in REQUESTS if at_work and layout.control.asked(request)],
        "can_sample": bool(told.get("can_sample", True)),
        "step": int(last.get("step", 0)),
        "total": int(told.get("total") or last.get("total", 0)),
        "plan": told.get("plan"),
        "seconds_left": told.get("seconds_left") if at_work else None,
        "seconds_per_step": _pace(rows),
        **{name: told.get(name) for name in ("memory", "memory_total", "device")},
        "latest": {name: curve.get("mean", curve["raw"])[-1][1] for name, curve in curves.items()},
        "curves": curves,
        "best": _best(rows),
    }


def training_state(layout: RunLayout, rows: Rows | None = None, told: Mapping[str, Any] | None = None) -> str:
    """One of the keys of `_ABOUT`. A training that died says nothing; the folder's lock tells."""
    told = layout.control.state() if told is None else told
    state = told.get("state")
    if state in AT_WORK:
        return str(state) if _goes_on(layout, told) else "interrupted"
    if state in _ABOUT:
        return str(state)
    rows = training_rows(layout) if rows is None else rows
    if not rows:
        return "none"
    # A log without a word beside it, as older versions left it.
    return "finished" if rows[-1]["step"] >= rows[-1]["total"] else "stopped"


def training_rows(layout: RunLayout) -> Rows:
    """Of training.csv, or of that of the newest round where a run is trained by rounds."""
    if layout.training_file.exists():
        return _rows(layout.training_file)
    return _rows(max((layout.folder / "rounds").glob("[0-9]*/training.csv"), default=layout.training_file))


def _goes_on(layout: RunLayout, told: Mapping[str, Any]) -> bool:
    """Whether the training that told this of itself does: not where it was killed and something else began since."""
    work = layout.work.read()
    if work and work["time"] >= told.get("time", 0.0) - _SLACK:
        return work["step"] in ("training", "rounds") and is_working(layout.folder, work)
    return is_locked(layout.folder)


def _rows(path: Path) -> Rows:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return _rows_of(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _rows_of(path: Path, changed: int, size: int) -> Rows:
    return read_training_log(path)


def _curve(rows: Rows, name: str, points: int) -> dict[str, list[tuple[float, float]]]:
    line = [
        (row["step"], row[name]) for row in rows if name in row and math.isfinite(row[name])
    ]  # a step that diverged has no number
    if not line:
        return {}
    curve = {"raw": thinned(line, points)}
    if len(line) > _FEW and name not in HELD_OUT:
        mean = running_mean([value for _, value in line])
        curve["mean"] = thinned(list(zip((step for step, _ in line), mean, strict=True)), points)
    return curve


def _pace(rows: Rows) -> float | None:
    recent = [row["seconds"] for row in rows[-20:] if "seconds" in row]
    return sum(recent) / len(recent) if recent else None


def _best(rows: Rows) -> int | None:
    looks = [row for row in rows if HELD_OUT[0] in row]
    return int(max(looks, key=lambda row: row[HELD_OUT[0]])["step"]) if looks else None
