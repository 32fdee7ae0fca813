"""Workflows that were saved with an older version still open: what they name is there, in the order they know."""

from __future__ import annotations

import json
import urllib.error
from typing import Any

import pytest
from server import PACK, Server

RELEASED = json.loads((PACK / "tests" / "data" / "released_nodes.json").read_text(encoding="utf-8"))
CASES = [(version, name) for version, nodes in RELEASED.items() for name in nodes]
_WIDGETS = {"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"}


@pytest.fixture(scope="module")
def replaced(server: Server) -> dict[str, Any]:
    """Nodes that have another name now; none on a ComfyUI that knows no replacements."""
    try:
        return dict(server.get("/node_replacements"))
    except (urllib.error.HTTPError, json.JSONDecodeError):
        return {}


@pytest.mark.parametrize(("version", "name"), CASES)
def test_a_released_node_is_there_or_replaced(
    server: Server, replaced: dict[str, Any], version: str, name: str
) -> None:
    assert name in server.get(f"/object_info/{name}") or name in replaced


@pytest.mark.parametrize(("version", "name"), CASES)
def test_what_a_saved_workflow_says_keeps_its_meaning(server: Server, version: str, name: str) -> None:
    """A file keeps widgets' values and outputs by their place: new ones may only come behind the old."""
    info = server.get(f"/object_info/{name}").get(name)
    if info is None:
        pytest.skip("has another name now")
    inputs = {k: v for section in ("required", "optional") for k, v in info["input"].get(section, {}).items()}
    widgets = [k for k, v in inputs.items() if isinstance(v[0], list) or v[0] in _WIDGETS]
    known = RELEASED[version][name]
    assert set(known["sockets"]) <= set(inputs)
    assert widgets[: len(known["widgets"])] == known["widgets"]
    assert info["output_name"][: len(known["outputs"])] == known["outputs"]
