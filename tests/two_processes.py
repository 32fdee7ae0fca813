"""What the processes of a training of two do in the tests; each is forked from a server that has the imports done."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.run import Run
from spatialalign_core.run import training as training_module
from spatialalign_core.train import trainer as trainer_module
from spatialalign_core.train.plans import find_plan
from spatialalign_core.train.preflight import Estimate
from spatialalign_core.train.ranks import Ranks
from spatialalign_core.train.settings import DEFAULT
from spatialalign_core.train.step import pair_loss

SETTINGS = replace(
    DEFAULT, steps=4, rank=2, alpha=2.0, pairs_per_step=5, warmup=0, checkpoint_every=2, average=0.5,
    noise="separate", zo_weight=5.0,
)  # fmt: skip


def no_preflight() -> None:
    """Half a second each time; test_memory looks after it."""

    def chosen(*arguments: Any, **named: Any) -> Estimate:
        return Estimate(find_plan("fast" if arguments[4] == "auto" else arguments[4]), 0, 0)

    training_module.plan_training = chosen  # type: ignore[assignment]


def process(index: int, folder: Path, model_folder: Path, scenarios: list[dict[str, Any]]) -> None:
    """One of two. Each scenario: `run`, a folder of that name, and what happens to whom.

    killed: (index, step) dies after that step. stopped: the leader stops after that step. full: (index, step) runs out
    of memory once. plan: the memory plan. pairs: pairs a step. What it ends with lies in <run>.<index>.
    """
    torch.set_num_threads(1)
    no_preflight()
    model = load_video_model(model_folder, "cpu")
    for number, scenario in enumerate(scenarios):
        name = scenario["run"]
        ranks = Ranks.connect(index, 2, torch.device("cpu"), f"file://{folder}/{name}.{number}.store")
        _full_at(scenario.get("full"), index)
        settings = replace(SETTINGS, pairs_per_step=scenario.get("pairs", SETTINGS.pairs_per_step))
        said = "done"
        stage = Run(folder / name).train(model, settings, plan=scenario.get("plan", "auto"), ranks=ranks)
        try:
            for item in stage:
                stepped = index == 1 or item.values is not None
                if stepped and scenario.get("killed") == (index, item.done):
                    os.kill(os.getpid(), signal.SIGKILL)
                if stepped and index == 0 and scenario.get("stopped") == item.done:
                    stage.close()  # type: ignore[attr-defined]
                if item.warning:
                    said = item.message
        except SpatialAlignError as error:
            said = str(error)
        (folder / f"{name}.{index}").write_text(said)
        if "lost each other" in said:
            os._exit(0)  # nobody to take leave of
        ranks.leave()
        if scenario.get("plan") == "sharded":  # which leaves no whole model
            model = load_video_model(model_folder, "cpu")


def _full_at(who: tuple[int, int] | None, index: int) -> None:
    calls = []

    def loss(*arguments: Any) -> Any:
        calls.append(1)
        if who is not None and who == (index, len(calls)):
            raise torch.OutOfMemoryError("out of memory")
        return pair_loss(*arguments)

    trainer_module.pair_loss = loss


def two_processes(folder: Path, model_folder: Path, scenarios: list[dict[str, Any]]) -> list[int | None]:
    """Run the scenarios one after the other in two processes; their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "diffusers", "transformers", "peft"])
    both = [context.Process(target=process, args=(n, folder, model_folder, scenarios)) for n in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(300)
        each.kill()
    return [each.exitcode for each in both]
