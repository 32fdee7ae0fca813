"""How a decoded picture is meant to be shown: turned, mirrored, with square pixels, on black."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type

_SQUARE = 0.01  # pixels whose sides differ by less are square: rounded sizes leave such ratios behind
_LARGEST_RATIO = 10  # of pixels that anybody films with; what lies beyond is a damaged header


def square_size(width: int, height: int, ratio: Fraction | None) -> tuple[int, int]:
    """Width and height in square pixels of a picture whose pixels are `ratio` times as wide as high.

    The side that is too short grows (the width for wide pixels, the height for high ones), so no detail is lost. None
    and impossible ratios count as square.
    """
    if not ratio or not Fraction(1, _LARGEST_RATIO) <= ratio <= _LARGEST_RATIO or abs(ratio - 1) < _SQUARE:
        return width, height
    return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))


def smaller_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The same shape with a shorter side of at most `short_side` pixels; 0 for any."""
    short = min(width, height)
    if not short_side or short <= short_side:
        return width, height
    return max(1, round(width * short_side / short)), max(1, round(height * short_side / short))


def orientation(frame: Any) -> tuple[bool, bool, bool]:
    """Whether to transpose a decoded frame, and then to mirror it left to right and top to bottom, before it is shown.

    From its display matrix (ISO/IEC 14496-12, 8.3.2): phones store every picture as the sensor lies and note how the
    phone was held. Other angles than right ones count as the nearest.
    """
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(
        np.int64
    )  # x' = a x + c y, y' = b x + d y
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, bool(a < 0), bool(d < 0)
    return True, bool(c < 0), bool(b < 0)


def turned(picture: np.ndarray, transpose: bool, left_right: bool, top_bottom: bool) -> np.ndarray:
    """The picture (H, W, 3) as `orientation` says. A view."""
    if transpose:
        picture = picture.transpose(1, 0, 2)
    return picture[:: -1 if top_bottom else 1, :: -1 if left_right else 1]


def rgb(frame: Any, width: int, height: int) -> np.ndarray:
    """A decoded frame as uint8 (height, width, 3) RGB; what is transparent is black, as players show it."""
    clear = any(part.is_alpha for part in frame.format.components) or frame.format.name == "pal8"
    convert: Callable[..., Any] = frame.reformat
    picture = convert(width=width, height=height, format="rgba" if clear else "rgb24").to_ndarray()
    return on_black(picture) if clear else picture


def on_black(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 4) with transparency -> uint8 (H, W, 3)."""
    colours, opacity = picture[..., :3], picture[..., 3:]
    if opacity.min() == 255:
        return np.ascontiguousarray(colours)
    return ((colours.astype(np.uint16) * opacity + 127) // 255).astype(np.uint8)
