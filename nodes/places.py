"""Where things lie in ComfyUI's folders, and whether they changed since a node last looked."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import NamedTuple

import folder_paths

from ..spatialalign_core.detect.download import KNOWN
from ..spatialalign_core.detect.folders import (
    DETECTOR,
    FOLDER_NAMES,
    MASK_TRACKER,
    SEGMENTER,
    Candidate,
    find_candidate,
    list_candidates,
    names_for,
    recognise,
)
from ..spatialalign_core.detect.loading import DETECTORS, MASK_TRACKERS, is_named
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.files import atomic_path, check_writable, fingerprint, linked, name_fault, safe_name
from ..spatialalign_core.models.loading import BUNDLED
from ..spatialalign_core.models.original_folders import is_model_folder
from ..spatialalign_core.run.note import NOTE
from ..spatialalign_core.run.workflow_file import WORKFLOW
from .events import announced

NO_FILE = "none"
PROMPT_FILES = (".txt", ".csv", ".tsv")
NO_LORA = "none"
NO_MASKS = "none"
OWN_LORA = "of this run"
_DOWNLOAD = "download "

_known: dict[
    Path, tuple[str, int]
] = {}  # run folder -> (its state when a node last left it, how often that was wrong)


def runs_folder() -> Path:
    """Where the folders of all runs lie: output/spatialalign."""
    return Path(folder_paths.get_output_directory()) / "spatialalign"


def run_folder(name: str) -> Path:
    """Folder of a run: output/spatialalign/<name>. SpatialAlignError for anything but a plain name."""
    plain = name.strip()
    if not plain or plain.startswith(".") or re.search(r"[/\\\x00]", plain):
        raise SpatialAlignError(
            f"run_folder must be a plain name such as 'my run', without '..' or slashes, and not {name!r}; "
            "it lies in ComfyUI's output folder under 'spatialalign'."
        )
    if name_fault(plain) and not _there(plain):
        raise SpatialAlignError(
            f"{name!r} cannot name the run_folder, because {name_fault(plain)}; choose another name."
        )
    return linked(runs_folder(), plain)


def _there(name: str) -> bool:
    """Whether an older run has this name, which a new one may not have."""
    # os.path, since Path.is_dir raises for a name that is too long
    return "\0" not in name and PurePath(name).name == name and os.path.isdir(runs_folder() / name)


def lora_lists() -> list[Path]:
    """The folders of Load LoRA's list, first the one that trained LoRAs are copied into."""
    own = Path(folder_paths.get_output_directory()) / "loras"
    return [own, *(place for name in folder_paths.get_folder_paths("loras") if (place := Path(name)) != own)]


def state(folder: Path) -> str:
    """Changes whenever a file in the folder does that a stage reads or makes."""
    about = (folder / NOTE, folder / WORKFLOW)
    visible = (
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.name.startswith(".") and file not in about
    )
    files = [(str(file.relative_to(folder)), file.stat()) for file in visible]
    return fingerprint([(name, stat.st_size, stat.st_mtime_ns) for name, stat in files])


def version(folder: Path) -> int:
    """Stays the same until somebody else than the nodes changes the folder: ComfyUI may then use what it has cached."""
    now = state(folder)
    before, number = _known.get(folder, (now, 0))
    if now != before:
        number += 1
    _known[folder] = (now, number)
    return number


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Changes made inside this block are the nodes' own and do not count for `version`, finished or not."""
    try:
        with announced(folder):
            yield
    finally:
        _known[folder] = (state(folder), _known.get(folder, ("", 0))[1])


def lora_names(*own: str) -> list[str]:
    """`none`, the names in `own`, then the LoRAs on Load LoRA's list."""
    return [NO_LORA, *own, *folder_paths.get_filename_list("loras")]


def lora_file(name: str) -> Path | None:
    """`none` as None, one on Load LoRA's list as a path. SpatialAlignError for one that is not there (any more)."""
    if name == NO_LORA:
        return None
    found = folder_paths.get_full_path("loras", name) if name in lora_names() else None
    if found is None:
        raise SpatialAlignError(f"There is no LoRA {name!r} any more; choose another and refresh (R).")
    return Path(found)


def list_for_load_lora(lora: Path, name: str) -> None:
    """Copy into output/loras, which ComfyUI searches, under that name; whole or not at all. An error says where the
    LoRA lies all the same."""
    try:
        with atomic_path(_listed(name)) as temporary:
            shutil.copyfile(lora, temporary)
    except (OSError, SpatialAlignError) as error:
        raise SpatialAlignError(
            f"The LoRA is trained and lies in {lora}, but it could not be copied to Load LoRA's list: {error}"
        ) from error


def check_list(name: str) -> None:
    """SpatialAlignError when `list_for_load_lora` could not write that name; called before a training begins."""
    check_writable(_listed(name), "the LoRA")


def _listed(name: str) -> Path:
    return linked(Path(folder_paths.get_output_directory()) / "loras", name)


def model_names() -> list[str]:
    """Bundled models, then folders under models/diffusers: in diffusers layout, or as their authors publish them."""
    found = [
        folder.name
        for root in folder_paths.get_folder_paths("diffusers")
        if Path(root).is_dir()
        for folder in sorted(Path(root).iterdir())
        if folder.is_dir() and is_model_folder(folder)
    ]
    return [*BUNDLED, *(name for name in dict.fromkeys(found) if name not in BUNDLED)]


def model_folder(name: str) -> str | Path:
    """What `load_video_model` takes for one of `model_names`. SpatialAlignError when it is not there (any more)."""
    if name in BUNDLED:
        return name
    # Only what the listing found, so that no path gets in; links that the artist made in models/ are welcome.
    for root in folder_paths.get_folder_paths("diffusers") if name in model_names() else ():
        if (Path(root) / name).is_dir() and is_model_folder(Path(root) / name):
            return Path(root) / name
    raise SpatialAlignError(
        f"There is no model {name!r}; put a folder in diffusers layout into models/diffusers, or choose 'pocket'."
    )


def prompt_file_names() -> list[str]:
    """`none`, then the files in ComfyUI's input folder that may hold prompts."""
    folder = Path(folder_paths.get_input_directory())
    files = (file.name for file in sorted(folder.glob("*")) if file.suffix.lower() in PROMPT_FILES)
    return [NO_FILE, *files]


def prompt_file(name: str) -> Path:
    """One of `prompt_file_names` as a path. SpatialAlignError for a name that leads out of the input folder, or that
    does not end as such a file does."""
    if Path(name).suffix.lower() not in PROMPT_FILES:
        raise SpatialAlignError(
            f"{name!r} is no list of prompts; choose a file that ends in .txt, .csv or .tsv."
        )
    return linked(folder_paths.get_input_directory(), name)


def chosen_prompt_file(name: str) -> Path | None:
    """The same, None for `none`."""
    return None if name == NO_FILE else prompt_file(name)


class Download(NamedTuple):
    """A model that is to be fetched from the hub into folder/<its name>."""

    repo: str
    folder: Path


class MaskModel(NamedTuple):
    """Where masks come from. place: what the core's loader takes. follows: through the video, not frame by frame."""

    place: str | Path
    follows: bool


def detector_roots() -> dict[str, list[Path]]:
    """Where detectors and the models for masks are looked for, by ComfyUI's name for the folder.

    Folders that ComfyUI or another pack has set up come first, then those of the same name under models/.
    """
    for name in FOLDER_NAMES:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
    return {name: [Path(root) for root in folder_paths.get_folder_paths(name)] for name in FOLDER_NAMES}


def vocabulary_places() -> list[Path]:
    """Where the vocabulary that GroundingDINO's .pth files need may lie, besides next to the file."""
    return [*detector_roots()["grounding-dino"], Path(folder_paths.models_dir)]


def detector_names() -> list[str]:
    """Bundled detectors, those in ComfyUI's folders, and what can be fetched from the hub.

    Damaged ones are among them, so that choosing one says what is wrong.
    """
    return _names(DETECTORS, ("grounding-dino",), (DETECTOR,))


def mask_names() -> list[str]:
    """`none`, the bundled models for masks, then those in ComfyUI's folders, as in `detector_names`."""
    return _names((NO_MASKS, *MASK_TRACKERS), ("sams", "sam2"), (MASK_TRACKER, SEGMENTER))


def detector_place(name: str) -> str | Path:
    """What `load_detector` takes for one of `detector_names`. SpatialAlignError for one that is gone or damaged."""
    if is_named(name):
        return name
    known = _known_model(name)
    return _target(known) if known else find_candidate(_candidates(), name, DETECTOR).path


def mask_model(name: str) -> MaskModel | None:
    """What stands behind one of `mask_names`; None for `none`. SpatialAlignError as in `detector_place`."""
    if name == NO_MASKS:
        return None
    if name in MASK_TRACKERS:
        return MaskModel(name, follows=True)
    known = _known_model(name)
    if known:
        return MaskModel(_target(known), follows=KNOWN[known.repo] == "sam2")
    candidates = _candidates()
    follows = name in names_for(candidates, MASK_TRACKER)
    found = find_candidate(candidates, name, MASK_TRACKER if follows else SEGMENTER)
    return MaskModel(found.path, follows)


def missing_download(name: str) -> Download | None:
    """What has to be fetched before this name can be loaded; None where nothing has to be, or no longer."""
    known = _known_model(name)
    if known is None:
        return None
    try:
        recognise(_target(known))
    except SpatialAlignError:
        return known
    return None


def _known_model(name: str) -> Download | None:
    repo = name.removeprefix(_DOWNLOAD)
    if repo == name or repo not in KNOWN:
        return None
    return Download(repo, Path(folder_paths.models_dir) / KNOWN[repo])


def _target(known: Download) -> Path:
    return known.folder / safe_name(known.repo.split("/")[1])


def _candidates() -> list[Candidate]:
    return list_candidates(detector_roots())


def _names(bundled: tuple[str, ...], folders: tuple[str, ...], uses: tuple[str, ...]) -> list[str]:
    candidates = _candidates()
    usable = {name for use in uses for name in names_for(candidates, use)}
    roots = [root for name in folders for root in detector_roots()[name]]
    damaged = {
        each.name for each in candidates if each.kind is None and any(r in each.path.parents for r in roots)
    }
    downloads = [_DOWNLOAD + repo for repo, folder in KNOWN.items() if folder in folders]
    return [*bundled, *sorted((usable | damaged) - set(bundled), key=str.lower), *downloads]
