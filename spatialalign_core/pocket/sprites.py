"""The cast of the sprite world: six animals, six objects, six scenes, drawn once as small pictures.

Every sprite has one body colour of its own, far from the other bodies and from every scene, so that a detector
can tell identities by colour and a test can check it exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

SUBJECT_COLOURS: dict[str, Colour] = {
    "fox": (245, 120, 20),
    "cat": (42, 40, 50),
    "frog": (80, 185, 45),
    "bird": (35, 90, 225),
    "pig": (250, 140, 185),
    "rabbit": (250, 250, 250),
}
OBJECT_COLOURS: dict[str, Colour] = {
    "box": (245, 205, 50),
    "stump": (112, 66, 34),
    "hydrant": (205, 25, 40),
    "pot": (130, 55, 170),
    "bucket": (25, 185, 190),
    "stone": (120, 120, 124),
}
COLOURS: dict[str, Colour] = SUBJECT_COLOURS | OBJECT_COLOURS

# Sky, ground: muted, so that no scene comes near a body colour.
SCENE_COLOURS: dict[str, tuple[Colour, Colour]] = {
    "in a meadow": ((178, 208, 222), (158, 184, 132)),
    "on a beach": ((168, 204, 220), (222, 206, 168)),
    "in a desert": ((226, 200, 176), (206, 168, 128)),
    "in a park": ((196, 212, 196), (176, 182, 150)),
    "by a river": ((200, 210, 226), (140, 172, 186)),
    "in a room": ((214, 200, 206), (178, 152, 150)),
}

_GRID = 20  # sprites are designed on a grid of 20 x 20 units
_OVERSAMPLE = 8


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (max(0, min(255, round(c * factor))) for c in colour)
    return red, green, blue


def unknown_sprite(subject: str, thing: str) -> str:
    """A sentence that names the noun that the sprite world lacks and those it has; "" where it has both."""
    for word, known, kind in ((subject, SUBJECT_COLOURS, "animal"), (thing, OBJECT_COLOURS, "thing")):
        if word not in known:
            return (
                f"The sprite world has no {kind} called {word!r}; write one of these into the sentence: "
                f"{', '.join(known)}."
            )
    return ""


class _Pen:
    """Draws in grid units on an oversampled canvas."""

    def __init__(self, colour: Colour) -> None:
        side = _GRID * _OVERSAMPLE
        self.image = Image.new("RGBA", (side, side), (*colour, 0))
        self.draw = ImageDraw.Draw(self.image)
        self.body = colour
        self.dark = _shade(colour, 0.78)
        self.eye: Colour = (250, 250, 250) if sum(colour) < 250 else (30, 28, 34)

    def _scaled(self, points: tuple[float, ...]) -> list[float]:
        return [p * _OVERSAMPLE for p in points]

    def ellipse(self, *box: float, fill: Colour | None = None) -> None:
        self.draw.ellipse(self._scaled(box), fill=(*(fill or self.body), 255))

    def polygon(self, *points: float, fill: Colour | None = None) -> None:
        self.draw.polygon(self._scaled(points), fill=(*(fill or self.body), 255))

    def rectangle(self, *box: float, fill: Colour | None = None) -> None:
        self.draw.rectangle(self._scaled(box), fill=(*(fill or self.body), 255))


def _legs(pen: _Pen, *lefts: float, top: float = 14) -> None:
    for left in lefts:
        pen.rectangle(left, top, left + 2, 19.9, fill=pen.dark)


def _fox(pen: _Pen) -> None:
    pen.polygon(0, 6, 5, 10, 5, 15, 1, 12)
    pen.ellipse(3, 8, 16, 17)
    pen.ellipse(11, 3.5, 20, 12.5)
    pen.polygon(11.6, 6, 12, 0, 15.5, 4)
    pen.polygon(15.5, 4, 19, 0, 19.4, 6)
    _legs(pen, 4.5, 7.5, 11, 14)
    pen.ellipse(16, 6.5, 17.8, 8.3, fill=pen.eye)


def _cat(pen: _Pen) -> None:
    pen.rectangle(0.2, 2, 2, 13)
    pen.rectangle(0.2, 11, 5, 13)
    pen.ellipse(2, 9, 16, 18)
    pen.ellipse(10, 3, 20, 12)
    pen.polygon(10.8, 6, 11, 0, 14.5, 3.5)
    pen.polygon(15.5, 3.5, 19, 0, 19.2, 6)
    _legs(pen, 3.5, 6.5, 10.5, 13.5)
    pen.ellipse(12.4, 6, 14.6, 8.2, fill=pen.eye)
    pen.ellipse(16, 6, 18.2, 8.2, fill=pen.eye)


def _frog(pen: _Pen) -> None:
    pen.ellipse(2, 4.5, 18, 17.5)
    pen.ellipse(2.5, 0.2, 8.5, 6.5)
    pen.ellipse(11.5, 0.2, 17.5, 6.5)
    pen.polygon(0, 19.9, 3.5, 11, 8, 19.9)
    pen.polygon(20, 19.9, 16.5, 11, 12, 19.9)
    pen.ellipse(4.2, 1.8, 6.8, 4.4, fill=pen.eye)
    pen.ellipse(13.2, 1.8, 15.8, 4.4, fill=pen.eye)
    pen.rectangle(6, 11, 14, 12.4, fill=pen.dark)


def _bird(pen: _Pen) -> None:
    pen.ellipse(3, 5, 17, 17.5)
    pen.ellipse(9.5, 0.2, 18.5, 9)
    pen.polygon(0, 4, 6, 8, 4, 14)
    pen.polygon(17.5, 3, 20, 5, 17.5, 6.5)
    pen.ellipse(5, 8.5, 12.5, 15.5, fill=pen.dark)
    _legs(pen, 7.5, 11.5, top=16)
    pen.ellipse(13.4, 2.8, 15.6, 5, fill=(250, 250, 250))


def _pig(pen: _Pen) -> None:
    pen.ellipse(1, 4.5, 17, 17.5)
    pen.ellipse(9.5, 1.5, 19.5, 12)
    pen.polygon(10, 5, 10.5, 0, 14, 2.5)
    pen.polygon(15.5, 2.5, 18.5, 0, 19, 5)
    pen.rectangle(0, 7, 2.6, 10)
    _legs(pen, 3.5, 7, 11, 14)
    pen.ellipse(14.5, 7, 20, 11, fill=pen.dark)
    pen.ellipse(12.6, 4.8, 14.4, 6.6, fill=pen.eye)


def _rabbit(pen: _Pen) -> None:
    pen.ellipse(1.5, 9, 15.5, 19)
    pen.ellipse(8.5, 5.5, 18.5, 14.5)
    pen.ellipse(8.8, 0, 12, 9)
    pen.ellipse(13.6, 0, 16.8, 9)
    pen.ellipse(0, 11.5, 4, 15.5)
    _legs(pen, 3.5, 7, 11.5, top=16)
    pen.ellipse(14.2, 8.2, 16.2, 10.2, fill=pen.eye)


def _box(pen: _Pen) -> None:
    pen.rectangle(0.5, 3, 19.4, 19.4)
    pen.rectangle(0.5, 3, 19.4, 6, fill=pen.dark)
    pen.rectangle(9, 3, 11, 19.4, fill=pen.dark)


def _stump(pen: _Pen) -> None:
    pen.rectangle(3, 4, 17, 19.5)
    pen.polygon(0, 19.5, 3, 12, 6, 19.5)
    pen.polygon(20, 19.5, 17, 12, 14, 19.5)
    pen.ellipse(3, 1, 17, 7.5, fill=_shade(pen.body, 1.35))
    pen.ellipse(7, 2.8, 13, 5.8)


def _hydrant(pen: _Pen) -> None:
    pen.ellipse(5, 0.2, 15, 9)
    pen.rectangle(5.5, 5, 14.5, 17)
    pen.rectangle(1.5, 8.5, 18.5, 12)
    pen.rectangle(3, 16.5, 17, 19.8)
    pen.rectangle(4.5, 5.6, 15.5, 7, fill=pen.dark)


def _pot(pen: _Pen) -> None:
    pen.polygon(2, 5, 18, 5, 15, 19.5, 5, 19.5)
    pen.rectangle(0.5, 1.5, 19.5, 6.5)
    pen.rectangle(2, 6.5, 18, 8, fill=pen.dark)


def _bucket(pen: _Pen) -> None:
    pen.polygon(1, 4, 19, 4, 16, 19.5, 4, 19.5)
    pen.ellipse(1, 1, 19, 7.5, fill=pen.dark)
    pen.rectangle(2.6, 11, 17.4, 12.8, fill=pen.dark)


def _stone(pen: _Pen) -> None:
    pen.polygon(0.5, 19.5, 1.5, 11, 5, 4.5, 10, 1.2, 15.5, 4, 18.8, 10.5, 19.5, 19.5)
    pen.polygon(4, 9, 9, 4.5, 11, 8, 7, 12, fill=_shade(pen.body, 1.18))


_DRAWINGS: dict[str, Callable[[_Pen], None]] = {
    "fox": _fox, "cat": _cat, "frog": _frog, "bird": _bird, "pig": _pig, "rabbit": _rabbit,
    "box": _box, "stump": _stump, "hydrant": _hydrant, "pot": _pot, "bucket": _bucket, "stone": _stone,
}  # fmt: skip


@cache
def sprite(noun: str, size: int) -> np.ndarray:
    """Picture of one noun: float32 RGBA in 0..1, (size, size, 4), not premultiplied. KeyError for an unknown noun."""
    pen = _Pen(COLOURS[noun])
    _DRAWINGS[noun](pen)
    pixels = np.asarray(pen.image.resize((size, size), Image.Resampling.BOX), dtype=np.float32) / 255.0
    pixels.setflags(write=False)
    return pixels


@cache
def backdrop(scene: str, height: int, width: int) -> np.ndarray:
    """Background of one scene: float32 RGB in 0..1, (height, width, 3). KeyError for an unknown scene."""
    sky, ground = (np.asarray(c, dtype=np.float32) / 255.0 for c in SCENE_COLOURS[scene])
    rows = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :, None]
    index = list(SCENE_COLOURS).index(scene)
    horizon = 0.42 + 0.03 * np.sin(2 * np.pi * (columns * (1 + index % 3) + index / 6))
    blend = np.clip((rows - horizon) * height / 3 + 0.5, 0.0, 1.0)
    above = sky * (1.04 - 0.10 * rows)
    below = ground * (1.06 - 0.12 * (1 - rows))
    picture = np.clip(above * (1 - blend) + below * blend, 0.0, 1.0).astype(np.float32)
    picture.setflags(write=False)
    return picture
