"""Which video files are meant by files, folders and patterns."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from . import animated
from .errors import SpatialAlignError

SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
        *(".mpe", ".m2v", ".ts", ".mts", ".m2ts", ".vob", ".wmv", ".asf", ".flv"),
        *(".f4v", ".3gp", ".3g2", ".ogv", ".ogm", ".mxf", ".y4m", ".mjpg", ".mjpeg"),
        *(".dv", ".h264", ".264", ".h265", ".265", ".hevc", ".avifs"),
    )
)
"""Names of video files."""
_PICTURES = frozenset((".gif", ".webp", ".png", ".apng"))  # videos where they are animated
_SHOWN = 5  # names of what is left out


@dataclass(frozen=True)
class Sources:
    """videos: in the order in which they were named, those of a folder or a pattern by name, none twice. skipped: one
    sentence for each reason why something was left out."""

    videos: tuple[Path, ...]
    skipped: tuple[str, ...]


def find_videos(named: Iterable[Path]) -> Sources:
    """The videos of files, folders (what lies in them directly) and patterns such as `*.mp4`.

    A file that is named is taken whatever its name; of folders and patterns what is called like a video, "clip2" before
    "clip10". SpatialAlignError for what does not exist, and for a folder or a pattern without videos.
    """
    videos: dict[Path, Path] = {}  # by where they really lie
    skipped: list[str] = []
    for path in named:
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = _chosen(path.iterdir(), str(path), "", skipped)
        elif glob.has_magic(str(path)):
            matches = [Path(match) for match in glob.glob(str(path), recursive=True, include_hidden=True)]
            if not matches:
                raise SpatialAlignError(f"No file matches {str(path)!r}; check the folder and the pattern.")
            found = _chosen(matches, repr(str(path)), path.suffix.lower(), skipped)
        else:
            raise SpatialAlignError(f"There is no video at {path}; check the path or make the video again.")
        skipped += _about(
            [each for each in found if each.resolve() in videos], "Taken once though named twice"
        )
        for each in found:
            videos.setdefault(each.resolve(), each)
    return Sources(tuple(videos.values()), tuple(skipped))


def _chosen(paths: Iterable[Path], where: str, asked: str, skipped: list[str]) -> list[Path]:
    """What is a video by its name, or has the suffix that was asked for."""
    videos, folders, others, stills = [], [], [], []
    known = SUFFIXES | _PICTURES | ({asked} if asked else set())
    for path in sorted(paths, key=_natural):
        suffix = path.suffix.lower()
        if path.is_dir():
            folders.append(path)
        elif path.name.startswith(".") or suffix not in known:
            others.append(path)  # macOS keeps hidden "._clip.mp4" files beside clips
        elif suffix in _PICTURES and not _moves(path):
            stills.append(path)
        else:
            videos.append(path)
    skipped += _about(others, f"Skipped in {where}, no videos by their names")
    skipped += _about(stills, f"Skipped in {where}, single pictures")
    skipped += _about(folders, f"Skipped in {where}, folders within it (name them too to take theirs)")
    if not videos:
        raise SpatialAlignError(
            f"There are no videos in {where}; name another folder, or the files themselves."
        )
    return videos


def _moves(path: Path) -> bool:
    """Whether a picture is animated; a damaged one is taken, so that reading it says what is wrong."""
    try:
        image = animated.opened(str(path))
        if image is None:
            return True
        with image:
            return animated.is_animated(image)
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError):
        return True


def _about(paths: list[Path], why: str) -> list[str]:
    if not paths:
        return []
    names = ", ".join(path.name for path in paths[:_SHOWN])
    return [f"{why}: {names}" + (f" and {len(paths) - _SHOWN} more." if len(paths) > _SHOWN else ".")]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", str(path).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
