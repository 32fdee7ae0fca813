"""What is being done in a run folder and how far it is: control/work.json, kept by every stage, whoever drives it.

Panels read it while the stage works and long after; see `work_view`. Numbers are written every second, news at once.
A process that is killed cannot say that it ended: `is_working` asks the folder's lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError, StopRequested
from ..files import atomic_write
from ..progress import SECONDS_LEFT, Progress
from .lock import is_locked, lock_holder

STEPS = (
    *("prompts", "videos", "tracks", "scores", "pairs", "training", "rounds"),
    *("evaluation", "comparison"),
)
"""The loop, in order. Rounds stand for what is between scores and evaluation; a comparison may come at any time."""

_STEP_OF = {
    "generate": "videos",
    "detect": "tracks",
    "score": "scores",
    "pairs": "pairs",
    "train": "training",
    "rounds": "rounds",
    "evaluate": "evaluation",
    "compare": "comparison",
}
_FIRST: dict[str, Any] = {
    "stage": "",
    "state": "working",
    "message": "",
    "began": 0.0,
    "time": 0.0,
    "done": 0,
    "total": 0,
    "seconds_left": None,
    "inner": None,
    "round": None,
    "clips": [],
    "steps": {},
}
_LAST = {
    "evaluation": "evaluate",
    "comparison": "compare",
}  # steps of several stages, and the one that ends them
_CLIPS = 6
_ITEMS, _BATCHES = 21, 5  # whose mean time is the pace
_OFTEN = 1.0  # seconds between two notes that bring nothing but numbers


def step_of(stage: str, set: str = "base", split: str | None = None) -> str:
    """Which of `STEPS` a stage belongs to. Videos of held-out prompts, their tracks and scores are the evaluation's."""
    if stage not in ("generate", "detect", "score"):
        return _STEP_OF[stage]
    if set == "aligned" or (set == "base" and split == "held_out"):
        return "evaluation"
    return _STEP_OF[stage] if set == "base" else "comparison"


class WorkFile:
    """control/work.json of a run folder.

    step: one of `STEPS`. stage: "generate", "detect" and so on. state: "working", or how it ended: "done", "stopped"
    (by somebody), "failed". message: what it said last. began, time: seconds since 1970. done, total, seconds_left.
    inner: {stage, done, total} of a stage inside. round: number and total where there are rounds. clips: the newest
    videos, as [set, name of the prompt's folder, seed]. steps: how each step ended last, {state, total}; "old" where a
    step before it has made something since. process, machine: who works.
    """

    def __init__(self, folder: Path) -> None:
        """folder: the run folder."""
        self.folder = folder
        self.path = folder / "control" / "work.json"

    def read(self) -> dict[str, Any]:
        """What was written last; empty before the first stage."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        known = (
            isinstance(found, dict) and found.get("step") in STEPS and isinstance(found.get("steps"), dict)
        )
        return found if known and found.keys() >= _FIRST.keys() else {}

    def write(self, work: Mapping[str, Any]) -> None:
        """A note that cannot be written must not end the work that it is about."""
        with contextlib.suppress(OSError, SpatialAlignError):
            atomic_write(self.path, json.dumps(work) + "\n")


def is_working(folder: Path, work: Mapping[str, Any]) -> bool:
    """Whether what control/work.json tells of goes on now. False for a process that was killed."""
    if work.get("state") != "working" or not is_locked(folder):
        return False
    holder = lock_holder(folder)
    if holder is not None and holder != work.get("process"):
        return False  # another one works here now, on something that it does not tell of
    return not _has_ended(work)


def followed(
    folder: Path, step: str, stage: str, work: Iterator[Progress], clock: Callable[[], float] = time.time
) -> Iterator[Progress]:
    """The same work, with control/work.json kept, and with the time left among its values. The folder's lock must be
    held."""
    note = _Note(WorkFile(folder), step, stage, clock)
    try:
        with contextlib.closing(work) as items:  # type: ignore[type-var]
            for item in items:
                note.take(item)
                yield note.timed(item)
        note.end("done")
    except StopRequested:
        note.end("stopped")
        raise
    except Exception as error:
        note.end("failed", str(error) if isinstance(error, SpatialAlignError) else type(error).__name__)
        raise
    except BaseException:  # closed between two items, or Ctrl-C
        note.end("stopped")
        raise


class Pace:
    """Seconds for one item, measured. Items that come together count as paid for once the first of them is there."""

    def __init__(self, now: float) -> None:
        self._marks = deque(
            [(now, 0)], maxlen=_ITEMS
        )  # (when, how many there were), at the end of each batch
        self.made = 0

    def item(self, now: float, at_once: int, remaining: int) -> float:
        """One more is there; seconds for those that remain."""
        self.made += 1
        began, before = self._marks[0]
        if self.made % at_once == 0:
            self._marks.append((now, self.made))
            while at_once > 1 and len(self._marks) > _BATCHES:
                self._marks.popleft()
        ended, after = self._marks[-1]
        if after == before:  # the first of its batch: the others are as good as there
            return (now - began) / min(at_once, self.made + remaining) * remaining
        return (ended - began) / (after - before) * remaining


class _Note:
    """The file while a stage works."""

    def __init__(self, file: WorkFile, step: str, stage: str, clock: Callable[[], float]) -> None:
        before = file.read()
        now = clock()
        self._file, self._clock = file, clock
        self._pace = Pace(now)
        same = before.get("step") == step
        began = before["began"] if same and before["state"] == "part" else now
        self._now: dict[str, Any] = _FIRST | {
            "step": step,
            "stage": stage,
            "began": began,
            "time": now,
            "clips": list(before.get("clips", [])),
            "steps": dict(before.get("steps", {})),
            "process": os.getpid(),
            "machine": platform.node(),
        }
        self._made = False
        file.write(self._now)

    def take(self, item: Progress) -> None:
        now = self._clock()
        if item.stage == "rounds":
            self._now["round"] = [min(item.done + 1, item.total), item.total]
        else:
            self._count(item, now)
        if item.message and not item.warning:
            self._now["message"] = item.message
        inner = item.inner
        self._now["inner"] = inner and {"stage": inner.stage, "done": inner.done, "total": inner.total}
        clip = _clip(item.path, self._file.folder)
        if clip is not None:
            self._now["clips"] = [clip, *(each for each in self._now["clips"] if each != clip)][:_CLIPS]
        if not self._made and (clip is not None or (item.stage == "train" and item.values is not None)):
            self._made = True
            self._outdate()
        # A batch may follow that takes long: what it follows is told before.
        if now - self._now["time"] >= _OFTEN or (clip is not None and item.stage == "generate"):
            self._now["time"] = now
            self._file.write(self._now)

    def timed(self, item: Progress) -> Progress:
        """With the measured time left, where the stage does not say it itself."""
        left = self._now["seconds_left"]
        if left is None or item.done >= item.total or SECONDS_LEFT in (item.values or {}):
            return item
        return replace(item, values={**(item.values or {}), SECONDS_LEFT: left})

    def end(self, state: str, message: str = "") -> None:
        step = self._now["step"]
        whole = self._now["stage"] == _LAST.get(step, self._now["stage"])
        if state == "done" and not whole:
            state = "part"
        self._now["steps"][step] = {"state": state, "total": self._now["total"]}
        self._now |= {
            "state": state,
            "message": message or self._now["message"],
            "time": self._clock(),
            "seconds_left": None,
            "inner": None,
        }
        self._file.write(self._now)

    def _count(self, item: Progress, now: float) -> None:
        before = (self._now["stage"], self._now["total"])
        news = {"stage": item.stage, "done": item.done, "total": item.total}
        made = item.path is not None or item.values is not None or item.stage == "score"
        if before != (item.stage, item.total) or item.done < self._now["done"]:
            self._pace, news["seconds_left"] = Pace(now), None
        elif item.done > self._now["done"] and made:
            news["seconds_left"] = self._pace.item(now, item.at_once, item.total - item.done)
        elif item.done > self._now["done"]:  # was there before, which says nothing about the pace
            self._pace = Pace(now)
        self._now |= news

    def _outdate(self) -> None:
        """Something new is made: what later steps made of what was there before is no longer all."""
        place = STEPS.index(self._now["step"])
        for later in STEPS[place + 1 : STEPS.index("evaluation") + 1]:
            if self._now["steps"].get(later, {}).get("state") == "done":
                self._now["steps"][later] |= {"state": "old"}


def _clip(path: Path | None, folder: Path) -> list[Any] | None:
    """Set, folder and seed of the video that a file of a stage belongs to."""
    if path is None or not path.stem.isdecimal():
        return None
    for kind, ending in (("samples", ".mp4"), ("tracks", ".json")):
        if path.suffix == ending and folder / kind in path.parents:
            set, prompt, _ = path.relative_to(folder / kind).parts
            return [set, prompt, int(path.stem)]
    return None


def _has_ended(work: Mapping[str, Any]) -> bool:
    """Whether the process is gone, as far as this machine can know; for disks that know no locks."""
    if os.name == "nt" or work.get("machine") != platform.node() or not isinstance(work.get("process"), int):
        return False
    try:
        os.kill(work["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
