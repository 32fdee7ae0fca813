"""Help pages and blueprints as files: a picture for each page, small all together; blueprints in plain ASCII."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

PACK = Path(__file__).resolve().parents[2]
DOCS = PACK / "web" / "docs"
PAGES = sorted(DOCS.glob("SpatialAlign_*.md"))
BLUEPRINTS = sorted((PACK / "subgraphs").glob("*.json"))
MOST_BYTES = 3 * 2**20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_shows_its_smallest_graph(page: Path) -> None:
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert shown == [f"pictures/{page.stem}.png"]
    with Image.open(DOCS / shown[0]) as picture:
        # dropped on ComfyUI's canvas, the picture opens as this workflow
        graph = json.loads(picture.info["workflow"])
    assert page.stem in {node["type"] for node in graph["nodes"]}


def test_no_picture_without_a_page() -> None:
    assert {file.stem for file in (DOCS / "pictures").iterdir()} == {page.stem for page in PAGES}


def test_pictures_are_small() -> None:
    assert sum(file.stat().st_size for file in (DOCS / "pictures").iterdir()) < MOST_BYTES


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_blueprints_are_one_node_and_read_the_same_in_every_encoding(file: Path) -> None:
    content = json.loads(file.read_bytes().decode("ascii"))
    (node,), (inside,) = content["nodes"], content["definitions"]["subgraphs"]
    assert node["type"] == inside["id"]
    assert [each["name"] for each in node["inputs"]] == [each["name"] for each in inside["inputs"]]
    assert [each["name"] for each in node["outputs"]] == [each["name"] for each in inside["outputs"]]
    assert node["title"] == inside["name"] == file.stem
