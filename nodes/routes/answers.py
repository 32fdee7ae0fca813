"""From a function of the core to a route's answer, and from a request to its arguments."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.run.layout import RunLayout

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_NOT_CACHED = {"Cache-Control": "no-store"}


class NotThere(SpatialAlignError):
    """What was asked for does not exist (any more)."""


def _nowhere(name: str) -> Path:
    raise NotThere(f"There is no file {name!r} in ComfyUI's input folder; choose another one.")


@dataclass(frozen=True)
class Places:
    """root: the folder of all runs, asked for each time because ComfyUI may move it. run_folder: of a name.
    input_file: a file in ComfyUI's input folder, of its name. model: what `load_video_model` takes for a name on Load
    Video Model's list. expected: the run that the workflow which runs now works in, and what it is about to do there;
    see `work_now`. lora_lists: the folders of Load LoRA's list, first the one that Train LoRA copies into."""

    root: Callable[[], Path]
    run_folder: Callable[[str], Path]
    input_file: Callable[[str], Path] = _nowhere
    model: Callable[[str], str | Path] = str
    expected: Callable[[], tuple[str, str] | None] = lambda: None
    lora_lists: Callable[[], list[Path]] = list

    def run(self, values: Mapping[str, Any]) -> RunLayout:
        """The run that a request names in "run". NotThere when it was deleted or never was."""
        name = text(values, "run")
        folder = self.run_folder(name)
        if not folder.is_dir():
            raise NotThere(
                f"There is no run {name!r} any more: its folder is not in ComfyUI's output folder under "
                "'spatialalign'. Choose another run, or queue the workflow again."
            )
        return RunLayout(folder)


def text(values: Mapping[str, Any], name: str) -> str:
    """A value that must be a string. SpatialAlignError when it is missing."""
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise SpatialAlignError(f"The request names no {name!r}; reload the page and try again.")
    return value


def whole(values: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """A whole number between `least` and `most`. SpatialAlignError for anything else."""
    value = values.get(name, default)
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise SpatialAlignError(f"{name!r} must be a whole number, got {value!r}.") from None
    return max(least, min(most, number))


async def posted(request: web.Request) -> dict[str, Any]:
    """The JSON object of a POST. Only with its own content type, which other sites' pages cannot send unasked."""
    if request.content_type != "application/json":
        raise SpatialAlignError("This request must be sent as JSON; reload the page and try again.")
    try:
        values = await request.json()
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise SpatialAlignError("This request must be one JSON object; reload the page and try again.")
    return values


def looking(work: Callable[[Mapping[str, Any]], Any]) -> Handler:
    """A GET route that answers with the JSON of what `work` makes of the query. It runs beside the event loop."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answered(lambda: asyncio.to_thread(work, request.query))

    return handle


def changing(work: Callable[[Mapping[str, Any]], Any]) -> Handler:
    """A POST route that answers with the JSON of what `work` makes of the posted JSON object."""

    async def handle(request: web.Request) -> web.StreamResponse:
        async def both() -> Any:
            return await asyncio.to_thread(work, await posted(request))

        return await answered(both)

    return handle


def sending(work: Callable[[Mapping[str, Any]], Path]) -> Handler:
    """A GET route that answers with a file. Parts of it can be asked for, as video players do."""

    async def handle(request: web.Request) -> web.StreamResponse:
        async def file() -> web.StreamResponse:
            path = await asyncio.to_thread(work, request.query)
            return web.FileResponse(path, headers={"Cache-Control": "no-cache"})

        return await answered(file)

    return handle


async def answered(work: Callable[[], Awaitable[Any]]) -> web.StreamResponse:
    """The answer of `work`, or in one sentence why there is none."""
    try:
        result = await work()
    except NotThere as error:
        return _refused(str(error), 404)
    except SpatialAlignError as error:
        return _refused(str(error), 400)
    except Exception as error:
        # A folder that is deleted while it is read fails in many ways; the panel asks again.
        logging.warning("SpatialAlign: a request failed: %r", error)
        return _refused(f"ComfyUI could not answer ({type(error).__name__}: {error}); see its log.", 500)
    if isinstance(result, web.StreamResponse):
        return result
    return web.json_response(result, headers=_NOT_CACHED)


def _refused(message: str, status: int) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=_NOT_CACHED)
