"""The verbs of training: the LoRA, rounds of it, and talking to one that runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SpatialAlignError
from .chosen import generate_settings, load_model, told, train_settings, workers_of_options
from .console import drive

if TYPE_CHECKING:
    import torch

    from ..models.base import VideoModel
    from ..progress import Progress
    from ..run.held_out import HeldOutCheck


def train(options: argparse.Namespace) -> int:
    """Train the LoRA."""
    import torch

    from ..pairs import load_pairs
    from ..run import Run
    from ..train.ranks import device_of_launcher, ranks_of_launcher

    run = Run(options.run)
    settings = train_settings(options)
    run.lora_path(options.name)  # a name that cannot be one and missing pairs are told before a model loads
    pairs = load_pairs(run.pairs_folder)
    run.check_places("lora")
    device = device_of_launcher(
        torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    )
    if options.plans:
        from ..run.planning import all_plans

        for each in all_plans(options.model, pairs, settings, device):
            print(each)
        return 0
    ranks = ranks_of_launcher(device)
    check = _held_out_check(options) if ranks.leads else None
    model = _load_for_training(options, device, whole=check is not None)
    stage = run.train(
        model,
        settings,
        options.name,
        check,
        options.plan,
        None if options.memory is None else int(options.memory * 2**30),
        device,
        options.tensorboard,
        Path(options.continue_from) if options.continue_from else None,
        ranks,
        options.compile,
    )
    code = drive(stage, run.lora_path(model.lora_name(options.name))) if ranks.leads else _follow(stage)
    ranks.leave()
    return code


def _follow(stage: Iterator[Progress]) -> int:
    """Silently: the leading process shows everything, and Ctrl-C is for it to handle."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _ in stage:
        pass
    return 0


def _load_for_training(options: argparse.Namespace, device: torch.device, whole: bool) -> VideoModel:
    """Alone, the transformer starts in the computer's memory; the training moves what the plan wants on the device."""
    from ..models.loading import load_video_model
    from ..models.quiet import quiet_libraries
    from ..run.planning import usual_dtype

    quiet_libraries()
    if whole:
        return told(load_video_model(options.model, device, expert=options.expert))
    return told(
        load_video_model(
            options.model, "cpu", usual_dtype(device), expert=options.expert, transformer_only=True
        )
    )


def _held_out_check(options: argparse.Namespace) -> HeldOutCheck | None:
    if not options.check_every and options.detector is None:
        return None
    from ..detect.loading import load_detector
    from ..run.held_out import HeldOutCheck

    detector = load_detector(options.detector or "pocket")
    return HeldOutCheck(detector, options.check_every, options.patience, options.check_prompts)


def rounds(options: argparse.Namespace) -> int:
    """Let the model learn from its own videos again and again."""
    from ..detect.loading import load_detector
    from ..detect.validity import find_rule
    from ..run import Run
    from ..run.ray_workers import RayWorkers
    from ..run.rounds import RoundSettings

    run = Run(options.run)
    run.prompts("held_out")  # missing prompts and read-only places are told before a model loads
    run.lora_path(options.name)
    run.check_places("samples", "tracks", "pairs", "lora", "rounds")
    settings = RoundSettings(
        options.rounds,
        options.patience,
        options.seeds,
        options.held_out_seeds,
        train_settings(options),
        rule=find_rule(options.rule),
        batch_size=options.batch,
    )
    workers = workers_of_options(options)
    model = load_model(options)
    settings = replace(settings, generation=generate_settings(model, options))
    if isinstance(workers, RayWorkers):
        workers = replace(workers, detector=options.detector)
    detector = load_detector(options.detector)
    stage = run.rounds(model, detector, settings, options.name, None, workers, options.plan)
    code = drive(stage, run.lora_path(options.name))
    if code == 0:
        print(json.dumps([asdict(each) for each in run.finished_rounds()]))
    return code


def control(options: argparse.Namespace) -> None:
    """Talk to a training that runs."""
    from ..run import Run
    from ..run.control import ACTIONS
    from ..run.training_view import AT_WORK, training_state

    run = Run(options.run)
    if options.action in ACTIONS and run.folder.is_dir() and training_state(run) not in AT_WORK:
        raise SpatialAlignError(
            f"No training works in {run.folder} now, so it cannot {options.action}; start it with the verb train."
        )
    run.control.ask(options.action)
    print(json.dumps(run.control.state()))
