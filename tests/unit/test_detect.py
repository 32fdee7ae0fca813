"""Detection on clips whose truth is known, and the rule for which of them count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import cv2
import numpy as np
import pytest

from spatialalign_core.detect import (
    PUBLISHED,
    Detection,
    ValidityRule,
    detect_track,
    judge,
    load_detector,
)
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.pocket.sprites import COLOURS, OBJECT_COLOURS, SCENE_COLOURS, SUBJECT_COLOURS, backdrop
from spatialalign_core.pocket.vae import PATCH, fit_components
from spatialalign_core.pocket.world import Clip, render
from spatialalign_core.relations import CHANGES, RelationChange
from spatialalign_core.score import score_track
from spatialalign_core.video import read_video, write_video

SPRITES = load_detector("sprites")
CLIPS = 60


@cache
def clips() -> list[tuple[str, str, RelationChange, Clip]]:
    """Every subject with every object, the rest drawn at random; nine frames each."""
    rng = np.random.default_rng(0)
    result = []
    for index in range(CLIPS):
        subject = tuple(SUBJECT_COLOURS)[index % 6]
        object = tuple(OBJECT_COLOURS)[index // 6 % 6]
        scene = tuple(SCENE_COLOURS)[rng.integers(6)]
        change = CHANGES[rng.integers(6)]
        clip = render(subject, object, scene, change, int(rng.integers(2**31)), frames=9)
        result.append((subject, object, change, clip))
    return result


@cache
def codec() -> tuple[np.ndarray, np.ndarray]:
    return fit_components(np.concatenate([clip.frames for *_, clip in clips()]), 24)[:2]


def lossy(frames: np.ndarray) -> np.ndarray:
    """What the pocket model's VAE leaves of a clip."""
    mean, components = codec()
    count, height, width, _ = frames.shape
    tiles = frames.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH, 3) / 127.5 - 1
    patches = tiles.transpose(0, 1, 3, 5, 4, 2).reshape(-1, 3 * PATCH**2)
    coded = mean + (patches - mean) @ components.T @ components
    pixels = coded.reshape(count, height // PATCH, width // PATCH, 3, PATCH, PATCH).transpose(
        0, 1, 5, 2, 4, 3
    )
    return np.clip(np.round((pixels.reshape(frames.shape) + 1) * 127.5), 0, 255).astype(np.uint8)


def enlarged(frames: np.ndarray) -> np.ndarray:
    return frames.repeat(4, 1).repeat(4, 2)


def blurred(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(frame, (3, 3), 0.8) for frame in frames])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    common = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(common / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - common))


@pytest.mark.parametrize(
    ("change_frames", "scale", "least_box_iou", "least_mask_iou"),
    [
        pytest.param(lambda frames: frames, 1, 0.96, 0.94, id="as rendered"),
        pytest.param(enlarged, 4, 0.96, 0.94, id="enlarged"),
        pytest.param(lossy, 1, 0.87, 0.85, id="through the codec"),
        pytest.param(blurred, 1, 0.90, 0.88, id="blurred"),
    ],
)
def test_boxes_masks_and_identities(
    change_frames, scale: int, least_box_iou: float, least_mask_iou: float
) -> None:
    boxes, masks = [], []
    for subject, object, _, clip in clips():
        found = list(SPRITES.detect(change_frames(clip.frames), tuple(COLOURS)))
        truth = {
            subject: (clip.subject_boxes, clip.subject_masks),
            object: (clip.object_boxes, clip.object_masks),
        }
        for index, frame in enumerate(found):
            assert sorted(each.noun for each in frame) == sorted(truth), f"frame {index}: {subject}, {object}"
            for each in frame:
                true_box, true_mask = (values[index] for values in truth[each.noun])
                boxes.append(iou(each.box / scale, true_box))
                mask = each.mask[::scale, ::scale]
                masks.append((mask & true_mask).sum() / (mask | true_mask).sum())
                assert 0 <= each.confidence <= 1
    assert np.mean(boxes) >= least_box_iou
    assert np.mean(masks) >= least_mask_iou


def test_asking_for_others_finds_nothing() -> None:
    for subject, object, _, clip in clips()[::3]:
        others = [noun for noun in COLOURS if noun not in (subject, object)]
        assert not any(SPRITES.detect(clip.frames, others))


def test_after_video_compression(tmp_path) -> None:
    ious = []
    for index, (subject, object, _, clip) in enumerate(clips()[:12]):
        write_video(tmp_path / f"{index}.mp4", clip.frames, 8)
        frames, _ = read_video(tmp_path / f"{index}.mp4")
        track = detect_track(SPRITES, frames, subject, object)
        scale = frames.shape[1] / clip.frames.shape[1]
        for found, true in (
            (track.subject_boxes, clip.subject_boxes),
            (track.object_boxes, clip.object_boxes),
        ):
            ious += [iou(a / scale, b) for a, b in zip(found, true, strict=True)]
    assert np.mean(ious) >= 0.93


@pytest.mark.parametrize("scene", SCENE_COLOURS)
def test_empty_scenes(scene: str) -> None:
    picture = np.round(backdrop(scene, 64, 96) * 255).astype(np.uint8)
    assert list(SPRITES.detect(picture[None], tuple(COLOURS))) == [[]]


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 7, 300, 3), (1, 480, 832, 3)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_odd_pictures_do_not_crash(shape: tuple[int, ...], value: int) -> None:
    found = list(SPRITES.detect(np.full(shape, value, dtype=np.uint8), ("fox", "box")))
    assert found == [[]] * shape[0]


@pytest.mark.parametrize(("height", "width"), [(128, 192), (480, 832), (96, 96)])
def test_other_sizes(height: int, width: int) -> None:
    clip = render("bird", "pot", "on a beach", CHANGES[2], 4, frames=4, height=height, width=width)
    track = detect_track(SPRITES, clip.frames, "bird", "pot", keep_masks=True)
    assert track.subject_masks is not None and track.subject_masks.shape == (4, height, width)
    ious = [iou(a, b) for a, b in zip(track.subject_boxes, clip.subject_boxes, strict=True)]
    assert np.mean(ious) >= 0.85


def test_two_of_a_kind_are_two_detections() -> None:
    clip = render("fox", "box", "in a park", CHANGES[0], 1, frames=4, width=192)
    frames = np.concatenate([clip.frames, clip.frames], axis=2)
    found = list(SPRITES.detect(frames, ("fox", "box")))
    assert [sorted(each.noun for each in frame) for frame in found] == [["box", "box", "fox", "fox"]] * 4
    track = detect_track(SPRITES, frames, "fox", "box")
    assert set(track.frame_reasons) == {"more than one fox was found"}
    assert track.reason is not None and np.isfinite(track.subject_boxes).all()


@pytest.mark.parametrize("frames", [1, 18])
def test_track_and_score_of_true_clips(frames: int) -> None:
    clip = render("cat", "stone", "in a room", CHANGES[0], 2, frames=frames)
    track = detect_track(SPRITES, clip.frames, "cat", "stone")
    assert track.reason is None and track.frame_reasons == (None,) * frames
    score = score_track(track, CHANGES[0])
    assert score.valid and score.scored_frames == frames
    assert frames == 1 or (score.dsr is not None and score.dsr > 0.7)


def test_track_says_what_was_not_found() -> None:
    clip = render("cat", "stone", "in a room", CHANGES[0], 2)
    track = detect_track(SPRITES, clip.frames, "fox", "stone", keep_masks=True)
    assert set(track.frame_reasons) == {"the fox was not found"}
    assert (
        track.reason == "only 0 of 18 frames show both; at least 5 are needed (mostly: the fox was not found)"
    )
    assert np.isnan(track.subject_boxes).all() and np.isnan(track.subject_confidences).all()
    assert track.subject_masks is not None and not track.subject_masks.any()


class BoxesOnly:
    """A detector that knows no masks."""

    name = "boxes"

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        for _ in frames:
            yield [Detection(noun, np.array([1.0, 2, 3, 4]), c) for noun in nouns for c in (0.5, 0.75)][:-1]


def test_detectors_without_masks() -> None:
    track = detect_track(BoxesOnly(), np.zeros((5, 8, 8, 3), np.uint8), "a", "b", PUBLISHED, keep_masks=True)
    assert track.subject_masks is None
    assert track.subject_confidences.tolist() == [0.75] * 5 and track.object_confidences.tolist() == [0.5] * 5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load_detector("eyes"), "choose one of: pocket"),
        (
            lambda: SPRITES.detect(np.zeros((1, 8, 8, 3), np.uint8), ("fox", "dragon")),
            "'dragon'.* it knows: fox, cat",
        ),
        (
            lambda: detect_track(SPRITES, np.zeros((1, 8, 8, 3), np.uint8), "fox", "fox"),
            "two different words",
        ),
        (lambda: detect_track(SPRITES, np.zeros((0, 8, 8, 3), np.uint8), "fox", "box"), "frames x height"),
        (lambda: detect_track(SPRITES, np.zeros((8, 8, 3), np.uint8), "fox", "box"), "frames x height"),
    ],
)
def test_errors(call, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        call()


BOTH, NONE, TWO = ("fox", "box"), (), ("fox", "box", "fox")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (("fox", "box"), None),
        (("box", "fox"), None),
        ((), "neither the fox nor the box was found"),
        (("fox",), "the box was not found"),
        (("box",), "the fox was not found"),
        (("fox", "fox"), "the box was not found"),
        (("fox", "fox", "box"), "more than one fox was found"),
        (("fox", "box", "box"), "more than one box was found"),
        (("fox", "box", "tree"), "something else was found: tree"),
        (("fox", "tree"), "the box was not found"),
    ],
)
def test_frame_reasons(found: tuple[str, ...], reason: str | None) -> None:
    assert judge([found], "fox", "box").frame_reasons == (reason,)


@pytest.mark.parametrize(
    ("labels", "words", "first_run"),
    [
        pytest.param([BOTH] * 20 + [NONE] * 61, None, 0, id="81 frames, just enough valid"),
        pytest.param([BOTH] * 19 + [NONE] * 62, "only 19 of 81", 0, id="81 frames, one too few"),
        pytest.param([BOTH] * 65 + [TWO] * 16, None, 0, id="81 frames, redundant at the limit"),
        pytest.param([BOTH] * 64 + [TWO] * 17, "in 17 of 81", 0, id="81 frames, one redundant too many"),
        pytest.param([BOTH] * 64 + [("fox", "tree")] * 17, "in 17 of 81", 0, id="other labels are redundant"),
        pytest.param(
            ([BOTH] * 3 + [NONE]) * 20 + [NONE], "no 4 frames in a row", None, id="81 frames, no run"
        ),
        pytest.param([NONE] * 5 + [BOTH] * 4 + ([BOTH] * 3 + [NONE]) * 18, None, 5, id="81 frames, one run"),
        pytest.param([NONE] * 13 + [BOTH] * 5, None, 13, id="18 frames, just enough valid"),
        pytest.param([NONE] * 14 + [BOTH] * 4, "only 4 of 18", 14, id="18 frames, one too few"),
        pytest.param([TWO] * 3 + [BOTH] * 15, None, 3, id="18 frames, redundant at the limit"),
        pytest.param([TWO] * 4 + [BOTH] * 14, "in 4 of 18", 4, id="18 frames, one redundant too many"),
        pytest.param([BOTH], None, 0, id="one frame"),
        pytest.param([TWO], "only 0 of 1", None, id="one redundant frame"),
        pytest.param([NONE], "only 0 of 1", None, id="one empty frame"),
        pytest.param([], "no frames", None, id="no frames"),
    ],
)
def test_video_reasons(labels: list[tuple[str, ...]], words: str | None, first_run: int | None) -> None:
    verdict = judge(labels, "fox", "box")
    assert verdict.first_run == first_run
    assert verdict.reason is None if words is None else words in str(verdict.reason)


@pytest.mark.parametrize(
    ("frames", "rule"),
    [(81, (20, 16, 4)), (162, (40, 32, 8)), (18, (5, 3, 1)), (1, (1, 1, 1)), (0, (1, 1, 1))],
)
def test_rule_scales_with_length(frames: int, rule: tuple[int, int, int]) -> None:
    assert ValidityRule().for_length(frames) == ValidityRule(*rule)
