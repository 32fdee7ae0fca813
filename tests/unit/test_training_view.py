"""What panels show of a run: read from its folder, whatever state it is in."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path

import pytest

from spatialalign_core.curves import axis, running_mean, thinned
from spatialalign_core.prompts import DsrPrompt, write_prompts
from spatialalign_core.relations import RelationChange
from spatialalign_core.run.control import Health
from spatialalign_core.run.layout import RunLayout
from spatialalign_core.run.listing import list_runs
from spatialalign_core.run.lock import is_locked, locked
from spatialalign_core.run.looks import looks_view
from spatialalign_core.run.scores import ScoreRow, write_scores
from spatialalign_core.run.training_view import training_view
from spatialalign_core.score import Score
from tests.made_runs import HALF_WAY

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    (tmp_path / "run").mkdir()
    return RunLayout(tmp_path / "run")


def log(layout: RunLayout, steps: int, total: int, every: int = 0) -> None:
    """A training log whose loss falls, looked at every so many steps."""
    lines = ["step,total,loss,margin,accuracy,seconds,held_out_score"]
    for step in range(1, steps + 1):
        held = f"{step / total}" if every and step % every == 0 else ""
        lines.append(f"{step},{total},{1 / step},{step / 10},0.5,2.0,{held}")
    layout.training_file.write_text("\n".join(lines) + "\n")


def sample(layout: RunLayout, set: str, prompt: str, seed: int = 0) -> None:
    video = layout.video_path(set, prompt, seed)
    video.parent.mkdir(parents=True, exist_ok=True)
    video.write_bytes(b"video")


def prompts(layout: RunLayout, *ids: str) -> None:
    change = RelationChange.parse("LR")
    write_prompts(layout.prompts_file, [DsrPrompt(i, f"{i}: a fox", "fox", "box", change, "") for i in ids])


def score(dsr: float | None) -> Score:
    reason = None if dsr is not None else "nothing was found"
    return Score(dsr is not None, reason, dsr, dsr, dsr, dsr, dsr, 9)


def test_a_folder_without_a_training(layout: RunLayout) -> None:
    view = training_view(layout)
    assert (view["state"], view["at_work"], view["step"], view["curves"]) == ("none", False, 0, {})


@pytest.mark.parametrize(
    ("told", "busy", "steps", "state"),
    [
        (None, False, 10, "finished"),
        (None, False, 4, "stopped"),
        ("finished", False, 10, "finished"),
        ("stopped", False, 4, "stopped"),
        ("training", True, 4, "training"),
        ("paused", True, 4, "paused"),
        ("sampling", True, 4, "sampling"),
        ("training", False, 4, "interrupted"),  # killed: it could not say so
        ("nonsense", False, 4, "stopped"),
    ],
)
def test_states(layout: RunLayout, told: str | None, busy: bool, steps: int, state: str) -> None:
    log(layout, steps, 10)
    if told:
        layout.control.tell(told, steps, 10, "fast", Health(60.0, 1, 2, "cpu"))
    if busy:
        with locked(layout.folder):
            view = training_view(layout)
    else:
        view = training_view(layout)
    assert view["state"] == state
    assert view["at_work"] == busy
    assert view["seconds_left"] == (60.0 if busy else None)
    assert (view["step"], view["total"], view["seconds_per_step"]) == (steps, 10, 2.0)


def test_curves_latest_and_best(layout: RunLayout) -> None:
    log(layout, 100, 100, every=25)
    view = json.loads(json.dumps(training_view(layout)))
    assert set(view["curves"]) == {"loss", "margin", "accuracy", "held_out_score"}
    assert view["curves"]["held_out_score"] == {"raw": [[25, 0.25], [50, 0.5], [75, 0.75], [100, 1.0]]}
    assert len(view["curves"]["loss"]["mean"]) == 100
    assert view["latest"]["held_out_score"] == 1.0
    assert (
        view["latest"]["loss"] == view["curves"]["loss"]["mean"][-1][1] != 0.01
    )  # as the curve that is drawn
    assert view["best"] == 100


def test_a_diverged_step_is_no_point(layout: RunLayout) -> None:
    layout.training_file.write_text("step,total,loss\n1,3,0.5\n2,3,nan\n3,3,inf\n")
    view = training_view(layout)
    assert view["curves"]["loss"]["raw"] == [(1.0, 0.5)]
    assert view["latest"]["loss"] == 0.5


def test_long_curves_are_thinned(layout: RunLayout) -> None:
    log(layout, 3000, 3000)
    curve = training_view(layout, 200)["curves"]["loss"]
    for line in curve.values():
        assert len(line) <= 200
        assert (line[0][0], line[-1][0]) == (1, 3000)


def test_requests_that_wait_are_told(layout: RunLayout) -> None:
    log(layout, 4, 10)
    layout.control.tell("training", 4, 10, "fast")
    with locked(layout.folder):
        layout.control.ask("save")
        layout.control.ask("stop")
        assert training_view(layout)["asked"] == ["save", "stop"]


@pytest.mark.parametrize("most", [4, 5, 10, 99])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 11, 1000])
def test_thinned_keeps_ends_and_extremes(count: int, most: int) -> None:
    points = [(float(x), math.sin(x)) for x in range(count)]
    kept = thinned(points, most)
    assert len(kept) <= most or count <= most
    assert kept == sorted(kept) and set(kept) <= set(points)
    if count:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        if most > 4:
            assert max(y for _, y in kept) == max(y for _, y in points)
            assert min(y for _, y in kept) == min(y for _, y in points)


def test_running_mean() -> None:
    assert running_mean([0, 3, 0]) == [1.5, 1.0, 1.5]
    assert running_mean([]) == []


def test_looks_stand_beside_the_base(layout: RunLayout) -> None:
    prompts(layout, "a", EVIL)
    for set in ("step-000000", "step-000050", "step-000100"):
        for prompt in ("a", EVIL):
            sample(layout, set, prompt)
    sample(layout, "base", "a", 1)
    sample(layout, "aligned", "a", 1)
    sample(layout, "step-000100", "unknown")
    sample(layout, "elsewhere", "a")
    write_scores(
        layout.scores_file,
        [
            ScoreRow("step-000000", "a", 0, score(0.4), ""),
            ScoreRow("step-000000", EVIL, 0, score(None), ""),
            ScoreRow("step-000100", "a", 0, score(0.9), ""),
            ScoreRow("step-000100", EVIL, 0, HALF_WAY, ""),
        ],
    )
    view = json.loads(json.dumps(looks_view(layout)))
    shown = [(row["step"], row["aligned"]["prompt"], row["base"]["set"]) for row in view["rows"]]
    assert shown == [
        (None, "a", "base"),
        (100, EVIL, "step-000000"),
        (100, "a", "step-000000"),
        (50, EVIL, "step-000000"),
        (50, "a", "step-000000"),
    ]
    assert view["rows"][2]["aligned"] == {
        "set": "step-000100", "prompt": "a", "seed": 0, "dsr": 0.9, "obeys": True, "reason": None
    }  # fmt: skip
    half_way, base = view["rows"][1]["aligned"], view["rows"][1]["base"]
    assert (half_way["dsr"], half_way["obeys"]) == (0.75, False)
    assert half_way["reason"].startswith("it does not end ")
    assert (base["obeys"], base["reason"]) == (False, "nothing was found")
    assert view["prompts"][EVIL] == f"{EVIL}: a fox"
    assert view["base_score"] == 0.2  # what cannot be scored counts nothing


@pytest.mark.parametrize("damaged", ["prompts.csv", "scores.csv"])
def test_damaged_tables_show_less_and_break_nothing(layout: RunLayout, damaged: str) -> None:
    prompts(layout, "a")
    sample(layout, "step-000050", "a")
    (layout.folder / damaged).write_bytes(b"\xff\x00nonsense")
    view = looks_view(layout)
    assert len(view["rows"]) == (0 if damaged == "prompts.csv" else 1)


def test_runs_newest_first(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    for name in ("old", "new", "no run", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "a file").write_text("")
    log(RunLayout(tmp_path / "old"), 3, 3)
    prompts(RunLayout(tmp_path / "new"), "a")
    for file in (tmp_path / "old", tmp_path / "old" / "training.csv"):
        os.utime(file, (1, 1))
    assert [(run["name"], run["state"]) for run in list_runs(tmp_path)] == [
        ("new", "none"),
        ("old", "finished"),
    ]


def test_asking_for_the_lock_leaves_it(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    assert not (tmp_path / ".lock").exists()
    with locked(tmp_path):
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no fcntl")
def test_where_the_disk_knows_no_locks_the_last_word_counts(
    layout: RunLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    log(layout, 4, 10)
    layout.control.tell("training", 4, 10, "fast")
    monkeypatch.setattr("fcntl.flock", unknown)
    with locked(layout.folder):
        assert training_view(layout)["at_work"]


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.69, 0.65, 0.67], (0.646, 0.694)),  # a loss that hardly moves
        ([0.2, 1.0], (0.0, 1.0)),
        ([-1.0, 3.0], (-1.0, 3.0)),
        ([-2.0, -1.0], (-2.0, 0.0)),
        ([0.0, 0.0], (0.0, 1.0)),
        ([2.0], (1.8, 2.2)),
    ],
)
def test_an_axis_begins_at_0_unless_nothing_would_be_seen(
    values: list[float], ends: tuple[float, float]
) -> None:
    assert axis(values) == pytest.approx(ends)
