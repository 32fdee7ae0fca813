"""What a weight file of a video model is, from its keys and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import SpatialAlignError
from ..weight_files import WEIGHT_FILES, Shapes, first_part, is_later_part, parts_of, read_shapes
from . import text_encoders
from .families import families
from .weights import bare_shapes

TRANSFORMER, VAE, TEXT_ENCODER = "video model", "VAE", "text encoder"
DAMAGED, OTHER = "damaged", "other"
VAE_PREFIXES = ("vae.", "first_stage_model.")


@dataclass(frozen=True)
class FileKind:
    """What a weight file is. kind and width: of a text encoder; families: by name, those that it belongs to.

    Of one that is DAMAGED or something OTHER the title is a sentence that says so.
    """

    role: str
    title: str
    families: tuple[str, ...] = ()
    kind: str = ""
    width: int = 0


def recognise_file(path: str | Path) -> FileKind:
    """What a weight file is, from its keys and shapes alone. SpatialAlignError, in words, for one that is missing,
    damaged or of no use here."""
    file = first_part(Path(path))
    if not file.is_file():
        raise SpatialAlignError(f"There is no file {file}; choose another model.")
    if file.suffix.lower() not in WEIGHT_FILES:
        raise SpatialAlignError(
            f"{file} is not a weights file; choose one that ends in {', '.join(WEIGHT_FILES)}."
        )
    found = _recognise_as_it_is(file)
    if found.role in (DAMAGED, OTHER):
        raise SpatialAlignError(found.title)
    return found


def video_models(files: Mapping[str, Path]) -> list[str]:
    """Names of the files that are video models, and of damaged ones, so that choosing one says what is wrong. One in
    several parts is there once, by its first."""
    return [
        name
        for name, file in files.items()
        if file.is_file()
        and not is_later_part(file)
        and _recognise_as_it_is(file).role in (TRANSFORMER, DAMAGED)
    ]


def weight_files(folders: Iterable[str | Path]) -> list[Path]:
    """Every weight file in these folders and below, by path; hidden ones and later parts of a file left out. Missing
    folders are passed over."""
    found: dict[Path, None] = {}
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            below = path.relative_to(folder).parts
            if (
                path.suffix.lower() in WEIGHT_FILES
                and not is_later_part(path)
                and not any(part.startswith(".") for part in below)
            ):
                found[path] = None
    return list(found)


def _recognise_as_it_is(file: Path) -> FileKind:
    """Looked at again when size or time of it or of one of its parts change."""
    try:
        parts = parts_of(file)
    except SpatialAlignError as error:
        return FileKind(DAMAGED, str(error))
    return _recognise(file, tuple((stat.st_size, stat.st_mtime_ns) for stat in map(Path.stat, parts)))


@lru_cache(maxsize=4096)
def _recognise(file: Path, parts: tuple[tuple[int, int], ...]) -> FileKind:
    try:
        everything = read_shapes(file)
        shapes = bare_shapes(everything)
        for family in families():
            title = family.recognise(shapes, f"{file.parent.name}/{file.name}")
            if title:
                return FileKind(TRANSFORMER, title, (family.name,))
        vae = bare_shapes(everything, VAE_PREFIXES)
        owners = [(each.name, title) for each in families() if (title := each.recognise_vae(vae))]
        if owners:
            return FileKind(VAE, owners[0][1], tuple(name for name, _ in owners))
        text = bare_shapes(everything, text_encoders.PREFIXES)
        kind = text_encoders.recognise(text)
        if kind:
            return FileKind(TEXT_ENCODER, text_encoders.TITLES[kind], (), kind, text_encoders.width_of(text))
    except SpatialAlignError as error:
        return FileKind(DAMAGED, str(error))
    known = f"{file} is no text-to-video model, VAE or text encoder that is known here"
    return FileKind(OTHER, f"{known}: {_what_else(shapes)}.")


def _what_else(shapes: Shapes) -> str:
    """A file that is of no use, as what it probably is."""
    for pattern, words in _OTHERS:
        if any(re.search(pattern, key) for key in shapes):
            return f"it is {words}"
    return f"its weights begin with {', '.join(list(shapes)[:2]) or 'nothing'}"


_OTHERS = (
    (r"\.lora_(A|B|up|down)\b|\.hada_|\.lokr_", "a LoRA; choose it on a Load LoRA node"),
    (r"^head\.modulation$", "a Wan model that starts from images, poses or sound, not from text alone"),
    (r"^double_blocks\.0\.img_attn\.(norm|qkv)", "a Flux picture model"),
    (r"^joint_blocks\.", "a Stable Diffusion 3 picture model"),
    (r"^(model\.diffusion_model\.)?input_blocks\.", "a Stable Diffusion picture model"),
    (r"^transformer_blocks\.0\.img_mod", "a Qwen picture model"),
    (r"^text_model\.|^model\.layers\.|^visual\.|^vision_model\.", "a text or vision encoder of another model"),
    (r"^decoder\.(mid|up_blocks|up)\b|^decoder\.", "a VAE of another model"),
)  # fmt: skip
