"""The pack's one event, `spatialalign`: tells every open page that something is new. What it is, the routes say."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server import PromptServer

from ..spatialalign_core.progress import Progress
from ..spatialalign_core.run import Run

EVENT = "spatialalign"
_LEAST = 0.5  # seconds between two events of one stage that bring nothing but numbers


def tell(kind: str, run: str, node: str | None, **news: Any) -> None:
    """Send the event: {kind, run, node, ...news}. kind: the stage, as "train". run: the run folder's name."""
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.send_sync(EVENT, {"kind": kind, "run": run, "node": node, **news})


def told(work: Iterator[Progress], kind: str, run: Run, node: str | None) -> Iterator[Progress]:
    """The same work, its progress sent out as it goes, and its end, however it ends.

    Each event has step, total, message and warning; of a training step also loss, margin, accuracy or what a look at
    held-out videos found, seconds_left, memory and memory_total; `video` names a video that has just been made.
    """
    last = 0.0
    step = None
    try:
        with contextlib.closing(work) as steps:  # type: ignore[type-var]
            for step in steps:
                now = time.monotonic()
                if step.warning or step.path is not None or now - last >= _LEAST:
                    last = now
                    tell(kind, run.folder.name, node, **_news(step, run))
                yield step
    finally:
        tell(kind, run.folder.name, node, **(_news(step, run) if step else {}), ended=True)


def _news(step: Progress, run: Run) -> dict[str, Any]:
    health = run.control.state() if step.stage == "train" else {}
    return {
        "step": step.done,
        "total": step.total,
        "message": step.message,
        "warning": step.warning,
        **(step.values or {}),
        **{name: health[name] for name in ("seconds_left", "memory", "memory_total") if name in health},
        "video": _video(step.path, run),
    }


def _video(path: Path | None, run: Run) -> dict[str, Any] | None:
    """Set, folder and seed of a sample."""
    samples = run.folder / "samples"
    if path is None or path.suffix != ".mp4" or samples not in path.parents:
        return None
    set, folder, _ = path.relative_to(samples).parts
    return {"set": set, "folder": folder, "seed": int(path.stem)}
