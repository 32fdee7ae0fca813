"""Video files: frames in, an mp4 that plays everywhere out, and back again."""

from __future__ import annotations

import contextlib
import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from .errors import SpatialAlignError
from .files import atomic_path
from .host_memory import free_host_memory
from .video_file import WHOLE, Part, open_clip

SHORT_SIDE = 240
"""Clips with a smaller short side are enlarged when written: players blur tiny clips and yuv420p halves their
colour."""

_QUALITY = "12"  # x264's crf: visually lossless, so detectors see in the file what the model drew
_ALWAYS_TRIED = 1 << 28  # bytes that are asked for without a look at what is free
_BT709 = 1  # the number of BT.709 in matrix, primaries and transfer alike (ITU-T H.273)
_LIMITED_RANGE = 1


def write_video(path: str | Path, frames: np.ndarray, fps: float) -> None:
    """Write an H.264 (yuv420p) mp4, whole or not at all; see `VideoWriter`.

    frames: uint8 (F, H, W, 3) RGB, F >= 1. ValueError for other shapes or types, SpatialAlignError when the place
    cannot be written.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"A video needs uint8 frames (F, H, W, 3), got {frames.dtype} {frames.shape}.")
    check_rate(fps)
    with atomic_path(path) as temporary, VideoWriter(temporary, fps) as writer:
        for image in frames:
            writer.add(image)


def check_rate(fps: float) -> None:
    """SpatialAlignError for an impossible number of frames a second."""
    if not (math.isfinite(fps) and fps > 0):
        raise SpatialAlignError(
            f"A video needs more than 0 frames a second, got {fps}; set fps to 16, for example."
        )


class VideoWriter(contextlib.AbstractContextManager["VideoWriter"]):
    """Writes an mp4 frame by frame.

    fps: frames a second, above 0. A clip whose short side is under `SHORT_SIDE` is enlarged by a whole factor without
    smoothing (64 x 96 becomes 256 x 384); odd sizes get one repeated row or column.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._container: Any = av.open(str(path), "w", format="mp4")
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        self._begun = False

    def add(self, image: np.ndarray) -> None:
        """The next frame, uint8 (H, W, 3) RGB, of the same size as the first."""
        picture = np.ascontiguousarray(_even(_enlarged(image)))
        if not self._begun:
            self._begin(*picture.shape[:2])
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self._container.mux(self._stream.encode(frame))

    def _begin(self, height: int, width: int) -> None:
        stream, self._begun = self._stream, True
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": _QUALITY, "preset": "veryfast"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        try:
            if kind is None and self._begun:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def read_video(source: str | Path | io.BytesIO, part: Part = WHOLE) -> tuple[np.ndarray, float]:
    """All frames of a video file as it is shown, uint8 (F, H, W, 3) RGB, and its frames a second.

    Errors as `open_clip`; also SpatialAlignError when the frames do not fit into the memory.
    """
    with open_clip(source, part) as clip:
        frames, count = np.empty((0, 0, 0, 3), dtype=np.uint8), 0
        for picture in clip.frames:
            if count == len(frames):  # once only, where the file says how many there are
                frames = _roomier(frames[:count], picture.shape, clip.count, source)
            frames[count] = picture
            count += 1
        return frames[:count], clip.fps


def read_stills(path: str | Path, count: int) -> list[np.ndarray]:
    """So many frames of a video, evenly from the first to the last, uint8 (H, W, 3) each; fewer of a shorter one.

    Holds no more than these in memory where the file says how long it is. Errors as `read_video`.
    """
    with open_clip(path) as clip:
        wanted = _evenly(clip.count, count)
        pictures = enumerate(clip.frames) if clip.count else iter(())
        found = [picture.copy() for index, picture in pictures if index in wanted]
        if clip.count and len(found) == len(wanted):
            return found
    frames, _ = read_video(path)
    return [frames[index] for index in sorted(_evenly(len(frames), count))]


def _evenly(length: int, count: int) -> set[int]:
    return {round(number) for number in np.linspace(0, max(length - 1, 0), count)}


def to_uint8_frames(images: Any) -> np.ndarray:
    """Pictures as frames for `write_video` and the detectors: uint8 (F, H, W, 3).

    images: a tensor or array (F, H, W, C) with C = 3 or 4 (transparency is dropped), float in 0..1 as a
    ComfyUI IMAGE or uint8 as it is. Values outside 0..1 are clipped, NaN becomes black.
    """
    if hasattr(images, "detach"):  # a tensor; bfloat16 has no NumPy type
        images = images.detach().cpu()
        images = (images.float() if images.is_floating_point() else images).numpy()
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[-1] not in (3, 4) or array.shape[0] == 0:
        raise SpatialAlignError(
            f"Pictures must have the shape (frames, height, width, 3), got {tuple(array.shape)};"
            " connect an IMAGE batch."
        )
    array = array[..., :3]
    if array.dtype == np.uint8:
        return array
    return np.rint(np.clip(np.nan_to_num(array, nan=0.0), 0.0, 1.0) * 255).astype(np.uint8)


def _roomier(frames: np.ndarray, shape: tuple[int, ...], announced: int, source: object) -> np.ndarray:
    """The same frames with room for more: as many as the file announces, or half as many again.

    A list of pictures and the array made of it would hold a long clip twice.
    """
    count = max(announced, len(frames) * 3 // 2, len(frames) + 16)
    needed, free = count * math.prod(shape), free_host_memory()
    if needed > max(free, _ALWAYS_TRIED):
        raise SpatialAlignError(
            f"The video {source} does not fit into the memory: its {count} frames of {shape[1]} x {shape[0]} need "
            f"{needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free. Take a part of it or a smaller copy: "
            "`collect` on the command line has --start, --duration and --short-side."
        )
    larger = np.empty((count, *shape), dtype=np.uint8)
    larger[: len(frames)] = frames if len(frames) else 0
    return larger


def _enlarged(image: np.ndarray) -> np.ndarray:
    short = min(image.shape[:2])
    factor = 1 if short >= SHORT_SIDE else math.ceil(SHORT_SIDE / short)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _even(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
