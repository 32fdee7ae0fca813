"""training.csv: one row a step, with the held-out score beside the loss where one was made; TensorBoard on demand."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..errors import SpatialAlignError
from ..files import atomic_write, cause
from ..train.trainer import StepLog

_STEP = tuple(field.name for field in fields(StepLog))
HELD_OUT = ("held_out_score", "held_out_accuracy", "held_out_valid", "held_out_obey")
"""Of the held-out videos of a step: mean DSR-Score (INVALID counts 0), the published accuracy@0.7, share that is valid,
share that obeys (not in the logs of version 0.1)."""
_COLUMNS = (*_STEP, *HELD_OUT)


def read_training_log(path: Path) -> list[dict[str, float]]:
    """The rows, columns as in `StepLog`, and `HELD_OUT` in the rows that have them; empty when there is no log. A row
    cut short is left out."""
    rows: list[dict[str, float]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for record in csv.DictReader(file):
                if None not in record and None not in record.values():
                    rows.append({name: float(cell) for name, cell in record.items() if cell != ""})
    except (OSError, ValueError):
        pass  # what was read so far is all that can be had
    return [row for row in rows if {"step", "total", "loss"} <= row.keys()]


class TrainingLog:
    """The file while it grows. A context manager; SpatialAlignError when the disk refuses a row."""

    def __init__(self, path: Path, step: int, tensorboard: Path | None = None) -> None:
        """Goes on after the row of `step`; later rows belong to steps that are done again."""
        self.path = path
        self.rows = [row for row in read_training_log(path) if row["step"] <= step] if step else []
        self._file = self._rewritten()
        self._board = None if tensorboard is None else _summary_writer(tensorboard, step)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    def append(self, step: StepLog) -> None:
        """Write the row of a step."""
        row = asdict(step)
        line = (_line(row) + "\n").encode()
        try:
            written = self._file.write(line)
        except OSError as error:
            raise self._refused(error) from error
        if written != len(line):  # what a nearly full disk does
            raise self._refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        # Only now: no checkpoint may know of a step that the log does not.
        self.rows.append(row)
        self._show(row, _STEP[2:])

    def amended(self, held_out: Mapping[str, float]) -> list[dict[str, float]]:
        """The rows with what was found on held-out videos, by the names in `HELD_OUT`, beside the last step."""
        return [*self.rows[:-1], self.rows[-1] | dict(held_out)] if self.rows else []

    def amend(self, held_out: Mapping[str, float]) -> None:
        """Write the rows as `amended`."""
        if not self.rows:
            return
        self.rows = self.amended(held_out)
        self._file.close()
        self._file = self._rewritten()
        self._show(self.rows[-1], HELD_OUT)

    def back_to(self, step: int) -> None:
        """Forget the rows after this step."""
        if self.rows and self.rows[-1]["step"] > step:
            self.rows = [row for row in self.rows if row["step"] <= step]
            self._file.close()
            self._file = self._rewritten()

    def flush(self) -> None:
        """To the disk itself: the log must never be behind a checkpoint."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error

    def _rewritten(self) -> IO[bytes]:
        """The whole file anew, open for appending."""
        atomic_write(self.path, "\n".join([",".join(_COLUMNS), *map(_line, self.rows)]) + "\n")
        # Without a buffer, so that a row that the full disk refused is not tried again when the file is closed.
        return self.path.open("ab", buffering=0)

    def _show(self, row: Mapping[str, float], names: Sequence[str]) -> None:
        if self._board is None:
            return
        for name in names:
            self._board.add_scalar(name, row[name], int(row["step"]))

    def _refused(self, error: OSError) -> SpatialAlignError:
        return SpatialAlignError(
            f"Cannot write {self.path}: {cause(error)}. It goes on from the last step that was saved."
        )


def _line(row: Mapping[str, Any]) -> str:
    return ",".join(_cell(name, row[name]) if name in row else "" for name in _COLUMNS)


def _cell(name: str, value: Any) -> str:
    return str(int(value)) if name in ("step", "total") else repr(float(value))


def _summary_writer(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise SpatialAlignError(
            "The log for TensorBoard needs the package tensorboard; install it, or read training.csv."
        ) from None
    return SummaryWriter(str(folder), purge_step=step + 1)
