"""Verdicts on real footage: a detector's boxes and sentences of which a person says whether they are true.

`python benchmarks/real_clips.py [--table] [--data FILE]`. One core, a few seconds; no pictures, no model. Writes
benchmarks/results/real_clips.json. The last line is one JSON object: for the default rule, of the clips as they are at
the three thresholds, false_obeyed, true_lost, and the same of all members (`members_...`).

Data: tests/data/real_clips.json.gz, in the layout that `score FILE` reads, with a person's verdicts ("true").
Members of a clip: mirrored (left and right change places), played backwards, both, every second frame (two ways), every
third frame left out, frames left out at random, in a picture of half and of three times the size, detections shifted by
a hundredth of the picture, and the ends cut off by two frames; each at five thresholds of the detector's score. The
opposite of a true sentence is false, and is judged along.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.clips_file import Clip, read_clips
from spatialalign_core.detect import RULES, Detection
from spatialalign_core.files import atomic_write
from spatialalign_core.relations import RelationChange
from spatialalign_core.score import Score, obeys, score_tracks

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "data" / "real_clips.json.gz"
RESULT = HERE / "results" / "real_clips.json"
THRESHOLDS = (0.25, 0.35, 0.5)
MEMBER_THRESHOLDS = (0.25, 0.3, 0.35, 0.4, 0.5)
Truth = dict[RelationChange, bool]
Member = tuple[Clip, Truth]


def load(path: Path = DATA) -> list[Member]:
    """Clips with what a person says of each sentence; the opposite of a true one is false."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    data = json.loads(text)
    members = []
    for clip, raw in zip(read_clips(data, path), data["clips"], strict=True):
        truth = {RelationChange.parse(each["change"]): bool(each["true"]) for each in raw["sentences"]}
        for change in [change for change, true in truth.items() if true]:
            truth.setdefault(RelationChange(change.final, change.initial), False)
        members.append((clip, truth))
    return members


def mirrored(clip: Clip, truth: Truth) -> Member:
    def turned(box: np.ndarray) -> np.ndarray:
        return np.array([clip.width - box[2], box[1], clip.width - box[0], box[3]])

    swap = str.maketrans("LR", "RL")
    return _boxes(clip, turned), {
        RelationChange.parse(change.code.translate(swap)): true for change, true in truth.items()
    }


def backwards(clip: Clip, truth: Truth) -> Member:
    return replace(clip, found=clip.found[::-1]), {
        RelationChange(change.final, change.initial): true for change, true in truth.items()
    }


def frames(keep: Callable[[int], np.ndarray]) -> Callable[[Clip, Truth], Member]:
    """Only some frames: the number of frames -> indices."""

    def member(clip: Clip, truth: Truth) -> Member:
        return replace(clip, found=tuple(clip.found[i] for i in keep(len(clip.found)))), truth

    return member


def scaled(factor: float) -> Callable[[Clip, Truth], Member]:
    def member(clip: Clip, truth: Truth) -> Member:
        size = {side: round(getattr(clip, side) * factor) for side in ("width", "height")}
        return replace(_boxes(clip, lambda box: box * factor), **size), truth

    return member


def shaken(seed: int) -> Callable[[Clip, Truth], Member]:
    """Each box a little off, by a hundredth of its own sides."""

    def member(clip: Clip, truth: Truth) -> Member:
        rng = np.random.default_rng(seed)

        def off(box: np.ndarray) -> np.ndarray:
            return box + rng.normal(0, 0.01, 4) * np.tile(box[2:] - box[:2], 2)

        return _boxes(clip, off), truth

    return member


def both(clip: Clip, truth: Truth) -> Member:
    return backwards(*mirrored(clip, truth))


def _some(seed: int) -> Callable[[int], np.ndarray]:
    return lambda count: np.flatnonzero(np.random.default_rng(seed).random(count) > 0.15)


MEMBERS: dict[str, Callable[[Clip, Truth], Member]] = {
    "as it is": lambda clip, truth: (clip, truth),
    "mirrored": mirrored,
    "backwards": backwards,
    "mirrored and backwards": both,
    "every second frame": frames(lambda count: np.arange(0, count, 2)),
    "every other second frame": frames(lambda count: np.arange(1, count, 2)),
    "every third frame left out": frames(lambda count: np.flatnonzero(np.arange(count) % 3 != 1)),
    "frames left out at random": frames(_some(0)),
    "others left out at random": frames(_some(1)),
    "half the size": scaled(0.5),
    "three times the size": scaled(3.0),
    "boxes a little off": shaken(0),
    "two frames less at the ends": frames(lambda count: np.arange(2, count - 2)),
}


def judge(
    clip: Clip, truth: Truth, threshold: float, rule: str
) -> Iterator[tuple[RelationChange, bool, Score]]:
    """Sentence, a person's verdict and the score, of detections with at least that score."""
    found = tuple(tuple(one for one in each if one.confidence >= threshold) for each in clip.found)
    track = replace(clip, found=found).track(RULES[rule])
    yield from zip(truth, truth.values(), score_tracks([track] * len(truth), list(truth)), strict=True)


def count(members: list[Member], thresholds: tuple[float, ...], rule: str) -> dict[str, int]:
    """Sentences that are true or false, how many of them are judged otherwise, and clips that are INVALID."""
    total = dict.fromkeys(("true", "true_lost", "false", "false_obeyed", "clips", "invalid"), 0)
    for clip, truth in members:
        for threshold in thresholds:
            scores = list(judge(clip, truth, threshold, rule))
            for _, true, score in scores:
                total["true" if true else "false"] += 1
                total["true_lost" if true else "false_obeyed"] += obeys(score) != true
            total["clips"] += 1
            total["invalid"] += not scores[0][2].valid
    return total


def _boxes(clip: Clip, change: Callable[[np.ndarray], np.ndarray]) -> Clip:
    def moved(one: Detection) -> Detection:
        return replace(one, box=change(one.box))

    return replace(clip, found=tuple(tuple(moved(one) for one in each) for each in clip.found))


def _print_wrong(
    name: str, clip: Clip, truth: Truth, thresholds: tuple[float, ...], rule: str, all_: bool
) -> None:
    for threshold in thresholds:
        for change, true, score in judge(clip, truth, threshold, rule):
            wrong = obeys(score) != true
            if all_ or wrong:
                numbers = (
                    f"{score.dsr:.2f} {score.initial_ssr:.2f} {score.final_ssr:.2f} {' '.join(score.missed or ())}"
                    if score.valid
                    else score.reason
                )
                said = ("LOST" if true else "OBEYED") if wrong else ""
                print(f"{rule:9} {name:26} {clip.id:18} {threshold:4} {change} {true!s:5} {said:6} {numbers}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--table", action="store_true", help="print every verdict on the clips as they are")
    parser.add_argument("--wrong", action="store_true", help="print every wrong verdict of the default rule")
    parser.add_argument("--data", type=Path, default=DATA, help="another file of this layout")
    options = parser.parse_args()
    clips = load(options.data)
    if options.table:
        for rule in RULES:
            for clip, truth in clips:
                _print_wrong("as it is", clip, truth, THRESHOLDS, rule, all_=True)
    result: dict[str, object] = {"clips": len(clips), "thresholds": THRESHOLDS, "rules": {}}
    for rule in RULES:
        rows = {str(each): count(clips, (each,), rule) for each in THRESHOLDS}
        result["rules"][rule] = rows  # type: ignore[index]
        for each, row in rows.items():
            print(f"{rule:9} {each:>4} {row}")
    members = {}
    for name, change in MEMBERS.items():
        made = [change(clip, truth) for clip, truth in clips]
        if options.wrong:
            for clip, truth in made:
                _print_wrong(name, clip, truth, MEMBER_THRESHOLDS, "default", all_=False)
        members[name] = {rule: count(made, MEMBER_THRESHOLDS, rule) for rule in RULES}
        print(f"{name:28} default {members[name]['default']}")
    result |= {"members": members, "member_thresholds": MEMBER_THRESHOLDS}

    def total(rows: list[dict[str, int]], what: str) -> int:
        return sum(row[what] for row in rows)

    plain = list(result["rules"]["default"].values())  # type: ignore[index]
    derived = [row["default"] for row in members.values()]
    last = {
        f"{prefix}{what}": total(rows, what)
        for prefix, rows in (("", plain), ("members_", derived))
        for what in ("false", "false_obeyed", "true", "true_lost")
    }
    result |= last
    result["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }
    if options.data == DATA:
        atomic_write(RESULT, json.dumps(result, indent=2) + "\n")
    print(json.dumps(last))


if __name__ == "__main__":
    main()
