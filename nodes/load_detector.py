"""Load Detector: what finds subject and object in the frames."""

from __future__ import annotations

from comfy_api.latest import io

from ..spatialalign_core.detect.loading import DETECTORS, load_detector
from .sockets import CATEGORY, DetectorSocket


class LoadDetector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SpatialAlign_LoadDetector",
            display_name="Load Detector",
            category=CATEGORY,
            description="Loads what finds the subject and the object in every frame.",
            inputs=[
                io.Combo.Input(
                    "detector",
                    options=list(DETECTORS),
                    default="sprites",
                    tooltip="'sprites' knows the animals and things of the pocket model's world.",
                ),
            ],
            outputs=[DetectorSocket.Output("detector", tooltip="For Detect, Evaluate and Score Video.")],
        )

    @classmethod
    def execute(cls, detector: str) -> io.NodeOutput:
        return io.NodeOutput(load_detector(detector))
