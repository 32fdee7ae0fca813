"""The pack's own socket types and what travels on them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from ..spatialalign_core.detect.base import Detector, MaskTracker
from ..spatialalign_core.detect.validity import PUBLISHED, DetectionRule
from ..spatialalign_core.models.base import GenerateSettings, VideoModel
from ..spatialalign_core.run import Run

VideoModelSocket = io.Custom("SPATIALALIGN_VIDEO_MODEL")
DetectorSocket = io.Custom("SPATIALALIGN_DETECTOR")
TrackSocket = io.Custom("SPATIALALIGN_TRACK")
# Boxes of other nodes: ComfyUI's own type, by name because 0.8.0 does not have it, and those of other packs.
BoxesSockets = [io.Custom("BOUNDING_BOX"), io.Custom("BBOX"), io.Custom("SEGS")]
PromptsSocket = io.Custom("SPATIALALIGN_PROMPTS")
RunSocket = io.Custom("SPATIALALIGN_RUN")

CATEGORY = "SpatialAlign"


class _Parts(torch.nn.Module):
    """A pipeline's networks in one plain module: the memory manager moves them together (a diffusers model's own
    `device` cannot be set, which it needs)."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__()
        for name, part in pipeline.components.items():
            if isinstance(part, torch.nn.Module):
                self.add_module(name, part)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A video model, registered with ComfyUI's memory manager."""

    name: str
    model: VideoModel
    patcher: ModelPatcher

    @classmethod
    def register(cls, name: str, model: VideoModel) -> LoadedModel:
        """The model may lie on any device; it moves when it is used."""
        patcher = ModelPatcher(
            _Parts(model.pipeline),
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        return cls(name, model, patcher)

    @contextlib.contextmanager
    def in_use(self, training: bool = False) -> Iterator[VideoModel]:
        """The model on its device. Nodes run under inference mode, whose tensors can never be trained on again, so it
        is left here even for generating."""
        with torch.inference_mode(False), torch.set_grad_enabled(training):
            comfy.model_management.load_models_gpu([self.patcher])
            yield self.model


@dataclass(frozen=True, eq=False)
class LoadedDetector:
    """What finds things, and what follows them through the video where that was asked for; their networks, if they have
    any, are registered with ComfyUI's memory manager."""

    detector: Detector
    mask_tracker: MaskTracker | None = None
    patcher: ModelPatcher | None = None

    @classmethod
    def register(cls, detector: Detector, mask_tracker: MaskTracker | None = None) -> LoadedDetector:
        """Both lie on ComfyUI's device already, where they look for their networks."""
        networks = list(_networks(detector, mask_tracker))
        if not networks:
            return cls(detector, mask_tracker)
        patcher = ModelPatcher(
            torch.nn.ModuleList(networks),
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
        return cls(detector, mask_tracker, patcher)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[LoadedDetector]:
        """With the networks on their device."""
        if self.patcher is not None:
            with torch.inference_mode(False), torch.no_grad():
                comfy.model_management.load_models_gpu([self.patcher])
        yield self


def _networks(*tools: Any) -> Iterator[torch.nn.Module]:
    """The networks of detectors and trackers, and of those that they are made of."""
    for tool in tools:
        if isinstance(getattr(tool, "model", None), torch.nn.Module):
            yield tool.model
        if tool is not None:
            yield from _networks(getattr(tool, "detector", None), getattr(tool, "segmenter", None))


@dataclass(frozen=True)
class RunSoFar:
    """A run folder and which of its videos the nodes before have worked on.

    split: "train", "held_out", or None for both. seeds: videos a prompt, None for all that are there.
    settings: how they were made, None where another program made them. rule: which frames and videos count.
    lora: name of the LoRA trained here, or None.
    """

    run: Run
    split: str | None
    seeds: int | None
    settings: GenerateSettings | None
    rule: DetectionRule = PUBLISHED
    lora: str | None = None
