"""The chart of a score on its node: values for the browser, and a small video in ComfyUI's temp folder beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..spatialalign_core.relations import RelationChange
from ..spatialalign_core.score import Score
from ..spatialalign_core.score_view import score_view
from ..spatialalign_core.tracks import Track
from .previews import FPS, saved
from .video_input import rate

_KEY = "spatialalign_score"


def chart_of(
    pictures: Iterable[np.ndarray],
    track: Track,
    change: RelationChange | None = None,
    score: Score | None = None,
    fps: float | None = None,
) -> dict[str, Any]:
    """The `ui` entry of a node; see `score_view`. pictures: the track's frames as the preview shows them, `shrunk`."""
    return {_KEY: ({**score_view(track, change, score), "video": saved(pictures, fps or FPS)},)}


def rate_of(video: Any | None) -> float | None:
    """Frames a second of a connected video."""
    return None if video is None else rate(video)
