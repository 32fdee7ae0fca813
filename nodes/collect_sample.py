"""Collect Sample: a video from any sampler, kept in a run folder as if Generate had made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from comfy_api.latest import io

from ..spatialalign_core.best import split_clips
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.prompts import DsrPrompt
from ..spatialalign_core.run import Run
from . import kept_workflow, previews, widgets
from .aliases import schema
from .pictures import frames_of, shown
from .places import run_folder, working_in
from .sentences import understood
from .sockets import CATEGORY, PromptsSocket, RunSocket, RunSoFar
from .video_input import frames_and_rate


class CollectSample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_CollectSample",
            display_name="Collect Sample",
            category=CATEGORY,
            description="Saves a video from any workflow in a run folder, with its prompt and seed. "
            "Continue with Detect, Score, Export Pairs and Train Spatial LoRA, as after Generate. Queue it "
            "many times to collect many videos.",
            inputs=[
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The frames, for example from VAE Decode. Connect this or a video.",
                ),
                io.Video.Input("video", optional=True, tooltip="A video, instead of images."),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="The sampler's latents of these frames: exact, and Export Pairs need not encode "
                    "the frames.",
                ),
                PromptsSocket.Input(
                    "prompts",
                    optional=True,
                    tooltip="One prompt, from Prompt from Sentence. Or write a sentence.",
                ),
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="",
                    tooltip="The prompt that the video was made from, if prompts is not connected.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**63 - 1,
                    control_after_generate=False,
                    tooltip="The sampler's seed: connect both to one Int node. It distinguishes the videos "
                    "of a prompt.",
                ),
                io.Int.Input(
                    "clips",
                    default=1,
                    min=1,
                    max=4096,
                    tooltip="Number of videos in the batch: the batch_size of the empty latent.",
                ),
                io.Float.Input(
                    "fps",
                    default=16.0,
                    min=0.1,
                    max=240.0,
                    step=0.1,
                    tooltip="Frames per second of the images; a video brings its own.",
                ),
                widgets.run_folder("collected"),
            ],
            outputs=[
                RunSocket.Output("run", tooltip="For Detect: all videos of the run folder."),
                io.Int.Output("collected", tooltip="Number of videos in the run folder."),
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
        sentence: str,
        seed: int,
        clips: int,
        fps: float,
        run_folder: str,
        images: torch.Tensor | None = None,
        video: Any | None = None,
        latent: Mapping[str, Any] | None = None,
        prompts: Sequence[DsrPrompt] | None = None,
    ) -> io.NodeOutput:
        run = Run(_folder(run_folder))
        prompt = _prompt(prompts, sentence)
        if video is not None and images is None:
            frames, fps = frames_and_rate(video)
        else:
            frames = frames_of(images, video, "Collect Sample")
        batch = split_clips(frames, clips)
        latents = _latents(latent, clips)
        outcomes = []
        with working_in(run.folder):
            for index, clip in enumerate(batch):
                # The clips of a batch share the sampler's seed; so every one has a number of its own, whatever follows.
                number = seed if clips == 1 else seed * clips + index
                outcomes.append(
                    run.collect(prompt, number, clip, fps, None if latents is None else latents[index])
                )
            kept_workflow.keep(cls, run.folder)
        count = len(run.samples("base", prompt.split))
        words = ", ".join(f"{outcomes.count(each)} {each}" for each in dict.fromkeys(outcomes))
        text = (
            f"{words}; {count} videos in {run.folder}.\nPrompt {prompt.id}, seed {seed}, {len(batch[0])} frames, "
            + (
                "with latents."
                if latents is not None
                else "without latents: Export Pairs encodes the frames."
            )
        )
        so_far = RunSoFar(run, prompt.split, None, None)
        return io.NodeOutput(so_far, count, ui={**shown(cls, text), **previews.of_run(so_far, prompt.id)})


_folder = run_folder  # the widget of that name hides the function inside the class


def _prompt(prompts: Sequence[DsrPrompt] | None, sentence: str) -> DsrPrompt:
    if prompts is None:
        return understood(sentence)
    if len(prompts) != 1:
        raise SpatialAlignError(
            f"Collect Sample takes the one prompt that made the video, and {len(prompts)} are connected; connect "
            "Prompt from Sentence, or write the sentence."
        )
    return prompts[0]


def _latents(latent: Mapping[str, Any] | None, clips: int) -> torch.Tensor | None:
    """(N, C, F', H', W'), or None."""
    if latent is None:
        return None
    samples = latent["samples"]
    if getattr(samples, "is_nested", False):  # video with sound: the video comes first
        samples = samples.unbind()[0]
    if samples.ndim != 5 or len(samples) != clips:
        raise SpatialAlignError(
            f"The latents have the shape {tuple(samples.shape)} and should be those of {clips} videos (batch, "
            "channels, frames, height, width); set 'clips' to the batch size, or leave the latents away."
        )
    return samples
