"""Load Detector: what finds subject and object in the frames, and what makes their masks."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import torch
from comfy_api.latest import io

from ..spatialalign_core.detect.download import download
from ..spatialalign_core.detect.loading import load_detector, load_mask_tracker, load_segmenter
from ..spatialalign_core.errors import SpatialAlignError
from .aliases import schema
from .driving import drive
from .places import (
    NO_MASKS,
    detector_names,
    detector_place,
    mask_model,
    mask_names,
    missing_download,
    state,
    vocabulary_places,
)
from .sockets import CATEGORY, DetectorSocket, LoadedDetector


class LoadDetector(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_LoadDetector",
            display_name="Load Detector",
            category=CATEGORY,
            description="Loads the object detector (GroundingDINO), optionally SAM, which segments the "
            "detected things.",
            inputs=[
                io.Combo.Input(
                    "detector",
                    options=detector_names(),
                    default="pocket",
                    tooltip="'pocket' is a tiny GroundingDINO that knows the animals and things of the "
                    "pocket video model's world. For real footage put a GroundingDINO (a folder such as "
                    "grounding-dino-tiny, or a .pth file) into models/grounding-dino and press R, or choose "
                    "a download.",
                ),
                io.Combo.Input(
                    "masks",
                    options=mask_names(),
                    default=NO_MASKS,
                    optional=True,  # as are the next: workflows made before them still run
                    tooltip="Segmentation model. A SAM 2 ('pocket', or one in models/sam2) tracks both "
                    "things through the video; a SAM (models/sams) segments each frame separately. 'none': "
                    "boxes only, which is faster.",
                ),
                io.Float.Input(
                    "box_threshold",
                    default=0.4,
                    optional=True,
                    min=0.01,
                    max=0.99,
                    step=0.01,
                    tooltip="Least confidence of a box for GroundingDINO; lower it if things are missed. "
                    "Other detectors do not use it.",
                ),
                io.Float.Input(
                    "text_threshold",
                    default=0.3,
                    optional=True,
                    min=0.01,
                    max=0.99,
                    step=0.01,
                    tooltip="How well a word must match a box for GroundingDINO to use it as the label. "
                    "Other detectors do not use it.",
                ),
            ],
            outputs=[
                DetectorSocket.Output(
                    "detector", tooltip="For Detect, Evaluate, Detect & Track and Score Video."
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(
        cls, detector: str, masks: str = NO_MASKS, box_threshold: float = 0.4, text_threshold: float = 0.3
    ) -> list[object]:
        """The files behind the names count too, so that a model that was replaced is loaded again."""
        try:
            model = mask_model(masks)
            places = [detector_place(detector), *([] if model is None else [model.place])]
        except SpatialAlignError as error:
            return [str(error)]
        return [detector, masks, box_threshold, text_threshold, *(_state(place) for place in places)]

    @classmethod
    def execute(
        cls, detector: str, masks: str = NO_MASKS, box_threshold: float = 0.4, text_threshold: float = 0.3
    ) -> io.NodeOutput:
        for name in (detector, masks):
            wanted = missing_download(name)
            if wanted is not None:
                drive(download(*wanted), cls.hidden.unique_id)
        place, model = detector_place(detector), mask_model(masks)
        device = comfy.model_management.get_torch_device()
        # Outside of inference mode, so that the memory manager may move the weights at any time.
        with torch.inference_mode(False):
            finder = load_detector(
                place,
                device,
                box_threshold,
                text_threshold,
                bert_places=vocabulary_places(),
            )
            if model is None:
                return io.NodeOutput(LoadedDetector.register(finder))
            if model.follows:
                return io.NodeOutput(LoadedDetector.register(finder, load_mask_tracker(model.place, device)))
            from ..spatialalign_core.detect.sam import WithMasks

            return io.NodeOutput(
                LoadedDetector.register(WithMasks(finder, load_segmenter(model.place, device)))
            )


def _state(place: str | Path) -> str:
    """Of a bundled model its name; of a folder or file what changes with it."""
    if not isinstance(place, Path):
        return place
    if not place.exists():  # not downloaded yet
        return ""
    if place.is_dir():
        return state(place)
    return f"{place} {place.stat().st_size} {place.stat().st_mtime_ns}"
