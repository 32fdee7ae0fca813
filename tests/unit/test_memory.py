"""Memory plans: the same gradients, less memory, and an estimate that comes true."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from spatialalign_core import host_memory
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families.wan import Wan21
from spatialalign_core.models.loading import BUNDLED, load_video_model
from spatialalign_core.run.planning import plan_training
from spatialalign_core.train import memory, preflight
from spatialalign_core.train.away import waiting
from spatialalign_core.train.memory import free_memory, is_out_of_memory
from spatialalign_core.train.plans import FAST, LADDER, PLANS, find_plan, leaner
from spatialalign_core.train.preflight import (
    Estimate,
    StepShape,
    choose_plan,
    estimate,
    read_transformer_config,
)
from spatialalign_core.train.settings import DEFAULT, PUBLISHED
from spatialalign_core.train.step import pair_loss
from spatialalign_core.weight_files import read_weights
from tests.noise_pairs import SETTINGS, NoisePairs, apart, attention_made, gradients, trainer_for

ROOT = Path(__file__).resolve().parents[2]
WAN_1_3B = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": [1, 2, 2], "num_attention_heads": 12, "attention_head_dim": 128, "in_channels": 16,
    "out_channels": 16, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 8960, "num_layers": 30,
}  # fmt: skip
FULL_SIZE = StepShape((16, 21, 60, 104), (512, 4096), torch.bfloat16)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.mark.parametrize("plan", PLANS.values(), ids=lambda plan: plan.name)
def test_plans_give_the_same_gradients_and_the_base_back(model: VideoModel, plan: Any) -> None:
    """But for rounding: of sums, or with fp8 of the base."""
    base = {name: value.clone() for name, value in model.transformer.state_dict().items()}
    loss, expected = gradients(trainer_for(model, FAST))
    other_loss, found = gradients(trainer_for(model, plan))
    rounding = 0.1 if plan.weights == "fp8" else 1e-4
    assert other_loss == pytest.approx(loss, rel=rounding)
    assert apart(expected, found) < rounding
    after = model.transformer.state_dict()
    assert after.keys() == base.keys() and all(after[name].equal(base[name]) for name in base)


def test_precision_is_that_of_the_computation_not_of_the_first_parameter(model: VideoModel) -> None:
    """Real Wan keeps some parameters in float32 when it is loaded in 16 bits, the very first one among them."""
    assert next(model.transformer.parameters()).shape == model.pipeline.transformer.scale_shift_table.shape
    model.pipeline.transformer.to(torch.bfloat16)
    model.pipeline.transformer.scale_shift_table.data = model.pipeline.transformer.scale_shift_table.float()
    assert model.dtype == torch.bfloat16
    model.pipeline.transformer.to(torch.float32)


@pytest.mark.parametrize(
    ("plan", "times"), [("half", 1.5), ("recompute", 2), ("attention", 1), ("parked", 1)]
)
def test_self_attention_of_kept_blocks_is_made_once(model: VideoModel, plan: str, times: float) -> None:
    """In a forward and a backward pass of two videos; the text's attention is made again wherever blocks are."""
    trainer = trainer_for(model, PLANS[plan])
    with attention_made() as made:
        loss = pair_loss(model, trainer._draws()[:1], SETTINGS, PLANS[plan], torch.device("cpu")).total
        assert (waiting() > 0) == PLANS[plan].kept_on_host
        loss.backward()
    assert waiting() == 0
    videos, blocks = 2, len(trainer.blocks.blocks)
    assert made.count(True) == videos * blocks * (1 + times)
    assert made.count(False) == videos * blocks * (2.5 if plan == "half" else 3)
    trainer.close()


@pytest.mark.parametrize("plan", ["offload", "fp8"])
def test_weights_are_away_between_uses(model: VideoModel, plan: str) -> None:
    trainer = trainer_for(model, PLANS[plan])
    list(trainer.run())
    frozen = [p for p in model.transformer.blocks.parameters() if not p.requires_grad and p.ndim == 2]
    kept = [kept for store in trainer.blocks._stores for kept in store.kept]
    assert {p.data_ptr() for p in frozen} <= {each.home.data_ptr() for each in kept}
    assert all(p.dtype == torch.float8_e4m3fn for p in frozen) == (plan == "fp8")
    trainer.close()


@pytest.mark.parametrize(
    ("plan", "following"),
    [
        ("fast", "single"),
        ("single", "half"),
        ("half", "attention"),
        ("attention", "recompute"),
        ("recompute", "parked"),
        ("parked", "offload"),
        ("fp8", "offload"),
        ("offload", None),
    ],
)
def test_ladder(plan: str, following: str | None) -> None:
    found = leaner(find_plan(plan))
    assert (found.name if found else None) == following


def test_unknown_plan_is_named() -> None:
    with pytest.raises(SpatialAlignError, match="no memory plan 'huge'"):
        find_plan("huge")


def test_each_plan_needs_less_than_the_one_before(model_folder: Path) -> None:
    config = read_transformer_config(model_folder) | {"num_layers": 6}
    shape = StepShape((16, 18, 8, 12), (32, 64), torch.float32)
    peaks = [estimate(Wan21(), config, shape, DEFAULT, plan).peak for plan in LADDER]
    assert peaks == sorted(peaks, reverse=True)


@pytest.fixture(scope="module")
def full_size() -> dict[str, Estimate]:
    """Wan2.1-1.3B, 480 x 832, 81 frames: 1.4 billion weights of 16 bits."""
    names = ("attention", "recompute", "parked", "offload")
    return {name: estimate(Wan21(), WAN_1_3B, FULL_SIZE, PUBLISHED, PLANS[name]) for name in names}


@pytest.mark.parametrize(
    ("card", "computer", "plan"),
    [
        (24, 64, "attention"),
        (16, 64, "recompute"),
        (10, 64, "parked"),
        (6, 64, "offload"),
        (16, 16, "recompute"),
    ],
)
def test_full_size_fits_into_a_small_card(
    full_size: dict[str, Estimate], monkeypatch: pytest.MonkeyPatch, card: int, computer: int, plan: str
) -> None:
    """Sizes in GiB."""
    monkeypatch.setattr(preflight, "estimate", lambda *arguments: full_size[arguments[-1].name])
    plans = [PLANS[name] for name in full_size]
    room, host_room = card * 2**30, computer * 2**30
    found = choose_plan(Wan21(), WAN_1_3B, FULL_SIZE, PUBLISHED, room, plans, host_room)
    assert found.plan.name == plan
    assert 2.5 * 2**30 < found.weights < 3.2 * 2**30


def test_weights_that_a_card_reaches_take_powers_of_two(full_size: dict[str, Estimate]) -> None:
    """A block's: eight of 1536 x 1536 in 8 MiB each, two of 1536 x 8960 in 32 MiB; the rest is small."""
    weights = full_size["offload"].host - full_size["parked"].host
    assert 30 * 128 <= weights / 2**20 < 30 * 130


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("recompute", "parked", "offload"), r"about 13\.4 GiB even with the plan 'recompute'"),
        (("parked", "offload"), "The plan 'offload' needs more of the computer's memory than is free"),
    ],
)
def test_a_plan_that_fills_the_computer_is_not_chosen(
    full_size: dict[str, Estimate], monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(preflight, "estimate", lambda *arguments: full_size[arguments[-1].name])
    plans = [PLANS[name] for name in names]
    with pytest.raises(SpatialAlignError, match=message):
        choose_plan(Wan21(), WAN_1_3B, FULL_SIZE, PUBLISHED, 10 * 2**30, plans, 16 * 2**30)


@pytest.mark.parametrize(
    ("free", "host", "plan"), [(1.1, False, "fast"), (1.1, True, "single"), (2.0, True, "fast")]
)
def test_a_computer_needs_more_than_the_tensors(free: float, host: bool, plan: str) -> None:
    """The bundled model within 2 GiB, of which Python and its libraries take 0.9."""
    config = read_transformer_config(BUNDLED["pocket"])
    shape = StepShape((16, 18, 8, 12), (40, 64), torch.float32, host)
    assert choose_plan(Wan21(), config, shape, DEFAULT, round(free * 2**30)).plan.name == plan


def test_nothing_fits_is_explained(model_folder: Path) -> None:
    config = read_transformer_config(model_folder)
    shape = StepShape((16, 4, 8, 12), (12, 64), torch.float32)
    with pytest.raises(SpatialAlignError, match=r"even with the plan 'offload', and 0\.0 GiB are free"):
        choose_plan(Wan21(), config, shape, DEFAULT, 2**20, LADDER[-1:])


@pytest.mark.parametrize("plan", ["auto", "single"])
@pytest.mark.parametrize(
    ("latents", "text"), [((16, 4, 8, 12), (12, 8)), ((3, 4, 8, 12), (12, 64)), ((16, 4, 1, 12), (12, 64))]
)
def test_pairs_of_another_model_are_named(
    model: VideoModel, plan: str, latents: tuple[int, ...], text: tuple[int, ...]
) -> None:
    pairs, cpu = NoisePairs(latents, text), torch.device("cpu")
    with pytest.raises(SpatialAlignError, match="do not fit the model wan-untrained: it takes no latents"):
        plan_training(model, pairs, SETTINGS, cpu, plan, 2**34)  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_estimate_comes_true() -> None:
    """Peak of a process of its own against the estimate."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": "65536",
    }
    plans = ["recompute", "single", "fast"]
    command = [sys.executable, str(ROOT / "benchmarks/train.py"), "--shape", "memory", "--preflight", *plans]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = json.loads(output.strip().splitlines()[-1])
    assert [each["plan"] for each in found] == plans
    assert [each["ratio"] for each in found] == pytest.approx([1.0] * 3, abs=0.15)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False),
        (RuntimeError("shapes cannot be multiplied"), False),
        (SpatialAlignError("out of memory"), False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (ImportError("No module named 'x'"), False),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("std::bad_alloc"), True),
    ],
)
def test_full_memory_is_recognised(error: Exception, full: bool) -> None:
    assert is_out_of_memory(error) == full


def test_free_memory_is_some() -> None:
    assert free_memory(torch.device("cpu")) > 2**20


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("0::/\n", {"memory.max": "1000", "memory.current": "400"}, 600),
        ("0::/a/b\n", {"a/memory.max": "1000", "a/memory.current": "400", "a/b/memory.max": "max"}, 600),
        ("0::/a\n", {"a/memory.max": "100", "a/memory.current": "400"}, 0),
        (
            "3:memory:/a\n2:cpu:/z\n",
            {"memory/a/memory.limit_in_bytes": "900", "memory/a/memory.usage_in_bytes": "1"},
            899,
        ),
        (
            "0::/\n",
            {
                "memory.max": "1000",
                "memory.current": "900",
                "memory.stat": "anon 100\ninactive_file 800\n",
            },
            900,
        ),
        ("0::/elsewhere\n", {"memory.max": "1000", "memory.current": "300"}, 700),
        ("nonsense", {}, None),
    ],
)
def test_limits_of_control_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], free: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "groups").write_text(groups)
    monkeypatch.setattr(host_memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(host_memory, "_GROUPS_OF_PROCESS", tmp_path / "groups")
    found = memory.free_memory(torch.device("cpu"))
    assert found == free if free is not None else found > 2**20


def test_full_memory_while_loading_is_no_damage(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody should copy a sound model again because the memory was full."""

    def full(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 99 bytes")

    monkeypatch.setattr("safetensors.torch.load_file", full)
    monkeypatch.setattr("diffusers.WanPipeline.from_pretrained", full)
    for load in (
        lambda: read_weights(next(model_folder.rglob("*.safetensors"))),
        lambda: load_video_model(model_folder, "cpu"),
    ):
        with pytest.raises(SpatialAlignError, match="not enough memory to load"):
            load()


def test_a_lora_keeps_32_bits_and_computes_in_those_of_the_model(model: VideoModel) -> None:
    """Else every layer's input would be held a second time, in 32 bits."""
    model.pipeline.transformer.to(torch.bfloat16)
    trainer = trainer_for(model, FAST)
    halves = {
        name: module
        for name, module in model.transformer.named_modules()
        if name.endswith((".lora_A.trained", ".lora_B.trained"))
    }
    given: set[torch.dtype] = set()
    for module in halves.values():
        module.register_forward_hook(lambda _, inputs, output: given.update({inputs[0].dtype, output.dtype}))
    trainer._gradients(trainer._draws())
    assert {f"{name}.weight" for name in halves} == set(trainer.parameters)
    assert given == {torch.bfloat16}
    kinds = {
        tensor.dtype for p in trainer.parameters.values() for tensor in (p, p.grad) if tensor is not None
    }
    assert kinds == {torch.float32}
    trainer.close()
    model.pipeline.transformer.to(torch.float32)
