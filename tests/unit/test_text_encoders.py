"""Text encoders of single files: told apart, loaded whole, with their tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.file_kinds import recognise_file
from spatialalign_core.models.loading import POCKET_FOLDER
from spatialalign_core.models.text_encoders import TITLES, SentencePieceTokenizer, load_text_encoder
from tests.tiny_models import make_umt5, randomise, spiece_model, to_fp8, write

TOKENIZER = POCKET_FOLDER / "tokenizer"


def make_t5() -> Any:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "vocab_size": 40}
    return transformers.T5EncoderModel(transformers.T5Config(feed_forward_proj="gated-gelu", **sizes))


def make_llama() -> Any:
    sizes = {"hidden_size": 128, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 40}
    of_llama_3 = {"rms_norm_eps": 1e-5, "rope_theta": 500_000.0}
    config = transformers.LlamaConfig(num_attention_heads=1, num_key_value_heads=1, **of_llama_3, **sizes)
    return transformers.LlamaModel(config)


def make_clip() -> Any:
    sizes = {"hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 40}
    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(num_attention_heads=1, projection_dim=64, **sizes)
    )


MAKERS: dict[str, Callable[[], Any]] = {
    "t5": make_t5,
    "umt5": make_umt5,
    "llama": make_llama,
    "clip-l": make_clip,
}


def published(kind: str, network: Any) -> dict[str, torch.Tensor]:
    """Its weights under the names of ComfyUI's files."""
    state = network.state_dict()
    if kind == "llama":
        return {f"model.{key}": value for key, value in state.items()} | {
            "lm_head.weight": torch.zeros(40, 128)
        }
    if kind == "clip-l" and not any(key.startswith("text_model.") for key in state):
        state = {f"text_model.{key}": value for key, value in state.items()}
    return {key: value for key, value in state.items() if key != "encoder.embed_tokens.weight"}


@pytest.mark.parametrize("kind", MAKERS)
def test_every_kind_loads(tmp_path: Path, kind: str) -> None:
    original = randomise(MAKERS[kind]())
    file = write(tmp_path / "encoder.safetensors", published(kind, original))
    found = recognise_file(file)
    assert (found.kind, found.title) == (kind, TITLES[kind])
    network, tokenizer = load_text_encoder(file, kind, torch.float32, {kind: TOKENIZER})
    assert tokenizer("a cat", return_tensors="pt").input_ids.ndim == 2
    ids = torch.tensor([[3, 5, 1]])
    with torch.no_grad():
        assert torch.equal(network(ids)[0], original(ids)[0])


@pytest.mark.parametrize("style", ["old", "new"])
def test_scaled_fp8(tmp_path: Path, style: str) -> None:
    original = randomise(make_t5())
    file = write(tmp_path / "t5xxl_fp8_e4m3fn_scaled.safetensors", to_fp8(published("t5", original), style))
    network, _ = load_text_encoder(file, "t5", torch.float32, {"t5": TOKENIZER})
    ids = torch.tensor([[3, 5, 1]])
    with torch.no_grad():
        expected = original(ids)[0]
        assert (network(ids)[0] - expected).abs().max() < 0.1 * expected.abs().max()


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t5xxl.safetensors", published("t5", randomise(make_t5())))
    with pytest.raises(SpatialAlignError, match=r"tokenizer of t5xxl\.safetensors was not found"):
        load_text_encoder(file, "t5", torch.float32, {})


def test_other_language_models_are_not_taken(tmp_path: Path) -> None:
    state = published("llama", randomise(make_llama()))
    file = write(
        tmp_path / "qwen.safetensors", state | {"model.layers.0.self_attn.q_proj.bias": torch.zeros(128)}
    )
    with pytest.raises(SpatialAlignError, match="a text or vision encoder of another model"):
        recognise_file(file)


def test_the_tokenizer_inside_a_file() -> None:
    import sentencepiece

    model = spiece_model()
    tokenizer, processor = (
        SentencePieceTokenizer(model),
        sentencepiece.SentencePieceProcessor(model_proto=model),
    )
    pieces = processor.encode("a cat is on the box")
    batch = tokenizer(["a cat is on the box", ""], padding="max_length", max_length=40, truncation=True)
    assert batch.input_ids.tolist() == [[*pieces, 1, *[0] * (39 - len(pieces))], [1, *[0] * 39]]
    assert batch.attention_mask.sum(1).tolist() == [len(pieces) + 1, 1]
    assert tokenizer("a cat is on the box", max_length=4, truncation=True).input_ids.tolist() == [
        [*pieces[:3], 1]
    ]
    with pytest.raises(SpatialAlignError, match="tokenizer inside the text encoder's file is damaged"):
        SentencePieceTokenizer(b"nothing")
