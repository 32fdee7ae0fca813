"""Tracks go to disk and come back the same; damaged files say so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.tracks import (
    Track,
    least_frames,
    most_frames,
    read_track,
    track_fingerprint,
    write_track,
)

NAN = [np.nan] * 4


def make_track(frames: int = 3, masks: bool = True) -> Track:
    rng = np.random.default_rng(frames)
    boxes = np.array(([[1, 2, 3.25, 4], NAN, [0.1, 0, 7, 5]] * frames)[:frames], dtype=float).reshape(
        frames, 4
    )
    return Track(
        subject="fox",
        object="traffic cone",
        width=7,
        height=5,
        subject_boxes=boxes,
        object_boxes=boxes[::-1].copy(),
        subject_confidences=np.where(np.isnan(boxes[:, 0]), np.nan, 0.3),
        object_confidences=np.full(frames, 1.0),
        frame_reasons=((None, "the fox was not found", None) * frames)[:frames],
        reason="only „few“ frames",
        subject_masks=rng.random((frames, 5, 7)) < 0.5 if masks else None,
        bridged=((False, True, False) * frames)[:frames],
    )


def test_tracks_from_before_there_were_bridges() -> None:
    data = make_track().to_json()
    del data["bridged"]
    assert Track.from_json(data).bridged == (False, False, False)


def assert_same(left: Track, right: Track) -> None:
    for name in Track.__dataclass_fields__:
        a, b = getattr(left, name), getattr(right, name)
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert a == b, name


@pytest.mark.parametrize("frames", [0, 1, 3, 81])
@pytest.mark.parametrize("masks", [True, False])
def test_round_trip(tmp_path: Path, frames: int, masks: bool) -> None:
    track = make_track(frames, masks)
    path = tmp_path / "a" / "track.json"
    write_track(path, track, fingerprint="abc")
    assert_same(read_track(path), track)
    assert track_fingerprint(path) == "abc"
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize("fill", [True, False])
def test_full_and_empty_masks(fill: bool) -> None:
    track = replace(make_track(2), object_masks=np.full((2, 5, 7), fill))
    assert_same(Track.from_json(json.loads(json.dumps(track.to_json()))), track)


@pytest.mark.parametrize(
    "change",
    [
        {"subject_boxes": [[1, 2, 3, 4]]},
        {"subject_boxes": [[1, 2, 3]] * 3},
        {"object_confidences": [1.0]},
        {"frame_reasons": 3},
        {"subject_masks": [[35]]},
        {"subject_masks": [[3], [35], [35]]},
        {"subject_masks": [[-1, 36], [35], [35]]},
        {"bridged": [True]},
        {"width": "wide"},
        {"object": ...},
    ],
)
def test_damaged_values(tmp_path: Path, change: dict) -> None:
    data = {key: value for key, value in (make_track().to_json() | change).items() if value is not ...}
    path = tmp_path / "track.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SpatialAlignError, match=r"track\.json is damaged"):
        read_track(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"subject": "fox"}'])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "track.json"
    path.write_bytes(content)
    with pytest.raises(SpatialAlignError, match=r"track\.json is damaged"):
        read_track(path)
    assert track_fingerprint(path) is None


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SpatialAlignError, match="cannot be read"):
        read_track(tmp_path / "none.json")
    assert track_fingerprint(tmp_path / "none.json") is None


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="object_boxes"):
        replace(make_track(), object_boxes=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="bridged"):
        replace(make_track(), bridged=(True,))


@pytest.mark.parametrize(
    ("published", "frames", "least", "most"),
    [
        (20, 81, 20, 20),
        (16, 81, 16, 16),
        (4, 81, 4, 4),
        (20, 18, 5, 4),
        (16, 18, 4, 3),
        (4, 18, 1, 1),
        (20, 1, 1, 1),
        (20, 0, 1, 1),
        (20, 162, 40, 40),
        (16, 41, 9, 8),
    ],
)
def test_shares_of_a_clip(published: int, frames: int, least: int, most: int) -> None:
    assert least_frames(published, frames) == least
    assert most_frames(published, frames) == most
