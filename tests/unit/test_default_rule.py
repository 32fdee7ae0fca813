"""The default rule on tracks made by hand: who is followed, what is filled, and what is set aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from spatialalign_core.detect import (
    DEFAULT,
    PUBLISHED,
    RULES,
    Detection,
    DetectionRule,
    Detector,
    detect_track,
)
from spatialalign_core.detect.base import origin
from spatialalign_core.detect.candidates import follow, iou, suppress
from spatialalign_core.detect.masks import mask_boxes, without_specks

WIDTH, HEIGHT, SIDE = 160, 100, 20.0


def box(x: float, y: float, side: float = SIDE) -> np.ndarray:
    return np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2])


def fox(x: float, y: float = 50, confidence: float = 0.9, side: float = SIDE) -> Detection:
    return Detection("fox", box(x, y, side), confidence)


def crate(x: float = 80, y: float = 50, confidence: float = 0.8, side: float = SIDE) -> Detection:
    return Detection("box", box(x, y, side), confidence)


def walk(frames: int = 40, start: float = 30, end: float = 130) -> list[list[Detection]]:
    """A fox walks from left to right in front of a box."""
    return [[fox(x, 60), crate(y=40)] for x in np.linspace(start, end, frames)]


class Told:
    """A detector that finds what it was told."""

    name = "told"

    def __init__(self, found: Sequence[list[Detection]]) -> None:
        self.found = found

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        return iter(self.found)


def track(found: Sequence[list[Detection]], rule: DetectionRule = DEFAULT, **settings):  # type: ignore[no-untyped-def]
    frames = np.zeros((len(found), HEIGHT, WIDTH, 3), np.uint8)
    return detect_track(Told(found), frames, "fox", "box", rule, **settings)


def without(noun: str, frames: range, found: list[list[Detection]]) -> list[list[Detection]]:
    return [
        [one for one in each if one.noun != noun] if i in frames else each for i, each in enumerate(found)
    ]


def also(one: Detection, frames: range, found: list[list[Detection]]) -> list[list[Detection]]:
    return [[*each, one] if i in frames else each for i, each in enumerate(found)]


def turned(found: list[list[Detection]], cut: int) -> list[list[Detection]]:
    """From `cut` on the fox is called a box and the box a fox."""
    names = {"fox": "box", "box": "fox"}
    return [
        [Detection(names[one.noun], one.box, one.confidence) for one in each] if i >= cut else each
        for i, each in enumerate(found)
    ]


STANDING = walk(start=45, end=45)


@pytest.mark.parametrize(
    ("found", "default", "published"),
    [
        pytest.param(walk(), None, None, id="nothing wrong"),
        pytest.param(walk(18), None, None, id="a short clip"),
        pytest.param(walk(241), None, None, id="a long clip"),
        pytest.param(walk(5), None, None, id="five frames"),
        pytest.param(
            also(fox(20, 15, side=11), range(40), walk()), None, "too much", id="a small look-alike"
        ),
        pytest.param(
            also(fox(20, 15, 0.4), range(40), walk()), None, "too much", id="a doubtful look-alike as big"
        ),
        pytest.param(
            also(fox(140, 20), range(0, 40, 4), walk()), None, "too much", id="a second one flickers"
        ),
        pytest.param(
            also(fox(20, 15), range(40), walk()),
            "more than one fox",
            "too much",
            id="two as big as each other",
        ),
        pytest.param(
            also(crate(20, 15), range(10, 40), walk()), "more than one box", "too much", id="two boxes"
        ),
        pytest.param(without("fox", range(10, 12), walk()), None, None, id="a short gap"),
        pytest.param(
            without("fox", range(10, 22), STANDING), "vanishes in frame 11", None, id="goes out like a lamp"
        ),
        pytest.param(
            [*walk(20, 10, -5), *without("fox", range(10), walk(10)), *walk(20, -5, 40)],
            None,
            None,
            id="walks out and in again",
        ),
        pytest.param(
            [*walk(20, 30, 30), *walk(20, 130, 130)],
            "fox jumps between frame 20 and frame 21",
            None,
            id="leaps",
        ),
        pytest.param(
            [*walk(34, 30, 30), *walk(6, 130, 130)],
            "takes the place",
            None,
            id="leaps shortly before the end",
        ),
        pytest.param(turned(STANDING, 20), "change places", None, id="changed names"),
        pytest.param(without("fox", range(20, 40), walk()), "last 20 of 40", None, id="the end is not seen"),
        pytest.param(without("box", range(15), walk()), "first 15 of 40", None, id="the start is not seen"),
        pytest.param(without("fox", range(40), walk()), "only 0 of 40", "only 0 of 40", id="never there"),
        pytest.param([[]] * 40, "only 0 of 40", "only 0 of 40", id="nothing at all"),
        pytest.param(
            [[*each, Detection("box", each[0].box + 0.5, 0.5)] for each in walk()],
            None,
            "too much",
            id="one thing under two names",
        ),
        pytest.param(
            [[*each, Detection("fox", each[0].box + 1, 0.5)] for each in walk()],
            None,
            "too much",
            id="one thing twice",
        ),
        pytest.param(
            [[*each, Detection("", box(10, 10), 0.5, None, "fox box")] for each in walk()],
            None,
            "too much",
            id="a thing without a noun",
        ),
        pytest.param(
            [
                [Detection(o.noun, o.box, o.confidence, None, f"wooden {o.noun}") for o in each]
                for each in walk()
            ],
            None,
            "too much",
            id="other words for the same",
        ),
    ],
)
def test_which_videos_count(found: list[list[Detection]], default: str | None, published: str | None) -> None:
    for rule, words in ((DEFAULT, default), (PUBLISHED, published)):
        reason = track(found, rule).reason
        assert reason is None if words is None else words in str(reason), rule.mode


def test_gaps_are_filled_and_marked() -> None:
    whole = track(walk())
    holed = track(without("fox", range(10, 12), walk()))
    np.testing.assert_allclose(holed.subject_boxes, whole.subject_boxes, atol=1e-9)
    assert [i for i, bridged in enumerate(holed.bridged) if bridged] == [10, 11]
    assert holed.frame_reasons == (None,) * 40 and whole.bridged == (False,) * 40
    strict = track(without("fox", range(10, 12), walk()), PUBLISHED)
    assert np.isnan(strict.subject_boxes[10:12]).all() and not any(strict.bridged)


@pytest.mark.parametrize(("frames", "longest"), [(5, 2), (18, 2), (40, 2), (81, 4), (241, 12)])
def test_length_of_gaps(frames: int, longest: int) -> None:
    middle = frames // 2 - longest // 2
    still = walk(frames, 45, 45)
    filled = track(without("fox", range(middle, middle + longest), still))
    assert sum(filled.bridged) == (longest if frames > longest + 1 else 0)
    assert not any(track(without("fox", range(middle, middle + longest + 1), still)).bridged) or frames == 5


def test_a_gap_at_the_end_stays_open() -> None:
    open_ended = track(without("fox", range(38, 40), walk()))
    assert open_ended.frame_reasons[-2:] == ("the fox was not found",) * 2 and not any(open_ended.bridged)
    assert open_ended.reason is None


def test_a_stray_detection_is_passed_over() -> None:
    found = walk()
    found[17] = [fox(20, 15), crate(y=40)]
    result = track(found)
    assert result.reason is None and result.bridged[17]
    np.testing.assert_allclose(result.subject_boxes, track(walk()).subject_boxes, atol=1e-9)


def test_the_most_consistent_is_followed_not_the_surest() -> None:
    rng = np.random.default_rng(0)
    found = [[*each, fox(rng.uniform(0, 160), rng.uniform(0, 100), 0.99)] for each in walk()]
    followed = follow(found, "fox", DEFAULT)
    assert (followed.picks == 0).all()


def test_long_clips_take_little_time() -> None:
    found = also(fox(20, 15, side=11), range(2000), walk(2000))
    assert track(found).reason is None


def test_suppression_is_by_noun_and_frame() -> None:
    one, twice, other = fox(50), fox(51, confidence=0.5), fox(90)
    assert suppress([[twice, one, other], [twice], []]) == [[one, other], [twice], []]


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),
        ([0, 0, 2, 2], [1, 0, 3, 2], 1 / 3),
        ([0, 0, 1, 1], [1, 1, 2, 2], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0.0),
    ],
)
def test_iou(a: list[float], b: list[float], value: float) -> None:
    assert iou(np.array(a, float), np.array(b, float)) == pytest.approx(value)


class Masks:
    """A mask tracker that draws the starting boxes, moved to the right by the frame, and loses the fox at the end."""

    name = "masks"

    def track(
        self, frames: np.ndarray, seed: int, boxes: np.ndarray
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        self.seed = seed
        for frame in [*range(seed, len(frames)), *range(seed - 1, -1, -1)]:
            masks = np.zeros((len(boxes), *frames.shape[1:3]), bool)
            for mask, (x0, y0, x1, y1) in zip(masks, boxes.round().astype(int), strict=True):
                mask[y0:y1, x0 + frame - seed : x1 + frame - seed] = True
            if frame >= len(frames) - 2:
                masks[0] = False
            yield frame, masks, np.full(len(boxes), 0.7)


@pytest.mark.parametrize(("rule", "seed"), [(PUBLISHED, 4), (DEFAULT, 10)], ids=list(RULES)[::-1])
def test_boxes_from_masks(rule: DetectionRule, seed: int) -> None:
    found = without("fox", range(4), walk(start=45, end=45))
    found = without("box", range(8, 10), found)
    found[10] = [fox(45, 60, 0.99), crate(y=40)]
    tracker = Masks()
    result = track(found, rule, keep_masks=True, mask_tracker=tracker)
    assert tracker.seed == seed and result.reason is None
    assert result.subject_masks is not None and result.subject_masks.shape == (40, HEIGHT, WIDTH)
    np.testing.assert_array_equal(result.subject_boxes[seed], found[seed][0].box)
    np.testing.assert_array_equal(result.subject_boxes[0], found[seed][0].box - [seed, 0, seed, 0])
    assert result.frame_reasons == (None,) * 38 + ("the fox was not found",) * 2
    assert np.isnan(result.subject_confidences[-1]) and result.object_confidences[-1] == 0.7


def test_no_masks_without_a_place_to_start() -> None:
    assert track([[]] * 5, mask_tracker=Masks()).subject_masks is None


@pytest.mark.parametrize(
    ("filled", "box"),
    [
        ([], [np.nan] * 4),
        ([(1, 2), (3, 6)], [2, 1, 7, 4]),  # two pieces of one size
        ([(slice(0, 4), slice(0, 3)), (4, 6)], [0, 0, 3, 4]),  # a thing and a speck
        ([(slice(0, 4), slice(0, 3)), (slice(3, 5), 6)], [0, 0, 7, 5]),  # a sixth of it is no speck
    ],
)
def test_extent_without_specks(filled: list, box: list[float]) -> None:
    mask = np.zeros((1, 5, 7), bool)
    for place in filled:
        mask[0][place] = True
    before = mask.copy()
    np.testing.assert_array_equal(mask_boxes(without_specks(mask))[0], box)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize(("rule", "wide"), [(PUBLISHED, True), (DEFAULT, False)], ids=list(RULES)[::-1])
def test_only_the_published_rule_counts_specks(rule: DetectionRule, wide: bool) -> None:
    class Specks(Masks):
        def track(
            self, frames: np.ndarray, seed: int, boxes: np.ndarray
        ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
            for frame, masks, sure in super().track(frames, seed, boxes):
                masks[:, -1, 0] = True
                yield frame, masks, sure

    boxes = track(walk(start=45, end=45), rule, mask_tracker=Specks()).object_boxes
    assert (boxes[0, 0] == 0) == wide


def test_origin() -> None:
    told: Detector = Told([])
    assert origin(told) == "told" and origin(None) is None
    told.fingerprint = "abc"  # type: ignore[attr-defined]
    assert origin(told) == "abc"
