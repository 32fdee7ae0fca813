"""From a folder on disk to a `VideoModel`."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..errors import SpatialAlignError
from ..files import fingerprint
from .base import Family, GenerateSettings, VideoModel
from .wan import WanFamily

FAMILIES: tuple[Family, ...] = (WanFamily(),)
POCKET_FOLDER = Path(__file__).parent.parent / "pocket" / "weights" / "wan-pocket"
BUNDLED: dict[str, Path] = {"pocket": POCKET_FOLDER}
SETTINGS_FILE = "spatialalign.json"


def load_video_model(
    folder: str | Path,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    transformer_only: bool = False,
) -> VideoModel:
    """Load a diffusers folder (or a bundled model by its name, "pocket").

    device: default CUDA where there is one, else CPU. dtype: default bfloat16 on CUDA, float32 on CPU. A file
    `spatialalign.json` in the folder overrides the family's default generation settings. Never downloads.
    transformer_only: without what makes latents and embeddings; enough for training on exported pairs.
    SpatialAlignError for a folder that is missing, damaged, or of an unknown family.
    """
    path = BUNDLED.get(str(folder), Path(folder))
    family = recognise_family(path)
    chosen_device = (
        torch.device(device) if device else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    chosen_dtype = dtype or (torch.bfloat16 if chosen_device.type == "cuda" else torch.float32)
    left_out = _other_parts(path) if transformer_only else {}
    pipeline = _load_pipeline(path, family, chosen_dtype, left_out).to(chosen_device)
    for module in (pipeline.transformer, pipeline.vae, pipeline.text_encoder):
        if module is not None:
            module.requires_grad_(False).eval()
    return VideoModel(path, family, pipeline, read_defaults(path, family), folder_fingerprint(path))


def read_defaults(folder: Path, family: Family) -> GenerateSettings:
    """The folder's own generation settings over the family's."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return family.defaults
    try:
        return replace(family.defaults, **json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise SpatialAlignError(
            f"{path} is not a list of generation settings ({error}); correct or delete it."
        ) from None


def folder_fingerprint(folder: Path) -> str:
    """Tells two model folders apart by their configurations and the headers and sizes of their weight files."""
    parts: list[tuple[str, int, str]] = []
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".json":
            parts.append(
                (str(file.relative_to(folder)), file.stat().st_size, file.read_text(encoding="utf-8"))
            )
        elif file.suffix == ".safetensors":
            with file.open("rb") as handle:
                sample = handle.read(1 << 16)
                handle.seek(-min(1 << 16, file.stat().st_size), 2)
                sample += handle.read()
            parts.append((str(file.relative_to(folder)), file.stat().st_size, sample.hex()))
    return fingerprint(parts)


def recognise_family(folder: str | Path) -> Family:
    """The family of a model folder, without loading it. SpatialAlignError for a folder that is none."""
    path = BUNDLED.get(str(folder), Path(folder))
    index = path / "model_index.json"
    if not path.is_dir():
        raise SpatialAlignError(
            f"There is no model folder {path}; give a folder in diffusers layout or one of: {', '.join(BUNDLED)}."
        )
    if not index.exists():
        raise SpatialAlignError(
            f"{path} has no model_index.json, so it is no diffusers model; choose the folder that holds that file."
        )
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError):
        raise SpatialAlignError(f"{index} is damaged; copy or download the model folder again.") from None
    for family in FAMILIES:
        if family.pipeline_class == found:
            return family
    known = ", ".join(family.name for family in FAMILIES)
    raise SpatialAlignError(
        f"{path} holds a {found}, which is not supported yet; supported families: {known}."
    )


def _other_parts(path: Path) -> dict[str, None]:
    """What the pipeline consists of besides transformer and scheduler, as arguments that leave it out."""
    index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
    parts = [name for name, value in index.items() if isinstance(value, list) and value[0] is not None]
    return {name: None for name in parts if name not in ("transformer", "scheduler")}


def _load_pipeline(path: Path, family: Family, dtype: torch.dtype, left_out: dict[str, None]) -> Any:
    import diffusers

    bars = diffusers.utils.logging.is_progress_bar_enabled()
    diffusers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # The new name `dtype` is unknown to the older diffusers we support.
            warnings.filterwarnings("ignore", message=".*torch_dtype.*", category=FutureWarning)
            return getattr(diffusers, family.pipeline_class).from_pretrained(
                path, torch_dtype=dtype, local_files_only=True, use_safetensors=True, **left_out
            )
    except Exception as error:  # a wrong file can fail in any of three libraries
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SpatialAlignError(
            f"The model in {path} could not be loaded: {first_line} Copy or download the folder again."
        ) from error
    finally:
        if bars:
            diffusers.utils.logging.enable_progress_bar()
