"""Makes the templates' thumbnails from real output: `python tests/browser/thumbnails.py [RUN_FOLDER]`.

RUN_FOLDER is that of a finished Quickstart, for example ComfyUI's output/spatialalign/quickstart; without one the
Quickstart's thumbnail stays as it is.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from spatialalign_core.best import pick_best
from spatialalign_core.detect.loading import load_detector
from spatialalign_core.detect.tracker import detect_track
from spatialalign_core.detect.validity import DEFAULT
from spatialalign_core.draw import annotate, chart
from spatialalign_core.draw_tracks import draw_tracks
from spatialalign_core.pocket.world import render
from spatialalign_core.relations import RelationChange
from spatialalign_core.run import Run
from spatialalign_core.score import Score, obeys, score_track
from spatialalign_core.tracks import Track
from spatialalign_core.video import read_video

PACK = Path(__file__).resolve().parents[2]
_SIZE = 640
_PAPER, _INK = (252, 252, 250), (32, 32, 30)
_WINNER, _LOSER = (34, 140, 80), (200, 70, 50)
_CORNER = (350, 84)  # the top left, where ComfyUI puts a badge


def main() -> None:
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else None)


def make(run: Path | None) -> None:
    """All thumbnails. run: a finished Quickstart's folder."""
    if run:
        _save(_quickstart(Run(str(run))), "Quickstart")
    _save(_score_a_video(), "Score a video")
    _save(_detect_a_video(), "Detect a video")
    _save(_best_of_n(), "Best of N with ComfyUI's own Wan nodes")
    _save(_collect_samples(), "Collect samples from ComfyUI's own Wan nodes")
    _save(_evaluate_a_lora(), "Evaluate a LoRA")
    _save(_more_rounds(), "Continue with another round")
    _save(_align_wan(), "Align Wan2.1-1.3B on one GPU")


def _quickstart(run: Run) -> Image.Image:
    """The same prompt and noise before and after training, where training helped most."""
    base, aligned = (run.scores(each, "held_out") for each in ("base", "aligned"))
    both = [
        key
        for key in base.keys() & aligned.keys()
        if base[key].dsr is not None and aligned[key].dsr is not None
    ]
    best = max(sorted(both), key=lambda key: (aligned[key].dsr or 0) - (base[key].dsr or 0))
    picture = Image.new("RGB", (_SIZE, _SIZE), _PAPER)
    draw = ImageDraw.Draw(picture)
    change = next(prompt.change for prompt in run.prompts("held_out") if prompt.id == best[0])
    _title(draw, f"First {change.initial.place},\nthen {change.final.goal}")
    for row, (each, scores, word) in enumerate((("base", base, "before"), ("aligned", aligned, "after"))):
        y = 90 + row * 275
        words = f"{word} training: score {scores[best].dsr:.2f}"
        draw.text((20, y), words, _INK, ImageFont.load_default(26))
        frames, _ = read_video(run.video_path(each, *best))
        for column, frame in enumerate(frames[np.linspace(1, len(frames) - 2, 3).round().astype(int)]):
            tile = Image.fromarray(frame).crop((40, 0, 344, 256)).resize((196, 196), Image.Resampling.LANCZOS)
            picture.paste(tile, (20 + column * 202, y + 40))
    return picture


def _score_a_video() -> Image.Image:
    """Frames with boxes above the chart."""
    change = RelationChange.parse("LR")
    frames = render("fox", "box", "in a meadow", change, 0).frames.repeat(4, 1).repeat(4, 2)
    track = detect_track(load_detector("sprites"), frames, "fox", "box")
    picture = Image.new("RGB", (_SIZE, _SIZE), _PAPER)
    for column, index in enumerate((1, 8, 16)):
        frame = annotate(frames[index : index + 1], _only(track, index), 256)[0]
        tile = Image.fromarray(frame).crop((24, 0, 360, 256)).resize((204, 155), Image.Resampling.LANCZOS)
        picture.paste(tile, (10 + column * 208, _CORNER[1] + 6))
    graph = Image.fromarray(chart(track, change, score_track(track, change), 640, 380))
    picture.paste(graph, (0, 260))
    return picture


def _detect_a_video() -> Image.Image:
    """One frame near the end of the annotated video, with the way that led there."""
    change = RelationChange.parse("LR")
    frames = render("fox", "box", "in a meadow", change, 0, 36).frames.repeat(4, 1).repeat(4, 2)
    track = detect_track(load_detector("sprites"), frames, "fox", "box", DEFAULT, keep_masks=True)
    tile = Image.fromarray(list(draw_tracks(frames, track, change))[24])
    picture = Image.new("RGB", (_SIZE, _SIZE), _PAPER)
    tile.thumbnail((_SIZE, _SIZE), Image.Resampling.LANCZOS)
    picture.paste(tile, ((_SIZE - tile.width) // 2, _SIZE - tile.height))
    return picture


def _best_of_n() -> Image.Image:
    """Four videos of one sentence with their scores; the best is framed."""
    clips = [_clip(code, seed) for seed, code in enumerate(("RL", "LT", "LR", "TL"))]
    scores = [score for _, score in clips]
    best = pick_best(scores)
    words = [_scored(score) for score in scores]
    return _rows("Left of, then right of", [frames for frames, _ in clips], words, {best: _WINNER})


def _collect_samples() -> Image.Image:
    """Videos of four seeds, told apart as winners and losers."""
    clips = [_clip(code, seed) for seed, code in enumerate(("LR", "RL", "LR", "LT"))]
    good = [obeys(score) for _, score in clips]
    words = [f"seed {seed}: {'winner' if won else 'loser'}" for seed, won in enumerate(good)]
    frame = {index: _WINNER if won else _LOSER for index, won in enumerate(good)}
    return _rows("Your videos\nas pairs", [frames for frames, _ in clips], words, frame)


def _evaluate_a_lora() -> Image.Image:
    """Clips of the same seeds, as they could be without and with a LoRA that helps."""
    clips = [_clip(code, seed) for code, seed in (("LT", 1), ("LR", 1), ("RL", 2), ("LR", 2))]
    words = [
        f"{word}: {_scored(score)}" for word, (_, score) in zip(("without", "with") * 2, clips, strict=True)
    ]
    return _rows("Does the LoRA help?", [frames for frames, _ in clips], words, {1: _WINNER, 3: _WINNER})


def _more_rounds() -> Image.Image:
    """A clip a round, as they could come from a model that learns from its own videos."""
    clips = [_clip(code, seed) for seed, code in enumerate(("RL", "LT", "TR", "LR"))]
    words = [f"round {number}: {_scored(score)}" for number, (_, score) in enumerate(clips, 1)]
    return _rows("Another round,\nand another", [frames for frames, _ in clips], words, {3: _WINNER})


def _align_wan() -> Image.Image:
    """What the loop does, in four steps."""
    steps = ("1 generate", "2 detect", "3 score and pair", "4 train, evaluate")
    good, bad = (_clip(code, seed) for code, seed in (("LR", 3), ("RL", 4)))
    found = detect_track(load_detector("sprites"), good[0], "fox", "box")
    picture = Image.new("RGB", (_SIZE, _SIZE), _PAPER)
    draw = ImageDraw.Draw(picture)
    _title(draw, "Wan2.1 1.3B:\nthe whole loop")
    for row, step in enumerate(steps):
        draw.text((20, 90 + row * 140), step, _INK, ImageFont.load_default(24))
    boxes = annotate(good[0], found, 256)
    rows = [(good[0], None, 90), (boxes, None, 230), (good[0], _WINNER, 364), (bad[0], _LOSER, 449)]
    for frames, colour, y in rows:
        height = 78 if colour else 120
        for column, frame in enumerate(frames[np.linspace(1, len(frames) - 2, 3).round().astype(int)]):
            tile = Image.fromarray(frame).crop((24, 0, 360, 256))
            width = round(height * tile.width / tile.height)
            picture.paste(tile.resize((width, height), Image.Resampling.LANCZOS), (262 + column * 122, y))
        if colour:
            draw.rectangle((256, y - 3, 262 + 2 * 122 + width + 6, y + height + 3), outline=colour, width=4)
    draw.text((262, 536), "a LoRA for ComfyUI's own\nLoad LoRA, and a report\nof before and after", _INK,
              ImageFont.load_default(26))  # fmt: skip
    return picture


def _clip(code: str, seed: int) -> tuple[np.ndarray, Score]:
    """A sprite clip that obeys `code`, and its score as one that was asked to go from left to right."""
    frames = (
        render("fox", "box", "in a meadow", RelationChange.parse(code), seed).frames.repeat(4, 1).repeat(4, 2)
    )
    track = detect_track(load_detector("sprites"), frames, "fox", "box")
    return frames, score_track(track, RelationChange.parse("LR"))


def _scored(score: Score) -> str:
    return "INVALID" if score.dsr is None else f"score {score.dsr:.2f}"


def _rows(
    title: str, clips: list[np.ndarray], words: list[str], framed: dict[int, tuple[int, int, int]]
) -> Image.Image:
    """Three frames of each clip in a row, its words beside them, a frame around some rows."""
    picture = Image.new("RGB", (_SIZE, _SIZE), _PAPER)
    draw = ImageDraw.Draw(picture)
    _title(draw, title)
    for row, frames in enumerate(clips):
        y = _CORNER[1] + 8 + row * 137
        for column, frame in enumerate(frames[np.linspace(1, len(frames) - 2, 3).round().astype(int)]):
            tile = Image.fromarray(frame).crop((24, 0, 360, 256)).resize((158, 120), Image.Resampling.LANCZOS)
            picture.paste(tile, (20 + column * 162, y))
        colour = framed.get(row, _INK)
        draw.text((516, y + 60), words[row].replace(": ", "\n"), colour, ImageFont.load_default(22), "lm")
        if row in framed:
            draw.rectangle((14, y - 6, _SIZE - 8, y + 126), outline=colour, width=5)
    return picture


def _title(draw: ImageDraw.ImageDraw, text: str) -> None:
    """At the top right, as large as there is room beside the corner that stays free."""
    fonts = (ImageFont.load_default(size) for size in range(30, 10, -1))
    room = _SIZE - 20 - _CORNER[0]
    font = next(each for each in fonts if draw.multiline_textbbox((0, 0), text, each)[2] <= room)
    draw.multiline_text((_SIZE - 20, _CORNER[1] / 2), text, _INK, font, "rm", align="right")


def _only(track: Track, index: int) -> Track:
    """The track of one frame."""
    names = ("subject_boxes", "object_boxes", "subject_confidences", "object_confidences", "frame_reasons")
    return replace(track, bridged=(), **{name: getattr(track, name)[index : index + 1] for name in names})


def _save(picture: Image.Image, name: str) -> None:
    picture.save(PACK / "workflows" / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main()
