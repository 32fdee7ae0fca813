"""What somebody wrote about a run: note.txt in its folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import SpatialAlignError
from ..files import atomic_write

NOTE = "note.txt"
_LONGEST = 10_000  # characters; it is shown whole in a list


def read_note(folder: Path) -> str:
    """Empty where there is none. A file in another encoding is read as well as it can be."""
    try:
        return (folder / NOTE).read_bytes()[: 4 * _LONGEST].decode("utf-8-sig", "replace").strip()
    except OSError:
        return ""


def write_note(folder: Path, text: str) -> None:
    """Keep the text; an empty one takes the note away. SpatialAlignError for a run that is not there, and a book."""
    text = text.strip()
    if not folder.is_dir():
        raise SpatialAlignError(f"There is no run folder {folder}; check its name.")
    if len(text) > _LONGEST:
        raise SpatialAlignError(
            f"The note has {len(text)} characters, and at most {_LONGEST} are kept; make it shorter."
        )
    if text:
        atomic_write(folder / NOTE, text + "\n")
    else:
        (folder / NOTE).unlink(missing_ok=True)
