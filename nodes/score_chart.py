"""The chart of a score on its node: values for the browser, and a small video in ComfyUI's temp folder beside them."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.relations import RelationChange
from ..spatialalign_core.score import Score
from ..spatialalign_core.score_view import score_view
from ..spatialalign_core.tracks import Track
from ..spatialalign_core.video import write_video
from .video_input import rate

_KEY = "spatialalign_score"
_FPS = 8.0  # of frames that come without a rate of their own
_FOLDER = "spatialalign"
_SIDE = 640  # pixels of the longer side; it is looked at on a node
_MOST = 1 << 28  # bytes of all its pictures


def chart_of(
    pictures: Iterable[np.ndarray],
    track: Track,
    change: RelationChange | None = None,
    score: Score | None = None,
    fps: float | None = None,
) -> dict[str, Any]:
    """The `ui` entry of a node; see `score_view`. pictures: the track's frames as the preview shows them, `shrunk`."""
    return {_KEY: ({**score_view(track, change, score), "video": _saved(pictures, fps or _FPS)},)}


def shrunk(picture: np.ndarray, count: int) -> np.ndarray:
    """Every second, third ... pixel, as many as the preview of a clip of `count` pictures needs. A copy."""
    longer, size = max(picture.shape[:2]), count * picture.size
    step = max(1, math.ceil(longer / _SIDE), math.ceil(math.sqrt(size / _MOST)))
    return picture[::step, ::step].copy()


def rate_of(video: Any | None) -> float | None:
    """Frames a second of a connected video."""
    return None if video is None else rate(video)


def _saved(pictures: Iterable[np.ndarray], fps: float) -> dict[str, Any] | None:
    """Where ComfyUI's /view finds the video; None where it cannot be written, which spoils no score."""
    name = f"{uuid.uuid4().hex[:16]}.mp4"
    try:
        write_video(Path(folder_paths.get_temp_directory()) / _FOLDER / name, np.stack(list(pictures)), fps)
    except SpatialAlignError as error:
        logging.warning("SpatialAlign: no preview: %s", error)
        return None
    return {"filename": name, "subfolder": _FOLDER, "type": "temp", "fps": fps}
