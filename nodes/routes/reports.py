"""What Evaluate found.

GET /spatialalign/evaluation?run=NAME     the last evaluation's values; see `evaluation_view`
GET /spatialalign/report?run=NAME         its page, report.html, for a browser
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from ...spatialalign_core.files import contained
from ...spatialalign_core.run.evaluation_view import evaluation_view
from ...spatialalign_core.run.layout import RunLayout
from .answers import NotThere, Places, answered, looking

_CHUNK = 1 << 18
# The page is a file that may have come from elsewhere, inside a run that somebody shared: its script may play the
# videos that are in it, and neither reach ComfyUI nor the network.
_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "media-src data:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def evaluated(query: Any) -> RunLayout:
        layout = places.run(query)
        if not layout.report_json.is_file():
            raise NotThere(f"The run {layout.folder.name!r} has no report yet; evaluate it first.")
        return layout

    def evaluation(query: Any) -> Any:
        return evaluation_view(evaluated(query))

    def page(query: Any) -> Any:
        layout = places.run(query)
        path = contained(layout.folder, layout.report_html.name)
        if not path.is_file():
            raise NotThere(f"The run {layout.folder.name!r} has no report yet; evaluate it first.")
        return path

    async def report(request: web.Request) -> web.StreamResponse:
        async def send() -> web.StreamResponse:
            path = await asyncio.to_thread(page, request.query)
            # Sent here and not by ComfyUI, whose --disable-api-nodes puts a policy of its own on what it sends,
            # under which no video in a page plays.
            response = web.StreamResponse(headers=_HEADERS)
            with path.open("rb") as file, contextlib.suppress(ConnectionResetError):  # the page was closed
                await response.prepare(request)
                while chunk := await asyncio.to_thread(file.read, _CHUNK):
                    await response.write(chunk)
                await response.write_eof()
            return response

        return await answered(send)

    table.get("/spatialalign/evaluation")(looking(evaluation))
    table.get("/spatialalign/report")(report)
