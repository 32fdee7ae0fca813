"""How much memory there is, and how it feels when there is none."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import torch
from torch import Tensor

from ..errors import is_out_of_memory

__all__ = ["free_memory", "is_out_of_memory", "reachable_size", "tidy", "used_memory"]

_GROUPS, _GROUPS_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


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
    for folder, most, used, forgettable in _groups():
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            held = int((folder / used).read_text()) - _number(folder / "memory.stat", forgettable)
            found.append(int((folder / most).read_text()) - held)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = Path("/proc/self/statm").read_text().split()
        size = resource.getpagesize()
        for name, held in (("RLIMIT_AS", int(pages[0])), ("RLIMIT_DATA", int(pages[5]))):
            limit, _ = resource.getrlimit(getattr(resource, name))
            if limit != resource.RLIM_INFINITY:
                found.append(limit - held * size)
    return [max(0, each) for each in found]


_VERSIONS = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Of control groups, by what stands before the group's name: files of limit and use, and files kept that may go."""


def _groups() -> list[tuple[Path, str, str, str]]:
    """Folders of this process's control groups, up to the root, and the names in `_VERSIONS`."""
    found = []
    with contextlib.suppress(OSError):
        for line in _GROUPS_OF_PROCESS.read_text().splitlines():
            _, controllers, name = [*line.split(":", 2), "", ""][:3]
            if controllers not in _VERSIONS or not name:
                continue
            root = _GROUPS / controllers
            own = root / name.strip("/")
            # Within a container the name is that of the machine outside, and the root is the container's own.
            folders = {root, own, *(each for each in own.parents if root in each.parents)}
            found += [(folder, *_VERSIONS[controllers]) for folder in folders]
    return found


def _number(file: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return int(dict(line.split(" ", 1) for line in file.read_text().splitlines())[name])
    return 0
