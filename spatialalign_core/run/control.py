"""Talking to a training that runs: small files in the run folder's `control`, for nodes, verbs and whoever else.

control/pause       while it is there, the training rests between two steps, with everything saved
control/save        save a checkpoint and the LoRA of this step; taken away when done
control/sample      make and score the held-out videos of this step; taken away when done
control/state.json  what the training says of itself: {"state", "step", "total", "plan"}
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import atomic_write

REQUESTS = ("pause", "save", "sample")
ACTIONS = ("pause", "resume", "save", "sample")


class TrainControl:
    """Both ends of it. Asking needs no lock: every file is written whole."""

    def __init__(self, folder: Path) -> None:
        """folder: the run folder."""
        self.folder = folder / "control"
        self._told: dict[str, Any] = {}

    def ask(self, action: str) -> None:
        """One of `ACTIONS`. SpatialAlignError for another, or where no run is."""
        if action not in ACTIONS:
            raise SpatialAlignError(f"Cannot {action!r} a training; choose one of: {', '.join(ACTIONS)}.")
        if not self.folder.parent.is_dir():
            raise SpatialAlignError(f"There is no run folder {self.folder.parent}; check its name.")
        if action == "resume":
            self.answered("pause")
        else:
            atomic_write(self.folder / action, "")

    def asked(self, request: str) -> bool:
        """Whether somebody wants this, one of `REQUESTS`."""
        return (self.folder / request).exists()

    def answered(self, request: str) -> None:
        """It is done, or no longer wanted."""
        with contextlib.suppress(OSError):
            (self.folder / request).unlink(missing_ok=True)

    def tell(self, state: str, step: int, total: int, plan: str) -> None:
        """Write state.json where the state has changed ("training", "paused", "sampling", "stopped", "finished")."""
        news = {"state": state, "step": step, "total": total, "plan": plan}
        if self._told.get("state") != state or self._told.get("plan") != plan:
            self._told = news
            atomic_write(self.folder / "state.json", json.dumps(news) + "\n")

    def state(self) -> dict[str, Any]:
        """What the training said last; empty before the first."""
        try:
            found = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
