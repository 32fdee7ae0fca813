"""Scores for a file of detections: every box that a detector found in each frame, and sentences to judge.

    {"clips": [{"id": ..., "width": 854, "height": 480, "fps": 24, "subject": "dog", "object": "man",
     "subject_detections": [[[x1, y1, x2, y2, score], ...], ...], "object_detections": [...],
     "sentences": [{"change": "LR"}, ...]}, ...]}

Boxes are xyxy pixels, y down, with the detector's score in 0..1. Both lists of detections have one entry for each
frame, empty where nothing was found. "fps" may be missing; other keys, such as a person's verdict, are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .detect import DEFAULT, Detection, DetectionRule, detect_track
from .detect.given import GivenDetector
from .errors import SpatialAlignError
from .relations import RelationChange
from .score import obeys, score_tracks
from .tracks import Track

_SIDES = ("width", "height")
_LISTS = ("subject_detections", "object_detections")
_KEYS = ("id", *_SIDES, "subject", "object", *_LISTS, "sentences")


@dataclass(frozen=True)
class Clip:
    """The detections of one video. found: one list for each frame. fps: frames per second, None when unknown."""

    id: str
    width: int
    height: int
    subject: str
    object: str
    found: tuple[tuple[Detection, ...], ...]
    changes: tuple[RelationChange, ...]
    fps: float | None = None

    def track(self, rule: DetectionRule = DEFAULT) -> Track:
        """Subject and object through the clip, judged by `rule`."""
        frames = np.broadcast_to(np.uint8(0), (len(self.found), self.height, self.width, 3))
        return detect_track(GivenDetector(self.found), frames, self.subject, self.object, rule, fps=self.fps)


def score_clips(clips: Sequence[Clip], rule: DetectionRule = DEFAULT) -> list[dict[str, Any]]:
    """One row for each sentence of each clip, in order.

    Each is {id: "<clip>/<change>", valid, reason, dsr, initial_ssr, ..., obeys} with the fields of `Score`.
    """
    rows = []
    for clip in clips:
        track = clip.track(rule)
        scores = score_tracks([track] * len(clip.changes), clip.changes)
        rows += [
            {"id": f"{clip.id}/{change.code}"} | asdict(score) | {"obeys": obeys(score)}
            for change, score in zip(clip.changes, scores, strict=True)
        ]
    return rows


def read_clips(data: Mapping[str, Any], path: str | Path) -> list[Clip]:
    """The clips of a parsed file. SpatialAlignError that names the file `path`, the clip and what is wrong in it."""
    clips = data.get("clips")
    if not isinstance(clips, list):
        raise SpatialAlignError(f"'clips' in the score file {path} must be a list; see `score --help`.")
    result = []
    for index, clip in enumerate(clips):
        try:
            result.append(_read_clip(clip))
        except (ValueError, OverflowError) as error:
            name = clip.get("id", f"number {index + 1}") if isinstance(clip, dict) else f"number {index + 1}"
            raise SpatialAlignError(f"Clip {name} of the score file {path}: {error}") from error
    return result


def _read_clip(clip: Any) -> Clip:
    if not isinstance(clip, dict):
        raise ValueError("it must be a JSON object.")
    missing = [key for key in _KEYS if key not in clip]
    if missing:
        raise ValueError(f"it lacks {', '.join(map(repr, missing))}.")
    nouns = clip["subject"], clip["object"]
    if not all(isinstance(noun, str) and noun.strip() for noun in nouns):
        raise ValueError("'subject' and 'object' must be words.")
    if nouns[0].strip().casefold() == nouns[1].strip().casefold():
        raise ValueError(f"subject and object are both {nouns[0]!r}; use two different words.")
    width, height = (_whole(clip[side], side) for side in _SIDES)
    fps = clip.get("fps")
    if fps is not None and not (_number(fps) and 0 < fps < float("inf")):
        raise ValueError(f"'fps' must be a number of frames per second, got {fps!r}.")
    subject, object = (_frames(clip[name], name) for name in _LISTS)
    if len(subject) != len(object):
        raise ValueError(
            f"'subject_detections' has {len(subject)} frames but 'object_detections' has {len(object)}; give one "
            "entry for each frame to both, an empty one where nothing was found."
        )
    if not subject:
        raise ValueError("it has no frames.")
    found = tuple(
        tuple(
            _detection(noun, entry, name, index)
            for noun, name, frame in zip(nouns, _LISTS, both, strict=True)
            for entry in frame
        )
        for index, both in enumerate(zip(subject, object, strict=True))
    )
    changes = tuple(_change(sentence) for sentence in _list(clip["sentences"], "'sentences'"))
    return Clip(str(clip["id"]), width, height, *nouns, found, changes, None if fps is None else float(fps))


def _frames(value: Any, name: str) -> list[list[Any]]:
    rows = _list(value, f"{name!r}")
    return [_list(row, f"frame {index} of {name!r}") for index, row in enumerate(rows)]


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list.")
    return value


def _detection(noun: str, entry: Any, name: str, frame: int) -> Detection:
    said = f"frame {frame} of {name!r}"
    if not isinstance(entry, list) or len(entry) not in (4, 5) or not all(map(_number, entry)):
        raise ValueError(
            f"{said} has {str(entry)[:80]}, but a detection is five numbers [x1, y1, x2, y2, score]."
        )
    box = np.array(entry[:4], dtype=np.float64)
    if not np.isfinite(box).all() or (box[2:] < box[:2]).any():
        raise ValueError(f"{said} has the box {entry[:4]}; x2 and y2 must not be less than x1 and y1.")
    confidence = float(entry[4]) if len(entry) == 5 else 1.0
    if not 0 <= confidence <= 1:
        raise ValueError(f"{said} has the score {entry[4]!r}, which is not in 0..1.")
    return Detection(noun, box, confidence)


def _change(sentence: Any) -> RelationChange:
    code = sentence.get("change") if isinstance(sentence, dict) else sentence
    if not isinstance(code, str):
        raise ValueError(f'every sentence must look like {{"change": "LR"}}, got {str(sentence)[:80]}.')
    return RelationChange.parse(code)


def _whole(value: Any, name: str) -> int:
    if not _number(value) or not 1 <= value < 2**31:
        raise ValueError(f"{name!r} must be a number of pixels, got {value!r}.")
    return round(value)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
