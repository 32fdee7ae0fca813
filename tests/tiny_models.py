"""Tiny random video models of every family, in diffusers' layout and as ComfyUI's single files."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from spatialalign_core.models.base import read_config

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

# What the published networks have that diffusers' defaults have not, and what they are then called.
PUBLISHED: list[tuple[str, dict[str, Any], str]] = [
    ("wan2.1", {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}, "Wan2.1 T2V 1.3B"),
    ("wan2.1", {}, "Wan2.1 T2V 14B"),
    (
        "wan2.2-5b",
        {
            "num_attention_heads": 24,
            "ffn_dim": 14336,
            "num_layers": 30,
            "in_channels": 48,
            "out_channels": 48,
        },
        "Wan2.2 TI2V 5B",
    ),
    ("ltx-video", {}, "LTX-Video 2B"),
    (
        "ltx-video",
        {"attention_head_dim": 128, "cross_attention_dim": 4096, "num_layers": 48},
        "LTX-Video 13B",
    ),
    ("cogvideox-2b", {}, "CogVideoX 2B"),
    (
        "cogvideox-5b",
        {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True},
        "CogVideoX 5B",
    ),
    (
        "cogvideox-1.5",
        {
            "num_attention_heads": 48,
            "num_layers": 42,
            "use_rotary_positional_embeddings": True,
            "patch_size_t": 2,
            "patch_bias": False,
        },
        "CogVideoX 1.5 5B",
    ),
    ("hunyuan-video", {}, "HunyuanVideo T2V 13B"),
    ("mochi", {}, "Mochi 1 preview"),
]


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that are all different from zero, small enough for a deep network."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network.eval().requires_grad_(False)


def make_transformer(family: Any, seed: int = 0, **more: int) -> Any:
    """A random network of the family's class."""
    import diffusers

    sizes = TRANSFORMERS[family.name] | more
    return randomise(getattr(diffusers, family.transformer_class)(**sizes), seed)


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


def make_umt5(vocabulary: int = 64, width: int = TEXT_WIDTH, **more: int) -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    sizes = {"d_model": width, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2} | more
    return randomise(
        UMT5EncoderModel(UMT5Config(vocab_size=vocabulary, feed_forward_proj="gated-gelu", **sizes))
    )


def make_t5(vocabulary: int = 64, width: int = TEXT_WIDTH) -> Any:
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_model": width, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
    return randomise(T5EncoderModel(T5Config(vocab_size=vocabulary, feed_forward_proj="gated-gelu", **sizes)))


def make_llama(vocabulary: int = 64, width: int = TEXT_WIDTH) -> Any:
    from transformers import LlamaConfig, LlamaModel

    sizes = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": vocabulary}
    of_llama_3 = {"rms_norm_eps": 1e-5, "rope_theta": 500_000.0}
    return randomise(
        LlamaModel(LlamaConfig(num_attention_heads=1, num_key_value_heads=1, **of_llama_3, **sizes))
    )


def make_clip(vocabulary: int = 64, width: int = 24) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    sizes = {"hidden_size": width, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": vocabulary}
    return randomise(CLIPTextModel(CLIPTextConfig(num_attention_heads=1, projection_dim=width, **sizes)))


ENCODERS: dict[str, Callable[..., Any]] = {
    "t5": make_t5,
    "umt5": make_umt5,
    "llama": make_llama,
    "clip-l": make_clip,
}


def encoder_state(kind: str, network: Any) -> dict[str, Tensor]:
    """A text encoder's weights under the names of ComfyUI's files."""
    state = network.state_dict()
    if kind == "llama":
        head = {"lm_head.weight": torch.zeros_like(state["embed_tokens.weight"])}
        return {f"model.{key}": value for key, value in state.items()} | head
    if kind == "clip-l" and not any(key.startswith("text_model.") for key in state):
        state = {f"text_model.{key}": value for key, value in state.items()}
    return {key: value for key, value in state.items() if key != "encoder.embed_tokens.weight"}


def umt5_file(path: Path, encoder: Any, fp8: str | None = None) -> None:
    """ComfyUI's file of it: one embedding, the tokenizer inside."""
    state = {
        key: value for key, value in encoder.state_dict().items() if key != "encoder.embed_tokens.weight"
    }
    if fp8:
        state = to_fp8(state, fp8)
    write(path, state | {"spiece_model": torch.tensor(list(spiece_model()), dtype=torch.uint8)})


VAES: dict[str, dict[str, Any]] = {
    "Wan2.1 VAE": {"base_dim": 8},
    "Wan2.2 VAE": {"base_dim": 8, "decoder_base_dim": 12, "z_dim": 48},
    "HunyuanVideo VAE": {"block_out_channels": [8, 16, 32, 32], "norm_num_groups": 8},
    "CogVideoX VAE": {"block_out_channels": [8, 16, 16, 32], "norm_num_groups": 8},
    "Mochi VAE": {  # its groups are of 32, and so are its heads
        "encoder_block_out_channels": [32, 64, 128, 192],
        "decoder_block_out_channels": [32, 64, 128, 192],
    },
    "LTX-Video VAE 0.9.0": {"divided": 16},
    "LTX-Video VAE 0.9.1": {"divided": 16},
    "LTX-Video VAE 0.9.5": {"divided": 16},
}
"""Sizes of a small one of each published VAE; divided: every width of the published ones."""


def make_vae(title: str, family: Any) -> Any:
    """A random VAE of that kind."""
    import diffusers

    sizes = dict(VAES[title])
    config = dict(read_config(family.name).get("vae", {}))
    if "divided" in sizes:
        config, by = config[title.split()[-1]], sizes.pop("divided")
        widths = ("block_out_channels", "decoder_block_out_channels")
        sizes |= {key: [width // by for width in config[key]] for key in widths}
    return randomise(getattr(diffusers, family.vae_class)(**config | sizes))


def vae_file(title: str, family: Any, vae: Any) -> dict[str, Tensor]:
    """Its weights under the names, and with the dimensions, of the published file."""
    published, ours = published_names()[title], vae.state_dict()
    maker = getattr(sys.modules[type(family).__module__], "_vae_names", None)
    if maker is not None:  # a table of names, which goes both ways
        native = maker().to_native(ours)
    else:
        marks = {key: torch.empty(shape, device="meta") for key, shape in published.items()}
        originals = {id(mark): key for key, mark in marks.items()}
        names = {key: originals[id(mark)] for key, mark in family.vae_weights(dict(marks), {}).items()}
        native = {names[key]: value for key, value in ours.items()}
    assert native.keys() == published.keys()
    return {
        key: value.reshape([*value.shape, *[1] * (len(published[key]) - value.ndim)])
        for key, value in native.items()
    }


@cache
def published_names() -> dict[str, dict[str, list[int]]]:
    """Names and shapes of the published files; see tests/comfyui/published_names.py."""
    file = Path(__file__).parent / "data" / "published_names.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


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
