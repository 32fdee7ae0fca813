"""The order of the pack's templates in ComfyUI's template browser.

ComfyUI lists a pack's template files as the file system happens to give them, and the page keeps that order.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

ORDER = (
    "Quickstart",
    "Score a video",
    "Detect a video",
    "Best of N with ComfyUI's own Wan nodes",
    "Collect samples from ComfyUI's own Wan nodes",
    "Align Wan2.1-1.3B on one GPU",
    "Evaluate a LoRA",
    "Continue with another round",
)
_PATHS = ("/workflow_templates", "/api/workflow_templates")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def sort_templates(app: web.Application) -> None:
    """Makes `app` list our templates in their order, those of other packs as they come."""
    if not app.frozen:
        app.middlewares.append(_sorted)


@web.middleware
async def _sorted(request: web.Request, handler: _Handler) -> web.StreamResponse:
    answer = await handler(request)
    if request.path not in _PATHS or not isinstance(answer, web.Response) or answer.status != 200:
        return answer
    listed = json.loads(answer.text or "{}")
    for names in listed.values():
        if set(ORDER) <= set(names):  # whatever our folder is called
            names.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return web.json_response(listed)
