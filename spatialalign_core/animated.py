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
    """Frames a second, and how often each stored frame is shown: the shortest duration is that of one frame."""
    durations = []
    for index in range(_first(image), image.n_frames):  # type: ignore[attr-defined]
        image.seek(index)
        image.load()
        durations.append(float(image.info.get("duration") or _UNTOLD))
    unit = min(durations)
    ends = [math.floor(end / unit + 0.5) for end in np.cumsum(durations)]
    return 1000 / unit, [end - start for start, end in zip([0, *ends], ends, strict=False)]


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
