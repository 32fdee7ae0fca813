"""Choosing pairs by score, and the folder they are exported to."""

import errno
import json
import os

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.pairs import PairSettings, choose_pairs, export_pairs, load_pairs
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import RelationChange
from spatialalign_core.score import Score

INVALID = None


def scored(table):
    """{prompt: [dsr or INVALID, ...]} -> {(prompt, seed): Score}"""
    return {(prompt, seed): score(dsr) for prompt, row in table.items() for seed, dsr in enumerate(row)}


def score(dsr, start=0.5, end=0.5):
    if isinstance(dsr, Score):
        return dsr
    if dsr is INVALID:
        return Score(False, "nothing was found", None, None, None, None, None, 0)
    return Score(True, None, dsr, start, end, 0.0, 0.0, 20)


def half_way(dsr):
    """It scores this, and does not end where the prompt says."""
    return score(dsr, end=0.1)


@pytest.mark.parametrize(
    ("row", "settings", "expected"),
    [
        pytest.param([0.9, 0.2], {}, [(0, 1)], id="one of each"),
        pytest.param([0.7, 0.6999], {}, [(0, 1)], id="the threshold itself wins"),
        pytest.param([0.9, INVALID, 0.1], {}, [(0, 2)], id="INVALID is neither"),
        pytest.param([0.9, INVALID], {}, [], id="INVALID does not lose"),
        pytest.param([0.9, float("nan")], {}, [], id="a score that is no number does not lose"),
        pytest.param(
            [0.1, 0.8, 0.3, 0.9], {}, [(3, 0), (1, 0), (3, 2), (1, 2)], id="all, largest margins first"
        ),
        pytest.param([0.1, 0.8, 0.3, 0.9], {"mode": "best_worst"}, [(3, 0)], id="best and worst"),
        pytest.param(
            [0.9, 0.9, 0.1, 0.1], {"mode": "best_worst"}, [(0, 2)], id="ties go to the smaller seed"
        ),
        pytest.param(
            [0.9, 0.9, 0.1, 0.1], {"max_pairs_per_prompt": 3}, [(0, 2), (0, 3), (1, 2)], id="most pairs"
        ),
        pytest.param([0.75, 0.5, 0.25], {"min_margin": 0.5}, [(0, 2)], id="a margin that is just enough"),
        pytest.param([0.75, 0.65], {"min_margin": 0.2}, [], id="too close"),
        pytest.param([0.6, 0.4], {"threshold": 0.5}, [(0, 1)], id="another threshold"),
        pytest.param([], {}, [], id="no video"),
        pytest.param([0.9, half_way(0.75)], {}, [(0, 1)], id="a high score that stops half-way loses"),
        pytest.param(
            [0.9, score(0.75, start=0.19)], {}, [(0, 1)], id="and so does one that starts elsewhere"
        ),
        pytest.param([half_way(0.75), 0.2], {}, [], id="it never wins"),
        pytest.param([score(0.75, 0.2, 0.2), 0.2], {}, [(0, 1)], id="both ends just right"),
        pytest.param([0.72, half_way(0.75)], {}, [], id="no winner below its loser's score"),
        pytest.param([0.6, half_way(0.5)], {"threshold": 0.4}, [(0, 1)], id="at another threshold too"),
        pytest.param(
            [half_way(0.95), 0.8, 0.1], {"mode": "best_worst"}, [(1, 2)], id="best of those that obey"
        ),
    ],
)
def test_which_videos_make_pairs(row, settings, expected):
    selection = choose_pairs(scored({"a": row}), PairSettings(**settings))
    assert [(pair.winner_seed, pair.loser_seed) for pair in selection.pairs] == expected


@pytest.mark.parametrize(("told", "expected"), [(0.9, [("a~RL", 1, 0)]), (half_way(0.9), [])])
def test_a_video_that_stops_half_way_does_not_win_under_another_text(told, expected):
    retold = {("a", "RL"): {0: score(0.1), 1: score(told)}}
    selection = choose_pairs(scored({"a": [0.1, 0.2]}), PairSettings(), retold)
    assert [(pair.text_id, pair.winner_seed, pair.loser_seed) for pair in selection.pairs] == expected


RETOLD = {("a", "RL"): {0: score(0.2), 1: score(0.8), 2: score(INVALID)}, ("a", "LT"): {0: score(0.9)}}


@pytest.mark.parametrize(
    ("settings", "expected", "words"),
    [
        ({}, [("a", 0, 1), ("a~RL", 1, 0)], "1 pair from 1 of 1 prompt. 1 extra pair from videos"),
        ({"retell": False}, [("a", 0, 1)], "1 pair from 1 of 1 prompt."),
        ({"threshold": 0.95}, [], "No pairs"),
        ({"threshold": 0.75}, [("a", 0, 1), ("a~RL", 1, 0)], "1 extra pair"),
    ],
)
def test_videos_that_obey_another_change_win_under_its_text(settings, expected, words):
    selection = choose_pairs(scored({"a": [0.9, 0.1, INVALID]}), PairSettings(**settings), RETOLD)
    assert [(pair.text_id, pair.winner_seed, pair.loser_seed) for pair in selection.pairs] == expected
    assert words in selection.explanation


def test_retold_pairs_alone_are_pairs():
    selection = choose_pairs(scored({"a": [0.1, 0.2]}), PairSettings(), RETOLD)
    assert [pair.text_id for pair in selection.pairs] == ["a~RL"]
    assert selection.explanation.startswith("0 pairs from 0 of 1 prompt. 1 extra pair from videos")


def test_the_order_of_the_scores_does_not_matter():
    scores = scored({"b": [0.9, 0.1, 0.3], "a": [0.2, 0.8]})
    backwards = dict(reversed(scores.items()))
    assert choose_pairs(scores) == choose_pairs(backwards)
    assert [pair.prompt_id for pair in choose_pairs(scores).pairs] == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        ({}, {}, ["no video has been scored yet"]),
        ({"a": [0.9, 0.8]}, {}, ["1 prompt had only winners", "more seeds", "raise the threshold"]),
        ({"a": [0.1], "b": [0.2]}, {}, ["2 prompts had only losers", "lower the threshold"]),
        ({"a": [INVALID]}, {}, ["1 prompt had no valid video", "detector"]),
        (
            {"a": [0.75, 0.65]},
            {"min_margin": 0.2},
            ["no winner that scores 0.2 above a loser", "smallest margin"],
        ),
        (
            {"a": [half_way(0.75), 0.4]},
            {},
            [
                "no valid video obeys",
                "1 video scores 0.7 or more but does not start or end",
                "lower the threshold",
            ],
        ),
        (
            {"a": [0.9, half_way(0.8), half_way(0.75)]},
            {},
            [
                "2 pairs",
                "2 videos score 0.7 or more but do not start or end where their prompts say, and lose.",
            ],
        ),
        (
            {"a": [0.9], "b": [0.1], "c": [INVALID]},
            {},
            ["Of 3 prompts", "only winners", "only losers", "no valid"],
        ),
        (
            {"a": [0.9, 0.1], "b": [0.1]},
            {},
            ["1 pair from 1 of 2 prompts", "Not used: 1 prompt had only losers"],
        ),
    ],
)
def test_the_explanation_says_why(table, settings, words):
    selection = choose_pairs(scored(table), PairSettings(**settings))
    for word in words:
        assert word in selection.explanation


@pytest.mark.parametrize(
    "settings",
    [{"threshold": 1.5}, {"threshold": float("nan")}, {"min_margin": -1.0}, {"mode": "some"},
     {"max_pairs_per_prompt": 0}],
)  # fmt: skip
def test_settings_that_make_no_sense(settings):
    with pytest.raises(SpatialAlignError):
        PairSettings(**settings)


def prompt(name):
    return DsrPrompt(
        name, f"In a field, {name}\u2028", "cat", "box", RelationChange.parse("LR"), "in a field"
    )


def tensors(prompt_id, seed):
    generator = torch.Generator().manual_seed(seed + 100 * len(prompt_id))
    return {key: torch.randn(2, 3, 4, 5, generator=generator) for key in ("latents", "noise")}


TEXT = {
    "a": torch.ones(3, 4),
    "../b c": torch.zeros(3, 4),
    "unused": torch.ones(1),
    "": torch.full((3, 4), 0.5),
}


def export(folder, table, **more):
    prompts = [prompt(name) for name in ("a", "../b c", "unused")]
    selection = choose_pairs(scored(table))
    export_pairs(folder, selection, prompts, tensors, TEXT, **more)
    return selection


def test_an_export_reads_back(tmp_path):
    folder = tmp_path / "pairs"
    selection = export(folder, {"a": [0.9, 0.1], "../b c": [0.2, 0.8]}, fingerprint="f00")
    data = load_pairs(folder)
    data.check()
    assert data.pairs == selection.pairs and len(data) == 2
    assert (data.explanation, data.fingerprint) == (selection.explanation, "f00")
    assert data.texts["a"] == prompt("a").text
    assert torch.equal(data.text("../b c"), TEXT["../b c"]) and torch.equal(data.negative_text, TEXT[""])
    for pair in data.pairs:
        lost, won = ((pair.prompt_id, seed) for seed in (pair.loser_seed, pair.winner_seed))
        assert torch.equal(data.latents(*lost), tensors(*lost)["latents"])
        assert torch.equal(data.noise(*won), tensors(*won)["noise"])
    assert {path.name for path in tmp_path.iterdir()} == {"pairs"}


def test_datasets_loads_the_folder(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    selection = export(tmp_path / "pairs", {"a": [0.9, 0.1], "../b c": [0.2, 0.8]})
    rows = datasets.load_dataset(str(tmp_path / "pairs"), cache_dir=str(tmp_path / "cache"), split="train")
    assert [row["winner_seed"] for row in rows] == [pair.winner_seed for pair in selection.pairs]
    assert "margin" in rows.column_names
    assert all((tmp_path / "pairs" / row["winner_latents"]).is_file() for row in rows)


def test_a_new_export_replaces_the_old_one(tmp_path):
    folder = tmp_path / "pairs"
    export(folder, {"a": [0.9, 0.1], "../b c": [0.2, 0.8]})
    export(folder, {"a": [0.1, 0.9]})
    assert [pair.winner_seed for pair in load_pairs(folder).pairs] == [1]
    assert len(list((folder / "latents").iterdir())) == 1


def test_a_failed_export_keeps_the_old_one(tmp_path):
    folder = tmp_path / "pairs"
    export(folder, {"a": [0.9, 0.1]})

    def fail(prompt_id, seed):
        raise SpatialAlignError("the sample is gone")

    with pytest.raises(SpatialAlignError, match="the sample is gone"):
        export_pairs(folder, choose_pairs(scored({"a": [0.1, 0.9]})), [prompt("a")], fail, TEXT)
    assert [pair.winner_seed for pair in load_pairs(folder).pairs] == [0]
    assert {path.name for path in tmp_path.iterdir()} == {"pairs"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_and_keeps_the_old_export(tmp_path, monkeypatch, error):
    folder = tmp_path / "pairs"
    export(folder, {"a": [0.9, 0.1]})

    def full(*arguments):
        raise error

    monkeypatch.setattr("spatialalign_core.pairs.save_file", full)
    with pytest.raises(
        SpatialAlignError, match=r"Cannot write the pairs to .*pairs: the disk is full; free some"
    ):
        export(folder, {"a": [0.1, 0.9]})
    assert load_pairs(folder).pairs[0].winner_seed == 0 and list(tmp_path.iterdir()) == [folder]


def test_an_export_killed_between_its_two_renames_is_found_again(tmp_path):
    export(tmp_path / "pairs", {"a": [0.9, 0.1]})
    (tmp_path / "pairs").rename(tmp_path / ".pairs.old")
    assert len(load_pairs(tmp_path / "pairs")) == 1


def test_somebody_looks_between_the_two_renames(tmp_path, monkeypatch):
    folder, real = tmp_path / "pairs", os.replace
    export(folder, {"a": [0.9, 0.1]})
    looks = iter([None, None])  # at two of the three attempts

    def replace_and_look(source, target):
        real(source, target)
        if source == folder and next(looks, 1) is None:
            assert load_pairs(folder).pairs[0].winner_seed == 0

    monkeypatch.setattr("spatialalign_core.pairs.os.replace", replace_and_look)
    export(folder, {"a": [0.1, 0.9]})
    assert load_pairs(folder).pairs[0].winner_seed == 1 and list(tmp_path.iterdir()) == [folder]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "diary.txt").write_text("dear")
    with pytest.raises(SpatialAlignError, match="other files"):
        export(tmp_path, {"a": [0.9, 0.1]})
    assert (tmp_path / "diary.txt").read_text() == "dear"


LATENTS = "latents/a/0.safetensors"


def with_tensors(path, **tensors):
    save_file({**load_file(path), **tensors}, path)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (LATENTS, lambda path: path.write_bytes(path.read_bytes()[:-40]), "damaged"),
        (LATENTS, lambda path: path.write_bytes(path.read_bytes()[:5]), "damaged"),
        (LATENTS, lambda path: path.write_bytes(b""), "damaged"),
        (LATENTS, lambda path: path.unlink(), "missing"),
        (
            LATENTS,
            lambda path: with_tensors(path, latents=torch.zeros(2, 1, 4, 5)),
            "training takes one size",
        ),
        (LATENTS, lambda path: with_tensors(path, noise=torch.zeros(2, 3, 4)), "training takes one size"),
        (LATENTS, lambda path: save_file({"noise": torch.zeros(1)}, path), "damaged"),
        ("text.safetensors", lambda path: path.unlink(), "missing"),
        ("text.safetensors", lambda path: path.write_bytes(b"\0" * 100), "damaged"),
        ("train.jsonl", lambda path: path.write_text(path.read_text()[:30]), "line 1 is damaged"),
        ("train.jsonl", lambda path: path.write_text(json.dumps({"prompt_id": "a"})), "damaged"),
        ("train.jsonl", lambda path: path.write_text(""), "cut short or changed"),
        ("train.jsonl", lambda path: path.write_text(path.read_text().replace("0.9", "NaN")), "or changed"),
        ("train.jsonl", lambda path: path.unlink(), "missing"),
        ("export.json", lambda path: path.write_text("{"), "damaged"),
        ("export.json", lambda path: path.write_text("{}"), "another version"),
        ("export.json", lambda path: path.unlink(), "missing"),
    ],
)
def test_a_damaged_folder_names_the_file(tmp_path, name, damage, words):
    export(tmp_path / "pairs", {"a": [0.9, 0.1]})
    damage(tmp_path / "pairs" / name)
    with pytest.raises(SpatialAlignError, match=words) as caught:
        load_pairs(tmp_path / "pairs").check()
    assert name in str(caught.value) and "xport the pairs again" in str(caught.value)


def test_texts_of_two_widths_are_told(tmp_path):
    selection = choose_pairs(scored({"a": [0.9, 0.1], "../b c": [0.2, 0.8]}))
    texts = TEXT | {"a": torch.ones(3, 8)}
    export_pairs(tmp_path, selection, [prompt("a"), prompt("../b c")], tensors, texts)
    with pytest.raises(SpatialAlignError, match=r"text of \.\./b c is of the size.* text of a .*one size"):
        load_pairs(tmp_path).check()


def test_an_export_from_before_its_table_had_a_digest(tmp_path):
    export(tmp_path, {"a": [0.9, 0.1]})
    about = json.loads((tmp_path / "export.json").read_text())
    del about["table"]
    (tmp_path / "export.json").write_text(json.dumps(about))
    load_pairs(tmp_path).check()


def test_an_empty_export_explains_itself(tmp_path):
    export(tmp_path / "pairs", {"a": [0.9]})
    data = load_pairs(tmp_path / "pairs")
    data.check()
    assert len(data) == 0 and "only winners" in data.explanation


def test_no_folder(tmp_path):
    with pytest.raises(SpatialAlignError, match="export the pairs first"):
        load_pairs(tmp_path / "nothing")


def test_an_unknown_prompt_or_no_embedding(tmp_path):
    selection = choose_pairs(scored({"a": [0.9, 0.1]}))
    with pytest.raises(SpatialAlignError, match="not among the prompts"):
        export_pairs(tmp_path / "pairs", selection, [], tensors, TEXT)
    with pytest.raises(SpatialAlignError, match="no text embedding"):
        export_pairs(tmp_path / "pairs", selection, [prompt("a")], tensors, {})


def test_without_guidance_there_is_no_negative_text(tmp_path):
    export_pairs(
        tmp_path / "p", choose_pairs(scored({"a": [0.9, 0.1]})), [prompt("a")], tensors, {"a": TEXT["a"]}
    )
    assert load_pairs(tmp_path / "p").negative_text is None
