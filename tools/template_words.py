"""Finds the texts in templates and blueprints that an artist reads: notes, and titles that the files give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[1]
NOTES = ("MarkdownNote", "Note")


def template_phrases() -> set[str]:
    """Every text of workflows/ and subgraphs/ that web/template_notes.js translates."""
    files = [*(PACK / "workflows").glob("*.json"), *(PACK / "subgraphs").glob("*.json")]
    return {text for file in files for text in workflow_texts(json.loads(file.read_text(encoding="utf-8")))}


def workflow_texts(workflow: dict[str, Any]) -> Iterator[str]:
    """The notes and titles of one workflow. One without a note has no texts: nothing in it is translated."""
    graphs = [workflow, *workflow.get("definitions", {}).get("subgraphs", [])]
    nodes = [node for graph in graphs for node in graph.get("nodes", [])]
    notes = [node["widgets_values"][0] for node in nodes if node["type"] in NOTES]
    titled = [*nodes, *(group for graph in graphs for group in graph.get("groups", []))]
    if notes:
        yield from notes
        yield from (each["title"] for each in titled if each.get("title"))
