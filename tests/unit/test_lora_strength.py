"""LoRA files that diffusers and peft write act here as they act there: the weight that each layer has with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch
from diffusers.training_utils import _collate_lora_metadata
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families import families
from spatialalign_core.models.lora_keys import linear_rows
from spatialalign_core.train.lora import apply_lora, lora_digest, lora_doubt, remove_lora
from tests.tiny_models import make_transformer

FAMILIES = {family.name: family for family in families()}
TARGETS = ["to_q", "to_k", "to_out.0", "proj"]
# What trainers set: what of it multiplies the update is peft's to say.
CONFIGS: dict[str, dict[str, Any]] = {
    "alpha of the rank": {"r": 4, "lora_alpha": 4},
    "alpha above the rank": {"r": 4, "lora_alpha": 16},
    "alpha below the rank": {"r": 8, "lora_alpha": 1},
    "an alpha with a fraction": {"r": 3, "lora_alpha": 2.5},
    "rsLoRA": {"r": 4, "lora_alpha": 8, "use_rslora": True},
    "alpha pattern": {"r": 4, "lora_alpha": 4, "alpha_pattern": {"to_q": 16, "attn1.to_k": 1}},
    "rank pattern": {"r": 4, "lora_alpha": 4, "rank_pattern": {"to_q": 2, "to_k": 8}},
    "both patterns": {
        "r": 4, "lora_alpha": 6, "rank_pattern": {"to_q": 2}, "alpha_pattern": {"to_q": 5, "to_out.0": 3},
    },
    "patterns and rsLoRA": {
        "r": 4, "lora_alpha": 6, "rank_pattern": {"to_q": 9}, "alpha_pattern": {"to_k": 5}, "use_rslora": True,
    },
    "a pattern that is an expression": {"r": 4, "lora_alpha": 4, "alpha_pattern": {r".*attn1\.to_(q|k)": 12}},
    "one block": {"r": 4, "lora_alpha": 4, "alpha_pattern": {r"[a-z_]*blocks\.0\.attn1\.to_q": 8}},
    "bias": {"r": 4, "lora_alpha": 8, "lora_bias": True},
    "DoRA": {"r": 4, "lora_alpha": 8, "use_dora": True},
    "DoRA and rsLoRA": {"r": 4, "lora_alpha": 8, "use_dora": True, "use_rslora": True},
}  # fmt: skip


def tiny(name: str) -> VideoModel:
    family = FAMILIES[name]
    pipeline = SimpleNamespace(transformer=make_transformer(family))
    return VideoModel(Path("tiny"), family, pipeline, family.defaults, "abc")


@torch.no_grad()
def effective(network: torch.nn.Module) -> dict[str, Tensor]:
    """What each linear layer does: its bias and its weight, whatever is wrapped around it."""
    found = {}
    for name in linear_rows(network):
        layer = network.get_submodule(name)
        unit = torch.cat([torch.zeros(1, layer.in_features), torch.eye(layer.in_features)])
        answers = layer(unit)
        found[name] = torch.cat([answers[:1], answers[1:] - answers[:1]])
    return found


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.allclose(one[name], other[name], rtol=1e-4, atol=2e-5) for name in one)


def randomise(network: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "magnitude" in name:
                value.mul_(1 + 0.3 * torch.rand(value.shape, generator=generator))
            elif any(mark in name for mark in (".lora_", ".hada_", ".lokr_")):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.2)


def written_by_diffusers(model: VideoModel, config: dict[str, Any], folder: Path) -> dict[str, Tensor]:
    network = model.transformer
    network.add_adapter(LoraConfig(target_modules=TARGETS, **config))
    randomise(network)
    expected = effective(network)
    pipeline = getattr(diffusers, model.family.pipeline_class)
    pipeline.save_lora_weights(
        folder,
        transformer_lora_layers=get_peft_model_state_dict(network),
        **_collate_lora_metadata({"transformer": network}),
    )
    network.unload_lora()
    return expected


def read_by_diffusers(model: VideoModel, file: Path) -> dict[str, Tensor]:
    pipeline, network = getattr(diffusers, model.family.pipeline_class), model.transformer
    state, metadata = pipeline.lora_state_dict(file, return_lora_metadata=True)
    pipeline.load_lora_into_transformer(state, network, metadata=metadata)
    found = effective(network)
    network.unload_lora()
    return found


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", ["wan2.1", "cogvideox-5b"])
def test_files_of_diffusers(tmp_path: Path, name: str, config: str) -> None:
    model = tiny(name)
    before = effective(model.transformer)
    expected = written_by_diffusers(model, CONFIGS[config], tmp_path)
    file = tmp_path / "pytorch_lora_weights.safetensors"
    assert same(read_by_diffusers(model, file), expected) or "DoRA" in config
    for strength in (1.0, 0.5, -1.0, 0.0):
        apply_lora(model, file, strength)
        wanted = {key: before[key] + strength * (expected[key] - before[key]) for key in before}
        assert same(effective(model.transformer), wanted), strength
    remove_lora(model)
    after = effective(model.transformer)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not same(expected, before)


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize("config", CONFIGS)
def test_files_of_peft(tmp_path: Path, config: str, ending: str) -> None:
    """adapter_model beside adapter_config.json, which alone has the alpha."""
    model = tiny("wan2.1")
    wrapped = get_peft_model(model.transformer, LoraConfig(target_modules=TARGETS, **CONFIGS[config]))
    randomise(wrapped)
    expected = effective(wrapped.base_model.model)
    wrapped.save_pretrained(tmp_path, safe_serialization=ending == "safetensors")
    fresh = tiny("wan2.1")
    apply_lora(fresh, tmp_path / f"adapter_model.{ending}")
    assert same(effective(fresh.transformer), expected)


@pytest.mark.parametrize(
    "config", [LoHaConfig(r=3, alpha=6), LoKrConfig(r=4, alpha=2), LoKrConfig(r=64, alpha=16)]
)
def test_other_products_of_peft(tmp_path: Path, config: Any) -> None:
    model = tiny("wan2.1")
    config.target_modules = TARGETS
    wrapped = get_peft_model(model.transformer, config)
    randomise(wrapped)
    expected = effective(wrapped.base_model.model)
    wrapped.save_pretrained(tmp_path)
    fresh = tiny("wan2.1")
    apply_lora(fresh, tmp_path / "adapter_model.safetensors")
    assert same(effective(fresh.transformer), expected)


Header = Callable[[dict[str, Any]], dict[str, str]]
HEADERS: dict[str, tuple[Header, float]] = {
    "diffusers' document": (
        lambda c: {"lora_adapter_metadata": json.dumps({f"transformer.{k}": v for k, v in c.items()})},
        3.0,
    ),
    "a document without names of networks": (lambda c: {"lora_adapter_metadata": json.dumps(c)}, 3.0),
    "beside a text encoder's": (
        lambda c: {
            "lora_adapter_metadata": json.dumps(
                {"text_encoder.lora_alpha": 1, "text_encoder.r": 9}
                | {f"transformer.{k}": v for k, v in c.items()}
            )
        },
        3.0,
    ),
    "single fields": (lambda c: {f"transformer.{k}": str(v) for k, v in c.items()}, 3.0),
    "alpha alone": (lambda c: {"transformer.lora_alpha": "12"}, 3.0),
    "single fields of rsLoRA": (
        lambda c: {f"transformer.{k}": str(v) for k, v in c.items()} | {"transformer.use_rslora": "True"},
        12 / math.sqrt(4),
    ),
    "finetrainers": (lambda c: {"lora_config": json.dumps(c)}, 3.0),
    "our own fields": (lambda c: {"rank": "4", "alpha": "12"}, 1.0),
    "kohya's fields without its alphas": (lambda c: {"ss_network_dim": "4", "ss_network_alpha": "12"}, 1.0),
    "nothing": (lambda c: {}, 1.0),
}


@pytest.mark.parametrize("header", HEADERS)
def test_alpha_in_metadata(tmp_path: Path, header: str) -> None:
    model, file = tiny("wan2.1"), tmp_path / "x.safetensors"
    make, scale = HEADERS[header]
    down, up = torch.randn(4, 128) * 0.1, torch.randn(128, 4) * 0.1
    name = "transformer.blocks.0.attn1.to_q.lora_{}.weight"
    save_file({name.format("A"): down, name.format("B"): up}, file, metadata=make({"r": 4, "lora_alpha": 12}))
    before = effective(model.transformer)["blocks.0.attn1.to_q"][1:].T
    apply_lora(model, file)
    after = effective(model.transformer)["blocks.0.attn1.to_q"][1:].T
    assert torch.allclose(after - before, scale * up @ down, atol=1e-5)


def test_what_the_alpha_says_makes_another_lora(tmp_path: Path) -> None:
    """Videos that were made with the same weights at another strength are made again."""
    state = {"x.lora_A.weight": torch.ones(1, 2), "x.lora_B.weight": torch.ones(2, 1)}
    digests = set()
    for alpha in ("1", "2"):
        save_file(state, tmp_path / "x.safetensors", metadata={"transformer.lora_alpha": alpha})
        digests.add(lora_digest(tmp_path / "x.safetensors"))
    for alpha in (1, 2):
        save_file(state, tmp_path / "adapter_model.safetensors")
        (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 1, "lora_alpha": alpha}))
        digests.add(lora_digest(tmp_path / "adapter_model.safetensors"))
    assert len(digests) == 4
    assert load_file(tmp_path / "x.safetensors").keys() == state.keys()


@pytest.mark.parametrize("text", ["{", "[1]", "not JSON", '{"lora_alpha": "much"}'])
def test_a_configuration_that_says_nothing_is_told(tmp_path: Path, text: str) -> None:
    model, file = tiny("wan2.1"), tmp_path / "adapter_model.safetensors"
    name = "base_model.model.blocks.0.attn1.to_q.lora_{}.weight"
    save_file({name.format("A"): torch.ones(4, 128), name.format("B"): torch.ones(128, 4)}, file)
    (tmp_path / "adapter_config.json").write_text(text)
    with pytest.raises(
        SpatialAlignError, match=r"its metadata 'adapter_config' is no JSON|which is no number"
    ):
        apply_lora(model, file)


def test_peft_without_its_configuration_is_told(tmp_path: Path) -> None:
    model, file = tiny("wan2.1"), tmp_path / "adapter_model.safetensors"
    wrapped = get_peft_model(model.transformer, LoraConfig(r=2, lora_alpha=8, target_modules=TARGETS))
    randomise(wrapped)
    wrapped.save_pretrained(tmp_path)
    assert lora_doubt(file) is None
    renamed = file.rename(tmp_path / "style.safetensors")
    assert "style.safetensors was written by peft, and its adapter_config.json" in (lora_doubt(renamed) or "")
