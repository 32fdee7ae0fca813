"""Generate: several videos of every prompt, kept in a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from comfy_api.latest import io

from ..spatialalign_core.draw import contact_sheet
from ..spatialalign_core.plan import GenerateOptions, Memory
from ..spatialalign_core.prompts import DsrPrompt
from ..spatialalign_core.run import Run
from ..spatialalign_core.video import read_video
from . import kept_workflow, previews, setting_inputs, widgets
from .aliases import schema
from .driving import drive
from .pictures import shown, strip, to_image
from .places import run_folder, working_in
from .sockets import CATEGORY, LoadedModel, PromptsSocket, RunSocket, RunSoFar, VideoModelSocket

SPLITS = {"training prompts": "train", "held-out prompts": "held_out", "all prompts": None}
_MEMORY: dict[str, Memory] = {"auto": "auto", "all on the card": "card", "one part at a time": "parts"}
_SHOWN = 4  # prompts on the contact sheet


class Generate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_Generate",
            display_name="Generate",
            category=CATEGORY,
            description="Makes several videos of every prompt and saves them, with their latents, in a run "
            "folder. Existing videos are not made again.",
            inputs=[
                VideoModelSocket.Input("video_model", tooltip="From Load Video Model."),
                PromptsSocket.Input("prompts", tooltip="From Prompt Set or Prompt from Sentence."),
                widgets.run_folder("quickstart"),
                io.Combo.Input(
                    "split",
                    options=list(SPLITS),
                    default="training prompts",
                    tooltip="Which prompts to make videos of. Evaluate makes the videos of the held-out "
                    "prompts itself.",
                ),
                io.Int.Input("seeds", default=4, min=1, max=1000, tooltip="Videos per prompt."),
                widgets.batch_size(),
                *setting_inputs.sampling(),
                io.Combo.Input(
                    "memory",
                    options=list(_MEMORY),
                    default="auto",
                    optional=True,
                    tooltip="'one part at a time' keeps only the part in use in GPU memory: text encoder, "
                    "then transformer, then VAE. 'auto' does so if the whole model does not fit.",
                ),
                io.Boolean.Input(
                    "compile",
                    default=False,
                    optional=True,
                    tooltip="Compiles the model first (torch.compile): takes a minute or two, then each "
                    "video is faster. Useful for more than a few dozen videos.",
                ),
                *setting_inputs.video(),
            ],
            outputs=[
                RunSocket.Output("run", tooltip="For Detect."),
                io.Image.Output("preview", tooltip="The first videos, some frames of each in a row."),
            ],
            hidden=kept_workflow.HIDDEN,
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, run_folder: str, **_: Any) -> Any:
        return widgets.run_folder_version(run_folder)

    @classmethod
    def execute(
        cls,
        video_model: LoadedModel,
        prompts: Sequence[DsrPrompt],
        run_folder: str,
        split: str,
        seeds: int,
        batch_size: int,
        steps: int,
        guidance: float,
        memory: str = "auto",
        compile: bool = False,
        **chosen: Any,
    ) -> io.NodeOutput:
        run = Run(_folder(run_folder))
        settings = setting_inputs.video_settings(
            video_model.model, {"steps": steps, "guidance": guidance, **chosen}
        )
        with working_in(run.folder), video_model.in_use() as model:
            so_far = RunSoFar(run, SPLITS[split], seeds, settings)
            run.write_prompts(prompts)
            kept_workflow.keep(cls, run.folder)
            options = GenerateOptions(_MEMORY[memory], compile=compile)
            work = run.generate(
                model, seeds, so_far.split, settings=settings, batch_size=batch_size, options=options
            )
            warnings = drive(work, cls.hidden.unique_id).warnings
        made = len(run.samples("base", so_far.split, seeds))
        text = f"{made} videos in {run.folder}.\nEach video: {settings}.\n{warnings}"
        return io.NodeOutput(
            so_far, to_image(_preview(so_far)), ui={**shown(cls, text), **previews.of_run(so_far)}
        )


_folder = run_folder  # the widget of that name hides the function inside the class


def _preview(so_far: RunSoFar) -> np.ndarray:
    rows = []
    for prompt in so_far.run.prompts(so_far.split)[:_SHOWN]:
        frames, _ = read_video(so_far.run.video_path("base", prompt.id, 0))
        rows.append((prompt.text, strip(frames)))
    return contact_sheet(rows)
