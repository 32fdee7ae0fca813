"""Text encoders of single files: told apart, loaded whole, with their tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.file_kinds import recognise_file
from spatialalign_core.models.loading import POCKET_FOLDER
from spatialalign_core.models.text_encoders import TITLES, SentencePieceTokenizer, load_text_encoder
from tests.tiny_models import ENCODERS, encoder_state, spiece_model, to_fp8, write

TOKENIZER = POCKET_FOLDER / "tokenizer"


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_kind_loads(tmp_path: Path, kind: str) -> None:
    original = ENCODERS[kind]()
    file = write(tmp_path / "encoder.safetensors", encoder_state(kind, original))
    found = recognise_file(file)
    assert (found.kind, found.title) == (kind, TITLES[kind])
    network, tokenizer = load_text_encoder(file, kind, torch.float32, {kind: TOKENIZER})
    assert tokenizer("a cat", return_tensors="pt").input_ids.ndim == 2
    ids = torch.tensor([[3, 5, 1]])
    with torch.no_grad():
        assert torch.equal(network(ids)[0], original(ids)[0])


@pytest.mark.parametrize("style", ["old", "new"])
def test_scaled_fp8(tmp_path: Path, style: str) -> None:
    original = ENCODERS["t5"]()
    file = write(
        tmp_path / "t5xxl_fp8_e4m3fn_scaled.safetensors", to_fp8(encoder_state("t5", original), style)
    )
    network, _ = load_text_encoder(file, "t5", torch.float32, {"t5": TOKENIZER})
    ids = torch.tensor([[3, 5, 1]])
    with torch.no_grad():
        expected = original(ids)[0]
        assert (network(ids)[0] - expected).abs().max() < 0.1 * expected.abs().max()


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t5xxl.safetensors", encoder_state("t5", ENCODERS["t5"]()))
    with pytest.raises(SpatialAlignError, match=r"tokenizer of t5xxl\.safetensors was not found"):
        load_text_encoder(file, "t5", torch.float32, {})


def test_other_language_models_are_not_taken(tmp_path: Path) -> None:
    state = encoder_state("llama", ENCODERS["llama"]())
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
