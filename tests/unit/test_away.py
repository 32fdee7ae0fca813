"""Tensors that wait in the computer's memory: they come back in any order, and few are held meanwhile."""

from __future__ import annotations

import contextlib

import pytest
import torch

from spatialalign_core.train import away
from spatialalign_core.train.away import _UNDERWAY, Away, _Lane, _lane, settle, waiting

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


class Stream:
    """Stands in for a card's: writes down who waits for what."""

    device = "card"

    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said, self.events = name, said, 0

    def wait_stream(self, other: Stream) -> None:
        self.said.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: str) -> None:
        self.said.append(f"{self.name} waits for {event}")

    def record_event(self) -> str:
        self.events += 1
        self.said.append(f"copy {self.events}")
        return f"copy {self.events}"


def test_copies_beside_the_work_wait_for_it_and_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy begins when the work has made the tensor; the work goes on with a tensor, or with the memory of one that
    left, when its copy is done."""
    said: list[str] = []
    lane, work = _Lane(Stream("lane", said)), Stream("work", said)  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: work)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(away, "_lane", lambda device: lane)
    gone = [Away(torch.full((2,), float(index))) for index in range(3)]
    leaving = [
        "lane waits for work",
        "copy 1",
        "lane waits for work",
        "copy 2",
        "lane waits for work",
        "copy 3",
    ]
    assert said == [*leaving, "work waits for copy 1"]
    said.clear()
    assert Away.back(gone.pop())[0].item() == 2
    assert said == [
        "work waits for copy 2",
        "work waits for copy 3",
        "lane waits for work",
        "copy 4",
        "work waits for copy 4",
        *(
            "lane waits for work",
            "copy 5",
            "lane waits for work",
            "copy 6",
        ),  # the next two, before they are asked for
    ]
    said.clear()
    assert Away.back(gone.pop())[0].item() == 1
    assert said == ["work waits for copy 5"]
    said.clear()
    del gone
    lane.leave(Away(torch.zeros(2)), torch.zeros(2))
    assert "work waits for copy 6" in said and not lane.coming
