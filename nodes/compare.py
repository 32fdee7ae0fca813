"""Compare: two LoRAs, or two strengths, or one and none, on the same prompts and the same noise."""

from __future__ import annotations

import contextlib

import numpy as np
from comfy_api.latest import io
from PIL import Image

from ..spatialalign_core.compare import ComparePlan, compare
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.run import Side
from ..spatialalign_core.run.comparing import comparison_folder, read_comparison
from . import widgets
from .aliases import schema
from .driving import drive, watched
from .pictures import shown, to_image
from .places import NO_LORA, OWN_LORA, lora_file, lora_names, working_in
from .sockets import (
    CATEGORY,
    DetectorSocket,
    LoadedDetector,
    LoadedModel,
    RunSocket,
    RunSoFar,
    VideoModelSocket,
)

SPLITS = {"held-out prompts": "held_out", "training prompts": "train", "all prompts": None}


class Compare(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_Compare",
            display_name="Compare",
            category=CATEGORY,
            description="Makes videos of the same prompts from the same noise with LoRA A and with LoRA B, "
            "or without a LoRA, scores both sides, plays them side by side, and draws one picture to share.",
            inputs=[
                RunSocket.Input("run", tooltip="From Generate, Train Spatial LoRA, or any node in between."),
                VideoModelSocket.Input("video_model", tooltip="The model that the LoRAs were trained on."),
                DetectorSocket.Input("detector", tooltip="From Load Detector."),
                *_side("a", NO_LORA),
                *_side("b", OWN_LORA),
                io.Combo.Input(
                    "split",
                    options=list(SPLITS),
                    default="held-out prompts",
                    tooltip="Which prompts to make videos of. Only held-out prompts show what a LoRA has "
                    "learned.",
                ),
                io.Int.Input("seeds", default=2, min=1, max=1000, tooltip="Videos per prompt on each side."),
                widgets.tau(),
                widgets.batch_size(),
            ],
            outputs=[
                io.Image.Output("picture", tooltip="The table and some videos in one picture, to share."),
                io.String.Output("picture_file", tooltip="Path of the same picture as a PNG file."),
                io.Float.Output("accuracy_a", tooltip="Share of A's videos with a score of at least tau."),
                io.Float.Output("accuracy_b", tooltip="Share of B's videos with a score of at least tau."),
                io.Float.Output("obey_a", tooltip="Share of A's videos that obey."),
                io.Float.Output("obey_b", tooltip="Share of B's videos that obey."),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        run: RunSoFar,
        video_model: LoadedModel,
        detector: LoadedDetector,
        lora_a: str,
        strength_a: float,
        lora_b: str,
        strength_b: float,
        split: str,
        seeds: int,
        tau: float,
        batch_size: int,
    ) -> io.NodeOutput:
        a, b = _chosen(run, lora_a, strength_a), _chosen(run, lora_b, strength_b)
        finder, mask_tracker = watched(detector.detector, detector.mask_tracker)
        plan = ComparePlan(SPLITS[split], seeds, tau, batch_size, run.settings, run.rule)
        message, warnings = "", []
        with working_in(run.run.folder):
            for part, stage in compare(run.run, video_model.model, finder, a, b, plan, mask_tracker):
                # One after the other: where memory is short, each may need the room of the other.
                with {"generate": video_model.in_use, "detect": detector.in_use}.get(
                    part, contextlib.nullcontext
                )():
                    outcome = drive(stage, cls.hidden.unique_id)
                message = outcome.message
                warnings.append(outcome.warnings)
        folder = comparison_folder(run.run, a, b)
        found = read_comparison(folder)
        with Image.open(folder / "picture.png") as file:
            picture = to_image(np.array(file.convert("RGB")))
        each = f"Each video: {run.settings or video_model.model.defaults}."
        said = shown(cls, "\n".join([message, each, *warnings, f"Picture: {folder / 'picture.png'}"]))
        said["spatialalign_comparison"] = ({"run": run.run.folder.name, "name": folder.name},)
        values = (float(found[figure][side]["value"]) for figure in ("accuracy", "obey") for side in "ab")
        return io.NodeOutput(picture, str(folder / "picture.png"), *values, ui=said)


def _side(letter: str, default: str) -> tuple[io.Input, io.Input]:
    side = letter.upper()
    return (
        io.Combo.Input(
            f"lora_{letter}",
            options=lora_names(OWN_LORA),
            default=default,
            tooltip=f"LoRA of side {side}. 'none': the model without a LoRA; 'of this run': the LoRA that "
            "Train Spatial LoRA made.",
        ),
        io.Float.Input(
            f"strength_{letter}",
            default=1.0,
            min=-4.0,
            max=4.0,
            step=0.05,
            tooltip=f"Strength of the LoRA of side {side}.",
        ),
    )


def no_own_lora() -> str:
    """What to say where side A or B wants a LoRA that the run has not."""
    return (
        "This run has no LoRA of its own yet; connect the run that comes out of Train Spatial LoRA, or choose a LoRA "
        "in lora_a and lora_b."
    )


def _chosen(run: RunSoFar, name: str, strength: float) -> Side:
    if name == NO_LORA:
        return Side()
    if name != OWN_LORA:
        return Side(lora_file(name), strength)
    if run.lora is None:
        raise SpatialAlignError(no_own_lora())
    return Side(run.run.lora_path(run.lora), strength)
