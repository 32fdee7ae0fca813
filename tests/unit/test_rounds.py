"""Self-improvement rounds on the untrained pocket pipeline: repeated, killed, cancelled, prolonged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from spatialalign_core.cli import main
from spatialalign_core.detect.base import Detection
from spatialalign_core.draw import curve
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import GenerateSettings, VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pairs import PairSettings, load_pairs
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from spatialalign_core.prompts import build_prompts
from spatialalign_core.report.page import _rounds
from spatialalign_core.report.text import round_shares
from spatialalign_core.run import Progress, Run
from spatialalign_core.run.round_log import Round, best_round, read_rounds, stopped_rising, write_rounds
from spatialalign_core.run.rounds import RoundSettings
from spatialalign_core.score import GOOD, accuracy_at, obey_share
from spatialalign_core.train.plans import FAST
from spatialalign_core.train.preflight import Estimate
from spatialalign_core.train.settings import DEFAULT

CLIP = GenerateSettings(height=32, width=48, num_frames=5, fps=8, steps=1, guidance_scale=1.0)
TRAINING = replace(DEFAULT, steps=3, rank=2, alpha=2.0, pairs_per_step=2, warmup=0, checkpoint_every=1)
SETTINGS = RoundSettings(
    rounds=2, patience=2, seeds=3, held_out_seeds=1, training=TRAINING, pairs=PairSettings(threshold=0.5, retell=False),
    generation=CLIP, batch_size=6,
)  # fmt: skip


class RednessDetector:
    """Sees the subject walk from left to right in reddish clips, the other way in the rest: both kinds in any noise."""

    name = "redness"

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        subject, object = nouns
        means = frames.reshape(-1, 3).mean(0)
        way = 1 if means[0] >= means[1] else -1
        for place in np.linspace(-way, way, len(frames)):
            box = np.array([40 + 30 * place, 40, 50 + 30 * place, 50.0])
            yield [Detection(subject, box, 0.9), Detection(object, np.array([40, 40, 50, 50.0]), 0.9)]


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.fixture(autouse=True, scope="module")
def no_preflight() -> Iterator[None]:
    """Half a second each time; test_memory looks after it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spatialalign_core.run.training.plan_training", lambda *_: Estimate(FAST, 0, 0))
        yield


def rounds(run: Run, model: VideoModel, settings: RoundSettings = SETTINGS) -> Iterator[Progress]:
    return run.rounds(model, RednessDetector(), settings, workers=1)


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: VideoModel, snapshots: Path) -> Path:
    """A run folder after two rounds; on the way its state at some moments, as a killed process would leave it."""
    run = Run(tmp_path_factory.mktemp("run") / "run")
    run.write_prompts(build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=2, held_out_count=1))
    seen: dict[str, int] = {}
    for item in rounds(run, model):
        moment = item.message.split(":")[0].replace(", ", "-").replace(" ", "-")
        seen[moment] = seen.get(moment, 0) + 1
        if (moment, seen[moment]) in MOMENTS:
            shutil.copytree(run.folder, snapshots / moment)
    return run.folder


MOMENTS = [
    ("round-1-train", 4),
    ("round-1-score", 3),
    ("round-2-pairs", 1),
    ("round-2-train", 4),
]


def outcome(folder: Path) -> dict[str, Any]:
    """What must not depend on how often the work was interrupted."""
    loras = {path.name: load_file(path) for path in sorted(folder.glob("lora/*.safetensors"))}
    return {
        "rounds": (folder / "rounds.json").read_text(),
        "scores": (folder / "scores.csv").read_text(),
        "loras": {n: {k: v.numpy().tobytes() for k, v in t.items()} for n, t in loras.items()},
        "pairs": {str(p.relative_to(folder)): p.read_text() for p in folder.glob("rounds/*/pairs/*.jsonl")},
    }


def test_every_round_stays(finished: Path) -> None:
    run = Run(finished)
    found = run.finished_rounds()
    assert [each.number for each in found] == [0, 1, 2]
    assert found[0].lora is None and found[0].pairs == 0
    assert [each.pairs for each in found[1:]] == [
        len(load_pairs(finished / "rounds" / f"{n:02d}" / "pairs")) for n in (1, 2)
    ]
    for each in found:
        videos = list(
            run.scores("base" if each.number == 0 else f"round-{each.number:02d}", "held_out").values()
        )
        assert (each.held_out_accuracy, each.held_out_obey) == (accuracy_at(videos, GOOD), obey_share(videos))
    train, held_out = run.prompts("train"), run.prompts("held_out")
    # Each round has seeds of its own; what its LoRA makes of held-out prompts lies beside them.
    assert [key.seed for key in run.samples("base", "train")] == [0, 1, 2] * len(train)
    assert [key.seed for key in run.samples("round-01", "train")] == [3, 4, 5] * len(train)
    for set in ("base", "round-01", "round-02"):
        assert [key.prompt_id for key in run.samples(set, "held_out")] == [p.id for p in held_out]
    with safe_open(run.lora_path("round-02"), "pt") as file:
        assert file.metadata()["continued_from"] == "round-01.safetensors"
    best = best_round(found[1:])
    kept, expected = load_file(run.lora_path()), load_file(run.lora_path(f"round-{best.number:02d}"))
    assert all(kept[name].equal(expected[name]) for name in expected)


def test_videos_of_earlier_rounds_make_pairs_too(finished: Path) -> None:
    pairs = load_pairs(finished / "rounds/02/pairs").pairs
    assert any(
        min(pair.winner_seed, pair.loser_seed) < 3 <= max(pair.winner_seed, pair.loser_seed) for pair in pairs
    )


def test_finished_rounds_are_not_done_again(
    finished: Path, model: VideoModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = outcome(finished)
    for stage in ("generate_stage", "detect_stage", "score_stage", "pairs_stage", "train_lora"):
        monkeypatch.setattr(f"spatialalign_core.run.rounds.{stage}", None)
    news = list(rounds(Run(finished), model))
    assert [item.message for item in news[:-1] if not item.warning] == [
        f"round {n}: is done already" for n in range(3)
    ]
    assert outcome(finished) == before


@pytest.mark.parametrize("moment", [moment for moment, _ in MOMENTS])
def test_killed_at_any_moment(finished: Path, model: VideoModel, snapshots: Path, moment: str) -> None:
    run = Run(snapshots / moment)
    assert not (run.folder / "rounds.json").exists() or len(run.finished_rounds()) < 3
    list(rounds(run, model))
    assert outcome(run.folder) == outcome(finished)


def test_cancel_within_a_step_and_more_rounds_later(
    finished: Path, model: VideoModel, tmp_path: Path
) -> None:
    run = Run(shutil.copytree(finished, tmp_path / "run"))
    before = run.finished_rounds()
    longer = replace(SETTINGS, rounds=3, patience=3)
    stage, steps = rounds(run, model, longer), 0
    for item in stage:
        steps += item.message.startswith("round 3, train: loss")
        assert not item.message.startswith(("round 1,", "round 2,"))
        if steps == 2:
            stage.close()  # type: ignore[attr-defined]
            break
    assert list(run.folder.glob("lora/checkpoints/round-03-*/step-000002.safetensors"))
    assert run.finished_rounds() == before
    news = list(rounds(run, model, longer))
    assert any("going on after step 2" in item.message for item in news)
    assert run.finished_rounds()[:3] == before and len(run.finished_rounds()) == 4


def test_a_lost_lora_is_made_again(finished: Path, model: VideoModel, tmp_path: Path) -> None:
    run = Run(shutil.copytree(finished, tmp_path / "run"))
    run.lora_path("round-01").unlink()
    list(rounds(run, model))
    assert outcome(run.folder) == outcome(finished)


def test_other_settings_begin_anew(finished: Path, model: VideoModel, tmp_path: Path) -> None:
    run = Run(shutil.copytree(finished, tmp_path / "run"))
    other = replace(SETTINGS, training=replace(TRAINING, steps=1), rounds=1)
    messages = [item.message for item in rounds(run, model, other)]
    assert not any("is done already" in text for text in messages)
    assert len(run.finished_rounds()) == 2


def row(number: int, score: float) -> Round:
    return Round(number, score, score, 1.0, held_out_obey=score / 2)


@pytest.mark.parametrize(
    ("scores", "patience", "best", "stops"),
    [
        ([0.3], 1, 0, False),
        ([0.3, 0.4], 1, 1, False),
        ([0.3, 0.4, 0.4], 1, 1, True),
        ([0.3, 0.2], 1, 0, True),
        ([0.3, 0.4, 0.3], 2, 1, False),
        ([0.3, 0.4, 0.3, 0.39], 2, 1, True),
        ([0.3, 0.4, 0.3, 0.5], 2, 3, False),
    ],
)
def test_when_to_stop(scores: list[float], patience: int, best: int, stops: bool) -> None:
    found = [row(number, score) for number, score in enumerate(scores)]
    assert best_round(found).number == best
    assert stopped_rising(found, patience) is stops


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 9, "rounds": []}', '{"format": 1, "rounds": [{}]}']
)
def test_damaged_numbers_count_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "rounds.json").write_text(text)
    assert read_rounds(tmp_path / "rounds.json") == []


def test_numbers_read_back(tmp_path: Path) -> None:
    found = [row(0, 0.1), replace(row(1, 1 / 3), obeyed=0.5, pairs=7, lora="abc", origin="def")]
    write_rounds(tmp_path / "rounds.json", found)
    assert read_rounds(tmp_path / "rounds.json") == found


def test_rounds_of_version_0_1_open(tmp_path: Path) -> None:
    """They know accuracy@0.7 alone, and are shown under that name."""
    old = {
        "number": 0, "held_out_score": 0.5, "held_out_accuracy": 0.25, "held_out_valid": 1.0, "obeyed": None,
        "pairs": 0, "lora": None, "origin": "x",
    }  # fmt: skip
    (tmp_path / "rounds.json").write_text(json.dumps({"format": 1, "rounds": [old, old | {"number": 1}]}))
    found = read_rounds(tmp_path / "rounds.json")
    assert [each.held_out_obey for each in found] == [None, None]
    mixed = [asdict(each) for each in (*found, row(2, 0.5))]
    assert round_shares(mixed) == ("share that scores at least 0.7", [0.25, 0.25, 0.5])
    assert round_shares(mixed[2:]) == ("share that obeys", [0.25])
    assert "share that scores at least 0.7" in _rounds(mixed) and "share that obeys" not in _rounds(mixed)


@pytest.mark.parametrize("name", ["rounds", "patience", "seeds", "held_out_seeds", "batch_size"])
def test_nothing_at_all_is_refused(name: str) -> None:
    with pytest.raises(SpatialAlignError, match=f"{name} must be at least 1"):
        replace(SETTINGS, **{name: 0})


def test_charts_show_every_round() -> None:
    found = [asdict(row(number, score)) for number, score in enumerate((0.25, 0.5, 0.4))]
    page = _rounds(found)
    assert page.count("<circle") == 6 and "Round by round" in page and "0.500" in page
    assert _rounds(found[:1]) == ""
    series = [("score", [0.25, 0.5, 0.4])]
    assert (curve(series, "t", "round", counted=True) != curve(series, "t", "round")).any()


def test_rounds_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts", str(tmp_path), "--count", "1"]) == 0
    assert main(["rounds", str(tmp_path)]) == 2
    assert "no prompts in the split 'held_out'" in capsys.readouterr().err
    assert main(["prompts", str(tmp_path), "--count", "1", "--held-out", "1"]) == 0
    for arguments, words in (
        (["--rounds", "0"], "rounds must be at least 1"),
        (["--rule", "none"], "There is no rule"),
        (["--preset", "best"], "There is no preset"),
    ):
        assert main(["rounds", str(tmp_path), *arguments]) == 2
        assert words in capsys.readouterr().err
    assert json.loads("[]") == [asdict(each) for each in Run(tmp_path).finished_rounds()]
