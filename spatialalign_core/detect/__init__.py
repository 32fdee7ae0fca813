"""Detection: where the subject and the object of a prompt are in every frame of a video."""

from .base import Detection, Detector, MaskTracker
from .loading import DETECTORS, load_detector
from .tracker import detect_track
from .validity import ValidityRule, Verdict, judge

__all__ = [
    "DETECTORS",
    "Detection",
    "Detector",
    "MaskTracker",
    "ValidityRule",
    "Verdict",
    "detect_track",
    "judge",
    "load_detector",
]
