"""Runs in order: sizes, notes, names, the bin, copies, and a zip to share.

GET  /spatialalign/sizes                                 {"sizes": {run: bytes by kind, "total", "shared"}, "bin": ...}
GET  /spatialalign/uses?run=NAME                         {"uses": [...]}; see `run_uses`
GET  /spatialalign/slim?run=NAME                         {"parts": [...]}; see `slim_parts`
GET  /spatialalign/bin                                   {"runs": [{number, name, deleted, bytes}, ...]}
GET  /spatialalign/share?run=NAME                        {"sizes": bytes of each part}
GET  /spatialalign/zip?run=NAME&parts=report,lora        the zip, while it is made
GET  /spatialalign/workflow?run=NAME                     {"workflow": ...}; the one that the run was made with
POST /spatialalign/note {"run", "note"}                  an empty note takes it away; {"note"}
POST /spatialalign/rename {"run", "name", "loras"}       loras: those on Load LoRA's list too; {"name", "loras"}
POST /spatialalign/delete {"run", "loras"}               to the bin; {"number", "name", "bytes"}
POST /spatialalign/restore {"number"}                    {"name"}
POST /spatialalign/empty {"number"}                      one run of the bin, null for all; {"bytes"}
POST /spatialalign/duplicate {"run", "name", "videos"}   {"name"}
POST /spatialalign/slim {"run", "parts"}                 {"bytes"}
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.run.bin import delete_run, empty_bin, list_bin, restore_run
from ...spatialalign_core.run.duplicating import duplicate_run
from ...spatialalign_core.run.listing import run_folders
from ...spatialalign_core.run.note import read_note, write_note
from ...spatialalign_core.run.renaming import rename_run
from ...spatialalign_core.run.sharing import USUAL, share_sizes, share_zip
from ...spatialalign_core.run.sizes import run_sizes
from ...spatialalign_core.run.slimming import slim_parts, slim_run
from ...spatialalign_core.run.uses import run_uses
from ...spatialalign_core.run.workflow_file import read_workflow
from .answers import Places, answered, changing, looking, text


def add(table: web.RouteTableDef, places: Places) -> None:
    """The routes of this file."""

    def folder(values: Mapping[str, Any]) -> Path:
        return places.run(values).folder

    def sizes(query: Any) -> Any:
        found = {run.name: _sizes(run) for run in run_folders(places.root())}
        thrown = list_bin(places.root())
        return {"sizes": found, "bin": {"runs": len(thrown), "bytes": sum(each.bytes for each in thrown)}}

    def uses(query: Any) -> Any:
        return {"uses": [asdict(use) for use in run_uses(folder(query), places.lora_lists())]}

    def parts(query: Any) -> Any:
        return {"parts": [asdict(part) for part in slim_parts(folder(query))]}

    def thrown_away(query: Any) -> Any:
        return {"runs": [asdict(each) for each in list_bin(places.root())]}

    def sharing(query: Any) -> Any:
        return {"sizes": share_sizes(folder(query)), "usual": USUAL}

    def workflow(query: Any) -> Any:
        return {"workflow": read_workflow(folder(query))}

    def note(values: Any) -> Any:
        words = values.get("note")
        if not isinstance(words, str):
            raise SpatialAlignError("The request names no 'note'; reload the page and try again.")
        run = folder(values)
        write_note(run, words)
        return {"note": read_note(run)}

    def rename(values: Any) -> Any:
        renamed = rename_run(
            folder(values), text(values, "name"), places.lora_lists(), _flag(values, "loras")
        )
        return {"name": renamed.folder.name, "loras": renamed.loras}

    def delete(values: Any) -> Any:
        return asdict(delete_run(folder(values), places.lora_lists(), _flag(values, "loras")))

    def restore(values: Any) -> Any:
        return {"name": restore_run(places.root(), _number(values)).name}

    def empty(values: Any) -> Any:
        number = None if values.get("number") is None else _number(values)
        return {"bytes": empty_bin(places.root(), number)}

    def duplicate(values: Any) -> Any:
        return {"name": duplicate_run(folder(values), text(values, "name"), _flag(values, "videos")).name}

    def slim(values: Any) -> Any:
        chosen = values.get("parts")
        if not isinstance(chosen, list) or not all(isinstance(each, str) for each in chosen):
            raise SpatialAlignError("The request names no 'parts'; reload the page and try again.")
        return {"bytes": slim_run(folder(values), chosen)}

    async def pack(request: web.Request) -> web.StreamResponse:
        def begin() -> tuple[str, Iterator[bytes]]:
            run = folder(request.query)
            return run.name, share_zip(
                run, [each for each in request.query.get("parts", "").split(",") if each]
            )

        async def sent() -> web.StreamResponse:
            name, pieces = await asyncio.to_thread(begin)
            plain = re.sub(r"[^A-Za-z0-9_. -]", "_", name)
            how = f"attachment; filename=\"{plain}.zip\"; filename*=UTF-8''{quote(name)}.zip"
            headers = {
                "Content-Type": "application/zip",
                "Content-Disposition": how,
                "Cache-Control": "no-store",
            }
            response = web.StreamResponse(headers=headers)
            await response.prepare(request)
            while piece := await asyncio.to_thread(next, pieces, None):
                await response.write(piece)
            await response.write_eof()
            return response

        return await answered(sent)

    for name, work in {
        "sizes": sizes,
        "uses": uses,
        "slim": parts,
        "bin": thrown_away,
        "share": sharing,
        "workflow": workflow,
    }.items():
        table.get(f"/spatialalign/{name}")(looking(work))
    for name, work in {
        "note": note,
        "rename": rename,
        "delete": delete,
        "restore": restore,
        "empty": empty,
        "duplicate": duplicate,
        "slim": slim,
    }.items():
        table.post(f"/spatialalign/{name}")(changing(work))
    table.get("/spatialalign/zip")(pack)


def _sizes(run: Path) -> dict[str, int]:
    sizes = run_sizes(run)
    return asdict(sizes) | {"total": sizes.total}


def _flag(values: Mapping[str, Any], name: str) -> bool:
    return values.get(name) is True


def _number(values: Mapping[str, Any]) -> int:
    number = values.get("number")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise SpatialAlignError(f"'number' must be that of a run in the bin, not {number!r}.")
    return number
