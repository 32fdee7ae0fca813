"""From a folder in diffusers layout, or from ComfyUI's single files, to a `VideoModel`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..errors import SpatialAlignError, check_memory
from ..files import cause, fingerprint
from .base import Family, GenerateSettings, VideoModel, networks
from .families import families
from .original_folders import find_transformer, search_folders
from .single_files import Parts, assemble, family_of, find_parts

POCKET_FOLDER = Path(__file__).parent.parent / "pocket" / "weights" / "wan-pocket"
BUNDLED: dict[str, Path] = {"pocket": POCKET_FOLDER}
SETTINGS_FILE = "spatialalign.json"


def load_video_model(
    folder: str | Path,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    *,
    expert: str | None = None,
    parts: Parts | None = None,
    tokenizers: Mapping[str, Path] | None = None,
    transformer_only: bool = False,
) -> VideoModel:
    """Load a diffusers folder, a bundled model by its name ("pocket"), a single file with those that belong to it, or
    the folder in which a model's authors publish such files.

    device: default CUDA where there is one, else CPU. dtype: default bfloat16 on CUDA, float32 on CPU. expert: of two
    networks the one that is trained; where None, of a folder the first and of single files the chosen one. parts: the
    other files, else they are looked for in the folders beside it. tokenizers: folders of those that the files lack.
    A file `spatialalign.json` in the folder overrides the family's default generation settings. Never downloads.
    transformer_only: a folder without what makes latents and embeddings; enough for training on exported pairs.
    SpatialAlignError for a model that is missing, damaged, or of an unknown family.
    """
    path = BUNDLED.get(str(folder), Path(folder))
    chosen_device = (
        torch.device(device) if device else torch.device("cuda" if torch.cuda.is_available() else "cpu")
    )
    chosen_dtype = dtype or (torch.bfloat16 if chosen_device.type == "cuda" else torch.float32)
    transformer = path if path.is_file() else find_transformer(path)
    if transformer is not None:
        folders = None if path.is_file() else search_folders(path, transformer)
        parts = parts or find_parts(transformer, folders)
        model = _load_files(path, parts, chosen_dtype, tokenizers, expert)
    else:
        family = recognise_family(path)
        expert = _expert(family, expert)
        pipeline = _load_pipeline(path, family, chosen_dtype, _other_parts(path) if transformer_only else {})
        model = VideoModel(
            path,
            family,
            pipeline,
            read_defaults(path, family),
            folder_fingerprint(path),
            expert,
            family.title,
        )
    model.pipeline.to(chosen_device)
    for module in networks(model.pipeline):
        module.requires_grad_(False).eval()
    return model


def _load_files(
    path: Path, parts: Parts, dtype: torch.dtype, tokenizers: Mapping[str, Path] | None, expert: str | None
) -> VideoModel:
    made = assemble(parts, dtype, tokenizers)
    files = ", ".join(file.name for file in parts.files[1:])
    description = "\n".join([f"{made.title}, with {files}", *made.notes])
    return VideoModel(
        path,
        made.family,
        made.pipeline,
        made.family.defaults,
        parts.fingerprint(),
        made.expert if expert is None else _expert(made.family, expert),
        description,
    )


def _expert(family: Family, expert: str | None) -> str | None:
    if not family.experts:
        return None
    if expert is not None and expert not in family.experts:
        raise SpatialAlignError(
            f"{family.title} has no expert {expert!r}; it has: {', '.join(family.experts)}."
        )
    return expert or family.experts[0]


def read_defaults(folder: Path, family: Family) -> GenerateSettings:
    """The folder's own generation settings over the family's."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return family.defaults
    try:
        return replace(family.defaults, **json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise SpatialAlignError(
            f"{path} is not a list of generation settings ({cause(error)}); correct or delete it."
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


def is_whole(folder: Path) -> bool:
    """Whether every weight file that a diffusers folder should have is there: not so in the middle of a download."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        for name, entry in index.items():
            if not isinstance(entry, list) or entry[0] is None or name.startswith(("tokenizer", "scheduler")):
                continue
            listed = list((folder / name).glob("*.safetensors.index.json"))
            shards = {
                shard
                for file in listed
                for shard in json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()
            }
            if not all((folder / name / shard).is_file() for shard in shards):
                return False
            if not shards and not any((folder / name).glob("*.safetensors")):
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def recognise_family(folder: str | Path) -> Family:
    """The family of a model's folder or file, without loading it. SpatialAlignError for one that is none."""
    path = BUNDLED.get(str(folder), Path(folder))
    index = path / "model_index.json"
    if not path.exists():
        raise SpatialAlignError(
            f"There is no model folder {path}; give a folder in diffusers layout or one of: {', '.join(BUNDLED)}."
        )
    transformer = path if path.is_file() else find_transformer(path)
    if transformer is not None:
        return family_of(transformer)[0]
    if not index.exists():
        raise SpatialAlignError(
            f"{path} has no model_index.json, so it is no diffusers model, and holds no video model's file; choose "
            "the folder that holds one of these."
        )
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        found = content["_class_name"]
    except (ValueError, KeyError, TypeError):
        raise SpatialAlignError(f"{index} is damaged; copy or download the model folder again.") from None
    for family in families():
        if family.matches(content, path):
            return family
    known = ", ".join(family.title for family in families())
    raise SpatialAlignError(
        f"{path} holds a {found}, which is not supported yet; supported families: {known}."
    )


def _other_parts(path: Path) -> dict[str, None]:
    """What the pipeline consists of besides transformer and scheduler, as arguments that leave it out."""
    index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
    parts = [name for name, value in index.items() if isinstance(value, list) and value[0] is not None]
    return {name: None for name in parts if not name.startswith(("transformer", "scheduler"))}


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
        check_memory(error, path)
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SpatialAlignError(
            f"The model in {path} could not be loaded: {first_line} Copy or download the folder again."
        ) from error
    finally:
        if bars:
            diffusers.utils.logging.enable_progress_bar()
