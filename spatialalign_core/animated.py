"""Animated WebP, GIF and PNG files, as ComfyUI's Save Animated nodes write them, frame by frame.

These formats keep equal pictures in a row once, with a longer duration. A picture comes back as often as its duration
says, so that the clip is as long as it is shown and its frames are evenly spaced.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from PIL import Image

from .display import on_black

_FORMATS = ("WEBP", "GIF", "PNG")
_PARTS, _EXACT = (
    (1, 2, 3, 4),
    0.1,
)  # parts of the shortest duration to try, and the error of a duration that is let be
_GIF_CLOCK = 10  # milliseconds to which GIF rounds durations down
_UNTOLD = 100.0  # milliseconds of a frame without a duration, as browsers show it


def opened(source: str | BinaryIO) -> Image.Image | None:
    """The picture of a WebP, GIF or PNG file, animated or not, to be closed; None for any other file."""
    try:
        return Image.open(source, formats=_FORMATS)
    except (Image.UnidentifiedImageError, ValueError):
        return None


def is_animated(image: Image.Image) -> bool:
    """Whether it has more than one frame to show."""
    return getattr(image, "n_frames", 1) - _first(image) > 1


def times(image: Image.Image) -> tuple[float, list[int]]:
    """Frames a second, and how often each stored frame is shown.

    One frame lasts as long as the shortest duration, or a half, third or quarter of it where the others are then nearer
    to whole numbers of frames. Durations are rounded by the formats (GIF: to 10 ms), so the rate comes from their sum.
    """
    durations = []
    for index in range(_first(image), image.n_frames):  # type: ignore[attr-defined]
        image.seek(index)
        image.load()
        durations.append(float(image.info.get("duration") or _UNTOLD))
    lost = _GIF_CLOCK if image.format == "GIF" else 1
    for parts in _PARTS:
        units = [(min(durations) + rest) / parts for rest in range(lost)]
        repeats = min((_repeats(durations, unit) for unit in units), key=lambda each: each[0])[1]
        unit = sum(durations) / sum(repeats)
        if all(abs(often * unit / each - 1) < _EXACT for often, each in zip(repeats, durations, strict=True)):
            break
    return 1000 * sum(repeats) / sum(durations), repeats


def _repeats(durations: list[float], unit: float) -> tuple[float, list[int]]:
    """How many units each duration is, at least 1; before it, by how much they are off in all."""
    repeats = [max(1, math.floor(each / unit + 0.5)) for each in durations]
    return sum(abs(often * unit - each) for often, each in zip(repeats, durations, strict=True)), repeats


def frames(image: Image.Image, repeats: list[int]) -> Iterator[np.ndarray]:
    """Every frame as often as it is shown, uint8 (H, W, 3) RGB."""
    for index, often in enumerate(repeats, start=_first(image)):
        image.seek(index)
        picture = on_black(np.asarray(image.convert("RGBA")))
        for _ in range(often):
            yield picture


def _first(image: Image.Image) -> int:
    """1 for an animated PNG whose first picture is only for programs that show no others."""
    return int(bool(getattr(image, "default_image", False)))
