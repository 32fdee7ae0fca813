"""Scores for a file of boxes that somebody else detected, in the layout of the published reference cases.

    {"width": 832, "height": 480, "cases": [{"id": ..., "relation": "LR", "subject": "cat", "object": "box",
     "frames": [{"frame": 0, "boxes": {"cat": [x0, y0, x1, y1], "box": [...]}}, ...]}, ...]}

Boxes are xyxy pixels, y down. A frame lists the labels that were found; a missing label or a null box is an object
that was not found, any other label is ignored. Frames count in the order of their numbers.

A file with all detections of each frame has another layout, see `clips_file`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .clips_file import read_clips, score_clips
from .detect import DEFAULT, Detection, DetectionRule, detect_track
from .detect.given import GivenDetector
from .errors import SpatialAlignError
from .relations import RelationChange
from .score import Floats, Score, counted, obeys, score_published, score_tracks
from .tracks import Track


def score_file(path: str | Path, rule: DetectionRule | None = None) -> list[dict[str, Any]]:
    """Scores of all cases, or of all sentences on all clips, of a file in either layout.

    rule: None means the rule that the layout is for: `published` for cases, `default` for clips. Rows as in
    `score_cases_file` and `clips_file.score_clips`. SpatialAlignError for anything that cannot be read.
    """
    data = _read_json(path)
    if "clips" in data and "cases" not in data:
        return score_clips(read_clips(data, path), rule or DEFAULT)
    if rule is None or rule.mode == "published":
        return score_cases_file(path)
    cases = [(name, _by_rule(track, rule), change) for name, track, change in read_cases(path)]
    scores = score_tracks([track for _, track, _ in cases], [change for _, _, change in cases])
    return [_row(name, score) for (name, _, _), score in zip(cases, scores, strict=True)]


def score_cases_file(path: str | Path) -> list[dict[str, Any]]:
    """Published scores of all cases of a file, in order.

    Each is {id, valid, reason, dsr, initial_ssr, final_ssr, initial_gap, final_gap, scored_frames, obeys}; the scores
    are None for an INVALID video. SpatialAlignError that names the file, and the case, for anything that cannot be
    read.
    """
    cases = read_cases(path)
    scores = score_published([track for _, track, _ in cases], [change for _, _, change in cases])
    return [_row(name, score) for (name, _, _), score in zip(cases, scores, strict=True)]


def _row(name: str, score: Score) -> dict[str, Any]:
    return {"id": name} | asdict(score) | {"obeys": obeys(score)}


def _by_rule(track: Track, rule: DetectionRule) -> Track:
    """The boxes of a case as detections, judged by `rule`."""
    limit = np.nanmax(np.concatenate([track.subject_boxes, track.object_boxes, np.ones((1, 4))]), axis=0)
    width, height = (
        round(max(side, far)) for side, far in zip((track.width, track.height), limit[2:], strict=True)
    )
    boxes = {track.subject: track.subject_boxes, track.object: track.object_boxes}
    found = [
        [Detection(noun, box[frame], 1.0) for noun, box in boxes.items() if np.isfinite(box[frame]).all()]
        for frame in range(track.frames)
    ]
    frames = np.broadcast_to(np.uint8(0), (track.frames, height, width, 3))
    return detect_track(GivenDetector(found), frames, track.subject, track.object, rule) if found else track


def read_cases(path: str | Path) -> list[tuple[str, Track, RelationChange]]:
    """Id, track and relation change of every case in the file. SpatialAlignError as in `score_cases_file`."""
    data = _read_json(path)
    cases = data.get("cases")
    if not isinstance(cases, list):
        raise SpatialAlignError(
            f"The score file {path} has no list named 'cases' or 'clips'; see `score --help` for the layout."
        )
    result = []
    for index, case in enumerate(cases):
        try:
            result.append(_read_case(case, data))
        except (ValueError, OverflowError) as error:
            name = case.get("id", f"number {index + 1}") if isinstance(case, dict) else f"number {index + 1}"
            raise SpatialAlignError(f"Case {name} of the score file {path}: {error}") from error
    return result


def _read_json(path: str | Path) -> dict[str, Any]:
    """The object in the file; an empty one where there is something else, so that its keys are missed by name."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpatialAlignError(f"Cannot read the score file {path}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise SpatialAlignError(f"The score file {path} is not valid JSON: {error}.") from error
    return data if isinstance(data, dict) else {}


def _read_case(case: Any, data: Mapping[str, Any]) -> tuple[str, Track, RelationChange]:
    if not isinstance(case, dict):
        raise ValueError("it must be a JSON object.")
    missing = [key for key in ("id", "relation", "subject", "object", "frames") if key not in case]
    if missing:
        raise ValueError(f"it lacks {', '.join(map(repr, missing))}.")
    subject, object = case["subject"], case["object"]
    if not (isinstance(subject, str) and isinstance(object, str) and isinstance(case["relation"], str)):
        raise ValueError("'relation', 'subject' and 'object' must be text.")
    change = RelationChange.parse(case["relation"])
    frames = case["frames"]
    if not isinstance(frames, list):
        raise ValueError("'frames' must be a list.")
    ordered = sorted(
        enumerate(_read_frame(frame) for frame in frames), key=lambda item: _number(item, frames)
    )
    subject_boxes = _boxes([found for _, found in ordered], subject)
    object_boxes = _boxes([found for _, found in ordered], object)
    track = Track(
        subject=subject,
        object=object,
        width=_side(data, "width"),
        height=_side(data, "height"),
        subject_boxes=subject_boxes,
        object_boxes=object_boxes,
        subject_confidences=_certain(subject_boxes),
        object_confidences=_certain(object_boxes),
        frame_reasons=_frame_reasons(subject, object, subject_boxes, object_boxes),
        reason=None if any(found for _, found in ordered) else "nothing was detected",
    )
    return str(case["id"]), track, change


def _read_frame(frame: Any) -> Mapping[str, Any]:
    boxes = frame.get("boxes") if isinstance(frame, dict) else None
    if boxes is None and isinstance(frame, dict):
        return {}
    if not isinstance(boxes, dict):
        raise ValueError('every frame must look like {"frame": 0, "boxes": {"cat": [x0, y0, x1, y1]}}.')
    return boxes


def _number(item: tuple[int, Any], frames: list[dict[str, Any]]) -> float:
    index = item[0]
    number = frames[index].get("frame", index)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number != number:
        raise ValueError(f"{number!r} is not a frame number.")
    return number


def _boxes(frames: list[Mapping[str, Any]], label: str) -> Floats:
    boxes = np.full((len(frames), 4), np.nan)
    for row, found in zip(boxes, frames, strict=True):
        box = found.get(label)
        if box is None:
            continue
        numbers = isinstance(box, list) and all(
            isinstance(x, (int, float)) and not isinstance(x, bool) for x in box
        )
        if not numbers or len(box) != 4:
            raise ValueError(
                f"the box of {label!r} must be four numbers [x0, y0, x1, y1], got {json.dumps(box)[:80]}."
            )
        row[:] = box
    return boxes


def _side(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**31:
        raise ValueError(f"the file's {name!r} must be a number of pixels, got {value!r}.")
    return int(value)


def _certain(boxes: Floats) -> Floats:
    return np.where(np.isfinite(boxes).all(-1), 1.0, np.nan)


def _frame_reasons(
    subject: str, object: str, subject_boxes: Floats, object_boxes: Floats
) -> tuple[str | None, ...]:
    reasons: list[str | None] = []
    for subject_box, object_box in zip(subject_boxes, object_boxes, strict=True):
        has_subject, has_object = np.isfinite(subject_box).all(), np.isfinite(object_box).all()
        counts = counted(subject_box, object_box)
        if counts:
            reasons.append(None)
        elif has_subject and has_object:
            reasons.append("a box has no size")
        elif not has_subject and not has_object:
            reasons.append(f"neither the {subject} nor the {object} was found")
        else:
            reasons.append(f"the {object if has_subject else subject} was not found")
    return tuple(reasons)
