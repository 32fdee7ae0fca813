"""scores.csv: one row a scored video."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import SpatialAlignError
from ..files import atomic_write
from ..score import End, Score
from ..tables import read_table

_PARTS = ("dsr", "initial_ssr", "final_ssr", "initial_gap", "final_gap")
_COLUMNS = ("set", "prompt_id", "seed", "valid", "reason", *_PARTS, "scored_frames", "video")
_LATER = ("missed",)  # tables of version 0.1.0 lack it
_NONE = "none"


@dataclass(frozen=True)
class ScoreRow:
    """The score of one video. video: digest of the mp4 that was scored."""

    set: str
    prompt_id: str
    seed: int
    score: Score
    video: str


def write_scores(path: Path, rows: Iterable[ScoreRow]) -> None:
    """Write the table whole, sorted by set, prompt and seed. Empty cells are None; numbers read back exactly."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*_COLUMNS, *_LATER))
    for row in sorted(rows, key=lambda r: (r.set, r.prompt_id, r.seed)):
        score = row.score
        parts = ["" if (value := getattr(score, name)) is None else repr(value) for name in _PARTS]
        valid = "yes" if score.valid else "no"
        table.writerow(
            [
                row.set,
                row.prompt_id,
                row.seed,
                valid,
                score.reason or "",
                *parts,
                score.scored_frames,
                row.video,
                "" if score.missed is None else " ".join(score.missed) or _NONE,
            ]
        )
    atomic_write(path, text.getvalue())


def read_scores(path: Path) -> list[ScoreRow]:
    """Read the table. SpatialAlignError when it is missing or damaged."""
    if not path.exists():
        raise SpatialAlignError(f"There is no {path} yet; score the videos first.")
    try:
        return [_row(record) for record in read_table(path, _COLUMNS)]
    except (SpatialAlignError, ValueError) as error:
        why = str(error).removeprefix(f"{path}, ").replace(f"{path} is", "it is").partition(";")[0]
        raise SpatialAlignError(
            f"{path} is damaged ({why}); delete it and score the videos again."
        ) from error


def _row(record: dict[str, str]) -> ScoreRow:
    dsr, initial, final, initial_gap, final_gap = (_number(record[n]) for n in _PARTS)
    score = Score(
        valid=record["valid"] == "yes",
        reason=record["reason"] or None,
        dsr=dsr,
        initial_ssr=initial,
        final_ssr=final,
        initial_gap=initial_gap,
        final_gap=final_gap,
        scored_frames=int(record["scored_frames"]),
        missed=_missed(record.get("missed")),
    )
    return ScoreRow(record["set"], record["prompt_id"], int(record["seed"]), score, record["video"] or "")


def _missed(cell: str | None) -> tuple[End, ...] | None:
    """The column `missed`; None where it is empty, or lacks as in tables of older versions."""
    words = (cell or "").split()
    ends: tuple[End, ...] = ("initial_ssr", "final_ssr")
    if unknown := set(words) - {*ends, _NONE}:
        raise ValueError(f"{sorted(unknown)[0]!r} is no end of a video")
    return tuple(end for end in ends if end in words) if words else None


def _number(cell: str) -> float | None:
    """Spreadsheets of some countries save a decimal comma."""
    return float(cell.replace(",", ".")) if cell else None
