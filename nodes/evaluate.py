"""Evaluate: the model as it is and with the trained LoRA, on prompts that training never saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
from comfy_api.latest import io

from ..spatialalign_core.draw import contact_sheet
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.progress import Progress
from ..spatialalign_core.report.text import obeys_when, percent
from ..spatialalign_core.run import SETS
from ..spatialalign_core.video import read_video
from . import widgets
from .aliases import schema
from .driving import drive, watched
from .pictures import shown, strip, to_image
from .places import working_in
from .sockets import (
    CATEGORY,
    DetectorSocket,
    LoadedDetector,
    LoadedModel,
    RunSocket,
    RunSoFar,
    VideoModelSocket,
)

NO_LORA = "There is no LoRA to evaluate; connect the run that comes out of Train Spatial LoRA."
_HELD_OUT = "held_out"
_SHOWN = 4  # pairs of videos on the contact sheet


class Evaluate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_Evaluate",
            display_name="Evaluate",
            category=CATEGORY,
            description="Generates videos of the held-out prompts without and with the trained LoRA, from "
            "the same noise, scores both, and writes a report to open in a browser.",
            inputs=[
                RunSocket.Input("run", tooltip="From Train Spatial LoRA."),
                VideoModelSocket.Input("video_model", tooltip="The model that the LoRA was trained on."),
                DetectorSocket.Input("detector", tooltip="From Load Detector."),
                io.Int.Input(
                    "seeds",
                    default=5,
                    min=1,
                    max=1000,
                    tooltip="Videos per held-out prompt, both without and with the LoRA.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=4.0,
                    step=0.05,
                    tooltip="Strength of the LoRA.",
                ),
                widgets.tau(),
                widgets.batch_size(),
            ],
            outputs=[
                io.String.Output(
                    "report", tooltip="Path of report.html; it opens in any browser, without network."
                ),
                io.Float.Output(
                    "accuracy_before",
                    tooltip="Share of videos with a score of at least tau, without the LoRA.",
                ),
                io.Float.Output(
                    "accuracy_after", tooltip="Share of videos with a score of at least tau, with the LoRA."
                ),
                io.Image.Output(
                    "preview", tooltip="Videos of the base and with LoRA, some frames of each in a row."
                ),
                io.Float.Output("obey_before", tooltip="Share of videos that obey, without the LoRA."),
                io.Float.Output("obey_after", tooltip="Share of videos that obey, with the LoRA."),
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
        seeds: int,
        strength: float,
        tau: float,
        batch_size: int,
    ) -> io.NodeOutput:
        if run.lora is None:
            raise SpatialAlignError(NO_LORA)
        folder, node = run.run.part_of("evaluation"), cls.hidden.unique_id
        lora = folder.lora_path(run.lora)
        finder, mask_tracker = watched(detector.detector, detector.mask_tracker)
        chosen = run.settings or video_model.model.defaults

        def show(work: Iterator[Progress]) -> None:
            drive(work, node)

        with working_in(folder.folder):
            folder.check_evaluation(video_model.model, finder, lora, seeds, chosen, _HELD_OUT)
            for each, adapter in zip(SETS, (None, lora), strict=True):
                # One after the other: where memory is short, each may need the room of the other.
                with video_model.in_use() as model:
                    work = folder.generate(
                        model, seeds, _HELD_OUT, each, chosen, batch_size, adapter, strength
                    )
                    show(work)
                with detector.in_use():
                    work = folder.detect(finder, each, _HELD_OUT, run.rule, seeds, mask_tracker=mask_tracker)
                    show(work)
                show(folder.score(each, _HELD_OUT, seeds))
            settings = {
                **asdict(chosen),
                "model": video_model.name,
                "LoRA": run.lora,
                "strength": strength,
            }
            outcome = drive(folder.evaluate(tau, _HELD_OUT, seeds, settings=settings), node)
        summary = json.loads(folder.report_json.read_text(encoding="utf-8"))
        before, after, obey_before, obey_after = (
            float(summary[name]) for name in ("base", "aligned", "obey_base", "obey_aligned")
        )
        text = (
            f"Videos that obey: {percent(obey_before)} base, {percent(obey_after)} with LoRA. A video obeys "
            f"when {obeys_when(tau)}.\n"
            f"{outcome.message}\nEach video: {chosen}.\n{outcome.warnings}\nReport: {folder.report_html}"
        )
        preview = to_image(_preview(run, seeds))
        return io.NodeOutput(
            *(str(folder.report_html), before, after, preview, obey_before, obey_after),
            ui={
                **shown(cls, text),
                "spatialalign_evaluation": ({"run": folder.folder.name, "warnings": outcome.warnings},),
            },
        )


def _preview(run: RunSoFar, seeds: int) -> np.ndarray:
    """The pairs of videos that training changed most for the better, at most one a prompt."""
    scores = [
        {key: score.dsr or 0.0 for key, score in run.run.scores(each, _HELD_OUT).items()} for each in SETS
    ]
    gains: dict[str, tuple[float, int]] = {}
    for prompt_id, seed in sorted(scores[0].keys() & scores[1].keys()):
        if seed < seeds:
            gain = scores[1][prompt_id, seed] - scores[0][prompt_id, seed]
            gains[prompt_id] = max(gains.get(prompt_id, (-2.0, 0)), (gain, -seed))
    texts = {prompt.id: prompt.text for prompt in run.run.prompts(_HELD_OUT)}
    rows = []
    for prompt_id in sorted(gains, key=lambda each: gains[each], reverse=True)[:_SHOWN]:
        seed = -gains[prompt_id][1]
        for each, table, word in zip(SETS, scores, ("base", "with LoRA"), strict=True):
            score = f"{word}, score {table[prompt_id, seed]:.2f}"
            words = f"{texts[prompt_id]} ({score})" if each == SETS[0] else score
            frames, _ = read_video(run.run.video_path(each, prompt_id, seed))
            rows.append((words, strip(frames)))
    return contact_sheet(rows)
