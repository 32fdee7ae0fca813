"""The Quickstart template through a real ComfyUI: the loop, its cache, cancel, and the LoRA in ComfyUI's own hands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prompts import RUN_FOLDER, SMALL, cached, said, template
from server import PACK, Server, environment

WEIGHTS = PACK / "spatialalign_core" / "pocket" / "weights" / "wan-pocket"

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model_index.json").is_file(), reason="the pocket model's weights are not in this checkout"
)


@pytest.fixture(scope="module")
def prompt(server: Server) -> dict[str, Any]:
    return template(server, "Quickstart", SMALL)


@pytest.fixture(scope="module")
def first(server: Server, prompt: dict[str, Any]) -> dict[str, Any]:
    """The finished loop."""
    return server.run(prompt, timeout=900)


@pytest.fixture
def folder(server: Server) -> Path:
    return server.base / "output" / "spatialalign" / RUN_FOLDER


def test_loop_runs_to_its_end(first: dict[str, Any], prompt: dict[str, Any], folder: Path) -> None:
    assert "36 videos" in said(first, prompt, "SpatialAlign_Generate")
    assert "with LoRA" in said(first, prompt, "SpatialAlign_Evaluate")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert {"base", "aligned", "tau"} <= report.keys()
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")


def test_nothing_is_done_twice(server: Server, first: dict[str, Any], prompt: dict[str, Any]) -> None:
    assert cached(server.run(prompt), prompt) == {node["class_type"] for node in prompt.values()}


def test_a_lost_video_is_noticed_and_only_it_is_made_again(
    server: Server, first: dict[str, Any], prompt: dict[str, Any], folder: Path
) -> None:
    videos = sorted((folder / "samples" / "base").glob("*/*.mp4"))
    before = {video: (video.stat().st_mtime_ns, video.read_bytes()) for video in videos}
    videos[0].unlink()
    server.run(prompt)
    assert videos[0].read_bytes() == before[videos[0]][1]
    assert all(video.stat().st_mtime_ns == before[video][0] for video in videos[1:])


def test_lora_is_listed_and_every_key_patches_comfyuis_own_model(
    server: Server, comfyui: Path, first: dict[str, Any]
) -> None:
    name = f"{RUN_FOLDER}-spatialalign.safetensors"
    assert name in server.get("/models/loras")
    script = Path(__file__).parent / "load_lora_natively.py"
    command = [
        sys.executable,
        str(script),
        str(comfyui),
        str(server.base / "output" / "loras" / name),
        str(WEIGHTS),
    ]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    counts = json.loads(result.stdout.splitlines()[-1])
    assert counts["modules_in_file"] == counts["modules_patched"] > 0
    assert counts["not_loaded"] == []
    assert counts["largest_difference"] < 1e-4 < counts["effect"]


def test_cancel_takes_effect_within_a_step_and_keeps_the_work(
    server: Server, first: dict[str, Any], prompt: dict[str, Any], folder: Path
) -> None:
    longer = json.loads(json.dumps(prompt))
    train = next(node for node in longer.values() if node["class_type"] == "SpatialAlign_TrainLora")
    train["inputs"] |= {"steps": 400, "lora_name": "cancelled"}
    number = server.queue(longer)
    log = folder / "training.csv"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and _steps_of(log) < 2:
        time.sleep(0.2)
    server.post("/interrupt", {})
    asked = _steps_of(log)
    entry = server.wait(number)
    assert entry["status"]["status_str"] == "error"
    assert any(kind == "execution_interrupted" for kind, _ in entry["status"]["messages"])
    assert _steps_of(log) <= asked + 2
    assert list((folder / "lora" / "checkpoints").rglob("*.safetensors"))


def _steps_of(log: Path) -> int:
    """Steps of the 400-step run in a training log."""
    return (
        sum(",400," in line for line in log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
    )
