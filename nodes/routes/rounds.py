"""The self-improvement rounds of a run.

GET /spatialalign/rounds?run=NAME     {"rounds": [...], "best": number or null}; see `Round`
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ...spatialalign_core.run.round_log import best_round
from .answers import Places, looking

_SHOWN = (
    "number",
    "held_out_score",
    "held_out_accuracy",
    "held_out_valid",
    "held_out_obey",
    "obeyed",
    "pairs",
)


def add(table: web.RouteTableDef, places: Places) -> None:
    """The route of this file."""

    def rounds(query: Any) -> Any:
        finished = places.run(query).finished_rounds()
        best = best_round(finished[1:]).number if len(finished) > 1 else None
        return {"rounds": [{name: getattr(each, name) for name in _SHOWN} for each in finished], "best": best}

    table.get("/spatialalign/rounds")(looking(rounds))
