"""Video files: frames in, an mp4 that plays everywhere out, and back again."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from .errors import SpatialAlignError
from .files import atomic_path

SHORT_SIDE = 240
"""Clips with a smaller short side are enlarged when written: players blur tiny clips and yuv420p halves their
colour."""

_QUALITY = "12"  # x264's crf: visually lossless, so detectors see in the file what the model drew
_MOST_ANNOUNCED = 1 << 33  # bytes of pictures that a file's header is believed to hold
_BT709 = 1  # the number of BT.709 in matrix, primaries and transfer alike (ITU-T H.273)
_LIMITED_RANGE = 1


def write_video(path: str | Path, frames: np.ndarray, fps: float) -> None:
    """Write an H.264 (yuv420p) mp4, whole or not at all.

    frames: uint8 (F, H, W, 3) RGB, F >= 1. fps: frames a second, above 0. A clip whose short side is under
    `SHORT_SIDE` is enlarged by a whole factor without smoothing (64 x 96 becomes 256 x 384); odd sizes get
    one repeated row or column. ValueError for other shapes or types, SpatialAlignError when the place cannot
    be written.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(f"A video needs uint8 frames (F, H, W, 3), got {frames.dtype} {frames.shape}.")
    if not (math.isfinite(fps) and fps > 0):
        raise SpatialAlignError(
            f"A video needs more than 0 frames a second, got {fps}; set fps to 16, for example."
        )
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        height, width = _even(_enlarged(frames[0])).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": _QUALITY, "preset": "veryfast"}
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(_even(_enlarged(image))), format="rgb24")
            frame = frame.reformat(
                format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def read_video(path: str | Path) -> tuple[np.ndarray, float]:
    """All frames of a video file, uint8 (F, H, W, 3) RGB, and its frames a second.

    SpatialAlignError naming the file when it is missing, empty, damaged or holds no picture.
    """
    path = Path(path)
    if not path.is_file():
        raise SpatialAlignError(f"There is no video at {path}; check the path or make the video again.")
    if path.stat().st_size == 0:
        raise SpatialAlignError(f"The video {path} is empty (0 bytes); make or copy it again.")
    damaged = f"The video {path} cannot be read, it is damaged or not a video; make or copy it again."
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SpatialAlignError(
                    f"The file {path} holds no pictures, only sound or data; choose a video file."
                )
            stream = container.streams.video[0]
            frames = np.empty((0, 0, 0, 3), dtype=np.uint8)
            count = 0
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise SpatialAlignError(damaged)
                picture = frame.to_ndarray(format="rgb24")
                if count == len(frames):  # once only, where the file says how many there are
                    frames = _roomier(frames[:count], picture.shape, stream.frames)
                if picture.shape != frames.shape[1:]:
                    raise SpatialAlignError(damaged)
                frames[count] = picture
                count += 1
            fps = float(stream.average_rate or stream.guessed_rate or 0)
        if not count or fps <= 0:
            raise SpatialAlignError(damaged)
        return frames[:count], fps
    except PermissionError as error:
        raise SpatialAlignError(f"The video {path} may not be read; change its permissions.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SpatialAlignError(damaged) from error


def read_stills(path: str | Path, count: int) -> list[np.ndarray]:
    """So many frames of a video, evenly from the first to the last, uint8 (H, W, 3) each; fewer of a shorter one.

    Holds no more than these in memory where the file says how long it is. Errors as `read_video`.
    """
    path = Path(path)
    with contextlib.suppress(av.error.FFmpegError, OSError, ValueError), av.open(str(path)) as container:
        length = container.streams.video[0].frames if container.streams.video else 0
        wanted = _evenly(length, count)
        pictures = enumerate(container.decode(video=0)) if length else iter(())
        found = [frame.to_ndarray(format="rgb24") for index, frame in pictures if index in wanted]
        if length and len(found) == len(wanted):
            return found
    frames, _ = read_video(path)  # which also says what is wrong with it
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


def _roomier(frames: np.ndarray, shape: tuple[int, ...], announced: int) -> np.ndarray:
    """The same frames with room for more: as many as the file announces, or half as many again.

    A list of pictures and the array made of it would hold a long clip twice.
    """
    believable = announced if announced * math.prod(shape) <= _MOST_ANNOUNCED else 0
    larger = np.empty((max(believable, len(frames) * 3 // 2, len(frames) + 16), *shape), dtype=np.uint8)
    larger[: len(frames)] = frames if len(frames) else 0
    return larger


def _enlarged(image: np.ndarray) -> np.ndarray:
    short = min(image.shape[:2])
    factor = 1 if short >= SHORT_SIDE else math.ceil(SHORT_SIDE / short)
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _even(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
