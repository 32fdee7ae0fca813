"""Benchmarks on a card are cut off after minutes: what they have measured by then is on the disk."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
