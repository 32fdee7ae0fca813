"""Every workflow that the pack gives away opens in ComfyUI as it was meant: templates, blueprints and help pictures.

A help picture carries its graph, which opens when the picture is dropped on the canvas.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from server import PACK, Server

NOTES = ("MarkdownNote", "Note")  # drawn by the page alone
# Files that no pack can ship; ComfyUI's own template for Wan 2.1 offers to download these three.
FETCHED = {
    ("UNETLoader", "unet_name"): "wan2.1_t2v_1.3B_fp16.safetensors",
    ("CLIPLoader", "clip_name"): "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    ("VAELoader", "vae_name"): "wan_2.1_vae.safetensors",
}
# Written as ComfyUI 0.8.0 has it; later ones replace its choices and read the old ones.
CHANGED = ("SaveVideo",)
WIDGETS = ("STRING", "INT", "FLOAT", "BOOLEAN", "COMBO")
FILES = [
    *sorted((PACK / "workflows").glob("*.json")),
    *sorted((PACK / "subgraphs").glob("*.json")),
    *sorted((PACK / "web" / "docs" / "pictures").glob("*.png")),
]


@pytest.fixture(scope="module")
def schemas(server: Server) -> dict[str, Any]:
    return dict(server.get("/object_info"))


def opened(file: Path) -> dict[str, Any]:
    """The workflow in a file, or in the text that a picture carries."""
    if file.suffix == ".png":
        with Image.open(file) as picture:
            return dict(json.loads(picture.text["workflow"]))  # type: ignore[attr-defined]
    return dict(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_workflow_names_only_what_comfyui_has(schemas: dict[str, Any], file: Path) -> None:
    workflow = opened(file)
    inside = workflow.get("definitions", {}).get("subgraphs", [])
    own = {each["id"] for each in inside}
    nodes = [node for graph in (workflow, *inside) for node in graph["nodes"]]
    assert any(node["type"].startswith("SpatialAlign_") for node in nodes)
    wrong = [
        f"{node['type']}: {text}"
        for node in nodes
        if node["type"] not in own
        for text in _wrong(node, schemas)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "SpatialAlign_Nothing"}, "is unknown"),
        ({"widgets_values": ["sprites", "none", 0.4, 0.3]}, "detector has no choice 'sprites'"),
        ({"widgets_values": ["pocket", "none", 0.4]}, "3 values for 4 widgets"),
        ({"widgets_values": ["pocket", "none", "much", 0.3]}, "box_threshold is no FLOAT: 'much'"),
        ({"widgets_values": ["pocket", "none", 4.0, 0.3]}, "box_threshold is outside 0.01 to 0.99: 4.0"),
        ({"inputs": [{"name": "images", "type": "IMAGE"}]}, "has no input 'images'"),
        ({"outputs": [{"name": "finder"}]}, "gives 'detector', not 'finder'"),
    ],
)
def test_what_is_wrong_is_found(schemas: dict[str, Any], change: dict[str, Any], says: str) -> None:
    node = {
        "type": "SpatialAlign_LoadDetector",
        "inputs": [{"name": "detector", "type": "COMBO"}],
        "outputs": [{"name": "detector"}],
        "widgets_values": ["pocket", "none", 0.4, 0.3],
    }
    assert list(_wrong(node, schemas)) == []
    assert list(_wrong(node | change, schemas)) == [says]


def _wrong(node: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """What of a saved node this ComfyUI does not have."""
    kind = node["type"]
    if kind in NOTES or kind in CHANGED:
        return
    if kind not in schemas:
        yield "is unknown"
        return
    info = schemas[kind]
    specs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    for each in node["inputs"]:
        if each["name"] not in specs:
            yield f"has no input {each['name']!r}"
    for each, name in zip(node["outputs"], info["output_name"], strict=False):
        if each["name"] != name:
            yield f"gives {name!r}, not {each['name']!r}"
    widgets = list(_widgets(specs))
    values = node["widgets_values"]
    # ComfyUI's own nodes get new widgets behind the old ones
    if len(values) > len(widgets) or (kind.startswith("SpatialAlign_") and len(values) != len(widgets)):
        yield f"{len(values)} values for {len(widgets)} widgets"
        return
    for value, (name, type_, options) in zip(values, widgets, strict=False):
        if value != FETCHED.get((kind, name)):
            yield from _wrong_value(value, name, type_, options)


def _widgets(specs: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, type and options in the order of the saved values, with what stands behind each seed."""
    for name, (first, *more) in specs.items():
        options = more[0] if more else {}
        type_ = "COMBO" if isinstance(first, list) else first
        if type_ in WIDGETS and not options.get("forceInput"):
            yield name, type_, {"options": first} | options if isinstance(first, list) else options
            if options.get("control_after_generate"):
                yield f"after {name}", "COMBO", {"options": ["fixed", "increment", "decrement", "randomize"]}


def _wrong_value(value: Any, name: str, type_: str, options: dict[str, Any]) -> Iterator[str]:
    kinds = {"STRING": str, "INT": int, "FLOAT": (int, float), "BOOLEAN": bool}
    if type_ == "COMBO":
        if value not in options["options"]:
            yield f"{name} has no choice {value!r}"
    elif not isinstance(value, kinds[type_]) or (type_ != "BOOLEAN" and isinstance(value, bool)):
        yield f"{name} is no {type_}: {value!r}"
    elif type_ in ("INT", "FLOAT"):
        least, most = options.get("min", value), options.get("max", value)
        if not least <= value <= most:
            yield f"{name} is outside {least} to {most}: {value!r}"
