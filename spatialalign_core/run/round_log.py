"""rounds.json: what each self-improvement round reached, and which LoRA it left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import atomic_write

_FORMAT = 1


@dataclass(frozen=True)
class Round:
    """One finished round; number 0 is the model before any.

    held_out_score, held_out_accuracy, held_out_valid, held_out_obey: of the held-out videos with its LoRA, as in
    training.csv; the last is None in the files of version 0.1. obeyed: share that obeys of the videos that it learned
    from first, which the LoRA before it made; accuracy@0.7 in those files. pairs: how many it was trained on. lora:
    digest of its file. origin: stands for everything that it was made from.
    """

    number: int
    held_out_score: float
    held_out_accuracy: float
    held_out_valid: float
    obeyed: float | None = None
    pairs: int = 0
    lora: str | None = None
    origin: str = ""
    held_out_obey: float | None = None


def read_rounds(path: Path) -> list[Round]:
    """The rounds in order; none where there is no file or a damaged one, since each can be found again."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [Round(**row) for row in data["rounds"]] if data["format"] == _FORMAT else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_rounds(path: Path, rounds: Sequence[Round]) -> None:
    """Write the file whole."""
    data = {"format": _FORMAT, "rounds": [asdict(each) for each in rounds]}
    atomic_write(path, json.dumps(data, indent=1) + "\n")


def best_round(rounds: Sequence[Round]) -> Round:
    """The one with the best held-out score, the first of equals."""
    return max(rounds, key=lambda each: each.held_out_score)


def stopped_rising(rounds: Sequence[Round], patience: int) -> bool:
    """Whether the last `patience` rounds brought nothing better."""
    return bool(rounds) and rounds[-1].number - best_round(rounds).number >= patience
