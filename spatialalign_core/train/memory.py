"""How much memory there is, and how it feels when there is none."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import torch
from torch import Tensor

from ..errors import is_out_of_memory
from ..host_memory import free_host_memory

__all__ = ["free_memory", "is_out_of_memory", "reachable_size", "tidy", "used_memory"]


def free_memory(device: torch.device) -> int:
    """Bytes that a training could still take on the device; for the CPU what the system and its limits leave."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free_host_memory()


def used_memory(device: torch.device) -> tuple[int, int]:
    """Bytes that this process holds on the device, and how many it could hold at most."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device), torch.cuda.mem_get_info(device)[1]
    used = _resident()
    return used, used + free_memory(device)


def reachable_size(tensor: Tensor) -> int:
    """Bytes of the computer's memory that such a tensor takes where a card can reach it: torch gives it out in powers
    of two (`CachingHostAllocator`)."""
    return 1 << (tensor.numel() * tensor.element_size() - 1).bit_length()


def tidy(device: torch.device) -> None:
    """Give back what nobody uses any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _resident() -> int:
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.Process().memory_info().rss)
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):
        import resource

        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0
