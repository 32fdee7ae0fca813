"""Tiny random video models of every family, in diffusers' layout and as ComfyUI's single files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

WORDS = [
    "a",
    "cat",
    "is",
    "on",
    "the",
    "left",
    "of",
    "box",
    "then",
    "it",
    "jumps",
    "right",
    "top",
    "dog",
    "in",
    "meadow",
]
TEXT_WIDTH = 16

TRANSFORMERS: dict[str, dict[str, Any]] = {
    "wan2.1": {
        "num_attention_heads": 1, "attention_head_dim": 128, "in_channels": 16, "out_channels": 16,
        "text_dim": TEXT_WIDTH, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2, "rope_max_seq_len": 32,
    },
    "wan2.2-5b": {
        "num_attention_heads": 1, "attention_head_dim": 128, "in_channels": 48, "out_channels": 48,
        "text_dim": TEXT_WIDTH, "freq_dim": 16, "ffn_dim": 32, "num_layers": 2, "rope_max_seq_len": 32,
    },
    "ltx-video": {
        "in_channels": 128, "out_channels": 128, "num_attention_heads": 32, "attention_head_dim": 4,
        "cross_attention_dim": 128, "num_layers": 2, "caption_channels": TEXT_WIDTH,
    },
    "cogvideox-2b": {
        "num_attention_heads": 3, "attention_head_dim": 64, "time_embed_dim": 16, "text_embed_dim": TEXT_WIDTH,
        "num_layers": 2, "sample_width": 4, "sample_height": 4, "sample_frames": 5, "max_text_seq_length": 8,
    },
    "cogvideox-5b": {
        "num_attention_heads": 1, "attention_head_dim": 64, "time_embed_dim": 16, "text_embed_dim": TEXT_WIDTH,
        "num_layers": 2, "sample_width": 4, "sample_height": 4, "sample_frames": 5, "max_text_seq_length": 8,
        "use_rotary_positional_embeddings": True, "spatial_interpolation_scale": 1.0,
    },
    "cogvideox-1.5": {
        "num_attention_heads": 1, "attention_head_dim": 64, "time_embed_dim": 16, "text_embed_dim": TEXT_WIDTH,
        "num_layers": 2, "max_text_seq_length": 8, "use_rotary_positional_embeddings": True, "patch_size_t": 2,
        "sample_width": 170, "sample_height": 96, "sample_frames": 81,
    },
    "hunyuan-video": {
        "num_attention_heads": 1, "attention_head_dim": 128, "num_layers": 1, "num_single_layers": 1,
        "num_refiner_layers": 2, "text_embed_dim": TEXT_WIDTH, "pooled_projection_dim": 24,
    },
    "mochi": {
        "num_attention_heads": 2, "attention_head_dim": 48, "num_layers": 2, "pooled_projection_dim": 96,
        "text_embed_dim": TEXT_WIDTH, "time_embed_dim": 256,
    },
}  # fmt: skip
TRANSFORMERS["wan2.2-a14b"] = TRANSFORMERS["wan2.1"]


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that are all different from zero, small enough for a deep network."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.eval().requires_grad_(False)


def make_transformer(family: Any, seed: int = 0) -> Any:
    """A random network of the family's class."""
    import diffusers

    return randomise(getattr(diffusers, family.transformer_class)(**TRANSFORMERS[family.name]), seed)


def spiece_model() -> bytes:
    """A sentencepiece model that knows WORDS: pad 0, end 1, unknown 2, as T5's."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS)] * 20),
        model_writer=written,
        vocab_size=40,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return written.getvalue()


def make_umt5(vocabulary: int = 64, width: int = TEXT_WIDTH) -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    sizes = {"d_model": width, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return randomise(
        UMT5EncoderModel(UMT5Config(vocab_size=vocabulary, feed_forward_proj="gated-gelu", **sizes))
    )


def umt5_file(path: Path, encoder: Any, fp8: str | None = None) -> None:
    """ComfyUI's file of it: one embedding, the tokenizer inside."""
    state = {
        key: value for key, value in encoder.state_dict().items() if key != "encoder.embed_tokens.weight"
    }
    if fp8:
        state = to_fp8(state, fp8)
    write(path, state | {"spiece_model": torch.tensor(list(spiece_model()), dtype=torch.uint8)})


def make_wan_vae(**options: Any) -> Any:
    from diffusers import AutoencoderKLWan

    return randomise(AutoencoderKLWan(base_dim=8, **options))


def wan_vae_native(
    vae: Any, convert: Callable[[dict[str, Any]], dict[str, Any]], nested: bool
) -> dict[str, Tensor]:
    """The VAE's weights under the names of the published file. convert: published names -> diffusers'."""
    residual = [f"residual.{n}" for n in (0, 2, 3, 6)] + ["shortcut"]
    layers = [*residual, "resample.1", "time_conv"]
    inner = [
        f"{n}.{w}samples.{m}.{x}" for n in range(4) for m in range(4) for x in layers for w in ("down", "up")
    ]
    blocks = inner if nested else [f"{n}.{x}" for n in range(15) for x in layers]
    modules = [
        f"{side}.{way}samples.{x}" for side, way in (("encoder", "down"), ("decoder", "up")) for x in blocks
    ]
    for side in ("encoder", "decoder"):
        modules += [f"{side}.middle.{n}.{x}" for n in (0, 2) for x in residual]
        modules += [f"{side}.middle.1.{x}" for x in ("norm", "to_qkv", "proj")]
        modules += [f"{side}.conv1", f"{side}.head.0", f"{side}.head.2"]
    keys = [f"{module}.{x}" for module in (*modules, "conv1", "conv2") for x in ("weight", "bias", "gamma")]
    ours = vae.state_dict()
    names = convert({key: key for key in keys})
    native = {names[key]: value for key, value in ours.items()}
    assert len(native) == len(ours)
    return native


def to_fp8(state: dict[str, Tensor], style: str) -> dict[str, Tensor]:
    """Matrices as scaled fp8 the way ComfyUI's files have them: "old" (scale_weight) or "new" (weight_scale)."""
    small: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.endswith(".weight") and value.ndim == 2 and "embed" not in key and "shared" not in key:
            module, scale = key.removesuffix(".weight"), value.abs().max() / 448
            small[key] = (value / scale).to(torch.float8_e4m3fn)
            small[module + (".scale_weight" if style == "old" else ".weight_scale")] = scale.float()
            if style == "new":
                text = b'{"format": "float8_e4m3fn"}'
                small[module + ".comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
        else:
            small[key] = value.to(torch.bfloat16)
    return small | ({"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)} if style == "old" else {})


def write(path: Path, state: dict[str, Tensor], order: Iterable[str] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: state[key].contiguous().clone() for key in order or state}, path)
    return path
