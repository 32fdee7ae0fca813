"""`collect` with files, folders and patterns: what is taken, what is told, and how much memory it needs."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialalign_core.cli import main
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.run import Run
from spatialalign_core.run.samples import sample_metadata
from spatialalign_core.sentence import parse_sentence
from spatialalign_core.video import read_video, write_video
from spatialalign_core.video_sources import find_videos
from tests.video_files import animation, encode, hold

SENTENCE = "a cat is on the left of a box, then it jumps on top of the box"


def prompt() -> DsrPrompt:
    parsed = parse_sentence(SENTENCE).prompt
    assert parsed is not None
    return parsed


def clip(level: int, height: int = 48, width: int = 64, frames: int = 3) -> np.ndarray:
    return np.full((frames, height, width, 3), level, np.uint8)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder such as people have, and the current folder above it."""
    folder = tmp_path / "clips"
    (folder / "older").mkdir(parents=True)
    for index, name in enumerate(("clip10.mp4", "clip2.MP4", "Clip1.mp4", "older/clip3.mp4", "b[1].mp4")):
        write_video(folder / name, clip(index * 20), 8)
    animation(folder / "wave.webp", np.concatenate([clip(9), clip(90)]), 125)
    Image.fromarray(clip(0)[0]).save(folder / "still.webp")
    Image.fromarray(clip(0)[0]).save(folder / "workflow.png")
    (folder / "notes.txt").write_text("hello")
    (folder / "._clip2.MP4").write_bytes(b"\0\5\x16\7")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return folder


ALL = ["b[1].mp4", "Clip1.mp4", "clip2.MP4", "clip10.mp4", "wave.webp"]


@pytest.mark.parametrize(
    ("named", "names"),
    [
        (["clips"], ALL),
        (["clips/"], ALL),
        (["clips/*"], ALL),
        (["clips/c*.mp4"], ["clip10.mp4"] if os.name != "nt" else ["Clip1.mp4", "clip2.MP4", "clip10.mp4"]),
        (["clips/**/*.mp4"], ["b[1].mp4", "Clip1.mp4", "clip10.mp4", "clip3.mp4"]),
        (["clips/clip10.mp4", "clips/Clip1.mp4"], ["clip10.mp4", "Clip1.mp4"]),
        (["clips/b[1].mp4"], ["b[1].mp4"]),
        (["clips/wave.webp", "clips"], ["wave.webp", *ALL[:-1]]),
        (["clips/notes.txt"], ["notes.txt"]),
        (["clips/*.txt"], ["notes.txt"]),
        (["clips/older", "clips/clip10.mp4"], ["clip3.mp4", "clip10.mp4"]),
    ],
)
def test_what_is_meant(clips: Path, named: list[str], names: list[str]) -> None:
    assert [path.name for path in find_videos(map(Path, named)).videos] == names


def test_what_is_skipped_is_told(clips: Path) -> None:
    assert list(find_videos([clips, clips / "clip10.mp4"]).skipped) == [
        f"Skipped in {clips}, no videos by their names: ._clip2.MP4, notes.txt.",
        f"Skipped in {clips}, single pictures: still.webp, workflow.png.",
        f"Skipped in {clips}, folders within it (name them too to take theirs): older.",
        "Taken once though named twice: clip10.mp4.",
    ]
    for index in range(9):
        (clips / f"{index}.json").touch()
    assert "0.json, 1.json, 2.json, 3.json, 4.json and 6 more." in find_videos([clips]).skipped[0]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("clips/none.mp4", "no video at clips/none.mp4"),
        ("clips/*.mkv", r"No file matches 'clips/\*.mkv'"),
        ("clips/*.json", "No file matches"),
        ("clips/st*", "no videos in 'clips/st"),
        ("empty", "no videos in empty"),
    ],
)
def test_nothing_to_take(clips: Path, named: str, words: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(SpatialAlignError, match=words):
        find_videos([Path(named)])


@pytest.mark.parametrize("named", ["clips", "clips/*", "~/clips/*", "'~/clips'", "~/clips"])
def test_a_folder_is_collected(clips: Path, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    for outcome in ("new", "there already"):
        assert main(["collect", "run", named, "--seed", "4", "--sentence", SENTENCE]) == 0
        text = capsys.readouterr()
        lines = [Path(line).name for line in text.out.splitlines()]
        assert lines == [f"{seed}.mp4: {outcome}" for seed in range(4, 9)]
        assert "notes.txt" in text.err and "Seed 7: " in text.err and "clip10.mp4" in text.err


def test_one_that_cannot_be_read_is_told_and_the_others_are_taken(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (clips / "clip2.MP4").read_bytes()
    (clips / "clip2.MP4").write_bytes(whole[: len(whole) // 2])
    encode(clips / "one.mkv", clip(7, frames=1))
    command = ["collect", "run", "clips", "--sentence", SENTENCE]
    assert main(command) == 2
    text = capsys.readouterr()
    assert [Path(line).name for line in text.out.splitlines()] == [f"{n}.mp4: new" for n in (0, 1, 3, 5)]
    assert "Not collected: The video clips/clip2.MP4 cannot be read" in text.err
    assert "one.mkv has only one frame" in text.err
    assert "Error: 2 of 6 videos were not collected" in text.err
    (clips / "clip2.MP4").write_bytes(whole)
    (clips / "one.mkv").unlink()
    assert main(command) == 0
    assert "2.mp4: new" in capsys.readouterr().out


def test_a_bad_video_leaves_no_run(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "run", "clips/notes.txt", "--sentence", SENTENCE]) == 2
    assert "clips/notes.txt cannot be read, it is damaged or not a video" in capsys.readouterr().err
    assert not list(Path("run").rglob("*.mp4")) and not Path("run/prompts.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--start -1", "--start must be"),
        ("--duration nan", "--duration must be"),
        ("--short-side 3", "--short-side must be at least 16"),
        ("--start 99", "ends before second 99"),
    ],
)
def test_impossible_parts(clips: Path, capsys: pytest.CaptureFixture[str], options: str, words: str) -> None:
    assert main(["collect", "run", "clips/wave.webp", *options.split(), "--sentence", SENTENCE]) == 2
    assert words in capsys.readouterr().err


def test_a_part_is_collected_as_it_is_shown(tmp_path: Path) -> None:
    """Turned by its matrix, one second of it, half as large; another part of the same file is another video."""
    frames = np.concatenate([clip(level, 480, 640, 8) for level in (40, 120, 200)])
    path = hold(encode(tmp_path / "phone.mov", [np.rot90(each) for each in frames]), 0, 1, -1, 0)
    command = [
        "collect",
        str(tmp_path / "run"),
        str(path),
        "--sentence",
        SENTENCE,
        "--start",
        "1",
        "--duration",
    ]
    assert main([*command, "1", "--short-side", "240"]) == 0
    run = Run(tmp_path / "run")
    video = run.video_path("base", run.prompts()[0].id, 0)
    read, fps = read_video(video)
    assert (read.shape, fps) == ((8, 240, 320, 3), 8) and abs(read.mean() - 120) < 8
    settings = json.loads(sample_metadata(video)["settings"])
    assert settings == {"height": 240, "width": 320, "num_frames": 8, "fps": 8.0}
    assert main([*command, "2", "--short-side", "240"]) == 0
    assert len(read_video(video)[0]) == 16


def test_the_same_frames_are_known_whatever_brought_them(tmp_path: Path) -> None:
    """Those of an earlier version and of the node, which have no file to be known by, too."""
    write_video(tmp_path / "a.mp4", clip(50), 8)
    frames, fps = read_video(tmp_path / "a.mp4")
    run = Run(tmp_path / "run")
    assert run.collect(prompt(), 1, frames, fps) == "new"
    video = run.video_path("base", prompt().id, 1)
    before = video.stat().st_mtime_ns
    assert run.collect_file(prompt(), 1, tmp_path / "a.mp4") == "there already"
    assert run.collect(prompt(), 1, frames, fps) == "there already"
    assert video.stat().st_mtime_ns == before
    assert sorted(each.suffix for each in video.parent.iterdir()) == [".mp4", ".safetensors"]


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    """120 frames of 640 x 480 are 105 MiB of pictures."""
    frames = [clip(index % 250, 480, 640, 1)[0] for index in range(120)]
    path = encode(tmp_path / "long.mkv", frames, options={"preset": "ultrafast"})
    tracemalloc.start()
    try:
        assert Run(tmp_path / "run").collect_file(prompt(), 0, path) == "new"
        assert tracemalloc.get_traced_memory()[1] < 30 * 2**20
    finally:
        tracemalloc.stop()
