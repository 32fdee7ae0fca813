"""Files of sentences to read: a JSON list, a CSV table, or a sentence a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..tables import ROW, read_table
from .reader import read_text

_TEXTS = ("text", "prompt", "sentence", "caption")
_IDS = ("id", "prompt_id", "name")
_SHAPES = (
    'a JSON list of {"id": ..., "text": ...}, a CSV table with a column prompt or text, or a text file with one '
    "sentence a line"
)


def read_texts_file(path: str | Path) -> list[dict[str, Any]]:
    """What every text of a file says, in order: {id, subject, object, motion, doubts, remarks}.

    motion is a list of relation codes (L, R, T; F, B, U and I are read and not scored), doubts and remarks are lists of
    sentences; subject and object are None when they are unclear. SpatialAlignError that names the file, and the entry,
    for what cannot be read.
    """
    readings = []
    for name, text in _texts(Path(path)):
        reading = asdict(read_text(text))
        readings.append(
            {
                "id": name,
                "subject": reading["subject"] or None,
                "object": reading["object"] or None,
                "motion": list(reading["motion"]),
                "doubts": list(reading["doubts"]),
                "remarks": list(reading["remarks"]),
            }
        )
    return readings


def _texts(path: Path) -> list[tuple[Any, str]]:
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        return _of_table(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SpatialAlignError(f"There is no file at {path}; check the path.") from error
    except UnicodeDecodeError as error:
        raise SpatialAlignError(f"{path} is not UTF-8 text; give {_SHAPES}.") from error
    except OSError as error:
        raise SpatialAlignError(
            f"The file {path} cannot be read: {error.strerror}; give {_SHAPES}."
        ) from error
    if kind in (".json", ".jsonl") or text.lstrip()[:1] in ("[", "{"):
        return _of_json(path, text)
    lines = [line.strip() for line in text.splitlines()]
    return [
        (str(number), line) for number, line in enumerate(lines, start=1) if line and not line.startswith("#")
    ]


def _of_json(path: Path, text: str) -> list[tuple[Any, str]]:
    try:
        if path.suffix.lower() == ".jsonl":
            data: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpatialAlignError(f"{path} is not valid JSON ({error}); give {_SHAPES}.") from error
    if isinstance(data, dict):
        data = next((data[key] for key in ("prompts", "texts", "sentences", "items") if key in data), data)
    if not isinstance(data, list):
        raise SpatialAlignError(f"{path} holds no list; give {_SHAPES}.")
    result: list[tuple[Any, str]] = []
    for number, entry in enumerate(data, start=1):
        name, said = (str(number), entry) if isinstance(entry, str) else (None, None)
        if isinstance(entry, dict):
            name = next((entry[key] for key in _IDS if key in entry), str(number))
            said = next((entry[key] for key in _TEXTS if key in entry), None)
        if not isinstance(said, str):
            raise SpatialAlignError(f"{path}, entry {number}: there is no text in it; give {_SHAPES}.")
        result.append((name, said))
    return result


def _of_table(path: Path) -> list[tuple[Any, str]]:
    errors: list[SpatialAlignError] = []
    for column in _TEXTS:
        try:
            rows: Sequence[dict[str, str]] = read_table(path, (column,))
        except SpatialAlignError as error:
            errors.append(error)
            continue
        return [(next((row[key] for key in _IDS if row.get(key)), row[ROW]), row[column]) for row in rows]
    if "is missing" in str(errors[0]):
        raise SpatialAlignError(f"{path}: there is no column {' or '.join(_TEXTS[:2])}; give {_SHAPES}.")
    raise errors[0]
