"""The pack's routes, all below /spatialalign: GET to look, POST to change. Nothing here knows ComfyUI.

Names of run folders go through `places.run_folder` (see `files.linked` for the decision about links), names of files
in them through `files.contained`. Whatever goes
wrong is answered as {"error": one sentence}: 400 for a wish that cannot be met, 404 for what is not there (any more).
"""

from __future__ import annotations

from aiohttp import web

from . import automatic, comparisons, keeping, pairs, reports, rounds, runs, sentences, training, videos
from .answers import Places

__all__ = ["Places", "add_routes"]

_FAMILIES = (automatic, runs, keeping, training, rounds, videos, pairs, comparisons, sentences, reports)


def add_routes(table: web.RouteTableDef, places: Places) -> None:
    """Add all of them to ComfyUI's own table, which it also serves below /api, or to a test's."""
    for family in _FAMILIES:
        family.add(table, places)
