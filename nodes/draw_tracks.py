"""Draw Tracks: a track drawn into its frames, to look at and to make a video of."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io

from ..spatialalign_core.draw_tracks import Drawing, draw_tracks
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.score import score_track
from ..spatialalign_core.tracks import Track
from . import widgets
from .aliases import schema
from .pictures import frames_of
from .previews import shrunk
from .score_chart import chart_of, rate_of
from .sentences import understood
from .sockets import CATEGORY, TrackSocket


class DrawTracks(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_DrawTracks",
            display_name="Draw Tracks",
            category=CATEGORY,
            description="Draws the detections into the frames: boxes, masks, the subject's trail, how much "
            "each relation holds, and on frames that are not valid the reason.",
            inputs=[
                TrackSocket.Input("track", tooltip="From Detect & Track."),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The frames that the track belongs to. Connect this or a video.",
                ),
                io.Video.Input("video", optional=True, tooltip="The track's video, instead of images."),
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="",
                    tooltip="If given, a panel below the picture shows how much its first and its last "
                    "relation hold in every frame.",
                ),
                io.Boolean.Input("boxes", default=True, tooltip="Draws the boxes with their labels."),
                io.Boolean.Input("masks", default=True, tooltip="Tints each mask, if the track has masks."),
                io.Int.Input(
                    "trail",
                    default=24,
                    min=0,
                    max=10_000,
                    tooltip="Trail length in frames; 'off' (0) draws none.",
                    extra_dict=widgets.instead_of_zero("off"),
                ),
            ],
            outputs=[
                io.Image.Output(
                    "images_out", display_name="images", tooltip="For Create Video or Preview Image."
                )
            ],
            hidden=[io.Hidden.unique_id],
            # It shows what it found: also where nothing follows, and again after a reload, from ComfyUI's cache.
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        track: Track,
        sentence: str,
        boxes: bool,
        masks: bool,
        trail: int,
        images: torch.Tensor | None = None,
        video: Any | None = None,
    ) -> io.NodeOutput:
        change = None
        if sentence.strip():
            prompt = understood(sentence)
            if (prompt.subject, prompt.object) != (track.subject, track.object):
                raise SpatialAlignError(
                    f"The sentence is about {prompt.subject!r} and {prompt.object!r}, the track about "
                    f"{track.subject!r} and {track.object!r}; write the same sentence into both nodes."
                )
            change = prompt.change
        frames = frames_of(images, video, "Draw Tracks")
        drawn: torch.Tensor | None = None
        small: list[np.ndarray] = []
        bar = comfy.utils.ProgressBar(len(frames), node_id=cls.hidden.unique_id)
        for index, picture in enumerate(
            draw_tracks(frames, track, change, Drawing(boxes=boxes, masks=masks, trail=trail))
        ):
            comfy.model_management.throw_exception_if_processing_interrupted()
            if drawn is None:
                drawn = torch.empty((len(frames), *picture.shape))
            drawn[index] = torch.from_numpy(picture.copy()).float() / 255
            small.append(shrunk(picture, len(frames)))
            bar.update(1)
        score = None if change is None else score_track(track, change)
        return io.NodeOutput(drawn, ui=chart_of(small, track, change, score, rate_of(video)))
