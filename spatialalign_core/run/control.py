"""Talking to a training that runs: small files in the run folder's `control`, for nodes, verbs and whoever else.

control/pause       while it is there, the training rests between two steps, with everything saved
control/save        save a checkpoint and the LoRA of this step; taken away when done
control/sample      make and score the held-out videos of this step; taken away when done
control/stop        save everything and end here; the next run goes on after this step
control/state.json  what the training says of itself: {"state", "step", "total", "plan", "can_sample"} and how it
                    fares, see `Health`; can_sample: whether "sample" has an effect
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import atomic_write

REQUESTS = ("pause", "save", "sample", "stop")
ACTIONS = ("pause", "resume", "save", "sample", "stop")
_HEARTBEAT = 2.0  # seconds between two state.json of the same state


@dataclass(frozen=True)
class Health:
    """How a training fares. seconds_left: None where it cannot be known yet. memory, memory_total: bytes in use and in
    all, on `device`."""

    seconds_left: float | None
    memory: int
    memory_total: int
    device: str


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

    def tell(
        self,
        state: str,
        step: int,
        total: int,
        plan: str,
        health: Health | None = None,
        can_sample: bool | None = None,
    ) -> None:
        """Write state.json: at once where the state has changed ("training", "paused", "sampling", "stopped",
        "finished"), else only every few seconds."""
        now = time.time()
        changed = (self._told.get("state"), self._told.get("plan")) != (state, plan)
        if not changed and (health is None or abs(now - self._told["time"]) < _HEARTBEAT):
            return
        news = {"state": state, "step": step, "total": total, "plan": plan, "time": now}
        news |= {} if can_sample is None else {"can_sample": can_sample}
        self._told = news | (asdict(health) if health else {})
        atomic_write(self.folder / "state.json", json.dumps(self._told) + "\n")

    def state(self) -> dict[str, Any]:
        """What the training said last; empty before the first."""
        try:
            found = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
