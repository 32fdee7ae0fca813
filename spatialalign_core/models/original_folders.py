"""Folders that hold single files of one model, as its authors publish it: Wan-AI/Wan2.1-T2V-1.3B and its like.

Such a folder has no model_index.json. Its weights, VAE, text encoder (.pth) and tokenizer are told apart by their keys,
as single files are; a model of two networks has them in two folders, high_noise_model and low_noise_model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import SpatialAlignError
from ..weight_files import WEIGHT_FILES, is_later_part
from .experts import experts_in
from .file_kinds import TRANSFORMER, recognise_file
from .single_files import folders_beside


def find_transformer(folder: Path) -> Path | None:
    """The video model's file in the folder, of two networks the one for high noise; None where the folder holds none.

    Looked at are the folder and those in it. SpatialAlignError for several models, and for one that is damaged.
    """
    if (folder / "model_index.json").exists():
        return None
    if not folder.is_dir():
        return None
    for place in (folder, *_below(folder)):
        found = _models(place)
        if len(found) > 1 and not _is_pair([title for title, _ in found]):
            names = ", ".join(file.name for _, file in found[:4])
            raise SpatialAlignError(
                f"{folder} holds several video models ({names}); choose one of these files."
            )
        if found:
            return found[0][1]
    return None


def is_model_folder(folder: Path) -> bool:
    """Whether the folder holds a model in diffusers layout or as its authors publish it, damaged or not."""
    try:
        return (folder / "model_index.json").is_file() or find_transformer(folder) is not None
    except SpatialAlignError:
        return True  # loading says what is wrong
    except OSError:
        return False


def search_folders(folder: Path, transformer: Path) -> list[Path]:
    """Where the other files are looked for: in the folder itself first."""
    above = [folder.parent] if experts_in(f"{folder.name}/") else []
    return [folder, *above, *folders_beside(transformer)]


def _models(place: Path) -> list[tuple[str, Path]]:
    """(title, file) of the video models in the folder, high noise before low noise."""
    found: list[tuple[str, Path]] = []
    problem: SpatialAlignError | None = None
    for file in sorted(place.iterdir()):
        if file.suffix.lower() not in WEIGHT_FILES or is_later_part(file):
            continue
        try:
            kind = recognise_file(file)
        except SpatialAlignError as error:
            problem = error if file.name.startswith("diffusion_pytorch_model") else problem
            continue
        if kind.role == TRANSFORMER:
            found.append((kind.title, file))
    if problem is not None and not found:
        raise problem
    return sorted(found)


def _is_pair(titles: Sequence[str]) -> bool:
    return [title.rpartition(", ")[2] for title in titles] == ["high noise", "low noise"]


def _below(folder: Path) -> Sequence[Path]:
    """high_noise_model comes first."""
    return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
