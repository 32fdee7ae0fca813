"""Several processes that train as one: each takes a share of a step's pairs, and their gradients are added up.

Data parallel training, as torch's DDP does it: equal weights everywhere, one sum of gradients a step. Written with the
bare collectives, because only the LoRA's few numbers travel, and because a step is more than one forward pass.

The first process leads: it alone holds the run folder, writes, listens to requests and decides. The others follow:
before every step they are told its number and memory plan, and the leader's state wherever that did not come from steps
alone. Since all see the same sums, their weights stay equal to the bit.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ..errors import SpatialAlignError
from .memory import is_out_of_memory

_LONGEST_WAIT = timedelta(hours=12)  # a pause, or a look at the held-out videos
_WELL, _FULL, _FAILED = 0, 1, 2


@dataclass(frozen=True)
class Order:
    """What the leader says before a step: its number, plan and fingerprint; state: tensors to take over, or None."""

    step: int
    plan: str
    fingerprint: str
    state: Mapping[str, Tensor] | None = None


class OtherFailed(SpatialAlignError):
    """Another process of the training could not do its share."""


class Ranks:
    """This process among those that train together; alone where `count` is 1."""

    def __init__(self, index: int = 0, count: int = 1) -> None:
        self.index, self.count = index, count

    @classmethod
    def connect(cls, index: int, count: int, device: torch.device, method: str = "env://") -> Ranks:
        """Meet the others. method: where, as torch.distributed means it. Waits until all are there."""
        from torch import distributed

        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with _together():
            distributed.init_process_group(
                backend, init_method=method, rank=index, world_size=count, timeout=_LONGEST_WAIT
            )
        return cls(index, count)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that holds the run folder."""
        return self.index == 0

    def share(self, total: int) -> range:
        """Which of a step's `total` pairs are this process's: neighbours, as equal in number as can be."""
        return range(self.index * total // self.count, (self.index + 1) * total // self.count)

    def tell(self, order: Order | None) -> None:
        """Say to all followers what comes next; None for the end."""
        if self.count == 1:
            return
        head = None if order is None else [order.step, order.plan, order.fingerprint, order.state is not None]
        self._broadcast(json.dumps(head).encode())
        if order is not None and order.state is not None:
            self._broadcast(to_bytes({name: tensor.contiguous() for name, tensor in order.state.items()}))

    def hear(self) -> Order | None:
        """What the leader says; None for the end."""
        head = json.loads(self._broadcast(b""))
        if head is None:
            return None
        step, plan, print_, with_state = head
        return Order(step, plan, print_, from_bytes(self._broadcast(b"")) if with_state else None)

    def dismiss(self) -> None:
        """Tell the followers that it is over; nothing when they are gone already."""
        with contextlib.suppress(SpatialAlignError):
            self.tell(None)

    def leave(self) -> None:
        """Part from the others, at the very end of the process."""
        if self.count > 1:
            from torch import distributed

            with contextlib.suppress(RuntimeError):
                distributed.destroy_process_group()

    @contextlib.contextmanager
    def all_well(self) -> Iterator[None]:
        """Leave the block together: an error in any process is one in all, a full memory in one is full in all."""
        try:
            yield
        except Exception as error:
            self._worst(_FULL if is_out_of_memory(error) else _FAILED)
            raise
        worst = self._worst(_WELL)
        if worst == _FULL:
            raise torch.OutOfMemoryError(
                "The memory of another process of this training is full: out of memory."
            )
        if worst == _FAILED:
            raise OtherFailed(
                "Another process of this training failed, and its own message says why. What is saved is kept: start "
                "the same command again."
            )

    def add_up_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Each gradient becomes its sum over all processes."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self._sum(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def add_up(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.count == 1:
            return value
        return float(self._sum(torch.tensor([value], dtype=torch.float64)))

    def gather(self, own: Tensor, total: int) -> Tensor:
        """(rows, own share) -> (rows, total), on the CPU."""
        if self.count == 1:
            return own.cpu()
        whole = torch.zeros(len(own), total)
        share = self.share(total)
        whole[:, share.start : share.stop] = own.cpu()
        return self._sum(whole)

    def join(self, part: Tensor) -> Tensor:
        """The equally long parts of all processes, one after the other."""
        from torch import distributed

        whole = torch.empty(len(part) * self.count, dtype=part.dtype, device=part.device)
        with _together():
            distributed.all_gather_into_tensor(whole, part)
        return whole

    def _sum(self, tensor: Tensor) -> Tensor:
        from torch import distributed

        with _together():
            distributed.all_reduce(tensor)
        return tensor

    def _worst(self, state: int) -> int:
        if self.count == 1:
            return state
        from torch import distributed

        tensor = torch.tensor([state])
        with _together():
            distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return int(tensor)

    def _broadcast(self, data: bytes) -> bytes:
        from torch import distributed

        with _together():
            size = torch.tensor([len(data)])
            distributed.broadcast(size, 0)
            content = torch.frombuffer(bytearray(data or bytes(int(size))), dtype=torch.uint8)
            distributed.broadcast(content, 0)
        return content.numpy().tobytes()


ALONE = Ranks()


def ranks_of_launcher(device: torch.device) -> Ranks:
    """This process's place as `accelerate launch` or `torchrun` has told it; alone without them."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count < 2 or "RANK" not in os.environ:
        return ALONE
    return Ranks.connect(int(os.environ["RANK"]), count, device)


def device_of_launcher(device: torch.device) -> torch.device:
    """The card that is this process's on its machine, where the launcher started one for each."""
    local = os.environ.get("LOCAL_RANK")
    if device.type != "cuda" or device.index is not None or local is None:
        return device
    own = torch.device("cuda", int(local))
    torch.cuda.set_device(own)
    return own


@contextlib.contextmanager
def _together() -> Iterator[Any]:
    try:
        yield
    except RuntimeError as error:  # torch has no better word for a connection that broke
        if is_out_of_memory(error):
            raise
        raise SpatialAlignError(
            f"The processes that train together have lost each other ({str(error).splitlines()[0]}). What is saved is "
            "kept: start the same command again."
        ) from error
