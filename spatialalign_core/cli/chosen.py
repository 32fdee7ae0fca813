"""What the options of several verbs choose: model, settings, workers."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SpatialAlignError
from .console import TERMINAL

if TYPE_CHECKING:
    from ..models.base import GenerateSettings, VideoModel
    from ..run.ray_workers import RayWorkers
    from ..train.settings import TrainSettings


def train_settings(options: argparse.Namespace) -> TrainSettings:
    """The preset with what was chosen in its place. SpatialAlignError for an unknown preset."""
    from ..train.settings import PRESETS

    if options.preset not in PRESETS:
        raise SpatialAlignError(
            f"There is no preset {options.preset!r}; choose one of: {', '.join(PRESETS)}."
        )
    names = (
        "steps", "learning_rate", "beta", "loss", "rank", "pairs_per_step", "seed", "checkpoint_every",
        "optimizer", "average", "targets", "warmup", "zo_weight",
    )  # fmt: skip
    chosen = {name: value for name in names if (value := getattr(options, f"train_{name}", None)) is not None}
    rate = chosen.pop("learning_rate", None)
    preset = PRESETS[options.preset]
    return replace(preset if rate is None else preset.at_rate(rate), **chosen)


def generate_settings(model: VideoModel, options: argparse.Namespace) -> GenerateSettings:
    """The model's own with what was chosen in its place. SpatialAlignError for what the model cannot make."""
    names = ("height", "width", "num_frames", "fps", "steps", "guidance_scale", "negative_prompt")
    return model.settings_with(
        {name: value for name in names if (value := getattr(options, name)) is not None}
    )


def load_model(options: argparse.Namespace) -> VideoModel:
    """Whole, on the device that was chosen."""
    from ..models.loading import load_video_model
    from ..models.quiet import quiet_libraries

    quiet_libraries()
    return told(load_video_model(options.model, options.device, expert=options.expert))


def told(model: VideoModel) -> VideoModel:
    """The model, after printing which files it was put together from, and what was left out or decided in doubt."""
    if "\n" in model.description or model.folder.is_file():
        print(model.description, file=TERMINAL)
    return model


def workers_of_options(options: argparse.Namespace) -> int | RayWorkers | None:
    """A number, Ray's, or None for as many as suit. SpatialAlignError for anything else."""
    from ..run.ray_workers import workers_of

    return None if options.workers is None else workers_of(options.workers)
