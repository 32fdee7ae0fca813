"""Tokenizers of single files of text encoders: inside the file, in a folder beside it, one that is given, or UMT5's out
of another file of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ..errors import SpatialAlignError
from ..files import cause
from ..weight_files import read_shapes

SPIECE = "spiece_model"
"""Key under which ComfyUI's files hold their tokenizer."""

# Where they lie beside the weights: as the models' authors publish them, and in diffusers' layout.
_BESIDE: dict[str, tuple[str, ...]] = {
    "umt5": ("google/umt5-xxl", "umt5-xxl", "umt5_xxl", "T5_tokenizer", "tokenizer"),
    "t5": ("google/t5-v1_1-xxl", "t5-v1_1-xxl", "t5_tokenizer", "tokenizer"),
}
# T5's own has this table in its first block alone.
_UMT5_ALONE = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
_FILES = ("spiece.model", "tokenizer.json", "vocab.json")


def load_tokenizer(path: Path, kind: str, vocabulary: Tensor | None, given: Mapping[str, Path]) -> Any:
    """From the bytes of a sentencepiece model inside the file where it has them, else from a folder beside the file,
    else from the one that is given for its kind, else UMT5's out of another UMT5 beside it. SpatialAlignError when
    there is none, or it is damaged."""
    if vocabulary is not None:
        return SentencePieceTokenizer(bytes(vocabulary.tolist()), path)
    folder = find_folder(path, kind) or given.get(kind)
    if folder is None and kind == "umt5" and (lender := _lender(path)) is not None:
        with safe_open(lender, framework="pt") as file:  # of gigabytes, this tensor alone
            return SentencePieceTokenizer(bytes(file.get_tensor(SPIECE).tolist()), lender)
    if folder is None or not folder.is_dir():
        names = [f"the folder {name}" for name in _BESIDE.get(kind, ())[:1]]
        ways = [
            "take ComfyUI's own file of this text encoder",
            *(f"put {each} of its authors beside it" for each in names),
        ]
        raise SpatialAlignError(
            f"The tokenizer of {path.name} was not found: the file holds none, and neither does "
            f"{folder or 'the installation'}; {', or '.join(ways)}."
        )
    spiece = folder / "spiece.model"
    if kind == "umt5" and spiece.is_file():  # what ComfyUI's file of it holds
        return SentencePieceTokenizer(spiece.read_bytes(), spiece)
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of several libraries
        raise SpatialAlignError(
            f"The tokenizer in {folder} could not be read ({(str(error).splitlines() or [''])[0][:160]}); "
            "copy or download its files again."
        ) from error


def has_tokenizer(path: Path, kind: str) -> bool:
    """Whether the file holds its tokenizer, or has it beside it."""
    return any(name.endswith(SPIECE) for name in read_shapes(path)) or find_folder(path, kind) is not None


def find_folder(path: Path, kind: str) -> Path | None:
    """The tokenizer's folder in the folder of the file or in the one above, None where there is none."""
    for root in (path.parent, path.parent.parent):
        for name in _BESIDE.get(kind, ()):
            if any((root / name / file).is_file() for file in _FILES):
                return root / name
    return path.parent if kind in _BESIDE and (path.parent / "spiece.model").is_file() else None


def _lender(path: Path) -> Path | None:
    """Another UMT5 file in the folder with a tokenizer inside, of the same vocabulary: all sizes share one."""
    own = read_shapes(path)
    words = own.get("token_embedding.weight") or own.get("shared.weight", (0,))
    for other in sorted(path.parent.glob("*.safetensors")):
        try:
            shapes = read_shapes(other)
        except SpatialAlignError:  # said where it is chosen
            continue
        if SPIECE in shapes and _UMT5_ALONE in shapes and shapes.get("shared.weight", (-1,))[0] == words[0]:
            return other
    return None


class SentencePieceTokenizer:
    """What pipelines ask of a tokenizer, on the bytes of a sentencepiece model: T5's end mark (1) after the text,
    zeros after that. path: of its file, for errors."""

    model_max_length = 512
    _END, _PAD = 1, 0

    def __init__(self, model: bytes, path: Path) -> None:
        import sentencepiece

        try:
            self._model = sentencepiece.SentencePieceProcessor(model_proto=model)
        except Exception as error:  # sentencepiece raises its own
            raise SpatialAlignError(
                f"The tokenizer in {path} is damaged ({cause(error)}); download the file again."
            ) from error

    def __call__(
        self, texts: str | list[str], max_length: int | None = None, padding: Any = False, **_: Any
    ) -> Any:
        """input_ids and attention_mask (B, L); L is `max_length` with padding="max_length", else the longest text."""
        from transformers import BatchEncoding

        limit = max_length or self.model_max_length
        batch = [texts] if isinstance(texts, str) else texts
        rows = [[*self._model.encode(text)[: limit - 1], self._END] for text in batch]
        length = limit if padding == "max_length" else max(map(len, rows))
        ids = torch.tensor([row + [self._PAD] * (length - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
        return BatchEncoding({"input_ids": ids, "attention_mask": mask})
