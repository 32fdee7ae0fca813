"""The preference losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from spatialalign_core.train.losses import preference_loss

# One pair, velocities of four equal entries, targets 0. So MSE is the square of the entry:
#   policy winner 1 -> 1, reference winner 2 -> 4:  S_w = 4 - 1 = 3
#   policy loser  3 -> 9, reference loser  1 -> 1:  S_l = 1 - 9 = -8       S_w - S_l = 11
#   drift: winner (1 - 2)^2 = 1, loser (3 - 1)^2 = 4, together 5
WINNER, LOSER, REFERENCE_WINNER, REFERENCE_LOSER = 1.0, 3.0, 2.0, 1.0


def velocity(value: float, pairs: int = 1) -> torch.Tensor:
    return torch.full((pairs, 1, 1, 2, 2), value)


def terms(**options):
    return preference_loss(
        velocity(WINNER),
        velocity(LOSER),
        velocity(REFERENCE_WINNER),
        velocity(REFERENCE_LOSER),
        velocity(0.0),
        velocity(0.0),
        **options,
    )


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "dpo"}, softplus(-5.0)),  # 11 is clipped to 5
        ({"loss": "dpo", "clip": None}, softplus(-11.0)),
        ({"loss": "dpo", "beta": 0.1}, softplus(-1.1)),
        ({"loss": "dpo+zo"}, softplus(-5.0) + 0.5 * 0.5 * 5.0),  # the published constants
        ({"loss": "dpo+zo", "zo_weight": 2.0, "beta": 0.0}, math.log(2) + 2.0 * 0.5 * 5.0),
        ({"loss": "sft"}, 1.0),
        ({"loss": "dpo+sft", "beta": 0.1, "sft_weight": 3.0}, softplus(-1.1) + 3.0),
        (
            {"loss": "dpo+zo+sft", "beta": 0.1, "zo_weight": 2.0, "sft_weight": 3.0},
            softplus(-1.1) + 2.0 * 0.5 * 5.0 + 3.0,
        ),
        ({"loss": "dpo", "beta": 0.1, "weights": torch.tensor([0.25])}, 0.25 * softplus(-1.1)),
    ],
)
def test_hand_computed(options, expected):
    assert terms(**options).total.item() == pytest.approx(expected, rel=1e-6)


def test_margin_and_accuracy_are_logged_before_clipping():
    result = terms(beta=2.0)
    assert result.margin.tolist() == [22.0]
    assert result.accuracy == 1.0


def test_an_untouched_policy_has_no_preference():
    same = velocity(1.0, pairs=3)
    result = preference_loss(same, same, same, same, velocity(0.0, 3), velocity(0.5, 3))
    assert result.total.item() == pytest.approx(math.log(2))
    assert result.margin.tolist() == [0.0, 0.0, 0.0]
    assert result.accuracy == 0.0


def test_gradient_pulls_to_the_winner_and_away_from_the_loser():
    """At m = 0: d loss / d v_w = sigmoid(0) 2 v_w / 4 entries = 0.25, and the same with the other sign for v_l."""
    winner, loser = velocity(1.0).requires_grad_(), velocity(1.0).requires_grad_()
    reference = velocity(1.0)
    preference_loss(
        winner, loser, reference, reference, velocity(0.0), velocity(0.0), loss="dpo"
    ).total.backward()
    assert winner.grad.flatten().tolist() == pytest.approx([0.25] * 4)
    assert loser.grad.flatten().tolist() == pytest.approx([-0.25] * 4)


def test_half_precision_velocities_are_compared_in_float32():
    big = velocity(300.0).half()  # the square does not fit into half precision
    result = preference_loss(big, big, big, big, velocity(0.0).half(), velocity(0.0).half(), loss="sft")
    assert result.total.item() == pytest.approx(90000.0)


def test_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="dpo\\+zo"):
        terms(loss="ppo")
