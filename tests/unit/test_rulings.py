"""Pairs kept or dropped by hand: what they do to the choice, the file, and the export that takes no model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatialalign_core.cli import main
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pair_choice import choose_pairs
from spatialalign_core.pair_settings import PairSettings
from spatialalign_core.pairs import load_pairs
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from spatialalign_core.prompts import build_prompts
from spatialalign_core.rulings import Ruling, add_ruling, read_rulings, remove_ruling
from spatialalign_core.run import Progress, Run
from spatialalign_core.score import Score
from spatialalign_core.tracks import Track, write_track


def score(dsr: float | None) -> Score:
    if dsr is None:
        return Score(False, "nothing was found", None, None, None, None, None, 0)
    return Score(True, None, dsr, 0.5, 0.5, 0.0, 0.0, 20)


def ruling(winner: int, loser: int, keep: bool, told: str = "", prompt: str = "a") -> Ruling:
    return Ruling(prompt, winner, loser, told, keep, f"video {winner}", f"video {loser}")


ROW = [0.9, 0.8, 0.3, 0.1, None]


@pytest.mark.parametrize(
    ("settings", "rulings", "expected"),
    [
        pytest.param({}, [], [(0, 3), (1, 3), (0, 2), (1, 2)], id="nothing by hand"),
        pytest.param({}, [ruling(0, 3, False)], [(1, 3), (0, 2), (1, 2)], id="dropped"),
        pytest.param({}, [ruling(0, 3, True)], [(0, 3), (1, 3), (0, 2), (1, 2)], id="kept, as chosen anyway"),
        pytest.param({"min_margin": 0.7}, [ruling(1, 2, True)], [(0, 3), (1, 3), (1, 2)], id="kept though close"),
        pytest.param({"min_margin": 0.75}, [ruling(0, 1, True)], [(0, 3), (0, 1)], id="kept though both win"),
        pytest.param(
            {"max_pairs_per_prompt": 1}, [ruling(1, 2, True)], [(0, 3), (1, 2)], id="kept on top of the most"
        ),
        pytest.param({"max_pairs_per_prompt": 1}, [ruling(0, 3, False)], [(1, 3)], id="the next one moves up"),
        pytest.param({"mode": "best_worst"}, [ruling(0, 3, False)], [(0, 2)], id="the next best and worst"),
        pytest.param(
            {}, [ruling(3, 0, True)], [(1, 3), (0, 2), (1, 2), (3, 0)], id="kept the other way round"
        ),
        pytest.param({}, [ruling(0, 4, True)], [(0, 3), (1, 3), (0, 2), (1, 2)], id="INVALID cannot be kept"),
        pytest.param({}, [ruling(0, 9, True)], [(0, 3), (1, 3), (0, 2), (1, 2)], id="a video that is gone"),
        pytest.param({}, [ruling(0, 3, False, prompt="b")], [(0, 3), (1, 3), (0, 2), (1, 2)], id="elsewhere"),
        pytest.param({}, [ruling(0, 3, False, "RL")], [(0, 3), (1, 3), (0, 2), (1, 2)], id="another text"),
    ],
)  # fmt: skip
def test_the_eye_has_the_last_word(
    settings: dict[str, Any], rulings: list[Ruling], expected: list[tuple[int, int]]
) -> None:
    scores = {("a", seed): score(dsr) for seed, dsr in enumerate(ROW)}
    selection = choose_pairs(scores, PairSettings(**settings), None, rulings)
    assert [(pair.winner_seed, pair.loser_seed) for pair in selection.pairs] == expected


def test_pairs_under_another_text_are_ruled_on_by_themselves() -> None:
    scores = {("a", seed): score(dsr) for seed, dsr in enumerate([0.9, 0.1])}
    retold = {("a", "RL"): {0: score(0.2), 1: score(0.8)}}
    selection = choose_pairs(scores, PairSettings(), retold, [ruling(1, 0, False, "RL")])
    assert [pair.told for pair in selection.pairs] == [""]
    assert (selection.counts["a"].dropped, selection.counts["a"].kept) == (1, 0)


@pytest.mark.parametrize(
    ("rulings", "words"),
    [
        ([ruling(0, 2, True)], ["4 pairs", "By hand: 1 kept."]),
        ([ruling(0, 3, False), ruling(0, 1, True)], ["4 pairs", "By hand: 1 kept, 1 dropped."]),
        (
            [ruling(winner, loser, False) for winner in (0, 1) for loser in (2, 3)],
            ["No pairs", "1 prompt had their pairs dropped by hand", "keep some", "By hand: 4 dropped."],
        ),
    ],
)
def test_the_explanation_tells_of_it(rulings: list[Ruling], words: list[str]) -> None:
    selection = choose_pairs({("a", seed): score(dsr) for seed, dsr in enumerate(ROW)}, rulings=rulings)
    for word in words:
        assert word in selection.explanation


def test_rulings_are_written_replaced_and_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "rulings.json"
    assert read_rulings(path) == ()
    first, second = ruling(0, 1, True, prompt="<img src=x onerror=alert(1)>"), ruling(2, 1, False)
    add_ruling(path, first)
    add_ruling(path, second)
    assert read_rulings(path) == (first, second)
    turned = ruling(1, 2, True)
    add_ruling(path, turned)  # about the same two videos
    assert read_rulings(path) == (first, turned)
    remove_ruling(path, second.key)
    assert read_rulings(path) == (first,)
    assert [each.name for each in tmp_path.iterdir()] == ["rulings.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        '{"format": 9, "rulings": []}',
        '{"format": 1, "rulings": [{"keep": 1}]}',
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "rulings.json").write_text(text)
    with pytest.raises(SpatialAlignError, match=r"rulings\.json"):
        read_rulings(tmp_path / "rulings.json")


def work(stage: Iterator[Progress]) -> str:
    return list(stage)[-1].message


def _walks(way: float) -> Track:
    """A subject that goes to the right (1) or to the left (-1)."""
    places = np.linspace(-way, way, 17)
    boxes = np.stack([40 + 30 * places, 0 * places + 40, 50 + 30 * places, 0 * places + 50], 1)
    still = np.tile([40.0, 40, 50, 50], (17, 1))
    return Track("cat", "box", 96, 64, boxes, still, np.ones(17), np.ones(17), (None,) * 17, None)


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, model: VideoModel) -> Path:
    """A run with one prompt of two obedient and two disobedient videos, and its pairs."""
    run = Run(tmp_path_factory.mktemp("run") / "exported")
    run.write_prompts(build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=2, held_out_count=1))
    work(run.generate(model, 4, "train", batch_size=4, workers=1))
    for prompt in run.prompts("train"):
        work(run.detect(_Blind(), split="train"))
        way = {"LR": 1, "RL": -1}.get(prompt.change.code, 1)
        for seed in range(4):
            path = run.track_path("base", prompt.id, seed)
            print_ = json.loads(path.read_text())["fingerprint"]
            write_track(path, _walks(way if seed < 2 else -way), print_)
    work(run.score(split="train"))
    work(run.export_pairs(model, PairSettings(threshold=0.5)))
    return run.folder


class _Blind:
    """Finds nothing; the tracks are then written by hand."""

    name = "blind"

    def detect(self, frames: np.ndarray, nouns: Any) -> Iterator[list[Any]]:
        return iter([[] for _ in frames])


@pytest.fixture
def run(exported: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(exported, tmp_path / "run"))


def test_a_ruling_reaches_the_export_and_its_fingerprint(run: Run, model: VideoModel) -> None:
    before = load_pairs(run.pairs_folder)
    pair = before.pairs[0]
    run.rule_pair(pair.prompt_id, pair.winner_seed, pair.loser_seed, False, pair.told)
    assert "By hand: 1 dropped." in work(run.export_again())
    dropped = load_pairs(run.pairs_folder)
    assert dropped.pairs == before.pairs[1:] and dropped.fingerprint != before.fingerprint
    made = (run.pairs_folder / "train.jsonl").stat().st_mtime_ns
    work(run.export_pairs(model, PairSettings(threshold=0.5)))  # the model would do just the same
    assert (run.pairs_folder / "train.jsonl").stat().st_mtime_ns == made
    run.rule_pair(pair.prompt_id, pair.winner_seed, pair.loser_seed, None, pair.told)
    work(run.export_again())
    assert load_pairs(run.pairs_folder).fingerprint == before.fingerprint


def test_keeping_what_is_chosen_anyway_changes_the_fingerprint_alone(run: Run) -> None:
    before = load_pairs(run.pairs_folder)
    pair = before.pairs[0]
    run.rule_pair(pair.prompt_id, pair.winner_seed, pair.loser_seed, True, pair.told)
    work(run.export_again())
    after = load_pairs(run.pairs_folder)
    assert after.pairs == before.pairs and after.fingerprint != before.fingerprint


def test_a_ruling_does_not_outlive_its_videos(run: Run) -> None:
    pair = load_pairs(run.pairs_folder).pairs[0]
    run.rule_pair(pair.prompt_id, pair.winner_seed, pair.loser_seed, False, pair.told)
    text = run.scores_file.read_text()
    digest = read_rulings(run.rulings_file)[0].winner_video
    run.scores_file.write_text(text.replace(digest, "0" * 16))
    explanation = run.choose_pairs(PairSettings(threshold=0.5)).explanation
    assert "1 choice by hand is of videos that have changed since" in explanation
    assert "dropped" not in explanation


@pytest.mark.parametrize(
    ("prompt", "winner", "loser", "told", "words"),
    [
        ("nobody", 0, 1, "", "no prompt 'nobody'"),
        (None, 0, 77, "", "seed 77, has no score"),
        (None, 1, 1, "", "named twice"),
        (None, 0, 2, "XX", "under the text that tells of XX"),
    ],
)
def test_what_cannot_be_ruled_on(
    run: Run, prompt: str | None, winner: int, loser: int, told: str, words: str
) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        run.rule_pair(prompt or run.prompts("train")[0].id, winner, loser, True, told)
    assert not run.rulings_file.exists()


def test_what_takes_the_model_says_so(run: Run) -> None:
    shutil.rmtree(run.pairs_folder)
    with pytest.raises(SpatialAlignError, match="takes the model"):
        work(run.export_again())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--drop", "a", "x", "1"], "'x' is no seed"),
        (["--keep", "nobody", "0", "1"], "no prompt 'nobody'"),
        (["--keep", "nobody~RL", "0", "1"], "no prompt 'nobody'"),
    ],
)
def test_the_verb_says_what_it_cannot_rule_on(
    run: Run, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pairs", str(run.folder), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_verb_rules_before_it_exports(
    run: Run, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = load_pairs(run.pairs_folder).pairs[0]
    ruled = [pair.text_id, str(pair.winner_seed), str(pair.loser_seed)]
    command = [
        "pairs",
        str(run.folder),
        "--model",
        str(model_folder),
        "--device",
        "cpu",
        "--threshold",
        "0.5",
    ]
    assert main([*command, "--drop", *ruled]) == 0
    assert "By hand: 1 dropped." in capsys.readouterr().out
    assert main([*command, "--forget", *ruled]) == 0
    assert "By hand" not in capsys.readouterr().out
