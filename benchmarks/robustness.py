"""How the `published` and the `default` rule stand disturbances, on sprite clips whose truth is known.

`python benchmarks/robustness.py [--detector pocket] [--clips 40] [--seed 0] [--only NAME ...]`. One core. Writes
benchmarks/results/robustness-<detector>.json. The last line is one JSON object, default over published:
wrong_reject_ratio, wrong_accept_ratio.

Truth. A clip *can be scored* when there is one subject and one object of it to speak of, they are real throughout (they
neither jump across the picture within one frame nor go out for a good part of the clip with nothing in front of them
nor turn into something else), and a quarter or more of each is to be seen, of both at once, in the published share of
the frames (20 of 81), among them one of the first and one of the last 16 of 81. A smaller look-alike in the background
leaves a clip scorable; a second subject as big as the first does not. Its true score is that of the boxes of the whole
sprites, cut at the picture's edge, in every frame in which both are in the picture.
wrongly rejected: can be scored, but is INVALID. wrongly accepted: cannot be scored, but is valid.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.detect import RULES, Detection, Detector, detect_track, load_detector
from spatialalign_core.files import atomic_write
from spatialalign_core.pocket.sprites import OBJECT_COLOURS, SCENE_COLOURS, SUBJECT_COLOURS, backdrop, sprite
from spatialalign_core.pocket.world import render
from spatialalign_core.relations import CHANGES, RelationChange
from spatialalign_core.score import dsr_parts, score_track, ssr
from spatialalign_core.tracks import least_frames, most_frames

RESULTS = Path(__file__).resolve().parent / "results"
SUBJECTS, OBJECTS, SCENES = (tuple(colours) for colours in (SUBJECT_COLOURS, OBJECT_COLOURS, SCENE_COLOURS))
LENGTHS = (18, 33, 49, 81)
SEEN = 0.25


@dataclass
class Actor:
    """A sprite with its centres (F, 2) and sides (F,) in pixels; drawn where `shown` (F,)."""

    noun: str
    centres: np.ndarray
    sides: np.ndarray
    shown: np.ndarray


@dataclass
class Play:
    """A clip before it is drawn. actors: from back to front; the first two are the object and the subject."""

    subject: str
    object: str
    change: RelationChange
    scene: str
    height: int
    width: int
    actors: list[Actor]
    bars: list[tuple[int, int, int, int]] = field(default_factory=list)  # in front of everything: xyxy
    finish: Callable[[np.ndarray], np.ndarray] = lambda frames: frames
    real: bool = True  # one subject, one object, moving as things do

    @property
    def frames(self) -> int:
        return len(self.actors[0].shown)


def play(rng: np.random.Generator, frames: int | None = None, height: int = 64, width: int = 96) -> Play:
    """An undisturbed clip of the sprite world as actors."""
    subject, object = str(rng.choice(SUBJECTS)), str(rng.choice(OBJECTS))
    change = CHANGES[rng.integers(6)]
    count = frames or int(rng.choice(LENGTHS))
    scene = str(rng.choice(SCENES))
    clip = render(subject, object, scene, change, int(rng.integers(2**31)), count, height, width)
    side = np.full(count, max(4.0, round(20 * height / 64)))
    still = np.concatenate([clip.object_boxes.min(0)[:2], clip.object_boxes.max(0)[2:]])
    centres = [
        (boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (np.tile(still, (count, 1)), clip.subject_boxes)
    ]
    actors = [
        Actor(noun, centre, side, np.ones(count, bool))
        for noun, centre in zip((object, subject), centres, strict=True)
    ]
    return Play(subject, object, change, scene, height, width, actors)


def draw(play: Play) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Frames uint8 (F, H, W, 3); boxes (F, 4) of the whole object and subject, NaN outside the picture; the share of
    each that is to be seen, (F,)."""
    pictures = []
    boxes = [np.full((play.frames, 4), np.nan) for _ in range(2)]
    shares = [np.zeros(play.frames) for _ in range(2)]
    limit = np.array([play.width, play.height] * 2)
    for frame in range(play.frames):
        picture = backdrop(play.scene, play.height, play.width).copy()
        whose = np.full(picture.shape[:2], -1)
        for index, actor in enumerate(play.actors):
            side = max(4, round(float(actor.sides[frame])))
            alpha = _paste(picture, actor, frame, side) if actor.shown[frame] else np.zeros_like(whose)
            whose[alpha >= 0.5] = index
            if index < 2 and actor.shown[frame]:
                inside = np.argwhere(sprite(actor.noun, side)[..., 3] >= 0.5)
                corner = np.round(actor.centres[frame] - side / 2)
                whole = np.concatenate([inside.min(0)[::-1] + corner, inside.max(0)[::-1] + 1 + corner])
                cut = np.clip(whole, 0, limit)
                if (cut[2:] > cut[:2]).all():
                    boxes[index][frame] = cut
                shares[index][frame] = len(inside)
        for x0, y0, x1, y1 in play.bars:
            picture[y0:y1, x0:x1] = (0.62, 0.58, 0.55)
            whose[y0:y1, x0:x1] = -1
        for index in range(2):
            if shares[index][frame]:
                shares[index][frame] = (whose == index).sum() / shares[index][frame]
        pictures.append(picture)
    frames = np.round(np.clip(np.stack(pictures), 0, 1) * 255).astype(np.uint8)
    return play.finish(frames), boxes, shares


def _paste(picture: np.ndarray, actor: Actor, frame: int, side: int) -> np.ndarray:
    height, width = picture.shape[:2]
    left, top = (int(v) for v in np.round(actor.centres[frame] - side / 2))
    canvas = np.zeros((height + 2 * side, width + 2 * side, 4), np.float32)
    if -side < left < width + side and -side < top < height + side:
        y, x = max(top + side, 0), max(left + side, 0)
        part = canvas[y : y + side, x : x + side]
        part[...] = sprite(actor.noun, side)[: part.shape[0], : part.shape[1]]
    rgba = canvas[side : side + height, side : side + width]
    alpha = rgba[..., 3:]
    picture[...] = picture * (1 - alpha) + rgba[..., :3] * alpha
    return alpha[..., 0]


# The disturbances: each takes an undisturbed play of its own choice of length and size.


def clean(rng: np.random.Generator) -> Play:
    return play(rng)


def occlusion(rng: np.random.Generator) -> Play:
    """A pillar or a beam in front of everything."""
    result = play(rng)
    thick = int(rng.integers(6, 17))
    if rng.random() < 0.6:
        x = int(rng.integers(10, result.width - 10 - thick))
        result.bars.append((x, 0, x + thick, result.height))
    else:
        y = int(rng.integers(4, result.height - 4 - thick))
        result.bars.append((0, y, result.width, y + thick))
    return result


def leaves_and_returns(rng: np.random.Generator) -> Play:
    """In the middle the subject is out of the picture for a while, by the side or the top."""
    result = play(rng)
    at = np.linspace(0, 1, result.frames)
    part = np.clip((0.5 - np.abs(at - 0.5) - rng.uniform(0.08, 0.12)) / 0.3, 0, 1)
    away = part * part * (3 - 2 * part)
    way = np.array([(0.0, -60.0), (-55.0, 0.0), (55.0, 0.0)][rng.integers(3)])
    result.actors[1].centres = result.actors[1].centres + away[:, None] * way
    return result


def leaves_for_good(rng: np.random.Generator) -> Play:
    """The subject walks out well before the end, so that its last place is never seen."""
    result = play(rng)
    at = np.linspace(0, 1, result.frames)
    start = rng.uniform(0.3, 0.5)
    away = np.clip((at - start) / 0.15, 0, None)[:, None] * np.array([float(rng.choice([-60, 60])), 0.0])
    result.actors[1].centres = result.actors[1].centres + away
    return result


def blur(rng: np.random.Generator) -> Play:
    result, sigma = play(rng), rng.uniform(0.6, 1.6)
    result.finish = lambda frames: np.stack([cv2.GaussianBlur(each, (0, 0), sigma) for each in frames])
    return result


def noise(rng: np.random.Generator) -> Play:
    result, strength, seed = play(rng), rng.uniform(5, 25), int(rng.integers(2**31))

    def add(frames: np.ndarray) -> np.ndarray:
        grain = np.random.default_rng(seed).normal(0, strength, frames.shape)
        return np.clip(np.round(frames + grain), 0, 255).astype(np.uint8)

    result.finish = add
    return result


def low_contrast(rng: np.random.Generator) -> Play:
    result, share = play(rng), rng.uniform(0.5, 0.9)
    result.finish = lambda frames: np.round(128 + (frames - 128.0) * share).astype(np.uint8)
    return result


def lookalike(rng: np.random.Generator) -> Play:
    """A smaller one of the subject's or the object's kind stands in the background, for all or a part of the clip."""
    result = play(rng)
    noun = result.subject if rng.random() < 0.7 else result.object
    side = np.full(result.frames, round(rng.uniform(0.45, 0.65) * result.actors[0].sides[0]))
    place = np.array([rng.choice([rng.uniform(6, 16), rng.uniform(80, 90)]), rng.uniform(8, 18)])
    shown = np.ones(result.frames, bool)
    if rng.random() < 0.4:
        shown[: int(rng.uniform(0.2, 0.6) * result.frames)] = False
    other = Actor(noun, np.tile(place, (result.frames, 1)), side, shown)
    result.actors.append(other)
    return result


def two_subjects(rng: np.random.Generator) -> Play:
    """Two as big as each other, one of which does what the sentence says."""
    result = play(rng, width=128)
    place = np.array([rng.choice([12.0, 116.0]), rng.uniform(12, 50)])
    side = result.actors[1].sides * rng.uniform(0.9, 1.1)
    drift = np.linspace(0, rng.uniform(-10, 10), result.frames)[:, None] * np.array([0.0, 1.0])
    result.actors.append(Actor(result.subject, place + drift, side, np.ones(result.frames, bool)))
    result.real = False
    return result


def pan(rng: np.random.Generator) -> Play:
    result = play(rng)
    move = np.linspace(-0.5, 0.5, result.frames)[:, None] * np.array(
        [rng.choice([-1, 1]) * rng.uniform(15, 40), rng.uniform(-10, 10)]
    )
    for actor in result.actors:
        actor.centres = actor.centres + move
    return result


def zoom(rng: np.random.Generator) -> Play:
    result = play(rng)
    first, last = (0.6, 1.15) if rng.random() < 0.5 else (1.15, 0.6)
    scale = np.linspace(first, last, result.frames)
    middle = np.array([result.width, result.height]) / 2
    for actor in result.actors:
        actor.centres = middle + (actor.centres - middle) * scale[:, None]
        actor.sides = actor.sides * scale
    return result


def flicker(rng: np.random.Generator) -> Play:
    """One of the two is missing in single frames, or a second one flashes up in single frames."""
    result = play(rng)
    hits = rng.choice(result.frames, max(1, round(rng.uniform(0.05, 0.3) * result.frames)), replace=False)
    if rng.random() < 0.5:
        actor = result.actors[rng.integers(2)]
        actor.shown[hits[hits > 0]] = False
    else:
        shown = np.zeros(result.frames, bool)
        shown[hits] = True
        place = np.array([rng.uniform(12, 84), rng.uniform(10, 22)])
        side = result.actors[1].sides
        result.actors.append(Actor(result.subject, np.tile(place, (result.frames, 1)), side, shown))
    return result


def teleport(rng: np.random.Generator) -> Play:
    """The subject does not move; between two frames it is suddenly elsewhere."""
    result = play(rng)
    subject = result.actors[1]
    cut = int(rng.uniform(0.25, 0.75) * result.frames)
    subject.centres = np.where(
        np.arange(result.frames)[:, None] < cut, subject.centres[0], subject.centres[-1]
    )
    result.real = False
    return result


def blinks_out(rng: np.random.Generator) -> Play:
    """One of the two is gone in the middle for a good part of the clip, with nothing in front of it."""
    result = play(rng)
    start, length = rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4)
    actor = result.actors[rng.integers(2)]
    actor.shown[int(start * result.frames) : int((start + length) * result.frames)] = False
    result.real = False
    return result


def another_animal(rng: np.random.Generator) -> Play:
    """Somewhere in the clip the subject turns into another animal, or it is another from the start."""
    result = play(rng)
    other = str(rng.choice([noun for noun in SUBJECTS if noun != result.subject]))
    cut = int(rng.choice([0.0, rng.uniform(0.2, 0.7)]) * result.frames)
    subject = result.actors[1]
    subject.shown = np.arange(result.frames) < cut
    result.actors.append(Actor(other, subject.centres, subject.sides, ~subject.shown))
    result.real = False
    return result


def long_clip(rng: np.random.Generator) -> Play:
    """241 frames with a pillar and short dropouts, as in a long take."""
    result = play(rng, frames=241)
    x, thick = int(rng.integers(10, 80)), int(rng.integers(3, 9))
    result.bars.append((x, 0, x + thick, result.height))
    for _ in range(int(rng.integers(1, 6))):
        start = int(rng.integers(1, 230))
        result.actors[rng.integers(2)].shown[start : start + int(rng.integers(1, 8))] = False
    return result


def odd_size(rng: np.random.Generator) -> Play:
    height = int(rng.integers(61, 260))
    return play(rng, height=height, width=int(height * rng.uniform(1.3, 2.4)))


DISTURBANCES: dict[str, Callable[[np.random.Generator], Play]] = {
    each.__name__: each
    for each in (
        clean, occlusion, leaves_and_returns, leaves_for_good, blur, noise, low_contrast, lookalike, two_subjects, pan,
        zoom, flicker, teleport, blinks_out, another_animal, long_clip, odd_size,
    )
}  # fmt: skip


def truth(play: Play, boxes: Sequence[np.ndarray], shares: Sequence[np.ndarray]) -> tuple[bool, float]:
    """Whether the clip can be scored, and its true score (NaN when it cannot)."""
    frames = play.frames
    both = np.flatnonzero((shares[0] >= SEEN) & (shares[1] >= SEEN))
    end = most_frames(16, frames)
    seen = len(both) >= least_frames(20, frames) and both[0] <= end and both[-1] >= frames - 1 - end
    first, last = (ssr(boxes[1], boxes[0], r)[None] for r in (play.change.initial, play.change.final))
    if not (play.real and seen):
        return False, float("nan")
    return True, float(dsr_parts(first, last)[0][0, 0])


class Remembered:
    """What a detector found, to be judged by one rule after the other."""

    def __init__(self, detector: Detector, frames: np.ndarray, nouns: Sequence[str]) -> None:
        self.name = detector.name
        self._found = list(detector.detect(frames, nouns))

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        return iter(self._found)


def measure(detector: Detector, disturbance: str, clips: int, seed: int) -> dict[str, object]:
    """Counts and mean errors of one disturbance, by rule."""
    errors: dict[str, list[float]] = {rule: [] for rule in RULES}
    counts = {rule: {"valid": 0, "wrongly_rejected": 0, "wrongly_accepted": 0} for rule in RULES}
    reasons: dict[str, list[str]] = {rule: [] for rule in RULES}
    scorable = 0
    for index in range(clips):
        rng = np.random.default_rng([seed, list(DISTURBANCES).index(disturbance), index])
        made = DISTURBANCES[disturbance](rng)
        frames, boxes, shares = draw(made)
        can, true = truth(made, boxes, shares)
        scorable += can
        remembered = Remembered(detector, frames, (made.subject, made.object))
        for name, rule in RULES.items():
            track = detect_track(remembered, frames, made.subject, made.object, rule)
            score = score_track(track, made.change)
            counts[name]["valid"] += score.valid
            counts[name]["wrongly_rejected"] += can and not score.valid
            counts[name]["wrongly_accepted"] += score.valid and not can
            if can and not score.valid:
                reasons[name].append(f"{index}: {score.reason}")
            if score.valid and not can:
                reasons[name].append(f"{index}: accepted")
            if can and score.dsr is not None:
                errors[name].append(abs(score.dsr - true))
    return {
        "clips": clips,
        "scorable": scorable,
        **{
            rule: {
                **counts[rule],
                "mean_error": float(np.mean(errors[rule])) if errors[rule] else None,
                "wrong": reasons[rule],
            }
            for rule in RULES
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--detector", default="pocket", help="a detector's name or folder")
    parser.add_argument("--clips", type=int, default=40, help="of each disturbance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=tuple(DISTURBANCES), default=tuple(DISTURBANCES))
    parser.add_argument("--verbose", action="store_true", help="name the clips that were judged wrongly")
    options = parser.parse_args()
    detector, started = load_detector(options.detector), time.time()
    rows: dict[str, dict] = {}
    print(f"{'':20}{'clips':>6}{'can be':>8}  published: valid rejected accepted  error   default: ... ")
    for name in options.only:
        rows[name] = row = measure(detector, name, options.clips, options.seed)
        parts = []
        for rule in ("published", "default"):
            of = row[rule]
            error = "     -" if of["mean_error"] is None else f"{of['mean_error']:6.3f}"
            parts.append(f"{of['valid']:8d}{of['wrongly_rejected']:9d}{of['wrongly_accepted']:9d} {error}")
        print(f"{name:20}{row['clips']:6d}{row['scorable']:8d}   {parts[0]}  {parts[1]}", flush=True)
        if options.verbose:
            for rule in RULES:
                print("\n".join(f"      {rule} {words}" for words in row[rule]["wrong"]))

    def total(rule: str, what: str) -> int:
        return sum(row[rule][what] for row in rows.values())

    ratios = {
        f"{short}_ratio": total("default", what) / max(1, total("published", what))
        for short, what in (("wrong_reject", "wrongly_rejected"), ("wrong_accept", "wrongly_accepted"))
    }
    for row in rows.values():
        for rule in RULES:
            del row[rule]["wrong"]
    result = {
        "detector": options.detector,
        "seed": options.seed,
        "disturbances": rows,
        "totals": {r: {w: total(r, w) for w in ("wrongly_rejected", "wrongly_accepted")} for r in RULES},
        **ratios,
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "opencv-python-headless", "torch", "torchvision")},
        },
        "seconds": round(time.time() - started, 1),
    }
    if set(options.only) == set(DISTURBANCES):
        atomic_write(
            RESULTS / f"robustness-{Path(options.detector).name}.json", json.dumps(result, indent=2) + "\n"
        )
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
