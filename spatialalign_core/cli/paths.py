"""Paths as people type and paste them: one `type=` function of argparse for each kind."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import SpatialAlignError
from ..files import name_fault

_LONGEST_PATH = 4096 - 1
_LONGEST_PART = 255


def written(text: str) -> Path:
    """The path that is meant: without the quotes and spaces around a pasted one, file:// URLs and ~ resolved.

    A path that exists as it is written stays so. SpatialAlignError for an empty one, control characters, a variable
    that no shell has filled in, an unknown ~user, and one that is too long.
    """
    if text and "\0" not in text and os.path.lexists(text[: _LONGEST_PATH + 1]):
        return Path(text)
    plain = text.strip()
    while len(plain) > 1 and plain[0] == plain[-1] and plain[0] in "\"'":
        plain = plain[1:-1].strip()
    if not plain:
        raise SpatialAlignError("The path is empty; write the path of a file or folder.")
    if plain.lower().startswith("file:"):
        url = urlsplit(plain)
        if url.netloc not in ("", "localhost"):
            raise SpatialAlignError(
                f"{plain!r} lies on another computer; copy the file here and name its path."
            )
        plain = unquote(url.path)
        if os.name == "nt":
            plain = plain.lstrip("/")
    if re.search(r"[\x00-\x1f\x7f]", plain):
        raise SpatialAlignError(f"The path {plain!r} holds a control character; type it again.")
    variable = re.search(r"\$\w+|\$\{\w+\}|%\w+%", plain)
    if variable and not os.path.lexists(plain):
        raise SpatialAlignError(
            f"The path {plain!r} holds {variable[0]}, which the shell has not filled in; write the folder itself, or "
            "use double quotes."
        )
    if plain.startswith("~"):
        plain = os.path.expanduser(plain)
        if plain.startswith("~"):
            raise SpatialAlignError(
                f"The path {plain!r} names a user that is not known here; write the whole path."
            )
    parts = Path(plain).parts
    if len(os.fsencode(plain)) > _LONGEST_PATH or any(
        len(os.fsencode(part)) > _LONGEST_PART for part in parts
    ):
        raise SpatialAlignError(f"The path {plain[:60]!r}... is too long; choose shorter names.")
    return Path(plain)


def existing(text: str) -> Path:
    """A file or folder to read. SpatialAlignError when there is none."""
    path = written(text)
    if not path.exists():
        raise SpatialAlignError(f"There is no file at {path}; check the path.")
    return path


def run_folder(text: str) -> Path:
    """A run folder, there or to be made. One that exists may have any name; a new one needs names that every system
    allows, since runs travel. SpatialAlignError also where a file stands."""
    path = written(text)
    for place in (path, *path.parents):
        if place.is_dir():
            break
        if place.exists():
            raise SpatialAlignError(f"{place} is a file, but a run is a folder; choose another name.")
        fault = name_fault(place.name) if place.name not in ("", "..") else None
        if fault:
            raise SpatialAlignError(
                f"{place.name!r} cannot name the run folder {path}, because {fault}; choose another name."
            )
    return path


def name_or_place(text: str) -> str:
    """A name such as "pocket", or a path."""
    return (
        str(written(text)) if os.sep in text or text.lstrip()[:1] in tuple("~$%\"'") or ":" in text else text
    )
