"""Folders linked to another disk: a run through Train Spatial LoRA and Evaluate, and the list of LoRAs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prompts import said, template
from server import PACK, Server

WEIGHTS = PACK / "spatialalign_core" / "pocket" / "weights" / "wan-pocket"
TINY: dict[str, dict[str, Any]] = {
    "SpatialAlign_PromptSet": {"train_prompts": 6, "held_out_prompts": 2},
    "SpatialAlign_Generate": {"seeds": 3, "run_folder": "linked", "steps": 4},
    "SpatialAlign_TrainLora": {"steps": 2},
    "SpatialAlign_Evaluate": {"seeds": 1},
}

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model_index.json").is_file(), reason="the pocket model's weights are not in this checkout"
)


def move_and_link(folder: Path, elsewhere: Path) -> None:
    """What an artist does whose disk is full."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere, target_is_directory=True)


def test_linked_folders_are_worked_in(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    disk, output = tmp_path_factory.mktemp("disk"), server.base / "output"
    move_and_link(output / "loras", disk / "loras")
    move_and_link(output / "spatialalign", disk / "runs")
    move_and_link(output / "spatialalign" / "linked", disk / "one run")
    prompt = template(server, "Quickstart", TINY)
    entry = server.run(prompt, timeout=900)
    assert "linked-spatialalign.safetensors" in said(entry, prompt, "SpatialAlign_TrainLora")
    assert "with LoRA" in said(entry, prompt, "SpatialAlign_Evaluate")
    assert (disk / "loras" / "linked-spatialalign.safetensors").is_file()
    assert "linked-spatialalign.safetensors" in server.get("/models/loras")
    report = json.loads((disk / "one run" / "report.json").read_text(encoding="utf-8"))
    assert {"base", "aligned"} <= report.keys()
    [run] = [each for each in server.get("/spatialalign/runs")["runs"] if each["name"] == "linked"]
    assert run["name"] == "linked"
