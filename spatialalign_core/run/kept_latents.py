"""Latents that were deleted beside their video to free room, and that the exported pairs still have."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..pairs import latents_name
from .layout import RunLayout
from .samples import DROPPED, read_tensors, sample_metadata, tensor_digest


def export_folders(layout: RunLayout) -> list[Path]:
    """The folders of exported pairs that are there: the run's own, and those of its rounds."""
    found = [layout.pairs_folder, *sorted((layout.folder / "rounds").glob("*/pairs"))]
    return [folder for folder in found if folder.is_dir()]


def kept_latents(layout: RunLayout, video: Path) -> dict[str, Tensor] | None:
    """What an export has of a video's latents: "latents", and "noise" where it is known; None where it has others.

    Told by their content, since an export may be older than the video.
    """
    metadata = sample_metadata(video)
    digest = metadata.get(DROPPED)
    if digest is None:
        tensors = read_tensors(video)
        digest = tensor_digest(tensors["latents"]) if "latents" in tensors else None
    name = latents_name(metadata.get("prompt_id", video.parent.name), int(video.stem))
    for folder in export_folders(layout) if digest else ():
        try:
            with safe_open(folder / name, framework="pt") as file:
                kept = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, ValueError):
            continue
        if "latents" in kept and tensor_digest(kept["latents"]) == digest:
            return kept
    return None
