"""Long work: the core yields progress, this shows it on the node and stops between two items when asked to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

import comfy.model_management
import comfy.utils
from PIL import Image

from ..spatialalign_core.progress import Progress

_MOST_WARNINGS = 5


class Outcome(NamedTuple):
    """What a stage said last, and its warnings, one a line."""

    message: str
    warnings: str


def drive(
    work: Iterator[Progress],
    node_id: str | None,
    picture: Callable[[Progress], Image.Image | None] = lambda step: None,
) -> Outcome:
    """Run `work` to its end.

    ComfyUI's cancel takes effect between two items and keeps them. picture: what the node shows meanwhile.
    """
    bar: comfy.utils.ProgressBar | None = None
    warnings: list[str] = []
    message = ""
    try:
        for step in work:
            comfy.model_management.throw_exception_if_processing_interrupted()
            if bar is None:
                bar = comfy.utils.ProgressBar(step.total, node_id=node_id)
            image = picture(step)
            preview = None if image is None else ("JPEG", image, max(image.size))
            bar.update_absolute(step.done, step.total, preview)
            if step.warning:
                logging.warning("SpatialAlign: %s", step.message)
                warnings.append(step.message)
            else:
                message = step.message or message
    finally:
        # Now, not when it is collected: this lets go of the run folder's lock.
        if isinstance(work, Generator):
            work.close()
    hidden = (
        [f"... and {len(warnings) - _MOST_WARNINGS} more; see the log."]
        if len(warnings) > _MOST_WARNINGS
        else []
    )
    return Outcome(message, "\n".join([*warnings[:_MOST_WARNINGS], *hidden]))
