"""From a name or a path to a detector, a mask tracker or a segmenter: the one door, whatever stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SpatialAlignError
from .base import Detector, MaskTracker

if TYPE_CHECKING:  # torch is imported where a model is loaded, not by the sprite detector
    import torch

    from .sam import BoxSegmenter

_WEIGHTS = Path(__file__).parent.parent / "pocket" / "weights"


def is_named(name: str) -> bool:
    """Whether `load_detector` knows the name without looking for a file."""
    return name in DETECTORS or name in _CHECKS


def _sprites() -> Detector:
    from .sprites import SpriteDetector

    return SpriteDetector()


def _bundled(folder: str) -> dict[str, Path]:
    """The pocket model of that folder by its name, where it is there."""
    path = _WEIGHTS / folder
    return {"pocket": path} if (path / "config.json").is_file() else {}


# Tells the sprite world's things by their colours: an independent check of the pocket detector, for tests and
# benchmarks. It is not offered, but workflows and commands that name it still run.
_CHECKS: dict[str, Callable[[], Detector]] = {"sprites": _sprites}
BUNDLED_DETECTORS = _bundled("grounding-dino-pocket")
BUNDLED_MASK_TRACKERS = _bundled("sam2-pocket")
DETECTORS: tuple[str, ...] = tuple(BUNDLED_DETECTORS)
MASK_TRACKERS: tuple[str, ...] = tuple(BUNDLED_MASK_TRACKERS)


def load_detector(
    name: str | Path,
    device: str | torch.device | None = None,
    box_threshold: float = 0.4,
    text_threshold: float = 0.3,
    bert_places: Sequence[str | Path] = (),
) -> Detector:
    """The detector of that name (one of DETECTORS, or "sprites"), of a grounding-dino folder, or of its authors' file.

    device: default CUDA where there is one, else CPU. box_threshold, text_threshold: 0..1, as GroundingDINO means them.
    bert_places: where else to look for the vocabulary that a `.pth` file needs. Never downloads. SpatialAlignError
    for a name or path that is unknown, damaged or no detector.
    """
    if str(name) in _CHECKS:
        return _CHECKS[str(name)]()
    from .folders import DETECTOR, recognise

    path = _place(name, BUNDLED_DETECTORS, "detector", DETECTORS)
    kind = recognise(path, DETECTOR)
    where = _device(device)
    if kind.original:
        from .original import OriginalGroundingDino

        return OriginalGroundingDino.load(path, where, box_threshold, text_threshold, bert_places=bert_places)
    from .grounding import GroundingDinoDetector

    return GroundingDinoDetector.from_folder(
        path, device=where, box_threshold=box_threshold, text_threshold=text_threshold
    )


def load_mask_tracker(name: str | Path, device: str | torch.device | None = None) -> MaskTracker:
    """The mask tracker of that name (one of MASK_TRACKERS), of a SAM 2 folder, or of a SAM 2 file of its authors.

    device: default CUDA where there is one, else CPU. Never downloads. SpatialAlignError for a name or path that is
    unknown, damaged or no mask tracker.
    """
    from .folders import MASK_TRACKER, recognise

    path = _place(name, BUNDLED_MASK_TRACKERS, "mask tracker", MASK_TRACKERS)
    kind = recognise(path, MASK_TRACKER)
    from ..weight_files import weights_fingerprint
    from .sam2 import Sam2VideoTracker

    if kind.original:
        from .sam2_original import load_original

        model, processor = load_original(path)
        weights = weights_fingerprint(path)
        return Sam2VideoTracker(model, processor, path.stem, _device(device), weights=weights)
    return Sam2VideoTracker.load(path, _device(device))


def load_segmenter(name: str | Path, device: str | torch.device | None = None) -> BoxSegmenter:
    """What `WithMasks` takes: from a SAM or SAM 2 folder, a SAM file of its authors, or the bundled "pocket".

    device: default CUDA where there is one, else CPU. Never downloads. SpatialAlignError for a name or path that is
    unknown, damaged or no segmenter.
    """
    from .folders import SEGMENTER, recognise

    path = _place(name, BUNDLED_MASK_TRACKERS, "segmenter", MASK_TRACKERS)
    if recognise(path, SEGMENTER).original:
        from .sam_original import OriginalSam

        return OriginalSam.load(path, _device(device))
    from .sam import SamSegmenter

    return SamSegmenter.load(path, _device(device))


def _place(name: str | Path, bundled: dict[str, Path], what: str, names: Sequence[str]) -> Path:
    path = bundled.get(str(name), Path(name))
    if not path.exists():
        known = ", ".join(names)
        choose = f"one of: {known}, or the path of a model" if known else "the path of a model"
        raise SpatialAlignError(f"There is no {what} called {str(name)!r}; choose {choose}.")
    return path


def _device(device: str | torch.device | None) -> torch.device:
    import torch

    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
