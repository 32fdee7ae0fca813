"""Text encoders of single files: told apart, loaded whole, with their tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.file_kinds import recognise_file
from spatialalign_core.models.loading import POCKET_FOLDER
from spatialalign_core.models.text_encoders import TITLES, load_text_encoder
from spatialalign_core.models.tokenizers import SentencePieceTokenizer
from tests.tiny_models import ENCODERS, encoder_state, make_umt5, spiece_model, to_fp8, umt5_file, write

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
        SentencePieceTokenizer(model, Path("umt5.safetensors")),
        sentencepiece.SentencePieceProcessor(model_proto=model),
    )
    pieces = processor.encode("a cat is on the box")
    batch = tokenizer(["a cat is on the box", ""], padding="max_length", max_length=40, truncation=True)
    assert batch.input_ids.tolist() == [[*pieces, 1, *[0] * (39 - len(pieces))], [1, *[0] * 39]]
    assert batch.attention_mask.sum(1).tolist() == [len(pieces) + 1, 1]
    assert tokenizer("a cat is on the box", max_length=4, truncation=True).input_ids.tolist() == [
        [*pieces[:3], 1]
    ]
    with pytest.raises(SpatialAlignError, match=r"tokenizer in umt5\.safetensors is damaged"):
        SentencePieceTokenizer(b"nothing", Path("umt5.safetensors"))


WAN_NAMES = {
    "encoder.final_layer_norm": "norm",
    "layer.0.layer_norm": "norm1",
    "layer.1.layer_norm": "norm2",
    "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
    "layer.0.SelfAttention": "attn",
    "layer.1.DenseReluDense.wi_0": "ffn.gate.0",
    "layer.1.DenseReluDense.wi_1": "ffn.fc1",
    "layer.1.DenseReluDense.wo": "ffn.fc2",
    "encoder.block": "blocks",
    "shared": "token_embedding",
}


def wan_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A UMT5's weights as Wan's authors name them."""
    found = {}
    for name, value in state.items():
        for ours, theirs in WAN_NAMES.items():
            name = name.replace(ours, theirs)
        found[name] = value
    return found


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("umt5-xxl-enc-bf16.safetensors", lambda s: s),
        (
            "umt5-xxl-enc-fp8_e4m3fn.safetensors",
            lambda s: {k: v.to(torch.float8_e4m3fn) for k, v in s.items()},
        ),
        ("umt5-xxl-enc-fp8_scaled.safetensors", lambda s: to_fp8(s, "old")),
        ("models_t5_umt5-xxl-enc-bf16.pth", lambda s: s),
    ],
)
def test_wans_own_names(tmp_path: Path, name: str, change) -> None:
    """Value by value what ComfyUI's names give; the tokenizer is that of the folder beside it."""
    original = ENCODERS["umt5"]()
    usual = encoder_state("umt5", original)
    state = wan_names(change(usual))
    assert {"norm.weight", "blocks.1.attn.q.weight", "blocks.1.ffn.gate.0.weight"} <= state.keys()
    file = tmp_path / name
    if file.suffix == ".pth":
        torch.save(state, file)
    else:
        write(file, state)
    assert recognise_file(file).kind == "umt5" and recognise_file(file).width == 16
    with pytest.raises(
        SpatialAlignError, match=r"not found.*or put the folder google/umt5-xxl of its authors beside it"
    ):
        load_text_encoder(file, "umt5", torch.float32, {})
    (tmp_path / "google" / "umt5-xxl").mkdir(parents=True)
    (tmp_path / "google" / "umt5-xxl" / "spiece.model").write_bytes(spiece_model())
    network, tokenizer = load_text_encoder(file, "umt5", torch.float32, {})
    expected, _ = load_text_encoder(
        write(tmp_path / "x.safetensors", change(usual)), "umt5", torch.float32, {}
    )
    for key, value in expected.state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key
    assert tokenizer("a cat").input_ids[0, -1] == 1


def test_a_t5_of_other_names_is_not_taken_for_it(tmp_path: Path) -> None:
    state = wan_names(encoder_state("umt5", ENCODERS["umt5"]()))
    del state["blocks.0.ffn.gate.0.weight"]
    with pytest.raises(SpatialAlignError, match=r"no text-to-video model, VAE or text encoder that is known"):
        recognise_file(write(tmp_path / "t5.safetensors", state))


@pytest.mark.parametrize(("vocabulary", "lent"), [(64, True), (48, False)])
def test_a_tokenizer_out_of_another_umt5(tmp_path: Path, vocabulary: int, lent: bool) -> None:
    """Kijai's file beside ComfyUI's, but not beside a language model or a UMT5 of other words."""
    file = write(tmp_path / "umt5-xxl-enc-bf16.safetensors", wan_names(encoder_state("umt5", make_umt5())))
    inside = {"spiece_model": torch.tensor(list(spiece_model()), dtype=torch.uint8)}
    write(tmp_path / "a_gemma.safetensors", {"model.embed_tokens.weight": torch.zeros(64, 16)} | inside)
    (tmp_path / "cut.safetensors").write_bytes(b"nothing")
    umt5_file(tmp_path / "umt5_xxl_fp16.safetensors", make_umt5(vocabulary))
    if lent:
        _, tokenizer = load_text_encoder(file, "umt5", torch.float32, {})
        expected = SentencePieceTokenizer(spiece_model(), file)("a cat")
        assert torch.equal(tokenizer("a cat").input_ids, expected.input_ids)
    else:
        with pytest.raises(SpatialAlignError, match="tokenizer of umt5-xxl-enc-bf16"):
            load_text_encoder(file, "umt5", torch.float32, {})
