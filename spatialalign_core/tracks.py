"""Tracks: where subject and object are in every frame of one video, and why a frame or the video does not count.

A track is all that scoring needs to know of a video. On disk it is one JSON file; masks are run lengths in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SpatialAlignError
from .files import atomic_write, cause

PUBLISHED_FRAMES = 81  # the length of the videos that the published thresholds are meant for

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Track:
    """Boxes of subject and object through one video of F frames.

    Boxes: float64 (F, 4), xyxy pixels of a `width` x `height` picture, y down, far edges exclusive, NaN where absent.
    Confidences: float64 (F,) in 0..1, NaN where absent. Masks: bool (F, height, width), or None.
    frame_reasons: for each frame None when it counts, else why not. reason: why the whole video does not count.
    bridged: for each frame whether a box in it was not seen but drawn between its neighbours; () for no such frame.
    subject_others, object_others: for each frame further boxes (N, 4) of the noun, drawn but not saved; () for none.
    ValueError when the shapes do not fit together.
    """

    subject: str
    object: str
    width: int
    height: int
    subject_boxes: Floats
    object_boxes: Floats
    subject_confidences: Floats
    object_confidences: Floats
    frame_reasons: tuple[str | None, ...]
    reason: str | None = None
    subject_masks: Masks | None = None
    object_masks: Masks | None = None
    bridged: tuple[bool, ...] = ()
    subject_others: tuple[Floats, ...] = ()
    object_others: tuple[Floats, ...] = ()

    def __post_init__(self) -> None:
        frames = len(self.frame_reasons)
        if not self.bridged:
            object.__setattr__(self, "bridged", (False,) * frames)
        if len(self.bridged) != frames:
            raise ValueError(f"bridged has {len(self.bridged)} values, expected {frames}.")
        expected = {
            "subject_boxes": (frames, 4),
            "object_boxes": (frames, 4),
            "subject_confidences": (frames,),
            "object_confidences": (frames,),
            "subject_masks": (frames, self.height, self.width),
            "object_masks": (frames, self.height, self.width),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}, expected {shape}.")

    @property
    def frames(self) -> int:
        """Length of the video in frames."""
        return len(self.frame_reasons)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; `from_json` reads them back exactly."""
        return {
            "subject": self.subject,
            "object": self.object,
            "width": self.width,
            "height": self.height,
            "reason": self.reason,
            "frame_reasons": list(self.frame_reasons),
            "subject_boxes": _rows_to_json(self.subject_boxes),
            "object_boxes": _rows_to_json(self.object_boxes),
            "subject_confidences": _numbers_to_json(self.subject_confidences),
            "object_confidences": _numbers_to_json(self.object_confidences),
            "subject_masks": _masks_to_json(self.subject_masks),
            "object_masks": _masks_to_json(self.object_masks),
            "bridged": list(self.bridged),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Track:
        """From `to_json`; further keys are ignored. KeyError, TypeError or ValueError for anything else."""
        reasons = tuple(None if reason is None else str(reason) for reason in data["frame_reasons"])
        shape = (len(reasons), int(data["height"]), int(data["width"]))
        return cls(
            subject=str(data["subject"]),
            object=str(data["object"]),
            width=shape[2],
            height=shape[1],
            subject_boxes=_rows_from_json(data["subject_boxes"]),
            object_boxes=_rows_from_json(data["object_boxes"]),
            subject_confidences=np.array(data["subject_confidences"], dtype=np.float64),
            object_confidences=np.array(data["object_confidences"], dtype=np.float64),
            frame_reasons=reasons,
            reason=None if data.get("reason") is None else str(data["reason"]),
            subject_masks=_masks_from_json(data.get("subject_masks"), shape),
            object_masks=_masks_from_json(data.get("object_masks"), shape),
            bridged=tuple(bool(value) for value in data.get("bridged", ())),
        )


def least_frames(published: int, frames: int) -> int:
    """Smallest number of frames that is at least `published` of 81 as a share of a clip of `frames`; never below 1."""
    return max(1, -(-published * frames // PUBLISHED_FRAMES))


def most_frames(published: int, frames: int) -> int:
    """Largest number of frames that is at most `published` of 81 as a share of a clip of `frames`; never below 1."""
    return max(1, published * frames // PUBLISHED_FRAMES)


def write_track(path: Path, track: Track, fingerprint: str | None = None) -> None:
    """Write a track as JSON, whole or not at all; `fingerprint` names the inputs and settings it was made from."""
    data = track.to_json() if fingerprint is None else {"fingerprint": fingerprint} | track.to_json()
    atomic_write(path, json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")


def read_track(path: Path) -> Track:
    """Read what `write_track` wrote. SpatialAlignError naming the file when it is missing or damaged."""
    try:
        return Track.from_json(_read_json(path))
    except (KeyError, TypeError, ValueError) as error:
        raise SpatialAlignError(
            f"The track file {path} is damaged ({cause(error)}). Delete it and detect again."
        ) from error


def track_fingerprint(path: Path) -> str | None:
    """The fingerprint that a track file carries; None when there is no such file or it is damaged."""
    try:
        fingerprint = _read_json(path).get("fingerprint")
    except (SpatialAlignError, ValueError):
        return None
    return fingerprint if isinstance(fingerprint, str) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpatialAlignError(f"The track file {path} cannot be read: {cause(error)}.") from error
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _rows_to_json(boxes: Floats) -> list[list[float] | None]:
    return [row.tolist() if np.isfinite(row).all() else None for row in boxes]


def _rows_from_json(rows: list[list[float] | None]) -> Floats:
    values = [[np.nan] * 4 if row is None else row for row in rows]
    return np.array(values, dtype=np.float64).reshape(len(rows), 4)


def _numbers_to_json(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _masks_to_json(masks: Masks | None) -> list[list[int]] | None:
    """Run lengths of each mask in reading order; the first run is of pixels outside the mask, perhaps of length 0."""
    if masks is None:
        return None
    result = []
    for mask in masks:
        flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1] if mask.size else True]])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        result.append(np.diff(edges, prepend=0).tolist())
    return result


def _masks_from_json(runs: list[list[int]] | None, shape: tuple[int, int, int]) -> Masks | None:
    if runs is None:
        return None
    masks = np.zeros(shape, dtype=bool)
    if len(runs) != shape[0]:
        raise ValueError("the number of masks is not the number of frames")
    for mask, lengths in zip(masks, runs, strict=True):
        if sum(lengths) != mask.size or min(lengths, default=0) < 0:
            raise ValueError("a mask does not fill its picture")
        inside = np.arange(len(lengths)) % 2 == 1
        mask[...] = np.repeat(inside, lengths).reshape(shape[1:])
    return masks
