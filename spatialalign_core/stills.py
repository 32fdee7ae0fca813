"""A video at a glance: its first, middle and last frame in one small picture."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from .video import read_stills

STILLS = 3
_TILE_WIDTH = 144
_KEPT = 2000  # strips; some 8 kB each


def strip_jpeg(video: Path) -> bytes:
    """`STILLS` frames side by side as a JPEG. Made once as long as the file stays the same. Errors as `read_video`."""
    try:
        stat = video.stat()
        state = (stat.st_mtime_ns, stat.st_size)
    except OSError:
        state = (0, 0)
    return _made(video, *state)


@lru_cache(maxsize=_KEPT)
def _made(video: Path, changed: int, size: int) -> bytes:
    frames = read_stills(video, STILLS)
    height = max(1, round(frames[0].shape[0] * _TILE_WIDTH / frames[0].shape[1]))
    tiles = [
        np.asarray(Image.fromarray(frame).resize((_TILE_WIDTH, height), Image.Resampling.LANCZOS))
        for frame in frames
    ]
    file = io.BytesIO()
    Image.fromarray(np.concatenate(tiles, axis=1)).save(file, "JPEG", quality=82)
    return file.getvalue()
