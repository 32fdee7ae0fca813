"""Comparisons of two LoRAs or strengths.

GET /spatialalign/comparisons?run=NAME              those of a run, newest first: {name, a, b, verdict}
GET /spatialalign/comparison?run=NAME&name=NAME     one of them: its comparison.json
GET /spatialalign/picture?run=NAME&name=NAME        its picture, a PNG
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.files import contained
from ...spatialalign_core.run.comparing import list_comparisons, read_comparison
from .answers import NotThere, Places, looking, sending, text


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def folder(query: Any) -> Path:
        layout, name = places.run(query), text(query, "name")
        found = contained(layout.folder, "comparisons", name)
        if found.parent != contained(layout.folder, "comparisons"):
            raise SpatialAlignError(f"{name!r} is no name of a comparison; choose one of the list.")
        if not (found / "comparison.json").is_file():
            raise NotThere(
                f"There is no comparison {name!r} in the run {layout.folder.name!r} any more; queue it again."
            )
        return found

    def comparisons(query: Any) -> Any:
        return {"comparisons": list_comparisons(places.run(query))}

    def comparison(query: Any) -> Any:
        return read_comparison(folder(query))

    def picture(query: Any) -> Path:
        return contained(folder(query), "picture.png")

    table.get("/spatialalign/comparisons")(looking(comparisons))
    table.get("/spatialalign/comparison")(looking(comparison))
    table.get("/spatialalign/picture")(sending(picture))
