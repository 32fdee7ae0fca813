"""Load Video Model: a folder in diffusers layout, or the bundled pocket model."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io

from ..spatialalign_core.models.loading import load_video_model
from .places import model_folder, model_names
from .sockets import CATEGORY, LoadedModel, VideoModelSocket


class LoadVideoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SpatialAlign_LoadVideoModel",
            display_name="Load Video Model",
            category=CATEGORY,
            description="Loads the text-to-video model whose sense of left, right and top is measured and trained.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=model_names(),
                    default="pocket",
                    tooltip="'pocket' comes with the pack and runs on any machine. "
                    "Others are folders in diffusers layout under models/diffusers.",
                ),
            ],
            outputs=[
                VideoModelSocket.Output(
                    "video_model", tooltip="For Generate, Export Pairs, Train LoRA, Evaluate."
                )
            ],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        on_gpu = comfy.model_management.get_torch_device().type == "cuda"
        # Weights made under inference mode could never be trained.
        with torch.inference_mode(False):
            loaded = load_video_model(model_folder(model), "cpu", torch.bfloat16 if on_gpu else torch.float32)
        return io.NodeOutput(LoadedModel.register(model, loaded))
