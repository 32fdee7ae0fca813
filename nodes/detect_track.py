"""Detect & Track: where subject and object are in every frame of any video, or of boxes and masks found elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..spatialalign_core.detect.given import given_boxes, given_masks
from ..spatialalign_core.detect.tracker import detect_track
from ..spatialalign_core.detect.validity import find_rule
from ..spatialalign_core.draw_tracks import Drawing, draw_tracks
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.score import score_track
from ..spatialalign_core.summary import describe_track
from ..spatialalign_core.tracks import Track
from . import widgets
from .driving import watched
from .pictures import frames_of, shown
from .score_chart import chart_of, rate_of, shrunk
from .sentences import understood
from .sockets import CATEGORY, BoxesSockets, DetectorSocket, LoadedDetector, TrackSocket

_NAME = "Detect & Track"
_PREVIEW = Drawing(shortest=256)


class DetectTrack(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        given = "Needs the same for the other thing; then no detector is asked."
        return io.Schema(
            node_id="SpatialAlign_DetectTrack",
            display_name=_NAME,
            category=CATEGORY,
            description="Finds two things in every frame of any video, follows them, and says which frames count. "
            "Takes boxes or masks from other nodes too.",
            inputs=[
                DetectorSocket.Input(
                    "detector", optional=True, tooltip="From Load Detector. Not needed with boxes or masks."
                ),
                io.Image.Input(
                    "images", optional=True, tooltip="The frames in order. Connect this or a video."
                ),
                io.Video.Input("video", optional=True, tooltip="A video, instead of images."),
                io.Mask.Input("subject_mask", optional=True, tooltip=f"Masks of the subject. {given}"),
                io.Mask.Input("object_mask", optional=True, tooltip=f"Masks of the object. {given}"),
                io.MultiType.Input(
                    "subject_boxes",
                    types=BoxesSockets,
                    optional=True,
                    tooltip=f"Boxes of the subject, an entry for each frame. {given}",
                ),
                io.MultiType.Input(
                    "object_boxes",
                    types=BoxesSockets,
                    optional=True,
                    tooltip=f"Boxes of the object, an entry for each frame. {given}",
                ),
                io.String.Input("subject", default="fox", tooltip="What moves, in a word or a few."),
                io.String.Input("object", default="box", tooltip="What it moves around."),
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="",
                    tooltip="If there is one, subject and object are taken from it, not from the two words: "
                    "'a fox is on the left of a box, then it jumps to the right of the box'.",
                ),
                widgets.rule(),
                io.Boolean.Input(
                    "keep_masks",
                    default=True,
                    tooltip="Masks in the track, where there are any; off saves memory with long clips.",
                ),
            ],
            outputs=[
                TrackSocket.Output("track", tooltip="For Draw Tracks."),
                io.Boolean.Output("valid", tooltip="Whether the video counts."),
                io.String.Output("summary", tooltip="What was found, in plain words."),
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
    ) -> io.NodeOutput:
        words = _words(subject, object, sentence)
        masks = _both("mask", subject_mask, object_mask)
        boxes = _both("boxes", subject_boxes, object_boxes)
        if masks and boxes:
            raise SpatialAlignError(f"Connect either masks or boxes to {_NAME}, not both.")
        if masks and images is None and video is None:
            frames = _blank(masks[0])  # masks say all
        else:
            frames = frames_of(images, video, _NAME)
        loaded = detector
        if masks:
            _same_size(masks, frames)
            loaded = LoadedDetector(given_masks(*words, *(_numbers(mask) for mask in masks)))
        elif boxes:
            height, width = frames.shape[1:3]
            found = given_boxes(*words, *(_per_frame(each, len(frames)) for each in boxes), width, height)
            loaded = LoadedDetector(found)
        if loaded is None:
            raise SpatialAlignError(
                f"{_NAME} does not know where things are: connect a detector from Load Detector, "
                "or boxes or masks of both things."
            )
        finder, mask_tracker = watched(
            loaded.detector, loaded.mask_tracker, cls.hidden.unique_id, len(frames)
        )
        with loaded.in_use():
            track = detect_track(finder, frames, *words, find_rule(rule), keep_masks, mask_tracker)
        text = describe_track(track)
        chart = _chart(frames, track, sentence, rate_of(video))
        return io.NodeOutput(track, track.reason is None, text, ui={**shown(cls, text), **chart})


def _chart(frames: np.ndarray, track: Track, sentence: str, fps: float | None) -> dict[str, Any]:
    """With the sentence's relations, where there is one."""
    change = understood(sentence).change if sentence.strip() else None
    score = None if change is None else score_track(track, change)
    small = np.stack([shrunk(frame, len(frames)) for frame in frames])
    return chart_of(draw_tracks(small, track, drawing=_PREVIEW), track, change, score, fps)


def _words(subject: str, object: str, sentence: str) -> tuple[str, str]:
    if sentence.strip():
        prompt = understood(sentence)
        return prompt.subject, prompt.object
    words = subject.strip(), object.strip()
    if not all(words):
        raise SpatialAlignError(f"Write a subject and an object into {_NAME}, or a sentence that names both.")
    return words


def _both(what: str, subject: Any | None, object: Any | None) -> tuple[Any, Any] | None:
    if subject is None and object is None:
        return None
    if subject is None or object is None:
        missing = "subject" if subject is None else "object"
        raise SpatialAlignError(f"{_NAME} needs {missing}_{what} too, or neither of the two.")
    return subject, object


def _numbers(mask: torch.Tensor) -> np.ndarray:
    return mask.detach().cpu().float().numpy()


def _blank(mask: torch.Tensor) -> np.ndarray:
    """Black frames for these masks; they take no memory."""
    if mask.ndim != 3:
        raise SpatialAlignError(f"Masks must be frames x height x width, got {tuple(mask.shape)}.")
    return np.broadcast_to(np.uint8(0), (*mask.shape, 3))


def _same_size(masks: tuple[torch.Tensor, torch.Tensor], frames: np.ndarray) -> None:
    for mask in masks:
        if tuple(mask.shape) != frames.shape[:3]:
            count, height, width = frames.shape[:3]
            given = " x ".join(map(str, reversed(mask.shape)))
            raise SpatialAlignError(
                f"The masks are {given} (width x height x frames), the video is {width} x {height} x {count}; "
                "give masks of the same frames, or leave the video away."
            )


def _per_frame(boxes: Any, frames: int) -> Any:
    """One box alone, as a drawing by hand gives it, stands for something that does not move."""
    return [boxes] * frames if isinstance(boxes, dict) else boxes
