"""The workflow that a run is made with, kept in its folder."""

from __future__ import annotations

from pathlib import Path

from comfy_api.latest import io

from ..spatialalign_core.run.workflow_file import keep_workflow

HIDDEN = [io.Hidden.unique_id, io.Hidden.extra_pnginfo, io.Hidden.prompt]
"""What a node needs to ask for."""


def keep(node: type[io.ComfyNode], folder: Path) -> None:
    """The graph on the canvas; where the prompt was sent without one, the prompt itself, which ComfyUI opens too."""
    about = node.hidden.extra_pnginfo
    graph = about.get("workflow") if isinstance(about, dict) else None
    keep_workflow(folder, graph or node.hidden.prompt)
