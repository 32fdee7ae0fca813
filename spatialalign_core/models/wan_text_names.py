"""Wan's own names for the weights of its UMT5 encoder, as in models_t5_umt5-xxl-enc-bf16.pth and files made from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_BLOCK, _OURS = "blocks.{}.", "encoder.block.{}.layer."
_TABLE = {
    "token_embedding": "shared",
    "norm": "encoder.final_layer_norm",
    f"{_BLOCK}norm1": f"{_OURS}0.layer_norm",
    f"{_BLOCK}norm2": f"{_OURS}1.layer_norm",
    **{f"{_BLOCK}attn.{part}": f"{_OURS}0.SelfAttention.{part}" for part in "qkvo"},
    f"{_BLOCK}pos_embedding.embedding": f"{_OURS}0.SelfAttention.relative_attention_bias",
    # The gate is the half that goes through the activation.
    f"{_BLOCK}ffn.gate.0": f"{_OURS}1.DenseReluDense.wi_0",
    f"{_BLOCK}ffn.fc1": f"{_OURS}1.DenseReluDense.wi_1",
    f"{_BLOCK}ffn.fc2": f"{_OURS}1.DenseReluDense.wo",
}
_Value = TypeVar("_Value")


def with_usual_names(weights: Mapping[str, _Value]) -> dict[str, _Value]:
    """The same weights, or shapes, under transformers' names; those of another file stay as they are."""
    if (
        not {"token_embedding.weight", "blocks.0.attn.q.weight", "blocks.0.ffn.gate.0.weight"}
        <= weights.keys()
    ):
        return dict(weights)
    return {_usual(name): value for name, value in weights.items()}


def _usual(name: str) -> str:
    module, dot, suffix = name.rpartition(".")
    number = re.match(r"blocks\.(\d+)\.", module)
    plain = _BLOCK + module[number.end() :] if number else module
    return (
        _TABLE[plain].replace("{}", number[1] if number else "") + dot + suffix if plain in _TABLE else name
    )
