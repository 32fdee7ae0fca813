"""Tracks drawn into their videos: what is to be seen where, sizes, and odd clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from spatialalign_core import draw_marks
from spatialalign_core.detect.base import Detection
from spatialalign_core.detect.others import with_others
from spatialalign_core.draw import annotate
from spatialalign_core.draw_marks import OBJECT, SUBJECT, Labels, enlarged, font, readable, wrapped
from spatialalign_core.draw_tracks import Drawing, draw_tracks
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.relations import RelationChange
from spatialalign_core.tracks import Track

CHANGE = RelationChange.parse("LR")
PLAIN = Drawing(trail=0, shortest=1)


def _track(frames: int = 4, width: int = 200, height: int = 160, masks: bool = False) -> Track:
    """A fox that walks from left to right in front of a box that stands still."""
    x = np.linspace(10, width - 60, frames)
    fox = np.stack([x, np.full(frames, 60.0), x + 40, np.full(frames, 100.0)], axis=1)
    box = np.tile([width / 2 - 15, 90, width / 2 + 15, 120], (frames, 1)).astype(np.float64)
    inside = np.zeros((2, frames, height, width), dtype=bool)
    inside[:, :, 70:90, 20:40] = True
    return Track(
        subject="fox",
        object="box",
        width=width,
        height=height,
        subject_boxes=fox,
        object_boxes=box,
        subject_confidences=np.full(frames, 0.9),
        object_confidences=np.full(frames, np.nan),
        frame_reasons=(None,) * frames,
        subject_masks=inside[0] if masks else None,
        object_masks=inside[1] if masks else None,
    )


def _frames(track: Track, scale: int = 1) -> np.ndarray:
    return np.full((track.frames, track.height * scale, track.width * scale, 3), 128, dtype=np.uint8)


def _has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(-1).any())


@pytest.mark.parametrize(
    ("width", "height", "shortest", "change", "size"),
    [
        pytest.param(200, 160, 1, None, (160, 200), id="as it is"),
        pytest.param(201, 161, 1, None, (162, 202), id="odd sides become even"),
        pytest.param(96, 128, 384, None, (512, 384), id="enlarged by a whole factor"),
        pytest.param(200, 160, 1, CHANGE, None, id="a panel below"),
    ],
)
def test_size(width, height, shortest, change, size) -> None:
    track = _track(width=width, height=height)
    pictures = list(draw_tracks(_frames(track), track, change, Drawing(shortest=shortest)))
    assert len(pictures) == track.frames
    assert len({picture.shape for picture in pictures}) == 1
    rows, columns, _ = pictures[0].shape
    assert rows % 2 == columns % 2 == 0
    assert pictures[0].dtype == np.uint8
    if size is None:
        assert columns == width and rows > height + 40
    else:
        assert (rows, columns) == size


@pytest.mark.parametrize(
    ("drawing", "colours"),
    [
        pytest.param(PLAIN, (True, True), id="boxes of both"),
        pytest.param(replace(PLAIN, boxes=False), (False, False), id="nothing"),
        pytest.param(replace(PLAIN, boxes=False, trail=9), (True, False), id="the subject's trail alone"),
    ],
)
def test_what_is_drawn(drawing, colours) -> None:
    track = _track()
    last = list(draw_tracks(_frames(track), track, None, drawing))[-1]
    assert (_has(last, SUBJECT), _has(last, OBJECT)) == colours


def test_masks_veil_the_picture_only_when_asked_for() -> None:
    track = _track(masks=True)
    veiled, plain = (
        next(draw_tracks(_frames(track), track, None, replace(PLAIN, boxes=False, masks=masks)))
        for masks in (True, False)
    )
    assert (plain == 128).all()
    assert (veiled[75:85, 25:35] != 128).any(-1).all()
    assert (veiled[:60] == 128).all()


def test_boxes_scale_with_the_picture() -> None:
    track = _track()
    small, large = (next(draw_tracks(_frames(track, scale), track, None, PLAIN)) for scale in (1, 3))
    edges = [np.flatnonzero((picture == OBJECT).all(-1).any(0))[0] for picture in (small, large)]
    assert edges == [85, 255]


def test_frames_that_do_not_count_are_grey_and_say_why() -> None:
    track = replace(_track(), frame_reasons=(None, "the fox was not found", None, None))
    nan = np.full(4, np.nan)
    track.subject_boxes[1] = nan
    pictures = list(draw_tracks(_frames(track), track, CHANGE, PLAIN))
    assert pictures[0][0, 0].tolist() == [128] * 3
    assert pictures[1][0, 0].tolist() != [128] * 3
    plate = pictures[1][130:158, 8:60]
    assert _has(plate, (32, 32, 30)) and not _has(pictures[0][130:158, 8:60], (32, 32, 30))
    assert not _has(pictures[1][:130], SUBJECT)


def test_a_video_that_does_not_count_says_so_on_every_frame() -> None:
    track = replace(_track(), reason="only 1 of 4 frames show both; at least 2 are needed")
    for picture in draw_tracks(_frames(track), track, None, PLAIN):
        assert _has(picture[8:40, 8:60], (168, 38, 38))


def test_bridged_boxes_are_dashed() -> None:
    track = replace(_track(), bridged=(False, True, False, False))
    track.subject_boxes[:] = track.subject_boxes[0]
    whole, dashed = list(draw_tracks(_frames(track), track, None, PLAIN))[:2]
    edge = [(picture[60:100, 10] == SUBJECT).all(-1).sum() for picture in (whole, dashed)]
    assert edge[0] == 40 and 10 < edge[1] < 35


@pytest.mark.parametrize("frames", [1, 2, 300])
def test_clips_of_any_length(frames) -> None:
    track = _track(frames)
    assert len(list(draw_tracks(_frames(track), track, CHANGE, PLAIN))) == frames


def test_nothing_was_ever_found() -> None:
    track = replace(_track(), subject_boxes=np.full((4, 4), np.nan), object_boxes=np.full((4, 4), np.nan))
    track = replace(track, frame_reasons=("neither the fox nor the box was found",) * 4)
    assert len(list(draw_tracks(_frames(track), track, CHANGE))) == 4


def test_boxes_that_reach_out_of_the_picture() -> None:
    track = _track()
    track.subject_boxes[:] = [-30, -20, 230, 190]
    assert len(list(draw_tracks(_frames(track), track, CHANGE))) == 4


def test_a_track_of_another_clip() -> None:
    with pytest.raises(SpatialAlignError, match="4 frames, but there are 3 pictures"):
        draw_tracks(_frames(_track())[:3], _track())


@pytest.mark.parametrize(
    ("words", "lines", "expected"),
    [
        ("one two", 2, ["one two"]),
        ("one two three four five six", 2, ["one two three", "four five six"]),
        ("one two three four five six seven eight", 2, ["one two three", "four five six…"]),
        ("", 2, [""]),
    ],
)
def test_long_reasons_are_broken_and_cut(words, lines, expected) -> None:
    width = max(font(16).getlength(line) for line in ("one two three", "four five six…")) + 1
    assert wrapped(words, font(16), width, lines) == expected


@pytest.mark.parametrize("corner", [(0, 0), (150, 0), (0, 130), (150, 130)])
@pytest.mark.parametrize("nouns", [("fox", "box"), ("cyclist in a yellow raincoat", "wooden park bench")])
def test_labels_of_one_place_stay_apart_and_inside(corner: tuple[int, int], nouns: tuple[str, str]) -> None:
    image = Image.new("RGB", (200, 160))
    draw = ImageDraw.Draw(image)
    labels = Labels(image.size, 13)
    areas = [labels.beside(draw, (*corner, corner[0] + 50, corner[1] + 30), noun, SUBJECT) for noun in nouns]
    for x0, y0, x1, y1 in areas:
        assert 0 <= x0 < x1 <= 200 and 0 <= y0 < y1 <= 160
    (_, top, _, bottom), (_, other_top, _, other_bottom) = areas
    left_of = areas[0][2] <= areas[1][0] or areas[1][2] <= areas[0][0]
    assert left_of or bottom <= other_top or other_bottom <= top


@pytest.mark.parametrize(("colours", "hard"), [(4, True), (4096, False)])
def test_footage_is_enlarged_without_blocks(colours: int, hard: bool) -> None:
    frame = np.random.default_rng(0).integers(0, colours, (64, 96, 3)).astype(np.uint8)
    frame[..., 1:] = 0 if hard else frame[..., 1:]
    large = np.asarray(enlarged(frame, (384, 256)))
    assert bool((large[::4, ::4] == large[3::4, 3::4]).all()) is hard


def test_every_find_is_drawn_where_there_is_more_than_one() -> None:
    track = replace(_track(), frame_reasons=(None, "more than one fox was found", None, None))
    other = np.array([150.0, 10.0, 190.0, 40.0])
    found = [
        [Detection("fox", box, 0.9), *([Detection("fox", other, 0.5)] if index < 2 else [])]
        for index, box in enumerate(track.subject_boxes)
    ]
    drawn = with_others(track, found)
    assert [each.tolist() for each in drawn.subject_others] == [[], [other.tolist()], [], []]
    pictures = list(draw_tracks(_frames(track), drawn, None, PLAIN))
    assert [_has(picture[12:36, 186:190], SUBJECT) for picture in pictures] == [False, True, False, False]
    assert [_has(p[12:36, 186:190], SUBJECT) for p in annotate(_frames(track), drawn, 1)] == [
        False,
        True,
        False,
        False,
    ]


def test_the_cause_at_the_end_of_a_long_reason_is_not_cut() -> None:
    words = (
        "too much was found in 33 of 36 frames; at most 7 may be so (mostly: more than one cyclist was found)"
    )
    assert " ".join(wrapped(words, font(13), 176)) == words
    assert "".join(wrapped("狐" * 90, font(13), 176)) == "狐" * 90


def test_words_without_letters_get_a_plain_word(monkeypatch) -> None:
    monkeypatch.setattr(draw_marks, "_SYSTEM_FONTS", ())
    font.cache_clear()
    assert [readable(each, "subject") for each in ("狐狸", "fox")] == ["subject", "fox"]
    font.cache_clear()
