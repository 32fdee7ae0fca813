"""Detect: where subject and object are in every frame of every video."""

from __future__ import annotations

from dataclasses import replace

from comfy_api.latest import io

from ..spatialalign_core.detect.validity import DEFAULT, PUBLISHED, find_rule
from .aliases import schema
from .driving import drive, watched
from .pictures import shown
from .places import working_in
from .sockets import CATEGORY, DetectorSocket, LoadedDetector, RunSocket, RunSoFar


class Detect(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_Detect",
            display_name="Detect",
            category=CATEGORY,
            description="Finds the subject and the object in every frame of the run's videos. A damaged "
            "video is set aside with the reason; the others are processed.",
            inputs=[
                RunSocket.Input("run", tooltip="From Generate or Collect Sample."),
                DetectorSocket.Input("detector", tooltip="From Load Detector."),
                io.Combo.Input(
                    "rule",
                    options=[PUBLISHED.mode, DEFAULT.mode],
                    default=PUBLISHED.mode,
                    tooltip="Which frames and videos are valid. 'published' is the paper's rule; 'default' "
                    "tolerates short gaps and extra detections, but not things that jump or vanish.",
                ),
            ],
            outputs=[RunSocket.Output("run_out", display_name="run", tooltip="For Score.")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, run: RunSoFar, detector: LoadedDetector, rule: str) -> io.NodeOutput:
        so_far = replace(run, rule=find_rule(rule))
        with working_in(run.run.folder), detector.in_use():
            finder, mask_tracker = watched(detector.detector, detector.mask_tracker)
            work = run.run.detect(
                finder, "base", run.split, so_far.rule, run.seeds, mask_tracker=mask_tracker
            )
            outcome = drive(work, cls.hidden.unique_id)
        tracks = [
            run.run.track("base", key.prompt_id, key.seed)
            for key in run.run.samples("base", run.split, run.seeds)
        ]
        good = sum(track.reason is None for track in tracks)
        text = f"Subject and object found in {good} of {len(tracks)} videos.\n{outcome.warnings}"
        return io.NodeOutput(so_far, ui=shown(cls, text))
