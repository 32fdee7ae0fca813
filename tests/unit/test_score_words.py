"""What a score says in words, and what a chart of it is drawn from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spatialalign_core.best import best_words
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import CHANGES, RelationChange
from spatialalign_core.report.text import verdict
from spatialalign_core.score import GOOD, Score, obeys, score_track
from spatialalign_core.score_view import score_view
from spatialalign_core.score_words import place_words, score_digits, score_parts
from spatialalign_core.summary import describe_score
from spatialalign_core.tracks import Track

FRAMES = 10
BOX = (100, 100, 140, 140)  # the object: a stump of 40 x 40 pixels
LEFT, RIGHT, TOP, BELOW = (40, 100, 80, 140), (160, 100, 200, 140), (100, 40, 140, 80), (100, 160, 140, 200)
FRONT, BEHIND = (100, 104, 140, 144), (101, 96, 139, 132)
NEAR_LEFT = (86, 100, 126, 140)  # overlaps; SSR of left 0.35
LEFT_EDGE = (76, 100, 116, 140)  # overlaps; SSR of left 0.6


def way(*stops, reasons=(), reason=None):
    """A subject that spends the clip at these places, evenly, and an object that stays."""
    boxes = np.array([stops[index * len(stops) // FRAMES] for index in range(FRAMES)], dtype=np.float64)
    sure = np.full(FRAMES, 0.9)
    frame_reasons = [None] * FRAMES
    for frame, why in dict(reasons).items():
        frame_reasons[frame] = why
    object = np.array([BOX] * FRAMES, dtype=np.float64)
    return Track("fox", "stump", 240, 240, boxes, object, sure, sure, tuple(frame_reasons), reason)


@pytest.mark.parametrize(
    ("change", "stops", "said"),
    [
        (
            "LR",
            [LEFT, RIGHT],
            "starts left: yes; leaves the left: yes; goes to the right: yes; ends right: yes",
        ),
        (
            "LR",
            [LEFT, FRONT],
            "starts left: yes; leaves the left: yes; goes to the right: yes; "
            "ends right: no, it stops in front of the stump",
        ),
        (
            "LR",
            [LEFT, BEHIND],
            "starts left: yes; leaves the left: yes; goes to the right: yes; ends right: no, it stops behind the stump",
        ),
        (
            "LR",
            [LEFT],
            "starts left: yes; leaves the left: no, it stays there; goes to the right: no, it does not come nearer; "
            "ends right: no, it stops left of the stump",
        ),
        (
            "LR",
            [RIGHT],
            "starts left: no, it starts right of the stump; leaves the left: no, it was never there; "
            "goes to the right: no, it is there from the start; ends right: yes",
        ),
        (
            "LR",
            [RIGHT, LEFT],
            "starts left: no, it starts right of the stump; leaves the left: no, it moves to the left; "
            "goes to the right: no, it moves away from there; ends right: no, it stops left of the stump",
        ),
        (
            "LT",
            [LEFT, TOP],
            "starts left: yes; leaves the left: yes; goes on top: yes; ends on top: yes",
        ),
        (
            "TR",
            [TOP, BELOW],
            "starts on top: yes; leaves the top: yes; goes to the right: no, it does not come nearer; "
            "ends right: no, it stops below the stump",
        ),
        (
            "LR",
            [NEAR_LEFT, LEFT_EDGE],
            "starts left: partly, it starts only a little left of the stump; leaves the left: no, it moves to "
            "the left; goes to the right: no, it moves away from there; ends right: no, it stops left of the stump",
        ),
        (
            "LR",
            [LEFT_EDGE, NEAR_LEFT],
            "starts left: yes; leaves the left: partly, it moves away only a little; "
            "goes to the right: partly, it moves there only a little; "
            "ends right: no, it stops only a little left of the stump",
        ),
    ],
)
def test_four_parts_in_words(change, stops, said):
    track = way(*stops)
    parts = score_parts(track, RelationChange.parse(change), score_track(track, RelationChange.parse(change)))
    assert "; ".join(map(str, parts)) == said
    assert [part.name for part in parts] == ["initial_ssr", "initial_gap", "final_gap", "final_ssr"]


PASSING = [(x, 99, x + 40, 139) for x in (40, 70, 100, 130, 160)]  # past the stump, at one height
NEAR_RIGHT = (106, 100, 146, 140)  # overlaps; SSR of right 0.15
A_LITTLE_RIGHT = (108, 100, 148, 140)  # SSR of right 0.2


def prompt(code):
    change = RelationChange.parse(code)
    return DsrPrompt("p", "text", "fox", "stump", change, "a field", "train")


@pytest.mark.parametrize(
    ("change", "stops", "title"),
    [
        pytest.param("LR", [LEFT, RIGHT], "1.00 of 1: obeys the sentence", id="as asked"),
        pytest.param("LT", [LEFT, TOP], "0.88 of 1: obeys the sentence", id="to the top"),
        pytest.param("RL", [LEFT, RIGHT], "0.00 of 1: does not obey the sentence", id="the other way"),
        pytest.param("LR", [LEFT], "0.50 of 1: does not obey the sentence", id="nothing moves"),
        pytest.param(
            "LT",
            PASSING,
            "0.74 of 1, but it does not end on top of the stump: does not obey the sentence",
            id="passes at one height",
        ),
        pytest.param(
            "LR",
            [LEFT, FRONT],
            "0.75 of 1, but it does not end right of the stump: does not obey the sentence",
            id="stops half-way",
        ),
        pytest.param(
            "RL",
            [FRONT, LEFT],
            "0.75 of 1, but it does not start right of the stump: does not obey the sentence",
            id="starts half-way",
        ),
        pytest.param(
            "LR",
            [LEFT, NEAR_RIGHT],
            "0.79 of 1, but it does not end right of the stump: does not obey the sentence",
            id="just not enough",
        ),
        pytest.param("LR", [LEFT, A_LITTLE_RIGHT], "0.80 of 1: obeys the sentence", id="just enough"),
    ],
)
def test_the_verdict_stands_beside_the_score(change, stops, title):
    track = way(*stops)
    score = score_track(track, RelationChange.parse(change))
    assert score_view(track, RelationChange.parse(change), score)["title"] == f"DSR-Score {title}"
    assert f"DSR-Score {title} (0.7 or more is needed)." in describe_score(prompt(change), track, score)


def all_said(track, change, score):
    """What every place says that gives a verdict in words."""
    view = score_view(track, change, score)
    asked = prompt(change.code)
    return view, [view["title"], describe_score(asked, track, score), best_words([score], 0, asked)]


def test_no_verdict_contradicts_the_parts():
    """Over random ways: whoever obeys has no wrong end, and whoever scores enough and does not is told which it is."""
    rng = np.random.default_rng(0)
    met = {"obeys": 0, "wrong start": 0, "wrong end": 0, "too low": 0}
    for number in range(1200):
        change = CHANGES[number % len(CHANGES)]
        track = random_way(rng)
        score = score_track(track, change)
        view, said = all_said(track, change, score)
        start, *_, end = score_parts(track, change, score)
        wrong = [part for part in (start, end) if part.answer == "no"]
        good = obeys(score)
        assert view["good"] is good is (score.dsr >= GOOD and not wrong)
        assert (verdict(score, change, GOOD) == "does what the prompt says") is good
        for words in said:
            assert ("obeys the sentence" in words) is good, words
            if score.dsr >= GOOD and wrong:
                assert "of 1, but it" in words or ("scores" in words and ", but it" in words)
                if len(wrong) == 1:
                    assert ("does not start" if wrong[0] is start else "does not end") in words
        met["obeys"] += good
        met["wrong start"] += score.dsr >= GOOD and start in wrong
        met["wrong end"] += score.dsr >= GOOD and end in wrong
        met["too low"] += score.dsr < GOOD
    assert min(met.values()) > 5, met


def random_way(rng):
    """A subject that goes straight from one random place to another, with a little noise."""
    ends = rng.uniform(30, 170, (2, 2))
    along = np.clip(np.linspace(-rng.uniform(0, 2), 1 + rng.uniform(0, 2), FRAMES), 0, 1)[:, None]
    corners = ends[0] + along * (ends[1] - ends[0]) + rng.normal(0, 1, (FRAMES, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 60, 2)], axis=1)
    track = way(LEFT)
    track.subject_boxes[:] = boxes
    return track


@pytest.mark.parametrize(
    ("dsr", "text"),
    [(0.7, "0.70"), (0.754, "0.75"), (0.696, "0.696"), (0.6996, "0.6996"), (0.0, "0.00"), (1.0, "1.00")],
)
def test_a_score_is_not_rounded_over_the_line(dsr, text):
    assert score_digits(dsr) == text


def test_parts_carry_the_numbers_of_the_score():
    track, change = way(LEFT, RIGHT), RelationChange.parse("LR")
    score = score_track(track, change)
    assert {part.name: part.value for part in score_parts(track, change, score)} == {
        name: getattr(score, name) for name in ("initial_ssr", "initial_gap", "final_gap", "final_ssr")
    }


def test_ends_are_those_that_count():
    """The last frames do not count, so the words are about those before."""
    gone = dict.fromkeys((8, 9), "the fox was not found")
    track = way(LEFT, RIGHT, reasons=gone)
    parts = score_parts(track, RelationChange.parse("LR"), score_track(track, RelationChange.parse("LR")))
    assert str(parts[-1]) == "ends right: yes"


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (LEFT, "left of the stump"),
        (RIGHT, "right of the stump"),
        (TOP, "on top of the stump"),
        (BELOW, "below the stump"),
        (FRONT, "in front of the stump"),
        (BEHIND, "behind the stump"),
        (BOX, "in front of the stump"),
        ((110, 112, 132, 130), "on or in front of the stump"),
        ((240, 20, 260, 40), "right of the stump"),  # higher in the picture, and far from being over it
        ((145, 30, 165, 50), "only a little right of the stump"),
        (NEAR_LEFT, "only a little left of the stump"),
        ((0, 0, 40, 40), "left of the stump"),  # at the corner: left as much as on top
    ],
)
def test_places(subject, words):
    boxes = np.array([subject, subject], dtype=np.float64)
    assert place_words(boxes, np.array([BOX, BOX], dtype=np.float64), "stump") == words


def test_no_score_no_parts():
    score = Score(False, "the video has no frames", None, None, None, None, None, 0)
    assert score_parts(way(LEFT), RelationChange.parse("LR"), score) == []


def test_chart_of_a_score():
    lost = {3: "the fox was not found", 4: "the fox was not found", 6: "more than one fox was found"}
    track, change = way(LEFT, RIGHT, reasons=lost), RelationChange.parse("LR")
    view = score_view(track, change, score_track(track, change))
    assert json.loads(json.dumps(view)) == view
    assert (view["frames"], view["good"], view["low"], view["high"]) == (FRAMES, True, -1, 1)
    assert view["title"].startswith("DSR-Score ") and view["title"].endswith(": obeys the sentence")
    assert [line["words"] for line in view["lines"]] == [
        "left of the stump (should fall)",
        "right of the stump (should rise)",
    ]
    assert [value is None for value in view["lines"][0]["values"]] == [f in lost for f in range(FRAMES)]
    assert view["gaps"] == [
        {"from": 3, "to": 4, "reason": "the fox was not found"},
        {"from": 6, "to": 6, "reason": "more than one fox was found"},
    ]
    assert [part["answer"] for part in view["parts"]] == ["yes"] * 4


def test_chart_of_an_invalid_video_says_why():
    track, change = way(LEFT, reason="only 2 frames show both"), RelationChange.parse("LR")
    view = score_view(track, change, score_track(track, change))
    assert (view["title"], view["good"], view["reason"]) == ("No score", None, "only 2 frames show both")
    assert view["parts"] == []


def test_chart_of_a_track_alone():
    view = score_view(way(LEFT, reasons={9: "the fox was not found"}))
    assert view["title"] == "Both found in 9 of 10 frames"
    assert (view["low"], view["high"], view["good"]) == (0, 1, None)
    assert [line["words"] for line in view["lines"]] == ["how sure of the fox", "how sure of the stump"]


def test_a_box_without_a_size_is_a_reason():
    track, change = way(LEFT), RelationChange.parse("LR")
    track.subject_boxes[5] = (50, 50, 50, 90)
    assert score_view(track, change, score_track(track, change))["gaps"] == [
        {"from": 5, "to": 5, "reason": "a box has no size"}
    ]
