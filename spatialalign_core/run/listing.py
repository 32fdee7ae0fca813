"""The runs in a folder, as a list to choose from. Plain values, ready for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .layout import RunLayout
from .training_view import training_state

_MARKS = ("prompts.csv", "training.csv", "scores.csv", "samples", "control")


def list_runs(root: Path) -> list[dict[str, Any]]:
    """name, state (see `training_view`) and changed (seconds since 1970) of every run folder; the newest first."""
    if not root.is_dir():
        return []
    runs = []
    for folder in root.iterdir():
        if folder.name.startswith(".") or not any((folder / mark).exists() for mark in _MARKS):
            continue
        layout = RunLayout(folder)
        runs.append({"name": folder.name, "state": training_state(layout), "changed": _changed(folder)})
    return sorted(runs, key=lambda run: (-run["changed"], run["name"]))


def _changed(folder: Path) -> float:
    times = [folder.stat().st_mtime]
    for mark in (*_MARKS, "control/state.json", "report.json"):
        file = folder / mark
        if file.exists():
            times.append(file.stat().st_mtime)
    return max(times)
