"""How many pair evaluations a held-out score costs: the `default` preset against the `published` one.

`python benchmarks/efficiency.py [--run FOLDER] [--seeds 3] [--workers 2]`. The run folder keeps everything: stopped, it
goes on; results are written anew after every training run. The pairs come from one set of videos of the pocket model;
every seed is a training run of its own (its LoRA's start, its order of pairs, its noise).

The published preset spends --evaluations pair evaluations; its schedule (warm-up 300 of 3 000 steps, cosine) is
shortened in proportion, since its own 144 000 would take a CPU half a day. It trains on the prompts' own pairs, as its
authors do; the default on its own choice of pairs. `published, rate 3e-3` and `rate 1e-2` are the published recipe with
the one change that a user would try first, a faster learning rate; the second is the default's own. The losses `dpo`
and `sft` run with the default's other settings, for what they do to validity and colour. Held-out videos are looked at
on the way (--prompts x --looks seeds, the same noise each time).

Then each part of the default goes elsewhere, alone, for so few evaluations that the default itself is on its way.

Writes results/efficiency.json and efficiency.svg. The last line is one JSON object: pair_ratio (evaluations the
default's mean curve needs to reach the published preset's final mean accuracy@0.7, over the published preset's),
pair_ratio_tuned (the same against the published recipe at each of those rates; null where the default never gets
there), seeds, published, tuned and default (their final accuracies).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from efficiency_figure import Curves, Point, figure, mean_line
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.detect import load_detector
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
OWN, RETOLD = PairSettings(retell=False), PairSettings()
TUNED = {"published, rate 3e-3": 3e-3, "published, rate 1e-2": 1e-2}

FACTORS: dict[str, tuple[dict[str, Any], PairSettings]] = {
    "default": ({}, RETOLD),
    "pairs: the prompts' own only (published)": ({}, OWN),
    "pairs: margin at least 0.5": ({}, replace(RETOLD, min_margin=0.5)),
    "pairs: counted by their margin": ({"margin_weight": 1.0}, RETOLD),
    "noise: the same for both": ({"noise": "shared"}, RETOLD),
    "noise: the loser's own": ({"noise": "loser"}, RETOLD),
    "noise levels: above 0.6, anchors elsewhere": ({"sigma_min": 0.6, "anchor_share": 0.2}, RETOLD),
    "beta 100, ZO weight 50, no clip": ({"beta": 100.0, "zo_weight": 50.0, "clip": None}, RETOLD),
    "ZO weight 2": ({"zo_weight": 2.0}, RETOLD),
    "targets: cross-attention k, v (published)": ({"targets": "published"}, RETOLD),
    "rank 4": ({"rank": 4, "alpha": 4.0}, RETOLD),
    "learning rate 3e-3": ({"learning_rate": 3e-3}, RETOLD),
    "loss: DPO + ZO + SFT": ({"loss": "dpo+zo+sft"}, RETOLD),
    "loss: SFT": ({"loss": "sft"}, RETOLD),
}


@dataclass(frozen=True)
class Arm:
    """One way to train. settings: all but the seed. every: steps between two looks. looks: seeds a prompt is looked at
    with."""

    group: str
    name: str
    settings: TrainSettings
    pairs: PairSettings
    every: int
    looks: int

    def folder(self, root: Path, seed: int) -> Path:
        letters = "".join(letter if letter.isalnum() else "-" for letter in f"{self.group} {self.name}")
        return root / f"{letters}-{seed}"


def main_arms(evaluations: int, looks: int) -> list[Arm]:
    steps = round(evaluations / PUBLISHED.pairs_per_step)
    warmup = max(1, round(PUBLISHED.warmup * steps / PUBLISHED.steps))
    published = replace(PUBLISHED, steps=steps, warmup=warmup)
    third, quarter, half = -(-steps // 3), -(-DEFAULT.steps // 4), -(-DEFAULT.steps // 2)
    return [
        Arm("main", "default", DEFAULT, RETOLD, quarter, looks),
        Arm("main", "published", published, OWN, third, looks),
        *(
            Arm("main", name, replace(published, learning_rate=rate, warmup=3), OWN, third, looks)
            for name, rate in TUNED.items()
        ),
        Arm("main", "dpo alone", replace(DEFAULT, loss="dpo"), RETOLD, half, looks),
        Arm("main", "sft", replace(DEFAULT, loss="sft"), RETOLD, half, looks),
    ]


def factor_arms(evaluations: int) -> list[Arm]:
    steps = round(evaluations / DEFAULT.pairs_per_step)
    return [
        Arm("factors", name, replace(DEFAULT, steps=steps, **change), pairs, steps, 1)
        for name, (change, pairs) in FACTORS.items()
    ]


def show(label: str, stage: Iterator[Progress]) -> None:
    with tqdm(desc=label, unit="", leave=False, mininterval=5) as bar:
        for item in stage:
            bar.total, bar.n = item.total, item.done
            bar.set_postfix_str(item.message, refresh=False)
            bar.update(0)


def prepare(folder: Path, model: VideoModel, plan: QuickstartPlan, looks: int) -> Run:
    """Videos, tracks and scores that every arm starts from."""
    run = Run(folder / "data")
    if not run.prompts_file.exists():
        run.write_prompts(plan_prompts(plan))
    show("training videos", run.generate(model, plan.train_seeds, "train"))
    show("held-out videos", run.generate(model, looks, "held_out"))
    show("detect", run.detect(load_detector("pocket"), BASE))
    show("score", run.score(BASE))
    return run


def give_pairs(data: Run, model: VideoModel, root: Path, arms: list[tuple[Arm, int]]) -> None:
    """Each training run's folder, with the prompts and pairs of `data`."""
    exported: PairSettings | None = None
    for arm, seed in sorted(arms, key=lambda job: repr(job[0].pairs)):
        folder = arm.folder(root, seed)
        if (folder / "ready").exists():
            continue
        if exported != arm.pairs:
            show("pairs", data.export_pairs(model, arm.pairs))
            exported = arm.pairs
        shutil.rmtree(folder, ignore_errors=True)
        run = Run(folder)
        run.write_prompts(data.prompts())
        shutil.copytree(data.pairs_folder, run.pairs_folder, copy_function=os.link)
        (folder / "ready").touch()


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


def train(root: Path, model_name: str, arm: Arm, seed: int, prompts: int, threads: int) -> list[Point]:
    """The looks of one training run, begun or gone on with. Runs in a process of its own."""
    torch.set_num_threads(threads)
    run, model = Run(arm.folder(root, seed)), load_video_model(model_name)
    settings = replace(arm.settings, seed=seed)
    check = HeldOutCheck(
        load_detector("pocket"), every=arm.every, prompts=prompts, seeds=arm.looks, workers=1
    )
    for _ in run.train(model, settings, check=check):
        pass
    points = []
    for row in run.training_log():
        if "held_out_accuracy" in row:
            step = int(row["step"])
            numbers = (row["held_out_accuracy"], row["held_out_valid"], row["held_out_score"])
            colour = saturation(run, f"step-{step:06d}")
            points.append(Point(step * settings.pairs_per_step, *numbers, colour))
    return points


def pair_ratio(curves: Curves, baseline: str) -> float | None:
    """Evaluations after which the default's mean curve has the baseline's final mean accuracy, over the baseline's.

    At least up to its first look, since a baseline that learns nothing is reached by doing nothing.
    None when the default never gets there, or one of the two has not run.
    """
    if baseline not in curves or "default" not in curves:
        return None
    goal = final(curves, baseline)
    reached = (at for at, accuracy in mean_line(curves["default"], "accuracy")[1:] if accuracy >= goal)
    needed = next(reached, None)
    return None if needed is None else needed / curves[baseline][0][-1].evaluations


def final(curves: Curves, name: str) -> float:
    """Mean accuracy after all evaluations, over the seeds."""
    return float(np.mean([points[-1].accuracy for points in curves[name]]))


def factor_rows(runs: Curves) -> dict[str, Any]:
    """Of each factor: final accuracy of every seed, their mean, and the mean validity."""
    rows: dict[str, Any] = {}
    for name, points in runs.items():
        ends = [each[-1] for each in points]
        rows[name] = {
            "accuracy": [round(point.accuracy, 4) for point in ends],
            "mean": round(float(np.mean([point.accuracy for point in ends])), 4),
            "valid": round(float(np.mean([point.valid for point in ends])), 4),
        }
    return rows


def write(options: argparse.Namespace, first: Point, finished: dict[tuple[Arm, int], list[Point]]) -> dict:
    """Results so far, as files and as what the last line says."""
    groups: dict[str, dict[str, list[list[Point]]]] = {"main": {}, "factors": {}}
    for (arm, _), points in sorted(finished.items(), key=lambda item: (item[0][0].name, item[0][1])):
        groups[arm.group].setdefault(arm.name, []).append([first, *points])
    order = [arm.name for arm in main_arms(options.evaluations, options.looks)]
    curves = {name: groups["main"][name] for name in order if name in groups["main"]}
    ends = {name: final(curves, name) for name in curves}
    tuned = [name for name in TUNED if name in ends]
    headline = {
        "pair_ratio": pair_ratio(curves, "published"),
        "pair_ratio_tuned": {name: pair_ratio(curves, name) for name in tuned},
        "seeds": options.seeds,
        "published": ends.get("published"),
        "tuned": {name: ends[name] for name in tuned},
        "default": ends.get("default"),
    }
    packages = ("torch", "diffusers", "transformers", "peft")
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {options.workers} training runs at a time",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "tau": TAU,
        "held_out": {"main": [options.prompts, options.looks], "factors": [options.prompts, 1]},
        **headline,
        "factor_evaluations": options.factor_evaluations,
        "factors": factor_rows(groups["factors"]),
        "curves": {arm: [[vars(p) for p in points] for points in runs] for arm, runs in curves.items()},
    }
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "efficiency.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (options.results / "efficiency.svg").write_text(figure(curves), encoding="utf-8")
    return headline


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path("runs/efficiency"), help="where the runs are kept")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--evaluations", type=int, default=4160, help="of the published preset")
    parser.add_argument("--factor-evaluations", type=int, default=320, help="of the default taken apart")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ablation-seeds", type=int, default=1, help="of the losses dpo and sft")
    parser.add_argument("--workers", type=int, default=2, help="training runs at a time")
    parser.add_argument("--train-prompts", type=int, default=QuickstartPlan.train_prompts)
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument("--looks", type=int, default=2, help="seeds a held-out prompt is looked at with")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def jobs(options: argparse.Namespace) -> list[tuple[Arm, int]]:
    """All training runs, what matters most first."""
    main = main_arms(options.evaluations, options.looks)
    presets, rest = main[:2], main[2:]
    tuned, ablations = rest[: len(TUNED)], rest[len(TUNED) :]
    factors = factor_arms(options.factor_evaluations)
    return [
        *((arm, seed) for seed in range(options.seeds) for arm in presets),
        *((arm, seed) for seed in range(options.ablation_seeds) for arm in ablations),
        *((arm, seed) for seed in range(options.seeds) for arm in tuned),
        *((arm, seed) for seed in range(options.seeds) for arm in factors),
    ]


def run_all() -> None:
    options = parse()
    model = load_video_model(options.model)
    plan = QuickstartPlan(train_prompts=options.train_prompts, held_out_prompts=options.prompts)
    data = prepare(options.run, model, plan, options.looks)
    first, todo = start(data, options.looks), jobs(options)
    give_pairs(data, model, options.run, todo)
    threads = max(1, (os.cpu_count() or 1) // options.workers)
    finished: dict[tuple[Arm, int], list[Point]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
        futures = {
            pool.submit(train, options.run, options.model, arm, seed, options.prompts, threads): (arm, seed)
            for arm, seed in todo
        }
        for future in as_completed(futures):
            arm, seed = futures[future]
            finished[arm, seed] = future.result()
            looks = ", ".join(f"{p.evaluations} {p.accuracy:.3f} ({p.valid:.3f})" for p in future.result())
            print(f"{arm.group}: {arm.name}, seed {seed}: {looks}", flush=True)
            headline = write(options, first, finished)
    print(json.dumps(headline))


if __name__ == "__main__":
    run_all()
