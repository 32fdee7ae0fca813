"""How good the pocket GroundingDINO and the pocket SAM 2 are, on sprite clips they never saw.

`python benchmarks/pocket_detector.py [--clips 120] [--grounding FOLDER] [--sam2 FOLDER] [--run RUN]`. One core. The
models are loaded and used as any other, by `load_detector`, `load_mask_tracker` and `detect_track`; clips are shown as
they are, through the video model's VAE, through an mp4 file, enlarged 2 to 4 times, or blurred and recoloured. The last
line is one JSON object: recall (at IoU 0.5), wrong_identity (share of detections that are not the noun they claim to
be, when half of the nouns asked for are absent), mask_iou (of tracks that SAM 2 follows from detected boxes, 0 where
there is none), score_mae (of the DSR-Score) and label_agreement (winner or loser at 0.7). Without a SAM 2 folder,
mask_iou is null.

With the run folder of a quickstart, the held-out videos that the pocket video model drew there are looked at too, and
compared with the colour detector, since nobody knows the truth about them.
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
from spatialalign_core.detect.validity import DEFAULT
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
from spatialalign_core.run.layout import RunLayout
from spatialalign_core.score import score_track
from spatialalign_core.tracks import Track
from spatialalign_core.video import read_video

_WEIGHTS = Path(__file__).resolve().parent.parent / "spatialalign_core" / "pocket" / "weights"
_FIRST_SEED = 10_000_019  # far from every seed that training is likely to draw
_TAU = 0.7
WAYS = ("plain", "vae", "mp4", "enlarged", "blurred")


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


def masks_of(track: Track, like: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Both masks of a track, bool (F, 2, H, W); empty where there are none."""
    if track.subject_masks is None or track.object_masks is None:
        return np.zeros_like(like)
    return np.stack([track.subject_masks, track.object_masks], 1)


def overlaps(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> list[float]:
    """IoU of masks (..., H, W) where at least one of the two is not empty."""
    union = (a | b).sum((-2, -1))
    ious: list[float] = ((a & b).sum((-2, -1))[union > 0] / union[union > 0]).tolist()
    return ious


def measure(
    detector: Detector, tracker: MaskTracker | None, clips: int
) -> tuple[dict[str, float | None], dict[str, float]]:
    """The figures over all clips, and further ones for reading."""
    vae = pocket_vae()
    found_of: dict[str, list[bool]] = {way: [] for way in WAYS}
    box_ious, wrong, detections, errors, agree, valid = [], 0, 0, [], [], []
    mask_ious: list[float] = []
    followed_errors = []
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

        if tracker:
            started = time.process_time()
            followed = detect_track(detector, frames, subject, object, DEFAULT, True, tracker)
            seconds["track"] += time.process_time() - started
            frames_seen["track"] += len(frames)
            true_masks = (
                np.stack([clip.subject_masks, clip.object_masks], 1).repeat(factor, 2).repeat(factor, 3)
            )
            mask_ious += overlaps(masks_of(followed, true_masks), true_masks)
            error = abs((score_track(followed, prompted).dsr or 0.0) - (true_score.dsr or 0.0))
            followed_errors.append(error)
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
        further["score MAE, boxes of the masks"] = float(np.mean(followed_errors))
    return figures, further


def compare(detector: Detector, run: Path) -> dict[str, float]:
    """How far `detector` agrees with the colour detector on the held-out videos of a run, before and after training.

    recall and box IoU: of the boxes that the colour detector found. score MAE: of videos that are valid to both.
    """
    layout, colours = RunLayout(run), load_detector("sprites")
    prompts = {prompt.id: prompt for prompt in layout.prompts("held_out")}
    keys = [key for set in ("base", "aligned") for key in layout.samples(set, "held_out")]
    ious: list[float] = []
    rows: list[tuple[float | None, float | None]] = []
    for key in keys:
        prompt = prompts[key.prompt_id]
        frames, _ = read_video(layout.video_path(key.set, key.prompt_id, key.seed))
        expected, found = (
            detect_track(each, frames, prompt.subject, prompt.object) for each in (colours, detector)
        )
        for a, b in (
            (expected.subject_boxes, found.subject_boxes),
            (expected.object_boxes, found.object_boxes),
        ):
            ious += [box_iou(x, y) for x, y in zip(a, b, strict=True) if np.isfinite(x).all()]
        rows.append((score_track(expected, prompt.change).dsr, score_track(found, prompt.change).dsr))
    winners = [[(score or 0.0) >= _TAU for score in row] for row in rows]
    return {
        "videos": len(rows),
        "recall": float(np.mean(np.array(ious) >= 0.5)),
        "box IoU": float(np.mean(ious)),
        "valid, colours": float(np.mean([a is not None for a, _ in rows])),
        "valid": float(np.mean([b is not None for _, b in rows])),
        "validity agrees": float(np.mean([(a is None) == (b is None) for a, b in rows])),
        "score MAE": float(np.mean([abs(a - b) for a, b in rows if a is not None and b is not None])),
        "accuracy@0.7, colours": float(np.mean([a for a, _ in winners])),
        "accuracy@0.7": float(np.mean([b for _, b in winners])),
        "label agreement": float(np.mean([a == b for a, b in winners])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--grounding", type=Path, default=_WEIGHTS / "grounding-dino-pocket")
    parser.add_argument("--sam2", type=Path, default=_WEIGHTS / "sam2-pocket")
    parser.add_argument("--run", type=Path, help="run folder of a quickstart whose videos are looked at too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = ("torch", "transformers", "numpy")
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread;", end=" ")
    print(", ".join(f"{name} {version(name)}" for name in names))
    tracker = load_mask_tracker(options.sam2, "cpu") if options.sam2.is_dir() else None
    detector = load_detector(options.grounding, "cpu")
    if options.run:
        for name, value in compare(detector, options.run).items():
            print(f"videos of the pocket video model, {name}: {value:.4g}")
    figures, further = measure(detector, tracker, options.clips)
    for name, value in further.items():
        print(f"{name}: {value:.4g}")
    print(json.dumps({n: None if v is None else round(v, 4) for n, v in figures.items()}))


if __name__ == "__main__":
    main()
