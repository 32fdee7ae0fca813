"""A file of clips with all their detections: what is read, what is printed, and what is refused."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from spatialalign_core.cli import main
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.score import Score
from spatialalign_core.score_file import score_file


def clip(**changes: Any) -> dict[str, Any]:
    frames = 24
    return {
        "id": "walk",
        "width": 160,
        "height": 100,
        "subject": "cat",
        "object": "box",
        "note": "ignored",
        "subject_detections": [[[5 * i, 40, 5 * i + 20, 60, 0.9]] for i in range(frames)],
        "object_detections": [[[60, 40, 80, 60, 0.8], [0, 0, 6, 6, 0.3]] for _ in range(frames)],
        "sentences": [{"change": "LR", "true": True}, {"change": "rl", "true": False}],
    } | changes


def written(folder: Path, *clips: Any, **others: Any) -> str:
    path = folder / "clips.json"
    path.write_text(json.dumps({"about": "", "clips": list(clips)} | others))
    return str(path)


def test_a_row_for_each_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, clip(), clip(id="again", fps=24, sentences=[{"change": "LT"}]))
    assert main(["score", path, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == ["walk/LR", "walk/RL", "again/LT"]
    assert [row["obeys"] for row in rows] == [True, False, False]
    assert list(rows[0]) == ["id", *(field.name for field in fields(Score)), "obeys"]
    assert rows[1]["missed"] == ["initial_ssr", "final_ssr"] and rows[0]["missed"] == []
    assert main(["score", path]) == 0
    assert "walk/LR\t" in capsys.readouterr().out


def test_the_rule_is_default_unless_another_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second box in every frame is too much for the published rule, and too small to matter for the default one."""
    path = written(tmp_path, clip())
    valid = {}
    for rule in ((), ("--rule", "default"), ("--rule", "published")):
        assert main(["score", path, "--json", *rule]) == 0
        valid[rule[-1] if rule else None] = json.loads(capsys.readouterr().out)[0]["valid"]
    assert valid == {None: True, "default": True, "published": False}


def test_cases_go_by_the_default_rule_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cat that is elsewhere at once is scored by the published rule, and set aside by the default one."""
    frames = [
        {"frame": i, "boxes": {"cat": [x, 40, x + 20, 60], "box": [60, 40, 80, 60]}}
        for i, x in enumerate([10] * 20 + [120] * 20)
    ]
    case = {"id": "a", "relation": "LR", "subject": "cat", "object": "box", "frames": frames}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"width": 160, "height": 100, "cases": [case]}))
    for rule, reason in (((), None), (("--rule", "default"), "cat jumps")):
        assert main(["score", str(path), "--json", *rule]) == 0
        said = json.loads(capsys.readouterr().out)[0]["reason"]
        assert said is None if reason is None else reason in said
    assert main(["score", str(tmp_path), "--rule", "default"]) == 2
    assert "detect --rule" in capsys.readouterr().err
    assert main(["score", str(path), "--rule", "strict"]) == 2
    assert "no rule called 'strict'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": None}, "'width' must be a number of pixels"),
        ({"height": 0}, "'height' must be a number of pixels"),
        ({"fps": -1}, "'fps' must be a number"),
        ({"subject": " "}, "must be words"),
        ({"object": "Cat"}, "use two different words"),
        ({"subject_detections": {}}, "'subject_detections' must be a list"),
        ({"subject_detections": [None] * 24}, "frame 0 of 'subject_detections' must be a list"),
        ({"subject_detections": [[]] * 23}, "has 23 frames but 'object_detections' has 24"),
        ({"subject_detections": [[[1, 2, 3]]] + [[]] * 23}, "five numbers"),
        ({"subject_detections": [[[1, 2, 3, "4", 1]]] + [[]] * 23}, "five numbers"),
        ({"subject_detections": [[[9, 2, 3, 4, 1]]] + [[]] * 23}, "x2 and y2"),
        ({"subject_detections": [[[1, 2, 3, 4, 90]]] + [[]] * 23}, "not in 0..1"),
        ({"subject_detections": [], "object_detections": []}, "no frames"),
        ({"sentences": [{"change": "LL"}]}, "LL"),
        ({"sentences": [3]}, "every sentence must look like"),
        ({"sentences": None}, "'sentences' must be a list"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpatialAlignError) as told:
        score_file(written(tmp_path, clip(), clip(id="bad", **changes)))
    assert "Clip bad" in str(told.value) and "clips.json" in str(told.value) and words in str(told.value)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    for clips, words in ((5, "must be a list"), ([5], "Clip number 1"), ([{"id": "x"}], "Clip x")):
        path = written(tmp_path)
        Path(path).write_text(json.dumps({"clips": clips}))
        with pytest.raises(SpatialAlignError, match=words):
            score_file(path)
    Path(path).write_text("[]")
    with pytest.raises(SpatialAlignError, match="'cases' or 'clips'"):
        score_file(path)
