"""How many pair evaluations a held-out score costs: the `default` preset against the `published` one.

`python benchmarks/efficiency.py [--run FOLDER] [--seeds 3]`. The run folder keeps everything: stopped, it goes on.
The pairs come from one set of videos of the pocket model; every seed is a training run of its own (its LoRA's start,
its order of pairs, its noise). Both presets spend at most --evaluations pair evaluations; the published schedule
(warm-up 300 of 3 000 steps, cosine) is shortened in proportion, since its own 144 000 evaluations would take a CPU
half a day. It trains on the prompts' own pairs, as its authors do; the default on its own choice of pairs.

Held-out videos are looked at on the way (--prompts x --looks seeds, the same noise each time). Besides the two presets
the losses `dpo` and `sft` run with the default's other settings, for what they do to validity and colour.

Writes results/efficiency.json and efficiency.svg. The last line is one JSON object: pair_ratio (evaluations the
default needed to reach the published preset's final mean accuracy@0.7, over the published preset's), seeds, published
and default (their final accuracy).
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.detect import load_detector
from spatialalign_core.detect.base import Detector
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pairs import PairSettings
from spatialalign_core.progress import Progress
from spatialalign_core.quickstart import QuickstartPlan, plan_prompts
from spatialalign_core.run import BASE, Run
from spatialalign_core.run.held_out import HeldOutCheck
from spatialalign_core.score import accuracy_at
from spatialalign_core.train.settings import DEFAULT, PUBLISHED, TrainSettings
from spatialalign_core.video import read_video

RESULTS = Path(__file__).resolve().parent / "results"
TAU = 0.7


@dataclass(frozen=True)
class Arm:
    """One way to train: name, settings but for the seed, steps between two looks, and whose pairs."""

    name: str
    settings: TrainSettings
    every: int
    retell: bool
    seeds: int


@dataclass(frozen=True)
class Point:
    """One look: accuracy@0.7 and valid are shares of all videos, score is the mean DSR-Score (INVALID counts 0),
    saturation the mean of HSV's S in 0..1."""

    evaluations: int
    accuracy: float
    valid: float
    score: float
    saturation: float


def arms(evaluations: int, seeds: int, ablation_seeds: int) -> list[Arm]:
    steps = round(evaluations / PUBLISHED.pairs_per_step)
    warmup = max(1, round(PUBLISHED.warmup * steps / PUBLISHED.steps))
    published = replace(PUBLISHED, steps=steps, warmup=warmup)
    steps = round(evaluations / DEFAULT.pairs_per_step)
    default = replace(DEFAULT, steps=steps)
    return [
        Arm("published", published, -(-published.steps // 3), False, seeds),
        Arm("default", default, -(-steps // 17), True, seeds),
        Arm("dpo alone", replace(default, loss="dpo"), -(-steps // 4), True, ablation_seeds),
        Arm("sft", replace(default, loss="sft"), -(-steps // 4), True, ablation_seeds),
    ]


def show(label: str, stage: Iterator[Progress]) -> None:
    with tqdm(desc=label, unit="", leave=False, mininterval=5) as bar:
        for item in stage:
            bar.total, bar.n = item.total, item.done
            bar.set_postfix_str(item.message, refresh=False)
            bar.update(0)


def prepare(folder: Path, model: VideoModel, detector: Detector, plan: QuickstartPlan, looks: int) -> Run:
    """Videos, tracks and scores that every arm starts from."""
    run = Run(folder / "data")
    if not run.prompts_file.exists():
        run.write_prompts(plan_prompts(plan))
    show("training videos", run.generate(model, plan.train_seeds, "train"))
    show("held-out videos", run.generate(model, looks, "held_out"))
    show("detect", run.detect(detector, BASE))
    show("score", run.score(BASE))
    return run


def arm_run(data: Run, folder: Path, model: VideoModel, retell: bool) -> Run:
    """A run folder of its own with the prompts and pairs of `data`."""
    run = Run(folder)
    if not (folder / "ready").exists():
        show("pairs", data.export_pairs(model, PairSettings(retell=retell)))
        shutil.rmtree(folder, ignore_errors=True)
        run.write_prompts(data.prompts())
        shutil.copytree(data.pairs_folder, run.pairs_folder)
        (folder / "ready").touch()
    return run


def saturation(run: Run, set: str) -> float:
    """Mean of HSV's S over all videos of a set, 0..1."""
    means = []
    for key in run.samples(set, "held_out"):
        frames, _ = read_video(run.video_path(set, key.prompt_id, key.seed))
        means.append(
            np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 1].mean() for frame in frames]) / 255
        )
    return float(np.mean(means))


def start(data: Run, looks: int) -> Point:
    """The base itself, on the same held-out videos."""
    scores = [score for (_, seed), score in data.scores(BASE, "held_out").items() if seed < looks]
    mean = sum(score.dsr or 0.0 for score in scores if score.valid) / len(scores)
    valid = float(np.mean([score.valid for score in scores]))
    return Point(0, float(accuracy_at(scores, TAU)), valid, mean, saturation(data, BASE))


def curve(
    run: Run, model: VideoModel, arm: Arm, seed: int, check: HeldOutCheck, limit: int | None
) -> list[Point]:
    """Train one arm with one seed; limit: stop after so many pair evaluations, None for all."""
    settings = replace(arm.settings, seed=seed)
    training = run.train(model, settings, check=check)
    label = f"{arm.name}, seed {seed}"
    with tqdm(desc=label, total=settings.steps, leave=False, mininterval=10) as bar:
        for item in training:
            bar.n = item.done
            bar.update(0)
            rows = run.training_log()
            looked = [row for row in rows if "held_out_accuracy" in row]
            if limit and looked and looked[-1]["step"] * settings.pairs_per_step >= limit:
                training.close()
                break
    points = []
    for row in run.training_log():
        if "held_out_accuracy" in row:
            step = int(row["step"])
            numbers = (row["held_out_accuracy"], row["held_out_valid"], row["held_out_score"])
            colour = saturation(run, f"step-{step:06d}")
            points.append(Point(step * settings.pairs_per_step, *numbers, colour))
    return points


def first_reaching(points: list[Point], accuracy: float) -> int | None:
    return next((point.evaluations for point in points if point.accuracy >= accuracy), None)


def pair_ratio(curves: dict[str, list[list[Point]]]) -> float | None:
    """Mean evaluations the default needed over the published ones; None when one of its runs never got there."""
    published = curves["published"]
    goal = float(np.mean([points[-1].accuracy for points in published]))
    needed = [first_reaching(points, goal) for points in curves["default"]]
    if any(each is None for each in needed):
        return None
    return float(np.mean([each for each in needed if each is not None])) / published[0][-1].evaluations


def figure(curves: dict[str, list[list[Point]]]) -> str:
    """Accuracy, validity and saturation against pair evaluations, one line an arm (mean over seeds), as SVG."""
    colours = {"published": "#7f7f7f", "default": "#1f77b4", "dpo alone": "#d62728", "sft": "#ff7f0e"}
    panels = (("accuracy", "accuracy@0.7"), ("valid", "valid"), ("saturation", "colour saturation"))
    width, height, left, bottom = 300, 220, 46, 36
    last = max(point.evaluations for runs in curves.values() for points in runs for point in points)
    parts = []
    for index, (name, title) in enumerate(panels):
        means = {
            arm: [
                (group[0].evaluations, float(np.mean([getattr(p, name) for p in group])))
                for group in zip(*runs, strict=False)
            ]
            for arm, runs in curves.items()
        }
        values = [value for line in means.values() for _, value in line]
        low, high = (0.0, 1.0) if name != "saturation" else (0.9 * min(values), 1.1 * max(values))
        origin = index * width + left

        def at(
            evaluations: float, value: float, origin: int = origin, low: float = low, high: float = high
        ) -> str:
            x = origin + evaluations / last * (width - left - 12)
            return f"{x:.1f},{height - bottom - (value - low) / (high - low) * (height - bottom - 30):.1f}"

        parts.append(f'<text x="{origin}" y="18" font-weight="bold">{title}</text>')
        for value in (low, (low + high) / 2, high):
            x, y = at(0, value).split(",")
            end = at(last, value).split(",")[0]
            parts.append(f'<path d="M{x} {y}H{end}" stroke="#ddd"/>')
            parts.append(
                f'<text x="{origin - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
            )
        parts.append(f'<text x="{origin}" y="{height - 12}">0</text>')
        right = at(last, low).split(",")[0]
        parts.append(f'<text x="{right}" y="{height - 12}" text-anchor="end">{last} pair evaluations</text>')
        for arm, line in means.items():
            points = " ".join(at(*point) for point in line)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colours[arm]}" stroke-width="2"/>'
            )
    for index, (arm, colour) in enumerate(colours.items()):
        x = left + index * 130
        parts.append(f'<path d="M{x} {height + 8}h24" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 30}" y="{height + 12}">{arm}</text>')
    body = "".join(parts)
    box = f"0 0 {3 * width} {height + 24}"
    style = 'font-family="sans-serif" font-size="11" style="background:#fff"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {style}>{body}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("runs/efficiency"), help="where the runs are kept")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--evaluations", type=int, default=DEFAULT.steps * DEFAULT.pairs_per_step)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ablation-seeds", type=int, default=1)
    parser.add_argument("--train-prompts", type=int, default=QuickstartPlan.train_prompts)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--looks", type=int, default=2, help="seeds a held-out prompt is looked at with")
    parser.add_argument(
        "--share",
        type=float,
        default=0.375,
        help="of the evaluations the default runs to, but for its first seed",
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()

    model, detector = load_video_model(options.model), load_detector("pocket")
    plan = QuickstartPlan(train_prompts=options.train_prompts, held_out_prompts=options.prompts)
    data = prepare(options.run, model, detector, plan, options.looks)
    first = start(data, options.looks)
    curves: dict[str, list[list[Point]]] = {}
    for arm in arms(options.evaluations, options.seeds, options.ablation_seeds):
        check = HeldOutCheck(detector, every=arm.every, prompts=options.prompts, seeds=options.looks)
        for seed in range(arm.seeds):
            folder = options.run / f"{arm.name.replace(' ', '-')}-{seed}"
            run = arm_run(data, folder, model, arm.retell)
            limit = round(options.share * options.evaluations) if arm.name == "default" and seed else None
            points = [first, *curve(run, model, arm, seed, check, limit)]
            curves.setdefault(arm.name, []).append(points)
            print(
                f"{arm.name}, seed {seed}: " + ", ".join(f"{p.evaluations} {p.accuracy:.3f}" for p in points),
                flush=True,
            )

    packages = ("torch", "diffusers", "transformers", "peft")
    result = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {model.device}",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "tau": TAU,
        "held_out": [options.prompts, options.looks],
        "pair_ratio": pair_ratio(curves),
        "seeds": options.seeds,
        "published": float(np.mean([points[-1].accuracy for points in curves["published"]])),
        "default": float(np.mean([points[-1].accuracy for points in curves["default"]])),
        "curves": {arm: [[vars(p) for p in points] for points in runs] for arm, runs in curves.items()},
    }
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "efficiency.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.results / "efficiency.svg").write_text(figure(curves), encoding="utf-8")
    print(json.dumps({name: result[name] for name in ("pair_ratio", "seeds", "published", "default")}))


if __name__ == "__main__":
    main()
