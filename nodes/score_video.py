"""Score Video: any video and the sentence it should obey."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from ..spatialalign_core.detect.box_formats import AUTO
from ..spatialalign_core.detect.others import with_others
from ..spatialalign_core.detect.tracker import detect_track
from ..spatialalign_core.detect.validity import PUBLISHED, find_rule
from ..spatialalign_core.draw import annotate, chart
from ..spatialalign_core.score import obeys, score_track
from ..spatialalign_core.summary import describe_score
from . import external_detections, widgets
from .aliases import schema
from .driving import watched
from .external_detections import External, understood_text
from .pictures import frames_of, shown, to_image
from .previews import shrunk
from .score_chart import chart_of, rate_of
from .sentences import remarks, understood
from .sockets import CATEGORY, DetectorSocket, LoadedDetector

_NAME = "Score Video"


class ScoreVideo(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_ScoreVideo",
            display_name=_NAME,
            category=CATEGORY,
            description="Measures whether a video obeys a sentence that says where the subject starts and "
            "ends: left of, right of or on top of the object. Takes frames or a video from any workflow.",
            inputs=[
                DetectorSocket.Input(
                    "detector", optional=True, tooltip="From Load Detector. Not needed with boxes or masks."
                ),
                io.Image.Input(
                    "images", optional=True, tooltip="The frames in order. Connect this or a video."
                ),
                io.Video.Input("video", optional=True, tooltip="A video, instead of images."),
                *external_detections.sockets(),
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box.",
                    tooltip="Where the subject starts, and where it ends. Relations: left of, right of, on "
                    "top of.",
                ),
                widgets.rule(PUBLISHED, optional=True),
                external_detections.box_format(),
            ],
            outputs=[
                io.Float.Output(
                    "score",
                    tooltip="DSR-Score, 0 to 1; a video that obeys has at least 0.7. 0 if the video cannot "
                    "be scored.",
                ),
                io.Boolean.Output("valid", tooltip="Whether the video could be scored."),
                io.Image.Output("chart", tooltip="How much each relation holds, frame by frame."),
                io.Image.Output("annotated", tooltip="The frames with the detected boxes."),
                io.String.Output("summary", tooltip="The result as text."),
                io.Boolean.Output(
                    "obeys",
                    tooltip="Whether the video obeys the sentence: a score of at least 0.7, and the subject "
                    "starts and ends where the sentence says.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        sentence: str,
        rule: str = PUBLISHED.mode,
        detector: LoadedDetector | None = None,
        images: torch.Tensor | None = None,
        video: Any | None = None,
        subject_mask: torch.Tensor | None = None,
        object_mask: torch.Tensor | None = None,
        subject_boxes: Any | None = None,
        object_boxes: Any | None = None,
        box_format: str = AUTO,
    ) -> io.NodeOutput:
        prompt = understood(sentence)
        words = prompt.subject, prompt.object
        frames = frames_of(images, video, _NAME)
        external = External(subject_mask, object_mask, subject_boxes, object_boxes)
        loaded = external.detector(_NAME, words, frames, box_format, detector)
        finder, mask_tracker = watched(
            loaded.detector, loaded.mask_tracker, cls.hidden.unique_id, len(frames)
        )
        rate = rate_of(video)
        with loaded.in_use():
            track = detect_track(finder, frames, *words, find_rule(rule), mask_tracker=mask_tracker, fps=rate)
        track = with_others(track, finder.found)
        score = score_track(track, prompt.change)
        text = describe_score(prompt, track, score) + understood_text(loaded) + remarks(sentence)
        annotated = annotate(frames, track)
        previews = (shrunk(picture, len(annotated)) for picture in annotated)
        return io.NodeOutput(
            score.dsr if score.dsr is not None else 0.0,
            score.valid,
            to_image(chart(track, prompt.change, score)),
            to_image(annotated),
            text,
            obeys(score),
            ui={**shown(cls, text), **chart_of(previews, track, prompt.change, score, rate)},
        )
