"""ComfyUI's door to the pack; everything behind it is imported only when ComfyUI knocks."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """The extension that lists the pack's nodes (ComfyUI's V3 interface)."""
    from .nodes import SpatialAlignExtension

    return SpatialAlignExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
