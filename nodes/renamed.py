"""Nodes that had another name once: ComfyUI puts the new one in their place when it opens an old workflow.

ComfyUI 0.8.0 knows no replacements and leaves such a node red, with its old name to search for. What has been released
is in tests/data/released_nodes.json, and a test asks of every node in it that it is still there, or stands here.
"""

from __future__ import annotations

from typing import Any

# Keyword arguments of ComfyUI's io.NodeReplace, one a renamed node: old_node_id, new_node_id and, where they changed,
# old_widget_ids, input_mapping and output_mapping. Nothing has been renamed since 0.1.0.
RENAMED: tuple[dict[str, Any], ...] = ()


async def register(api: Any, io: Any, renamed: tuple[dict[str, Any], ...] = RENAMED) -> int:
    """Tells ComfyUI; how many it took, 0 where it knows no replacements.

    api: comfy_api.latest.ComfyAPI(). io: comfy_api.latest.io.
    """
    if not hasattr(api, "node_replacement") or not hasattr(io, "NodeReplace"):
        return 0
    for each in renamed:
        await api.node_replacement.register(io.NodeReplace(**each))
    return len(renamed)
