"""GET /spatialalign/video?run=NAME&set=SET&prompt=ID&seed=N: the mp4 of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from ...spatialalign_core.files import contained
from .answers import NotThere, Places, sending, text, whole


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def video(query: Any) -> Path:
        return video_file(places, query)

    table.get("/spatialalign/video")(sending(video))


def video_file(places: Places, query: Mapping[str, Any]) -> Path:
    """The mp4 that a request names by "run", "set", "prompt" and "seed". NotThere when it is gone."""
    layout = places.run(query)
    prompt, seed = text(query, "prompt"), whole(query, "seed", 0, 0, 2**63 - 1)
    wanted = layout.video_path(text(query, "set"), prompt, seed)
    # Links inside the folder may lead out of it.
    path = contained(layout.folder, wanted.relative_to(layout.folder))
    if not path.is_file():
        raise NotThere(
            f"There is no video of {prompt!r} with seed {seed} in the run {layout.folder.name!r} any more."
        )
    return path
