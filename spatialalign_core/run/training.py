"""Training that survives being stopped: checkpoints, a log that agrees with them, and the LoRA file at the end."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, Any

from ..errors import SpatialAlignError
from ..files import atomic_write, fingerprint
from ..models.base import VideoModel
from ..pairs import PairData
from ..progress import Progress
from ..train.checkpoint import load_checkpoint, save_checkpoint
from ..train.lora import lora_metadata, read_lora, save_lora
from ..train.settings import TrainSettings
from ..train.trainer import StepLog, Trainer

_COLUMNS = tuple(field.name for field in fields(StepLog))


def train_lora(
    model: VideoModel, pairs: PairData, settings: TrainSettings, lora: Path, log: Path
) -> Iterator[Progress]:
    """Train and write `lora`, yielding after every step.

    Goes on from the newest whole checkpoint that belongs to these pairs, settings and weights; a LoRA that is finished
    is not trained again. Closing the iterator between two steps saves a checkpoint. The model leaves without any LoRA.
    `log` gets one row a step.
    """
    pairs.check()
    total = settings.steps
    print_ = fingerprint([pairs.fingerprint, settings, model.fingerprint])
    state_of_file = _finished(lora, print_)
    if state_of_file is True:
        yield Progress("train", total, total, f"{lora.name} is up to date", path=lora)
        return
    if state_of_file is None:
        yield Progress("train", 0, total, f"{lora} is damaged; it is made again.", warning=True)

    trainer = Trainer(model, pairs, settings)
    # A folder for each combination, because another run's higher step numbers would count as newer.
    checkpoints = lora.parent / "checkpoints" / f"{lora.stem}-{print_}"
    saved = 0
    try:
        state, damaged = load_checkpoint(checkpoints, trainer.fingerprint)
        for path in damaged:
            yield Progress(
                "train", 0, total, f"The checkpoint {path} is damaged; an older one is used.", warning=True
            )
        if state is not None:
            trainer.restore(state)
            saved = state.step
        yield Progress("train", trainer.step, total, f"going on after step {saved}" if saved else "")
        with _log_from(log, trainer.step) as file:
            try:
                for step in trainer.run():
                    _append(file, step)
                    if step.step % settings.checkpoint_every == 0 and step.step < total:
                        saved = _save(checkpoints, trainer, file)
                    yield Progress("train", step.step, total, _message(step), values=_values(step))
            except GeneratorExit:
                if trainer.step > saved:
                    _save(checkpoints, trainer, file)
                raise
            os.fsync(file.fileno())
        metadata = {
            **lora_metadata(model, settings, pairs),
            "fingerprint": print_,
            "preset_settings": repr(settings),
        }
        save_lora(lora, trainer.lora(), metadata)
    finally:
        trainer.close()
    yield Progress("train", total, total, f"saved {lora.name}", path=lora)


def read_training_log(path: Path) -> list[dict[str, float]]:
    """The rows of training.csv, columns as in `StepLog`; empty when there is no log. A row cut short is left out."""
    rows: list[dict[str, float]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for record in csv.DictReader(file):
                if None not in record and all(record.get(name) not in (None, "") for name in _COLUMNS):
                    rows.append({name: float(record[name]) for name in _COLUMNS})
    except (OSError, ValueError):
        pass  # what was read so far is all that can be had
    return rows


def _finished(lora: Path, print_: str) -> bool | None:
    """Whether the file is there and up to date; None when it is damaged."""
    if not lora.exists():
        return False
    try:
        _, metadata = read_lora(lora)
    except SpatialAlignError:
        return None
    return metadata.get("fingerprint") == print_


def _log_from(path: Path, step: int) -> IO[str]:
    """The log, open for appending after its row of `step`; later rows belong to steps that are done again."""
    rows = [row for row in read_training_log(path) if row["step"] <= step] if step else []
    lines = [",".join(_COLUMNS)] + [",".join(_cell(name, row[name]) for name in _COLUMNS) for row in rows]
    atomic_write(path, "\n".join(lines) + "\n")
    return path.open("a", encoding="utf-8", newline="")


def _append(file: IO[str], step: StepLog) -> None:
    file.write(",".join(_cell(name, value) for name, value in asdict(step).items()) + "\n")
    file.flush()


def _cell(name: str, value: Any) -> str:
    return str(int(value)) if name in ("step", "total") else repr(float(value))


def _save(folder: Path, trainer: Trainer, log: IO[str]) -> int:
    os.fsync(log.fileno())  # the log must never be behind the checkpoint
    save_checkpoint(folder, trainer.state())
    return trainer.step


def _values(step: StepLog) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(step).items() if name not in ("step", "total")}


def _message(step: StepLog) -> str:
    return f"loss {step.loss:.4f}, margin {step.margin:+.3f}, implicit accuracy {step.accuracy:.2f}"
