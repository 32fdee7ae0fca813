"""Video files as cameras, programs and nodes leave them, made with what the pack requires."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

ONE = 1 << 16


def encode(
    path: Path,
    frames: list[np.ndarray] | np.ndarray,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    rate: Fraction | int = 8,
    ratio: Fraction | None = None,
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    flags: dict[str, str] | None = None,
) -> Path:
    """A file with one video stream. ratio: width of a pixel over its height. times: milliseconds at which frames are
    shown. options: of the codec; flags: of the container."""
    with av.open(str(path), "w", options=flags or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.options = {"crf": "10", **(options or {})} if codec == "libx264" else (options or {})
        if codec != "libx264" and not options:
            stream.bit_rate = 4_000_000
        if ratio is not None:
            stream.codec_context.sample_aspect_ratio = ratio
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, picture in enumerate(frames):
            kind = "rgba" if picture.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=kind)
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def hold(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Note in an mp4 how it is to be turned: the matrix of its track (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") - 4 + 48
    data[matrix : matrix + 36] = struct.pack(">9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 20)).save(file, "JPEG")
    return file.getvalue()


def _silence(container: Any, stream: Any) -> None:
    for _ in range(20):
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        sound.sample_rate = 44100
        container.mux(stream.encode(sound))
    container.mux(stream.encode(None))


def song(path: Path, cover: bool = True) -> Path:
    """An mp3, with a cover picture in its ID3 tag."""
    with av.open(str(path), "w", format="mp3") as container:
        _silence(container, container.add_stream("libmp3lame", rate=44100))
    if cover:
        body = b"\0image/jpeg\0\x03\0" + jpeg()
        frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
        size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
        path.write_bytes(b"ID3\x03\0\0" + size + frame + path.read_bytes())
    return path


def animation(path: Path, frames: np.ndarray, durations: int | list[int], **more: Any) -> Path:
    """An animated WebP, GIF or PNG, as ComfyUI's Save Animated nodes write it."""
    images = [Image.fromarray(frame) for frame in frames]
    options: dict[str, Any] = {"lossless": True} if path.suffix == ".webp" else {}
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options, **more)
    return path


def _cover(container: Any) -> Any:
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    stream.disposition = Disposition.attached_pic.value  # PyAV 14 wants the number
    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    return stream.encode(picture) + stream.encode(None)


def song_in_mp4(path: Path) -> Path:
    """An m4a with a cover picture."""
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=44100)
        cover = _cover(container)
        _silence(container, sound)
        container.mux(cover)
    return path


def video_with_cover(path: Path, frames: np.ndarray) -> Path:
    """An mp4 whose first video stream is its cover picture."""
    with av.open(str(path), "w", format="mp4") as container:
        cover = _cover(container)
        stream: Any = container.add_stream("libx264", rate=8)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        container.mux(cover)
    return path
