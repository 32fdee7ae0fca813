"""Two LoRAs side by side: names, what is refused, the table, the picture, and the order of the stages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialalign_core.compare import ComparePlan, compare
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.evaluate import evaluate
from spatialalign_core.report.picture import comparison_picture
from spatialalign_core.run import Run, Side
from spatialalign_core.run.comparing import check_sides, comparison_folder, list_comparisons, read_comparison
from spatialalign_core.stills import STILLS, strip_jpeg
from spatialalign_core.video import read_stills, read_video
from tests.made_runs import HALF_WAY, make_run

NAMES = [f"<img src=x onerror=alert(1)> {number}" for number in range(4)]


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    path = tmp_path / "my lora.safetensors"
    path.write_bytes(b"never read: the videos are there")
    return path


@pytest.fixture
def run(tmp_path: Path, lora: Path) -> Run:
    """Held-out prompts; the LoRA obeys always, the base never, and one video of each cannot be scored."""
    sets = {
        Side().set: {name: [0.1, 0.2, None] for name in NAMES},
        Side(lora, 0.5).set: {name: [0.9, 0.8, None] for name in NAMES},
    }
    return make_run(tmp_path / "run", sets, held_out=NAMES)


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_report_says_which_videos_it_cannot_show(tmp_path: Path, gone: int) -> None:
    sets = {
        name: {prompt: [score, score] for prompt in NAMES}
        for name, score in {"base": 0.1, "aligned": 0.9}.items()
    }
    run = make_run(tmp_path / "run", sets, held_out=NAMES)
    videos = [
        run.video_path("base", NAMES[0], 0),
        *(run.video_path("aligned", NAMES[1], seed) for seed in (0, 1)),
    ]
    for video in videos[:gone]:
        video.unlink()
    warnings = [item.message for item in run.evaluate(bootstrap=10) if item.warning]
    assert [f"({gone}, first {videos[0]})" in text for text in warnings] == [True] * (gone > 0)
    assert run.report_html.exists()


@pytest.mark.parametrize(
    ("side", "name", "set"),
    [
        (Side(), "no LoRA", "base"),
        (Side(None, 0.3), "no LoRA", "base"),
        (Side(Path("a/style.safetensors")), "style at 1", "lora-style-1"),
        (Side(Path("style.safetensors"), 0.75), "style at 0.75", "lora-style-0.75"),
        (Side(Path("style.safetensors"), -1), "style at -1", "lora-style--1"),
    ],
)
def test_sides_have_names(side: Side, name: str, set: str) -> None:
    assert (side.name, side.set) == (name, set)


@pytest.mark.parametrize("stem", ["ein schöner Stil", "x" * 200, "..", "a/../b", "con"])
def test_any_file_name_makes_a_set_that_is_a_plain_name(tmp_path: Path, stem: str) -> None:
    side = Side(Path(f"{stem}.safetensors"), 0.5)
    assert Run(tmp_path).video_path(side.set, "p", 0).is_relative_to(Run(tmp_path).folder / "samples")


def test_what_cannot_be_compared(lora: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / lora.name
    twin.write_bytes(lora.read_bytes())
    for a, b, words in (
        (Side(), Side(), "Both sides are 'no LoRA'"),
        (Side(lora), Side(lora, 1.0), "choose another LoRA or another strength"),
        (Side(lora), Side(twin), "are the same LoRA"),
        (Side(), Side(tmp_path / "gone.safetensors"), "There is no LoRA"),
    ):
        with pytest.raises(SpatialAlignError, match=words):
            check_sides(a, b)
    check_sides(Side(lora), Side(lora, 0.5))
    twin.write_bytes(b"another one of this name")
    check_sides(Side(lora), Side(twin))


def test_a_lora_that_is_trained_again_gets_videos_of_its_own(run: Run, lora: Path) -> None:
    """What was compared before stays with the videos that it was about."""
    base, before = Side(), Side(lora, 0.5)
    list(run.compare(base, before, seeds=1, bootstrap=5))
    lora.write_bytes(b"trained again")
    after = Side(lora, 0.5)
    assert after.set != before.set and comparison_folder(run, base, after) != comparison_folder(
        run, base, before
    )
    with pytest.raises(SpatialAlignError, match=r"no scored videos in the my lora at 0\.5 set"):
        list(run.compare(base, after, seeds=1, bootstrap=5))
    [known] = list_comparisons(run)
    shown = read_comparison(run.comparisons_folder / known["name"])["b"]["set"]
    assert run.video_path(shown, NAMES[0], 0).is_file()


def test_a_comparison_is_written_and_read(run: Run, lora: Path) -> None:
    a, b = Side(), Side(lora, 0.5)
    last = list(run.compare(a, b, bootstrap=50))[-1]
    folder = comparison_folder(run, a, b)
    data = read_comparison(folder)
    assert (data["a"]["name"], data["b"]["name"], data["verdict"]) == ("no LoRA", "my lora at 0.5", "better")
    assert data["accuracy"]["a"]["value"] == 0 and data["accuracy"]["b"]["value"] == pytest.approx(
        2 / 3, abs=1e-6
    )
    assert data["accuracy"]["difference"]["low"] > 0
    assert len(data["samples"]) == 12 and data["texts"].keys() == set(NAMES)
    assert data["samples"][2]["a"] == {"dsr": None, "obeys": False, "reason": "the fox is in no frame"}
    assert "share that obeys: 0.000 with no LoRA, 0.667 with my lora at 0.5" in last.message
    with Image.open(last.path or "") as picture:
        assert picture.format == "PNG" and picture.size[0] == 1280
    assert list_comparisons(run) == [
        {"name": folder.name, "a": "no LoRA", "b": "my lora at 0.5", "verdict": "better"}
    ]


def test_a_comparison_of_videos_that_score_enough_and_stop_half_way(tmp_path: Path, lora: Path) -> None:
    """Both sides reach 0.7 always; only side b ends where the prompts say."""
    sets = {
        Side().set: dict.fromkeys(NAMES, [HALF_WAY] * 2),
        Side(lora).set: dict.fromkeys(NAMES, [0.9] * 2),
    }
    run = make_run(tmp_path / "run", sets, held_out=NAMES)
    list(run.compare(Side(), Side(lora), bootstrap=20))
    data = read_comparison(comparison_folder(run, Side(), Side(lora)))
    assert (data["verdict"], data["accuracy"]["a"]["value"], data["obey"]["a"]["value"]) == ("better", 1, 0)
    first = data["samples"][0]
    assert first["a"] == {"dsr": 0.75, "obeys": False, "reason": "it does not end right of the box"}
    assert first["b"] == {"dsr": 0.9, "obeys": True, "reason": None}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 7}'])
def test_a_damaged_comparison_is_named_and_not_listed(run: Run, lora: Path, text: str) -> None:
    folder = run.comparisons_folder / "x--y"
    folder.mkdir(parents=True)
    (folder / "comparison.json").write_text(text)
    with pytest.raises(SpatialAlignError, match=r"comparison\.json"):
        read_comparison(folder)
    assert list_comparisons(run) == []


def test_videos_that_lack_their_counterpart_are_told_by_name(run: Run, lora: Path) -> None:
    rows = run.scores_file.read_text().splitlines()
    run.scores_file.write_text("\n".join(row for row in rows if not row.startswith("lora-")) + "\n")
    with pytest.raises(SpatialAlignError, match=r"no scored videos in the my lora at 0\.5 set"):
        list(run.compare(Side(), Side(lora, 0.5)))


def test_the_picture_is_the_same_twice_and_bears_missing_videos(run: Run, lora: Path) -> None:
    sets = [run.scored_samples(each, "held_out") for each in ("base", Side(lora, 0.5).set)]
    evaluation = evaluate(*sets, bootstrap=20)
    pairs = list(zip(*sets, strict=True))
    first, again = (comparison_picture(evaluation, pairs, ("a", "b" * 300)) for _ in range(2))
    assert np.array_equal(first, again) and first.shape[1:] == (1280, 3)
    for sample, _ in pairs:
        (sample.video or Path()).unlink(missing_ok=True)
    assert comparison_picture(evaluation, pairs, ("a", "b")).shape[1] == 1280


def test_the_stages_come_in_order(run: Run, lora: Path) -> None:
    class Model:
        defaults = None
        folder = Path("model")

    plan = ComparePlan(settings=_settings())
    parts = [part for part, _ in compare(run, Model(), None, Side(), Side(lora, 0.5), plan)]  # type: ignore[arg-type]
    assert parts == [*("generate", "detect", "score") * 2, "compare"]


def _settings() -> object:
    from spatialalign_core.models.base import GenerateSettings

    return GenerateSettings(64, 96, 5, 8, 2, 1.0)


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (3, [0, 4, 7]), (5, [0, 2, 4, 5, 7]), (20, list(range(8)))]
)
def test_stills_are_spread_over_the_video(run: Run, count: int, expected: list[int]) -> None:
    video = run.video_path("base", NAMES[0], 0)
    frames, _ = read_video(video)
    stills = read_stills(video, count)
    assert len(stills) == len(expected)
    for still, index in zip(stills, expected, strict=True):
        assert np.array_equal(still, frames[index])


def test_a_strip_is_made_anew_when_the_video_changes(run: Run) -> None:
    video, other = (run.video_path("base", NAMES[0], seed) for seed in (0, 1))
    first = strip_jpeg(video)
    assert first == strip_jpeg(video)
    video.write_bytes(other.read_bytes() + b"\0")
    assert strip_jpeg(video) != first
    with pytest.raises(SpatialAlignError, match="no video"):
        strip_jpeg(video.with_name("9.mp4"))
    assert STILLS == 3


def test_the_json_has_no_numbers_that_json_does_not_know(run: Run, lora: Path) -> None:
    list(run.compare(Side(), Side(lora, 0.5), seeds=1, bootstrap=5))
    text = (comparison_folder(run, Side(), Side(lora, 0.5)) / "comparison.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
