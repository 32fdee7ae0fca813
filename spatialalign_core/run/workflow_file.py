"""The ComfyUI workflow that a run was made with: workflow.json in its folder, to open again and to share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..files import atomic_write

WORKFLOW = "workflow.json"
_MOST_BYTES = 8 * 2**20  # some packs keep pictures in a workflow; a run needs none of them
_STARTERS = ("SpatialAlign_Generate", "SpatialAlign_CollectSample")
"""Nodes with a run_folder widget."""


def keep_workflow(folder: Path, workflow: Any) -> None:
    """Keep the graph as ComfyUI saves it. Nothing is written for none, for one that is too large, or for the same."""
    if not isinstance(workflow, dict) or not workflow:
        return
    try:
        text = json.dumps(workflow, ensure_ascii=False) + "\n"
        data = text.encode()
    except (TypeError, ValueError):  # something that is no JSON, such as half of a surrogate pair
        return
    file = folder / WORKFLOW
    if len(data) > _MOST_BYTES or (file.is_file() and file.read_bytes() == data):
        return
    atomic_write(file, data)


def read_workflow(folder: Path) -> dict[str, Any]:
    """SpatialAlignError where the run has none, and for a damaged one."""
    file = folder / WORKFLOW
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpatialAlignError(
            f"The run {folder.name!r} keeps no workflow: it was made on the command line, or by an older version."
        ) from None
    except (OSError, ValueError) as error:
        raise SpatialAlignError(f"{file} is damaged ({error}); queue the workflow again.") from error
    if not isinstance(found, dict):
        raise SpatialAlignError(f"{file} is damaged (no workflow); queue the workflow again.")
    return found


def with_run(workflow: dict[str, Any], before: str, after: str) -> dict[str, Any]:
    """The same with the nodes that name the run folder `before` at work in `after`, also inside subgraphs."""

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        copy = {name: changed(inner) for name, inner in value.items()}
        if value.get("type") in _STARTERS and isinstance(copy.get("widgets_values"), list):
            # The run folder stands before every other text that may read the same, such as the LoRA's name.
            values = copy["widgets_values"]
            if before in values:
                values[values.index(before)] = after
        inputs = copy.get("inputs")
        if (
            value.get("class_type") in _STARTERS
            and isinstance(inputs, dict)
            and inputs.get("run_folder") == before
        ):
            inputs["run_folder"] = after
        return copy

    return dict(changed(workflow))


def models_in(workflow: dict[str, Any]) -> list[str]:
    """The names that Load Video Model has in it."""
    found: list[str] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            kind = value.get("type") or value.get("class_type")
            if kind == "SpatialAlign_LoadVideoModel":
                values = value.get("widgets_values") or value.get("inputs") or ()
                given = values.values() if isinstance(values, dict) else values
                found.extend(each for each in list(given)[:1] if isinstance(each, str))
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(workflow)
    return list(dict.fromkeys(found))
