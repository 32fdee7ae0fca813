"""Load Video Model: ComfyUI's single files, a folder in diffusers layout, or the bundled pocket model."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import torch
from comfy_api.latest import io

from ..spatialalign_core.detect.download import download
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.models.loading import load_video_model
from . import video_files
from .aliases import schema
from .driving import drive
from .pictures import SHOWS, shown
from .places import state
from .sockets import CATEGORY, LoadedModel, VideoModelSocket


class LoadVideoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_LoadVideoModel",
            display_name="Load Video Model",
            category=CATEGORY,
            description="Loads the text-to-video model. The pack measures and trains how well it follows "
            "left, right and on top.",
            inputs=[
                io.Combo.Input(
                    "model",
                    options=video_files.names(),
                    default="pocket",
                    tooltip="'pocket' comes with the pack and runs on any machine. Others are the files in "
                    "models/diffusion_models (Wan, CogVideoX, LTX-Video, HunyuanVideo, Mochi), folders in "
                    "diffusers layout under models/diffusers, or a download into that folder. Of Wan2.2's "
                    "two files the chosen one is trained.",
                ),
                io.Combo.Input(
                    "vae",
                    options=video_files.file_names("vae"),
                    default=video_files.AUTOMATIC,
                    optional=True,  # as is the next: workflows made before them still run
                    tooltip="For single files: 'automatic' finds the VAE that belongs to the model in models/vae.",
                ),
                io.Combo.Input(
                    "text_encoder",
                    options=video_files.file_names("text_encoders"),
                    default=video_files.AUTOMATIC,
                    optional=True,
                    tooltip="For single files: 'automatic' finds the text encoder in models/text_encoders.",
                ),
            ],
            outputs=[
                VideoModelSocket.Output(
                    "video_model", tooltip="For Generate, Export Pairs, Train Spatial LoRA, Evaluate."
                )
            ],
            hidden=[io.Hidden.unique_id],
            **SHOWS,
        )

    @classmethod
    def fingerprint_inputs(
        cls, model: str, vae: str = video_files.AUTOMATIC, text_encoder: str = video_files.AUTOMATIC
    ) -> list[str]:
        """The files behind the names count too, so that a model that was replaced is loaded again."""
        try:
            found = video_files.place(model)
            if not isinstance(found, Path):
                return [model]
            if not found.is_file():
                return [model, state(found) if found.is_dir() else ""]
            files = video_files.parts(found, vae, text_encoder).files
        except SpatialAlignError as error:
            return [str(error)]
        return [model, *(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)]

    @classmethod
    def execute(
        cls, model: str, vae: str = video_files.AUTOMATIC, text_encoder: str = video_files.AUTOMATIC
    ) -> io.NodeOutput:
        wanted = video_files.missing_download(model)
        if wanted is not None:
            drive(download(*wanted, pipeline=True), cls.hidden.unique_id)
        place = video_files.place(model)
        single = isinstance(place, Path) and place.is_file()
        on_gpu = comfy.model_management.get_torch_device().type == "cuda"
        # Weights made under inference mode could never be trained.
        with torch.inference_mode(False):
            loaded = load_video_model(
                place,
                "cpu",
                torch.bfloat16 if on_gpu else torch.float32,
                expert=video_files.expert(model),
                parts=video_files.parts(Path(place), vae, text_encoder) if single else None,
                tokenizers=video_files.tokenizer_folders(),
            )
        return io.NodeOutput(LoadedModel.register(model, loaded), ui=shown(cls, loaded.description))
