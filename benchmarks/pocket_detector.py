"""How good the pocket GroundingDINO and the pocket SAM 2 are, on sprite clips they never saw.

`python benchmarks/pocket_detector.py [--clips 120] [--grounding FOLDER] [--sam2 FOLDER]`. One core. The models are
loaded and used as any other, by `load_detector` and `load_mask_tracker`; clips are shown as they are, through the video
model's VAE, through an mp4 file, enlarged 2 to 4 times, or blurred and recoloured. The last line is one JSON object:
recall (at IoU 0.5), wrong_identity (share of detections that are not the noun they claim to be, when half of the nouns
asked for are absent), mask_iou (of tracks seeded with detected boxes), score_mae (of the DSR-Score) and
label_agreement (winner or loser at 0.7). Without a SAM 2 folder, mask_iou is null.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.detect import Detector, MaskTracker, detect_track, load_detector
from spatialalign_core.detect.loading import load_mask_tracker
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS
from spatialalign_core.pocket.detector.pictures import (
    disturb,
    enlarged,
    pocket_vae,
    recolour,
    through_mp4,
)
from spatialalign_core.pocket.world import Clip, render
from spatialalign_core.relations import CHANGES
from spatialalign_core.score import score_track
from spatialalign_core.tracks import Track

_WEIGHTS = Path(__file__).resolve().parent.parent / "spatialalign_core" / "pocket" / "weights"
_FIRST_SEED = 10_000_019  # far from every seed that training is likely to draw
_TAU = 0.7
WAYS = ("plain", "vae", "mp4", "enlarged", "blurred")


def follow(tracker: MaskTracker, frames: NDArray[np.uint8], seed: int, boxes: NDArray[np.float64]) -> Any:
    """Masks bool (F, N, H, W) of N things whose boxes (N, 4) are known in frame `seed`."""
    masks = np.zeros((len(frames), len(boxes), *frames.shape[1:3]), dtype=bool)
    for index, found, _ in tracker.track(frames, seed, boxes):
        masks[index] = found
    return masks


def shown(frames: NDArray[np.uint8], way: str, rng: np.random.Generator, vae: Any) -> tuple[Any, int]:
    """The clip as a detector may get it, and how many times larger it is."""
    if way == "vae":
        return vae(frames), 1
    if way == "mp4":
        return through_mp4(frames), 1
    if way == "enlarged":
        factor = int(rng.integers(2, 5))
        return enlarged(frames, factor), factor
    if way == "blurred":
        height, count, width = frames.shape[1], len(frames), frames.shape[2]
        strip = frames.transpose(1, 0, 2, 3).reshape(1, height, count * width, 3)
        coloured = recolour(strip, rng).astype(np.uint8).reshape(height, count, width, 3)
        return disturb(np.ascontiguousarray(coloured.transpose(1, 0, 2, 3)), rng, lambda same: same), 1
    return frames, 1


def true_track(clip: Clip, subject: str, object: str) -> Track:
    """The track that a faultless detector would find."""
    count, height, width = clip.frames.shape[:3]
    there = np.isfinite(clip.subject_boxes).all(1) & np.isfinite(clip.object_boxes).all(1)
    return Track(
        subject, object, width, height, clip.subject_boxes, clip.object_boxes, np.ones(count), np.ones(count),
        tuple(None if each else "hidden" for each in there),
    )  # fmt: skip


def box_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """IoU of two xyxy boxes; 0 where one is absent (NaN)."""
    if np.isnan(a).any() or np.isnan(b).any():
        return 0.0
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    overlap = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return float(overlap / (areas - overlap))


def measure(
    detector: Detector, tracker: MaskTracker | None, clips: int
) -> tuple[dict[str, float | None], dict[str, float]]:
    """The figures over all clips, and further ones for reading."""
    vae = pocket_vae()
    found_of: dict[str, list[bool]] = {way: [] for way in WAYS}
    box_ious, wrong, detections, errors, agree, valid, mask_ious = [], 0, 0, [], [], [], []
    seconds = {"detect": 0.0, "track": 0.0}
    frames_seen = {"detect": 0, "track": 0}
    for number in range(clips):
        rng = np.random.default_rng((_FIRST_SEED, number))
        subject, absent_subject = (str(noun) for noun in rng.choice(SUBJECTS, 2, replace=False))
        object, absent_object = (str(noun) for noun in rng.choice(OBJECTS, 2, replace=False))
        prompted, drawn = (CHANGES[rng.integers(len(CHANGES))] for _ in range(2))
        drawn = prompted if rng.random() < 0.5 else drawn
        clip = render(subject, object, str(rng.choice(SCENES)), drawn, _FIRST_SEED + number)
        way = WAYS[number % len(WAYS)]
        frames, factor = shown(clip.frames, way, rng, vae)
        truth = {subject: clip.subject_boxes * factor, object: clip.object_boxes * factor}

        for absent in (
            (absent_subject, absent_object),
            (),
        ):  # with strangers in the prompt, and as it is used
            nouns = [subject, object, *absent]
            started = time.process_time()
            found = list(detector.detect(frames, nouns))
            seconds["detect"] += time.process_time() - started
            frames_seen["detect"] += len(frames)
            for index, row in enumerate(found):
                detections += len(row)
                for each in row:
                    true = truth.get(each.noun)
                    wrong += true is None or box_iou(each.box, true[index]) < 0.5
        for noun, boxes in truth.items():
            for index, row in enumerate(found):
                if np.isnan(boxes[index]).any():
                    continue
                best = max((box_iou(d.box, boxes[index]) for d in row if d.noun == noun), default=0.0)
                found_of[way].append(best >= 0.5)
                box_ious.append(best)

        track = detect_track(detector, frames, subject, object)
        score, true_score = (
            score_track(track, prompted),
            score_track(true_track(clip, subject, object), prompted),
        )
        valid.append(score.dsr is not None)
        if score.dsr is not None:
            errors.append(abs(score.dsr - (true_score.dsr or 0.0)))
        agree.append(((score.dsr or 0.0) >= _TAU) == ((true_score.dsr or 0.0) >= _TAU))

        both = np.isfinite(track.subject_boxes).all(1) & np.isfinite(track.object_boxes).all(1)
        if tracker and both.any():
            seed = int(np.flatnonzero(both)[both.sum() // 2])
            started = time.process_time()
            boxes = np.stack([track.subject_boxes[seed], track.object_boxes[seed]])
            masks = follow(tracker, frames, seed, boxes)
            seconds["track"] += time.process_time() - started
            frames_seen["track"] += len(frames)
            true_masks = np.stack([clip.subject_masks, clip.object_masks], 1)
            large = true_masks.repeat(factor, 2).repeat(factor, 3)
            union = (masks | large).sum((2, 3))
            mask_ious += ((masks & large).sum((2, 3))[union > 0] / union[union > 0]).tolist()
    everything = [each for row in found_of.values() for each in row]
    figures: dict[str, float | None] = {
        "recall": float(np.mean(everything)),
        "wrong_identity": wrong / max(detections, 1),
        "mask_iou": float(np.mean(mask_ious)) if mask_ious else None,
        "score_mae": float(np.mean(errors)),
        "label_agreement": float(np.mean(agree)),
    }
    further = {f"recall, {way}": float(np.mean(row)) for way, row in found_of.items() if row}
    further |= {"box IoU": float(np.mean(box_ious)), "valid clips": float(np.mean(valid))}
    further |= {
        f"frames a second, {name}": frames_seen[name] / spent for name, spent in seconds.items() if spent
    }
    if mask_ious:
        further["mask IoU, worst twentieth"] = float(np.quantile(mask_ious, 0.05))
    return figures, further


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--grounding", type=Path, default=_WEIGHTS / "grounding-dino-pocket")
    parser.add_argument("--sam2", type=Path, default=_WEIGHTS / "sam2-pocket")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ("torch", "transformers", "numpy")
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread;", end=" ")
    print(", ".join(f"{name} {version(name)}" for name in names))
    tracker = load_mask_tracker(options.sam2, "cpu") if options.sam2.is_dir() else None
    figures, further = measure(load_detector(options.grounding, "cpu"), tracker, options.clips)
    for name, value in further.items():
        print(f"{name}: {value:.4g}")
    print(json.dumps({n: None if v is None else round(v, 4) for n, v in figures.items()}))


if __name__ == "__main__":
    main()
