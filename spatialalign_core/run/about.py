"""What a list says of each run, and the words that it is found by; read again only where a file has changed."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from ..errors import SpatialAlignError
from ..prompts import read_prompts
from .note import read_note
from .workflow_file import WORKFLOW, models_in, read_workflow

_Value = TypeVar("_Value")
_NO_REPORT: tuple[dict[str, float] | None, str] = (None, "")


def run_about(folder: Path) -> dict[str, Any]:
    """note, models (names), report (whether there is one), workflow (the same) and result: {"before", "after"}, the
    shares of held-out videos that obey as report.json says them, or None."""
    return {
        "note": read_note(folder),
        "models": _models(folder),
        "report": (folder / "report.html").is_file(),
        "workflow": (folder / WORKFLOW).is_file(),
        "result": _report(folder)[0],
    }


def matches(folder: Path, words: str) -> bool:
    """Whether each of the words stands in the run's name, note, models or prompts; case does not matter."""
    known = "\n".join([folder.name, read_note(folder), *_models(folder), _prompt_words(folder)]).casefold()
    return all(word in known for word in words.casefold().split())


def _models(folder: Path) -> list[str]:
    found = [_report(folder)[1]]
    for lora in sorted((folder / "lora").glob("*.safetensors")):
        found.append(_cached(lora, _base_model, ""))
    found += _cached(folder / WORKFLOW, _workflow_models, [])
    return [name for name in dict.fromkeys(found) if name]


def _report(folder: Path) -> tuple[dict[str, float] | None, str]:
    return _cached(folder / "report.json", _read_report, _NO_REPORT)


def _read_report(file: Path) -> tuple[dict[str, float] | None, str]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        data = json.loads(file.read_text(encoding="utf-8"))
        model = str(data.get("settings", {}).get("model", ""))
        # Version 0.1 knew accuracy alone.
        before, after = (
            float(data.get(f"obey_{side}", data[side])) if f"obey_{side}" in data else float(data[side])
            for side in ("base", "aligned")
        )
        if math.isfinite(before) and math.isfinite(after):
            return {"before": before, "after": after}, model
        return None, model
    return None, ""


def _base_model(file: Path) -> str:
    with contextlib.suppress(SafetensorError, OSError, ValueError), safe_open(file, framework="pt") as opened:
        return str((opened.metadata() or {}).get("base_model_name", ""))
    return ""


def _workflow_models(file: Path) -> list[str]:
    with contextlib.suppress(SpatialAlignError):
        return models_in(read_workflow(file.parent))
    return []


def _prompt_words(folder: Path) -> str:
    return _cached(folder / "prompts.csv", _read_words, "")


def _read_words(file: Path) -> str:
    with contextlib.suppress(SpatialAlignError, OSError):
        return "\n".join(f"{prompt.id} {prompt.text}" for prompt in read_prompts(file))
    return ""


def _cached(file: Path, read: Callable[[Path], _Value], missing: _Value) -> _Value:
    try:
        stat = file.stat()
    except OSError:
        return missing
    return _read_once(read, file, stat.st_mtime_ns, stat.st_size)  # type: ignore[no-any-return]


@lru_cache(maxsize=2048)
def _read_once(read: Callable[[Path], Any], file: Path, changed: int, size: int) -> Any:
    return read(file)
