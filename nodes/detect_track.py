"""Detect & Track: where subject and object are in every frame of any video, or of boxes and masks found elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..spatialalign_core.detect.box_formats import AUTO
from ..spatialalign_core.detect.others import with_others
from ..spatialalign_core.detect.tracker import detect_track
from ..spatialalign_core.detect.validity import find_rule
from ..spatialalign_core.draw_tracks import Drawing, draw_tracks
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.score import score_track
from ..spatialalign_core.summary import describe_score, describe_track
from . import external_detections, widgets
from .aliases import schema
from .driving import watched
from .external_detections import External, understood_text
from .pictures import frames_of, shown
from .previews import shrunk
from .score_chart import chart_of, rate_of
from .sentences import understood
from .sockets import CATEGORY, DetectorSocket, LoadedDetector, TrackSocket

_NAME = "Detect & Track"
_PREVIEW = Drawing(shortest=256)


class DetectTrack(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_DetectTrack",
            display_name=_NAME,
            category=CATEGORY,
            description="Finds and tracks two things in every frame of any video, and shows which frames "
            "are valid. It also takes boxes or masks from other nodes.",
            inputs=[
                DetectorSocket.Input(
                    "detector", optional=True, tooltip="From Load Detector. Not needed with boxes or masks."
                ),
                io.Image.Input(
                    "images", optional=True, tooltip="The frames in order. Connect this or a video."
                ),
                io.Video.Input("video", optional=True, tooltip="A video, instead of images."),
                *external_detections.sockets(),
                io.String.Input("subject", default="fox", tooltip="What moves, in one or a few words."),
                io.String.Input("object", default="box", tooltip="What it moves around."),
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="",
                    tooltip="If given, subject and object are taken from it, not from the two words: 'a fox "
                    "is on the left of a box, then it jumps to the right of the box'.",
                ),
                widgets.rule(),
                io.Boolean.Input(
                    "keep_masks",
                    default=True,
                    tooltip="Keeps the masks in the track, if there are any; off saves memory with long "
                    "clips.",
                ),
                external_detections.box_format(),
            ],
            outputs=[
                TrackSocket.Output("track", tooltip="For Draw Tracks."),
                io.Boolean.Output("valid", tooltip="Whether the video is valid."),
                io.String.Output("summary", tooltip="What was found, as text."),
                io.Float.Output(
                    "score",
                    tooltip="DSR-Score of the sentence, 0 to 1; 0 without a sentence, and if the video "
                    "cannot be scored.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            # It shows what it found: also where nothing follows, and again after a reload, from ComfyUI's cache.
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        subject: str,
        object: str,
        sentence: str,
        rule: str,
        keep_masks: bool,
        detector: LoadedDetector | None = None,
        images: torch.Tensor | None = None,
        video: Any | None = None,
        subject_mask: torch.Tensor | None = None,
        object_mask: torch.Tensor | None = None,
        subject_boxes: Any | None = None,
        object_boxes: Any | None = None,
        box_format: str = AUTO,
    ) -> io.NodeOutput:
        words = _words(subject, object, sentence)
        external = External(subject_mask, object_mask, subject_boxes, object_boxes)
        masks = external.masks(_NAME)
        if masks and images is None and video is None:
            frames = _blank(masks)  # masks say all
        else:
            frames = frames_of(images, video, _NAME)
        loaded = external.detector(_NAME, words, frames, box_format, detector)
        finder, mask_tracker = watched(
            loaded.detector, loaded.mask_tracker, cls.hidden.unique_id, len(frames)
        )
        rate = rate_of(video)
        with loaded.in_use():
            track = detect_track(finder, frames, *words, find_rule(rule), keep_masks, mask_tracker, rate)
        track = with_others(track, finder.found)
        text = describe_track(track) + understood_text(loaded)
        prompt = understood(sentence) if sentence.strip() else None
        score = None if prompt is None else score_track(track, prompt.change)
        if prompt is not None and score is not None:
            text += f"\n{describe_score(prompt, track, score)}"
        small = np.stack([shrunk(frame, len(frames)) for frame in frames])
        chart = chart_of(
            draw_tracks(small, track, drawing=_PREVIEW),
            track,
            None if prompt is None else prompt.change,
            score,
            rate,
        )
        return io.NodeOutput(
            track,
            track.reason is None,
            text,
            score.dsr if score is not None and score.dsr is not None else 0.0,
            ui={**shown(cls, text), **chart},
        )


def no_words() -> str:
    """What to say where there is nothing to look for."""
    return f"Write a subject and an object into {_NAME}, or a sentence that names both."


def _words(subject: str, object: str, sentence: str) -> tuple[str, str]:
    if sentence.strip():
        prompt = understood(sentence)
        return prompt.subject, prompt.object
    words = subject.strip(), object.strip()
    if not all(words):
        raise SpatialAlignError(no_words())
    return words


def _blank(masks: tuple[torch.Tensor, torch.Tensor]) -> np.ndarray:
    """Black frames for these masks; they take no memory."""
    if any(mask.ndim != 3 for mask in masks):
        raise SpatialAlignError(f"Masks must be frames x height x width, got {tuple(masks[0].shape)}.")
    longer = max(masks, key=len)
    return np.broadcast_to(np.uint8(0), (*longer.shape, 3))
