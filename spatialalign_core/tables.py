"""CSV tables as people save them, read with errors that name the row."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from .errors import SpatialAlignError


def read_table(path: str | Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, cells without the spaces around them.

    Other columns than `columns` are kept. Semicolons and tabs between the cells are read too, as the
    spreadsheets of some countries write them. SpatialAlignError naming file and row (the header is row 1)
    when the file is missing, is no UTF-8 text, lacks one of `columns`, or a row has more or fewer cells than
    the header.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpatialAlignError(
            f"{path}, row {line}: this is not UTF-8 text; save the file as 'CSV UTF-8'."
        ) from error
    except FileNotFoundError as error:
        raise SpatialAlignError(f"There is no file at {path}; check the path.") from error
    except OSError as error:
        raise SpatialAlignError(
            f"The file {path} cannot be read: {error.strerror}; choose a CSV file."
        ) from error
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True
    )
    rows: list[dict[str, str]] = []
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        missing = [name for name in columns if name not in reader.fieldnames]
        if missing:
            raise SpatialAlignError(
                f"{path}, row 1: the column {missing[0]!r} is missing; the file needs {', '.join(columns)}."
            )
        for row in reader:
            if None in row or None in row.values():
                raise SpatialAlignError(
                    f"{path}, row {len(rows) + 2}: this row has {'more' if None in row else 'fewer'} cells than the"
                    " header; put text that holds a comma in double quotes."
                )
            rows.append({name: cell.strip() for name, cell in row.items()})
    except csv.Error as error:
        raise SpatialAlignError(
            f"{path}, row {len(rows) + 2}: this is not a CSV table ({error}); save it as 'CSV UTF-8' again."
        ) from error
    return rows
