"""Inputs that several nodes have, so that they look and mean the same everywhere."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..spatialalign_core.detect.validity import DEFAULT, PUBLISHED, DetectionRule
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.run.planning import AUTO
from ..spatialalign_core.train.plans import PLANS
from ..spatialalign_core.train.settings import PRESETS
from . import places


def instead_of_zero(word: str, of: str = "", at: int = 0) -> dict[str, Any]:
    """`extra_dict` of a number whose 0 means something else: web/auto_widgets.js shows that word in its place.

    word: "auto", "off" or "all". of: where its effective value comes from, "video.steps" or "training.steps". at: 0, or
    -1 where 0 is a value like others and anything below it means the word.
    """
    return {"spatialalign_word": {"word": word, "of": of, "at": at}}


def advanced(given: io.Input) -> io.Input:
    """An input that ComfyUI folds away until it is asked for; 0.8.0 shows it like others."""
    given.advanced = True
    return given


def run_folder(default: str) -> io.String.Input:
    return io.String.Input(
        "run_folder",
        default=default,
        tooltip="Name of the run folder. Everything is saved in output/spatialalign/<name>.",
    )


def run_folder_version(name: str) -> Any:
    """For `fingerprint_inputs` of a node with that widget."""
    try:
        return places.version(places.run_folder(name))
    except SpatialAlignError:
        return 0  # execute says what is wrong with the name


def batch_size() -> io.Int.Input:
    return io.Int.Input(
        "batch_size",
        default=8,
        min=1,
        max=256,
        tooltip="Videos made at once; lower it if memory runs out.",
    )


def tau() -> io.Float.Input:
    return io.Float.Input(
        "tau",
        default=0.7,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip="A video obeys its prompt when its score is at least this value and it starts and ends "
        "where the prompt says.",
    )


def rule(default: DetectionRule = DEFAULT, optional: bool = False) -> io.Combo.Input:
    return io.Combo.Input(
        "rule",
        options=[DEFAULT.mode, PUBLISHED.mode],
        default=default.mode,
        optional=optional,
        tooltip="Which frames and videos are valid. 'default' tolerates short gaps and extra detections, "
        "but not things that jump or vanish; 'published' is the paper's rule.",
    )


def preset(tooltip: str) -> io.Combo.Input:
    return io.Combo.Input("preset", options=list(PRESETS), default="default", tooltip=tooltip)


def training_seed(tooltip: str) -> io.Int.Input:
    return io.Int.Input(
        "seed", default=0, min=0, max=2**32 - 1, control_after_generate=False, tooltip=tooltip
    )


def memory_plan(tooltip: str) -> io.Combo.Input:
    return io.Combo.Input("memory_plan", options=[AUTO, *PLANS], default=AUTO, optional=True, tooltip=tooltip)
