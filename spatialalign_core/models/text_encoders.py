"""Text encoders of single files, told by their keys, and the tokenizers that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..weight_files import Shapes, count
from .tokenizers import SPIECE, load_tokenizer
from .wan_text_names import with_usual_names
from .weights import empty, fill, read_plain

TITLES = {
    "umt5": "UMT5 text encoder",
    "t5": "T5 text encoder",
    "llama": "Llama text encoder",
    "clip-l": "CLIP-L text encoder",
}
_BLOCK = "encoder.block.{}.layer.0.SelfAttention."
PREFIXES = ("text_encoders.t5xxl.transformer.", "t5xxl.transformer.", "umt5xxl.transformer.", "transformer.")
_SHARED = ("shared.weight", "encoder.embed_tokens.weight")
# What Qwen's and Gemma's layers have and Llama's have not.
_NOT_LLAMA = ("self_attn.q_norm.weight", "self_attn.q_proj.bias", "pre_feedforward_layernorm.weight")
_ROPE_THETA = 500_000.0  # Llama 3


def recognise(shapes: Shapes) -> str | None:
    """One of TITLES by key names; None when it is no text encoder that a family needs."""
    shapes = with_usual_names(shapes)
    if "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" in shapes:
        # Only UMT5 has a position table in every block.
        every = (
            _BLOCK.format(count(shapes, r"encoder\.block\.(\d+)\.") - 1) + "relative_attention_bias.weight"
        )
        return (
            "umt5" if every in shapes and "encoder.block.1.layer.0.SelfAttention.q.weight" in shapes else "t5"
        )
    if "text_model.encoder.layers.0.mlp.fc1.weight" in shapes:
        return "clip-l"
    layer = "model.layers.0."
    if f"{layer}mlp.gate_proj.weight" in shapes and not any(layer + each in shapes for each in _NOT_LLAMA):
        return "llama"
    return None


def width_of(shapes: Shapes) -> int:
    """Channels of its states."""
    tables = (*_SHARED, "text_model.embeddings.token_embedding.weight", "model.embed_tokens.weight")
    shapes = with_usual_names(shapes)
    return next((shapes[name][1] for name in tables if name in shapes), 0)


def load_text_encoder(
    path: Path, kind: str, dtype: torch.dtype, tokenizers: Mapping[str, Path]
) -> tuple[Any, Any]:
    """(network, tokenizer) of a single file. tokenizers: folder of the tokenizer, by kind.

    SpatialAlignError for a file that is damaged, not whole, or has no tokenizer.
    """
    state = with_usual_names(read_plain(path, dtype, PREFIXES))
    vocabulary = state.pop(SPIECE, None)
    if kind == "llama":  # the part that makes text is not needed
        state = {name.removeprefix("model."): value for name, value in state.items() if "lm_head" not in name}
    network = empty(lambda: _MAKERS[kind](state))
    for one, other in (_SHARED, _SHARED[::-1]):  # one table under two names, of which files hold either
        if one in state:
            state.setdefault(other, state[one])
    if not any(name.startswith("text_model.") for name in network.state_dict()):  # so in newer transformers
        state = {name.removeprefix("text_model."): value for name, value in state.items()}
    fill(network, state, path, f"a {TITLES[kind]}")
    if hasattr(network, "tie_weights"):
        network.tie_weights()
    return network, load_tokenizer(path, kind, vocabulary, tokenizers)


def _t5_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    table = state[_BLOCK.format(0) + "relative_attention_bias.weight"]
    embedding = state[next(name for name in _SHARED if name in state)]
    return {
        "vocab_size": embedding.shape[0],
        "d_model": embedding.shape[1],
        "d_kv": state[_BLOCK.format(0) + "q.weight"].shape[0] // table.shape[1],
        "d_ff": state["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"].shape[0],
        "num_layers": count(dict.fromkeys(state, ()), r"encoder\.block\.(\d+)\."),
        "num_heads": table.shape[1],
        "relative_attention_num_buckets": table.shape[0],
        "relative_attention_max_distance": 128,
        "feed_forward_proj": "gated-gelu",
        "dropout_rate": 0.0,
        "use_cache": False,
    }


def _make_t5(state: Mapping[str, Tensor]) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(**_t5_sizes(state)))


def _make_umt5(state: Mapping[str, Tensor]) -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(UMT5Config(**_t5_sizes(state)))


def _make_llama(state: Mapping[str, Tensor]) -> Any:
    from transformers import LlamaConfig, LlamaModel

    sizes = {name: tuple(value.shape) for name, value in state.items()}
    vocabulary, width = sizes["embed_tokens.weight"]
    head = 128 if width % 128 == 0 else width
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=sizes["layers.0.mlp.gate_proj.weight"][0],
        num_hidden_layers=count(sizes, r"layers\.(\d+)\."),
        num_attention_heads=sizes["layers.0.self_attn.q_proj.weight"][0] // head,
        num_key_value_heads=sizes["layers.0.self_attn.k_proj.weight"][0] // head,
        rms_norm_eps=1e-5,
        rope_theta=_ROPE_THETA,
        max_position_embeddings=8192,
    )
    return LlamaModel(config)


def _make_clip(state: Mapping[str, Tensor]) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {name: tuple(value.shape) for name, value in state.items()}
    vocabulary, width = sizes["text_model.embeddings.token_embedding.weight"]
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=sizes["text_model.encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=count(sizes, r"text_model\.encoder\.layers\.(\d+)\."),
        num_attention_heads=max(1, width // 64),
        hidden_act="quick_gelu",
        projection_dim=width,
    )
    return CLIPTextModel(config)


_MAKERS = {"t5": _make_t5, "umt5": _make_umt5, "llama": _make_llama, "clip-l": _make_clip}
