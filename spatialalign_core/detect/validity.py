"""The published rule for which frames and which videos count, from the labels that a detector found.

A frame is valid with exactly two detections, one of each noun; it is redundant with more than two, or with anything
else than the two nouns. A video is INVALID with too many redundant frames, too few valid ones, or no run of valid
frames long enough to start a track from. The published numbers are for 81 frames; here they are shares of the clip.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..tracks import least_frames, most_frames


@dataclass(frozen=True)
class ValidityRule:
    """Thresholds in frames; the defaults are the published ones, for a video of 81 frames."""

    min_valid: int = 20
    max_redundant: int = 16
    min_run: int = 4

    def for_length(self, frames: int) -> ValidityRule:
        """The same shares of a clip of `frames` instead of 81: minima rounded up, the maximum down, none below 1."""
        return replace(
            self,
            min_valid=least_frames(self.min_valid, frames),
            max_redundant=most_frames(self.max_redundant, frames),
            min_run=least_frames(self.min_run, frames),
        )


PUBLISHED_RULE = ValidityRule()


@dataclass(frozen=True)
class DetectionRule:
    """How detections become a track: `PUBLISHED` follows the released procedure exactly, `DEFAULT` forgives and doubts.

    The default rule follows the most consistent instance of each noun, fills short gaps, and sets aside videos in which
    something teleports, blinks out or is not seen at one of the two ends. Numbers of frames are for a video of 81
    frames. max_gap: longest gap that is filled. max_blink: longest time that something may be out of sight with nothing
    to hide it. max_unseen: frames that may be missing at either end. reach: how far
    something may move from frame to frame, in its own sizes, in a clip of `LONG_CLIP` frames or more, or of `USUAL_FPS`
    frames a second or more; shorter and slower clips show more of a motion between two frames.
    """

    mode: Literal["published", "default"] = "default"
    validity: ValidityRule = PUBLISHED_RULE
    max_gap: int = 4
    max_blink: int = 8
    max_unseen: int = 20
    reach: float = 0.75

    def gap(self, frames: int) -> int:
        """Longest gap that is filled in a clip of that length, at least 2."""
        return max(2, least_frames(self.max_gap, frames))

    def blink(self, frames: int) -> int:
        """Longest time out of sight with nothing to hide it, at least as long as a gap."""
        return max(self.gap(frames), most_frames(self.max_blink, frames))

    def missed(self, frames: int) -> int:
        """Longest time out of sight of what comes back just where it has to be by then: two blinks.

        There the video may well show it, and only the detector misses it.
        """
        return max(self.blink(frames), most_frames(2 * self.max_blink, frames))

    def unseen(self, frames: int) -> int:
        """How many frames at either end may be missing."""
        return most_frames(self.max_unseen, frames)

    def speed(self, frames: int, fps: float | None = None) -> float:
        """Farthest way from one frame to the next, in sizes of the thing that moves. fps: None when unknown."""
        return self.reach * max(
            1.0, LONG_CLIP / max(frames, 1), min(USUAL_FPS / (fps or USUAL_FPS), _SLOWEST)
        )


@dataclass(frozen=True)
class Picture:
    """What detections are seen in: pixels, and frames per second, None where they are not known.

    Without a size of the picture nothing is at its edge, and nothing is small in it.
    """

    width: float | None = None
    height: float | None = None
    fps: float | None = None

    @property
    def small(self) -> float:
        """Size in pixels below which a thing moves as far as one of that size: a ball flies by many of its own."""
        return 0.0 if not self.width or not self.height else _SMALL * math.hypot(self.width, self.height)

    def cut(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which boxes touch the picture's edge, so that perhaps only a part of the thing is seen, (..., 4) -> (...)."""
        if not self.width or not self.height:
            return np.zeros(boxes.shape[:-1], dtype=bool)
        size = np.array([self.width, self.height])
        room = np.concatenate([boxes[..., :2], size - boxes[..., 2:]], axis=-1)
        return np.asarray((room <= _AT_EDGE * np.tile(size, 2)).any(-1))


UNKNOWN = Picture()
LONG_CLIP = 32
USUAL_FPS = 16.0
_SLOWEST = 4.0  # what is shown at fewer frames a second, such as one, is slow motion or a slide show
_SMALL = 0.1  # of the picture's diagonal
_AT_EDGE = 0.02  # of the picture's width or height
PUBLISHED = DetectionRule("published")
DEFAULT = DetectionRule("default")
RULES: dict[str, DetectionRule] = {rule.mode: rule for rule in (DEFAULT, PUBLISHED)}


@dataclass(frozen=True)
class Verdict:
    """Why each frame (None: it is valid) and the whole video (None: it counts) does not count.

    first_run: the first frame of the first run that is long enough, where a tracker starts; None without one.
    """

    frame_reasons: tuple[str | None, ...]
    reason: str | None
    first_run: int | None


def judge(
    labels: Sequence[Sequence[str]], subject: str, object: str, rule: ValidityRule = PUBLISHED_RULE
) -> Verdict:
    """Apply the rule to the labels found in each frame of one video.

    labels: for each frame the noun of every detection in it. `rule` is for 81 frames and is scaled to the clip here.
    """
    scaled = rule.for_length(len(labels))
    reasons = tuple(_frame_reason(found, subject, object) for found in labels)
    valid = [reason is None for reason in reasons]
    redundant = sum(_redundant(found, subject, object) for found in labels)
    first_run = first_run_of(valid, scaled.min_run)
    return Verdict(reasons, video_reason(valid, redundant, first_run, reasons, scaled), first_run)


def _redundant(found: Sequence[str], subject: str, object: str) -> bool:
    counts = Counter(found)
    return len(found) > 2 or any(noun not in (subject, object) or count > 1 for noun, count in counts.items())


def _frame_reason(found: Sequence[str], subject: str, object: str) -> str | None:
    counts = Counter(found)
    missing = [noun for noun in (subject, object) if not counts[noun]]
    if len(missing) == 2:
        return f"neither the {subject} nor the {object} was found"
    if missing:
        return f"the {missing[0]} was not found"
    for noun in (subject, object):
        if counts[noun] > 1:
            return f"more than one {noun} was found"
    others = [noun for noun in counts if noun not in (subject, object)]
    return f"something else was found: {', '.join(others)}" if others else None


def first_run_of(valid: Sequence[bool], length: int) -> int | None:
    """First frame of the first run of that many valid frames."""
    run = 0
    for index, good in enumerate(valid):
        run = run + 1 if good else 0
        if run == length:
            return index - length + 1
    return None


def video_reason(
    valid: Sequence[bool],
    redundant: int,
    first_run: int | None,
    reasons: Sequence[str | None],
    rule: ValidityRule,
) -> str | None:
    """Why the video does not count by a rule that is scaled to it already, or None."""
    frames, count = len(valid), sum(valid)
    if not frames:
        return "the video has no frames"
    commonest = Counter(reason for reason in reasons if reason is not None).most_common(1)
    mostly = f" (mostly: {commonest[0][0]})" if commonest else ""
    if redundant > rule.max_redundant:
        return f"too much was found in {redundant} of {frames} frames; at most {rule.max_redundant} may be so{mostly}"
    if count < rule.min_valid:
        return f"only {count} of {frames} frames show both; at least {rule.min_valid} are needed{mostly}"
    if first_run is None:
        return f"there are no {rule.min_run} frames in a row that show both{mostly}"
    return None


def find_rule(name: str) -> DetectionRule:
    """The rule of that name. SpatialAlignError that lists the names."""
    if name not in RULES:
        raise SpatialAlignError(f"There is no rule called {name!r}; choose one of: {', '.join(RULES)}.")
    return RULES[name]
