"""Verdicts on real footage, numbers only: a detector's boxes, sentences, and what a person says of them.

The clips are those of benchmarks/real_clips.py; the tables by hand show one kind of fault each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from real_clips import MEMBERS, THRESHOLDS, count, load

from spatialalign_core.clips_file import Clip
from spatialalign_core.detect import DEFAULT, Detection
from spatialalign_core.detect.candidates import follow
from spatialalign_core.detect.validity import Picture
from spatialalign_core.relations import Relation, RelationChange
from spatialalign_core.score import END_SSR, missed_ends, obeys, score_track
from spatialalign_core.score import is_seen as seen_so

WIDTH, HEIGHT = 400, 240
CLIPS = load()


def thing(noun: str, x: float, y: float, width: float, height: float, sure: float = 0.9) -> Detection:
    box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return Detection(noun, np.clip(box, 0, [WIDTH, HEIGHT] * 2), sure)


def cat(x: float, y: float = 120, size: float = 40, sure: float = 0.9) -> Detection:
    return thing("cat", x, y, size, size, sure)


def crate(x: float = 200, y: float = 120, size: float = 60) -> Detection:
    return thing("crate", x, y, size, size)


def clip(found: Sequence[Sequence[Detection]], fps: float | None = None) -> Clip:
    return Clip("a", WIDTH, HEIGHT, "cat", "crate", tuple(map(tuple, found)), (), fps)


def ways(xs: Sequence[float], y: float = 120, **settings: float) -> list[list[Detection]]:
    return [[cat(x, y, **settings), crate()] for x in xs]


def without_cat(found: list[list[Detection]], frames: range) -> list[list[Detection]]:
    return [[o for o in each if o.noun != "cat"] if i in frames else each for i, each in enumerate(found)]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_real_clips_are_judged_as_a_person_does(threshold: float) -> None:
    by_default = count(CLIPS, (threshold,), "default")
    assert by_default["false_obeyed"] == 0 and by_default["true_lost"] * 6 <= by_default["true"]
    assert by_default["invalid"] <= count(CLIPS, (threshold,), "published")["invalid"]


@pytest.mark.parametrize(
    "name", ["mirrored and backwards", "every third frame left out", "boxes a little off"]
)
def test_derived_clips_are_judged_so_too(name: str) -> None:
    counts = count([MEMBERS[name](clip, truth) for clip, truth in CLIPS], (0.3,), "default")
    assert counts["false_obeyed"] == 0 and counts["true_lost"] * 6 <= counts["true"], counts


KICKED = [100.0] * 15 + [100 + 55 * i for i in range(1, 5)] + [340.0] * 15
BEHIND = list(np.linspace(60, 340, 50))
REST = [100.0] * 50


@pytest.mark.parametrize(
    ("found", "fps", "reason"),
    [
        pytest.param(without_cat(ways(REST), range(20, 28)), None, None, id="missed at rest"),
        pytest.param(without_cat(ways(BEHIND, 40), range(10, 18)), None, None, id="missed on its way"),
        pytest.param(without_cat(ways(REST), range(20, 36)), None, "vanishes", id="gone for long"),
        pytest.param(
            without_cat(ways([100.0] * 28 + [175.0] * 22), range(20, 28)),
            None,
            "vanishes",
            id="gone, and back elsewhere",
        ),
        pytest.param(
            without_cat([[each[0], crate(200, 120, 200)] for each in ways(BEHIND)], range(16, 34)),
            None,
            None,
            id="behind the crate",
        ),
        pytest.param(
            without_cat([[each[0], crate(200, 190, 90)] for each in ways(BEHIND, 40)], range(16, 34)),
            None,
            "vanishes",
            id="not behind the crate",
        ),
        pytest.param(
            without_cat([[each[0], crate(250, 120, 200)] for each in ways(BEHIND)], range(28, 50)),
            None,
            None,
            id="stays behind the crate",
        ),
        pytest.param(without_cat(ways(BEHIND, 40), range(28, 50)), None, "last 22 of 50", id="gone for good"),
        pytest.param(ways(KICKED, 200, size=16), None, None, id="kicked"),
        pytest.param(
            ways([100.0] * 17 + [340.0] * 17, 200, size=16), None, "cat jumps", id="elsewhere at once"
        ),
        pytest.param(ways(np.linspace(60, 340, 8)), 4, None, id="few frames a second"),
    ],
)
def test_what_counts_as_real_motion(
    found: list[list[Detection]], fps: float | None, reason: str | None
) -> None:
    said = clip(found, fps).track().reason
    assert said is None if reason is None else reason in str(said), said


def test_a_big_unsure_find_does_not_take_over() -> None:
    """A big find crosses the cat's way, and goes on where the cat is missed for a moment."""
    found = [[*each, cat(x + 30, 110, 110, 0.4)] for each, x in zip(ways(REST), BEHIND, strict=True)]
    found = [
        [o for o in each if o.noun != "cat" or o.confidence < 0.5] if 10 <= i < 12 else each
        for i, each in enumerate(found)
    ]
    track = clip(found).track()
    assert track.reason is None
    np.testing.assert_allclose(track.subject_boxes[-1], cat(100).box)


def test_the_object_under_the_subjects_name_is_no_rival() -> None:
    found = [[*each, cat(200, 120, 64, 0.7)] for each in ways(np.linspace(60, 340, 50))]
    assert clip(found).track().reason is None
    elsewhere = [[*each, cat(40, 40, 64, 0.7)] for each in ways(np.linspace(60, 340, 50))]
    assert "more than one cat" in str(clip(elsewhere).track().reason)


def test_who_is_in_front_is_followed_though_a_small_one_is_surer() -> None:
    found = [[cat(x, 120, 60, 0.6), cat(40, 30, 30, 0.7), crate()] for x in np.linspace(340, 60, 50)]
    found = [each[1:] if i % 4 == 3 else each for i, each in enumerate(found)]
    followed = follow(found, "cat", DEFAULT, Picture(WIDTH, HEIGHT))
    assert followed.boxes[0, 2] - followed.boxes[0, 0] == 60 and not followed.rival.any()


@pytest.mark.parametrize("ends", [1, -1], ids=["comes in", "goes out"])
def test_what_the_pictures_edge_cuts_off_is_the_same_thing(ends: int) -> None:
    """It comes in by a sixth of itself, and is seen whole a few frames later."""
    xs = [*np.linspace(-25, 80, 6), *np.linspace(85, 340, 40)]
    found = [[thing("cat", x, 120, 90, 90), crate()] for x in xs][::ends]
    track = clip(found).track()
    assert track.reason is None and np.isfinite(track.subject_boxes[:, 0]).all()
    change = RelationChange.parse("LR" if ends > 0 else "RL")
    assert obeys(score_track(track, change))


OBJECT = [100.0, 100.0, 160.0, 160.0]


@pytest.mark.parametrize(
    ("subject", "seen"),
    [
        pytest.param([110, 60, 150, 100], "T", id="stands on it"),
        pytest.param([110, 30, 150, 70], "T", id="jumps over it"),
        pytest.param([140, 60, 180, 100], "T", id="on its edge"),
        pytest.param([300, 0, 316, 16], "LR", id="far away, higher in the picture"),
        pytest.param([165, 20, 205, 60], "LR", id="beside it and higher"),
        pytest.param([120, 0, 130, 10], "LR", id="high above it"),
        pytest.param([40, 100, 100, 160], "LR", id="beside it"),
        pytest.param([60, 90, 125, 155], "L", id="beside it, overlapping"),
    ],
)
def test_which_relation_a_person_would_name(subject: list[float], seen: str) -> None:
    """LR: it may be on a side (which one, SSR says), but not on top; T: the other way round."""
    boxes = np.array([subject] * 3, float), np.array([OBJECT] * 3)
    named = [relation.value for relation in Relation if seen_so(*boxes, relation)]
    assert named == list(seen)


def test_higher_in_the_picture_is_not_on_top() -> None:
    """A cat far behind the crate goes from above right, not over it, to the right of it."""
    far = [
        [cat(x, y, 20), crate(150, 160)] for x, y in zip([330] * 50, np.linspace(30, 160, 50), strict=True)
    ]
    score = score_track(clip(far).track(), RelationChange.parse("TR"))
    assert score.valid and not obeys(score) and missed_ends(score) == ("initial_ssr",)


def test_where_a_quick_one_starts_is_its_first_frame() -> None:
    rest = [*[200.0] * 30, *np.linspace(210, 330, 10)]
    for first, missed in ((181, ()), (195, ("initial_ssr",))):
        score = score_track(clip(ways([first, 190, 200, *rest])).track(), RelationChange.parse("LR"))
        assert score.initial_ssr is not None and score.initial_ssr < END_SSR
        assert missed_ends(score) == missed
