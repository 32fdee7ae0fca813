"""The arithmetic of THOUSAND_GPUS.md: its tables are the script's, and the script counts as torch does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("thousand_gpus", BENCHMARKS / "thousand_gpus.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["thousand_gpus"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_scripts_tables(script: Any) -> None:
    page = (BENCHMARKS / "THOUSAND_GPUS.md").read_text(encoding="utf-8")
    for table in script.tables():
        assert table in page


def blocks_cost(blocks: int) -> int:
    """Operations of a pass through a Wan transformer with so many blocks, as torch counts them."""
    from diffusers import WanTransformer3DModel

    with torch.device("meta"):
        network = WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=32, text_dim=64, ffn_dim=160, num_layers=blocks, freq_dim=32,
            rope_max_seq_len=64,
        )  # fmt: skip
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 16, 3, 16, 24), torch.zeros(1), torch.empty(1, 512, 64))
    return counter.get_total_flops()


def test_a_block_costs_what_torch_counts(script: Any) -> None:
    model = script.Model("small", 64, 160, 1)
    assert model.forward(3 * 8 * 12) == blocks_cost(2) - blocks_cost(1)


def test_a_lora_has_as_many_numbers_as_it_says(script: Any) -> None:
    assert script.Model("m", 10, 30, 2).lora(3) == 2 * 3 * (8 * 20 + 2 * 40)
    assert script.Model("m", 10, 30, 2).block_weights == 8 * 100 + 2 * 300
