"""Benchmarks on a card are cut off after minutes: what they have measured by then is on the disk."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


class CutOff(Exception):
    pass


def load(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> ModuleType:
    """A benchmark as a module that writes into `folder`."""
    monkeypatch.syspath_prepend(str(ROOT))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", folder / f"{name}.json")
    return module


@pytest.mark.parametrize(
    ("turns", "shape", "file", "ratios"),
    [
        (1, "pocket", "generate.json", {}),
        (1, "tiny", "generate-tiny.json", {}),
        (3, "pocket", "generate.json", {"speed_ratio": 2.0, "memory_ratio": 0.5}),
    ],
)
def test_generation_leaves_the_turns_that_were_measured(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    turns: int,
    shape: str,
    file: str,
    ratios: dict[str, float],
) -> None:
    generate = load("generate", monkeypatch, tmp_path)
    done: list[str] = []

    def run(side: str, frames: Path) -> dict[str, Any]:
        if len(done) == turns:
            raise CutOff
        done.append(side)
        pack = side == "pack"
        return {
            "videos": 2, "seconds": 5.0 if pack else 10.0, "cpu_seconds": 1.0,
            "peak_bytes": 2**30 if pack else 2**31, "plan": {},
        }  # fmt: skip

    monkeypatch.setattr(generate, "_run", run)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--shape", shape])
    with pytest.raises(CutOff):
        generate.main()
    left = json.loads((tmp_path / file).read_text())
    assert [len(left["turns"][side]) for side in ("plain", "pack")] == [-(-turns // 2), turns // 2]
    assert left["videos_an_hour"]["plain"] == 720
    assert {name: left[name] for name in ratios} == ratios and ("speed_ratio" in left) == bool(ratios)


@pytest.mark.parametrize(("size", "file"), [("pocket", "detect.json"), ("real", "detect-real.json")])
def test_detection_leaves_the_procedure_that_was_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: str, file: str
) -> None:
    detect = load("detect", monkeypatch, tmp_path)

    def in_child(arguments: list[str], folder: Path) -> dict[str, Any]:
        if "ours" in arguments:
            raise CutOff
        return {"seconds": {"find": 1.0, "follow": 2.0}, "frames": 6, "before": 1.0, "peak": 2.0}

    monkeypatch.setattr(detect, "in_child", in_child)
    monkeypatch.setattr(sys, "argv", ["detect.py", "--size", size, "--write"])
    with pytest.raises(CutOff):
        detect.main()
    left = json.loads((tmp_path / file).read_text())
    assert left["published"]["seconds"] == {"find": 1.0, "follow": 2.0} and "ours" not in left


@pytest.mark.parametrize(
    ("seconds", "minutes", "left_out"),
    [
        pytest.param(1, 8, ["recompute"], id="cut off by somebody"),
        pytest.param(
            200,
            8,
            ["attention", "recompute", "offload", "fast", "single", "half", "fp8"],
            id="in time by itself",
        ),
    ],
)
def test_training_leaves_the_plans_that_were_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, minutes: float, left_out: list[str]
) -> None:
    """And calls the fastest within 60 % of the published step's memory ours."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    train = load("train", monkeypatch, tmp_path)
    now = [0.0]
    monkeypatch.setattr(train.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(train, "matrix_peak", lambda device, dtype: 1e12)
    found = {None: (4.0, 100), "parked": (3.0, 50), "attention": (1.0, 70)}

    def measure(options: Any, model: Any, shape: Any, device: Any, way: Any) -> Any:
        now[0] += seconds
        name = way and way.estimate.plan.name
        if name == "recompute":
            return "out of memory"
        if name == "offload":
            raise CutOff
        gradient = torch.tensor([1.0, 0.0] if way is None else [0.0, 1.0])
        return train.Side(0.5, found[name][0], 9.0, found[name][1], gradient)

    monkeypatch.setattr(train, "_measure", measure)
    cut = pytest.raises(CutOff) if seconds == 1 else contextlib.nullcontext()
    with cut:
        train.main(["--plan", "all", "--minutes", str(minutes)])
    left = json.loads((tmp_path / "train.json").read_text())
    assert list(left["plans"]) == (["parked", "attention"] if seconds == 1 else ["parked"])
    assert list(left["left_out"]) == left_out
    assert (left["plan"], left["speed_ratio"], left["memory_ratio"]) == ("parked", 1.333, 0.5)
    assert left["plans"]["parked"]["gradient_difference"] == pytest.approx(2**0.5, abs=1e-5)
