"""Run folders for tests, written file by file in a moment: no model draws, no detector looks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from spatialalign_core.pairs import PairSettings, export_pairs
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import CHANGES
from spatialalign_core.run import BASE, Run
from spatialalign_core.run.choosing import choose
from spatialalign_core.run.samples import load_latents, video_digest, write_tensors
from spatialalign_core.run.scores import ScoreRow, write_scores
from spatialalign_core.score import Score
from spatialalign_core.video import write_video

MODEL = "f00d"
Rows = Mapping[str, Sequence[float | Score | None]]
HALF_WAY = Score(True, None, 0.75, 0.9, 0.1, 0.5, 0.5, 8)
"""Of a video that scores enough and does not end where its prompt says."""


def made_prompt(name: str, split: str = "train", number: int = 0) -> DsrPrompt:
    """A prompt that can be told apart from others by its name."""
    change = CHANGES[number % len(CHANGES)]
    text = (
        f"In {name}, a fox is {change.initial.place} a box, then the fox jumps {change.final.goal} the box."
    )
    return DsrPrompt(name, text, "fox", "box", change, f"in {name}", split)


def made_score(dsr: float | Score | None) -> Score:
    """None: INVALID."""
    if isinstance(dsr, Score):
        return dsr
    if dsr is None:
        return Score(False, "the fox is in no frame", None, None, None, None, None, 0)
    return Score(True, None, dsr, 0.5, 0.5, 0.5, 0.5, 8)


def make_run(folder: Path, sets: Mapping[str, Rows], held_out: Sequence[str] = (), steps: int = 0) -> Run:
    """A run with these scores. sets: set -> prompt id -> score of each seed. steps: of a training log."""
    run = Run(folder)
    ids = dict.fromkeys(prompt for rows in sets.values() for prompt in rows)
    run.write_prompts(
        [made_prompt(each, "held_out" if each in held_out else "train", n) for n, each in enumerate(ids)]
    )
    clips = [_clip(folder / f".clip-{number}.mp4", number) for number in range(4)]
    scored = []
    for set, rows in sets.items():
        for prompt, row in rows.items():
            for seed, dsr in enumerate(row):
                video = run.video_path(set, prompt, seed)
                video.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(clips[seed % len(clips)], video)
                scored.append(ScoreRow(set, prompt, seed, made_score(dsr), video_digest(video) or ""))
    write_scores(run.scores_file, scored)
    if steps:
        lines = [f"{n},{steps},{0.7 - 0.4 * n / steps},{n / steps},0.5" for n in range(1, steps + 1)]
        run.training_file.write_text("\n".join(["step,total,loss,margin,accuracy", *lines]) + "\n")
    return run


def export_made(run: Run) -> None:
    """The pairs of a made run, with latents and texts that mean nothing."""
    prompts, settings = run.prompts("train"), PairSettings()
    chosen = choose(run, prompts, settings, set())
    for key in chosen.rows:
        video = run.video_path(BASE, *key)
        metadata = {"model": MODEL, "video": video_digest(video) or "", "fingerprint": f"made {key[1]}"}
        write_tensors(video, {"latents": torch.zeros(2, 1, 4, 6)}, metadata)
    texts = {prompt.id: torch.zeros(3, 4) for prompt in prompts} | {"": torch.zeros(3, 4)}
    export_pairs(
        run.pairs_folder,
        chosen.selection,
        prompts,
        lambda prompt, seed: load_latents(run.video_path(BASE, prompt, seed)),
        texts,
        "made",
        MODEL,
    )


def _clip(path: Path, number: int) -> Path:
    """Eight frames of a square that goes to the right, its colour by number."""
    frames = np.full((8, 64, 96, 3), 200, dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[24:40, 8 + 10 * index : 24 + 10 * index] = np.roll((220, 60, 40), number)
    write_video(path, frames, 8)
    return path
