"""Long work: the core yields progress, this shows it on the node and stops between two items when asked to."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import comfy.model_management
import comfy.utils
import numpy as np
from server import PromptServer

from ..spatialalign_core.detect.base import Detection, Detector, MaskTracker, check_nouns, origin
from ..spatialalign_core.errors import StopRequested
from ..spatialalign_core.progress import SECONDS_LEFT, Progress
from ..spatialalign_core.run.estimate import duration
from .events import Stage

_MOST_WARNINGS = 5
_Item = TypeVar("_Item")


class Outcome(NamedTuple):
    """What a stage said last, and its warnings, one a line."""

    message: str
    warnings: str


class Interrupted(comfy.model_management.InterruptProcessingException, StopRequested):
    """ComfyUI's cancel, which the core knows for what it is."""


def drive(work: Iterator[Progress], node_id: str | None, kind: str | None = None) -> Outcome:
    """Run `work` to its end. ComfyUI's cancel takes effect between two items and keeps them.

    kind: of the events that tell pages of it, see `events.Stage`.
    """
    stage = Stage(kind, node_id)
    bar: comfy.utils.ProgressBar | None = None
    warnings: list[str] = []
    message = ""
    try:
        for step in work:
            _stop_if_asked()
            stage.take(step)
            if bar is None:
                bar = comfy.utils.ProgressBar(step.total, node_id=node_id)
            bar.update_absolute(step.done, step.total)
            _show(step, node_id)
            if step.warning:
                logging.warning("SpatialAlign: %s", step.message)
                warnings.append(step.message)
            else:
                message = step.message or message
    except StopRequested as stopped:
        # Asked for in the training panel; as ComfyUI's own cancel, no error in the artist's face.
        logging.info("SpatialAlign: %s", stopped)
        raise comfy.model_management.InterruptProcessingException from None
    finally:
        # Now, not when it is collected: this lets go of the run folder's lock.
        if isinstance(work, Generator):
            work.close()
        stage.end()
    hidden = (
        [f"... and {len(warnings) - _MOST_WARNINGS} more; see the log."]
        if len(warnings) > _MOST_WARNINGS
        else []
    )
    return Outcome(message, "\n".join([*warnings[:_MOST_WARNINGS], *hidden]))


def _show(step: Progress, node_id: str | None) -> None:
    """How far long work is, and how long the rest takes, on the node itself while it runs."""
    left = (step.values or {}).get(SECONDS_LEFT)
    server = getattr(PromptServer, "instance", None)
    if left is None or node_id is None or server is None:
        return
    about = step.message if step.path is None else f"{step.done} of {step.total}, about {duration(left)} left"
    server.send_progress_text(about, node_id)


class WatchedDetector:
    """A detector that stops between two frames when asked to, and moves a bar on by one each frame if there is one."""

    def __init__(self, detector: Detector, bar: comfy.utils.ProgressBar | None = None) -> None:
        self.name = detector.name
        self.fingerprint = origin(detector)
        self._detector, self._bar = detector, bar
        self.found: list[list[Detection]] = []
        """What was found in the last video, without masks: for `with_others`."""

    def check_nouns(self, nouns: Sequence[str]) -> None:
        """See `Detector`."""
        check_nouns(self._detector, nouns)

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """See `Detector`."""
        self.found = []
        for found in _watched(self._detector.detect(frames, nouns), self._bar):
            self.found.append([replace(each, mask=None) for each in found])
            yield found


class WatchedTracker:
    """The same for a mask tracker."""

    def __init__(self, tracker: MaskTracker, bar: comfy.utils.ProgressBar | None = None) -> None:
        self.name = tracker.name
        self.fingerprint = origin(tracker)
        self._tracker, self._bar = tracker, bar

    def track(
        self, frames: np.ndarray, seed: int, boxes: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """See `MaskTracker`."""
        yield from _watched(self._tracker.track(frames, seed, boxes), self._bar)


def watched(
    detector: Detector,
    mask_tracker: MaskTracker | None,
    node_id: str | None = None,
    frames: int | None = None,
) -> tuple[WatchedDetector, WatchedTracker | None]:
    """Both, so that cancel takes effect within a frame.

    frames: length of the one video that they look at; the node then shows how far they are.
    """
    bar = None
    if frames is not None:
        bar = comfy.utils.ProgressBar(frames * (1 if mask_tracker is None else 2), node_id=node_id)
    tracker = None if mask_tracker is None else WatchedTracker(mask_tracker, bar)
    return WatchedDetector(detector, bar), tracker


def _stop_if_asked() -> None:
    try:
        comfy.model_management.throw_exception_if_processing_interrupted()
    except comfy.model_management.InterruptProcessingException:
        raise Interrupted from None


def _watched(items: Iterator[_Item], bar: comfy.utils.ProgressBar | None) -> Iterator[_Item]:
    for item in items:
        _stop_if_asked()
        if bar is not None:
            bar.update(1)
        yield item
