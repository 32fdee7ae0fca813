"""What a score says in words, and what a chart of it is drawn from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spatialalign_core.relations import RelationChange
from spatialalign_core.score import Score, score_track
from spatialalign_core.score_view import score_view
from spatialalign_core.score_words import place_words, score_parts
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
            "starts left: yes; leaves the left: no, it stays there; goes to the right: no, it comes no nearer; "
            "ends right: no, it stops left of the stump",
        ),
        (
            "LR",
            [RIGHT],
            "starts left: no, it starts right of the stump; leaves the left: no, it was never there; "
            "goes to the right: no, it is there all along; ends right: yes",
        ),
        (
            "LR",
            [RIGHT, LEFT],
            "starts left: no, it starts right of the stump; leaves the left: no, it goes there instead; "
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
            "starts on top: yes; leaves the top: yes; goes to the right: no, it comes no nearer; "
            "ends right: no, it stops below the stump",
        ),
        (
            "LR",
            [NEAR_LEFT, LEFT_EDGE],
            "starts left: partly, it starts only a little left of the stump; leaves the left: no, it goes there "
            "instead; goes to the right: no, it moves away from there; ends right: no, it stops left of the stump",
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
        "on the left of the stump (should fall)",
        "on the right of the stump (should rise)",
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
