"""The command line: what it prints, its exit codes, and one sentence for every mistake."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from spatialalign_core.cli import VERBS, main, verbs
from spatialalign_core.cli.console import Console
from spatialalign_core.progress import Progress
from spatialalign_core.video import write_video

CASES = {
    "cases": [
        {
            "id": name,
            "relation": "LR",
            "subject": "cat",
            "object": "box",
            "frames": [
                {"frame": n, "boxes": {"cat": [x, 0, x + 10, 10], "box": [100, 0, 110, 10]}}
                for n, x in enumerate(range(50, 50 + 100 * frames // 24, 4))
            ],
        }
        for name, frames in (("walks", 24), ("short", 6))
    ]
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with three prompts."""
    assert main(["prompts", str(tmp_path / "run"), "--count", "2", "--held-out", "1"]) == 0
    return tmp_path / "run"


@pytest.mark.parametrize("arguments", [[], *([verb] for verb in VERBS)])
def test_help_teaches(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert "Examples:" in text if arguments else all(verb in text for verb in VERBS)


def test_prompts_are_made_and_imported(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts", str(tmp_path / "copy"), "--file", str(run / "prompts.csv")]) == 0
    text = capsys.readouterr().out
    assert "2 train, 1 held_out" in text and "then the" in text
    assert (tmp_path / "copy/prompts.csv").read_bytes() == (run / "prompts.csv").read_bytes()


def test_videos_are_collected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = [tmp_path / f"{name}.mp4" for name in "ab"]
    for level, video in enumerate(videos):
        write_video(video, np.full((3, 256, 384, 3), level, np.uint8), 6.0)
    sentence = "a cat is on the left of a box, then it jumps on top of the box"
    command = ["collect", str(tmp_path / "run"), *map(str, videos), "--seed", "3", "--sentence"]
    for outcome in ("new", "there already"):
        assert main([*command, sentence]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.rsplit("/", 1)[1] for line in lines] == [f"3.mp4: {outcome}", f"4.mp4: {outcome}"]
    assert main([*command, "a cat sits there"]) == 2
    assert "Error: " in capsys.readouterr().err


def test_score_file_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(CASES))
    assert main(["score", str(path), "--json"]) == 0
    walks, short = json.loads(capsys.readouterr().out)
    assert list(walks) == [
        *(
            "id",
            "valid",
            "reason",
            "dsr",
            "initial_ssr",
            "final_ssr",
            "initial_gap",
            "final_gap",
            "scored_frames",
            "missed",
            "obeys",
        )
    ]
    assert walks["id"] == "walks" and walks["valid"] and walks["dsr"] > 0.9
    assert (walks["obeys"], short["obeys"]) == (True, False)
    assert not short["valid"] and short["dsr"] is None and "20" in short["reason"]
    assert main(["score", str(path)]) == 0
    said = capsys.readouterr().out
    assert "short\tINVALID" in said and "\tobeys\n" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "required: VERB"),
        ("dance", "invalid choice: 'dance'"),
        ("generate", "required: RUN"),
        ("generate {empty} --seeds many", "invalid int value: 'many'"),
        ("generate {empty}", "There are no prompts in"),
        ("generate {run} --model nowhere", "There is no model folder nowhere"),
        ("generate {run} --split elsewhere", "no prompts in the split"),
        ("detect {run}", "There are no base videos"),
        ("detect {run} --detector eyes", "no detector called 'eyes'"),
        ("detect {run} --set ../../etc", "cannot name a set"),
        ("score {run}", "run detect first"),
        ("score {empty}/none.json --json", "Cannot read the score file"),
        ("score {broken} --json", "not valid JSON"),
        ("pairs {run}", "score the videos first"),
        ("pairs {run} --threshold 7", "threshold must lie between 0 and 1"),
        ("train {run}", "There are no exported pairs"),
        ("train {run} --preset best", "There is no preset 'best'"),
        ("train {run} --lr 0", "--lr must be above 0"),
        ("train {run} --name ../evil", "cannot name a LoRA"),
        ("evaluate {run}", "score the videos first"),
        ("quickstart --run {run} --seeds 0", "held out seeds must be at least 1"),
        ("quickstart --run {run} --model nowhere", "There is no model folder nowhere"),
        ("quickstart --run {broken}", "is a file, but a run is a folder"),
        ("prompts {run} --changes LX", "Unknown relation change 'LX'"),
        ("prompts {run} --subjects ,", "subjects"),
        ("prompts {run} --count 0", "at least one prompt"),
        ("prompts {run} --file {empty}/none.csv", "none.csv"),
        ("prompts {broken}/run --count 1", "is a file, but a run is a folder"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: str, words: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("{")
    before = (run / "prompts.csv").read_bytes()
    capsys.readouterr()
    code = main(arguments.format(run=run, empty=tmp_path / "empty", broken=broken).split())
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert last.startswith("Error: ") and words in last
    assert (run / "prompts.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "The memory is full."),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes"),
            "The memory is full.",
        ),
        (ImportError("x.so: failed to map segment from shared object"), "The libraries do not fit"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "The memory is full."),
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b.csv"),
            "/a/b.csv: the disk is full; free some space",
        ),
        (
            OSError(errno.EIO, "Input/output error", "/a/b.csv"),
            "/a/b.csv: Input/output error. What is done is kept.",
        ),
    ],
)
def test_what_the_system_refuses_gets_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, words: str
) -> None:
    def score(options: object) -> None:
        raise error

    monkeypatch.setitem(VERBS, "score", score)
    assert main(["score", "x"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Error: {words}") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ("generate RUN --seeds 1", "a smaller --batch or --workers 1"),
        ("collect RUN a.mp4 --sentence x", "a smaller --short-side"),
        ("detect RUN --workers ray", "shorter or smaller videos"),
        ("score x", "shorter or smaller videos"),
    ],
)
def test_full_memory_advises_options_that_the_verb_has(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, advice: str
) -> None:
    verb = command.split()[0]

    def full(options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(verbs, verb, full)
    monkeypatch.setitem(VERBS, verb, full)
    assert main(command.split()) == 2
    assert f"Use {advice}, or close" in capsys.readouterr().err


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(options: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setitem(VERBS, "score", score)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["score", "x"])


@pytest.fixture
def full() -> Iterator[IO[str]]:
    """A file on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with contextlib.suppress(OSError), open("/dev/full", "w", encoding="utf-8") as file:  # of the last flush
        yield file


@pytest.mark.parametrize("cases", [1, 400])  # what fits into the buffer, and what does not
def test_results_that_cannot_be_printed(
    tmp_path: Path,
    full: IO[str],
    cases: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [CASES["cases"][0] | {"id": str(n)} for n in range(cases)]}))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        assert main(["score", str(path), "--json"]) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error.startswith("Error: ") and "the disk is full" in error and "is done is kept" in error


def test_a_log_on_a_full_disk_stops_nothing(full: IO[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", full)
    news = [Progress("train", 1, 2, "hot", warning=True), Progress("train", 2, 2, "done")]
    assert Console().show(iter(news)) == news[-1]
    assert main(["dance"]) == 2
