"""Base against aligned: accuracies, intervals and the samples that must match."""

import json
import math

import numpy as np
import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.evaluate import ScoredSample, evaluate
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import CHANGES, RelationChange
from spatialalign_core.score import Score, accuracy_at, obey_share

INVALID = None


def samples(table, changes=CHANGES):
    """One row a prompt, one number a seed; changes go round."""
    return [
        ScoredSample(prompt(number, changes), seed, score(dsr))
        for number, row in enumerate(table)
        for seed, dsr in enumerate(row)
    ]


def prompt(number, changes):
    return DsrPrompt(
        f"p{number:03}", "text", "cat", "box", changes[number % len(changes)], "a field", "held_out"
    )


def score(dsr, end=0.5):
    if isinstance(dsr, Score):
        return dsr
    if dsr is INVALID:
        return Score(False, "nothing was found", None, None, None, None, None, 0)
    return Score(True, None, dsr, 0.5, end, 0.0, 0.0, 20)


@pytest.mark.parametrize(
    ("base", "aligned", "tau", "expected"),
    [
        pytest.param([[0.1, 0.8]], [[0.9, 0.8]], 0.7, (0.5, 1.0), id="one of two, two of two"),
        pytest.param([[0.7, 0.6999]], [[0.7, 0.7]], 0.7, (0.5, 1.0), id="tau itself counts"),
        pytest.param(
            [[0.9, INVALID]], [[INVALID, INVALID]], 0.7, (0.5, 0.0), id="INVALID in the denominator"
        ),
        pytest.param([[0.0, INVALID]], [[0.3, 0.3]], 0.0, (0.5, 1.0), id="INVALID fails at tau 0 too"),
        pytest.param([[0.9, 0.1, 0.1], [0.9]], [[0.9] * 3, [0.1]], 0.5, (0.5, 0.75), id="videos weigh alike"),
    ],
)
def test_accuracy(base, aligned, tau, expected):
    evaluation = evaluate(samples(base), samples(aligned), tau=tau, bootstrap=20)
    assert (evaluation.accuracy.base.value, evaluation.accuracy.aligned.value) == expected
    assert evaluation.accuracy.difference.value == pytest.approx(expected[1] - expected[0])


HALF_WAY = score(0.75, end=0.1)


def test_the_share_that_obeys_stands_beside_the_published_accuracy():
    """Half of the base videos reach tau by a movement that stops half-way: accuracy counts them, obeying does not."""
    base, aligned = samples([[HALF_WAY, 0.2]] * 30), samples([[0.9, 0.2]] * 30)
    evaluation = evaluate(base, aligned, bootstrap=200)
    assert (evaluation.accuracy.base.value, evaluation.accuracy.difference.value) == (0.5, 0.0)
    assert (evaluation.obey.base.value, evaluation.obey.aligned.value) == (0.0, 0.5)
    assert evaluation.verdict == "better" and evaluation.obey.difference.low > 0
    assert evaluation.obey.base.value == obey_share([s.score for s in base])
    found = evaluation.to_json()
    assert (found["base"], found["aligned"], found["obey_base"], found["obey_aligned"]) == (
        0.5,
        0.5,
        0.0,
        0.5,
    )
    assert found["obey"]["difference"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert {code: c["base"]["value"] for code, c in found["obey_by_change"].items()} == dict.fromkeys(
        found["by_change"], 0.0
    )


def random_tables(prompts, seeds, shift, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 1, (prompts, seeds))
    return base.tolist(), np.clip(base + shift, 0, 1).tolist()


def test_the_curve_is_accuracy_at_every_tau():
    base, aligned = (samples(table) for table in random_tables(12, 3, 0.2))
    evaluation = evaluate(base, aligned, bootstrap=10)
    assert evaluation.taus == tuple(step / 10 for step in range(10))
    for tau, point in zip(evaluation.taus, evaluation.curve, strict=True):
        assert point.base.value == accuracy_at([s.score for s in base], tau)
        assert point.aligned.value == accuracy_at([s.score for s in aligned], tau)


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.3, "better"), (-0.3, "worse"), (0.0, "unclear"), (0.004, "unclear")]
)
def test_the_verdict(shift, verdict):
    base, aligned = random_tables(40, 5, shift)
    evaluation = evaluate(samples(base), samples(aligned))
    assert evaluation.verdict == verdict
    for point in (
        evaluation.accuracy,
        *evaluation.curve,
        *evaluation.by_change.values(),
        evaluation.mean_dsr,
    ):
        for estimate in (point.base, point.aligned, point.difference):
            assert estimate.low <= estimate.value <= estimate.high


def test_the_interval_is_that_of_a_plain_bootstrap():
    """Drawing prompts one by one gives the same interval as the weights, up to chance."""
    base, aligned = (np.array(table) >= 0.7 for table in random_tables(30, 4, 0.25))
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 30, (4000, 30))
    differences = aligned.mean(1)[drawn].mean(1) - base.mean(1)[drawn].mean(1)
    tables = random_tables(30, 4, 0.25)
    evaluation = evaluate(samples(tables[0]), samples(tables[1]), bootstrap=4000)
    expected = np.percentile(differences, [2.5, 97.5])
    found = (evaluation.accuracy.difference.low, evaluation.accuracy.difference.high)
    assert found == pytest.approx(expected, abs=0.02)


def test_seeds_of_one_prompt_are_not_independent():
    """Ten copies of every video make the interval no narrower."""
    base, aligned = random_tables(20, 1, 0.3)
    once = evaluate(samples(base), samples(aligned)).accuracy.difference
    copies = evaluate(samples([row * 10 for row in base]), samples([row * 10 for row in aligned]))
    assert copies.accuracy.difference == once


def test_by_change():
    base, aligned = [[0.1], [0.9], [0.1], [0.9]], [[0.9], [0.1], [0.1], [0.9]]
    changes = (RelationChange.parse("TR"), RelationChange.parse("LR"))
    evaluation = evaluate(samples(base, changes), samples(aligned, changes), bootstrap=50)
    assert list(evaluation.by_change) == ["LR", "TR"]
    left_right = evaluation.by_change["LR"]
    assert (left_right.base.value, left_right.aligned.value, left_right.prompts) == (1.0, 0.5, 2)


def test_mean_score_and_validity():
    evaluation = evaluate(samples([[0.2, INVALID], [0.4, 0.6]]), samples([[0.8, 0.8], [INVALID, INVALID]]))
    assert evaluation.mean_dsr.base.value == pytest.approx(0.4)
    assert evaluation.mean_dsr.aligned.value == pytest.approx(0.8)
    assert (evaluation.invalid.base.value, evaluation.invalid.aligned.value) == (0.25, 0.5)


def test_neither_order_nor_a_second_time_changes_the_numbers():
    base, aligned = (samples(table) for table in random_tables(8, 2, 0.1))
    backwards = evaluate(base[::-1], aligned[::-1], seed=3)
    assert evaluate(base, aligned, seed=3).to_json() == backwards.to_json()


@pytest.mark.parametrize(
    ("base", "aligned"),
    [([[0.5]], [[0.9]]), ([[INVALID], [INVALID]], [[INVALID], [INVALID]])],
    ids=["a single prompt", "nothing valid"],
)
def test_what_cannot_be_known_is_null(base, aligned):
    evaluation = evaluate(samples(base), samples(aligned))
    assert evaluation.verdict == "unclear"
    text = json.dumps(evaluation.to_json(), allow_nan=False)
    assert "null" in text
    assert math.isnan(evaluation.mean_dsr.difference.low)


def test_json_starts_with_the_summary():
    base, aligned = random_tables(10, 2, 0.3)
    found = evaluate(samples(base), samples(aligned)).to_json()
    assert list(found)[:5] == ["base", "aligned", "tau", "valid_base", "valid_aligned"]
    assert list(found)[5:7] == ["obey_base", "obey_aligned"]
    assert found["tau"] == 0.7 and found["valid_base"] == 1.0 and len(found["curve"]) == 10


@pytest.mark.parametrize(
    ("base", "aligned", "words"),
    [
        ([], [[0.5]], "no scored videos in the base set"),
        ([[0.5]], [], "no scored videos in the aligned set"),
        ([[0.5, 0.5]], [[0.5]], "no aligned video for prompt 'p000', seed 1;"),
        ([[0.5]], [[0.5], [0.5], [0.5]], "no base video for prompt 'p001', seed 0 and 1 more"),
    ],
)
def test_samples_without_a_counterpart(base, aligned, words):
    with pytest.raises(SpatialAlignError, match=words):
        evaluate(samples(base), samples(aligned))


def test_the_same_sample_twice():
    with pytest.raises(SpatialAlignError, match="twice"):
        evaluate(samples([[0.5]]) * 2, samples([[0.5]]))


@pytest.mark.parametrize("settings", [{"tau": 1.1}, {"tau": float("nan")}, {"bootstrap": 0}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(SpatialAlignError):
        evaluate(samples([[0.5]]), samples([[0.5]]), **settings)
