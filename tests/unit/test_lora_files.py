"""A LoRA file as the beginning of a training, on one of two experts, and what its metadata tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families import families
from spatialalign_core.pairs import Pair
from spatialalign_core.train.lora import (
    add_lora,
    apply_lora,
    lora_metadata,
    native_state,
    read_lora,
    remove_lora,
    save_lora,
    start_from,
)
from spatialalign_core.train.settings import DEFAULT
from tests.tiny_models import TEXT_WIDTH, make_transformer

FAMILIES = {family.name: family for family in families()}


def tiny(name: str, expert: int = 0) -> VideoModel:
    family = FAMILIES[name]
    pipeline = SimpleNamespace(
        transformer=make_transformer(family), transformer_2=make_transformer(family, 1)
    )
    experts = family.experts[expert : expert + 1]
    return VideoModel(
        Path("tiny"), family, pipeline, family.defaults, "abc", *experts, description="Tiny\nmore"
    )


def output(model: VideoModel, network: torch.nn.Module | None = None) -> torch.Tensor:
    noisy = torch.randn((1, 16, 2, 4, 4), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        text = torch.ones(1, 8, TEXT_WIDTH)
        return model.family.velocity(network or model.transformer, noisy, torch.tensor([0.5]), text)


def random_lora(model: VideoModel, path: Path, targets: str, rank: int = 4) -> torch.Tensor:
    """Writes a LoRA; returns the model's output with it."""
    parameters = add_lora(model, targets, rank, 2.0 * rank, 0)
    with torch.no_grad():
        for index, parameter in enumerate(parameters.values()):
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)) * 0.1
            )
    expected = output(model)
    save_lora(path, native_state(model, dict(parameters), 2.0), {})
    remove_lora(model)
    return expected


@pytest.mark.parametrize("rank", [4, 6])
def test_training_can_start_from_a_file(tmp_path: Path, rank: int) -> None:
    model, file = tiny("wan2.1"), tmp_path / "other.safetensors"
    expected = random_lora(model, file, "published")
    parameters = add_lora(model, "wide", rank, 3.0, 0)
    start_from(model, parameters, file, 3.0 / rank)
    assert torch.allclose(output(model), expected, atol=1e-5)
    # Ranks that the file does not have can still learn: one half of each is not zero.
    name = next(n for n in parameters if "attn2.to_k" in n and "lora_A" in n)
    assert parameters[name].abs().amax(dim=1).min() > 0


def test_a_file_that_changes_more_is_refused(tmp_path: Path) -> None:
    model, file = tiny("wan2.1"), tmp_path / "other.safetensors"
    random_lora(model, file, "wide")
    parameters = add_lora(model, "published", 4, 4.0, 0)
    with pytest.raises(SpatialAlignError, match="changes layers that would not be trained"):
        start_from(model, parameters, file, 1.0)


@pytest.mark.parametrize("expert", [0, 1])
def test_only_the_chosen_expert_changes(tmp_path: Path, expert: int) -> None:
    model, file = tiny("wan2.2-a14b", expert), tmp_path / "lora.safetensors"
    networks = (model.pipeline.transformer, model.pipeline.transformer_2)
    before = [output(model, network) for network in networks]
    expected = random_lora(model, file, "published")
    apply_lora(model, file)
    after = [output(model, network) for network in networks]
    assert torch.allclose(after[expert], expected, atol=1e-5)
    assert not torch.allclose(after[expert], before[expert], atol=1e-3)
    assert torch.equal(after[1 - expert], before[1 - expert])


def test_each_expert_has_a_lora_of_its_own() -> None:
    high, low, only = tiny("wan2.2-a14b"), tiny("wan2.2-a14b", 1), tiny("wan2.1")
    assert [each.lora_name("mine") for each in (high, low, only)] == [
        "mine-high_noise",
        "mine-low_noise",
        "mine",
    ]
    assert high.lora_name("mine-high_noise") == "mine-high_noise"
    assert high.fingerprint == low.fingerprint  # their videos are the same
    assert high.trained_fingerprint != low.trained_fingerprint
    assert only.trained_fingerprint == only.fingerprint


def test_strength_scales_the_change(tmp_path: Path) -> None:
    model, file = tiny("wan2.1"), tmp_path / "lora.safetensors"
    before, full = output(model), random_lora(model, file, "published")
    apply_lora(model, file, 0.0)
    assert torch.equal(output(model), before)
    apply_lora(model, file, 1.0)
    assert torch.allclose(output(model), full, atol=1e-5)


def test_the_same_lora_has_the_same_bytes(tmp_path: Path) -> None:
    """So that a run that was interrupted can be compared with `cmp`; safetensors shuffles metadata."""
    metadata = {f"key {number}": f'Ünïcode "{number}"\n' for number in range(12)}
    state = {"x.lora_B.weight": torch.arange(6.0).reshape(2, 3), "x.lora_A.weight": torch.ones(3, 2)}
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for file in files:
        save_lora(file, state, metadata)
    assert len({file.read_bytes() for file in files}) == 1
    tensors, found = read_lora(files[0])
    assert found == metadata and all(tensors[name].equal(state[name]) for name in state)


def test_metadata() -> None:
    pairs = SimpleNamespace(
        pairs=(Pair("a", 0, 1, 0.9, 0.1), Pair("b", 0, 1, 0.7, 0.2)), fingerprint="pairs-hash"
    )
    found = lora_metadata(tiny("wan2.2-a14b"), replace(DEFAULT, rank=8), pairs)  # type: ignore[arg-type]
    expected = {
        "base_model": "Tiny",
        "base_model_fingerprint": "abc",
        "family": "wan2.2-a14b",
        "expert": "high noise",
        "rank": "8",
        "method": DEFAULT.loss,
        "dataset_hash": "pairs-hash",
        "mean_winner_score": "0.8000",
        "mean_loser_score": "0.1500",
    }
    assert expected.items() <= found.items()
    assert all(isinstance(value, str) for value in found.values())
