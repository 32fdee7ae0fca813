"""From detections to a track: one subject and one object through the whole video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..tracks import Track
from .base import Detection, Detector, MaskTracker
from .candidates import follow, suppress
from .masks import mask_boxes, without_specks
from .repair import Sight, best_run, repair
from .validity import PUBLISHED, DetectionRule, Picture, judge

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Seen:
    """Subject and object as sights, their masks (None without any), and the published verdict where it is asked for."""

    sights: dict[str, Sight]
    masks: dict[str, Masks | None]
    seed: int | None
    frame_reasons: tuple[str | None, ...] = ()
    reason: str | None = None


def detect_track(
    detector: Detector,
    frames: NDArray[np.uint8],
    subject: str,
    object: str,
    rule: DetectionRule = PUBLISHED,
    keep_masks: bool = False,
    mask_tracker: MaskTracker | None = None,
    fps: float | None = None,
) -> Track:
    """Find subject and object in every frame and judge which frames, and whether the video, count.

    frames: uint8 RGB (F, H, W, 3). rule: `DEFAULT` follows the most consistent thing of each noun, `PUBLISHED` takes
    the surest in each frame and counts frames with exactly one of each; its numbers are for 81 frames and are scaled to
    the clip. mask_tracker: follows both from their best frame (published: the first run's first) through the clip, and
    boxes become the extents of its masks, by `DEFAULT` without specks. fps: frames per second, where they are known; at
    few of them `DEFAULT` takes a long way between two frames for what it is. SpatialAlignError for frames of another
    shape, for the same noun twice, and for a noun that the detector does not know.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise SpatialAlignError(f"A video must be frames x height x width x 3 colours, got {frames.shape}.")
    if subject.strip().casefold() == object.strip().casefold():
        raise SpatialAlignError(f"Subject and object are both {subject!r}; use two different words.")
    height, width = frames.shape[1:3]
    want_masks = keep_masks and mask_tracker is None
    found = [
        each if want_masks else [replace(detection, mask=None) for detection in each]
        for each in detector.detect(frames, (subject, object))
    ]
    look = _published if rule.mode == "published" else _consistent
    picture = Picture(width, height, fps)
    seen = look(found, (subject, object), rule, picture, (height, width) if want_masks else None)
    if mask_tracker is not None and seen.seed is not None:
        seen = _through_masks(mask_tracker, frames, seen, keep_masks, exact=rule.mode == "published")
    bridged: tuple[bool, ...] = ()
    frame_reasons, reason, sights = seen.frame_reasons, seen.reason, seen.sights
    if rule.mode == "default":
        repaired = repair(sights, picture, rule)
        frame_reasons, reason, sights = repaired.frame_reasons, repaired.reason, dict(repaired.sights)
        bridged = tuple(repaired.bridged.tolist())
    return Track(
        subject=subject,
        object=object,
        width=width,
        height=height,
        subject_boxes=sights[subject].boxes,
        object_boxes=sights[object].boxes,
        subject_confidences=sights[subject].confidences,
        object_confidences=sights[object].confidences,
        frame_reasons=frame_reasons,
        reason=reason,
        subject_masks=seen.masks[subject],
        object_masks=seen.masks[object],
        bridged=bridged,
    )


def _published(
    found: list[list[Detection]],
    nouns: tuple[str, str],
    rule: DetectionRule,
    picture: Picture,
    mask_size: tuple[int, int] | None,
) -> _Seen:
    """The released procedure; where a noun was found more than once, the surest gives the box to look at."""
    labels = [[each.noun if each.label is None else each.label for each in all_] for all_ in found]
    verdict = judge(labels, *nouns, rule.validity)
    picked = {noun: [_surest(all_, noun) for all_ in found] for noun in nouns}
    none = np.zeros(len(found), dtype=bool)
    return _Seen(
        {noun: Sight(_boxes(picks), _confidences(picks), none, none) for noun, picks in picked.items()},
        {noun: _masks(picks, mask_size) for noun, picks in picked.items()},
        verdict.first_run,
        verdict.frame_reasons,
        verdict.reason,
    )


def _consistent(
    found: list[list[Detection]],
    nouns: tuple[str, str],
    rule: DetectionRule,
    picture: Picture,
    mask_size: tuple[int, int] | None,
) -> _Seen:
    found = suppress(found)
    sights, masks = {}, {}
    first = {noun: follow(found, noun, rule, picture) for noun in nouns}
    for noun, other in zip(nouns, reversed(nouns), strict=True):
        followed = first[noun]
        if followed.rival.any() or followed.elsewhere.any():
            followed = follow(found, noun, rule, picture, first[other].boxes)
        sights[noun] = Sight(followed.boxes, followed.confidences, followed.rival, followed.elsewhere)
        picks = [all_[i] if i >= 0 else None for all_, i in zip(found, followed.picks, strict=True)]
        masks[noun] = _masks(picks, mask_size)
    return _Seen(sights, masks, best_run(list(sights.values())))


def _through_masks(
    tracker: MaskTracker, frames: NDArray[np.uint8], seen: _Seen, keep_masks: bool, exact: bool
) -> _Seen:
    """The same with boxes from the tracker's masks; frames without a mask show nothing. exact: specks count too."""
    assert seen.seed is not None
    nouns = list(seen.sights)
    count, height, width = frames.shape[:3]
    boxes = np.full((len(nouns), count, 4), np.nan)
    confidences = np.full((len(nouns), count), np.nan)
    kept = np.zeros((len(nouns), count, height, width), dtype=bool) if keep_masks else None
    start = np.stack([seen.sights[noun].boxes[seen.seed] for noun in nouns])
    for frame, masks, sure in tracker.track(frames, seen.seed, start):
        if not exact:
            masks = without_specks(masks)
        boxes[:, frame] = mask_boxes(masks)
        confidences[:, frame] = np.where(np.isfinite(boxes[:, frame, 0]), sure, np.nan)
        if kept is not None:
            kept[:, frame] = masks
    sights = {
        noun: replace(seen.sights[noun], boxes=boxes[index], confidences=confidences[index])
        for index, noun in enumerate(nouns)
    }
    labels = [
        [noun for noun in nouns if np.isfinite(sights[noun].boxes[frame]).all()] for frame in range(count)
    ]
    return replace(
        seen,
        sights=sights,
        masks={noun: None if kept is None else kept[index] for index, noun in enumerate(nouns)},
        frame_reasons=judge(labels, nouns[0], nouns[1]).frame_reasons,
    )


def _surest(found: Sequence[Detection], noun: str) -> Detection | None:
    of_noun = [detection for detection in found if detection.noun == noun]
    return max(of_noun, key=lambda detection: detection.confidence, default=None)


def _boxes(detections: Sequence[Detection | None]) -> Floats:
    rows = [np.full(4, np.nan) if each is None else each.box for each in detections]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 4)


def _confidences(detections: Sequence[Detection | None]) -> Floats:
    return np.array([np.nan if each is None else each.confidence for each in detections], dtype=np.float64)


def _masks(detections: list[Detection | None], size: tuple[int, int] | None) -> Masks | None:
    """Masks of all frames, empty where nothing was found; None when nobody wants them or the detector has none."""
    if size is None or any(each is not None and each.mask is None for each in detections):
        return None
    masks = np.zeros((len(detections), *size), dtype=bool)
    for mask, each in zip(masks, detections, strict=True):
        if each is not None and each.mask is not None:
            mask[...] = each.mask
    return masks
