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
TRANSLATED = ("ja", "zh")
# What inputs and outputs are called, which stays beside their labels in every language.
_NAMES = json.loads((PACK / "tools" / "words" / "zh.labels.json").read_text(encoding="utf-8")).keys()


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize("language", TRANSLATED)
def test_every_page_is_there_in_every_language_with_the_same_parts(page: Path, language: str) -> None:
    """ComfyUI asks for <node>/<language>.md first; its pictures are relative to the folder of the English page."""
    other = DOCS / page.stem / f"{language}.md"
    assert _parts(other) == _parts(page)
    nodes = json.loads((PACK / "tools" / "words" / f"{language}.json").read_text(encoding="utf-8"))
    titles = [path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in (page, other)]
    assert titles[1] == nodes[titles[0]]


def test_no_translation_without_a_page() -> None:
    found = {file.relative_to(DOCS).as_posix() for file in DOCS.glob("*/*.md")}
    assert found == {f"{page.stem}/{language}.md" for page in PAGES for language in TRANSLATED}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize("language", TRANSLATED)
def test_pages_call_widgets_as_the_node_does(page: Path, language: str) -> None:
    labels = json.loads((PACK / "tools" / "words" / f"{language}.labels.json").read_text(encoding="utf-8"))
    rows = [line for line in _lines(DOCS / page.stem / f"{language}.md") if line.startswith("| ")]
    named = [pair for row in rows for pair in re.findall(r"([^|、*`]+) `(\w+)`", row.split(" | ")[0])]
    wrong = [
        (words, name)
        for words, name in named
        if words.strip(" |") != labels.get(f"{page.stem}.{name}", labels.get(name))
    ]
    assert named and wrong == []


def _lines(page: Path) -> list[str]:
    return page.read_text(encoding="utf-8").splitlines()


def _parts(page: Path) -> dict[str, list[object]]:
    """What a page and its translations share: pictures, headings, and rows of tables with the names in them."""
    lines = _lines(page)
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    translated = page.parent != DOCS
    of_node = [row for row in rows if not row.startswith("| *")]  # the others begin with what an error says
    names = [re.findall(r"`(\w+)`" if translated else r"\b[a-z][a-z0-9_]*\b", row) for row in of_node]
    return {
        "pictures": re.findall(r"!\[[^\]]+\]\(([^)]+)\)", "\n".join(lines)),
        "headings": [line.startswith("#") for line in lines if re.match(r"#|\*\*", line)],
        "rows": [len(rows)],
        "names": [[name for name in row if name in _NAMES] for row in names],
    }
