"""The pack's one event, `spatialalign`: tells every open page that something is new. What it is, the routes say."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..spatialalign_core.progress import Progress
from ..spatialalign_core.run.layout import RunLayout
from ..spatialalign_core.run.work_view import NEXT

EVENT = "spatialalign"
_LEAST = 0.5  # seconds between two events of one stage that bring nothing but numbers

_STEPS = {
    "SpatialAlign_Generate": "videos",
    "SpatialAlign_Detect": "tracks",
    "SpatialAlign_Score": "scores",
    "SpatialAlign_ExportPairs": "pairs",
    "SpatialAlign_TrainLora": "training",
    "SpatialAlign_Rounds": "rounds",
    "SpatialAlign_Evaluate": "evaluation",
    "SpatialAlign_Compare": "comparison",
}
# name of the run that a node worked in last, the number of its prompt, and its own
_last: tuple[str, str, str] | None = None
_open: list[RunLayout] = []  # run folders that nodes work in now


@contextlib.contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Tell every page that a node works in this run folder now, and when it no longer does. See `Stage`, too."""
    global _last
    context = get_executing_context()
    node = context.node_id if context else None
    _last = (folder.name, context.prompt_id if context else "", node or "")
    _open.append(RunLayout(folder))
    try:
        _tell("begin", folder.name, node)
        yield
    finally:
        _open.pop()
        _tell("end", folder.name, node, ended=True)


def expected_run() -> tuple[str, str] | None:
    """Name of the run that nodes of the prompt which runs now have worked in last, and the step that one of them does
    now, or `NEXT` between two of them; None without one."""
    queue = getattr(getattr(PromptServer, "instance", None), "prompt_queue", None)
    if _last is None or queue is None:
        return None
    name, number, node = _last
    for _, each, prompt, *_ in list(queue.currently_running.values()):
        if str(each) == number:
            kind = prompt.get(node, {}).get("class_type") if _open else None
            return name, _STEPS.get(kind, NEXT)
    return None


class Stage:
    """Tells of a stage's progress as it goes, and of its end; silent outside of `announced`.

    Each event has kind, run, node, step, total, message, warning and seconds_left; of a training step also loss,
    margin, accuracy or what a look at held-out videos found, memory and memory_total; `video` names a video that has
    just been made or looked at.
    """

    def __init__(self, kind: str | None, node: str | None) -> None:
        """kind: None for the name of the stage."""
        self._kind, self._node = kind, node
        self._layout = _open[-1] if _open else None
        self._at = 0.0
        self._news: dict[str, Any] = {}

    def take(self, step: Progress) -> None:
        """What the stage has just said."""
        now = time.monotonic()
        if self._layout is None or not (step.warning or step.path or now - self._at >= _LEAST):
            return
        self._at = now
        self._kind = self._kind or step.stage
        self._news = _news(step, self._layout)
        self._send()

    def end(self) -> None:
        """However it ended."""
        self._send(ended=True)

    def _send(self, **more: Any) -> None:
        if self._layout is not None:
            _tell(self._kind or "stage", self._layout.folder.name, self._node, **self._news, **more)


def _tell(kind: str, run: str, node: str | None, **news: Any) -> None:
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.send_sync(EVENT, {"kind": kind, "run": run, "node": node, **news})


def _news(step: Progress, layout: RunLayout) -> dict[str, Any]:
    health = layout.control.state() if step.stage == "train" else {}
    return {
        "step": step.done,
        "total": step.total,
        "message": step.message,
        "warning": step.warning,
        **(step.values or {}),
        **{name: health[name] for name in ("seconds_left", "memory", "memory_total") if name in health},
        "video": _video(step.path, layout),
    }


def _video(path: Path | None, layout: RunLayout) -> dict[str, Any] | None:
    """Set, folder and seed of a sample."""
    samples = layout.folder / "samples"
    if path is None or path.suffix != ".mp4" or samples not in path.parents:
        return None
    set, folder, _ = path.relative_to(samples).parts
    return {"set": set, "folder": folder, "seed": int(path.stem)}
