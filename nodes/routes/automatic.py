"""What a widget that says "auto" comes to.

GET /spatialalign/automatic?model=NAME&preset=NAME  {"video": ..., "training": ...}; both may be left out
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...spatialalign_core.run.automatic import automatic_settings
from .answers import Places, looking


def add(table: web.RouteTableDef, places: Places) -> None:
    """The route of this file."""

    def automatic(query: Any) -> Any:
        name = query.get("model")
        return automatic_settings(places.model(name) if name else None, query.get("preset"))

    table.get("/spatialalign/automatic")(looking(automatic))
