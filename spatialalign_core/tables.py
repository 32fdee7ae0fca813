"""CSV tables as people and spreadsheets save them, read with errors that name the row."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from .errors import SpatialAlignError
from .files import cause

ROW = "#row"
"""Key under which each row keeps the number that a spreadsheet shows."""
NO_DELIMITER = "\x1f"
"""Stands between cells where each row is one cell: a sign that no text holds."""
_NO_CSV = {b"PK\x03\x04": "a spreadsheet", b"\xd0\xcf\x11\xe0": "an old spreadsheet", b"%PDF": "a PDF"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What western European text holds beyond ASCII; Chinese and Japanese encodings do not look like this.
_WESTERN = re.compile(r"(?:[\x00-\x7fà-öø-þßœšž‘’“”–—…\xa0€]|[À-ÖØ-ÞŒŠŽ](?=[\x00-\x7f]|$))*")
_TITLE_ROWS = 5


def read_table(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, cells without the spaces around them, and their number under `ROW`.

    Other columns than `columns` are kept. Read as well: semicolons and tabs between cells, a first line "sep=;",
    capitals in the header, empty or title rows before it, empty rows and columns at the end, UTF-16 and western
    European (cp1252) text. SpatialAlignError naming file and row (as a spreadsheet counts) when the file is missing,
    is no CSV, is text in an unknown encoding, lacks one of `columns` or has one twice, or a row has more or fewer
    cells than the header.
    """
    path = Path(path)
    lines = decoded(path, "choose a CSV file", "'CSV UTF-8'").splitlines(keepends=True)
    named = re.fullmatch(r"\s*\"?sep=(.)\"?[,;\t\s]*", lines[0], re.I) if lines else None
    if named:
        lines[0] = "\n"  # keeps the count; a spreadsheet hides this row
    hidden = 1 if named else 0
    delimiter = named[1] if named else _delimiter(lines, columns)
    reader = csv.reader(io.StringIO("".join(lines), newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows: list[dict[str, str]] = []
    number = 0
    first: tuple[int, list[str]] | None = None
    try:
        for cells in reader:
            number += 1
            shown = number - hidden
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if header is None:
                found = _header(cells, columns)
                first = first or (shown, found)
                if set(columns) <= set(found) or shown > _TITLE_ROWS:
                    header = _checked(
                        path, *((shown, found) if set(columns) <= set(found) else first), columns
                    )
                continue
            extra = cells[len(header) :]
            if len(cells) < len(header) or any(extra):
                raise SpatialAlignError(
                    f"{path}, row {shown}: this row has {'more' if extra else 'fewer'} cells than the"
                    " header; put text that holds a comma in double quotes."
                )
            row = {name: cell for name, cell in zip(header, cells, strict=False) if name}
            rows.append(row | {ROW: str(shown)})
    except csv.Error as error:
        raise SpatialAlignError(
            f"{path}, row {number + 1 - hidden}: this is not a CSV table ({error}); save it as 'CSV UTF-8' again."
        ) from error
    if header is None and first is None:
        raise SpatialAlignError(f"{path} is empty; it needs a header with {', '.join(columns)}.")
    if header is None and first is not None:
        _checked(path, *first, columns)
    return rows


def decoded(path: Path, instead: str, saved_as: str) -> str:
    """The text of a file in UTF-8, UTF-16 or cp1252, without a byte order mark.

    instead: what to do where it cannot be read. saved_as: what to save it as where its encoding is unknown.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SpatialAlignError(f"There is no file at {path}; check the path.") from error
    except OSError as error:
        raise SpatialAlignError(f"The file {path} cannot be read: {cause(error)}; {instead}.") from error
    kind = _NO_CSV.get(data[:4])
    if kind:
        raise SpatialAlignError(f"{path} is {kind}, not a CSV table; open it and export it as 'CSV UTF-8'.")
    if data[:2] in _UTF16:
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        western = data.decode("cp1252", errors="replace")
        if _WESTERN.fullmatch(western):
            return western
        line = data[: error.start].count(b"\n") + 1
        raise SpatialAlignError(
            f"{path}, row {line}: this is not UTF-8 text; save the file as {saved_as}."
        ) from error


def _delimiter(lines: Sequence[str], columns: Sequence[str]) -> str:
    """That of the header, or of the first line with a cell where no header is among the first lines.

    Nothing stands between cells below a header of one cell: a comma in the only column belongs to its text.
    """
    filled = [line for line in lines if line.strip(",;\t \r\n")][: _TITLE_ROWS + 1] or [""]
    known = {name.lower() for name in columns}
    if any(line.strip('\ufeff" \r\n').lower() in known for line in filled):
        return NO_DELIMITER

    def fits(line: str) -> int:
        return len(known & {cell.strip(' "\r\n').lower() for cell in re.split(r"[,;\t]", line)})

    return max(",;\t", key=max(filled, key=fits).count)


def _header(cells: list[str], columns: Sequence[str]) -> list[str]:
    """Names as `columns` write them, others in small letters; without empty columns at the end."""
    own = {name.lower(): name for name in columns}
    names = [
        own.get(plain, plain)
        for plain in (re.sub(r"\s+", "_", cell.strip("\ufeff ").lower()) for cell in cells)
    ]
    while names and not names[-1]:
        names.pop()
    return names


def _checked(path: Path, shown: int, header: list[str], columns: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in header:
            raise SpatialAlignError(
                f"{path}, row {shown}: the column {name!r} is missing; the file needs {', '.join(columns)}."
            )
    for name in header:
        if name and header.count(name) > 1:
            raise SpatialAlignError(f"{path}, row {shown}: the column {name!r} is there twice; delete one.")
    return header
