"""Boxes and masks from other nodes become tracks, or a clear sentence."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spatialalign_core.detect.given import given_boxes, tracks_from_boxes, tracks_from_masks
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
        pytest.param(FOX, [BOX], "one dict", id="one box for all frames"),
        pytest.param([FOX], [{"x": 1, "y": 2}], "In frame 0 the box of 'box'", id="keys"),
        pytest.param([FOX], [[1, 2, 3]], "four numbers", id="three numbers"),
        pytest.param([FOX], ["here"], "four numbers", id="text"),
        pytest.param([FOX], [7], "four numbers", id="a number"),
        pytest.param([FOX], [[70, 2, 90, 20]], "outside the picture of 64 x 48", id="outside"),
        pytest.param([FOX], [[9, 2, 4, 20]], "empty", id="corners the wrong way round"),
        pytest.param([FOX], [[0, 0, float("nan"), 20]], "empty", id="no number"),
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
        pytest.param(masks(3)[0], masks(9)[0], "one mask for each frame", id="a single mask"),
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
