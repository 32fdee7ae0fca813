"""A worker that dies. In a file of its own that imports nothing large, so that Ray's processes start in a moment."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from spatialalign_core.errors import SpatialAlignError


class Gone(Exception):
    """What the stand-in for Ray raises for a worker that has died."""


class Fragile:
    """Doubles numbers. Dies over job 7 as long as the file is missing that it leaves when it does, over 13 always."""

    def __init__(self, marks: Path, real: bool = False) -> None:
        self.marks, self.real = marks, real

    def work(self, job: int) -> int:
        if job == 13 or (job == 7 and not (self.marks / "died").exists()):
            (self.marks / "died").touch()
            if self.real:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Gone("the worker is gone")
        if job < 0:
            raise SpatialAlignError("Negative numbers are not doubled here.")
        return 2 * job
