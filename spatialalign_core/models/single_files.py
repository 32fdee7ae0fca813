"""Single files as ComfyUI keeps them (diffusion_models, vae, text_encoders): what each is, which belong together, and
the pipeline they make. Nothing asks the hub: sizes come from shapes, constants ship with the pack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..weight_files import first_part, read_shapes, weights_fingerprint
from . import experts, text_encoders
from .base import Family
from .families import families
from .file_kinds import TRANSFORMER, VAE, VAE_PREFIXES, FileKind, recognise_file, weight_files
from .tokenizers import has_tokenizer
from .weights import bare_shapes, empty, fill, read_plain, rows_of

# Where ComfyUI keeps them, beside each other.
_FOLDERS = ("vae", "text_encoders", "clip", "diffusion_models", "unet", "checkpoints")
# What configurations call the width of the text states that a network takes, then of a second encoder's.
_TEXT_WIDTHS = ("text_dim", "caption_channels", "text_embed_dim", "pooled_projection_dim")


@dataclass(frozen=True)
class Parts:
    """Files of one model. transformer is the one that is trained; other_expert the second network of a pair."""

    transformer: Path
    vae: Path
    text_encoders: tuple[Path, ...]
    other_expert: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        second = () if self.other_expert is None else (self.other_expert,)
        return (self.transformer, *second, self.vae, *self.text_encoders)

    def fingerprint(self) -> str:
        """Tells two sets of files apart, whichever of two experts is trained: their videos are the same."""
        return fingerprint(sorted(weights_fingerprint(file) for file in self.files))


@dataclass
class Assembled:
    """A pipeline of single files. notes: sentences on what was left out, and on what was decided in doubt."""

    family: Family
    pipeline: Any
    title: str
    expert: str | None
    notes: list[str] = field(default_factory=list)


def folders_beside(path: Path) -> list[Path]:
    """Where the other files of a model are looked for when nobody says: the file's own folder, and those beside it."""
    root = next((each.parent for each in path.parents if each.name in _FOLDERS), path.parent)
    return [path.parent, *(root / name for name in _FOLDERS if (root / name).is_dir())]


def find_parts(
    path: Path,
    folders: Sequence[str | Path] | None = None,
    vae: Path | None = None,
    text: Sequence[Path] = (),
    other_expert: Path | None = None,
) -> Parts:
    """The files that go with a transformer: those given, and for the rest the first fitting one in `folders`, where
    files that name the family come first (the VAEs of Wan2.1 and of Qwen-Image differ in nothing but their weights).

    SpatialAlignError when one is missing or of another kind.
    """
    path = first_part(path)
    family, _ = family_of(path)
    files = weight_files(folders_beside(path) if folders is None else folders)
    vae = vae or _first(
        files, family.name[:3], lambda kind: kind.role == VAE and family.name in kind.families
    )
    if vae is None and family.recognise_vae(bare_shapes(read_shapes(path), VAE_PREFIXES)):
        vae = path  # a whole checkpoint
    if vae is None:
        raise _missing(path, family, "VAE", "models/vae")
    if vae != path and family.name not in recognise_file(vae).families:
        raise SpatialAlignError(
            f"{vae.name} is {_a(recognise_file(vae).title)} and does not belong to {family.title}; choose its own VAE."
        )
    config = family.transformer_config(bare_shapes(read_shapes(path)))
    widths = [config[key] for key in _TEXT_WIDTHS if key in config]
    encoders = tuple(
        _text_encoder(path, family, wanted, width, files, text)
        for wanted, width in zip(family.text_kinds, widths, strict=False)
    )
    return Parts(path, vae, encoders, _partner(path, family, files, other_expert))


def assemble(parts: Parts, dtype: torch.dtype, tokenizers: Mapping[str, Path] | None = None) -> Assembled:
    """Load the files into diffusers' pipeline, on the CPU. tokenizers: folder of each kind that a file may lack.

    SpatialAlignError for files that are damaged, not whole or of another model.
    """
    import diffusers

    family, title = family_of(parts.transformer)
    made = Assembled(family, None, title, None)
    components: dict[str, Any] = {"scheduler": family.scheduler(title)}
    files = [parts.transformer]
    if family.experts:
        assert parts.other_expert is not None
        expert = _expert_of(parts.transformer)
        made.expert = family.experts[expert]
        files.insert(1 - expert, parts.other_expert)
    for name, file in zip(("transformer", "transformer_2"), files, strict=False):
        components[name] = _transformer(file, family, dtype, made)
    made.notes += _doubts(parts, family)
    components["vae"] = _vae(parts.vae, family, dtype, made)
    for index, file in enumerate(parts.text_encoders):
        suffix = "" if index == 0 else f"_{index + 1}"
        network, tokenizer = text_encoders.load_text_encoder(
            file, family.text_kinds[index], dtype, tokenizers or {}
        )
        components["text_encoder" + suffix], components["tokenizer" + suffix] = network, tokenizer
    made.pipeline = getattr(diffusers, family.pipeline_class)(**components, **family.pipeline_options())
    return made


def _transformer(file: Path, family: Family, dtype: torch.dtype, made: Assembled) -> Any:
    import diffusers

    config = family.transformer_config(bare_shapes(read_shapes(file)))
    network = empty(lambda: getattr(diffusers, family.transformer_class)(**config))
    state = family.names.to_ours(read_plain(file, dtype), rows_of(network))
    _note(made, file, fill(network, state, file, _a(made.title)))
    return network


def _vae(file: Path, family: Family, dtype: torch.dtype, made: Assembled) -> Any:
    import diffusers

    config = family.vae_config(bare_shapes(read_shapes(file), VAE_PREFIXES))
    network = empty(lambda: getattr(diffusers, family.vae_class)(**config))
    state = family.vae_weights(read_plain(file, dtype, VAE_PREFIXES), rows_of(network))
    _note(made, file, fill(network, state, file, f"the VAE of {family.title}"))
    return network


def _doubts(parts: Parts, family: Family) -> list[str]:
    path, other = parts.transformer, parts.other_expert
    doubt = family.doubt(bare_shapes(read_shapes(path)), f"{path.parent.name}/{path.name}")
    if other is not None and not experts.is_named_as_partner(path, other):
        doubt = f"{other.name} is taken for the other network of {path.name}; no name is more like it."
    return [doubt] if doubt else []


def _note(made: Assembled, file: Path, left_out: Sequence[str]) -> None:
    if left_out:
        some = ", ".join(left_out[:2]) + (", ..." if len(left_out) > 2 else "")
        made.notes.append(
            f"{len(left_out)} weights of {file.name} that the model does not have were left out: {some}"
        )


def family_of(path: Path) -> tuple[Family, str]:
    """The family of a video model's file, and what the file is, for people. SpatialAlignError for another file."""
    kind = recognise_file(path)
    if kind.role != TRANSFORMER:
        raise SpatialAlignError(
            f"{path.name} is {_a(kind.title)}, not a video model; choose the video model's file."
        )
    return next(each for each in families() if each.name == kind.families[0]), kind.title


def transformer_config(path: Path) -> dict[str, Any]:
    """diffusers' configuration of a video model's file, with its `_class_name`."""
    family, _ = family_of(path)
    return family.transformer_config(bare_shapes(read_shapes(path))) | {
        "_class_name": family.transformer_class
    }


def _text_encoder(
    path: Path, family: Family, wanted: str, width: int, files: Sequence[Path], given: Sequence[Path]
) -> Path:
    title = text_encoders.TITLES[wanted]
    for file in given:
        kind = recognise_file(file)
        if kind.kind == wanted and kind.width != width:
            raise SpatialAlignError(
                f"{file.name} is a {title} of {kind.width} channels, and {path.name} needs one of {width}; choose "
                "another text encoder."
            )
        if kind.kind == wanted:
            return file
    if len(given) >= len(family.text_kinds):
        kinds = " and ".join(f"{file.name} is {_a(recognise_file(file).title)}" for file in given)
        raise SpatialAlignError(f"{family.title} needs a {title}, but {kinds}; choose another text encoder.")
    fitting = [
        file
        for file in _hinted(files, wanted[:4])
        if (found_kind := _kind_or_none(file)) and (found_kind.kind, found_kind.width) == (wanted, width)
    ]
    # T5's tokenizer comes with ComfyUI, UMT5's does not: a file that has it goes before one that would have to find it.
    found = next((file for file in fitting if has_tokenizer(file, wanted)), fitting[0] if fitting else None)
    if found is None:
        raise _missing(path, family, title, "models/text_encoders")
    return found


def _partner(path: Path, family: Family, files: Sequence[Path], given: Path | None) -> Path | None:
    """The file of the other expert: the one given, or the one named alike. Others are not guessed at."""
    if not family.experts:
        return None
    mine = _expert_of(path)
    others = [
        file
        for file in ([given] if given else files)
        if (kind := _kind_or_none(file)) and family.name in kind.families and kind.role == TRANSFORMER
        and _expert_of(file) != mine
    ]  # fmt: skip
    found = given if given in others else experts.find_partner(path, others)
    if found is not None:
        return found
    what = f"network for {family.experts[1 - mine]}"
    there = f" There is {others[0].name}; if it belongs to it, give it that name." if others else ""
    raise SpatialAlignError(
        f"{path.name} is {_a(family.title)} and needs its {what}, {experts.partner_name(path)}, which was not found; "
        f"put the file into models/diffusion_models or beside it.{there}"
    )


def _expert_of(path: Path) -> int:
    """0 for high noise, 1 for low: the pipeline's order."""
    return 0 if experts.HIGH in experts.experts_in(f"{path.parent.name}/{path.name}") else 1


def _first(files: Iterable[Path], hint: str, fits: Callable[[FileKind], bool]) -> Path | None:
    return next((file for file in _hinted(files, hint) if (kind := _kind_or_none(file)) and fits(kind)), None)


def _hinted(files: Iterable[Path], hint: str) -> list[Path]:
    """Those with the hint in their names first."""
    return sorted(files, key=lambda file: hint not in file.name.lower())


def _kind_or_none(file: Path) -> FileKind | None:
    try:
        return recognise_file(file)
    except SpatialAlignError:
        return None


def _a(title: str) -> str:
    return f"{'an' if title[0] in 'AEIOaeio' else 'a'} {title}"


def _missing(path: Path, family: Family, what: str, where: str) -> SpatialAlignError:
    return SpatialAlignError(
        f"{path.name} is {_a(family.title)} and needs its {what}, which was not found; put the file into {where}, "
        "or choose it."
    )
