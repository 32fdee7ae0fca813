"""Video models in ComfyUI's folders: single files, folders in diffusers layout, and what the hub offers."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import folder_paths

from ..spatialalign_core.detect.download import KNOWN_PIPELINES
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.files import safe_name
from ..spatialalign_core.models.file_kinds import video_models
from ..spatialalign_core.models.loading import is_whole, recognise_family
from ..spatialalign_core.models.single_files import Parts, find_parts
from .places import Download, model_folder, model_names

AUTOMATIC = "automatic"
_DOWNLOAD = "download "
_TRANSFORMERS = ("diffusion_models", "checkpoints")  # LTX-Video's files are whole checkpoints
_OTHERS = ("vae", "text_encoders")


def names() -> list[str]:
    """Bundled models, folders in diffusers layout, single files, and what can be fetched from the hub.

    A folder with two networks is there once for each, since one of them is trained at a time.
    """
    folders = [each for name in model_names() for each in (name, *_later_experts(name))]
    files = [name for name in video_models(_files(*_TRANSFORMERS)) if name not in folders]
    return [*folders, *files, *(_DOWNLOAD + repo for repo in KNOWN_PIPELINES)]


def file_names(folder: str) -> list[str]:
    """AUTOMATIC, then every file in one of ComfyUI's folders."""
    return [AUTOMATIC, *_files(folder)]


def place(name: str) -> str | Path:
    """What `load_video_model` takes for one of `names`. SpatialAlignError when it is not there (any more)."""
    wanted = _wanted(name)
    if wanted is not None:
        return wanted.folder / safe_name(wanted.repo.split("/")[1])
    return _files(*_TRANSFORMERS).get(name) or model_folder(_folder_and_expert(name)[0])


def expert(name: str) -> str | None:
    """The network of a folder that one of `names` means; None where it is the first, or the file that was chosen."""
    return _folder_and_expert(name)[1]


def parts(model: Path, vae: str, text_encoder: str) -> Parts:
    """The files that go with a single file: those chosen, and the first that fit for AUTOMATIC."""
    chosen_vae = None if vae == AUTOMATIC else _chosen("vae", vae)
    chosen_text = () if text_encoder == AUTOMATIC else (_chosen("text_encoders", text_encoder),)
    folders = [path for name in (*_OTHERS, *_TRANSFORMERS) for path in folder_paths.get_folder_paths(name)]
    return find_parts(model, folders, chosen_vae, chosen_text)


def missing_download(name: str) -> Download | None:
    """What has to be fetched before this name can be loaded; None where nothing has to be, or no longer."""
    wanted = _wanted(name)
    return None if wanted is None or is_whole(Path(place(name))) else wanted


def tokenizer_folders() -> dict[str, Path]:
    """Tokenizers that come with ComfyUI or another pack, for text encoders whose files hold none."""
    root = Path(comfy.model_management.__file__).parent
    # UMT5's comes with Kijai's wrapper, whose text encoder files hold none.
    wrapped = [
        place
        for nodes in folder_paths.get_folder_paths("custom_nodes")
        for place in sorted(Path(nodes).glob("*[wW]an[vV]ideo[wW]rapper*/configs/T5_tokenizer"))
    ]
    return {
        **({"umt5": wrapped[0]} if wrapped else {}),
        "t5": root / "text_encoders" / "t5_tokenizer",
        "llama": root / "text_encoders" / "llama_tokenizer",
        "clip-l": root / "sd1_tokenizer",
    }


def _later_experts(name: str) -> list[str]:
    try:
        return [f"{name} ({expert})" for expert in recognise_family(model_folder(name)).experts[1:]]
    except (SpatialAlignError, OSError):
        return []  # loading says what is wrong


def _folder_and_expert(name: str) -> tuple[str, str | None]:
    folder, found, rest = name.rpartition(" (")
    if found and name in _later_experts(folder):
        return folder, rest.removesuffix(")")
    return name, None


def _wanted(name: str) -> Download | None:
    repo = name.removeprefix(_DOWNLOAD)
    if repo == name or repo not in KNOWN_PIPELINES:
        return None
    return Download(repo, Path(folder_paths.models_dir) / "diffusers")


def _chosen(folder: str, name: str) -> Path:
    file = _files(folder).get(name)
    if file is None:
        raise SpatialAlignError(
            f"There is no file {name!r} in models/{folder}; choose another, or {AUTOMATIC!r}."
        )
    return file


def _files(*folders: str) -> dict[str, Path]:
    """Name -> file. Only what ComfyUI lists, so that no path gets in."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in folder_paths.get_filename_list(folder):
            path = folder_paths.get_full_path(folder, name)
            if path is not None:
                found.setdefault(name, Path(path))
    return found
