"""From a name to a detector."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import SpatialAlignError
from .base import Detector


def _sprites() -> Detector:
    from .sprites import SpriteDetector

    return SpriteDetector()


_DETECTORS: dict[str, Callable[[], Detector]] = {"sprites": _sprites}
DETECTORS: tuple[str, ...] = tuple(_DETECTORS)


def load_detector(name: str) -> Detector:
    """The detector of that name, one of DETECTORS. SpatialAlignError for another name."""
    try:
        load = _DETECTORS[name]
    except KeyError:
        known = ", ".join(DETECTORS)
        raise SpatialAlignError(f"There is no detector called {name!r}; choose one of: {known}.") from None
    return load()
