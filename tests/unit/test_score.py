"""The published score, against the authors' own answers and by hand."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.relations import CHANGES, Relation, RelationChange
from spatialalign_core.score import (
    GOOD,
    Score,
    accuracy_at,
    accuracy_curve,
    counted,
    missed_ends,
    obey_share,
    obeys,
    score_published,
    score_track,
    score_tracks,
    ssr,
    ssr_sequences,
)
from spatialalign_core.score_file import read_cases, score_cases_file
from spatialalign_core.tracks import Track

HERE = Path(__file__).parent
# The 48 published cases: every change, gaps in time, empty boxes, exactly 20 counted frames, INVALID.
PUBLISHED = gzip.decompress((HERE.parent / "data" / "dsr_reference.json.gz").read_bytes())
NUMBERS = ("dsr", "initial_ssr", "final_ssr", "initial_gap", "final_gap")

LR, LT = RelationChange.parse("LR"), RelationChange.parse("LT")
OBJECT = [40, 40, 60, 60]  # centre 50, 50


def at(dx: float, dy: float) -> list[float]:
    """A box of the object's size whose centre is that far from the object's."""
    return [40 + dx, 40 + dy, 60 + dx, 60 + dy]


def make_track(
    subject_boxes: list, reasons: tuple[str | None, ...] | None = None, reason: str | None = None
) -> Track:
    boxes = np.array([[np.nan] * 4 if box is None else box for box in subject_boxes], dtype=float).reshape(
        -1, 4
    )
    frames = len(boxes)
    return Track(
        subject="cat",
        object="box",
        width=100,
        height=100,
        subject_boxes=boxes,
        object_boxes=np.tile(np.array(OBJECT, dtype=float), (frames, 1)),
        subject_confidences=np.ones(frames),
        object_confidences=np.ones(frames),
        frame_reasons=reasons or (None,) * frames,
        reason=reason,
    )


def assert_published(cases: list[dict], answers: list[dict]) -> None:
    assert [answer["id"] for answer in answers] == [case["id"] for case in cases]
    for case, answer in zip(cases, answers, strict=True):
        expected = case["expected"]
        assert answer["valid"] == (expected is not None)
        if expected is None:
            assert answer["reason"] and all(answer[name] is None for name in NUMBERS) and not answer["obeys"]
            continue
        assert answer["reason"] is None and answer["scored_frames"] == expected["scored_frames"]
        for name in NUMBERS:
            assert answer[name] == pytest.approx(expected[name], abs=1e-9, rel=0), (case["id"], name)
        ends = min(expected["initial_ssr"], expected["final_ssr"])
        assert answer["obeys"] == (expected["dsr"] >= 0.7 and ends >= 0.2), case["id"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases as a file."""
    path = tmp_path_factory.mktemp("published") / "cases.json"
    path.write_bytes(PUBLISHED)
    return path


def test_equals_all_published_answers(published: Path) -> None:
    cases = json.loads(PUBLISHED)["cases"]
    assert len(cases) == 48
    assert_published(cases, score_cases_file(published))


def test_answers_have_their_keys_in_order(published: Path) -> None:
    keys = [
        "id",
        "valid",
        "reason",
        "dsr",
        "initial_ssr",
        "final_ssr",
        "initial_gap",
        "final_gap",
        "scored_frames",
        "missed",
        "obeys",
    ]
    assert all(list(answer) == keys for answer in score_cases_file(published))


@pytest.mark.parametrize(
    ("box", "left", "right", "top"),
    [
        pytest.param(at(-20, 0), 1, -1, 0, id="touching on the left"),
        pytest.param(at(-90, 0), 1, -1, 0, id="far away is no better"),
        pytest.param(at(-10, 0), 0.5, -0.5, 0, id="half overlapping"),
        pytest.param(at(0, -20), 0, 0, 1, id="on top"),
        pytest.param(at(0, 20), 0, 0, -1, id="below"),
        pytest.param(at(20, -20), -math.sqrt(0.5), math.sqrt(0.5), math.sqrt(0.5), id="diagonal"),
        pytest.param(at(3, -4), -0.6 * 0.15, 0.6 * 0.15, 0.8 * 0.2, id="3-4-5 triangle"),
        pytest.param(at(0, 0), 0, 0, 0, id="same centre"),
        pytest.param([35, 50, 45, 50], 0.5 * 20 / 15 * 1, -0.5 * 20 / 15, 0, id="flat subject"),
        pytest.param([np.nan] * 4, np.nan, np.nan, np.nan, id="absent"),
    ],
)
def test_ssr(box: list[float], left: float, right: float, top: float) -> None:
    for relation, expected in zip(Relation, (left, right, top), strict=True):
        assert ssr(box, OBJECT, relation) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_ssr_takes_any_leading_shape() -> None:
    boxes = np.array([[at(-20, 0), at(20, 0), at(0, -20)], [at(-10, 0), at(3, -4), at(0, 0)]], dtype=float)
    together = ssr(boxes, np.array(OBJECT), Relation.LEFT)
    assert together.shape == (2, 3)
    assert together.ravel().tolist() == [
        float(ssr(box, OBJECT, Relation.LEFT)) for box in boxes.reshape(-1, 4)
    ]


@pytest.mark.parametrize(
    ("subject", "object", "counts"),
    [
        pytest.param(at(1, 1), OBJECT, True, id="both there"),
        pytest.param([0, 0, 0, 0], OBJECT, False, id="empty subject"),
        pytest.param([5, 0, 5, 9], OBJECT, False, id="subject without width"),
        pytest.param([0, 5, 9, 5], OBJECT, True, id="one height may be zero"),
        pytest.param([0, 5, 9, 5], [0, 7, 9, 7], False, id="no height at all"),
        pytest.param(OBJECT, [5, 0, 5, 9], False, id="object without width"),
        pytest.param([np.nan] * 4, OBJECT, False, id="absent"),
    ],
)
def test_counted(subject: list[float], object: list[float], counts: bool) -> None:
    assert bool(counted(subject, object)) is counts


def test_parts_by_hand() -> None:
    """r_L = 1, .5, .5, -.5, -1 in the counted frames; initial 2/3, final 1/3, both gaps 1; DSR (3)/8 + 1/2."""
    boxes = [at(-20, 0), None, at(-10, 0), at(-10, 0), [0, 0, 0, 0], at(10, 0), at(20, 0)]
    score = score_track(make_track(boxes), LR, min_frames=5)
    assert score == Score(
        True, None, pytest.approx(0.875), pytest.approx(2 / 3), pytest.approx(1 / 3), 1.0, 1.0, 5, ()
    )


def test_fewer_than_three_frames_are_their_own_mean() -> None:
    """r_L = 1, -.5: initial 1/4, final -1/4, both gaps 3/4; DSR 1.5/8 + 1/2."""
    score = score_track(make_track([at(-20, 0), at(10, 0)]), LR)
    assert score == Score(True, None, pytest.approx(0.6875), 0.25, -0.25, 0.75, 0.75, 2, ("final_ssr",))


def test_vectorised_equals_one_by_one() -> None:
    rng = np.random.default_rng(0)
    tracks, changes = [], []
    for length in (0, 1, 2, 18, 81, 200):
        boxes = [None if rng.random() < 0.3 else at(*rng.uniform(-30, 30, 2)) for _ in range(length)]
        tracks.append(make_track(boxes))
        changes.append(CHANGES[length % 6])
    one_by_one = [score_track(track, change) for track, change in zip(tracks, changes, strict=True)]
    together = score_tracks(tracks, changes)
    assert [score.valid for score in together] == [score.valid for score in one_by_one]
    for left, right in zip(together, one_by_one, strict=True):
        assert left.dsr == pytest.approx(right.dsr, abs=1e-15)
    assert score_tracks([], []) == []


@pytest.mark.parametrize(
    ("frames", "found", "relative", "published"),
    [
        (81, 20, True, True),
        (81, 19, False, False),
        (18, 5, True, False),
        (18, 4, False, False),
        (162, 39, False, True),
        (162, 40, True, True),
        (1, 1, True, False),
        (1, 0, False, False),
        (0, 0, False, False),
    ],
)
def test_frames_needed(frames: int, found: int, relative: bool, published: bool) -> None:
    track = make_track([at(-20, 0)] * found + [None] * (frames - found))
    assert score_track(track, LR).valid is relative
    assert score_published([track], [LR])[0].valid is published


def test_reasons_of_the_track_are_obeyed() -> None:
    boxes = [at(-20, 0)] * 20 + [at(20, 0)]
    reasons = (None,) * 20 + ("more than one cat was found",)
    assert score_track(make_track(boxes, reasons), LR).dsr == pytest.approx(0.5)
    assert score_track(make_track(boxes, reason="no"), LR).reason == "no"
    first, last = ssr_sequences(make_track(boxes, reasons), LT)
    assert np.isnan(first[-1]) and np.isnan(last[-1]) and first[0] == 1 and last[0] == 0


def test_accuracy_counts_invalid_videos() -> None:
    invalid = Score(False, "nothing", None, None, None, None, None, 0)
    scores = [invalid] + [Score(True, None, dsr, 0, 0, 0, 0, 20) for dsr in (0.0, 0.7, 0.9)]
    assert accuracy_at(scores, 0.7) == 0.5
    assert accuracy_curve(scores).tolist() == [0.75, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert math.isnan(accuracy_at([], 0.7))


@pytest.mark.parametrize(
    ("dsr", "start", "end", "tau", "expected"),
    [
        (0.9, 1.0, 1.0, GOOD, True),
        (0.7, 0.2, 0.2, GOOD, True),
        (0.6999, 1.0, 1.0, GOOD, False),
        (0.9, 0.1999, 1.0, GOOD, False),
        (0.9, 1.0, 0.1999, GOOD, False),
        (0.75, 1.0, -0.4, GOOD, False),
        (0.6, 0.5, 0.5, 0.6, True),
        (0.9, 0.5, 0.1, 0.0, False),
        (float("nan"), 0.5, 0.5, 0.0, False),
        (0.9, float("nan"), 0.5, GOOD, False),
    ],
)
def test_obeying_takes_the_score_and_both_ends(
    dsr: float, start: float, end: float, tau: float, expected: bool
) -> None:
    assert obeys(Score(True, None, dsr, start, end, 0.5, 0.5, 20), tau) is expected


def test_the_share_that_obeys_leaves_the_published_accuracy_as_it_is() -> None:
    invalid = Score(False, "why", None, None, None, None, None, 0)
    half_way = Score(True, None, 0.75, 1.0, 0.1, 0.5, 0.5, 20)
    scores = [invalid, half_way, Score(True, None, 0.9, 1.0, 1.0, 1.0, 1.0, 20), half_way]
    assert (accuracy_at(scores, GOOD), obey_share(scores)) == (0.75, 0.25)
    assert not obeys(invalid, 0.0) and missed_ends(invalid) == ()
    assert missed_ends(half_way) == ("final_ssr",)
    assert math.isnan(obey_share([]))


def case(**changes: object) -> dict:
    return {"id": "x", "relation": "LR", "subject": "cat", "object": "box", "frames": []} | changes


FULL = {"cat": at(-20, 0), "box": OBJECT}


@pytest.mark.parametrize(
    ("frames", "scored"),
    [
        pytest.param(
            [{"frame": i, "boxes": FULL | {"tree": [1, 2, 3, 4]}} for i in range(20)], 20, id="other labels"
        ),
        pytest.param([{"frame": i, "boxes": FULL | {"cat": None}} for i in range(20)], 0, id="null box"),
        pytest.param([{"frame": i, "boxes": {"cat": at(0, 0)}} for i in range(20)], 0, id="missing label"),
        pytest.param([{"frame": i, "boxes": None} for i in range(20)], 0, id="null boxes"),
        pytest.param([{"frame": i} for i in range(20)], 0, id="no boxes"),
        pytest.param([{"boxes": FULL} for _ in range(20)], 20, id="no frame numbers"),
        pytest.param(
            [{"frame": i, "boxes": FULL | {"cat": at(0, 0)}} for i in range(20)], 20, id="same centre"
        ),
    ],
)
def test_frames_of_a_file(tmp_path: Path, frames: list, scored: int) -> None:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": [case(frames=frames)]}))
    (answer,) = score_cases_file(path)
    assert answer["scored_frames"] == scored
    assert answer["valid"] is (scored >= 20)


def test_frames_count_in_time_order(tmp_path: Path) -> None:
    path = tmp_path / "cases.json"
    frames = [{"frame": i, "boxes": FULL | {"cat": at(2 * i - 20, 0)}} for i in range(21)]
    path.write_text(json.dumps({"cases": [case(frames=frames), case(frames=frames[::-1])]}))
    forwards, backwards = score_cases_file(path)
    assert forwards == backwards and forwards["dsr"] > 0.9
    assert read_cases(path)[0][1].frame_reasons == (None,) * 21


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "'cases'"),
        ("{}", "'cases'"),
        ('{"cases": 3}', "'cases'"),
        ('{"cases": [3]}', "number 1"),
        ('{"cases": [{"id": "x"}]}', "lacks 'relation'"),
        (json.dumps({"cases": [case(relation="XY")]}), "LR RL LT TL RT TR"),
        (json.dumps({"cases": [case(relation="LL")]}), "LR RL LT TL RT TR"),
        (json.dumps({"cases": [case(relation="LU")]}), "LR RL LT TL RT TR"),
        (json.dumps({"cases": [case(relation=3)]}), "must be text"),
        (json.dumps({"cases": [case(frames={})]}), "'frames'"),
        (json.dumps({"cases": [case(frames=[3])]}), "every frame"),
        (json.dumps({"cases": [case(frames=[{"frame": "a", "boxes": {}}])]}), "frame number"),
        (json.dumps({"cases": [case(frames=[{"frame": 0, "boxes": {"cat": [1, 2, 3]}}])]}), "four numbers"),
        (json.dumps({"cases": [case(frames=[{"frame": 0, "boxes": {"cat": "abcd"}}])]}), "four numbers"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(SpatialAlignError) as raised:
        score_cases_file(path)
    assert words in str(raised.value) and str(path) in str(raised.value)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpatialAlignError, match="Cannot read"):
        score_cases_file(tmp_path / name)
