"""Templates as API prompts, small enough for a test."""

from __future__ import annotations

import json
from typing import Any

import pytest
from server import PACK, Server

RUN_FOLDER = "small"

# A loop of a minute instead of a quarter of an hour.
SMALL: dict[str, dict[str, Any]] = {
    "SpatialAlign_PromptSet": {"train_prompts": 12, "held_out_prompts": 6},
    "SpatialAlign_Generate": {"seeds": 3, "steps": 8, "run_folder": RUN_FOLDER},
    "SpatialAlign_TrainLora": {"steps": 4},
    "SpatialAlign_Evaluate": {"seeds": 1},
}


def template(
    server: Server, name: str, settings: dict[str, dict[str, Any]] | None = None, muted: bool = False
) -> dict[str, Any]:
    """workflows/<name>.json as ComfyUI's API takes it, with some widgets set; each of them must be there.

    muted: with the nodes that are muted in the template.
    """
    convert = pytest.importorskip("comfy_cli.workflow_to_api").convert_ui_to_api
    workflow = json.loads((PACK / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    if muted:
        for node in workflow["nodes"]:
            node["mode"] = 0
    prompt = convert(workflow, server.get("/object_info"))
    for kind, values in (settings or {}).items():
        inputs = next(node["inputs"] for node in prompt.values() if node["class_type"] == kind)
        assert values.keys() <= inputs.keys()
        inputs.update(values)
    return dict(prompt)


def said(entry: dict[str, Any], prompt: dict[str, Any], kind: str) -> str:
    """What the node of this class showed on itself."""
    node = next(number for number, each in prompt.items() if each["class_type"] == kind)
    return "\n".join(entry["outputs"][node]["text"])


def cached(entry: dict[str, Any], prompt: dict[str, Any]) -> set[str]:
    """Classes of the nodes that ComfyUI did not run again."""
    nodes = next(data["nodes"] for kind, data in entry["status"]["messages"] if kind == "execution_cached")
    return {prompt[node]["class_type"] for node in nodes}
