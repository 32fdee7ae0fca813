"""What plays on a node: small videos in ComfyUI's temp folder, or those of a run folder, which are there already."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.video import write_video
from .sockets import RunSoFar

FPS = 8.0  # of frames that come without a rate of their own
_KEY = "spatialalign_videos"
_FOLDER = "spatialalign"
_SIDE = 640  # pixels of the longer side; it is looked at on a node
_MOST = 1 << 28  # bytes of all its pictures


def of_run(so_far: RunSoFar, prompt: str | None = None) -> dict[str, Any]:
    """The `ui` entry that plays a run's videos: of one prompt (its id), or of all that the node is about."""
    chosen = {"run": so_far.run.folder.name, "split": so_far.split, "seeds": so_far.seeds, "prompt": prompt}
    return {_KEY: ({key: value for key, value in chosen.items() if value is not None},)}


def of_clips(clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The `ui` entry that plays clips: {"video": as `saved` gives it, and what is known of "dsr", "obeys", "reason",
    "best"} of each."""
    return {_KEY: ({"clips": [dict(clip) for clip in clips]},)}


def shrunk(picture: np.ndarray, count: int) -> np.ndarray:
    """Every second, third ... pixel, as many as the preview of a clip of `count` pictures needs. A copy."""
    longer, size = max(picture.shape[:2]), count * picture.size
    step = max(1, math.ceil(longer / _SIDE), math.ceil(math.sqrt(size / _MOST)))
    return picture[::step, ::step].copy()


def saved(pictures: Iterable[np.ndarray], fps: float) -> dict[str, Any] | None:
    """Where ComfyUI's /view finds the video; None where it cannot be written, which spoils no result."""
    name = f"{uuid.uuid4().hex[:16]}.mp4"
    try:
        write_video(Path(folder_paths.get_temp_directory()) / _FOLDER / name, np.stack(list(pictures)), fps)
    except SpatialAlignError as error:
        logging.warning("SpatialAlign: no preview: %s", error)
        return None
    return {"filename": name, "subfolder": _FOLDER, "type": "temp", "fps": fps}
