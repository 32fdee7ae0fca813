"""The finds that a track leaves out: on frames that do not count because of them, they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..tracks import Track
from .base import Detection
from .candidates import iou

_SAME = 0.9  # IoU from which a find is the track's own box


def with_others(track: Track, found: Sequence[Sequence[Detection]]) -> Track:
    """The track with every further find of a noun of which there is more than one; found: for each frame."""

    def others(noun: str, index: int) -> np.ndarray:
        reason = track.frame_reasons[index]
        own = (track.subject_boxes if noun == track.subject else track.object_boxes)[index]
        if reason is None or not reason.startswith("more than one "):
            return np.zeros((0, 4))
        boxes = np.array([each.box for each in found[index] if each.noun == noun]).reshape(-1, 4)
        return boxes[~(iou(boxes, np.broadcast_to(own, boxes.shape)) > _SAME)]

    return replace(
        track,
        subject_others=tuple(others(track.subject, index) for index in range(track.frames)),
        object_others=tuple(others(track.object, index) for index in range(track.frames)),
    )
