"""The detector of the sprite world: every noun has a body colour of its own, so colour tells who is who.

A frame goes through three steps. Every pixel takes the nearest colour of the whole cast and of the scenes, so that
identities compete even when only two are asked for. Somebody is there where a patch of one colour is thick: seams
between two colours can look like a third, eyes can look like a cat, but both are thin. At the rim, a pixel belongs to
a body when it is nearer to the body's colours than to the background around it, which is what half covered means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..pocket.sprites import COLOURS, SCENE_COLOURS, sprite
from .base import Detection

_HEIGHT = 64  # frames are looked at near this height, where a sprite is _SIZE pixels wide
_SIZE = 20
_LUT_BITS = 5
_FARTHEST = 26.0  # CIE76 distance beyond which a colour is nobody's
_MIN_CORE = 9  # thick pixels that it takes to be there,
_MIN_THICK = (
    0.14  # and their share of all pixels of that colour: bodies have 0.17 and more, seams 0.13 at most
)
_SCENE_MARGIN = 8.0  # CIE76 distance below which a shade is too near to a scene to tell anybody by
_MIN_SHARE = 0.12  # of the whole sprite's area, below which something is not that sprite
_LARGEST = 1.3 * _SIZE  # pieces further apart than this are two things
_SQUARE = np.ones((3, 3), np.uint8)
_NOUNS = tuple(COLOURS)

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class SpriteDetector:
    """Finds the twelve nouns of the sprite world in frames of any size."""

    name = "sprites"

    def detect(self, frames: Image, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """See `Detector`: frames uint8 RGB (F, H, W, 3). SpatialAlignError that lists the known nouns."""
        self.check_nouns(nouns)
        asked = tuple(dict.fromkeys(nouns))
        return (_detect_frame(frame, asked) for frame in frames)

    def check_nouns(self, nouns: Sequence[str]) -> None:
        """See `Detector`."""
        unknown = [noun for noun in nouns if noun not in COLOURS]
        if unknown:
            raise SpatialAlignError(
                f"The detector 'sprites' does not know {', '.join(map(repr, unknown))}; "
                f"it knows: {', '.join(_NOUNS)}. Use these words, or choose a GroundingDINO as detector."
            )


@dataclass(frozen=True)
class _Piece:
    mask: Mask
    box: tuple[int, int, int, int]
    thick: int


def _detect_frame(frame: Image, nouns: Sequence[str]) -> list[Detection]:
    height, width = frame.shape[:2]
    factor = max(1, round(height / _HEIGHT))
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = (
        cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if factor > 1 else np.ascontiguousarray(frame)
    )
    found = []
    for noun, mask, thick in _segment(small, nouns):
        unit = size[1] / _HEIGHT
        area = float(sprite(noun, _SIZE)[..., 3].sum()) * unit**2
        for piece in _things(mask, thick, _LARGEST * unit):
            filled = piece.mask.sum() / area
            if filled < _MIN_SHARE:
                continue
            box = np.array(piece.box, dtype=np.float64) * np.tile([width / size[0], height / size[1]], 2)
            whole = (
                cv2.resize(piece.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
            )
            found.append(Detection(noun, box, float(min(filled, 1 / filled)) ** 0.5, whole))
    return found


def _segment(picture: Image, nouns: Sequence[str]) -> Iterator[tuple[str, Mask, Mask]]:
    """Noun, mask and thick part of it for each asked noun that is there."""
    labels = _nearest_noun()[tuple(np.moveaxis(picture >> (8 - _LUT_BITS), -1, 0))]
    thick = (cv2.erode(labels, _SQUARE) == cv2.dilate(labels, _SQUARE)) & (labels > 0)
    pixels, thick_pixels = (
        np.bincount(each, minlength=len(_NOUNS) + 1) for each in (labels.ravel(), labels[thick])
    )
    there = np.flatnonzero((thick_pixels >= _MIN_CORE) & (thick_pixels >= _MIN_THICK * pixels))
    there = there[there > 0]
    wanted = [index for index in there if _NOUNS[index - 1] in nouns]
    if not wanted:
        return
    colours = picture.astype(np.float32)
    scene = _background(colours, np.isin(labels, there))
    behind = _squared(colours - scene)
    nearness = np.stack([_distance(colours, _NOUNS[index - 1]) for index in there])
    mixed = np.stack([_mixed(colours, scene, labels == index, _NOUNS[index - 1]) for index in there])
    nearest = nearness.argmin(0)
    for row, index in enumerate(there):
        if index not in wanted:
            continue
        own = labels == index
        core = thick & own
        mask = _grown(own) & (nearest == row) & (nearness[row] < behind)
        # Where it is thin it may be the rim of somebody else, whose colour mixes with the scene's.
        others = np.delete(mixed, row, axis=0).min(0, initial=np.inf)
        yield _NOUNS[index - 1], mask & (_grown(core) | (nearness[row] < others)), core


def _grown(mask: Mask) -> Mask:
    grown: Mask = cv2.dilate(mask.astype(np.uint8), _SQUARE) > 0
    return grown


def _mixed(
    colours: NDArray[np.float32], scene: NDArray[np.float32], own: Mask, noun: str
) -> NDArray[np.float32]:
    """Squared RGB distance to the nearest mix of a noun's colours with the scene behind; infinite away from it."""
    distances = []
    for shade in _shades(noun):
        way = shade - scene
        part = np.einsum("...c,...c->...", colours - scene, way) / np.maximum(_squared(way), 1.0)
        distances.append(_squared(scene + np.clip(part, 0, 1)[..., None] * way - colours))
    return np.where(_grown(own), np.min(distances, axis=0), np.inf)


def _background(colours: NDArray[np.float32], bodies: Mask) -> NDArray[np.float32]:
    """What the scene would look like behind the bodies: the mean of the scene's pixels around."""
    scene = (cv2.dilate(bodies.astype(np.uint8), _SQUARE) == 0).astype(np.float32)
    if not scene.any():
        return np.full_like(colours, np.inf)
    weight = cv2.blur(scene, (9, 3), borderType=cv2.BORDER_REFLECT)
    total = cv2.blur(colours * scene[..., None], (9, 3), borderType=cv2.BORDER_REFLECT)
    wide = cv2.blur(scene, (61, 7), borderType=cv2.BORDER_REFLECT)
    wide_total = cv2.blur(colours * scene[..., None], (61, 7), borderType=cv2.BORDER_REFLECT)
    mean = colours[scene > 0].mean(0)
    near = np.where(weight[..., None] > 1e-3, total / np.maximum(weight, 1e-3)[..., None], 0)
    far = np.where(wide[..., None] > 1e-3, wide_total / np.maximum(wide, 1e-3)[..., None], mean)
    return np.where(weight[..., None] > 1e-3, near, far)


def _distance(colours: NDArray[np.float32], noun: str) -> NDArray[np.float32]:
    """Squared RGB distance to the nearest colour of a noun."""
    return np.min([_squared(colours - shade) for shade in _shades(noun)], axis=0)


def _squared(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    squared: NDArray[np.float32] = np.einsum("...c,...c->...", difference, difference)
    return squared


def _things(mask: Mask, thick: Mask, largest: float) -> list[_Piece]:
    """The pieces of one mask, put together where they can be parts of one sprite; thin ones join or vanish."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    pieces = []
    for index in range(1, count):
        x, y, w, h, _area = stats[index]
        own = labels == index
        pieces.append(_Piece(own, (int(x), int(y), int(x + w), int(y + h)), int((own & thick).sum())))
    pieces.sort(key=lambda piece: piece.thick, reverse=True)
    things: list[_Piece] = []
    for piece in pieces:
        for place, thing in enumerate(things):
            union = (*np.minimum(thing.box[:2], piece.box[:2]), *np.maximum(thing.box[2:], piece.box[2:]))
            if max(union[2] - union[0], union[3] - union[1]) <= largest:
                box = (int(union[0]), int(union[1]), int(union[2]), int(union[3]))
                things[place] = _Piece(thing.mask | piece.mask, box, thing.thick + piece.thick)
                break
        else:
            if piece.thick >= _MIN_CORE:
                things.append(piece)
    return things


@cache
def _shades(noun: str) -> tuple[NDArray[np.float32], ...]:
    """The colours that a noun's own drawing consists of: the commonest opaque ones, eyes left out."""
    pixels = np.round(sprite(noun, 160)[..., :3] * 255)[sprite(noun, 160)[..., 3] == 1].astype(np.int64)
    values, counts = np.unique(pixels, axis=0, return_counts=True)
    body = np.array(COLOURS[noun])
    kin = [
        value for value, count in zip(values, counts, strict=True) if count > 200 and _is_shade(value, body)
    ]
    return tuple(value.astype(np.float32) for value in kin)


def _is_shade(colour: NDArray[np.int64], body: NDArray[np.int64]) -> bool:
    factor = float(colour @ body) / float(body @ body)
    return 0.7 < factor < 1.4 and bool(np.abs(colour - body * factor).max() < 12)


@cache
def _nearest_noun() -> NDArray[np.uint8]:
    """For every colour, cut to _LUT_BITS bits a channel, 1 + the index of the nearest noun; 0 for the scene."""
    steps = (np.arange(2**_LUT_BITS) + 0.5) * 2 ** (8 - _LUT_BITS)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    scene_colours = [np.array(colour) for pair in SCENE_COLOURS.values() for colour in pair]
    scenes = np.clip([colour * light for colour in scene_colours for light in (0.94, 1.04)], 0, 255)
    scenes_lab = _lab(scenes)
    shades = [
        (index + 1, shade)
        for index, noun in enumerate(_NOUNS)
        for shade in _shades(noun)
        if np.linalg.norm(_lab(shade) - scenes_lab, axis=-1).min() > _SCENE_MARGIN
    ]
    owners = [owner for owner, _ in shades] + [0] * len(scenes)
    palette = np.concatenate([_lab(np.stack([shade for _, shade in shades])), scenes_lab])
    distances = np.linalg.norm(_lab(grid)[:, None] - palette[None], axis=-1)
    labels = np.array(owners, dtype=np.uint8)[distances.argmin(1)]
    labels[distances.min(1) > _FARTHEST] = 0
    return labels.reshape((2**_LUT_BITS,) * 3)


def _lab(colours: NDArray[np.floating]) -> NDArray[np.float32]:
    rgb = np.asarray(colours, dtype=np.float32).reshape(1, -1, 3) / 255
    lab: NDArray[np.float32] = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[0]
    return lab
