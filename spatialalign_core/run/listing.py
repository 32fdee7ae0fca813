"""The runs in a folder, as a list to choose from. Plain values, ready for JSON."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from .about import matches, run_about
from .layout import RunLayout
from .training_view import training_state
from .work_view import work_now

_MARKS = ("prompts.csv", "training.csv", "scores.csv", "samples", "control")


def run_folders(root: Path) -> list[Path]:
    """Those of all runs, in no order."""
    if not root.is_dir():
        return []
    return [
        folder
        for folder in root.iterdir()
        if not folder.name.startswith(".") and any((folder / mark).exists() for mark in _MARKS)
    ]


def list_runs(root: Path, expected: tuple[str, str] | None = None, find: str = "") -> list[dict[str, Any]]:
    """Every run folder, the newest first.

    name. state: of its training, see `training_view`. work: what is at work, see `work_now`. changed: seconds since
    1970. And what `run_about` says. expected: name of a run and what is about to be done there, see `work_now`. find:
    words that must all stand in the name, the note, the models or the prompts.
    """
    runs = []
    for folder in run_folders(root):
        with contextlib.suppress(OSError):  # deleted while it is read
            if find.strip() and not matches(folder, find):
                continue
            layout = RunLayout(folder)
            runs.append(
                {
                    "name": folder.name,
                    "state": training_state(layout),
                    "work": work_now(
                        layout, expected[1] if expected and expected[0] == folder.name else None
                    ),
                    "changed": _changed(folder),
                }
                | run_about(folder)
            )
    return sorted(runs, key=lambda run: (-run["changed"], run["name"]))


def _changed(folder: Path) -> float:
    times = [folder.stat().st_mtime]
    for mark in (*_MARKS, "control/state.json", "control/work.json", "report.json"):
        file = folder / mark
        if file.exists():
            times.append(file.stat().st_mtime)
    return max(times)
