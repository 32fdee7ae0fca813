"""What can be known at the start is said at the start: before the first video is made, looked at or trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spatialalign_core.compare import ComparePlan, compare
from spatialalign_core.detect.base import Detection
from spatialalign_core.detect.loading import load_detector
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import GenerateSettings, VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.prompts import DsrPrompt, build_prompts
from spatialalign_core.relations import RelationChange
from spatialalign_core.run import Run, Side, checks
from spatialalign_core.run.rounds import RoundSettings

CLIP = GenerateSettings(height=32, width=48, num_frames=5, fps=8, steps=1, guidance_scale=1.0)


class Choosy:
    """Knows no elephant, and must never be shown a picture here."""

    name = "choosy"

    def check_nouns(self, nouns: Sequence[str]) -> None:
        unknown = [noun for noun in nouns if noun == "elephant"]
        if unknown:
            raise SpatialAlignError(f"no word for {unknown}")

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        raise AssertionError("a picture was looked at")


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One prompt to learn from and one that is held out, about an elephant."""
    run = Run(tmp_path / "run")
    change = RelationChange.parse("LR")
    prompts = [
        DsrPrompt(id, f"a {who} is left of a box, then right of it", who, "box", change, "", split=split)
        for id, who, split in (("a", "cat", "train"), ("b", "elephant", "held_out"))
    ]
    run.write_prompts(prompts)
    return run


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A LoRA of another model."""
    path = tmp_path / "strange.safetensors"
    save_file({"diffusion_model.blocks.99.self_attn.q.lora_A.weight": torch.ones(2, 7),
               "diffusion_model.blocks.99.self_attn.q.lora_B.weight": torch.ones(7, 2)}, path)  # fmt: skip
    return path


Case = Callable[[Run, VideoModel, Path], Any]
CASES: list[tuple[str, Case, str]] = [
    ("rounds with one video", lambda r, m, s: r.rounds(m, Choosy(), RoundSettings(seeds=1)), "at least 2 videos"),
    ("rounds with an elephant", lambda r, m, s: r.rounds(m, Choosy(), RoundSettings(generation=CLIP)), "elephant"),
    ("a LoRA that does not fit", lambda r, m, s: r.generate(m, 1, settings=CLIP, lora=s), "does not fit"),
    ("a LoRA that is not there", lambda r, m, s: r.generate(m, 1, settings=CLIP, lora=s / "x"), "There is no LoRA"),
    ("a size that is too small", lambda r, m, s: r.generate(m, 1, settings=_small()), "too small"),
    ("evaluation: LoRA", lambda r, m, s: r.check_evaluation(m, Choosy(), s, 1, CLIP), "does not fit"),
    ("evaluation: no LoRA", lambda r, m, s: r.check_evaluation(m, Choosy(), s / "x", 1, CLIP), "There is no LoRA"),
    ("compare: elephant", lambda r, m, s: _compared(r, m, Side(), Side(s)), "elephant"),
]  # fmt: skip


def _small() -> GenerateSettings:
    return GenerateSettings(height=4, width=4, num_frames=5, fps=8, steps=1, guidance_scale=1.0)


def _compared(run: Run, model: VideoModel, a: Side, b: Side) -> Iterator[Any]:
    for _, stage in compare(run, model, Choosy(), a, b, ComparePlan(seeds=1, settings=CLIP)):
        yield from stage


@pytest.mark.parametrize(("case", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_mistakes_are_said_before_the_first_video(
    run: Run, model: VideoModel, strange: Path, case: Case, words: str
) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        list(case(run, model, strange) or ())
    assert not list(run.folder.rglob("*.mp4"))


def test_nouns_of_all_prompts_are_checked_before_the_first_frame(run: Run, model: VideoModel) -> None:
    list(run.generate(model, 1, settings=CLIP, workers=1))
    with pytest.raises(SpatialAlignError, match="elephant"):
        list(run.detect(Choosy()))
    assert not (run.folder / "tracks").exists()


def test_a_full_disk_is_said_before_the_first_video(
    run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "free_disk", lambda _: 1000)
    with pytest.raises(SpatialAlignError, match=r"2 videos need about .* free on the disk of"):
        list(run.generate(model, 1, settings=CLIP))
    assert not list(run.folder.rglob("*.mp4"))


def test_a_file_in_the_place_of_the_videos_is_said(run: Run, model: VideoModel) -> None:
    (run.folder / "samples").write_text("in the way")
    with pytest.raises(SpatialAlignError, match="Cannot write the videos into"):
        list(run.generate(model, 1, settings=CLIP))


def test_what_is_there_already_needs_no_room(
    run: Run, model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(run.generate(model, 1, settings=CLIP, workers=1))
    monkeypatch.setattr(checks, "free_disk", lambda _: 0)
    news = list(run.generate(model, 1, settings=CLIP))
    assert news[-1].message == "2 of 2 videos are there already"


@pytest.mark.parametrize(
    ("nouns", "words"),
    [
        (
            ["fox", "traffic cone", "lion", "lion"],
            "no word for 'traffic cone', 'lion'; it knows only bird, box",
        ),
        ([f"thing{'abcdefghijkl'[n]}" for n in range(12)], "and 4 more"),
        (["box", "boxes", "the fox"], None),
    ],
)
def test_the_pocket_detector_names_all_that_it_does_not_know(nouns: list[str], words: str | None) -> None:
    detector: Any = load_detector("pocket", "cpu")
    if words is None:
        detector.check_nouns(nouns)
        return
    with pytest.raises(SpatialAlignError) as caught:
        detector.check_nouns(nouns)
    assert words in str(caught.value)
    listed = str(caught.value).partition("knows only ")[2].partition(".")[0].split(", ")
    assert {"a", "an", "the", "foxes"}.isdisjoint(listed)


def test_prompts_of_the_pocket_world_pass() -> None:
    from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS

    checks.check_words(load_detector("pocket", "cpu"), build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS))


def test_free_disk_is_that_of_where_the_folder_will_lie(tmp_path: Path) -> None:
    from spatialalign_core.run.estimate import free_disk

    free = free_disk(tmp_path / "not" / "yet")
    assert free is not None
    assert abs(free - shutil.disk_usage(tmp_path).free) < 2**30
