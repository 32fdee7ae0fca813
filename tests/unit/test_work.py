"""Where a run stands: what each stage notes of itself, and what a panel makes of it in every state."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spatialalign_core.errors import SpatialAlignError, StopRequested
from spatialalign_core.progress import Progress
from spatialalign_core.run import Run, work
from spatialalign_core.run.control import Health
from spatialalign_core.run.listing import list_runs
from spatialalign_core.run.lock import locked
from spatialalign_core.run.training_view import training_view
from spatialalign_core.run.work import Pace, followed, is_working, step_of
from spatialalign_core.run.work_view import NEXT, work_now, work_view
from tests.made_runs import made_prompt, make_run

Stage = Iterator[Progress]
STAGES = {"videos": "generate", "tracks": "detect", "scores": "score", "pairs": "pairs", "rounds": "rounds"}


@pytest.fixture(autouse=True)
def every_item_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_OFTEN", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two training prompts and one that is held out."""
    made = Run(tmp_path / "night")
    made.write_prompts([made_prompt("a"), made_prompt("b"), made_prompt("c", "held_out")])
    return made


def generate(run: Run, total: int = 4, set: str = "base", prompts: str = "ab") -> Stage:
    yield Progress("generate", 0, total)
    for number in range(total):
        path = run.video_path(set, prompts[number % len(prompts)], number // len(prompts))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"video")
        yield Progress("generate", number + 1, total, f"video {number}", path=path)


def plain(stage: str, total: int = 4) -> Stage:
    for number in range(total + 1):
        yield Progress(stage, number, total, f"{stage} {number}")


def train(run: Run, total: int = 10, state: str = "training", look: bool = False) -> Stage:
    for number in range(1, total + 1):
        run.control.tell(state, number, total, "fast", Health(60.0, 1, 2, "cpu"), can_sample=look)
        inner = Progress("generate", 3, 8) if look else None
        yield Progress("train", number, total, "loss", values={"loss": 0.5}, inner=inner)
    run.control.tell("finished", total, total, "fast")


def stage_of(run: Run, step: str) -> Stage:
    if step == "videos":
        return generate(run)
    return train(run) if step == "training" else plain(STAGES.get(step, "evaluate"))


def done(run: Run, *steps: str) -> None:
    """These steps, from begin to end."""
    for step in steps:
        stage = {"training": "train", "evaluation": "evaluate", **STAGES}[step]
        with locked(run.folder):
            list(followed(run.folder, step, stage, stage_of(run, step)))


@contextlib.contextmanager
def after(run: Run, items: int, step: str, stage: str, parts: Stage) -> Iterator[Stage]:
    """While a stage waits after so many items."""
    with locked(run.folder):
        working = followed(run.folder, step, stage, parts)
        for _ in range(items):
            next(working)
        with contextlib.closing(working):  # type: ignore[type-var]
            yield working


def killed(run: Run, step: str) -> None:
    """What a process leaves that is killed in the middle of it."""
    with after(run, 2, step, STAGES.get(step, "train"), stage_of(run, step)):
        left = run.work.read(), run.control.state()
    run.work.write(left[0])
    if step == "training":
        run.control.tell("training", left[1]["step"], left[1]["total"], "fast", Health(9.0, 1, 2, "cpu"))


def states(view: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in view["steps"]}


def test_nothing_yet(tmp_path: Path) -> None:
    view = work_view(Run(tmp_path / "none"))
    assert (view["state"], view["step"], view["clips"]) == ("none", None, [])
    assert set(states(view).values()) == {"none"}
    assert work_now(Run(tmp_path / "none"), "videos")["state"] == "between"  # its node loads the model


WORKING: list[tuple[tuple[str, ...], str, str, Callable[[Run], Stage], int, dict[str, Any]]] = [
    ((), "videos", "generate", generate, 2, {"done": 1, "total": 4}),
    (("videos",), "tracks", "detect", lambda run: plain("detect"), 3, {"done": 2, "total": 4}),
    (("videos", "tracks"), "scores", "score", lambda run: plain("score"), 2, {"done": 1, "total": 4}),
    (("videos",), "pairs", "pairs", lambda run: plain("pairs"), 1, {"done": 0, "total": 4}),
    (("videos", "pairs"), "training", "train", train, 3, {"done": 3, "total": 10, "seconds_left": 60.0}),
    (
        *(("videos", "pairs"), "training", "train", lambda run: train(run, look=True), 3),
        {"done": 3, "inner": {"stage": "generate", "done": 3, "total": 8}},
    ),
    (
        *(("training",), "evaluation", "generate", lambda run: generate(run, 4, "aligned", "c"), 2),
        {"done": 1, "total": 4, "stage": "generate"},
    ),
    (("training",), "evaluation", "evaluate", lambda run: plain("evaluate", 2), 2, {"done": 1, "total": 2}),
    (("videos",), "comparison", "detect", lambda run: plain("detect"), 2, {"done": 1, "total": 4}),
    (("videos",), "rounds", "rounds", lambda run: plain("rounds", 5), 2, {"round": [2, 5]}),
]


@pytest.mark.parametrize(("before", "step", "stage", "parts", "items", "told"), WORKING)
def test_in_the_middle_of_every_stage(
    run: Run,
    before: tuple[str, ...],
    step: str,
    stage: str,
    parts: Callable[[Run], Stage],
    items: int,
    told: dict[str, Any],
) -> None:
    done(run, *before)
    with after(run, items, step, stage, parts(run)):
        view = json.loads(json.dumps(work_view(run)))
        listed = list_runs(run.folder.parent)[0]["work"]
    assert (view["state"], view["step"]) == ("working", step)
    assert view | told == view
    assert states(view)[step] == "now"
    assert {name for name, state in states(view).items() if state == "now"} == {step}
    assert (listed["state"], listed["step"]) == ("working", step)
    # Closed between two items, as ComfyUI's cancel does it.
    assert (work_now(run)["state"], work_now(run)["step"]) == ("stopped", step)
    assert "now" not in states(work_view(run)).values()


def test_paused_and_between_two_stages(run: Run) -> None:
    done(run, "videos", "tracks", "scores", "pairs")
    with after(run, 2, "training", "train", train(run, state="paused")):
        assert work_now(run)["state"] == "paused"
        assert states(work_view(run))["training"] == "now"
    done(run, "training")
    assert work_now(run)["state"] == "done"
    assert (work_now(run, NEXT)["state"], work_now(run, NEXT)["step"]) == ("between", "evaluation")
    assert states(work_view(run, NEXT))["evaluation"] == "next"
    done(run, "evaluation")
    for expected in (None, NEXT):  # nothing comes after it
        assert (work_now(run, expected)["state"], work_now(run, expected)["step"]) == ("done", "evaluation")
    assert set(states(work_view(run)).values()) == {"done"}


@pytest.mark.parametrize("step", ["videos", "tracks", "pairs", "training", "rounds"])
def test_killed(run: Run, step: str) -> None:
    killed(run, step)
    assert (work_now(run)["state"], work_now(run)["step"]) == ("interrupted", step)
    assert not training_view(run)["at_work"]
    with locked(run.folder):  # a prompt is written, a video collected: another stage than what was noted
        (run.folder / ".lock").write_text("1")
        assert work_now(run)["state"] == "interrupted"
    with after(run, 2, "tracks", "detect", plain("detect")):
        assert (work_now(run)["step"], work_now(run)["done"]) == ("tracks", 1)
        assert not training_view(run)["at_work"]


def test_a_killed_process_has_ended_where_the_disk_knows_no_locks(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    killed(run, "videos")
    note = run.work.read()
    monkeypatch.setattr(work, "is_locked", lambda folder: True)
    assert is_working(run.folder, note)
    monkeypatch.setattr(work, "lock_holder", lambda folder: gone.pid)
    assert not is_working(run.folder, note | {"process": gone.pid})
    elsewhere = note | {"process": gone.pid, "machine": "another"}
    assert is_working(run.folder, elsewhere)  # its processes are not known here


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (SpatialAlignError("The disk is full."), "failed", "The disk is full."),
        (StopRequested("Stopped, as asked."), "stopped", "video 0"),
        (KeyboardInterrupt(), "stopped", "video 0"),
        (ValueError("an inner matter"), "failed", "ValueError"),
    ],
)
def test_how_it_ended(run: Run, error: BaseException, state: str, message: str) -> None:
    def ends() -> Stage:
        yield from list(generate(run))[:2]
        raise error

    with pytest.raises(type(error)), locked(run.folder):
        list(followed(run.folder, "videos", "generate", ends()))
    view = work_view(run)
    assert (view["state"], view["message"], view["done"]) == (state, message, 1)
    assert states(view)["videos"] == "part"


def test_what_is_made_anew_outdates_what_was_made_of_it(run: Run) -> None:
    steps = ("videos", "tracks", "scores", "pairs", "training", "evaluation")
    done(run, *steps)
    with after(run, 3, "videos", "generate", plain("generate", 6)):
        assert set(states(work_view(run)).values()) == {"now", "done"}  # all are there already
    with after(run, 3, "videos", "generate", generate(run, 6)):
        assert [states(work_view(run))[step] for step in steps] == ["now", *["part"] * 5]
    with after(run, 1, "training", "train", train(run)):
        assert states(work_view(run))["evaluation"] == "part"


def test_a_run_of_an_older_version(tmp_path: Path) -> None:
    run = make_run(tmp_path / "old", {"base": {"a": [0.9, 0.1], "c": [0.5]}}, held_out=["c"], steps=20)
    view = work_view(run)
    assert (view["state"], states(view)["scores"], states(view)["training"]) == ("none", "done", "done")
    assert [step["done"] for step in view["steps"] if step["name"] in ("prompts", "videos")] == [2, 2]
    with locked(run.folder):
        run.control.tell("training", 4, 20, "fast", Health(60.0, 1, 2, "cpu"))
        now = work_now(run)
    assert (now["state"], now["step"], now["done"], now["seconds_left"]) == ("working", "training", 4, 60.0)


def test_the_newest_videos_with_the_scores_that_are_theirs(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"base": {"a": [0.9, 0.1, None]}, "aligned": {"b": [0.8]}}, ["b"])
    made = [run.video_path("base", "a", seed) for seed in range(3)]
    news = [Progress("detect", n + 1, 3, "x", path=run.track_path("base", "a", n)) for n in range(3)]
    with locked(run.folder):
        list(followed(run.folder, "tracks", "detect", iter_of(news)))
    clips = work_view(run)["clips"]
    assert [(clip["seed"], clip["dsr"], clip["obeys"]) for clip in clips] == [
        *((2, None, False), (1, 0.1, False), (0, 0.9, True))
    ]
    assert clips[0]["reason"] and clips[0]["text"].startswith("In a,")
    os.utime(made[0], (2e9, 2e9))  # made again since
    made[1].unlink()
    assert [(clip["seed"], clip["dsr"]) for clip in work_view(run)["clips"]] == [(2, None), (0, None)]


def iter_of(news: list[Progress]) -> Stage:
    yield from news


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"step": "unknown"}',
        '{"step": "videos", "steps": {}}',
        '{"step": "videos", "steps": 3}',
    ],
)
def test_a_damaged_note_is_none(run: Run, text: str) -> None:
    run.work.path.parent.mkdir(exist_ok=True)
    run.work.path.write_text(text)
    assert work_view(run)["state"] == "none"
    done(run, "videos")
    assert work_now(run)["state"] == "done"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_note_that_cannot_be_written_stops_nothing(run: Run) -> None:
    run.work.path.parent.mkdir()
    run.work.path.parent.chmod(0o500)
    done(run, "videos")
    assert work_now(run)["state"] == "none"


@pytest.mark.parametrize(
    ("stage", "set", "split", "step"),
    [
        ("generate", "base", "train", "videos"),
        ("generate", "base", None, "videos"),
        ("detect", "base", "held_out", "evaluation"),
        ("score", "aligned", None, "evaluation"),
        ("generate", "lora-night-1", "held_out", "comparison"),
        ("train", "base", None, "training"),
        ("pairs", "base", "train", "pairs"),
    ],
)
def test_steps_of_stages(stage: str, set: str, split: str | None, step: str) -> None:
    assert step_of(stage, set, split) == step


@pytest.mark.parametrize(
    ("arrivals", "at_once", "total", "left"),
    [
        ([10.0], 1, 5, 40.0),  # from the first video on
        ([10.0, 20.0, 40.0], 1, 5, 2 * 40 / 3),
        ([80.0], 8, 40, 390.0),  # its batch is as good as there
        ([80.0, 80.1, 80.2, 80.3, 80.4, 80.5, 80.6, 80.7], 8, 40, 32 * 80.7 / 8),
        ([30.0], 8, 3, 20.0),  # no more than three to make
        ([*range(100, 200, 10), *range(191, 231)], 1, 100, 50.0),  # the pace of late
    ],
)
def test_the_pace_is_measured_from_the_first_item_on(
    arrivals: list[float], at_once: int, total: int, left: float
) -> None:
    pace = Pace(0.0)
    for number, when in enumerate(arrivals):
        found = pace.item(when, at_once, total - number - 1)
    assert found == pytest.approx(left, rel=0.02)


def test_what_was_there_already_says_nothing_about_the_pace(run: Run) -> None:
    times = iter([0.0, 0.0, 1.0, 2.0, 12.0, 13.0])
    path = run.track_path("base", "a", 0)
    news = [*(Progress("detect", number, 4) for number in range(3)), Progress("detect", 3, 4, "x", path=path)]
    with locked(run.folder):
        stage = followed(run.folder, "tracks", "detect", iter_of(news), lambda: next(times))
        left = [(next(stage), run.work.read()["seconds_left"])[1] for _ in news]
        assert left == [None, None, None, 10.0]
        stage.close()  # type: ignore[attr-defined]
