"""The node search: the words people type lead to the right node, and no name stands there twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from server import Server

SEARCHES = [
    ("evaluate lora", "Evaluate"),
    ("prompt adherence", "ScoreVideo"),
    ("dpo", "TrainLora"),
    ("preference", "ExportPairs"),
    ("train lora", "TrainLora"),
    ("left", "ScoreVideo"),
    ("right", "PromptFromSentence"),
    ("grounding", "LoadDetector"),
    ("groundingdino", "LoadDetector"),
    ("sam2", "DetectTrack"),
    ("rank videos", "PickBest"),
    ("best of n", "PickBest"),
    ("spatial", "TrainLora"),
    ("motion", "DetectTrack"),
    ("score video", "ScoreVideo"),
    ("bounding box", "DetectTrack"),
    ("tracking", "DrawTracks"),
    ("compare lora", "Compare"),
    ("text to video", "Generate"),
]


@pytest.fixture(scope="module")
def nodes(server: Server) -> dict[str, Any]:
    return dict(server.get("/object_info"))


@pytest.fixture(scope="module")
def ours(nodes: dict[str, Any]) -> dict[str, Any]:
    found = {name: info for name, info in nodes.items() if name.startswith("SpatialAlign_")}
    if not any(info.get("search_aliases") for name, info in nodes.items() if name not in found):
        pytest.skip("this ComfyUI knows no aliases")
    return found


def test_every_node_has_aliases(ours: dict[str, Any]) -> None:
    assert [name for name, info in ours.items() if not info.get("search_aliases")] == []


@pytest.mark.parametrize(("typed", "node"), SEARCHES)
def test_what_people_type_finds_the_node(ours: dict[str, Any], typed: str, node: str) -> None:
    info = ours[f"SpatialAlign_{node}"]
    assert any(typed in each.lower() for each in (info["display_name"], *info["search_aliases"]))


def test_no_name_stands_twice_in_the_search(nodes: dict[str, Any]) -> None:
    """Core has pairs of its own with one name; none of ours may be in one."""
    names = Counter((info["display_name"] or name).lower() for name, info in nodes.items())
    twice = [n for n, i in nodes.items() if n.startswith("Spatial") and names[i["display_name"].lower()] > 1]
    assert twice == []
