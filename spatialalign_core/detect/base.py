"""What every detector offers: frames and nouns in, boxes, confidences and masks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detection:
    """One thing found in one frame.

    noun: the word that was asked for, "" where none of them fits well. box: float64 (4,), xyxy pixels, y down, far
    edges exclusive. confidence: 0..1. mask: bool (H, W), or None where the detector knows only boxes. label: what the
    detector itself calls it, such as "cat dog" for two words in one, or None where that is the noun.
    """

    noun: str
    box: NDArray[np.float64]
    confidence: float
    mask: NDArray[np.bool_] | None = None
    label: str | None = None


class Detector(Protocol):
    """Finds nouns in pictures.

    A detector with settings or weights also has a `fingerprint: str` that tells it from others of its name. One that
    does not know every noun has `check_nouns(nouns)`, which raises what `detect` would.
    """

    name: str

    def detect(self, frames: NDArray[np.uint8], nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """All detections of `nouns` in each frame, one list a frame, in order.

        frames: uint8 RGB (F, H, W, 3). SpatialAlignError for a noun that the detector does not know.
        """
        ...


class MaskTracker(Protocol):
    """Follows things through a video from where they are in one frame."""

    name: str

    def track(
        self, frames: NDArray[np.uint8], seed: int, boxes: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float64]]]:
        """Frame index, masks bool (N, H, W) and confidences float64 (N,), once for each frame.

        frames: uint8 RGB (F, H, W, 3). boxes: float64 (N, 4), xyxy pixels, of N things in frame `seed`. Yields the seed
        first, then the frames after it, then those before it, backwards. Memory does not grow with F.
        """
        ...


def origin(tool: Detector | MaskTracker | None) -> str | None:
    """What tells one detector or tracker from another: its fingerprint where it has one, else its name."""
    return None if tool is None else str(getattr(tool, "fingerprint", tool.name))


def check_nouns(detector: Detector, nouns: Iterable[str]) -> None:
    """SpatialAlignError that names the nouns, of many prompts, that the detector does not know; without a picture."""
    check = getattr(detector, "check_nouns", None)
    if check is not None:
        check(list(dict.fromkeys(nouns)))
