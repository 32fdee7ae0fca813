"""One video file, frame by frame, as a player shows it.

What files note beside their pictures is followed: how the camera was held, pixels that are not square, trimmed starts,
transparency. Interlaced fields stay woven, HDR is not tone-mapped, and where the time between frames varies, all stored
frames come and the rate is their average.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from . import animated
from .display import orientation, rgb, smaller_size, square_size, turned
from .errors import SpatialAlignError, is_out_of_memory

_SAME_SHAPE = 0.02  # difference of two ratios of width to height that still count as the same
_EXACT = 1e-6  # frames by which a computed time may be off
_FASTEST = 1000  # frames a second; a rate from here on is the clock of the file, not that of its frames
_WHOLE = 0.8  # share of the announced pictures from which a file counts as whole: players drop some in trimmed clips
_RUN_UP = 10  # seconds before a start from which to decode: some files have no index and are entered too late
_NO_VIDEOS = ("tty", "bin", "adf", "idf", "xbin")  # FFmpeg would draw the letters of a text
_STILL_BRANDS = ("avif", "heic", "heix", "mif1", "heim", "heis")
_DAMAGE = (
    *(av.error.FFmpegError, OSError, EOFError, ValueError),
    *(SyntaxError, LookupError, struct.error, zlib.error, Image.DecompressionBombError),  # Pillow's
)
"""What libraries raise for damaged files."""
_BESIDE = (
    "attached_pic",
    "timed_thumbnails",
    "still_image",
)  # covers and previews, which also are video streams


@dataclass(frozen=True)
class Part:
    """What to take of a file. start, duration: in seconds, a duration of 0 for all the rest. short_side: pixels of the
    shorter side at most, 0 for as large as it is shown."""

    start: float = 0.0
    duration: float = 0.0
    short_side: int = 0


WHOLE = Part()


@dataclass(frozen=True)
class Clip:
    """An open video file. fps: frames a second. count: how many frames there should be, 0 where nothing tells.
    frames: uint8 (H, W, 3) RGB each, all of one size; can be iterated once."""

    fps: float
    count: int
    frames: Iterator[np.ndarray]


@contextlib.contextmanager
def open_clip(source: str | Path | io.BytesIO, part: Part = WHOLE) -> Iterator[Clip]:
    """A video file, or the bytes of one. Also animated WebP, GIF and PNG.

    Never holds more than a few frames. SpatialAlignError naming the file, here or while frames are taken, when it is
    missing, empty, damaged, cut short, no video, or when the shape of its pictures changes.
    """
    place = Path(source) if isinstance(source, (str, Path)) else source
    name = str(place) if isinstance(place, Path) else "<bytes>"
    if isinstance(place, Path):
        if not place.is_file():
            raise SpatialAlignError(f"There is no video at {place}; check the path or make the video again.")
        if place.stat().st_size == 0:
            raise SpatialAlignError(f"The video {place} is empty (0 bytes); make or copy it again.")
    with contextlib.ExitStack() as stack:
        with _told(name):
            clip = _opened(stack, place, name, part)
        yield clip


def _opened(stack: contextlib.ExitStack, place: Path | io.BytesIO, name: str, part: Part) -> Clip:
    image = animated.opened(_source(place))
    if image is not None:
        stack.enter_context(image)
        if not animated.is_animated(image):
            raise SpatialAlignError(_picture(name))
        fps, repeats = animated.times(image)
        shown = _guarded(animated.frames(image, repeats), name)
        return _taken(shown, name, fps, sum(repeats), part)
    container = stack.enter_context(av.open(_source(place)))
    kind = container.format.name
    if kind == "image2" or kind.endswith("_pipe"):
        raise SpatialAlignError(_picture(name))
    stream = None if kind in _NO_VIDEOS else _moving(container, name)
    if stream is None:
        raise SpatialAlignError(
            f"The file {name} holds no pictures, only sound or data; choose a video file."
        )
    if stream.frames == 1 and container.metadata.get("major_brand") in _STILL_BRANDS:
        raise SpatialAlignError(_picture(name))
    rate = stream.average_rate or stream.guessed_rate
    count = stream.frames if stream.frames <= _size(place) else 0  # a damaged header may say anything
    if not count or not rate or rate >= _FASTEST:
        count, measured = _measured(_source(place), stream.index)
        rate = rate if rate and rate < _FASTEST else measured
    if not rate:
        raise SpatialAlignError(_damaged(name))
    fps = float(rate)
    if part.start or part.duration:
        left = max(0, count - int(part.start * fps))
        count = min(left, int(part.duration * fps) + 1) if part.duration else left
    return Clip(fps, count, _guarded(_shown(container, stream, name, part, fps), name))


def _moving(container: Any, name: str) -> Any | None:
    """The stream to watch: no cover picture, and of several the one that players choose."""
    found = [stream for stream in container.streams.video if not _is_beside(stream)]
    if not found:
        if container.streams.video and container.streams.audio:
            raise SpatialAlignError(
                f"The file {name} is sound with a cover picture, not a video; choose a video file."
            )
        return None
    best = container.streams.best("video")
    chosen = max(found, key=lambda each: (each.frames > 1, each is best, each.width * each.height))
    if chosen.codec_context is None:
        raise SpatialAlignError(
            f"The video {name} is in a format that cannot be decoded here; convert it to an mp4 with H.264."
        )
    return chosen


def _is_beside(stream: Any) -> bool:
    flags = stream.disposition
    return any(flags & getattr(type(flags), flag) for flag in _BESIDE)


def _measured(source: str | io.BytesIO, index: int) -> tuple[int, float]:
    """How many pictures a stream has, and how many a second, from its packets alone."""
    with av.open(source) as container:
        stream = container.streams[index]
        stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        known = [stamp for stamp in stamps if stamp is not None]
        span = float((max(known) - min(known)) * stream.time_base) if len(known) > 1 else 0.0
    return len(stamps), (len(known) - 1) / span if span > 0 else float(len(stamps) == 1)


def _shown(container: Any, stream: Any, name: str, part: Part, fps: float) -> Iterator[np.ndarray]:
    shape: tuple[int, int] | None = None  # width and height of every frame, upright
    begin, end = _span(stream, part)
    if begin is not None and part.start > _RUN_UP:
        with contextlib.suppress(av.error.FFmpegError):  # a raw stream is decoded from its start
            container.seek(begin - int(_RUN_UP / stream.time_base), stream=stream)
    seen = packets = last = 0
    for packet in container.demux(stream):
        packets += packet.size > 0
        for frame in packet.decode():
            if begin is not None and frame.pts is not None and frame.pts < begin:
                continue
            if end is not None and frame.pts is not None and frame.pts >= end and seen:
                return
            seen, last = seen + 1, frame.pts
            if frame.is_corrupt:
                raise SpatialAlignError(_damaged(name))
            size = square_size(frame.width, frame.height, stream.sample_aspect_ratio)
            turn = orientation(frame)
            upright = size[::-1] if turn[0] else size
            if shape is None:
                shape = smaller_size(*upright, part.short_side)
            elif abs(upright[0] * shape[1] / (upright[1] * shape[0]) - 1) > _SAME_SHAPE:
                raise SpatialAlignError(
                    f"The pictures of the video {name} change their shape: frame {seen} is {upright[0]} x "
                    f"{upright[1]}, those before it {shape[0]} x {shape[1]}; cut it into one video for each shape."
                )
            yield turned(rgb(frame, *(shape[::-1] if turn[0] else shape)), *turn)
    if not seen and part.start:
        raise SpatialAlignError(_ended(name, part))
    if not seen:
        raise SpatialAlignError(_damaged(name))
    wanted = _announced(container, stream, fps)
    there = max(packets, round(((last or 0) - (stream.start_time or 0)) * stream.time_base * fps) + 1)
    if there < _WHOLE * wanted and not part.start:
        raise SpatialAlignError(
            f"The video {name} is cut short: it should have {wanted} frames and has {there}; copy or make it again."
        )


def _span(stream: Any, part: Part) -> tuple[int | None, int | None]:
    """First timestamp to show, and the first no more; None for no limit."""
    if not part.start and not part.duration:
        return None, None
    begin = (stream.start_time or 0) + int(part.start / stream.time_base)
    return begin, begin + int(part.duration / stream.time_base) if part.duration else None


def _announced(container: Any, stream: Any, fps: float) -> int:
    """How many frames the file says that it holds; 0 where it does not."""
    if stream.frames or "matroska" not in container.format.name or len(container.streams) > 1:
        return int(stream.frames)
    return round((container.duration or 0) / av.time_base * fps)


def _taken(frames: Iterator[np.ndarray], name: str, fps: float, count: int, part: Part) -> Clip:
    """A part of an animation, whose frames are evenly spaced."""
    first = int(np.ceil(part.start * fps - _EXACT))
    last = min(count, int(np.ceil((part.start + part.duration) * fps - _EXACT))) if part.duration else count
    if first >= last:
        raise SpatialAlignError(_ended(name, part))
    chosen = (frame for index, frame in enumerate(frames) if first <= index < last)
    return Clip(fps, last - first, (_resized(frame, part.short_side) for frame in chosen))


def _resized(frame: np.ndarray, short_side: int) -> np.ndarray:
    width, height = smaller_size(frame.shape[1], frame.shape[0], short_side)
    if (height, width) == frame.shape[:2]:
        return frame
    return rgb(av.VideoFrame.from_ndarray(frame, format="rgb24"), width, height)


def _guarded(frames: Iterator[np.ndarray], name: str) -> Iterator[np.ndarray]:
    with _told(name):
        yield from frames


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Errors of the libraries below as sentences about the file."""
    try:
        yield
    except PermissionError as error:
        raise SpatialAlignError(f"The video {name} may not be read; change its permissions.") from error
    except _DAMAGE as error:
        if is_out_of_memory(error):
            raise
        raise SpatialAlignError(_damaged(name)) from error


def _source(place: Path | io.BytesIO) -> str | io.BytesIO:
    """What libraries open; bytes each time afresh, since every reader moves its own place in them."""
    return str(place) if isinstance(place, Path) else io.BytesIO(place.getvalue())


def _size(place: Path | io.BytesIO) -> int:
    """Of the file, in bytes."""
    return place.stat().st_size if isinstance(place, Path) else place.getbuffer().nbytes


def _ended(name: str, part: Part) -> str:
    return f"The video {name} ends before second {part.start:g}; choose an earlier start."


def _damaged(name: str) -> str:
    return f"The video {name} cannot be read, it is damaged or not a video; make or copy it again."


def _picture(name: str) -> str:
    return f"The file {name} is a single picture, not a video; choose a video file."
