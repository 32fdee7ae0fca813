"""Inputs for how videos are made and how a LoRA is trained, and the settings that they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..spatialalign_core.models.base import GenerateSettings, VideoModel
from ..spatialalign_core.train.losses import LOSSES
from ..spatialalign_core.train.settings import PRESETS, TrainSettings
from .widgets import advanced, instead_of_zero

AUTO = "auto"
TARGETS = ("published", "wide")
_VIDEO = {"frames": "num_frames", "guidance": "guidance_scale"}
_TRAINING = {"regularisation": "zo_weight"}
_FROM_ZERO = ("regularisation", "warmup")  # 0 is a value of theirs like others
_OWN = "'auto' (0) uses the model's own value."
_PRESET = "'auto' ({0}) uses the preset's value."


def sampling() -> list[io.Input]:
    """Steps and guidance."""
    return [
        io.Int.Input(
            "steps",
            default=0,
            min=0,
            max=1000,
            tooltip=f"Sampling steps; {_OWN}",
            extra_dict=instead_of_zero("auto", "video.steps"),
        ),
        io.Float.Input(
            "guidance",
            default=0.0,
            min=0.0,
            max=30.0,
            step=0.1,
            tooltip=f"How strictly the prompt is followed (CFG); {_OWN}",
            extra_dict=instead_of_zero("auto", "video.guidance_scale"),
        ),
    ]


def video() -> list[io.Input]:
    """Size, length and negative prompt, folded away."""

    def number(name: str, most: int, tooltip: str) -> io.Input:
        of = f"video.{_VIDEO.get(name, name)}"
        return advanced(
            io.Int.Input(
                name,
                default=0,
                min=0,
                max=most,
                optional=True,
                tooltip=f"{tooltip} {_OWN}",
                extra_dict=instead_of_zero("auto", of),
            )
        )

    return [
        number("width", 8192, "Pixels; most models want multiples of 16."),
        number("height", 8192, "Pixels; most models want multiples of 16."),
        number("frames", 10_000, "Frames of a video, such as 4 times a whole number plus 1 for Wan."),
        advanced(
            io.Float.Input(
                "fps",
                default=0.0,
                min=0.0,
                max=240.0,
                step=0.5,
                optional=True,
                tooltip=f"Frame rate of the video file. {_OWN}",
                extra_dict=instead_of_zero("auto", "video.fps"),
            )
        ),
        advanced(
            io.String.Input(
                "negative_prompt",
                default=AUTO,
                multiline=True,
                optional=True,
                tooltip="What not to show, where guidance is above 1. 'auto' uses the model's own; empty is none.",
            )
        ),
    ]


def video_settings(model: VideoModel, chosen: Mapping[str, Any]) -> GenerateSettings:
    """The model's own with what those widgets say in their place. SpatialAlignError for what it cannot make."""
    given = {_VIDEO.get(name, name): value for name, value in chosen.items() if _is_given(name, value)}
    return model.settings_with(given)


def training_steps(tooltip: str) -> io.Input:
    return io.Int.Input(
        "steps",
        default=0,
        min=0,
        max=1_000_000,
        tooltip=f"{tooltip} {_PRESET.format(0)}",
        extra_dict=instead_of_zero("auto", "training.steps"),
    )


def learning_rate(optional: bool = False) -> io.Input:
    return io.Float.Input(
        "learning_rate",
        default=0.0,
        min=0.0,
        max=1.0,
        step=0.00001,
        round=0.0000001,
        optional=optional,
        tooltip=f"Learning rate. {_PRESET.format(0)}",
        extra_dict=instead_of_zero("auto", "training.learning_rate"),
    )


def training() -> list[io.Input]:
    """What is trained and how it is held, folded away."""

    def whole(name: str, most: int, tooltip: str, at: int = 0) -> io.Input:
        return advanced(
            io.Int.Input(
                name,
                default=at,
                min=at,
                max=most,
                optional=True,
                tooltip=f"{tooltip} {_PRESET.format(at)}",
                extra_dict=instead_of_zero("auto", f"training.{name}", at),
            )
        )

    def real(name: str, most: float, tooltip: str, at: int = 0) -> io.Input:
        of = f"training.{_TRAINING.get(name, name)}"
        return advanced(
            io.Float.Input(
                name,
                default=float(at),
                min=float(at),
                max=most,
                step=0.05,
                optional=True,
                tooltip=f"{tooltip} {_PRESET.format(at)}",
                extra_dict=instead_of_zero("auto", of, at),
            )
        )

    def choice(name: str, options: tuple[str, ...], tooltip: str) -> io.Input:
        return advanced(
            io.Combo.Input(
                name,
                options=[AUTO, *options],
                default=AUTO,
                optional=True,
                tooltip=f"{tooltip} 'auto' uses the preset's value.",
            )
        )

    return [
        whole("rank", 1024, "Rank of the LoRA: how much it can change."),
        real("beta", 1000.0, "DPO beta: how strongly winners are preferred to losers."),
        real(
            "regularisation",
            1000.0,
            "Weight of the regularisation term that keeps the model close to the original (lambda); 0 = off.",
            -1,
        ),
        whole("pairs_per_step", 4096, "Pairs per training step (batch size)."),
        choice(
            "targets",
            TARGETS,
            "Layers that are trained: 'published' those that read the text, 'wide' all attention and feed-forward too.",
        ),
        whole("warmup", 1_000_000, "Warm-up: steps until the full learning rate is reached.", -1),
        choice("loss", LOSSES, "Loss function: preference (dpo), regularisation (zo), winners only (sft)."),
    ]


def training_settings(preset: str, seed: int, chosen: Mapping[str, Any]) -> TrainSettings:
    """The preset with what those widgets say in its place. SpatialAlignError for a value that cannot be."""
    given = {_TRAINING.get(name, name): value for name, value in chosen.items() if _is_given(name, value)}
    rate = given.pop("learning_rate", None)
    settings = PRESETS[preset] if rate is None else PRESETS[preset].at_rate(rate)
    return replace(settings, seed=seed, **given)


def _is_given(name: str, value: Any) -> bool:
    """Whether a widget says something else than "auto"."""
    if isinstance(value, str):
        return value.strip() != AUTO
    return bool(value >= 0 if name in _FROM_ZERO else value > 0)
