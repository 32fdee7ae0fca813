"""Videos come as players show them: upright, with square pixels, for as long as shown; what is no video is named."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from spatialalign_core import video
from spatialalign_core.detect.loading import load_detector
from spatialalign_core.detect.tracker import detect_track
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.pocket.world import render
from spatialalign_core.relations import RelationChange
from spatialalign_core.score import score_track
from spatialalign_core.stills import strip_jpeg
from spatialalign_core.video import read_stills, read_video, write_video
from spatialalign_core.video_file import Part, open_clip
from tests.video_files import animation, encode, hold, jpeg, song, song_in_mp4, video_with_cover

LT = RelationChange.parse("LT")


@cache
def upright() -> np.ndarray:
    """A fox that jumps onto a box, 18 frames of 192 x 288."""
    small = render("fox", "box", "in a meadow", LT, 3, 18).frames
    return small.repeat(3, axis=1).repeat(3, axis=2)


def score_of(frames: np.ndarray) -> float:
    score = score_track(detect_track(load_detector("sprites"), frames, "fox", "box"), LT)
    assert score.dsr is not None, score.reason
    return score.dsr


@cache
def upright_score() -> float:
    return score_of(upright())


def near(frames: np.ndarray, expected: np.ndarray, most: float = 4.0) -> bool:
    return frames.shape == expected.shape and np.abs(frames.astype(int) - expected).mean() < most


TURNS: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    # the track's matrix a b c d, and how the sensor saw the upright picture
    "quarter clockwise": ((0, 1, -1, 0), lambda picture: np.rot90(picture, 1)),
    "half": ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
    "quarter anticlockwise": ((0, -1, 1, 0), lambda picture: np.rot90(picture, -1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "upside down": ((1, 0, 0, -1), np.flipud),
    "mirrored, quarter": ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
    "mirrored, other quarter": ((0, -1, -1, 0), lambda picture: np.rot90(picture, 2).transpose(1, 0, 2)),
}


@pytest.mark.parametrize("name", TURNS)
def test_turned_clips(tmp_path: Path, name: str) -> None:
    matrix, seen = TURNS[name]
    path = hold(encode(tmp_path / "phone.mp4", [seen(each) for each in upright()]), *matrix)
    frames, _ = read_video(path)
    assert near(frames, upright())
    assert score_of(frames) == pytest.approx(upright_score(), abs=0.02)
    first, _, last = read_stills(path, 3)
    assert np.array_equal(first, frames[0]) and np.array_equal(last, frames[-1])
    if "mirrored" not in name and name != "upside down":  # ComfyUI's Load Video turns, but does not mirror
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            theirs = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation // 90))
        assert np.array_equal(theirs, frames[0])


def test_pictures_of_a_report_are_upright(tmp_path: Path) -> None:
    stored = [np.rot90(each, 1) for each in upright()]
    turned = hold(encode(tmp_path / "phone.mp4", stored), 0, 1, -1, 0)
    strip = np.asarray(Image.open(io.BytesIO(strip_jpeg(turned))))
    plain = np.asarray(Image.open(io.BytesIO(strip_jpeg(encode(tmp_path / "plain.mp4", upright())))))
    assert near(strip, plain)


@pytest.mark.parametrize(
    ("name", "codec", "ratio", "width", "height", "shown"),
    [
        ("dv.mp4", "libx264", Fraction(2), 144, 192, (192, 288)),
        ("dv.mkv", "libx264", Fraction(2), 144, 192, (192, 288)),
        ("dv.mov", "mpeg4", Fraction(3, 2), 192, 192, (192, 288)),
        ("dv.avi", "mpeg4", Fraction(4, 3), 216, 192, (192, 288)),
        ("high.mp4", "libx264", Fraction(1, 2), 288, 96, (192, 288)),
        ("rounded.mp4", "libx264", Fraction(1216, 1215), 288, 192, (192, 288)),
        ("square.mp4", "libx264", Fraction(1), 288, 192, (192, 288)),
        ("damaged.mp4", "libx264", Fraction(255, 1), 288, 192, (192, 288)),
    ],
)
def test_pixels_that_are_not_square(
    tmp_path: Path, name: str, codec: str, ratio: Fraction, width: int, height: int, shown: tuple[int, int]
) -> None:
    stored = [np.asarray(Image.fromarray(each).resize((width, height))) for each in upright()]
    frames, _ = read_video(encode(tmp_path / name, stored, codec=codec, ratio=ratio))
    assert frames.shape[1:3] == shown
    assert near(frames, upright(), 9)
    assert score_of(frames) == pytest.approx(upright_score(), abs=0.03)


def test_turned_and_not_square(tmp_path: Path) -> None:
    """The ratio is that of the stored pixels, before they are turned."""
    squeezed = [np.asarray(Image.fromarray(each).resize((288, 96))) for each in upright()]
    stored = [np.rot90(each, 1) for each in squeezed]
    path = hold(encode(tmp_path / "both.mp4", stored, ratio=Fraction(2)), 0, 1, -1, 0)
    assert near(read_video(path)[0], upright(), 9)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "libx264", "yuv420p"),
        ("a.m4v", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv444p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.mpg", "mpeg2video", "yuv420p"),
        ("a.mov", "mjpeg", "yuvj420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.mp4", "libx264", "yuv420p10le"),
    ],
)
def test_containers_and_pixels(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames, fps = read_video(encode(tmp_path / name, upright(), codec=codec, pixels=pixels, rate=25))
    assert near(frames, upright(), 7) and fps == pytest.approx(25)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"), [("clear.mov", "qtrle", "argb"), ("clear.mov", "png", "rgba")]
)
def test_transparency_is_black(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames = np.full((4, 32, 48, 4), 200, np.uint8)
    frames[..., :24, 3], frames[..., 24:, 3] = 0, 255
    read, _ = read_video(encode(tmp_path / name, frames, codec=codec, pixels=pixels))
    assert read[:, :, :24].max() == 0 and read[:, :, 24:].min() == 200


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".png", ".apng"])
def test_animated_pictures(tmp_path: Path, suffix: str) -> None:
    """Equal pictures in a row are stored once; they come back as often as they are shown."""
    still = np.concatenate([upright()[:1].repeat(4, 0), upright(), upright()[-1:].repeat(5, 0)])
    frames, fps = read_video(animation(tmp_path / f"clip{suffix}", still, 125))
    assert near(frames, still, 9) and fps == pytest.approx(8, abs=0.4)
    assert score_of(frames) == pytest.approx(score_of(still), abs=0.03)


def test_frames_of_different_durations(tmp_path: Path) -> None:
    levels = np.array([10, 60, 110, 160], np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (4, 16, 24, 3))
    read, fps = read_video(animation(tmp_path / "clip.webp", frames, [50, 100, 50, 250]))
    assert fps == 20
    assert read[:, 0, 0, 0].tolist() == [10, 60, 60, 110, *[160] * 5]


def test_frames_at_uneven_times(tmp_path: Path) -> None:
    """A phone's clip: every frame comes, and the rate is the average."""
    times = np.cumsum([0, *([30, 40, 33, 50] * 4), 47]).tolist()
    frames, fps = read_video(encode(tmp_path / "phone.mp4", upright(), times=times, rate=30))
    assert len(frames) == 18
    assert fps == pytest.approx(17000 / (times[-1] - times[0]), rel=0.08)


def test_a_later_size_of_the_same_shape_is_scaled_and_another_is_refused(tmp_path: Path) -> None:
    half = upright()[9:, ::2, ::2]
    for name, second in (("same", half), ("other", half[:, :, :96])):
        parts = [
            encode(tmp_path / f"{index}.h264", each) for index, each in enumerate((upright()[:9], second))
        ]
        (tmp_path / f"{name}.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _ = read_video(tmp_path / "same.h264")
    assert near(frames, upright(), 9)
    with pytest.raises(SpatialAlignError, match=r"frame 10 is 96 x 96, those before it 288 x 192"):
        read_video(tmp_path / "other.h264")


def _cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


NO_VIDEOS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "song with a cover": (lambda folder: song(folder / "a.mp3"), "sound with a cover picture"),
    "song with a cover in mp4": (lambda folder: song_in_mp4(folder / "a.m4a"), "sound with a cover picture"),
    "song": (lambda folder: song(folder / "a.mp3", cover=False), "no pictures, only sound"),
    "jpeg": (lambda folder: _bytes(folder / "a.jpg", jpeg()), "single picture"),
    "jpeg called mp4": (lambda folder: _bytes(folder / "a.mp4", jpeg()), "single picture"),
    "png": (lambda folder: _picture(folder / "a.png"), "single picture"),
    "gif": (lambda folder: _picture(folder / "a.gif"), "single picture"),
    "webp": (lambda folder: _picture(folder / "a.webp"), "single picture"),
    "bmp": (lambda folder: _picture(folder / "a.bmp"), "single picture"),
    "text": (lambda folder: _bytes(folder / "a.txt", b"hello\n" * 99), "no pictures"),
    "text called mp4": (lambda folder: _bytes(folder / "a.mp4", b"hello\n" * 99), "damaged or not a video"),
    "empty": (lambda folder: _bytes(folder / "a.mp4", b""), "empty"),
    "download that broke off": (
        lambda folder: _cut(encode(folder / "a.mp4", upright(), flags={"movflags": "faststart"}), 0.5),
        "damaged",
    ),
    "webm that broke off": (
        lambda folder: _cut(encode(folder / "a.webm", upright(), codec="libvpx"), 0.4),
        "cut short|damaged",
    ),
    "avi that broke off": (
        lambda folder: _cut(encode(folder / "a.avi", upright(), codec="mpeg4"), 0.4),
        "cut short|damaged",
    ),
    "gif that broke off": (lambda folder: _cut(animation(folder / "a.gif", upright(), 99), 0.5), "damaged"),
    "webp that broke off": (lambda folder: _cut(animation(folder / "a.webp", upright(), 99), 0.5), "damaged"),
}


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _picture(path: Path) -> Path:
    Image.fromarray(upright()[0]).save(path)
    return path


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_what_is_no_video_is_named(tmp_path: Path, name: str) -> None:
    make, words = NO_VIDEOS[name]
    path = make(tmp_path)
    with pytest.raises(SpatialAlignError, match=words) as caught:
        read_video(path)
    assert str(path) in str(caught.value)


def test_the_video_is_taken_and_not_its_cover(tmp_path: Path) -> None:
    assert near(read_video(video_with_cover(tmp_path / "a.mp4", upright()))[0], upright())


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "a.ts"])
def test_a_part_made_smaller(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("gif"):
        animation(path, upright(), 100)
    else:
        encode(path, upright(), codec="libvpx" if name.endswith("webm") else "libx264", rate=10)
    frames, fps = read_video(path, Part(start=0.5, duration=1.0, short_side=96))
    assert fps == 10 and near(frames, upright()[5:15, ::2, ::2], 14)
    with pytest.raises(SpatialAlignError, match="ends before second 9"):
        read_video(path, Part(start=9))


def test_bytes_in_memory(tmp_path: Path) -> None:
    for name, codec in (("a.mp4", "libx264"), ("a.webm", "libvpx")):
        path = encode(tmp_path / name, upright(), codec=codec)
        frames, fps = read_video(io.BytesIO(path.read_bytes()))
        assert fps == 8 and np.array_equal(frames, read_video(path)[0])


def test_errors_of_whoever_takes_the_frames_stay_theirs(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", upright())
    with pytest.raises(OSError, match="disk"), open_clip(path) as clip:
        for _ in clip.frames:
            raise OSError("disk")


def test_what_does_not_fit_into_the_memory_is_told_before_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "a.mp4", upright(), 8)
    monkeypatch.setattr(video, "free_host_memory", lambda: 1 << 20)
    monkeypatch.setattr(video, "_ALWAYS_TRIED", 1 << 20)
    with pytest.raises(SpatialAlignError, match=r"18 frames of 384 x 256|--short-side"):
        read_video(tmp_path / "a.mp4")
