"""How much of the computer's memory this process may still take."""

from __future__ import annotations

import contextlib
from pathlib import Path

_GROUPS, _GROUPS_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def free_host_memory() -> int:
    """Bytes that the system, its control groups and resource limits leave; 1 << 62 where nothing tells."""
    return min([_available(), *_limits()])


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
