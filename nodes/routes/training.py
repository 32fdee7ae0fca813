"""A training, seen from outside.

GET  /spatialalign/training?run=NAME&points=600     how it stands; see `training_view`
GET  /spatialalign/looks?run=NAME                   its held-out videos; see `looks_view`
POST /spatialalign/training {"run", "action"}       pause, resume, save, sample or stop; answers as the first
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.run.looks import looks_view
from ...spatialalign_core.run.training_view import AT_WORK, training_state, training_view
from .answers import Places, changing, looking, text, whole


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def view(query: Any) -> Any:
        return training_view(places.run(query), whole(query, "points", 600, 20, 5000))

    def looks(query: Any) -> Any:
        return looks_view(places.run(query))

    def act(values: Any) -> Any:
        layout = places.run(values)
        action = text(values, "action")
        if training_state(layout) not in AT_WORK:
            raise SpatialAlignError(
                f"No training works in the run {layout.folder.name!r} now, so it cannot {action}; queue the workflow "
                "to train."
            )
        layout.control.ask(action)
        return training_view(layout)

    table.get("/spatialalign/training")(looking(view))
    table.get("/spatialalign/looks")(looking(looks))
    table.post("/spatialalign/training")(changing(act))
