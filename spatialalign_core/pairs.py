"""The pairs folder: what training needs of every pair, precomputed, in files that Hugging Face `datasets` loads.

README.md                              dataset card; names train.jsonl, so that nothing else is taken for data
train.jsonl                            one line a pair
export.json                            settings, explanation and fingerprint of the export, digest of train.jsonl
text.safetensors                       text embeddings: "prompt.<text id>", and "negative" when guidance has one
latents/<prompt>/<seed>.safetensors    "latents", and the "noise" they came from where it is known, (C, F', H', W')
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .errors import SpatialAlignError
from .files import atomic_write, cause, contained, safe_name, why_not
from .files import fingerprint as digest_of
from .pair_choice import Pair, PairSelection, choose_pairs
from .pair_settings import PairSettings, PromptCount
from .prompts import DsrPrompt

__all__ = [
    "Pair", "PairData", "PairSelection", "PairSettings", "PromptCount", "choose_pairs", "export_pairs", "latents_name",
    "load_pairs",
]  # fmt: skip

NEGATIVE = ""  # the key of the negative prompt's embedding in `text_embeddings`
_FORMAT = 2
_CACHE_BYTES = 256 * 2**20
_AGAIN = "Export the pairs again."


class PairData:
    """An exported pairs folder, opened. Tensors are read when asked for; the last 256 MiB of them are kept.

    pairs: in the order of the file. texts: text id -> prompt text. explanation: how the pairs were chosen.
    model: fingerprint of the model that the latents and the embeddings are of; empty in old exports.
    """

    def __init__(
        self, folder: Path, pairs: tuple[Pair, ...], texts: dict[str, str], about: Mapping[str, object]
    ):
        self.folder = folder
        self.pairs = pairs
        self.texts = texts
        self.explanation = str(about.get("explanation", ""))
        self.fingerprint = str(about.get("fingerprint", ""))
        self.model = str(about.get("model", ""))
        self._about = about
        self._cache: OrderedDict[tuple[str, str], torch.Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def settings(self) -> PairSettings:
        """How the pairs were chosen. SpatialAlignError where the folder does not say it."""
        try:
            return PairSettings(**self._about["settings"])  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise SpatialAlignError(
                f"{self.folder} does not say how its pairs were chosen ({cause(error)}). {_AGAIN}"
            ) from error

    @property
    def prompts(self) -> frozenset[str]:
        """Ids of the prompts that were looked at, with or without pairs."""
        found = self._about.get("prompts")
        return frozenset(found) if isinstance(found, dict) else frozenset()

    def latents(self, prompt_id: str, seed: int) -> torch.Tensor:
        """Normalised latents (C, F', H', W'). SpatialAlignError when the file is missing or damaged."""
        return self._tensor(latents_name(prompt_id, seed), "latents")

    def noise(self, prompt_id: str, seed: int) -> torch.Tensor:
        """The noise that became these latents, same shape. Errors as `latents`, and where it is not known."""
        try:
            return self._tensor(latents_name(prompt_id, seed), "noise")
        except _NoSuchTensor:
            raise SpatialAlignError(
                f"The noise of {prompt_id}, seed {seed}, is not known, because the video was made elsewhere; train "
                "with noise 'shared' or 'separate'."
            ) from None

    def text(self, text_id: str) -> torch.Tensor:
        """Text embedding (L, D) of a pair's `text_id`. Errors as `latents`."""
        return self._tensor("text.safetensors", f"prompt.{text_id}")

    @property
    def negative_text(self) -> torch.Tensor | None:
        """Embedding of the negative prompt, (L, D); None when the export had none."""
        try:
            return self._tensor("text.safetensors", "negative")
        except _NoSuchTensor:
            return None

    def check(self) -> None:
        """Open every file that training will need; SpatialAlignError for the first that is missing or damaged, or of
        another size than the rest."""
        with _opened(contained(self.folder, "text.safetensors")):
            pass
        ids = dict.fromkeys(pair.text_id for pair in self.pairs)
        texts = ((text_id, tuple(self.text(text_id).shape)) for text_id in ids)
        _check_alike((f"the text of {text_id}", shape) for text_id, shape in texts)
        videos = ((p.prompt_id, seed) for p in self.pairs for seed in (p.winner_seed, p.loser_seed))
        names = [latents_name(prompt_id, seed) for prompt_id, seed in dict.fromkeys(videos)]
        _check_alike((str(self.folder / name), shape) for name in names for shape in self._shapes(name))

    def _shapes(self, name: str) -> set[tuple[int, ...]]:
        """Of latents and noise, from the header."""
        with _opened(contained(self.folder, name)) as file:
            keys = {"latents", *file.keys()} & {"latents", "noise"}
            return {tuple(file.get_slice(key).get_shape()) for key in keys}

    def _tensor(self, name: str, key: str) -> torch.Tensor:
        """Callers share the returned tensor and must not write into it."""
        if (name, key) in self._cache:
            self._cache.move_to_end((name, key))
            return self._cache[name, key]
        path = contained(self.folder, name)
        with _opened(path) as file:
            if key not in file.keys():  # noqa: SIM118 - not a mapping
                raise _NoSuchTensor(f"{path} has no {key!r}. {_AGAIN}")
            tensor = file.get_tensor(key)
        self._cache[name, key] = tensor
        while len(self._cache) > 1 and sum(t.nbytes for t in self._cache.values()) > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return tensor


class _NoSuchTensor(SpatialAlignError):
    pass


def _check_alike(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> None:
    """SpatialAlignError that names two which differ."""
    first: tuple[str, tuple[int, ...]] | None = None
    for name, shape in shapes:
        first = first or (name, shape)
        if shape != first[1]:
            text = f"{first[0]} is of the size {first[1]} and {name} of {shape}, and training takes one size."
            raise SpatialAlignError(f"{text[0].upper()}{text[1:]} {_AGAIN}")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise SpatialAlignError(f"{path} is missing. {_AGAIN}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise SpatialAlignError(
            f"{path} is damaged ({cause(error)}). Delete it and export the pairs again."
        ) from error


def export_pairs(
    folder: str | Path,
    selection: PairSelection,
    prompts: Iterable[DsrPrompt],
    load_latents: Callable[[str, int], Mapping[str, torch.Tensor]],
    text_embeddings: Mapping[str, torch.Tensor],
    fingerprint: str = "",
    model: str = "",
) -> None:
    """Write a pairs folder, whole or not at all; an older export stays in place until the new one is complete.

    prompts, text_embeddings: by the pairs' `text_id`, so with the retold ones; embeddings are (L, D), the negative
    prompt's under "". load_latents: (prompt id, seed) -> "latents", "noise" where it is known, (C, F', H', W') each.
    fingerprint, model: kept in the folder for whoever asks whether it is up to date, and of which model.
    An empty selection writes a folder without rows that carries the explanation (`datasets` itself loads no empty
    split). SpatialAlignError when a prompt or
    its embedding is missing, when `folder` holds something else than an export, or when the disk refuses.
    """
    folder = Path(folder)
    by_id = {prompt.id: prompt for prompt in prompts}
    used = dict.fromkeys(pair.text_id for pair in selection.pairs)
    for prompt_id in used:
        if prompt_id not in by_id:
            raise SpatialAlignError(
                f"The pairs name the prompt {prompt_id!r}, which is not among the prompts given."
            )
        if prompt_id not in text_embeddings:
            raise SpatialAlignError(
                f"The prompt {prompt_id!r} has no text embedding; encode the prompts first."
            )
    if folder.exists() and not _is_export(folder):
        raise SpatialAlignError(
            f"{folder} holds other files than exported pairs; choose an empty or a new folder."
        )

    with _replacing(folder) as temporary:
        text = {f"prompt.{prompt_id}": text_embeddings[prompt_id] for prompt_id in used}
        if NEGATIVE in text_embeddings:
            text["negative"] = text_embeddings[NEGATIVE]
        _save(temporary / "text.safetensors", text)
        videos = ((p.prompt_id, seed) for p in selection.pairs for seed in (p.winner_seed, p.loser_seed))
        for prompt_id, seed in dict.fromkeys(videos):
            tensors = load_latents(prompt_id, seed)
            _save(
                temporary / latents_name(prompt_id, seed),
                {key: tensors[key] for key in ("latents", "noise") if key in tensors},
            )
        table = "".join(json.dumps(_row(pair, by_id[pair.text_id])) + "\n" for pair in selection.pairs)
        atomic_write(temporary / "train.jsonl", table)
        about = {
            "format": _FORMAT, "fingerprint": fingerprint, "model": model, "explanation": selection.explanation,
            "table": digest_of(table),
            "settings": asdict(selection.settings),
            "prompts": {prompt_id: asdict(count) for prompt_id, count in selection.counts.items()},
        }  # fmt: skip
        atomic_write(temporary / "export.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
        atomic_write(temporary / "README.md", _card(selection))


def load_pairs(folder: str | Path) -> PairData:
    """Open an exported folder. SpatialAlignError names the file that is missing or damaged, and what to do."""
    folder = Path(folder)
    with contextlib.suppress(OSError):  # the process died between the two renames of an export
        if not folder.exists() and _is_export(_old(folder)):
            os.replace(_old(folder), folder)
    if not folder.is_dir():
        raise SpatialAlignError(f"There are no exported pairs in {folder}; export the pairs first.")
    path = folder / "export.json"
    number = 0
    try:
        about = json.loads(path.read_text("utf-8"))
        if about.get("format") != _FORMAT:
            raise SpatialAlignError(f"{path} was written by another version of SpatialAlign. {_AGAIN}")
        path = folder / "train.jsonl"
        names = [field.name for field in fields(Pair)]
        types = (str, int, int, float, float, str)
        pairs, texts = [], {}
        table = path.read_text("utf-8")
        for number, line in enumerate(table.splitlines(), start=1):  # noqa: B007 - named in the error
            row = json.loads(line)
            pairs.append(Pair(*(kind(row[name]) for kind, name in zip(types, names, strict=True))))
            texts[pairs[-1].text_id] = str(row["prompt"])
    except FileNotFoundError:
        raise SpatialAlignError(f"{path} is missing. {_AGAIN}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        where = f", line {number}" if number else ""
        raise SpatialAlignError(f"{path}{where} is damaged ({cause(error)}). {_AGAIN}") from error
    if about.get("table", known := digest_of(table)) != known:
        raise SpatialAlignError(f"{path} is not what was exported, it was cut short or changed. {_AGAIN}")
    return PairData(folder, tuple(pairs), texts, about)


def _row(pair: Pair, prompt: DsrPrompt) -> dict[str, object]:
    return {
        **asdict(pair),
        "margin": pair.margin,
        "prompt": prompt.text,
        "subject": prompt.subject,
        "object": prompt.object,
        "relation_change": prompt.change.code,
        "scene": prompt.scene,
        "winner_latents": latents_name(pair.prompt_id, pair.winner_seed),
        "loser_latents": latents_name(pair.prompt_id, pair.loser_seed),
        "text_embedding": f"text.safetensors#prompt.{pair.text_id}",
    }


_COLUMNS = {
    "prompt_id": "string", "winner_seed": "int64", "loser_seed": "int64", "winner_score": "float64",
    "loser_score": "float64", "told": "string", "margin": "float64", "prompt": "string", "subject": "string",
    "object": "string", "relation_change": "string", "scene": "string", "winner_latents": "string",
    "loser_latents": "string", "text_embedding": "string",
}  # fmt: skip


def _card(selection: PairSelection) -> str:
    columns = "\n".join(f"  - name: {name}\n    dtype: {kind}" for name, kind in _COLUMNS.items())
    return (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.jsonl\n"
        f"dataset_info:\n  features:\n{columns}\n---\n\n# SpatialAlign pairs\n\n{selection.explanation}\n\n"
        "Each row is a winner, which obeys its prompt, and a loser, which does not. `winner_latents`,\n"
        "`loser_latents` and `text_embedding` name safetensors files in this folder.\n"
        "`datasets.load_dataset` of this folder loads the rows.\n"
    )


def latents_name(prompt_id: str, seed: int) -> str:
    """Where the latents of a video lie in a pairs folder."""
    return f"latents/{safe_name(prompt_id)}/{seed}.safetensors"


def _save(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A clone, because safetensors refuses views of shared storage.
    save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, path)
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _is_export(folder: Path) -> bool:
    return folder.is_dir() and ((folder / "export.json").exists() or not any(folder.iterdir()))


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A sibling folder that takes the place of `folder` at the end of the block; gone after an error."""
    temporary, old = folder.with_name(f".{folder.name}.part"), _old(folder)
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # left by a killed export
        temporary.mkdir(parents=True)
        yield temporary
        _swap(temporary, folder, old)
    except (OSError, SafetensorError) as error:
        why = why_not(error) or f"{error}; check that the folder is writable and the disk has space"
        raise SpatialAlignError(f"Cannot write the pairs to {folder}: {why}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, folder: Path, old: Path) -> None:
    """`new` takes the place of `folder`, which is `old` for a moment and then gone."""
    for attempts_left in (2, 1, 0):
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        try:
            os.replace(new, folder)
            break
        except (
            OSError
        ) as error:  # whoever opened the pairs just now took the export for a dead one and put `old` back
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not attempts_left:
                raise
    shutil.rmtree(old, ignore_errors=True)
