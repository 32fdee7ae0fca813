"""How much memory there is, and how it feels when there is none."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import torch

_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def free_memory(device: torch.device) -> int:
    """Bytes that a training could still take on the device; for the CPU what the system and its limits leave."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min([_available(), *_limits()])


def used_memory(device: torch.device) -> tuple[int, int]:
    """Bytes that this process holds on the device, and how many it could hold at most."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device), torch.cuda.mem_get_info(device)[1]
    used = _resident()
    return used, used + free_memory(device)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


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


def _available() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(ImportError):
        import psutil

        return int(psutil.virtual_memory().available)
    return 1 << 62


def _limits() -> list[int]:
    """What control groups and resource limits leave of this process's share."""
    found = []
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = Path("/proc/self/statm").read_text().split()
        size = resource.getpagesize()
        for name, used in (("RLIMIT_AS", int(pages[0])), ("RLIMIT_DATA", int(pages[5]))):
            limit, _ = resource.getrlimit(getattr(resource, name))
            if limit != resource.RLIM_INFINITY:
                found.append(limit - used * size)
    return [max(0, each) for each in found]
