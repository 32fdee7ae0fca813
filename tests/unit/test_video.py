"""Videos come back as they were written; damaged ones are named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.video import read_video, to_uint8_frames, write_video


def moving_square(frames: int, height: int, width: int) -> np.ndarray:
    video = np.full((frames, height, width, 3), (120, 180, 90), np.uint8)
    for index in range(frames):
        left = index * width // (2 * frames)
        video[index, height // 4 : height // 2, left : left + width // 4] = (230, 40, 30)
    return video


@pytest.mark.parametrize(
    ("frames", "size", "written"),
    [
        (5, (64, 96), (256, 384)),
        (1, (64, 96), (256, 384)),
        (3, (240, 320), (240, 320)),
        (2, (241, 301), (242, 302)),
        (2, (239, 500), (478, 1000)),
        (2, (5, 7), (240, 336)),
    ],
)
def test_round_trip(tmp_path: Path, frames: int, size: tuple[int, int], written: tuple[int, int]) -> None:
    video = moving_square(frames, *size)
    write_video(tmp_path / "clip.mp4", video, 8)
    read, fps = read_video(tmp_path / "clip.mp4")
    assert (read.dtype, read.shape, fps) == (np.uint8, (frames, *written, 3), 8)
    factor = max(1, written[0] // size[0])
    large = video.repeat(factor, axis=1).repeat(factor, axis=2)
    difference = np.abs(read[:, : large.shape[1], : large.shape[2]].astype(int) - large)
    assert difference.mean() < 4
    assert os.listdir(tmp_path) == ["clip.mp4"]


@pytest.mark.parametrize("frames", [1, 16, 17, 40])
def test_a_file_that_does_not_say_how_many_frames_it_has(tmp_path: Path, frames: int) -> None:
    """A Matroska file; room for its frames is made while it is read."""
    import av

    write_video(tmp_path / "clip.mp4", moving_square(frames, 64, 64), 8)
    with av.open(str(tmp_path / "clip.mp4")) as source, av.open(str(tmp_path / "clip.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(tmp_path / "clip.mkv")) as file:
        assert file.streams.video[0].frames == 0
    ours, theirs = read_video(tmp_path / "clip.mkv")[0], read_video(tmp_path / "clip.mp4")[0]
    assert len(ours) == frames and np.array_equal(ours, theirs)


@pytest.mark.parametrize("fps", [1, 8, 16.0, 23.976, 29.97, 60])
def test_frames_a_second(tmp_path: Path, fps: float) -> None:
    write_video(tmp_path / "clip.mp4", moving_square(3, 64, 64), fps)
    assert read_video(tmp_path / "clip.mp4")[1] == pytest.approx(fps, abs=0.01)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_frames_a_second(tmp_path: Path, fps: float) -> None:
    with pytest.raises(SpatialAlignError, match="fps"):
        write_video(tmp_path / "clip.mp4", moving_square(1, 64, 64), fps)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3)),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 4), np.uint8),
    ],
    ids=["no frames", "floats", "one picture", "transparency"],
)
def test_wrong_frames(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        write_video(tmp_path / "clip.mp4", frames, 8)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "empty"),
        (lambda data: b"this is no video" * 20, "damaged"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: data[:10], "damaged"),
        (lambda data: data[:600] + bytes(byte ^ 255 for byte in data[600:1200]) + data[1200:], "damaged"),
    ],
    ids=["empty", "garbage", "half", "ten bytes", "bytes flipped"],
)
def test_damaged_files_are_named(tmp_path: Path, damage: Callable[[bytes], bytes], words: str) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8), 8)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SpatialAlignError, match=words) as caught:
        read_video(path)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.mp4", tmp_path):
        with pytest.raises(SpatialAlignError, match="no video"):
            read_video(path)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (torch.tensor([0.0, 0.5, 1.0]), [0, 128, 255]),
        (torch.tensor([-1.0, 2.0, float("nan")]), [0, 255, 0]),
        (torch.tensor([0.0, 0.5, 1.0], dtype=torch.bfloat16), [0, 128, 255]),
        (torch.tensor([1, 2, 3], dtype=torch.uint8), [1, 2, 3]),
        (torch.tensor([0.0, 0.5, 1.0, 0.3]), [0, 128, 255]),
        (np.array([0.0, 0.25, 1.0]), [0, 64, 255]),
    ],
    ids=["float", "out of range", "bfloat16", "uint8", "transparency", "array"],
)
def test_pictures_become_frames(images: torch.Tensor | np.ndarray, expected: list[int]) -> None:
    frames = to_uint8_frames(images.reshape(1, 1, 1, -1))
    assert frames.dtype == np.uint8
    assert frames.reshape(-1).tolist() == expected


@pytest.mark.parametrize("shape", [(4, 4, 3), (0, 4, 4, 3), (1, 4, 4, 1), (1, 3, 4, 4, 3)])
def test_other_shapes_are_explained(shape: tuple[int, ...]) -> None:
    with pytest.raises(SpatialAlignError, match="IMAGE batch"):
        to_uint8_frames(torch.zeros(shape))
