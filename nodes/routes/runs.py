"""GET /spatialalign/runs?find=WORDS: the runs in the output folder, newest first; see `listing.list_runs`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...spatialalign_core.run.listing import list_runs
from .answers import Places, looking


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def runs(query: Any) -> Any:
        return {"runs": list_runs(places.root(), places.expected(), query.get("find", ""))}

    table.get("/spatialalign/runs")(looking(runs))
