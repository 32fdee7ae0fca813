"""Tensors that wait in the computer's memory: they come back in any order, and few are held meanwhile."""

from __future__ import annotations

import pytest
import torch

from spatialalign_core.train.away import _UNDERWAY, Away, _lane, settle, waiting

COUNT = 6


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([5, 4, 3, 2, 1, 0], id="what left last first, as a backward pass asks"),
        pytest.param([0, 1, 2, 3, 4, 5], id="the other way round"),
        pytest.param([3, 5, 0, 4, 1, 2], id="any order"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_each_comes_back_as_it_left(order: list[int], device: str) -> None:
    values = [torch.full((3, 4), float(index), device=device).t() for index in range(COUNT)]
    gone = [Away(value) for value in values]
    lane = _lane(values[0].device)
    assert len(lane.leaving) == _UNDERWAY
    assert waiting() == COUNT * 64
    for index in order:
        back = Away.back(gone[index])
        assert (back.shape, back.stride()) == (values[index].shape, values[index].stride())
        assert device == "meta" or back.equal(values[index])
        assert not lane.leaving and len(lane.coming) <= _UNDERWAY
    del gone
    assert waiting() == 0 and not lane.coming and not lane.at_home


@pytest.mark.parametrize("asked", [0, 1, 4])
def test_what_nobody_asks_for_is_forgotten(asked: int) -> None:
    """A step that fails leaves tensors away and on their way; the next one must find neither them nor their names."""
    gone = [Away(torch.zeros(8)) for _ in range(COUNT)]
    for _ in range(asked):
        Away.back(gone.pop())
    del gone
    assert waiting() == 0
    fresh = [Away(torch.full((8,), float(index))) for index in range(COUNT)]
    assert [Away.back(each)[0].item() for each in reversed(fresh)] == [5, 4, 3, 2, 1, 0]
    settle()
    lane = _lane(torch.device("cpu"))
    assert not (lane.leaving or lane.coming or lane.at_home)


def test_other_things_stay_as_they_are() -> None:
    assert [Away.back(value) for value in (None, 3, "a")] == [None, 3, "a"]
