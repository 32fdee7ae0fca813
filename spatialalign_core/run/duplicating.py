"""A new run with the prompts and settings of another, and its videos where wanted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from pathlib import Path

from ..errors import SpatialAlignError
from ..files import why_not
from .at_rest import at_rest, check_free
from .note import NOTE
from .workflow_file import WORKFLOW, read_workflow, with_run

_SETTINGS = ("prompts.csv", NOTE)
_OF_VIDEOS = ("scores.csv", "rulings.json")


def duplicate_run(folder: Path, name: str, videos: bool = False) -> Path:
    """Make a run `name` beside another one: prompts, note, and the workflow with the new name in it.

    videos: those of the set "base" too, with tracks, scores, latents and what was decided by hand. They take no room
    where the disk knows hard links, since every stage replaces whole files and writes into none. The LoRA, the pairs
    and the report stay behind. SpatialAlignError for a run at work, a name that is taken, and a full disk; the new
    folder is whole or not there.
    """
    root = folder.parent
    with at_rest(folder, "duplicated"):
        target = check_free(root, name)
        if not (folder / "prompts.csv").is_file():
            raise SpatialAlignError(f"The run {folder.name!r} has no prompts yet; there is nothing to copy.")
        temporary = root / f".{uuid.uuid4().hex[:12]}"
        try:
            temporary.mkdir()
            for part in (*_SETTINGS, *(_OF_VIDEOS if videos else ())):
                if (folder / part).is_file():
                    shutil.copyfile(folder / part, temporary / part)
            with contextlib.suppress(SpatialAlignError):
                workflow = with_run(read_workflow(folder), folder.name, target.name)
                (temporary / WORKFLOW).write_text(
                    json.dumps(workflow, ensure_ascii=False) + "\n", encoding="utf-8"
                )
            if videos:
                for part in ("samples/base", "tracks/base"):
                    _link_all(folder / part, temporary / part)
            os.rename(temporary, target)
        except OSError as error:
            why = why_not(error) or error.strerror or str(error)
            raise SpatialAlignError(
                f"The run {folder.name!r} could not be duplicated: {why}. Nothing has changed."
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _link_all(source: Path, target: Path) -> None:
    for place, folders, files in os.walk(source):
        folders[:] = [each for each in folders if not (Path(place) / each).is_symlink()]
        here = target / Path(place).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            file = Path(place) / name
            if (
                name.startswith(".") or file.is_symlink()
            ):  # what a killed process left, and links out of the run
                continue
            try:
                os.link(file, here / name)
            except OSError:  # a disk without hard links, or a file with as many as it can have
                shutil.copyfile(file, here / name)
