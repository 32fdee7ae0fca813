"""Rounds: the model learns from its own better and worse videos again and again, until it gets no better."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from comfy_api.latest import io

from ..spatialalign_core.draw import Picture, curve
from ..spatialalign_core.report.text import percent, round_shares
from ..spatialalign_core.run.planning import AUTO
from ..spatialalign_core.run.round_log import Round
from ..spatialalign_core.run.rounds import RoundSettings
from ..spatialalign_core.run.uses import listed_name
from . import kept_workflow, setting_inputs, widgets
from .aliases import schema
from .driving import drive, watched
from .pictures import shown, to_image
from .places import check_list, list_for_load_lora, working_in
from .sockets import (
    CATEGORY,
    DetectorSocket,
    LoadedDetector,
    LoadedModel,
    RunSocket,
    RunSoFar,
    VideoModelSocket,
)

_SEEDS = 4  # where the run does not say


class Rounds(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_Rounds",
            display_name="Rounds",
            category=CATEGORY,
            description="Self-improvement: generates videos with the LoRA so far, scores them, continues "
            "training from that LoRA, and repeats until the held-out score stops rising. Keeps the best "
            "LoRA. You can cancel at any time: the next run continues where this one stopped.",
            inputs=[
                RunSocket.Input("run", tooltip="From Generate; the first round uses its videos."),
                VideoModelSocket.Input("video_model", tooltip="The model that made the videos."),
                DetectorSocket.Input("detector", tooltip="From Load Detector."),
                io.Int.Input("rounds", default=5, min=1, max=100, tooltip="Maximum number of rounds."),
                io.Int.Input(
                    "patience",
                    default=1,
                    min=1,
                    max=100,
                    tooltip="Stop after this many rounds without improvement of the held-out score.",
                ),
                io.Int.Input(
                    "seeds",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="New videos per training prompt in each round; 'auto' (0) makes as many as Generate.",
                    extra_dict=widgets.instead_of_zero("auto"),
                ),
                io.Int.Input(
                    "held_out_seeds",
                    default=3,
                    min=1,
                    max=1000,
                    tooltip="Videos per held-out prompt, to measure whether a round improved the model.",
                ),
                widgets.preset("As in Train Spatial LoRA."),
                setting_inputs.training_steps("Training steps of each round."),
                widgets.training_seed("Order of pairs and noise in training."),
                widgets.batch_size(),
                io.String.Input(
                    "lora_name",
                    default="spatialalign",
                    tooltip="File name of the best LoRA, without extension.",
                ),
                widgets.memory_plan("As in Train Spatial LoRA."),
                widgets.advanced(setting_inputs.learning_rate(optional=True)),
                *setting_inputs.training(),
            ],
            outputs=[
                RunSocket.Output("run_out", display_name="run", tooltip="For Evaluate."),
                io.String.Output(
                    "lora_name_out", display_name="lora_name", tooltip="Its name in the list of Load LoRA."
                ),
                io.Image.Output("rounds_chart", tooltip="The held-out score of each round."),
            ],
            hidden=kept_workflow.HIDDEN,
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        run: RunSoFar,
        video_model: LoadedModel,
        detector: LoadedDetector,
        rounds: int,
        patience: int,
        seeds: int,
        held_out_seeds: int,
        preset: str,
        steps: int,
        seed: int,
        batch_size: int,
        lora_name: str,
        memory_plan: str = AUTO,
        **chosen: Any,
    ) -> io.NodeOutput:
        lora_name = video_model.model.lora_name(lora_name)
        listed = listed_name(run.run.folder.name, lora_name)
        check_list(listed)
        training = setting_inputs.training_settings(preset, seed, {"steps": steps, **chosen})
        settings = RoundSettings(
            rounds,
            patience,
            seeds or run.seeds or _SEEDS,
            held_out_seeds,
            training,
            rule=run.rule,
            generation=run.settings,
            batch_size=batch_size,
        )
        finder, mask_tracker = watched(detector.detector, detector.mask_tracker)

        with working_in(run.run.folder):
            kept_workflow.keep(cls, run.run.folder)
            with contextlib.ExitStack() as using:
                using.enter_context(detector.in_use())
                model = using.enter_context(video_model.in_use(training=True))
                work = run.run.rounds(model, finder, settings, lora_name, mask_tracker, plan=memory_plan)
                node = cls.hidden.unique_id
                outcome = drive(work, node, "rounds")
            list_for_load_lora(run.run.lora_path(lora_name), listed)
        finished = run.run.finished_rounds()
        chart = to_image(_chart(finished))
        text = (
            f"{outcome.message}\n{_table(finished)}\nEach round: {training.in_words(video_model.model.width)}.\n"
            f"{outcome.warnings}\nOn Load LoRA's list as {listed}."
        )
        return io.NodeOutput(replace(run, lora=lora_name), listed, chart, ui=shown(cls, text))


def _chart(finished: Sequence[Round]) -> Picture:
    series = [
        ("score of held-out videos", [each.held_out_score for each in finished]),
        round_shares([asdict(each) for each in finished]),
    ]
    return curve(series, "Round by round", "round", counted=True)


def _table(finished: Sequence[Round]) -> str:
    name, shares = round_shares([asdict(each) for each in finished])
    return "\n".join(
        f"Round {each.number}: held-out score {each.held_out_score:.3f}, {name} {percent(share)}"
        + (f", learned from {each.pairs} pairs" if each.number else ", before any")
        for each, share in zip(finished, shares, strict=True)
    )
