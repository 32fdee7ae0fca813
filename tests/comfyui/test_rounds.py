"""The Rounds node in a real ComfyUI: one round, its chart, its LoRA on Load LoRA's list, and nothing done twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prompts import said
from server import PACK, Server

WEIGHTS = PACK / "spatialalign_core" / "pocket" / "weights" / "wan-pocket"

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model_index.json").is_file(), reason="the pocket model's weights are not in this checkout"
)


def graph(server: Server) -> dict[str, Any]:
    """Load Video Model -> Generate -> Rounds <- Load Detector, with the widgets' own values where none is given."""
    values: dict[str, dict[str, Any]] = {
        "LoadVideoModel": {},
        "LoadDetector": {},
        "PromptSet": {"train_prompts": 6, "held_out_prompts": 2},
        "Generate": {"video_model": ["0", 0], "prompts": ["2", 0], "run_folder": "rounds", "seeds": 3, "steps": 4},
        "Rounds": {
            "run": ["3", 0], "video_model": ["0", 0], "detector": ["1", 0], "rounds": 1, "held_out_seeds": 1,
            "steps": 2, "lora_name": "further",
        },
        "PreviewImage": {"images": ["4", 2]},
    }  # fmt: skip
    known = server.get("/object_info")
    prompt = {}
    for number, (name, given) in enumerate(values.items()):
        kind = name if name == "PreviewImage" else f"SpatialAlign_{name}"
        wanted = known[kind]["input"].get("required", {})
        usual = {
            key: spec[1]["default"] for key, spec in wanted.items() if len(spec) > 1 and "default" in spec[1]
        }
        prompt[str(number)] = {"class_type": kind, "inputs": usual | given}
    return prompt


def test_a_round_in_comfyui(server: Server) -> None:
    prompt = graph(server)
    text = said(server.run(prompt, timeout=900), prompt, "SpatialAlign_Rounds")
    assert "Round 0" in text and "Round 1" in text and "rounds-further.safetensors" in text
    folder = server.base / "output" / "spatialalign" / "rounds"
    assert len(json.loads((folder / "rounds.json").read_text())["rounds"]) == 2
    assert (server.base / "output" / "loras" / "rounds-further.safetensors").is_file()
    # A LoRA of ours is on the list of what training can continue from.
    listed = server.get("/object_info")["SpatialAlign_TrainLora"]["input"]["optional"]["continue_from"]
    assert "rounds-further.safetensors" in json.dumps(listed)
    # One more round goes on after the first.
    prompt["4"]["inputs"]["rounds"] = 2
    prompt["4"]["inputs"]["patience"] = 2
    before = (folder / "lora" / "round-01.safetensors").stat().st_mtime_ns
    assert "Round 2" in said(server.run(prompt, timeout=900), prompt, "SpatialAlign_Rounds")
    assert (folder / "lora" / "round-01.safetensors").stat().st_mtime_ns == before
