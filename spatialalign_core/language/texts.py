"""Files of sentences: a JSON list, a CSV table, or a sentence a line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..tables import NO_DELIMITER, ROW, decoded, read_table
from .reader import read_text

LINE, ROW_OF_TABLE, ENTRY = "line", "row", "entry"
_TEXTS = ("prompt", "text", "sentence", "caption", "prompts", "texts", "sentences", "captions")
_IDS = ("prompt_id", "id", "name")
_SHAPES = (
    'a JSON list of {"id": ..., "text": ...}, a CSV table with a column prompt or text, or a text file with one '
    "sentence a line"
)
_MARK = re.compile(r"[-*\u2022\u2013\u2014]\s+|\(?\d{1,5}(?:[.):]\s+|[,;\t]\s*)")
_QUOTES = (('"', '"'), ("\u201c", "\u201d"), ("\u00ab", "\u00bb"), ("'", "'"))


@dataclass(frozen=True)
class Text:
    """One text of a file. number: its line, row or entry, counted from 1. cells: its other cells, by column."""

    number: int
    text: str
    id: Any = None
    cells: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Texts:
    """What a file holds. unit: what `number` counts, "line", "row" or "entry". stripped: what was left out of every
    text, "" or "list marks"."""

    texts: tuple[Text, ...]
    unit: str
    stripped: str = ""


def read_texts_file(path: str | Path) -> list[dict[str, Any]]:
    """What every text of a file says, in order: {id, subject, object, motion, doubts, remarks}.

    motion is a list of relation codes (L, R, T; F, B, U and I are read and not scored), doubts and remarks are lists of
    sentences; subject and object are None when they are unclear. SpatialAlignError that names the file, and the entry,
    for what cannot be read.
    """
    readings = []
    for each in texts_of_file(path).texts:
        reading = asdict(read_text(each.text))
        readings.append(
            {
                "id": str(each.number) if each.id is None else each.id,
                "subject": reading["subject"] or None,
                "object": reading["object"] or None,
                "motion": list(reading["motion"]),
                "doubts": list(reading["doubts"]),
                "remarks": list(reading["remarks"]),
            }
        )
    return readings


def texts_of_file(path: str | Path) -> Texts:
    """The texts of a file, as written but for spaces around them. SpatialAlignError as in `read_texts_file`."""
    path = Path(path)
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        return _of_table(path)
    text = decoded(path, f"give {_SHAPES}", "UTF-8 text")
    if kind in (".json", ".jsonl") or text.lstrip()[:1] in ("[", "{"):
        return Texts(tuple(_of_json(path, text)), ENTRY)
    if _is_table(text):
        return _of_table(path)
    return texts_of_lines(text)


def texts_of_lines(text: str) -> Texts:
    """One text a line. Empty lines, lines that begin with # and a header such as "prompt" are none.

    Bullets or numbers are left out where every line has one, and quotes where every line stands in them.
    """
    numbered = enumerate(re.split(r"\r\n|\r|\n", text), start=1)
    lines = [Text(number, line.strip()) for number, line in numbered]
    lines = [each for each in lines if each.text and not each.text.startswith("#")]
    if lines and lines[0].text.lower() in _TEXTS:
        del lines[0]
    return _without_marks(lines, LINE)


def _without_marks(lines: Sequence[Text], unit: str) -> Texts:
    """Without what makes lines a list and stands around every one of them."""
    stripped = ""
    if len(lines) > 1 and all(_MARK.match(each.text) for each in lines):
        lines = [replace(each, text=_MARK.sub("", each.text, count=1).strip()) for each in lines]
        stripped = "list marks"
    if lines and all(_quoted(each.text) for each in lines):
        lines = [replace(each, text=_quoted(each.text)) for each in lines]
        stripped = "list marks"
    return Texts(tuple(lines), unit, stripped)


def _quoted(text: str) -> str:
    """What stands in the quotes, "" where the text has none around it. A comma may follow, as in a list in code."""
    text = text.rstrip(",; ")
    for opening, closing in _QUOTES:
        if len(text) > 2 and text[0] == opening and text[-1] == closing and opening not in text[1:-1]:
            return text[1:-1].strip()
    return ""


def _is_table(text: str) -> bool:
    """Whether the first line is a header of several columns with one for texts."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    cells = [cell.strip(' "').lower() for cell in re.split(r"[,;\t]", first)]
    return len(cells) > 1 and bool(set(cells) & set(_TEXTS)) and all(len(cell.split()) < 3 for cell in cells)


def _of_json(path: Path, text: str) -> list[Text]:
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
    result = []
    for number, entry in enumerate(data, start=1):
        name, said = (None, entry) if isinstance(entry, str) else (None, None)
        if isinstance(entry, dict):
            name = next((entry[key] for key in _IDS if key in entry), None)
            said = next((entry[key] for key in _TEXTS if key in entry), None)
        if not isinstance(said, str):
            raise SpatialAlignError(f"{path}, entry {number}: there is no text in it; give {_SHAPES}.")
        cells = (
            ((key, value) for key, value in entry.items() if isinstance(value, str))
            if isinstance(entry, dict)
            else ()
        )
        result.append(Text(number, said.strip(), name, tuple(cells)))
    return result


def _of_table(path: Path) -> Texts:
    errors: list[SpatialAlignError] = []
    for column in _TEXTS:
        try:
            rows: Sequence[dict[str, str]] = read_table(path, (column,))
        except SpatialAlignError as error:
            errors.append(error)
            continue
        texts = (
            Text(
                int(row[ROW]),
                row[column],
                next((row[key] for key in _IDS if row.get(key)), None),
                tuple((name, cell) for name, cell in row.items() if name not in (ROW, column)),
            )
            for row in rows
        )
        return Texts(tuple(texts), ROW_OF_TABLE)
    other = next((each for each in errors if "is missing" not in str(each)), None)
    if other is not None:
        raise other
    lines = _of_column(path)
    # A bare list of sentences, which many save as a table.
    if lines and all(len(read_text(each.text).motion) > 1 for each in lines[:3]):
        return _without_marks(lines, ROW_OF_TABLE)
    raise SpatialAlignError(f"{path}: there is no column {' or '.join(_TEXTS[:2])}; give {_SHAPES}.")


def _of_column(path: Path) -> tuple[Text, ...]:
    """The rows of a table without a header, each taken as one cell."""
    text = decoded(path, f"give {_SHAPES}", "'CSV UTF-8'")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=NO_DELIMITER)
    return tuple(
        Text(number, row[0].strip()) for number, row in enumerate(rows, start=1) if "".join(row).strip()
    )
