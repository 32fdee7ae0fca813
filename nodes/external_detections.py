"""The sockets for boxes and masks of other nodes, which several nodes have, and the detector that they become."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..spatialalign_core.detect.box_formats import AUTO, BOX_FORMATS
from ..spatialalign_core.detect.given import given_boxes, given_masks
from ..spatialalign_core.errors import SpatialAlignError
from .sockets import BoxesSockets, LoadedDetector


def sockets() -> list[Any]:
    """Masks and boxes of both things."""
    given = "The other thing needs the same input; the detector is then not used."
    masks = [
        io.Mask.Input(
            f"{thing}_mask",
            optional=True,
            tooltip=f"Masks of the {thing}, one per frame or one for all. {given}",
        )
        for thing in ("subject", "object")
    ]
    boxes = [
        io.MultiType.Input(
            f"{thing}_boxes",
            types=BoxesSockets,
            optional=True,
            tooltip=f"Boxes of the {thing}, one entry per frame or one for all. Boxes with other labels are ignored. "
            f"{given}",
        )
        for thing in ("subject", "object")
    ]
    return [*masks, *boxes]


def box_format() -> io.Combo.Input:
    """What four bare numbers are."""
    return io.Combo.Input(
        "box_format",
        options=list(BOX_FORMATS),
        default=AUTO,
        optional=True,
        tooltip="Meaning of the four numbers of a BBOX: two corners, or a corner and a size. 'auto' finds out from the "
        "numbers of all frames, and asks if both are possible.",
    )


@dataclass(frozen=True)
class External:
    """What is on these sockets, None where nothing is."""

    subject_mask: Any = None
    object_mask: Any = None
    subject_boxes: Any = None
    object_boxes: Any = None

    def masks(self, node: str) -> tuple[Any, Any] | None:
        """Of both things. node: its name on the screen. SpatialAlignError when one is missing, or boxes are there."""
        masks = _both(node, "mask", self.subject_mask, self.object_mask)
        if masks and _both(node, "boxes", self.subject_boxes, self.object_boxes):
            raise SpatialAlignError(f"Connect either masks or boxes to {node}, not both.")
        return masks

    def detector(
        self, node: str, words: tuple[str, str], frames: np.ndarray, box_format: str, otherwise: Any
    ) -> LoadedDetector:
        """For the video `frames`; `otherwise` is the detector that is connected, for where nothing is given."""
        masks = self.masks(node)
        boxes = _both(node, "boxes", self.subject_boxes, self.object_boxes)
        count, height, width = frames.shape[:3]
        if masks:
            given = [_numbers(mask, count, height, width) for mask in masks]
            return LoadedDetector(given_masks(*words, *given, count=count))
        if boxes:
            return LoadedDetector(given_boxes(*words, *boxes, width, height, count, box_format))
        if not isinstance(otherwise, LoadedDetector):
            raise SpatialAlignError(nothing_to_find_with(node))
        return otherwise

    @classmethod
    def of_clips(cls, node: str, values: dict[str, list[Any] | None], lengths: list[int]) -> list[External]:
        """One for each of several videos, from inputs that arrive as lists: an entry a video, or one for all."""
        columns = {name: _for_clips(node, name, values.get(name), lengths) for name in _names()}
        return [cls(**{name: column[at] for name, column in columns.items()}) for at in range(len(lengths))]


def nothing_to_find_with(node: str) -> str:
    """What to say where neither a detector nor boxes or masks are connected. node: its name on the screen."""
    return (
        f"{node} does not know where things are: connect a detector from Load Detector, "
        "or boxes or masks of both things."
    )


def needs_both(node: str, missing: str, what: str) -> str:
    """What to say where masks or boxes are of one thing only. missing: "subject" or "object"; what: "mask", "boxes"."""
    return f"{node} needs {missing}_{what} too, or neither of the two."


def understood_text(loaded: LoadedDetector) -> str:
    """How boxes were read, in sentences of a line each behind a line break; empty for other detectors."""
    return "".join(f"\n{sentence}" for sentence in getattr(loaded.detector, "understood", ()))


def _names() -> list[str]:
    return [field.name for field in fields(External)]


def _for_clips(node: str, name: str, given: list[Any] | None, lengths: list[int]) -> list[Any]:
    values = [value for value in given or [] if value is not None]
    if not values:
        return [None] * len(lengths)
    if len(values) == len(lengths):
        return values
    if len(values) == 1:
        value = values[0]
        frames = len(value) if isinstance(value, (list, torch.Tensor, np.ndarray)) else 1
        if isinstance(value, list) and value and isinstance(value[0], (int, float)):
            frames = 1  # four numbers
        if frames == 1:
            return [value] * len(lengths)
        if frames == sum(lengths):
            starts = np.cumsum([0, *lengths])
            return [value[int(start) : int(end)] for start, end in itertools.pairwise(starts)]
        if frames == lengths[0] == max(lengths):
            raise SpatialAlignError(
                f"{node} has {len(lengths)} videos but {name} of only one; give an entry for each frame of every video."
            )
    raise SpatialAlignError(
        f"{name} of {node} is for {len(values)} videos, but there are {len(lengths)}; give one list entry for each "
        "video, or one batch with all their frames."
    )


def _both(node: str, what: str, subject: Any | None, object: Any | None) -> tuple[Any, Any] | None:
    if subject is None and object is None:
        return None
    if subject is None or object is None:
        missing = "subject" if subject is None else "object"
        raise SpatialAlignError(needs_both(node, missing, what))
    return subject, object


def _numbers(mask: torch.Tensor, count: int, height: int, width: int) -> np.ndarray:
    """float (F, H, W), or (1, H, W) for all frames."""
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or tuple(mask.shape[1:]) != (height, width) or len(mask) not in (1, count):
        given = " x ".join(map(str, reversed(mask.shape)))
        raise SpatialAlignError(
            f"The masks are {given} (width x height x frames), the video is {width} x {height} x {count}; "
            "give masks of the same frames, or one mask for all of them."
        )
    return np.asarray(mask.detach().cpu().float().numpy())
