"""Pick Best: of several videos, the one that obeys the sentence best."""

from __future__ import annotations

from typing import Any

import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io

from ..spatialalign_core.best import best_words, pick_best, score_table, split_clips
from ..spatialalign_core.detect.box_formats import AUTO
from ..spatialalign_core.detect.tracker import detect_track
from ..spatialalign_core.detect.validity import find_rule
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.score import obeys, score_track
from ..spatialalign_core.score_words import missed_words
from ..spatialalign_core.summary import asked_for
from . import external_detections, previews, widgets
from .aliases import schema
from .driving import WatchedDetector, WatchedTracker
from .external_detections import External, understood_text
from .pictures import SHOWS, frames_of, shown, to_image
from .previews import shrunk
from .score_chart import rate_of
from .sentences import remarks, understood
from .sockets import CATEGORY, DetectorSocket, LoadedDetector

_NAME = "Pick Best"


class PickBest(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_PickBest",
            display_name=_NAME,
            category=CATEGORY,
            description="Scores several videos of one sentence and outputs the one that obeys it best. It "
            "needs no training: make four videos instead of one and keep the best.",
            is_input_list=True,  # so that a list of videos arrives whole and not one after the other
            inputs=[
                DetectorSocket.Input(
                    "detector", optional=True, tooltip="From Load Detector. Not needed with boxes or masks."
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The videos' frames: a list with one video per entry, or a batch of several "
                    "clips.",
                ),
                io.Video.Input("video", optional=True, tooltip="A list of videos, instead of images."),
                *external_detections.sockets(),
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box.",
                    tooltip="Where the subject starts, and where it ends. Relations: left of, right of, on "
                    "top of.",
                ),
                io.Int.Input(
                    "clips",
                    default=1,
                    min=1,
                    max=4096,
                    tooltip="Videos in a batch of images: the batch_size of the empty latent. 1 for a list.",
                ),
                widgets.rule(),
                external_detections.box_format(),
            ],
            outputs=[
                io.Image.Output("images_out", display_name="images", tooltip="The frames of the best video."),
                io.Float.Output("score", tooltip="Its DSR-Score, 0 to 1; 0 if none could be scored."),
                io.Int.Output(
                    "number", tooltip="Its index, counted from 0, for Latent From Batch and others."
                ),
                io.Boolean.Output("valid", tooltip="Whether any video could be scored."),
                io.String.Output("summary", tooltip="The scores of all videos, as text."),
                io.Boolean.Output("obeys", tooltip="Whether the best video obeys the sentence."),
            ],
            hidden=[io.Hidden.unique_id],
            **SHOWS,
        )

    @classmethod
    def execute(
        cls,
        sentence: list[str],
        clips: list[int],
        rule: list[str],
        detector: list[LoadedDetector] | None = None,
        images: list[torch.Tensor] | None = None,
        video: list[Any] | None = None,
        subject_mask: list[torch.Tensor] | None = None,
        object_mask: list[torch.Tensor] | None = None,
        subject_boxes: list[Any] | None = None,
        object_boxes: list[Any] | None = None,
        box_format: list[str] | None = None,
    ) -> io.NodeOutput:
        prompt = understood(sentence[0])
        videos = _videos(images, video, clips[0])
        words = prompt.subject, prompt.object
        given = {
            "subject_mask": subject_mask,
            "object_mask": object_mask,
            "subject_boxes": subject_boxes,
            "object_boxes": object_boxes,
        }
        scores, read = [], ""
        bar = comfy.utils.ProgressBar(sum(map(len, videos)), node_id=cls.hidden.unique_id)
        rates = [rate_of(each) for each in video] if video else [None] * len(videos)
        of_clips = External.of_clips(_NAME, given, [*map(len, videos)])
        for each, rate, external in zip(videos, rates, of_clips, strict=True):
            loaded = external.detector(
                _NAME, words, each, (box_format or [AUTO])[0], detector[0] if detector else None
            )
            finder = WatchedDetector(loaded.detector, bar)
            mask_tracker = None if loaded.mask_tracker is None else WatchedTracker(loaded.mask_tracker)
            with loaded.in_use():
                track = detect_track(
                    finder, each, *words, find_rule(rule[0]), mask_tracker=mask_tracker, fps=rate
                )
            scores.append(score_track(track, prompt.change))
            read = understood_text(loaded)
        best = pick_best(scores)
        dsr = scores[best].dsr
        table = score_table(scores, best, prompt)
        text = f"{asked_for(prompt)}\n{best_words(scores, best, prompt)}\n{table}{read}{remarks(sentence[0])}"
        total = sum(map(len, videos))
        played = [
            {
                "video": previews.saved((shrunk(frame, total) for frame in each), rate or previews.FPS),
                "dsr": score.dsr,
                "obeys": obeys(score),
                "reason": score.reason or missed_words(score, prompt.change, prompt.object) or None,
                "best": number == best,
            }
            for number, (each, rate, score) in enumerate(zip(videos, rates, scores, strict=True))
        ]
        return io.NodeOutput(
            to_image(videos[best]),
            dsr if dsr is not None else 0.0,
            best,
            dsr is not None,
            text,
            obeys(scores[best]),
            ui={**shown(cls, text), **previews.of_clips(played)},
        )


def _videos(images: list[Any] | None, videos: list[Any] | None, clips: int) -> list[np.ndarray]:
    if bool(images) == bool(videos):
        raise SpatialAlignError(f"Connect either images or a video to {_NAME}, one of the two.")
    if videos:
        return [frames_of(None, each, _NAME) for each in videos]
    return [clip for batch in images or [] for clip in split_clips(frames_of(batch, None, _NAME), clips)]
