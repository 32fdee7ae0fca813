"""Two processes that train as one, over gloo on the CPU: the same result, and nothing lost when one dies."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pairs import load_pairs
from spatialalign_core.run import Run
from spatialalign_core.train.plans import find_plan
from spatialalign_core.train.ranks import ALONE, Ranks, ranks_of_launcher
from spatialalign_core.train.trainer import Trainer
from tests.noise_run import noise_run
from tests.two_processes import SETTINGS, no_preflight, two_processes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these processes are forked")

TOGETHER: list[dict[str, Any]] = [
    {"run": "even"},
    {"run": "stopped", "stopped": 3},
    {"run": "full", "full": (1, 2)},
    {"run": "leader-full", "full": (0, 2)},
    {"run": "follower-killed", "killed": (1, 3)},
]
AGAIN: list[dict[str, Any]] = [
    {"run": "sharded", "plan": "sharded", "pairs": 4},
    {"run": "stopped"},
    {"run": "follower-killed"},
    {"run": "leader-killed", "killed": (0, 3)},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """One run by a single process, the others by two."""
    folder = tmp_path_factory.mktemp("ranks")
    runs = {
        name: noise_run(folder / name) for name in ("single", "four", *(s["run"] for s in TOGETHER + AGAIN))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spatialalign_core.run.training.plan_training", None)  # put back afterwards
        no_preflight()
        model = load_video_model(model_folder, "cpu")
        list(runs["single"].train(model, SETTINGS))
        list(runs["four"].train(model, replace(SETTINGS, pairs_per_step=4)))
        assert two_processes(folder, model_folder, TOGETHER) == [0, -signal.SIGKILL]
        assert (folder / "follower-killed.0").exists()
        assert two_processes(folder, model_folder, AGAIN) == [-signal.SIGKILL, 0]
        # By one process alone, and the other way round.
        list(runs["leader-killed"].train(model, SETTINGS))
    return folder


def column(folder: Path, name: str) -> list[float]:
    return [row[name] for row in Run(folder).training_log()]


@pytest.mark.parametrize(
    ("name", "single"),
    [
        *((each, "single") for each in ("even", "stopped", "full", "leader-full")),
        *((each, "single") for each in ("follower-killed", "leader-killed")),
        ("sharded", "four"),
    ],
)
def test_the_same_as_one_process(folder: Path, name: str, single: str) -> None:
    for value in ("loss", "dpo", "regulariser"):
        assert column(folder / name, value) == pytest.approx(column(folder / single, value), rel=0, abs=1e-5)
    # A hundred times (beta) the small difference of large numbers.
    for value in ("margin", "gradient_norm"):
        assert column(folder / name, value) == pytest.approx(
            column(folder / single, value), rel=1e-4, abs=1e-4
        )
    assert column(folder / name, "accuracy") == column(folder / single, "accuracy")
    own, expected = (load_file(Run(folder / each).lora_path()) for each in (name, single))
    # Adam takes a whole step even where the gradient is nothing but rounding, so single numbers may part.
    apart = sum((own[key] - expected[key]).square().sum() for key in expected)
    assert apart < 1e-4 * sum(value.square().sum() for value in expected.values())


@pytest.mark.parametrize("name", ["stopped", "follower-killed"])
def test_going_on_repeats_an_undisturbed_training_to_the_bit(folder: Path, name: str) -> None:
    own, expected = (load_file(Run(folder / each).lora_path()) for each in (name, "even"))
    assert all(own[key].equal(expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("even.1", "done"),
        ("full.0", "with 'single'"),
        ("full.1", "done"),
        ("leader-full.0", "with 'single'"),
        ("sharded.1", "done"),
        ("leader-killed.1", "have lost each other"),
    ],
)
def test_what_each_process_says(folder: Path, said: str, words: str) -> None:
    assert words in (folder / said).read_text()


def test_only_the_leader_writes(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "even").iterdir()) == sorted(
        path.name for path in (folder / "single").iterdir()
    )


@pytest.mark.parametrize(("total", "count"), [(5, 2), (16, 3), (4, 4), (7, 1)])
def test_shares_are_whole_and_fair(total: int, count: int) -> None:
    shares = [Ranks(index, count).share(total) for index in range(count)]
    assert [n for share in shares for n in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_processes_than_pairs_are_refused(folder: Path, model_folder: Path) -> None:
    model, pairs = load_video_model(model_folder, "cpu"), load_pairs(folder / "single/pairs")
    with pytest.raises(SpatialAlignError, match="3 processes cannot share the 2 pairs"):
        Trainer(model, pairs, replace(SETTINGS, pairs_per_step=2), ranks=Ranks(0, 3))


def test_without_a_launcher_one_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    assert ranks_of_launcher(torch.device("cpu")) is ALONE


@pytest.mark.parametrize("ranks", [ALONE, Ranks(0, 2)])
def test_spreading_weights_takes_equal_shares(folder: Path, model_folder: Path, ranks: Ranks) -> None:
    model, pairs = load_video_model(model_folder, "cpu"), load_pairs(folder / "single/pairs")
    with pytest.raises(
        SpatialAlignError, match="needs several processes that share the pairs of a step equally"
    ):
        Trainer(model, pairs, SETTINGS, find_plan("sharded"), ranks=ranks)
