"""What the pictures share: colours, letters, and labels that fit."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Area = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

SUBJECT: Colour = (235, 104, 52)
OBJECT: Colour = (42, 120, 214)
PAPER: Colour = (252, 252, 250)
INK: Colour = (32, 32, 30)

# With Chinese, Japanese and Korean letters first; Pillow looks for them where the system keeps its fonts.
_SYSTEM_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
    "YuGothM.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "malgun.ttf",
    "Arial Unicode.ttf",
    "DroidSansFallback.ttf",
    "arial.ttf",
    "DejaVuSans.ttf",
)


def label(draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str, colour: Colour, size: int) -> None:
    """White words on a plate of that colour; `at` is its upper left corner, `size` the height of the letters."""
    letters = font(size, words)
    width = draw.textlength(words, letters)
    draw.rectangle((at[0], at[1], at[0] + width + 8, at[1] + size + 7), colour)
    draw.text((at[0] + 4, at[1] + 3), words, (255, 255, 255), letters, "la")


def fitted(words: str, font: Font, width: float) -> str:
    """The words, cut short with an ellipsis where they are wider than that."""
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + "…") > width:
        words = words[:-1].rstrip()
    return words + "…"


def wrapped(words: str, font: Font, width: float, lines: int = 8) -> list[str]:
    """The words in lines of that width, broken between words, and within one that is wider; the last of at most so many
    lines is cut short if need be."""
    result = [""]
    for word in words.split():
        longer = f"{result[-1]} {word}".strip()
        if len(result) == lines or font.getlength(longer) <= width:
            result[-1] = longer
            continue
        if result[-1]:
            result.append("")
        while len(result) < lines and font.getlength(word) > width and len(word) > 1:
            fits = max(1, sum(font.getlength(word[:end]) <= width for end in range(1, len(word) + 1)))
            result[-1], word = word[:fits], word[fits:]
            result.append("")
        result[-1] = word
    return [fitted(line, font, width) for line in result if line] or [""]


@lru_cache(maxsize=64)
def font(size: int, words: str = "") -> Font:
    """Pillow's own letters, so that nothing has to be installed; for words that they lack, a font of the system."""
    usual = ImageFont.load_default(size)
    if _knows(usual, words):
        return usual
    for name in _SYSTEM_FONTS:
        try:
            other = ImageFont.truetype(name, size)
        except OSError:
            continue
        if _knows(other, words):
            return other
    return usual


def readable(words: str, otherwise: str) -> str:
    """The words, or `otherwise` where no font on this machine has their letters."""
    return words if _knows(font(16, words), words) else otherwise


def enlarged(frame: Picture, size: tuple[int, int]) -> Image.Image:
    """A frame in that width and height: drawn worlds of few colours keep their hard edges, footage stays smooth."""
    image = Image.fromarray(frame)
    if image.size == size:
        return image
    few = image.getcolors(max(64, frame.shape[0] * frame.shape[1] // 20)) is not None
    return image.resize(size, Image.Resampling.NEAREST if few else Image.Resampling.BICUBIC)


class Labels:
    """Labels of one picture: inside it, and not on each other as long as there is room."""

    def __init__(self, picture: tuple[int, int], size: int) -> None:
        self.picture, self.size = picture, size
        self.taken: list[Area] = []

    def reserve(self, area: Area) -> None:
        """Leaves x0, y0, x1, y1 to something else."""
        self.taken.append(area)

    def beside(self, draw: ImageDraw.ImageDraw, box: Sequence[float], words: str, colour: Colour) -> Area:
        """Draws the words by a box x0, y0, x1, y1 of the picture, and says where."""
        letters = font(self.size, words)
        words = fitted(words, letters, self.picture[0] - 12)
        wide, high = round(letters.getlength(words)) + 9, self.size + 8
        x0, y0, x1, y1 = (round(float(value)) for value in box)
        right, bottom = max(0, self.picture[0] - wide), max(0, self.picture[1] - high)
        wanted = [
            (x0, y0 - high),
            (x0, y1 + 1),
            (x1 - wide, y0 - high),
            (x1 + 1, y0),
            (x0 - wide, y0),
            (x0, y0),
        ]
        wanted += [(x0, y) for y in range(0, bottom + 1, high)] + [(0, y) for y in range(0, bottom + 1, high)]
        places = [(min(max(0, x), right), min(max(0, y), bottom)) for x, y in wanted]
        areas = [(x, y, x + wide, y + high) for x, y in places]
        # The first of the least covered: order says how near it is to its box.
        at = min(
            range(len(areas)),
            key=lambda index: (sum(_shared(areas[index], each) for each in self.taken), index),
        )
        label(draw, places[at], words, colour, self.size)
        self.taken.append(areas[at])
        return areas[at]


def _shared(one: Area, other: Area) -> int:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, wide) * max(0, high)


def _knows(letters: Font, words: str) -> bool:
    """Whether the font has a picture of its own for each letter."""
    unknown = bytes(letters.getmask("\U0010fffe"))
    return all(
        each.isascii() or each.isspace() or bytes(letters.getmask(each)) != unknown for each in set(words)
    )
