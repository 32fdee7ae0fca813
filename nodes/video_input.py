"""Frames and rate of a connected VIDEO."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import InputImpl

from ..spatialalign_core.video import read_video, to_uint8_frames
from ..spatialalign_core.video_file import Part, open_clip


def frames_and_rate(video: Any) -> tuple[np.ndarray, float]:
    """Frames uint8 (F, H, W, 3) and frames a second.

    A file is read by the core, so that node and command line see the same: turned and mirrored as it notes,
    with square pixels, and a quarter of the memory that an IMAGE takes. SpatialAlignError as `read_video`.
    """
    file = _file(video)
    if file is not None:
        return read_video(*file)
    parts = video.get_components()
    return to_uint8_frames(parts.images), float(parts.frame_rate)


def rate(video: Any) -> float:
    """Frames a second, without decoding a file."""
    file = _file(video)
    if file is None:
        return float(video.get_components().frame_rate)
    with open_clip(*file) as clip:
        return clip.fps


def _file(video: Any) -> tuple[Any, Part] | None:
    """The file and the part of it that was chosen; None for a video of another kind, such as one made of images."""
    if (
        type(video) is not InputImpl.VideoFromFile
    ):  # what derives from it may give other frames than those of its file
        return None
    trimmed = getattr(
        video, "get_active_trim_window", None
    )  # newer than the oldest ComfyUI that is supported
    start, duration = trimmed() if trimmed is not None else (0.0, 0.0)
    return video.get_stream_source(), Part(start, duration)
