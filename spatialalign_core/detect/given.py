"""Boxes or masks that other nodes found: SAM 3 and the detectors in ComfyUI's core, a drawing by hand, another pack.

They go the way of every detection: a `GivenDetector` says what was found in each frame, and the same rules judge it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..tracks import Track
from .base import Detection
from .box_formats import AUTO, CORNERS, SIZES, Boxes, corners, fractions, layout, read_boxes
from .labels import matching_label
from .masks import largest_piece, mask_boxes, without_specks
from .tracker import detect_track
from .validity import PUBLISHED, DetectionRule

_LEAST = 0.5  # a mask's value from which a pixel belongs to the thing
_STRAY = (
    0.05,
    16,
)  # below that share of a thing's usual area, and so many pixels, a frame's mask is stray pixels
_READ_AS = {CORNERS: "two corners (x1, y1, x2, y2)", SIZES: "x, y, width, height"}


class GivenDetector:
    """A Detector that knows already what is in each frame of one clip."""

    name = "given"

    def __init__(self, found: Sequence[Sequence[Detection]], understood: Sequence[str] = ()) -> None:
        """found: for each frame what is in it. understood: how it was read, a sentence each, for the user."""
        self.found = found
        self.understood = tuple(understood)
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
    box_format: str = AUTO,
) -> Track:
    """A track from boxes of subject and object.

    Boxes: one entry for each frame, which is a dict with x, y, width, height and perhaps score and label, as ComfyUI's
    BOUNDING_BOX; four numbers; or a list of either, empty where nothing was found. One box, or one frame, stands for
    all frames. Pixels of a width x height picture, y down, or shares of it from 0 to 1. box_format: what four numbers
    are, see `layout`. SpatialAlignError for lists of different lengths, and for entries that are no boxes in that
    picture.
    """
    found = given_boxes(subject, object, subject_boxes, object_boxes, width, height, box_format=box_format)
    frames = np.broadcast_to(np.uint8(0), (len(found.found), height, width, 3))
    return detect_track(found, frames, subject, object, rule)


def tracks_from_masks(
    subject: str, object: str, subject_masks: Any, object_masks: Any, rule: DetectionRule = PUBLISHED
) -> Track:
    """A track from masks of subject and object, (F, H, W), bool or 0..1 as ComfyUI's MASK; the track keeps them.

    Stray pixels are left out, see `without_specks`. SpatialAlignError for masks of different shapes.
    """
    found = given_masks(subject, object, subject_masks, object_masks)
    height, width = np.shape(subject_masks)[-2:]
    frames = np.broadcast_to(np.uint8(0), (len(found.found), height, width, 3))
    return detect_track(found, frames, subject, object, rule, keep_masks=True)


def given_boxes(
    subject: str,
    object: str,
    subject_boxes: Any,
    object_boxes: Any,
    width: int,
    height: int,
    count: int | None = None,
    box_format: str = AUTO,
) -> GivenDetector:
    """See `tracks_from_boxes`; for use with a video. count: its frames; None takes those that the boxes are for."""
    _two_words(subject, object)
    read = [read_boxes(subject, subject_boxes), read_boxes(object, object_boxes)]
    read, understood = _labelled(read)
    if count is None:
        lengths = [len(each.frames) for each in read if not each.still] or [1]
        if lengths[0] != lengths[-1]:
            raise SpatialAlignError(
                f"There are {lengths[0]} frames of {subject!r} but {lengths[-1]} of {object!r}; give one entry for "
                "each frame to both, an empty one where nothing was found."
            )
        count = lengths[0]
    read = [each.spread(count) for each in read]
    form = layout(read, width, height, box_format)
    if form is not None:
        understood.append(f"The boxes were read as {_READ_AS[form]}.")
    per_noun = [_detections(each, form, width, height) for each in read]
    if any(_in_fractions(each) for each in read):
        understood.append("Their numbers were read as shares of the picture, from 0 to 1.")
    return GivenDetector([[*one, *other] for one, other in zip(*per_noun, strict=True)], understood)


def given_masks(
    subject: str, object: str, subject_masks: Any, object_masks: Any, count: int | None = None
) -> GivenDetector:
    """See `tracks_from_masks`; for use with a video of `count` frames, over which a single mask is spread."""
    _two_words(subject, object)
    masks = {
        noun: _masks(noun, given, count) for noun, given in ((subject, subject_masks), (object, object_masks))
    }
    if len(masks[subject]) != len(masks[object]):
        raise SpatialAlignError(
            f"There are {len(masks[subject])} frames of {subject!r} but {len(masks[object])} of {object!r}; give one "
            "entry for each frame to both, an empty one where nothing was found."
        )
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


def _labelled(read: list[Boxes]) -> tuple[list[Boxes], list[str]]:
    """Only the boxes whose label is the noun, and what was decided.

    Boxes without labels all belong to the noun of their socket. So do those of one label alone that the other socket
    does not have: someone chose that class for this socket.
    """
    kept, understood = [], []
    labels = [sorted({box.label for box in each.all() if box.label is not None}) for each in read]
    for each, names, others in zip(read, labels, reversed(labels), strict=True):
        label = matching_label(each.noun, names)
        if names and label is None:
            if len(names) > 1 or set(names) & set(others):
                raise SpatialAlignError(
                    f"None of the boxes of {each.noun!r} has that label; the labels there are: {', '.join(names)}. "
                    "Write one of these words as the subject or object, or connect only the boxes of one label."
                )
            understood.append(f"The boxes with the label {names[0]!r} were taken for the {each.noun}.")
            label = names[0]
        elif label is not None and label.casefold() != each.noun.casefold():
            understood.append(f"The label {label!r} was taken for the {each.noun}.")
        if label is not None:
            same = {name for name in names if matching_label(label, [name]) and matching_label(name, [label])}
            frames = tuple(tuple(box for box in frame if box.label in same) for frame in each.frames)
            one = [frame for frame in frames if frame]
            # A plain list of things, [a cat, a couch], of which one is asked for: the same in every frame.
            single = len(one) == 1 and all(len(frame) == 1 for frame in each.frames) and len(names) > 1
            each = Boxes(each.noun, tuple(one), True) if single else Boxes(each.noun, frames, each.still)
        kept.append(each)
    return kept, understood


def _in_fractions(boxes: Boxes) -> bool:
    return fractions(np.array([box.numbers for box in boxes.all()]).reshape(-1, 4))


def _detections(boxes: Boxes, form: str | None, width: int, height: int) -> list[list[Detection]]:
    scale = np.array([width, height] * 2) if _in_fractions(boxes) else np.ones(4)
    return [
        [
            _detection(boxes.noun, corners(box, form) * scale, box.score, index, width, height)
            for box in frame
            if box.numbers.any()  # four zeros are how many nodes say that nothing was found
        ]
        for index, frame in enumerate(boxes.frames)
    ]


def _detection(
    noun: str, box: NDArray[np.float64], confidence: float, index: int, width: int, height: int
) -> Detection:
    inside = box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0
    if (box[2:] <= box[:2]).any() or not inside:
        raise SpatialAlignError(
            f"In frame {index} the box of {noun!r}, {[round(value, 1) for value in box.tolist()]}, is empty or outside "
            f"the picture of {width} x {height} pixels; give pixels of that picture, the left upper corner first."
        )
    return Detection(noun, box, confidence)


def _masks(noun: str, given: Any, count: int | None) -> NDArray[np.bool_]:
    """bool (F, H, W) without stray pixels."""
    masks = np.asarray(given)
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3 or not masks.size:
        raise SpatialAlignError(
            f"The masks of {noun!r} have shape {masks.shape}; give one mask for each frame, frames x height x width."
        )
    cleaned = without_specks(masks if masks.dtype == bool else masks > _LEAST)
    areas = cleaned.sum(axis=(1, 2))
    if areas.any():
        usual = np.median(areas[areas > 0])
        largest = np.array([largest_piece(mask) for mask in cleaned])
        cleaned[(largest < _STRAY[0] * usual) & (largest <= _STRAY[1])] = False
    return np.broadcast_to(cleaned, (count, *cleaned.shape[1:])) if len(cleaned) == 1 and count else cleaned


def _two_words(subject: str, object: str) -> None:
    if subject == object:
        raise SpatialAlignError(f"Subject and object are both {subject!r}; use two different words.")
