"""Tensors that wait in the computer's memory until the backward pass asks for them."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

_UNDERWAY = 2
"""Tensors that may be on their way at once, each way: about what one block keeps, so that copies take place beside the
work of a block."""


def waiting() -> int:
    """Bytes that wait in the computer's memory now, for backward passes to come; in a rehearsal, that would."""
    # Memory that a card can reach is given out in powers of two.
    return sum(1 << (away.shape.numel() * away.dtype.itemsize - 1).bit_length() for away in Away.all)


def settle() -> None:
    """Forget what is on its way: nobody will ask for it."""
    for lane in _lanes.values():
        lane.settle()


class Away:
    """A tensor that waits in the computer's memory. Nobody waits for its copies but who needs them."""

    all: ClassVar[weakref.WeakSet[Away]] = weakref.WeakSet()

    def __init__(self, value: Tensor) -> None:
        self.all.add(self)
        self.device, self.dtype = value.device, value.dtype
        self.shape, self.stride = value.shape, value.stride()
        self.host: Tensor | None = None
        if value.device.type != "meta":  # in a rehearsal there is nothing to keep
            pinned = value.device.type == "cuda"
            self.host = torch.empty_like(value, device="cpu", pin_memory=pinned, requires_grad=False)
        _lane(value.device).leave(self, value.detach())

    @staticmethod
    def back(value: Any) -> Any:
        """The tensor of something away, for once; anything else as it is."""
        return _lane(value.device).fetch(value) if isinstance(value, Away) else value


@dataclass
class _Lane:
    """Copies between one device and the computer's memory, on a stream of their own.

    Memory on the device is taken and given back in the order of the device's work alone: a tensor that leaves is held
    until the work waits for its copy, one that comes back is made before the copy waits for the work. So it is never
    used for two things at once, and how far the program runs ahead of the device does not change how much is needed.
    What left last is asked for first, and is sent for before it is.
    """

    stream: torch.cuda.Stream | None
    leaving: deque[tuple[Tensor, Any]] = field(default_factory=deque)
    at_home: list[weakref.ref[Away]] = field(default_factory=list)
    coming: dict[weakref.ref[Away], tuple[Tensor, Any]] = field(default_factory=dict)

    def leave(self, away: Away, value: Tensor) -> None:
        self._forget_the_dead()
        self.leaving.append((value, self._copy(value, away.host) if away.host is not None else None))
        self.at_home.append(weakref.ref(away))
        self._land(_UNDERWAY)

    def fetch(self, away: Away) -> Tensor:
        self._land(0)
        self._forget_the_dead()
        asked = weakref.ref(away)
        if asked in self.at_home:
            self._send_for(asked)
        tensor, copied = self.coming.pop(asked)
        self._wait(copied)
        while self.at_home and len(self.coming) < _UNDERWAY:
            self._send_for(self.at_home[-1])
        return tensor

    def settle(self) -> None:
        self._land(0)
        for _, copied in self.coming.values():
            self._wait(copied)
        self.coming.clear()
        self.at_home.clear()

    def _send_for(self, asked: weakref.ref[Away]) -> None:
        self.at_home.remove(asked)
        away = asked()
        if away is not None:
            tensor = torch.empty_strided(away.shape, away.stride, dtype=away.dtype, device=away.device)
            self.coming[asked] = (tensor, self._copy(away.host, tensor) if away.host is not None else None)

    def _forget_the_dead(self) -> None:
        """Whose backward pass never came."""
        self.at_home = [each for each in self.at_home if each() is not None]
        for each in [each for each in self.coming if each() is None]:
            self._wait(self.coming.pop(each)[1])

    def _land(self, underway: int) -> None:
        """Of what leaves, hold only the last."""
        while len(self.leaving) > underway:
            self._wait(self.leaving[0][1])
            self.leaving.popleft()

    def _copy(self, source: Tensor, target: Tensor) -> Any:
        """Begin a copy. What to wait for, None when it is done already."""
        if self.stream is None:
            target.copy_(source)
            return None
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))
        with torch.cuda.stream(self.stream):
            target.copy_(source, non_blocking=True)
            return self.stream.record_event()

    def _wait(self, copied: Any) -> None:
        if copied is not None and self.stream is not None:
            torch.cuda.current_stream(self.stream.device).wait_event(copied)


_lanes: dict[torch.device, _Lane] = {}


def _lane(device: torch.device) -> _Lane:
    if device not in _lanes:
        _lanes[device] = _Lane(torch.cuda.Stream(device) if device.type == "cuda" else None)
    return _lanes[device]
