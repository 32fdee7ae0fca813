"""The BERT that groundingdino-py expects, made from any transformers.

groundingdino-py wraps transformers' BertModel and takes three of its methods that transformers 5 no longer has; its
parts no longer take all arguments that it hands them either. Both are given back here to the one model that
groundingdino wraps; the class, and so everybody else's BERT, stays as it is. groundingdino also asks the hub for
"bert-base-uncased" by name; while a model is built, a folder on disk answers instead. The weights are no matter: a
GroundingDINO checkpoint brings its own text encoder.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import torch

from ..errors import SpatialAlignError

# What a folder must hold for its tokenizer; every grounding-dino folder in transformers' layout does too.
VOCABULARY_FILES = ("tokenizer.json", "vocab.txt")


@contextlib.contextmanager
def local_bert(folder: Path) -> Iterator[None]:
    """Inside this block groundingdino builds its text encoder from `folder` and never asks the hub.

    folder: holds the vocabulary, and a config.json where the text encoder is not of bert-base's size.
    """
    from groundingdino.util import get_tokenlizer as room

    names = ("get_tokenlizer", "get_pretrained_language_model")
    before = {name: getattr(room, name) for name in names}
    room.get_tokenlizer = lambda _: load_tokenizer(folder)
    room.get_pretrained_language_model = lambda _: give_back_methods(build_bert(folder))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(room, name, function)


def load_tokenizer(folder: Path) -> Any:
    """The folder's tokenizer. SpatialAlignError when it holds none."""
    from transformers import AutoTokenizer, BertTokenizer

    try:
        if (folder / "config.json").is_file() or (folder / "tokenizer_config.json").is_file():
            return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return BertTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # a damaged vocabulary fails in transformers or in tokenizers
        raise SpatialAlignError(
            f"The BERT vocabulary in {folder} could not be read ({_first_line(error)}); copy or download it again."
        ) from error


def build_bert(folder: Path) -> Any:
    """An untrained BertModel of the folder's configuration, or of bert-base-uncased's where it has none."""
    from transformers import BertConfig, BertModel

    file = folder / "config.json"
    # A grounding-dino folder lends its vocabulary; its config.json is about the whole detector.
    settings = BertConfig.get_config_dict(str(folder))[0] if file.is_file() else {}
    config = BertConfig.from_dict(settings) if settings.get("model_type", "bert") == "bert" else BertConfig()
    return BertModel(config)


def give_back_methods(bert: Any) -> Any:
    """The same model; the methods that its class lost in transformers 5 now hang on this one object, and its parts
    overlook empty arguments that they no longer know."""
    for name, function in _METHODS.items():
        if not hasattr(bert, name):
            setattr(bert, name, MethodType(function, bert))
    for part in (bert.embeddings, bert.encoder):
        part.forward = MethodType(_forgiving(type(part).forward), part)
    return bert


def _forgiving(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same, called without the unknown arguments by name that say nothing, such as past_key_values_length=0."""
    known = inspect.signature(forward).parameters

    def call(part: Any, *values: Any, **named: Any) -> Any:
        return forward(part, *values, **{k: v for k, v in named.items() if k in known or not _empty(v)})

    return call


def _empty(value: Any) -> bool:
    return not (any(each is not None for each in value) if isinstance(value, (list, tuple)) else value)


def _extended_mask(
    bert: Any, attention_mask: torch.Tensor, input_shape: Any, device: Any = None, dtype: Any = None
) -> torch.Tensor:
    """1 to attend, 0 not, (B, T) or (B, T, T) -> what is added to the attention scores, broadcastable over heads."""
    dtype = dtype or bert.dtype
    if attention_mask.dim() not in (2, 3):
        raise ValueError(
            f"attention_mask has shape {tuple(attention_mask.shape)}, expected (B, T) or (B, T, T)."
        )
    mask = attention_mask[:, None] if attention_mask.dim() == 3 else attention_mask[:, None, None]
    return (1.0 - mask.to(dtype)) * torch.finfo(dtype).min


def _head_mask(bert: Any, head_mask: torch.Tensor | None, layers: int) -> list[None]:
    """None for each layer: groundingdino never switches heads off, and the new encoder could not."""
    if head_mask is not None:
        raise ValueError("Single attention heads cannot be switched off in this BERT.")
    return [None] * layers


def _inverted_mask(bert: Any, mask: torch.Tensor) -> torch.Tensor:
    """Only for a BERT that looks at a second text, which this one does not."""
    raise ValueError("This BERT has no second text to attend to.")


_METHODS: dict[str, Callable[..., Any]] = {
    "get_extended_attention_mask": _extended_mask,
    "get_head_mask": _head_mask,
    "invert_attention_mask": _inverted_mask,
}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
