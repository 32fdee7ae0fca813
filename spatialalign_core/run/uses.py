"""What else stands on a run: copies of its LoRAs on Load LoRA's list, and other runs that name them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from ..files import content_digest

Kind = Literal["list", "link", "continued", "compared"]


@dataclass(frozen=True)
class Use:
    """One thing that uses a run.

    kind: "list", a copy of its LoRA on Load LoRA's list, which works without the run; "link", the same as a link into
    the run, which does not; "continued", the LoRA of another run that was trained on from one of this; "compared",
    another run's comparison with it. name: of the file or comparison. where: of the other run, else empty.
    """

    kind: Kind
    name: str
    where: str = ""


def listed_name(run: str, lora: str) -> str:
    """The name on Load LoRA's list of a LoRA that was trained in a run."""
    return f"{run}-{lora}.safetensors"


def listed_loras(folder: Path, lists: Sequence[Path]) -> dict[Path, str]:
    """The entries in these folders that are copies of the run's LoRAs or links to them, with the LoRA's name."""
    found = {}
    for lora in sorted((folder / "lora").glob("*.safetensors")):
        for place in lists:
            entry = place / listed_name(folder.name, lora.stem)
            # Another run may give its LoRA the same name: "a" with "b-c", and "a-b" with "c".
            if entry.is_file() and (
                entry.samefile(lora)
                or (
                    entry.stat().st_size == lora.stat().st_size
                    and content_digest(entry) == content_digest(lora)
                )
            ):
                found[entry] = lora.stem
    return found


def run_uses(folder: Path, lists: Sequence[Path] = ()) -> list[Use]:
    """What uses the run. lists: the folders of Load LoRA's list. Runs beside it that cannot be read use nothing."""
    entries = listed_loras(folder, lists)
    uses = [Use("link" if _leads_into(entry, folder) else "list", entry.name) for entry in entries]
    loras = [file.stem for file in (folder / "lora").glob("*.safetensors")]
    # A LoRA is named by its file: by that of the list in ComfyUI, by its own on the command line.
    names = {listed_name(folder.name, lora) for lora in loras}
    for other in sorted(folder.parent.iterdir()):
        if other.name == folder.name or other.name.startswith(".") or not other.is_dir():
            continue
        with contextlib.suppress(OSError):
            for file in sorted((other / "lora").glob("*.safetensors")):
                if _metadata(file).get("continued_from") in names:
                    uses.append(Use("continued", file.stem, other.name))
            for file in sorted((other / "comparisons").glob("*/comparison.json")):
                if _sides(file) & names:
                    uses.append(Use("compared", file.parent.name, other.name))
    return uses


def _leads_into(entry: Path, folder: Path) -> bool:
    return entry.is_symlink() and folder.resolve() in entry.resolve().parents


def _metadata(file: Path) -> dict[str, str]:
    with contextlib.suppress(SafetensorError, OSError, ValueError), safe_open(file, framework="pt") as opened:
        return dict(opened.metadata() or {})
    return {}


def _sides(file: Path) -> set[str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        data = json.loads(file.read_text(encoding="utf-8"))
        return {str(data[side].get("lora")) for side in ("a", "b")}
    return set()
