"""Boxes or masks that other nodes found: SAM 3 and the detectors in ComfyUI's core, a drawing by hand, another pack.

They go the way of every detection: a `GivenDetector` says what was found in each frame, and the same rules judge it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..tracks import Track
from .base import Detection
from .masks import mask_boxes
from .tracker import detect_track
from .validity import PUBLISHED, DetectionRule

_LEAST = 0.5  # a mask's value from which a pixel belongs to the thing


class GivenDetector:
    """A Detector that knows already what is in each frame of one clip."""

    name = "given"

    def __init__(self, found: Sequence[Sequence[Detection]]) -> None:
        self.found = found
        self.fingerprint = fingerprint(
            [
                [
                    (each.noun, each.box, each.confidence, None if each.mask is None else each.mask.tobytes())
                    for each in frame
                ]
                for frame in found
            ]
        )

    def detect(self, frames: NDArray[np.uint8], nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """See `Detector`. SpatialAlignError when the clip is not as long as what is given."""
        if len(frames) != len(self.found):
            raise SpatialAlignError(
                f"There are boxes for {len(self.found)} frames, but the video has {len(frames)}; "
                "give one entry for each frame, an empty one where nothing was found."
            )
        asked = set(nouns)
        return ([each for each in frame if each.noun in asked] for frame in self.found)


def tracks_from_boxes(
    subject: str,
    object: str,
    subject_boxes: Any,
    object_boxes: Any,
    width: int,
    height: int,
    rule: DetectionRule = PUBLISHED,
) -> Track:
    """A track from boxes of subject and object.

    Boxes: one entry for each frame, which is a dict with x, y, width, height and perhaps score, as ComfyUI's
    BOUNDING_BOX; four numbers x1, y1, x2, y2; or a list of either, empty where nothing was found. Pixels of a width
    x height picture, y down. SpatialAlignError for lists of different lengths, and for entries that are no boxes in
    that picture.
    """
    found = given_boxes(subject, object, subject_boxes, object_boxes, width, height)
    frames = np.broadcast_to(np.uint8(0), (len(found.found), height, width, 3))
    return detect_track(found, frames, subject, object, rule)


def tracks_from_masks(
    subject: str, object: str, subject_masks: Any, object_masks: Any, rule: DetectionRule = PUBLISHED
) -> Track:
    """A track from masks of subject and object, (F, H, W), bool or 0..1 as ComfyUI's MASK; the track keeps them.

    SpatialAlignError for masks of different shapes.
    """
    found = given_masks(subject, object, subject_masks, object_masks)
    height, width = np.shape(subject_masks)[1:]
    frames = np.broadcast_to(np.uint8(0), (len(found.found), height, width, 3))
    return detect_track(found, frames, subject, object, rule, keep_masks=True)


def given_boxes(
    subject: str, object: str, subject_boxes: Any, object_boxes: Any, width: int, height: int
) -> GivenDetector:
    """See `tracks_from_boxes`; for use with a video."""
    _two_words(subject, object)
    frames = {
        noun: _frames(noun, given) for noun, given in ((subject, subject_boxes), (object, object_boxes))
    }
    _same_length(subject, object, frames[subject], frames[object])
    found = [
        [
            _detection(noun, each, index, width, height)
            for noun in (subject, object)
            for each in _boxes_of(frames[noun][index])
        ]
        for index in range(len(frames[subject]))
    ]
    return GivenDetector(found)


def given_masks(subject: str, object: str, subject_masks: Any, object_masks: Any) -> GivenDetector:
    """See `tracks_from_masks`; for use with a video."""
    _two_words(subject, object)
    masks = {noun: _masks(noun, given) for noun, given in ((subject, subject_masks), (object, object_masks))}
    _same_length(subject, object, masks[subject], masks[object])
    if masks[subject].shape != masks[object].shape:
        sizes = [f"{each.shape[2]} x {each.shape[1]}" for each in masks.values()]
        raise SpatialAlignError(
            f"The masks of {subject!r} are {sizes[0]} pixels, those of {object!r} {sizes[1]}; make them of one size."
        )
    boxes = {noun: mask_boxes(each) for noun, each in masks.items()}
    found = [
        [
            Detection(noun, boxes[noun][index], 1.0, masks[noun][index])
            for noun in (subject, object)
            if np.isfinite(boxes[noun][index]).all()
        ]
        for index in range(len(masks[subject]))
    ]
    return GivenDetector(found)


def _frames(noun: str, given: Any) -> list[Any]:
    if isinstance(given, Mapping) or not isinstance(given, (Sequence, np.ndarray)) or isinstance(given, str):
        raise SpatialAlignError(
            f"The boxes of {noun!r} are one {type(given).__name__}; give a list with one entry for each frame."
        )
    return list(given)


def _boxes_of(entry: Any) -> list[Any]:
    """One frame's entry -> its boxes."""
    if entry is None:
        return []
    if isinstance(entry, Mapping) or not hasattr(entry, "__len__"):
        return [entry]
    one = len(entry) > 0 and not isinstance(entry[0], Mapping) and np.ndim(entry[0]) == 0
    return [entry] if one else list(entry)


def _detection(noun: str, entry: Any, index: int, width: int, height: int) -> Detection:
    try:
        if isinstance(entry, Mapping):
            x, y, w, h = (float(entry[key]) for key in ("x", "y", "width", "height"))
            box = np.array([x, y, x + w, y + h])
            confidence = float(entry.get("score", 1.0))
        else:
            box = np.array([float(value) for value in entry], dtype=np.float64).reshape(4)
            confidence = 1.0
    except (KeyError, TypeError, ValueError):
        raise SpatialAlignError(
            f"In frame {index} the box of {noun!r} is {str(entry)[:80]!r}; a box has x, y, width and height, or four "
            "numbers x1, y1, x2, y2."
        ) from None
    inside = box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0
    if not np.isfinite(box).all() or (box[2:] <= box[:2]).any() or not inside:
        raise SpatialAlignError(
            f"In frame {index} the box of {noun!r}, {[round(value, 1) for value in box.tolist()]}, is empty or outside "
            f"the picture of {width} x {height} pixels; give pixels of that picture, the left upper corner first."
        )
    return Detection(noun, box, min(max(confidence, 0.0), 1.0))


def _masks(noun: str, given: Any) -> NDArray[np.bool_]:
    masks = np.asarray(given)
    if masks.ndim != 3 or not masks.size:
        raise SpatialAlignError(
            f"The masks of {noun!r} have shape {masks.shape}; give one mask for each frame, frames x height x width."
        )
    return masks if masks.dtype == bool else masks > _LEAST


def _two_words(subject: str, object: str) -> None:
    if subject == object:
        raise SpatialAlignError(f"Subject and object are both {subject!r}; use two different words.")


def _same_length(subject: str, object: str, first: Any, second: Any) -> None:
    if len(first) != len(second):
        raise SpatialAlignError(
            f"There are {len(first)} frames of {subject!r} but {len(second)} of {object!r}; give one entry for each "
            "frame to both, an empty one where nothing was found."
        )
