"""The sprite world: short clips of one animal that moves around one object, with exact boxes and masks.

Distances are chosen so that the published DSR-Score tells every one of the six relation changes from the five
others at 0.7: beside the object the animal stands nearer to the camera, lower in the picture, as real footage
has it, so that a clip that only half obeys stays below the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..relations import Relation, RelationChange
from .sprites import backdrop, sprite

FRAMES, HEIGHT, WIDTH = 18, 64, 96

# Subject centre minus object centre, in world units (the picture is 64 units high; y grows downwards).
_OFFSETS: dict[Relation, tuple[float, float]] = {
    Relation.LEFT: (-17.0, 14.5),
    Relation.RIGHT: (17.0, 14.5),
    Relation.TOP: (0.0, -19.0),
}
_SIZE = 20.0
_APEX = -22.0  # height of the jump above the object's centre when both ends lie below it


@dataclass(frozen=True)
class Clip:
    """A rendered clip and its ground truth.

    frames: uint8 RGB (F, H, W, 3). Boxes: float64 xyxy pixels (F, 4), of the visible part. Masks: bool (F, H, W).
    """

    frames: np.ndarray
    subject_boxes: np.ndarray
    object_boxes: np.ndarray
    subject_masks: np.ndarray
    object_masks: np.ndarray


def render(
    subject: str,
    object: str,
    scene: str,
    change: RelationChange,
    seed: int,
    frames: int = FRAMES,
    height: int = HEIGHT,
    width: int = WIDTH,
) -> Clip:
    """Draw one clip; the same arguments give the same pixels.

    The animal rests at the first relation, jumps in one arc, and rests at the last; place, timing and height of the
    arc vary with `seed`. KeyError for a noun or scene that the world does not know.
    """
    rng = np.random.default_rng(seed)
    unit = height / HEIGHT
    size = max(4, round(_SIZE * unit))
    object_centre = np.array([width / 2, 35.0 * unit]) + rng.uniform(-5, 5, 2) * unit * (
        width / height / 1.5,
        0.4,
    )
    path = object_centre + _path(change, frames, rng) * unit

    still = _paste(backdrop(scene, height, width), sprite(object, size), object_centre)
    object_full = _coverage(sprite(object, size), object_centre, height, width)
    subject_sprite = sprite(subject, size)
    pictures, subject_masks, object_masks = [], [], []
    for centre in path:
        pictures.append(_paste(still, subject_sprite, centre))
        visible = _coverage(subject_sprite, centre, height, width) >= 0.5
        subject_masks.append(visible)
        object_masks.append((object_full >= 0.5) & ~visible)
    return Clip(
        frames=np.round(np.stack(pictures) * 255).astype(np.uint8),
        subject_boxes=_boxes(subject_masks),
        object_boxes=_boxes(object_masks),
        subject_masks=np.stack(subject_masks),
        object_masks=np.stack(object_masks),
    )


def _path(change: RelationChange, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Subject centre relative to the object's, (frames, 2) in world units."""
    start, end = (np.array(_OFFSETS[r]) + rng.uniform(-1, 1, 2) for r in (change.initial, change.final))
    begin = rng.uniform(0.15, 0.25)
    finish = begin + rng.uniform(0.45, 0.55)
    progress = np.clip((np.linspace(0, 1, frames) - begin) / (finish - begin), 0, 1)[:, None]
    progress = progress * progress * (3 - 2 * progress)
    straight = start + (end - start) * progress
    apex = _APEX + rng.uniform(-1, 1)
    lift = (
        min(0.0, apex - (start[1] + end[1]) / 2)
        if Relation.TOP not in (change.initial, change.final)
        else -9.0
    )
    straight[:, 1] += 4 * lift * (progress * (1 - progress))[:, 0]
    return straight


def _window(size: int, centre: np.ndarray, height: int, width: int) -> tuple[slice, slice, slice, slice]:
    left, top = (round(float(c) - size / 2) for c in centre)
    rows = slice(max(top, 0), min(top + size, height))
    columns = slice(max(left, 0), min(left + size, width))
    return (
        rows,
        columns,
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )


def _paste(picture: np.ndarray, rgba: np.ndarray, centre: np.ndarray) -> np.ndarray:
    rows, columns, own_rows, own_columns = _window(rgba.shape[0], centre, *picture.shape[:2])
    result = picture.copy()
    part = rgba[own_rows, own_columns]
    alpha = part[..., 3:]
    result[rows, columns] = result[rows, columns] * (1 - alpha) + part[..., :3] * alpha
    return result


def _coverage(rgba: np.ndarray, centre: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns, own_rows, own_columns = _window(rgba.shape[0], centre, height, width)
    alpha = np.zeros((height, width), dtype=np.float32)
    alpha[rows, columns] = rgba[own_rows, own_columns, 3]
    return alpha


def _boxes(masks: list[np.ndarray]) -> np.ndarray:
    """Extent of each mask as xyxy, the far edges exclusive; NaN where a mask is empty."""
    boxes = np.full((len(masks), 4), np.nan)
    for index, mask in enumerate(masks):
        ys, xs = np.nonzero(mask)
        if len(xs):
            boxes[index] = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    return boxes
