"""Boxes as other nodes hand them on, made into corners in pixels, one list a frame.

ComfyUI's BOUNDING_BOX is a dict {x, y, width, height}, a list of them, or a list of such lists, one a frame; its
detectors add `label` and `score`. The BBOX of other packs is four numbers, which are two corners in some (SAM 2, the
Impact Pack) and x, y, width and height in others (KJNodes): the numbers of the whole clip say which, or the user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError

AUTO, CORNERS, SIZES = "auto", "x1 y1 x2 y2", "x y width height"
BOX_FORMATS = (AUTO, CORNERS, SIZES)

_SPILL = 0.02  # share of the picture's side by which a detector's box may stick out of it
_SIZE_KEYS = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_CORNER_KEYS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
    ("startX", "startY", "endX", "endY"),
)
_NESTED = ("bbox", "box", "bbox_2d", "xyxy")
_MANY = ("boxes", "bboxes")
_LABELS = ("label", "class_name", "category", "name", "text")
_SCORES = ("score", "confidence", "conf")


@dataclass(frozen=True, eq=False)
class Box:
    """Four numbers of one frame in the layout `form`, AUTO where the layout is not known."""

    numbers: NDArray[np.float64]
    form: str
    label: str | None = None
    score: float = 1.0


@dataclass(frozen=True)
class Boxes:
    """What is connected for one noun.

    frames: its boxes frame by frame. still: there is one entry, which stands for every frame.
    """

    noun: str
    frames: tuple[tuple[Box, ...], ...]
    still: bool = False

    def spread(self, count: int) -> Boxes:
        """For a clip of that many frames. SpatialAlignError when there are boxes for another number of frames."""
        if self.still:
            return replace(self, frames=self.frames * count, still=False)
        if len(self.frames) != count:
            raise SpatialAlignError(
                f"There are boxes of {self.noun!r} for {len(self.frames)} frames, but the video has {count}; give one "
                "entry for each frame, an empty one where nothing was found, or one box for all frames."
            )
        return self

    def all(self) -> list[Box]:
        """Of all frames."""
        return [box for frame in self.frames for box in frame]


def read_boxes(noun: str, given: Any) -> Boxes:
    """Whatever is on a socket, in any of the forms above. SpatialAlignError that names the entry that is no box."""
    data = _plain(given)
    if isinstance(data, Mapping) and _coordinates(data) is None:
        data = _unpacked(data)
    while _is_list(data) and len(data) == 1 and _is_list(data[0]) and any(_is_list(each) for each in data[0]):
        if _is_box(data[0]) or all(_is_box(each) for each in data[0]):
            break
        data = data[0]  # a list too many around it, as around a batch
    if _is_box(data):
        return Boxes(noun, ((_box(noun, data, 0),),), still=True)
    if not _is_list(data):
        raise _no_box(noun, data, 0)
    frames = tuple(
        tuple(_box(noun, each, index) for each in _entries(entry)) for index, entry in enumerate(data)
    )
    return Boxes(noun, frames, still=len(frames) == 1)


def layout(boxes: Sequence[Boxes], width: int, height: int, box_format: str = AUTO) -> str | None:
    """The layout of the boxes that are four bare numbers: CORNERS or SIZES, None where every box says it itself.

    boxes: of subject and object, which are read alike. Corners must be in order and, as sizes, within the picture of
    width x height pixels. SpatialAlignError when both fit, or neither does.
    """
    if box_format not in BOX_FORMATS:
        raise SpatialAlignError(
            f"There is no box format called {box_format!r}; choose one of: {', '.join(BOX_FORMATS)}."
        )
    bare = [box.numbers for each in boxes for box in each.all() if box.form == AUTO and _there(box.numbers)]
    if not bare:
        return None
    if box_format != AUTO:
        return box_format
    numbers = np.array(bare)
    side = np.ones(2) if fractions(numbers) else np.array([width, height], dtype=np.float64)
    spill = np.maximum(_SPILL * side, 1.0 if side[0] > 1 else 0.0)

    def inside(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
        return bool((low >= -spill).all() and (high <= side + spill).all() and (high > low).all())

    fits = {
        CORNERS: inside(numbers[:, :2], numbers[:, 2:]),
        SIZES: inside(numbers[:, :2], numbers[:, :2] + numbers[:, 2:]),
    }
    possible = [form for form, fit in fits.items() if fit]
    if len(possible) == 1:
        return possible[0]
    nouns = " and ".join(repr(each.noun) for each in boxes)
    example = [round(float(value), 3) for value in numbers[0]]
    if possible:
        raise SpatialAlignError(
            f"The boxes of {nouns} are four numbers that can be read as two corners or as x, y, width and height, such "
            f"as {example}; choose the right one in box_format."
        )
    raise SpatialAlignError(
        f"The boxes of {nouns}, such as {example}, are empty or outside the picture of {width} x {height} pixels, read "
        "as two corners and as x, y, width and height; give boxes in pixels of that picture, or choose box_format."
    )


def fractions(numbers: NDArray[np.float64]) -> bool:
    """Whether (N, 4) numbers are shares of the picture, 0 to 1, and not pixels."""
    near = bool(((numbers >= -_SPILL) & (numbers <= 1 + _SPILL)).all())
    return near and len(numbers) > 0 and bool((numbers != np.round(numbers)).any())


def corners(box: Box, form: str | None) -> NDArray[np.float64]:
    """x1, y1, x2, y2; form: of boxes that do not know theirs."""
    x, y, third, fourth = box.numbers
    if (form if box.form == AUTO else box.form) == SIZES:
        return np.array([x, y, x + third, y + fourth])
    return np.array([x, y, third, fourth])


def _there(numbers: NDArray[np.float64]) -> bool:
    """Four zeros are how many nodes say that nothing was found."""
    return bool(numbers.any())


def _plain(value: Any) -> Any:
    """Tensors, arrays, JSON and SEGS as lists and dicts."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return value
    if _is_segs(value):
        return [[_segment(each) for each in value[1]]]
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _is_segs(value: Any) -> bool:
    """The Impact Pack's SEGS: the picture's size, and a list of segments."""
    two = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], (list, tuple))
    return two and len(value[1]) > 0 and all(hasattr(each, "bbox") for each in value[1])


def _segment(segment: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(value) for value in segment.bbox)
    score = getattr(segment, "confidence", None)
    score = float(np.ravel(score)[0]) if score is not None and np.size(score) else 1.0
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "label": getattr(segment, "label", None), "score": score}


def _unpacked(data: Mapping[str, Any]) -> Any:
    """One dict of lists, {boxes, scores, labels}, as one frame of boxes; anything else as it is."""
    key = next((key for key in _MANY if key in data), None)
    if key is None:
        return data
    boxes = _plain(data[key])
    extra = [(name, _plain(data.get(f"{name}s"))) for name in ("score", "label")]
    if not (_is_list(boxes) and all(_is_bare(each) for each in boxes)):
        return boxes
    return [
        [
            {"bbox": box}
            | {name: values[at] for name, values in extra if _is_list(values) and at < len(values)}
            for at, box in enumerate(boxes)
        ]
    ]


def _entries(entry: Any) -> list[Any]:
    """One frame's entry -> its boxes."""
    if entry is None:
        return []
    if isinstance(entry, Mapping) and _coordinates(entry) is None:
        entry = _unpacked(entry)
        entry = entry[0] if _is_list(entry) and len(entry) == 1 and _is_list(entry[0]) else entry
    if not _is_list(entry) or _is_bare(entry):
        return [entry]
    flat = [inner for each in entry for inner in (each if _is_list(each) and not _is_bare(each) else [each])]
    return [each for each in flat if each is not None]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_bare(value: Any) -> bool:
    """Numbers, as many or few as there are."""
    return _is_list(value) and len(value) > 0 and all(isinstance(each, (int, float)) for each in value)


def _is_box(value: Any) -> bool:
    return _is_bare(value) or (isinstance(value, Mapping) and _coordinates(value) is not None)


def _coordinates(entry: Mapping[str, Any]) -> tuple[str, Any] | None:
    """A dict's layout and its four numbers, None where it has none."""
    for form, all_keys in ((SIZES, _SIZE_KEYS), (CORNERS, _CORNER_KEYS)):
        for keys in all_keys:
            if all(key in entry for key in keys):
                return form, [entry[key] for key in keys]
    for key in _NESTED:
        if key in entry:
            inner = _plain(entry[key])
            if isinstance(inner, Mapping):
                return _coordinates(inner)
            return (CORNERS if key in ("bbox_2d", "xyxy") else AUTO), inner
    return None


def _box(noun: str, entry: Any, index: int) -> Box:
    form, numbers, label, score = AUTO, entry, None, 1.0
    try:
        if isinstance(entry, Mapping):
            found = _coordinates(entry)
            if found is None:
                raise _no_box(noun, entry, index)
            form, numbers = found
            words = next((entry[key] for key in _LABELS if isinstance(entry.get(key), str)), "").strip()
            label = words if words and not words.isdigit() else None  # a number is a class or an instance
            score = float(next((entry[key] for key in _SCORES if entry.get(key) is not None), 1.0))
        elif _is_bare(entry) and len(entry) == 5 and 0 <= entry[4] <= 1:
            numbers, score = entry[:4], float(entry[4])
        values = np.array([float(value) for value in numbers], dtype=np.float64).reshape(4)
    except (KeyError, TypeError, ValueError):
        raise _no_box(noun, entry, index) from None
    if not np.isfinite(values).all():
        raise SpatialAlignError(
            f"In frame {index} the box of {noun!r} is {str(entry)[:80]!r}, which is not four finite numbers."
        )
    return Box(values, form, label, min(max(score, 0.0), 1.0) if np.isfinite(score) else 1.0)


def _no_box(noun: str, entry: Any, index: int) -> SpatialAlignError:
    return SpatialAlignError(
        f"In frame {index} the box of {noun!r} is {str(entry)[:80]!r}; a box has x, y, width and height, or four "
        "numbers."
    )
