"""The verb `read`: what is understood of sentences, before anything is made or scored."""

from __future__ import annotations

import argparse
import json
from typing import Any

_MARKS = {"L": "left", "R": "right", "T": "top", "F": "in front", "B": "behind", "U": "under", "I": "inside"}


def read(options: argparse.Namespace) -> None:
    """Show subject, object, motion and doubts of every sentence in a file."""
    from ..language.texts import read_texts_file

    readings = read_texts_file(options.file)
    if options.json:
        print(json.dumps(readings, ensure_ascii=False))
        return
    for reading in readings:
        print(_line(reading))
        for sentence in (*reading["doubts"], *reading["remarks"]):
            print(f"    {sentence}")
    doubtful = sum(bool(reading["doubts"]) for reading in readings)
    print(f"{len(readings)} sentences read, {doubtful} of them with doubts")


def _line(reading: dict[str, Any]) -> str:
    motion = ", then ".join(_MARKS[code] for code in reading["motion"]) or "no movement"
    return f"{reading['id']}: {reading['subject'] or '?'} | {motion} | {reading['object'] or '?'}"
