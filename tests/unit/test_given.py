"""Boxes and masks from other nodes become tracks, or a clear sentence."""

from __future__ import annotations

import json
import re
from collections import namedtuple

import numpy as np
import pytest
import torch

from spatialalign_core.detect.given import given_boxes, given_masks, tracks_from_boxes, tracks_from_masks
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.tracks import Track

FOX = {"x": 2, "y": 3, "width": 10, "height": 20}
BOX = {"x": 40, "y": 30, "width": 8, "height": 9, "score": 0.5}


@pytest.mark.parametrize(
    ("fox", "box"),
    [
        pytest.param([[FOX]] * 6, [[BOX]] * 6, id="SAM 3 in core: a list of dicts for each frame"),
        pytest.param([FOX] * 6, [BOX] * 6, id="one dict for each frame"),
        pytest.param([[2, 3, 12, 23]] * 6, [(40, 30, 48, 39)] * 6, id="four numbers for each frame"),
        pytest.param([[[2, 3, 12, 23]]] * 6, [[(40.0, 30.0, 48.0, 39.0)]] * 6, id="a list of four numbers"),
        pytest.param(np.tile([2, 3, 12, 23], (6, 1)), np.tile([40, 30, 48, 39], (6, 1)), id="an array"),
    ],
)
def test_boxes_in_every_form(fox, box) -> None:
    track = tracks_from_boxes("fox", "box", fox, box, 64, 48)
    assert (track.frames, track.width, track.height) == (6, 64, 48)
    assert track.subject_boxes.tolist() == [[2, 3, 12, 23]] * 6
    assert track.object_boxes.tolist() == [[40, 30, 48, 39]] * 6
    assert track.reason is None
    assert track.frame_reasons == (None,) * 6


def test_scores_and_gaps() -> None:
    track = tracks_from_boxes("fox", "box", [[FOX], [], None, [FOX]], [[BOX], [BOX], [], [BOX, BOX]], 64, 48)
    assert track.object_confidences[0] == 0.5
    assert np.isnan(track.subject_boxes[1]).all()
    assert [reason and reason.split(" ")[-2:] for reason in track.frame_reasons] == [
        None,
        ["not", "found"],
        ["was", "found"],
        ["was", "found"],
    ]


@pytest.mark.parametrize(
    ("fox", "box", "words"),
    [
        pytest.param([FOX] * 3, [BOX] * 2, "3 frames of 'fox' but 2 of 'box'", id="lengths"),
        pytest.param([FOX], [{"x": 1, "y": 2}], "In frame 0 the box of 'box'", id="keys"),
        pytest.param([FOX], [[1, 2, 3]], "four numbers", id="three numbers"),
        pytest.param([FOX], ["here"], "four numbers", id="text"),
        pytest.param([FOX], [7], "four numbers", id="a number"),
        pytest.param([FOX], [[70, 2, 90, 20]], "outside the picture of 64 x 48", id="outside"),
        pytest.param([FOX], [[60, 2, 50, 20]], "empty", id="corners the wrong way round"),
        pytest.param([FOX], [[0, 0, float("nan"), 20]], "four finite numbers", id="no number"),
    ],
)
def test_wrong_boxes(fox, box, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=re.escape(words)):
        tracks_from_boxes("fox", "box", fox, box, 64, 48)


def test_boxes_for_another_video() -> None:
    with pytest.raises(SpatialAlignError, match="boxes for 2 frames, but the video has 3"):
        given_boxes("fox", "box", [FOX] * 2, [BOX] * 2, 64, 48).detect(
            np.zeros((3, 48, 64, 3), np.uint8), ["fox"]
        )


def masks(x: int) -> np.ndarray:
    result = np.zeros((5, 48, 64), dtype=np.float32)
    result[:, 10:20, x : x + 5] = 0.8
    result[:, 0, 0] = 0.3  # below what counts
    return result


def test_masks() -> None:
    fox = masks(4)
    fox[2] = 0
    track: Track = tracks_from_masks("fox", "box", fox, masks(30) > 0.5)
    assert track.object_boxes.tolist() == [[30, 10, 35, 20]] * 5
    assert np.isnan(track.subject_boxes[2]).all()
    assert track.frame_reasons[2] == "the fox was not found"
    assert track.subject_masks is not None
    assert track.subject_masks.sum() == 4 * 50


@pytest.mark.parametrize(
    ("fox", "box", "words"),
    [
        pytest.param(masks(3), masks(9)[:4], "5 frames of 'fox' but 4 of 'box'", id="lengths"),
        pytest.param(masks(3), masks(9)[:, :40], "64 x 48 pixels, those of 'box' 64 x 40", id="sizes"),
        pytest.param(masks(3)[0, 0], masks(9)[0, 0], "one mask for each frame", id="a row"),
    ],
)
def test_wrong_masks(fox, box, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=re.escape(words)):
        tracks_from_masks("fox", "box", fox, box)


def test_the_same_word_twice() -> None:
    with pytest.raises(SpatialAlignError, match="two different words"):
        tracks_from_boxes("fox", "fox", [FOX], [BOX], 64, 48)


def test_other_boxes_are_another_origin() -> None:
    """What was found before is taken again only for the same boxes."""
    moved = FOX | {"x": 3}
    one, same, other = (given_boxes("fox", "box", [fox], [BOX], 64, 48) for fox in (FOX, dict(FOX), moved))
    assert one.fingerprint == same.fingerprint != other.fingerprint


CORNERS_FOX, CORNERS_BOX = [2, 3, 12, 23], [40, 30, 48, 39]
SIZES_FOX, SIZES_BOX = [2, 3, 10, 20], [40, 30, 8, 9]
Seg = namedtuple("Seg", ["cropped_image", "confidence", "bbox", "label"])


@pytest.mark.parametrize(
    ("fox", "box"),
    [
        pytest.param([[FOX]], [[BOX]], id="Create Bounding Boxes in core: one frame"),
        pytest.param(FOX, [[BOX]] * 6, id="one box and a frame each"),
        pytest.param([SIZES_FOX] * 6, [SIZES_BOX] * 6, id="KJNodes: x, y, width, height"),
        pytest.param([tuple(SIZES_FOX)], [tuple(SIZES_BOX)], id="KJNodes: one for all"),
        pytest.param(torch.tensor([CORNERS_FOX] * 6), torch.tensor([CORNERS_BOX] * 6), id="tensors"),
        pytest.param(
            [torch.tensor([CORNERS_FOX])] * 6, [torch.tensor([CORNERS_BOX])] * 6, id="a tensor a frame"
        ),
        pytest.param([[[FOX]] * 6], [[[BOX]] * 6], id="a list too many"),
        pytest.param(
            {"x1": 2, "y1": 3, "x2": 12, "y2": 23},
            {"xmin": 40, "ymin": 30, "xmax": 48, "ymax": 39},
            id="corners by name",
        ),
        pytest.param(
            {"x": 2, "y": 3, "w": 10, "h": 20}, {"bbox_2d": CORNERS_BOX, "label": "box"}, id="other names"
        ),
        pytest.param(
            {"boxes": [CORNERS_FOX], "scores": [0.9], "labels": ["fox"]}, {"boxes": [CORNERS_BOX]}, id="lists"
        ),
        pytest.param(json.dumps([[FOX]] * 6), json.dumps(BOX), id="JSON"),
        pytest.param(
            ((48, 64), [Seg(None, np.array([0.9]), CORNERS_FOX, "fox")]),
            ((48, 64), [Seg(None, 0.9, np.array(CORNERS_BOX), "box")]),
            id="SEGS of the Impact Pack",
        ),
        pytest.param([[2, 3, 12, 23, 0.9]] * 6, [[*CORNERS_BOX, 0.5]] * 6, id="with the score behind"),
        pytest.param(
            [[v / s for v, s in zip(CORNERS_FOX, (64, 48) * 2, strict=True)]] * 6,
            [[v / s for v, s in zip(CORNERS_BOX, (64, 48) * 2, strict=True)]] * 6,
            id="shares of the picture",
        ),
    ],
)
def test_what_other_nodes_hand_on(fox, box) -> None:
    found = given_boxes("fox", "box", fox, box, 64, 48, 6)
    for frame in found.found:
        assert [each.noun for each in frame] == ["fox", "box"]
        np.testing.assert_allclose([each.box for each in frame], [CORNERS_FOX, CORNERS_BOX])


@pytest.mark.parametrize(
    ("fox", "box", "box_format", "expected"),
    [
        pytest.param([2, 3, 12, 20], [9, 5, 12, 20], "auto", None, id="both fit"),
        pytest.param([2, 3, 12, 20], [9, 5, 12, 20], "x1 y1 x2 y2", [2, 3, 12, 20], id="corners are chosen"),
        pytest.param(
            [2, 3, 12, 20], [9, 5, 12, 20], "x y width height", [2, 3, 14, 23], id="sizes are chosen"
        ),
        pytest.param(
            [2, 3, 12, 20], [40, 5, 48, 9], "auto", [2, 3, 12, 20], id="the other's say it: corners"
        ),
        pytest.param([2, 3, 12, 20], [40, 5, 12, 20], "auto", [2, 3, 14, 23], id="the other's say it: sizes"),
        pytest.param([40, 5, 48, 9], [40, 5, 12, 20], "auto", None, id="neither fits"),
        pytest.param([2, 3, 12, 20], BOX, "auto", None, id="a dict says nothing of bare numbers"),
    ],
)
def test_four_numbers_are_never_guessed(fox, box, box_format: str, expected) -> None:
    if expected is None:
        with pytest.raises(SpatialAlignError, match="box_format"):
            given_boxes("fox", "box", fox, box, 64, 48, 4, box_format)
        return
    found = given_boxes("fox", "box", fox, box, 64, 48, 4, box_format)
    assert [frame[0].box.tolist() for frame in found.found] == [expected] * 4
    assert "read as" in found.understood[0]


def _labelled(*labels: str) -> list[list[dict]]:
    return [
        [
            {"x": 5 + 20 * at, "y": 5, "width": 9, "height": 9, "label": label, "score": 0.9}
            for at, label in enumerate(labels)
        ]
    ] * 6


@pytest.mark.parametrize(
    ("subject", "object", "labels", "lefts"),
    [
        pytest.param("cat", "couch", ("cat", "couch"), (5, 25), id="one output on both sockets"),
        pytest.param("cats", "wine glass", ("wine glass", "Cat"), (25, 5), id="plural and case"),
        pytest.param("fluffy cat", "traffic-light", ("cat", "traffic light"), (5, 25), id="the noun's end"),
        pytest.param("people", "knife", ("person", "knives"), (5, 25), id="irregular"),
        pytest.param(
            "bear", "teddy bear", ("teddy bear", "bear"), (25, 5), id="a label that says more is another"
        ),
        pytest.param("brown teddy bear", "bus", ("bear", "teddy bear", "bus"), (25, 45), id="the longest"),
    ],
)
def test_labels_choose_the_boxes(
    subject: str, object: str, labels: tuple[str, ...], lefts: tuple[int, int]
) -> None:
    given = _labelled(*labels)
    track = tracks_from_boxes(subject, object, given, given, 64, 48)
    assert track.reason is None
    assert (track.subject_boxes[0, 0], track.object_boxes[0, 0]) == lefts


def test_labels_of_other_things_are_named() -> None:
    given = _labelled("dog", "hot dog", "couch")
    with pytest.raises(
        SpatialAlignError, match=r"boxes of 'fox' .* the labels there are: couch, dog, hot dog"
    ):
        given_boxes("fox", "couch", given, given, 64, 48)


def test_a_class_chosen_for_a_socket_is_taken_and_said() -> None:
    found = given_boxes("corgi", "couch", _labelled("dog"), [[BOX]] * 6, 64, 48)
    assert found.understood == ("The boxes with the label 'dog' were taken for the corgi.",)


def test_a_plain_list_of_things_is_in_every_frame() -> None:
    given = [FOX | {"label": "fox"}, BOX | {"label": "box"}, FOX | {"label": "cat"}]
    found = given_boxes("fox", "box", given, given, 64, 48, 6)
    assert [[each.noun for each in frame] for frame in found.found] == [["fox", "box"]] * 6


@pytest.mark.parametrize("count", [3, 7])
def test_boxes_for_another_number_of_frames(count: int) -> None:
    with pytest.raises(SpatialAlignError, match=f"for 6 frames, but the video has {count}"):
        given_boxes("fox", "box", [FOX] * 6, [[BOX]], 64, 48, count)


@pytest.mark.parametrize(
    "strays", [[(0, 0)], [(0, 0), (0, 1), (47, 63), (47, 62), (20, 62), (5, 60), (40, 1), (30, 2), (0, 63)]]
)
def test_stray_pixels_do_not_move_a_mask(strays: list[tuple[int, int]]) -> None:
    fox, box = masks(4), masks(30)
    for row, column in strays:
        fox[:, row, column] = 1
    fox[3, 10:20, 4:9] = 0  # hidden: only the strays are left
    track = tracks_from_masks("fox", "box", fox, box)
    assert track.subject_boxes[:3].tolist() == [[4, 10, 9, 20]] * 3
    assert track.subject_masks is not None and not track.subject_masks[:, 0, 0].any()


def test_a_thing_in_two_parts_behind_another_keeps_both() -> None:
    fox = masks(4)
    fox[:, 10:20, 7] = 0
    track = tracks_from_masks("fox", "box", fox, masks(30))
    assert track.subject_boxes.tolist() == [[4, 10, 9, 20]] * 5


def test_one_mask_stands_for_all_frames() -> None:
    found = given_masks("fox", "box", masks(4), masks(30)[0], 5)
    assert [[each.noun for each in frame] for frame in found.found] == [["fox", "box"]] * 5
