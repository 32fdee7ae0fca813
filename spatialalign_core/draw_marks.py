"""What the pictures share: colours, letters, and labels that fit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SUBJECT: Colour = (235, 104, 52)
OBJECT: Colour = (42, 120, 214)
PAPER: Colour = (252, 252, 250)
INK: Colour = (32, 32, 30)


def label(draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str, colour: Colour, size: int) -> None:
    """White words on a plate of that colour; `at` is its upper left corner, `size` the height of the letters."""
    width = draw.textlength(words, font(size))
    draw.rectangle((at[0], at[1], at[0] + width + 8, at[1] + size + 7), colour)
    draw.text((at[0] + 4, at[1] + 3), words, (255, 255, 255), font(size), "la")


def fitted(words: str, font: Font, width: float) -> str:
    """The words, cut short with an ellipsis where they are wider than that."""
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + "…") > width:
        words = words[:-1].rstrip()
    return words + "…"


def wrapped(words: str, font: Font, width: float, lines: int) -> list[str]:
    """The words in at most so many lines, broken between words; the last line is cut short if need be."""
    result = [""]
    for word in words.split():
        longer = f"{result[-1]} {word}".strip()
        if not result[-1] or len(result) == lines or font.getlength(longer) <= width:
            result[-1] = longer
        else:
            result.append(word)
    return [fitted(line, font, width) for line in result]


@lru_cache(maxsize=16)
def font(size: int) -> Font:
    """Pillow's own letters, so that nothing has to be installed."""
    return ImageFont.load_default(size)
