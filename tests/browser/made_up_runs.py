"""Run folders for the browser to show, written without a model: a long one that is finished, and one that "trains"."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spatialalign_core.pocket.world import render
from spatialalign_core.prompts import DsrPrompt, write_prompts
from spatialalign_core.relations import CHANGES
from spatialalign_core.run.control import Health
from spatialalign_core.run.layout import RunLayout
from spatialalign_core.run.lock import locked
from spatialalign_core.run.note import write_note
from spatialalign_core.run.round_log import Round, write_rounds
from spatialalign_core.run.scores import ScoreRow, write_scores
from spatialalign_core.run.workflow_file import keep_workflow
from spatialalign_core.score import Score
from spatialalign_core.video import write_video

EVIL = "<img src=x onerror=alert(1)>"
_COLUMNS = "step,total,loss,margin,accuracy,seconds,held_out_score"


def finished_run(folder: Path, steps: int, looks: int, prompts: int) -> RunLayout:
    """steps rows of a log, and `looks` looks at `prompts` held-out prompts; one of them has an evil name."""
    layout = RunLayout(folder)
    folder.mkdir(parents=True)
    names = [EVIL, *(f"prompt-{number}" for number in range(1, prompts))]
    write_prompts(layout.prompts_file, [_prompt(name, index) for index, name in enumerate(names)])
    clips = _clips(folder.parent)
    every = steps // looks
    rows = []
    for step in range(0, steps + 1, every):
        for index, name in enumerate(names):
            video = layout.video_path(f"step-{step:06d}", name, 0)
            video.parent.mkdir(parents=True)
            shutil.copyfile(clips[(index + step // every) % len(clips)], video)
            dsr = 0.3 + 0.6 * step / steps if index % 5 else None
            rows.append(ScoreRow(f"step-{step:06d}", name, 0, _score(dsr), ""))
    write_scores(layout.scores_file, rows)
    lines = [_COLUMNS, *(_line(step, steps, step % every == 0) for step in range(1, steps + 1))]
    layout.training_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    layout.control.tell("finished", steps, steps, "fast")
    return layout


def with_rounds(layout: RunLayout, scores: Sequence[float]) -> None:
    """Rounds that reached these held-out scores, the first before any training."""
    write_rounds(
        layout.rounds_file,
        [Round(n, score, 1.0, 1.0, pairs=40 * n, held_out_obey=score) for n, score in enumerate(scores)],
    )


def many_runs(root: Path, count: int = 30) -> None:
    """A few weeks of runs: trained or not, with results, notes and a workflow or without, and one long name."""
    notes = ("", "lower learning rate", "first with 48 prompts\nsecond line", "", "for the talk: best so far")
    for number in range(count):
        name = (
            f"night {number:02d}"
            if number % 7
            else f"fox and box {number:02d}, rank 16, learning rate 1e-4, seed 3"
        )
        steps = 0 if number % 5 == 4 else 60 + 10 * number
        layout = finished_run(root / name, max(steps, 60), 1, 3)
        if not steps:
            layout.training_file.unlink()
            shutil.rmtree(layout.control.folder)
        write_note(layout.folder, notes[number % len(notes)])
        if number % 3 == 0 and steps:
            before, after = 0.3 + number / 100, 0.6 + number / 80
            said = {"base": before, "aligned": after, "obey_base": before, "obey_aligned": after}
            layout.report_json.write_text(
                json.dumps(said | {"settings": {"model": "wan-pocket"}}), encoding="utf-8"
            )
            layout.report_html.write_text(
                "<!doctype html><title>Report</title><p>A report.", encoding="utf-8"
            )
        if number % 2:
            node = {"id": 1, "type": "SpatialAlign_Generate", "pos": [0, 0], "size": [300, 300], "flags": {},
                    "order": 0, "mode": 0, "inputs": [], "outputs": [], "properties": {},
                    "widgets_values": [name]}  # fmt: skip
            graph = {"last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "groups": [], "config": {},
                     "extra": {}, "version": 0.4}  # fmt: skip
            keep_workflow(layout.folder, graph)
        lora = layout.lora_path()
        lora.parent.mkdir(parents=True, exist_ok=True)
        lora.write_bytes(bytes(3_000_000 * (number % 4)))
        for place in layout.folder.iterdir():
            os.utime(place, (1_790_000_000 + 40_000 * number,) * 2)


@contextlib.contextmanager
def training_run(folder: Path, total: int = 500, seconds: float = 0.2) -> Iterator[RunLayout]:
    """Holds the folder and writes a step now and then, answering requests as a training does."""
    layout = RunLayout(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    layout.training_file.write_text(_COLUMNS + "\n", encoding="utf-8")

    def train() -> None:
        step = 0
        with locked(folder):
            while step < total and not ended.is_set() and not layout.control.asked("stop"):
                health = Health((total - step) * seconds, 3_200_000_000, 16_000_000_000, "cpu")
                if layout.control.asked("pause"):
                    layout.control.tell("paused", step, total, "fast", health)
                else:
                    layout.control.tell("training", step, total, "fast", health)
                    step += 1
                    with layout.training_file.open("a", encoding="utf-8") as log:
                        log.write(_line(step, total, False) + "\n")
                layout.control.answered("save")
                time.sleep(seconds)
            layout.control.answered("stop")
            layout.control.tell("stopped", step, total, "fast")

    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    try:
        yield layout
    finally:
        ended.set()
        thread.join(10)


def _clips(folder: Path) -> list[Path]:
    """One small video for each relation change."""
    clips = []
    for index, change in enumerate(CHANGES):
        clip = folder / f".clip-{index}.mp4"
        if not clip.exists():
            write_video(clip, render("fox", "box", "in a meadow", change, index, 9).frames, 8)
        clips.append(clip)
    return clips


def _prompt(name: str, index: int) -> DsrPrompt:
    change = CHANGES[index % len(CHANGES)]
    text = (
        f"In a meadow, a fox is {change.initial.place} a box, then the fox jumps {change.final.goal} the box."
    )
    return DsrPrompt(name, name if name == EVIL else text, "fox", "box", change, "in a meadow", "held_out")


def _score(dsr: float | None) -> Score:
    reason = None if dsr is not None else "only 1 of 9 frames show both; at least 3 are needed"
    return Score(dsr is not None, reason, dsr, dsr, dsr, dsr, dsr, 9)


def _line(step: int, total: int, look: bool) -> str:
    wave = (step * 7919 % 101) / 100 - 0.5
    held = f"{0.3 + 0.4 * step / total + wave / 20}" if look else ""
    return f"{step},{total},{0.7 - 0.5 * step / total + wave / 5},{step / total + wave},{0.7 + wave / 2},1.3,{held}"
