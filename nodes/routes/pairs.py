"""The videos of a run with their scores, their pairs, and what the artist decides about them.

GET  /spatialalign/samples?run=NAME&set=SET                  all videos of a set; see `samples_view`
GET  /spatialalign/strip?run=NAME&set=SET&prompt=ID&seed=N   first, middle and last frame of one, a JPEG
GET  /spatialalign/pairs?run=NAME&prompt=ID&seed=N           its pairs; see `pairs_view`
POST /spatialalign/pairs {"run", "prompt", "winner", "loser", "told", "ruling"}   "keep", "drop", or "" to forget;
                                                             answers as the GET does for the prompt
POST /spatialalign/export {"run"}                            export the pairs again; answers {"message"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.run import BASE, Run
from ...spatialalign_core.run.pair_view import pairs_view, samples_view
from ...spatialalign_core.stills import strip_jpeg
from .answers import Places, changing, looking, text, whole
from .videos import video_file

_RULINGS = {"keep": True, "drop": False, "": None}
_DAY = 86_400


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def samples(query: Any) -> Any:
        return samples_view(places.run(query), query.get("set", BASE))

    def strip(query: Any) -> Any:
        body = strip_jpeg(video_file(places, query))
        # Whoever shows it asks with another address when the video has changed.
        headers = {"Cache-Control": f"private, max-age={_DAY}"}
        return web.Response(body=body, content_type="image/jpeg", headers=headers)

    def pairs(query: Any) -> Any:
        seed = _seed(query, "seed") if "seed" in query else None
        return pairs_view(places.run(query), text(query, "prompt"), seed)

    def rule(values: Any) -> Any:
        layout = places.run(values)
        prompt, told, ruling = text(values, "prompt"), values.get("told", ""), values.get("ruling")
        if not (isinstance(told, str) and isinstance(ruling, str) and ruling in _RULINGS):
            raise SpatialAlignError(
                f"A pair can be kept or dropped, not {ruling!r}; reload the page and try again."
            )
        Run(layout.folder).rule_pair(
            prompt, _seed(values, "winner"), _seed(values, "loser"), _RULINGS[ruling], told
        )
        return pairs_view(layout, prompt)

    def export(values: Any) -> Any:
        message = ""
        for step in Run(places.run(values).folder).export_again():
            message = step.message or message
        return {"message": message}

    table.get("/spatialalign/samples")(looking(samples))
    table.get("/spatialalign/strip")(looking(strip))
    table.get("/spatialalign/pairs")(looking(pairs))
    table.post("/spatialalign/pairs")(changing(rule))
    table.post("/spatialalign/export")(changing(export))


def _seed(values: Mapping[str, Any], name: str) -> int:
    if name not in values:
        raise SpatialAlignError(f"The request names no {name!r}; reload the page and try again.")
    return whole(values, name, 0, 0, 2**63 - 1)
