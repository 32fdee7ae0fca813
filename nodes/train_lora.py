"""Train Spatial LoRA: the model learns from pairs what obeying the prompt looks like."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..spatialalign_core.draw import Picture, curve
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.run.held_out import HeldOutCheck
from ..spatialalign_core.run.planning import AUTO
from ..spatialalign_core.run.training_log import HELD_OUT, read_training_log
from ..spatialalign_core.run.uses import listed_name
from . import kept_workflow, setting_inputs, widgets
from .aliases import schema
from .driving import drive, watched
from .pictures import shown, to_image
from .places import NO_LORA, check_list, list_for_load_lora, lora_file, lora_names, working_in
from .sockets import (
    CATEGORY,
    DetectorSocket,
    LoadedDetector,
    LoadedModel,
    RunSocket,
    RunSoFar,
    VideoModelSocket,
)

NO_DETECTOR = "check_every needs to find things in the held-out videos; connect a detector, or set it to 0."


class TrainLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_TrainLora",
            display_name="Train Spatial LoRA",
            category=CATEGORY,
            description="Trains a LoRA on the pairs (preference training, DPO). You can cancel at any time: "
            "the next run continues where this one stopped. The LoRA also appears in the list of ComfyUI's "
            "own Load LoRA.",
            inputs=[
                RunSocket.Input("run", tooltip="From Export Pairs."),
                VideoModelSocket.Input("video_model", tooltip="The model that made the videos."),
                widgets.preset(
                    "'default' learns much from few pairs; 'published' is the paper's recipe, meant for large "
                    "models and many pairs."
                ),
                setting_inputs.training_steps("Training steps."),
                setting_inputs.learning_rate(),
                widgets.training_seed("Order of pairs and noise."),
                io.String.Input(
                    "lora_name", default="spatialalign", tooltip="File name of the LoRA, without extension."
                ),
                widgets.memory_plan(
                    "How training fits into memory, from the fastest to the smallest plan; 'auto' uses the "
                    "fastest that fits, and a smaller one if the memory still runs out."
                ),
                io.Int.Input(
                    "check_every",
                    default=0,
                    min=0,
                    max=100_000,
                    optional=True,
                    tooltip="Steps between checks of a few held-out videos, which need a connected detector; the "
                    "LoRA with the best score is kept. 'off' (0) makes none.",
                    extra_dict=widgets.instead_of_zero("off"),
                ),
                io.Int.Input(
                    "patience",
                    default=0,
                    min=0,
                    max=1000,
                    optional=True,
                    tooltip="Stop after this many checks without improvement; 'off' (0) trains all steps.",
                    extra_dict=widgets.instead_of_zero("off"),
                ),
                DetectorSocket.Input(
                    "detector", optional=True, tooltip="From Load Detector; needed only for check_every."
                ),
                io.Combo.Input(
                    "continue_from",
                    options=lora_names(),
                    default=NO_LORA,
                    optional=True,
                    tooltip="Starts from this LoRA of the same model instead of a new one.",
                ),
                io.Boolean.Input(
                    "compile",
                    default=False,
                    optional=True,
                    tooltip="Compiles the model first (torch.compile): takes a minute or two, then each "
                    "step is faster.",
                ),
                *setting_inputs.training(),
            ],
            outputs=[
                RunSocket.Output("run_out", display_name="run", tooltip="For Evaluate."),
                io.String.Output(
                    "lora_name_out", display_name="lora_name", tooltip="Its name in the list of Load LoRA."
                ),
                io.Image.Output("loss_chart", tooltip="The loss over the steps."),
            ],
            hidden=kept_workflow.HIDDEN,
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        run: RunSoFar,
        video_model: LoadedModel,
        preset: str,
        steps: int,
        learning_rate: float,
        seed: int,
        lora_name: str,
        memory_plan: str = AUTO,
        check_every: int = 0,
        patience: int = 0,
        detector: LoadedDetector | None = None,
        continue_from: str = NO_LORA,
        compile: bool = False,
        **chosen: Any,
    ) -> io.NodeOutput:
        lora_name = video_model.model.lora_name(lora_name)
        listed = listed_name(run.run.folder.name, lora_name)
        beginning = lora_file(continue_from)
        if continue_from == listed:
            raise SpatialAlignError(f"{listed} cannot continue from itself; choose another lora_name.")
        check_list(listed)
        check = _held_out_check(run, check_every, patience, detector)
        settings = setting_inputs.training_settings(
            preset, seed, {"steps": steps, "learning_rate": learning_rate, **chosen}
        )
        node = cls.hidden.unique_id
        with working_in(run.run.folder):
            kept_workflow.keep(cls, run.run.folder)
            with contextlib.ExitStack() as using:
                if detector is not None and check is not None:
                    using.enter_context(detector.in_use())
                model = using.enter_context(video_model.in_use(training=True))
                work = run.run.train(
                    model,
                    settings,
                    lora_name,
                    check,
                    memory_plan,
                    continue_from=beginning,
                    compile=compile,
                )
                outcome = drive(work, node)
            list_for_load_lora(run.run.lora_path(lora_name), listed)
        trained = settings.in_words(video_model.model.width)
        text = f"{outcome.message}\n{trained}.\n{outcome.warnings}\nOn Load LoRA's list as {listed}."
        if model.expert is not None:
            text += (
                f"\nIt is for the {model.expert} network alone; choose the other one in Load Video Model and train "
                "again, and put each LoRA on its own model."
            )
        chart = to_image(_loss_chart(run.run.training_file))
        return io.NodeOutput(replace(run, lora=lora_name), listed, chart, ui=shown(cls, text))


def _held_out_check(
    run: RunSoFar, every: int, patience: int, detector: LoadedDetector | None
) -> HeldOutCheck | None:
    if detector is None:
        if every:
            raise SpatialAlignError(NO_DETECTOR)
        return None
    finder, mask_tracker = watched(detector.detector, detector.mask_tracker)
    return HeldOutCheck(
        finder, every, patience, rule=run.rule, mask_tracker=mask_tracker, settings=run.settings
    )


def _loss_chart(log: Path) -> Picture:
    """`log` holds every step, those before a pause too."""
    rows = read_training_log(log)
    title = f"Training, step {rows[-1]['step']:.0f} of {rows[-1]['total']:.0f}" if rows else "Training"
    series = [("loss of each step", [row["loss"] for row in rows])]
    if any(HELD_OUT[0] in row for row in rows):
        series.append(("score of held-out videos", _held(rows)))
    return curve(series, title, "step")


def _held(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """The last score known at each step; nothing before the first."""
    scores, last = [], math.nan
    for row in rows:
        last = row.get(HELD_OUT[0], last)
        scores.append(last)
    return scores
