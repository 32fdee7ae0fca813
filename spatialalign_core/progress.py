"""What long work yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECONDS_LEFT = "seconds_left"
"""Name, among the values, of how long the rest of the stage takes: an estimate at first, then as measured."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is: `done` of `total` items, and what just happened.

    stage: the stage's name. message: for people, perhaps empty. warning: the message is about something that went wrong
    but does not stop the stage. path: the file that has just been made. values: numbers to plot (training: loss,
    margin, accuracy, learning_rate). inner: how far a stage inside of this one is, as the held-out videos while a LoRA
    is trained. at_once: how many items come together, for whoever measures the pace. Long stages also yield without
    news, so that whoever drives them can stop.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    warning: bool = False
    path: Path | None = None
    values: Mapping[str, float] | None = None
    inner: Progress | None = None
    at_once: int = 1
