"""A training while it runs: requests from outside, held-out looks, guards, full memory and full disks."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spatialalign_core.cli import main
from spatialalign_core.errors import SpatialAlignError, StopRequested
from spatialalign_core.models.base import GenerateSettings, VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.progress import Progress
from spatialalign_core.run import Run, Side
from spatialalign_core.run.control import ACTIONS, REQUESTS, TrainControl
from spatialalign_core.run.held_out import HeldOutCheck
from spatialalign_core.run.lock import locked
from spatialalign_core.run.training_log import HELD_OUT, TrainingLog, read_training_log
from spatialalign_core.train import step as step_module
from spatialalign_core.train.plans import find_plan
from spatialalign_core.train.preflight import Estimate
from spatialalign_core.train.settings import DEFAULT
from spatialalign_core.train.trainer import StepLog, Trainer
from spatialalign_core.weight_files import save_tensors
from tests.noise_run import noise_run

SETTINGS = replace(
    DEFAULT, steps=4, rank=2, alpha=2.0, pairs_per_step=2, warmup=0, checkpoint_every=50, average=0.5
)
CLIP = GenerateSettings(height=32, width=48, num_frames=5, fps=8, steps=1, guidance_scale=1.0)


class NoDetector:
    """Finds nothing; scores are set by the tests."""

    name = "none"

    def detect(self, frames: Any, nouns: Any) -> Iterator[list[Any]]:
        yield from ([] for _ in frames)


def check(**options: Any) -> HeldOutCheck:
    return HeldOutCheck(NoDetector(), **{"prompts": 1, "settings": CLIP, "workers": 1} | options)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.fixture(autouse=True)
def no_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second each time; test_memory looks after it."""

    def chosen(*arguments: Any) -> Estimate:
        return Estimate(find_plan("fast" if arguments[4] == "auto" else arguments[4]), 0, 0)

    monkeypatch.setattr("spatialalign_core.run.training.plan_training", chosen)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with prompts and pairs of noise."""
    return noise_run(tmp_path_factory.mktemp("run") / "run").folder


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(exported, tmp_path / "run"))


def train(run: Run, model: VideoModel, **options: Any) -> Iterator[Progress]:
    settings = options.pop("settings", SETTINGS)
    return run.train(model, settings, plan=options.pop("plan", "fast"), **options)


def drive(stage: Iterator[Progress], at: int = 0, action: Callable[[], None] | None = None) -> list[Progress]:
    """To the end, acting once at the news of step `at`."""
    news: list[Progress] = []
    for item in stage:
        news.append(item)
        if action and item.done == at and item.values:
            action()
            action = None
    return news


@pytest.fixture(scope="module")
def undisturbed(exported: Path, model: VideoModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log and LoRA of a training that nothing happened to."""
    run = Run(shutil.copytree(exported, tmp_path_factory.mktemp("undisturbed") / "run"))
    drive(train(run, model))
    return run.folder


def same_lora(one: Run, other: Path) -> bool:
    own, expected = load_file(one.lora_path()), load_file(Run(other).lora_path())
    return own.keys() == expected.keys() and all(own[name].equal(expected[name]) for name in own)


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_training_log(folder / "training.csv")]


def test_pause_and_resume_change_nothing(run: Run, model: VideoModel, undisturbed: Path) -> None:
    stage = train(run, model)
    paused = 0
    for item in stage:
        if item.done == 2 and item.values:
            run.control.ask("pause")
        if "paused" in item.message:
            paused += 1
            assert run.control.state()["state"] == "paused"
            assert list(run.folder.glob("lora/checkpoints/*/step-000002.safetensors"))
            if paused == 3:
                run.control.ask("resume")
    assert paused == 3
    assert same_lora(run, undisturbed)
    assert losses(run.folder) == losses(undisturbed)
    assert {"state": "finished", "step": 4, "total": 4, "plan": "fast"}.items() <= run.control.state().items()


def test_stopped_while_paused_goes_on(run: Run, model: VideoModel, undisturbed: Path) -> None:
    stage = train(run, model)
    for item in stage:
        if item.done == 3 and item.values:
            run.control.ask("pause")
        if "paused" in item.message:
            stage.close()  # type: ignore[attr-defined]
            break
    drive(train(run, model))  # starting it again is the wish to go on
    assert same_lora(run, undisturbed)


@pytest.mark.parametrize("when", ["between steps", "while paused", "during a look"])
def test_stop_keeps_everything(run: Run, model: VideoModel, undisturbed: Path, when: str) -> None:
    stage = train(run, model, check=check())
    with pytest.raises(StopRequested, match="stopped at step 2, as asked"):
        for item in stage:
            if item.done == 2 and item.values and "loss" in item.values:
                run.control.ask({"while paused": "pause", "during a look": "sample"}.get(when, "stop"))
            if "paused" in item.message or "held-out videos" in item.message:
                run.control.ask("stop")
    assert run.control.state()["state"] == "stopped"
    assert list(run.folder.glob("lora/checkpoints/*/step-000002.safetensors"))
    drive(train(run, model, check=check()))
    assert same_lora(run, undisturbed)


def test_a_training_tells_how_it_fares(run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spatialalign_core.run.control._HEARTBEAT", 0.0)
    told = [run.control.state() for item in train(run, model) if item.values]
    assert [each["step"] for each in told] == [1, 2, 3, 4]
    assert told[-1]["seconds_left"] == 0 < told[0]["seconds_left"]
    assert 0 < told[0]["memory"] < told[0]["memory_total"]


def test_save_now(run: Run, model: VideoModel, undisturbed: Path) -> None:
    news = drive(train(run, model), 2, lambda: run.control.ask("save"))
    saved = run.lora_path("spatialalign-step-000002")
    assert [item.path for item in news if item.path == saved]
    assert load_file(saved).keys() == load_file(run.lora_path()).keys()
    assert not run.control.asked("save")
    assert same_lora(run, undisturbed)


@pytest.mark.parametrize("end", ["stop", "close"])
def test_save_right_before_the_end(run: Run, model: VideoModel, undisturbed: Path, end: str) -> None:
    stage = train(run, model)
    with contextlib.suppress(StopRequested):
        for item in stage:
            if item.done == 2 and item.values:
                run.control.ask("save")
                if end == "close":
                    stage.close()  # type: ignore[attr-defined]
                run.control.ask("stop")
    saved = load_file(run.lora_path("spatialalign-step-000002"))
    assert saved and not run.control.asked("save")
    drive(train(run, model))
    assert same_lora(run, undisturbed)


def test_sample_now(run: Run, model: VideoModel, undisturbed: Path) -> None:
    drive(train(run, model, check=check()), 2, lambda: run.control.ask("sample"))
    prompt = run.prompts("held_out")[0]
    assert run.video_path("step-000002", prompt.id, 0).is_file()
    assert run.video_path("step-000000", prompt.id, 0).is_file()  # the base beside it
    rows = run.training_log()
    assert [HELD_OUT[0] in row for row in rows] == [False, True, False, False]
    assert same_lora(run, undisturbed)  # looking changes nothing


def test_sample_now_without_a_detector_is_explained(run: Run, model: VideoModel) -> None:
    news = drive(train(run, model), 1, lambda: run.control.ask("sample"))
    assert [item.message for item in news if item.warning] == [
        "There is nothing to sample with: start the training with a detector for held-out videos."
    ]


def test_requests_left_from_before_are_dropped(run: Run, model: VideoModel) -> None:
    for action in ("pause", "save", "sample", "stop"):
        run.control.ask(action)
    assert not any(item.warning or "paused" in item.message for item in drive(train(run, model)))


@pytest.mark.parametrize(
    ("action", "words"), [("dance", "Cannot 'dance'"), ("save", "There is no run folder")]
)
def test_bad_requests_are_named(tmp_path: Path, action: str, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        TrainControl(tmp_path / "none").ask(action)


def test_control_verb(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.control.tell("training", 1, 4, "fast")
    with locked(run.folder):
        for _ in range(2):  # in a hurry
            assert main(["control", str(run.folder), "pause"]) == 0
        assert run.control.asked("pause")
        assert main(["control", str(run.folder), "resume"]) == 0
        assert not run.control.asked("pause")
        assert main(["control", str(run.folder), "dance"]) == 2
    assert "Cannot 'dance'" in capsys.readouterr().err


@pytest.mark.parametrize("state", [None, "finished", "stopped", "training"])  # the last one was killed
@pytest.mark.parametrize("action", ACTIONS)
def test_orders_to_a_training_that_is_none(
    run: Run, capsys: pytest.CaptureFixture[str], state: str | None, action: str
) -> None:
    if state:
        run.control.tell(state, 1, 4, "fast")
    assert main(["control", str(run.folder), action]) == 2
    assert f"No training works in {run.folder} now, so it cannot {action}" in capsys.readouterr().err
    assert not any(run.control.asked(request) for request in REQUESTS)


def scored_as(monkeypatch: pytest.MonkeyPatch, scores: dict[int, float]) -> list[int]:
    """Stands in for generate, detect and score: the score of each step; returns the steps looked at."""
    looked: list[int] = []

    def look(layout: Any, model: Any, check: Any, lora: Path | None, step: int) -> Any:
        assert lora is None or lora.is_file()
        assert not getattr(model.pipeline.transformer, "peft_config", None)  # the model is free
        looked.append(step)
        yield Progress("generate", 0, 1, "videos")
        return dict(zip(HELD_OUT, (scores[step], scores[step], 1.0, 0.5), strict=True))

    monkeypatch.setattr("spatialalign_core.run.folder.look", look)
    return looked


def test_a_log_of_version_0_1_goes_on(tmp_path: Path) -> None:
    """It has no column for the share that obeys."""
    path = tmp_path / "training.csv"
    step = StepLog(2, 4, 0.4, 0.3, 0.1, 0.1, 1.0, 1e-4, 0.5, 0.1)
    with TrainingLog(path, 0) as log:
        log.append(replace(step, step=1))
        log.amend(dict(zip(HELD_OUT, (0.5, 0.25, 1.0, 0.125), strict=True)))
    lines = path.read_text().splitlines()
    assert lines[0].endswith(",held_out_obey") and lines[1].endswith(",0.125")
    path.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines) + "\n")
    with TrainingLog(path, 1) as log:
        log.append(step)
        log.amend(dict(zip(HELD_OUT, (0.6, 0.5, 1.0, 0.25), strict=True)))
    first, second = read_training_log(path)
    assert first["held_out_accuracy"] == 0.25 and "held_out_obey" not in first
    assert (second["held_out_accuracy"], second["held_out_obey"]) == (0.5, 0.25)


def test_best_step_is_left(
    run: Run, model: VideoModel, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = scored_as(monkeypatch, {1: 0.3, 2: 0.6, 3: 0.6, 4: 0.5})
    stage = train(run, model, check=check(every=1))
    drive(stage, 2, lambda: run.control.ask("save"))
    assert looked == [1, 2, 3, 4]
    assert [row[HELD_OUT[0]] for row in run.training_log()] == [0.3, 0.6, 0.6, 0.5]
    best, left = load_file(run.lora_path("spatialalign-step-000002")), load_file(run.lora_path())
    assert all(best[name].equal(left[name]) for name in best)
    assert losses(run.folder) == losses(undisturbed)
    assert "up to date" in drive(train(run, model, check=check(every=1)))[-1].message


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_a_look_is_noted_leaves_the_best_step(
    run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str
) -> None:
    """What a SIGKILL leaves right before or after the best look comes into the log."""
    scored_as(monkeypatch, {1: 0.3, 2: 0.6, 3: 0.4, 4: 0.5})
    real, killed = TrainingLog.amend, Run(tmp_path / "killed")

    def amend(self: TrainingLog, held_out: Any) -> None:
        at = self.rows[-1]["step"] == 2 and not killed.folder.exists()
        if at and moment == "before":
            shutil.copytree(run.folder, killed.folder)
        real(self, held_out)
        if at and moment == "after":
            shutil.copytree(run.folder, killed.folder)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "amend", amend)
        drive(train(run, model, check=check(every=1)))
    news = drive(train(killed, model, check=check(every=1)))
    assert news[-1].message == "saved spatialalign.safetensors, of step 2"
    assert same_lora(killed, run.folder)


def test_early_stop(run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = scored_as(monkeypatch, {1: 0.6, 2: 0.5, 3: 0.6, 4: 0.9})
    news = drive(train(run, model, check=check(every=1, patience=2)))
    assert looked == [1, 2, 3]
    assert news[-1].message == "saved spatialalign.safetensors, of step 1"
    assert "up to date" in drive(train(run, model, check=check(every=1, patience=2)))[-1].message


def test_look_that_was_cut_short_is_made_up_for(
    run: Run, model: VideoModel, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = scored_as(monkeypatch, {2: 0.1, 4: 0.2})
    stage = train(run, model, check=check(every=2))
    for item in stage:
        if "held-out videos" in item.message:
            stage.close()  # type: ignore[attr-defined]
            break
    assert [row["step"] for row in run.training_log()] == [1, 2]
    drive(train(run, model, check=check(every=2)))
    assert looked == [2, 2, 4]
    assert same_lora(run, undisturbed)


@pytest.mark.parametrize(
    ("spoilt", "number", "value", "noise", "words"),
    [
        ("latents/*/0.safetensors", 0, float("nan"), "separate", "seed 0 has"),
        ("latents/*/1.safetensors", 0, float("inf"), "separate", "seed 1 has"),
        ("latents/*/0.safetensors", 0, -1e30, "separate", "seed 0 has"),
        ("latents/*/1.safetensors", 1, float("nan"), "loser", "the noise of .*, seed 1 has"),
        ("text.safetensors", 0, float("nan"), "separate", "the text of"),
    ],
)
def test_nan_in_a_pair_sets_it_aside(
    run: Run, model: VideoModel, spoilt: str, number: int, value: float, noise: str, words: str
) -> None:
    path = sorted(run.pairs_folder.glob(spoilt))[0]
    tensors = load_file(path)
    tensors[sorted(tensors)[number]].view(-1)[3] = value
    save_file(tensors, path)
    news = drive(train(run, model, settings=replace(SETTINGS, noise=noise)))
    [warning] = [item.message for item in news if item.warning]
    assert re.search(words, warning) and "NaN" in warning and "left out" in warning
    assert all(torch.isfinite(torch.tensor(losses(run.folder))))


def test_noise_that_nobody_looks_at_may_be_anything(run: Run, model: VideoModel, undisturbed: Path) -> None:
    for path in run.pairs_folder.glob("latents/*/*.safetensors"):
        tensors = load_file(path)
        save_file(tensors | {"noise": tensors["noise"] * float("nan")}, path)
    drive(train(run, model))
    assert same_lora(run, undisturbed)


def test_nothing_but_nan_is_explained(run: Run, model: VideoModel) -> None:
    for path in run.pairs_folder.glob("latents/*/*.safetensors"):
        save_file({name: value * float("nan") for name, value in load_file(path).items()}, path)
    with pytest.raises(
        SpatialAlignError, match=r"Nearly all pairs.*too large values: .*, seed [01], .*\. Generate"
    ):
        drive(train(run, model))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_no_number_keeps_the_step_before(
    run: Run, model: VideoModel, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    real = Trainer._loss

    def spoilt(self: Trainer, draws: Any) -> Any:
        terms = real(self, draws)
        return replace(terms, total=terms.total * bad) if self.step == 2 else terms

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_loss", spoilt)
        with pytest.raises(SpatialAlignError, match=r"became \S+ at step 3; .*The LoRA of step 2 is"):
            drive(train(run, model))
    assert run.lora_path("spatialalign-step-000002").is_file()
    assert run.control.state()["state"] == "stopped"
    news = drive(train(run, model))
    assert any("going on after step 2" in item.message for item in news)
    assert same_lora(run, undisturbed)


def test_divergence_goes_back_to_the_last_good_state(
    run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer._loss

    def rising(self: Trainer, draws: Any) -> Any:
        terms = real(self, draws)
        return replace(terms, total=terms.total + max(0, self.step - 2) * 40.0)

    monkeypatch.setattr(Trainer, "_loss", rising)
    settings = replace(SETTINGS, steps=20, checkpoint_every=1)
    with pytest.raises(SpatialAlignError, match=r"diverged at step \d+.*The LoRA of step 3 is"):
        drive(train(run, model, settings=settings))
    assert run.lora_path("spatialalign-step-000003").is_file()


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("pair_loss", torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
        (
            "pair_loss",
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
        ),
        ("optimizer", MemoryError()),
    ],
)
def test_full_memory_falls_back_to_the_next_plan(
    run: Run,
    model: VideoModel,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Path,
    where: str,
    error: Exception,
) -> None:
    """Inside the real step, after its gradients have begun, and while the weights change."""
    failed: list[int] = []

    def fail_once(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            result = real(*arguments, **named)
            calls.append(1)
            if len(calls) == 3 and not failed:
                failed.append(1)
                raise error
            return result

        return call

    calls: list[int] = []
    if where == "pair_loss":
        monkeypatch.setattr("spatialalign_core.train.trainer.pair_loss", fail_once(step_module.pair_loss))
    else:
        monkeypatch.setattr(torch.optim.AdamW, "step", fail_once(torch.optim.AdamW.step))
    news = drive(train(run, model))
    [warning] = [item.message for item in news if item.warning]
    step = 2 if where == "pair_loss" else 0  # torn weights go back to what was saved last
    assert warning == (
        f"The memory was full with the plan 'fast'; going on after step {step} with 'single': one pair at a time."
    )
    assert [row["step"] for row in run.training_log()] == [1, 2, 3, 4]
    assert losses(run.folder) == pytest.approx(losses(undisturbed), rel=1e-3)


def test_plan_that_was_needed_is_kept_when_going_on(
    run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = train(run, model, plan="recompute")
    for item in stage:
        if item.done == 2 and item.values:
            stage.close()  # type: ignore[attr-defined]
            break
    drive(train(run, model, plan="auto"))
    assert run.control.state()["plan"] == "recompute"


def test_no_plan_left_is_explained(run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr("spatialalign_core.train.trainer.pair_loss", full)
    with pytest.raises(SpatialAlignError, match="even with the plan 'offload'"):
        drive(train(run, model))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_disk_that_fills_up(
    run: Run, model: VideoModel, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """At the second checkpoint: the first stays, one sentence says why, and the next start goes on."""
    real = save_tensors
    saves: list[int] = []

    def full(*arguments: Any) -> None:
        saves.append(1)
        if len(saves) > 1:
            raise error
        real(*arguments)

    settings = replace(SETTINGS, checkpoint_every=1)
    with monkeypatch.context() as patch:
        patch.setattr("spatialalign_core.train.checkpoint.save_tensors", full)
        with pytest.raises(SpatialAlignError, match="disk is full"):
            drive(train(run, model, settings=settings))
    news = drive(train(run, model, settings=settings))
    assert any("going on after step 1" in item.message for item in news)
    assert same_lora(run, undisturbed)


@pytest.mark.parametrize("left", [0, 10])
def test_a_row_that_the_disk_refuses_is_no_step_done(
    run: Run, model: VideoModel, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """The disk takes `left` bytes of the row of step 3 and is full, and has room again when the rest is saved."""
    real, calls = TrainingLog._rewritten, []

    class Full:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, line: bytes) -> int:
            calls.append(1)
            if len(calls) != 3:
                return self.file.write(line)
            if not left:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(line[:left])

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLog, "_rewritten", lambda self: Full(real(self)))
        with pytest.raises(SpatialAlignError, match=r"Cannot write .*training\.csv.*free some space"):
            drive(train(run, model))
    drive(train(run, model))
    assert [row["step"] for row in run.training_log()] == [1, 2, 3, 4]
    assert same_lora(run, undisturbed) and losses(run.folder) == losses(undisturbed)


@pytest.mark.parametrize(
    ("spoilt", "words"), [(1, "an older one is used"), (2, "no older one; the training begins again")]
)
def test_damaged_checkpoints_are_told(
    run: Run, model: VideoModel, undisturbed: Path, spoilt: int, words: str
) -> None:
    settings = replace(SETTINGS, checkpoint_every=1)
    drive(train(run, model, settings=settings))
    run.lora_path().unlink()
    newest = sorted(run.folder.glob("lora/checkpoints/*/step-*.safetensors"), reverse=True)[:spoilt]
    for path in newest:
        path.write_bytes(path.read_bytes()[:1000])
    warnings = [item.message for item in drive(train(run, model, settings=settings)) if item.warning]
    assert len(warnings) == spoilt and all(words in text for text in warnings)
    assert same_lora(run, undisturbed)


def test_tensorboard(run: Run, model: VideoModel) -> None:
    pytest.importorskip("tensorboard")
    drive(train(run, model, tensorboard=True))
    assert list((run.folder / "tensorboard").glob("events*"))


def test_state_file_is_json(run: Run, model: VideoModel) -> None:
    drive(train(run, model))
    assert json.loads((run.folder / "control/state.json").read_text())["state"] == "finished"


def test_training_continues_from_a_lora(run: Run, model: VideoModel, undisturbed: Path) -> None:
    start = Run(undisturbed).lora_path()
    settings = replace(SETTINGS, learning_rate=1e-9, weight_decay=0.0)
    stage = train(run, model, name="further", continue_from=start, settings=settings)
    for item in stage:
        if item.done == 2 and item.values:
            stage.close()  # type: ignore[attr-defined]
            break
    drive(train(run, model, name="further", continue_from=start, settings=settings))
    before, after = load_file(start), load_file(run.lora_path("further"))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert (
        "up to date"
        in drive(train(run, model, name="further", continue_from=start, settings=settings))[-1].message
    )
    # From another one, or from none, it is another LoRA.
    assert "up to date" not in drive(train(run, model, name="further", settings=settings))[-1].message


def test_a_lora_cannot_continue_from_itself(run: Run, model: VideoModel, undisturbed: Path) -> None:
    shutil.copytree(undisturbed / "lora", run.folder / "lora")
    with pytest.raises(SpatialAlignError, match="cannot continue from itself"):
        drive(train(run, model, continue_from=run.lora_path()))


def theirs(kind: str) -> dict[str, torch.Tensor]:
    """A LoRA on one layer of the pocket model as others write it."""
    wide, generator = 160, torch.Generator().manual_seed(0)
    down = torch.randn(2, wide, generator=generator) * 0.3
    up = torch.randn(wide, 2, generator=generator) * 0.3
    name = "lora_unet_blocks_0_cross_attn_k"
    halves = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    return {
        "kohya": halves | {f"{name}.alpha": torch.tensor(1.0)},
        "bias": halves | {f"{name}.diff_b": torch.ones(wide)},
    }[kind]


@pytest.mark.parametrize("kind", ["kohya", "bias"])
def test_loras_of_others_in_every_stage(run: Run, model: VideoModel, kind: str) -> None:
    """Videos with it, a comparison's other side, and a training from it."""
    file = run.folder / f"{kind}.safetensors"
    save_file(theirs(kind), file)
    before = {name: value.clone() for name, value in model.transformer.state_dict().items()}
    for set, lora in (("base", None), (Side(file).set, file)):
        drive(run.generate(model, 1, "held_out", set, settings=CLIP, lora=lora, workers=1))
    prompt = run.prompts("held_out")[0].id
    plain, changed = (
        load_file(run.video_path(set, prompt, 0).with_suffix(".safetensors"))
        for set in ("base", Side(file).set)
    )
    assert any(not plain[name].equal(changed[name]) for name in plain)
    assert all(value.equal(before[name]) for name, value in model.transformer.state_dict().items())
    settings = replace(SETTINGS, targets="wide", learning_rate=1e-9, weight_decay=0.0, steps=1)
    stage = train(run, model, name="further", continue_from=file, settings=settings)
    if kind == "bias":
        with pytest.raises(SpatialAlignError, match="cannot be trained further: it also changes a bias"):
            drive(stage)
        return
    drive(stage)
    after = load_file(run.lora_path("further"))
    key = "diffusion_model.blocks.0.cross_attn.k.lora_{}.weight"
    state = theirs(kind)
    expected = state["lora_unet_blocks_0_cross_attn_k.lora_up.weight"] @ (
        state["lora_unet_blocks_0_cross_attn_k.lora_down.weight"] / 2
    )
    assert torch.allclose(after[key.format("B")] @ after[key.format("A")], expected, atol=1e-4)
