"""Another name for a run, and for its LoRAs on Load LoRA's list."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import SpatialAlignError
from .at_rest import at_rest, check_free, move
from .uses import listed_loras, listed_name


@dataclass(frozen=True)
class Renamed:
    """folder: where the run lies now. loras: names on Load LoRA's list, before and after."""

    folder: Path
    loras: dict[str, str]


def rename_run(folder: Path, name: str, lists: Sequence[Path] = (), rename_loras: bool = False) -> Renamed:
    """Give a run another name. lists: folders of Load LoRA's list whose copies of its LoRAs are renamed with it, where
    `rename_loras` says so; else they keep their names.

    SpatialAlignError for a run at work, a name that is taken or that some system forbids, and where a LoRA of the new
    name is on the list already; then nothing has changed.
    """
    with at_rest(folder, "renamed"):
        target = check_free(folder.parent, name, folder)
        entries = listed_loras(folder, lists) if rename_loras else {}
        renames = {entry: entry.with_name(listed_name(target.name, lora)) for entry, lora in entries.items()}
        for entry, wanted in renames.items():
            if wanted.exists() and not wanted.samefile(entry):
                raise SpatialAlignError(
                    f"There is a LoRA {wanted.name!r} on Load LoRA's list already; choose another name, or leave the "
                    "LoRAs as they are."
                )
        if target.name == folder.name:
            return Renamed(folder, {})
        if target.exists():  # the same letters on a disk that does not tell case apart: in two steps
            between = folder.with_name(f".{uuid.uuid4().hex[:12]}")
            move(folder, between)
            move(between, target)
        else:
            move(folder, target)
        for entry, wanted in renames.items():
            os.replace(entry, wanted)
    return Renamed(target, {entry.name: wanted.name for entry, wanted in renames.items()})
