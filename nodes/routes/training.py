"""A training, seen from outside.

GET  /spatialalign/training?run=NAME&points=600     how it stands; see `training_view`, and `work_view` under "work"
GET  /spatialalign/looks?run=NAME                   its held-out videos; see `looks_view`
POST /spatialalign/training {"run", "action"}       pause, resume, save, sample or stop; answers as the first
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.run.layout import RunLayout
from ...spatialalign_core.run.looks import looks_view
from ...spatialalign_core.run.training_view import AT_WORK, training_state, training_view
from ...spatialalign_core.run.work_view import work_view
from .answers import Places, changing, looking, text, whole


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def shown(layout: RunLayout, points: int = 600) -> Any:
        name, step = places.expected() or ("", None)
        work = work_view(layout, step if name == layout.folder.name else None)
        return training_view(layout, points) | {"work": work}

    def view(query: Any) -> Any:
        return shown(places.run(query), whole(query, "points", 600, 20, 5000))

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
        if action == "sample" and not training_view(layout)["can_sample"]:
            raise SpatialAlignError(
                "This training has no detector to find things in held-out videos; connect one to its node and queue "
                "the workflow again."
            )
        layout.control.ask(action)
        return shown(layout)

    table.get("/spatialalign/training")(looking(view))
    table.get("/spatialalign/looks")(looking(looks))
    table.post("/spatialalign/training")(changing(act))
