"""How good the bundled pocket pieces are: the video model on prompts it never saw, and the sprite detector on truth.

`python benchmarks/pocket.py [--prompts 48] [--seeds 5]`. One core. The last line is one JSON object:
valid, accuracy (at 0.7), seconds_per_clip, detector_box_iou, detector_mask_iou, wrong_identities.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.detect import load_detector
from spatialalign_core.detect.tracker import detect_track
from spatialalign_core.detect.validity import PUBLISHED
from spatialalign_core.generate import Job, generate
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from spatialalign_core.pocket.world import render
from spatialalign_core.prompts import build_prompts
from spatialalign_core.relations import CHANGES
from spatialalign_core.score import accuracy_at, score_track


def measure_model(prompts: int, seeds: int) -> dict[str, float]:
    model, detector = load_video_model("pocket", "cpu"), load_detector("sprites")
    held_out = build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=0, held_out_count=prompts, seed=0)
    by_id = {prompt.id: prompt for prompt in held_out}
    jobs = [Job(prompt.id, prompt.text, seed) for prompt in held_out for seed in range(seeds)]
    scores, started = [], time.process_time()
    spent = 0.0
    for sample in generate(model, jobs):
        spent += time.process_time() - started
        prompt = by_id[sample.job.prompt_id]
        track = detect_track(detector, sample.frames, prompt.subject, prompt.object, PUBLISHED)
        scores.append(score_track(track, prompt.change))
        started = time.process_time()
    return {
        "valid": float(np.mean([score.valid for score in scores])),
        "accuracy": float(accuracy_at(scores, 0.7)),
        "seconds_per_clip": spent / len(jobs),
    }


def measure_detector(clips: int) -> dict[str, float]:
    detector = load_detector("sprites")
    rng = np.random.default_rng(1)
    boxes, masks, wrong = [], [], 0
    for seed in range(clips):
        subject, other_subject = rng.choice(SUBJECTS, 2, replace=False)
        object, other_object = rng.choice(OBJECTS, 2, replace=False)
        clip = render(subject, object, SCENES[seed % 6], CHANGES[seed % 6], seed)
        track = detect_track(detector, clip.frames, subject, object, PUBLISHED, keep_masks=True)
        for found, true in (
            (track.subject_boxes, clip.subject_boxes),
            (track.object_boxes, clip.object_boxes),
        ):
            boxes += [box_iou(a, b) for a, b in zip(found, true, strict=True)]
        for found, true in (
            (track.subject_masks, clip.subject_masks),
            (track.object_masks, clip.object_masks),
        ):
            masks += list((found & true).sum((1, 2)) / (found | true).sum((1, 2)))
        wrong += sum(len(f) for f in detector.detect(clip.frames, [other_subject, other_object]))
    return {
        "detector_box_iou": float(np.mean(boxes)),
        "detector_mask_iou": float(np.mean(masks)),
        "wrong_identities": wrong,
    }


def box_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of two xyxy boxes; 0 where one is absent (NaN)."""
    if np.isnan(a).any() or np.isnan(b).any():
        return 0.0
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
    overlap = max(width, 0.0) * max(height, 0.0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return float(overlap / (areas - overlap))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=120, help="ground-truth clips for the detector")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, one thread;", end=" ")
    print(
        ", ".join(
            f"{name} {version(name)}" for name in ("torch", "diffusers", "transformers", "peft", "numpy")
        )
    )
    result = measure_model(options.prompts, options.seeds) | measure_detector(options.clips)
    print(json.dumps({name: round(value, 4) for name, value in result.items()}))


if __name__ == "__main__":
    main()
