"""From detections to a track: one subject and one object through the whole video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..tracks import Track
from .base import Detection, Detector
from .validity import PUBLISHED_RULE, ValidityRule, judge


def detect_track(
    detector: Detector,
    frames: NDArray[np.uint8],
    subject: str,
    object: str,
    rule: ValidityRule = PUBLISHED_RULE,
    keep_masks: bool = False,
) -> Track:
    """Find subject and object in every frame and judge which frames, and whether the video, count.

    frames: uint8 RGB (F, H, W, 3). Of several detections of one noun the most confident gives the box, and the frame
    does not count. `rule` is for 81 frames and is scaled to the clip. SpatialAlignError for frames of another shape,
    for the same noun twice, and for a noun that the detector does not know.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise SpatialAlignError(f"A video must be frames x height x width x 3 colours, got {frames.shape}.")
    if subject == object:
        raise SpatialAlignError(f"Subject and object are both {subject!r}; use two different words.")
    found = list(detector.detect(frames, (subject, object)))
    verdict = judge([[detection.noun for detection in each] for each in found], subject, object, rule)
    height, width = frames.shape[1:3]
    best = {noun: [_best(each, noun) for each in found] for noun in (subject, object)}
    masks = {noun: _masks(best[noun], height, width) if keep_masks else None for noun in best}
    return Track(
        subject=subject,
        object=object,
        width=width,
        height=height,
        subject_boxes=_boxes(best[subject]),
        object_boxes=_boxes(best[object]),
        subject_confidences=_confidences(best[subject]),
        object_confidences=_confidences(best[object]),
        frame_reasons=verdict.frame_reasons,
        reason=verdict.reason,
        subject_masks=masks[subject],
        object_masks=masks[object],
    )


def _best(found: Sequence[Detection], noun: str) -> Detection | None:
    of_noun = [detection for detection in found if detection.noun == noun]
    return max(of_noun, key=lambda detection: detection.confidence, default=None)


def _boxes(detections: Sequence[Detection | None]) -> NDArray[np.float64]:
    rows = [np.full(4, np.nan) if each is None else each.box for each in detections]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 4)


def _confidences(detections: Sequence[Detection | None]) -> NDArray[np.float64]:
    return np.array([np.nan if each is None else each.confidence for each in detections], dtype=np.float64)


def _masks(detections: Sequence[Detection | None], height: int, width: int) -> NDArray[np.bool_] | None:
    """Masks of all frames, empty where nothing was found; None when the detector gives no masks."""
    if any(each is not None and each.mask is None for each in detections):
        return None
    masks = np.zeros((len(detections), height, width), dtype=bool)
    for mask, each in zip(masks, detections, strict=True):
        if each is not None and each.mask is not None:
            mask[...] = each.mask
    return masks
