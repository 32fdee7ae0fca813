"""Which detectors, mask trackers and segmenters lie in a set of folders, and what a folder or file is.

ComfyUI's model folders are given from outside, by name. Nothing is loaded: a folder tells by its config.json, a file by
the keys in its header. What is wrong or damaged is listed as what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SpatialAlignError
from ..weight_files import WEIGHT_FILES, read_shapes
from .checkpoints import recognise_shapes
from .other_models import OTHER_FOLDERS, other_model

# ComfyUI's names for the folders under models/ that are searched.
FOLDER_NAMES = ("grounding-dino", "sams", "sam2")

DETECTOR, MASK_TRACKER, SEGMENTER = "detector", "mask tracker", "segmenter"


@dataclass(frozen=True)
class Kind:
    """What a folder or file holds. title: for people. uses: what it can be loaded as. original: its authors' format."""

    title: str
    uses: tuple[str, ...]
    original: bool = False


_FOLDERS = {
    "grounding-dino": Kind("GroundingDINO", (DETECTOR,)),
    "mm-grounding-dino": Kind("MM GroundingDINO", (DETECTOR,)),
    "sam2_video": Kind("SAM 2", (MASK_TRACKER, SEGMENTER)),
    "sam2": Kind("SAM 2 for single pictures", (SEGMENTER,)),
    "sam": Kind("SAM", (SEGMENTER,)),
}
_FILES = {
    "grounding-dino": (DETECTOR,),
    "sam2": (MASK_TRACKER,),
    "sam": (SEGMENTER,),
}
_TITLES = {"grounding-dino": "GroundingDINO", "sam2": "SAM", "sam": "SAM"}


@dataclass(frozen=True)
class Candidate:
    """Something that was found. name: its path below the root that it was found in. kind is None where `problem`, a
    sentence, says why it cannot be used."""

    name: str
    path: Path
    kind: Kind | None
    problem: str | None = None


def list_candidates(roots: Mapping[str, Iterable[str | Path]]) -> list[Candidate]:
    """Everything in these folders, by name. roots: for each of FOLDER_NAMES where ComfyUI looks for it.

    Looked at are a root's files and folders, and the files of folders that are no model themselves. A root that is
    missing is passed over.
    """
    found: dict[Path, Candidate] = {}
    for places in roots.values():
        for root in map(Path, places):
            for path in _entries(root):
                if path not in found:
                    found[path] = _candidate(path, path.relative_to(root).as_posix())
    return sorted(found.values(), key=lambda each: each.name.lower())


def names_for(candidates: Sequence[Candidate], use: str) -> list[str]:
    """The names that can be loaded as `use` (DETECTOR, MASK_TRACKER or SEGMENTER), each once."""
    return list(dict.fromkeys(each.name for each in candidates if each.kind and use in each.kind.uses))


def find_candidate(candidates: Sequence[Candidate], name: str, use: str) -> Candidate:
    """The candidate of that name. SpatialAlignError when it is not there, damaged, or something else."""
    named = [each for each in candidates if each.name == name]
    for each in named:
        if each.kind and use in each.kind.uses:
            return each
    for each in named:
        if each.problem:
            raise SpatialAlignError(each.problem)
        assert each.kind is not None
        raise _other_use(each.path, each.kind, use)
    others = ", ".join(names_for(candidates, use)) or "none was found"
    raise SpatialAlignError(
        f"There is no {use} {name!r} in ComfyUI's folders {', '.join(FOLDER_NAMES)}; there are: {others}."
    )


def recognise(path: str | Path, use: str | None = None) -> Kind:
    """What a folder or file is, without loading it.

    use: what it is wanted as. SpatialAlignError for one that is missing, damaged, unknown, or of no such use.
    """
    place = Path(path)
    if place.is_dir():
        kind = _recognise_folder(place)
    elif place.is_file():
        kind = _recognise_file(place)
    else:
        raise SpatialAlignError(f"There is no model {place}; check the folder, or choose another model.")
    if use is not None and use not in kind.uses:
        raise _other_use(place, kind, use)
    return kind


def _recognise_folder(folder: Path) -> Kind:
    config = folder / "config.json"
    if not config.is_file():
        raise SpatialAlignError(
            f"{folder} has no config.json, so it is no model in transformers' layout; choose the folder that holds it."
        )
    try:
        found = json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SpatialAlignError(f"{config} is damaged; copy or download the folder again.") from None
    if found in OTHER_FOLDERS:
        raise SpatialAlignError(f"{folder} holds {OTHER_FOLDERS[found]}.")
    if found not in _FOLDERS:
        raise SpatialAlignError(
            f"{folder} holds a {found!r} model, which is neither a GroundingDINO nor a SAM; choose another folder."
        )
    weights = [file for file in folder.glob("model*.safetensors") if file.is_file()]
    if not weights:
        raise SpatialAlignError(
            f"{folder} has no model.safetensors; download that file into it (pytorch_model.bin is not taken)."
        )
    for file in weights:
        read_shapes(file)
    return _FOLDERS[found]


def _recognise_file(file: Path) -> Kind:
    if file.suffix.lower() not in WEIGHT_FILES:
        known = ", ".join(WEIGHT_FILES)
        raise SpatialAlignError(
            f"{file} is not a weights file; choose a folder or a file that ends in {known}."
        )
    shapes = read_shapes(file)
    kind, other = recognise_shapes(shapes), other_model(shapes)
    if other is not None:
        raise SpatialAlignError(f"{file} holds {other}.")
    if kind is None and _is_transformers(shapes):
        raise SpatialAlignError(
            f"{file} is the weights of a model in transformers' layout and needs its config.json beside it; "
            "choose the folder that holds both."
        )
    if kind is None:
        first = ", ".join(list(shapes)[:2]) or "nothing"
        raise SpatialAlignError(
            f"{file} holds neither a GroundingDINO nor a SAM (its weights begin with {first}); choose another file."
        )
    return Kind(f"{_TITLES[kind.family]} {kind.variant}", _FILES[kind.family], original=True)


def _is_transformers(shapes: Iterable[str]) -> bool:
    return any(
        key.startswith(("vision_encoder.", "model.text_backbone.", "text_backbone.")) for key in shapes
    )


def _entries(root: Path) -> list[Path]:
    """Model folders and weight files of a root, two floors deep; hidden ones and unfinished downloads left out."""
    entries: list[Path] = []
    for path in _visible(root):
        if path.is_file():
            if path.suffix.lower() in WEIGHT_FILES:
                entries.append(path)
        elif (path / "config.json").is_file():
            if not _is_text_model(path):
                entries.append(path)
        else:
            entries += [
                below
                for below in _visible(path)
                if (below.is_file() and below.suffix.lower() in WEIGHT_FILES)
                or (below / "config.json").is_file()
            ]
    return entries


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:  # missing, or not ours to read
        return []


def _is_text_model(folder: Path) -> bool:
    """The BERT whose vocabulary GroundingDINO's .pth files need lies among the models and is none."""
    return folder.name.startswith("bert-")


def _candidate(path: Path, name: str) -> Candidate:
    try:
        return Candidate(name, path, recognise(path))
    except SpatialAlignError as error:
        return Candidate(name, path, None, str(error))


def _other_use(path: Path, kind: Kind, use: str) -> SpatialAlignError:
    return SpatialAlignError(
        f"{path} holds {kind.title}, which serves as {' or '.join(kind.uses)} but not as {use}; choose another."
    )
