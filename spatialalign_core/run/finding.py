"""One video to find things in: from the mp4 to its track on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..detect.base import Detector, MaskTracker
from ..detect.tracker import detect_track
from ..detect.validity import DetectionRule
from ..errors import SpatialAlignError
from ..tracks import Track, write_track
from ..video import read_video


@dataclass(frozen=True)
class Finding:
    """A video, the track that it becomes, and the track's fingerprint."""

    video: Path
    path: Path
    subject: str
    object: str
    fingerprint: str
    label: str


def find(
    job: Finding, detector: Detector, rule: DetectionRule, keep_masks: bool, mask_tracker: MaskTracker | None
) -> str | None:
    """Write the track; returns a warning where the video cannot be read, which makes an INVALID one."""
    warning = None
    try:
        frames, fps = read_video(job.video)
    except SpatialAlignError as error:
        warning = f"Set aside as INVALID: {error}"
        track = _empty_track(job, str(error))
    else:
        words = job.subject, job.object
        track = detect_track(detector, frames, *words, rule, keep_masks, mask_tracker, fps=fps)
    write_track(job.path, track, job.fingerprint)
    return warning


def _empty_track(job: Finding, reason: str) -> Track:
    boxes, none = np.zeros((0, 4)), np.zeros(0)
    return Track(job.subject, job.object, 0, 0, boxes, boxes, none, none, frame_reasons=(), reason=reason)
