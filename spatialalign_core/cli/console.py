"""Progress bars, warnings and Ctrl-C for whoever sits at a terminal."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from ..progress import Progress


class Stopped(Exception):
    """Ctrl-C, noticed between two items; the work so far is kept."""


class _Terminal:
    """Standard error, whose refusals must not end the work: a log that lies on a full disk is no reason to stop."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


TERMINAL: Any = _Terminal()


class Console:
    """Shows stages on standard error. Standard output is left to results."""

    def __init__(self) -> None:
        self._stop = False

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Within the block the first Ctrl-C (or SIGTERM) stops after the current item, the second at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True
            tqdm.write("\nStopping after this step; press Ctrl-C again to stop at once.", file=TERMINAL)

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def show(self, stage: Iterator[Progress], label: str = "") -> Progress | None:
        """Drive a stage to its end with a progress bar; its last news. Raises Stopped after a Ctrl-C."""
        last: Progress | None = None
        patience = 0.2 if sys.stderr.isatty() else 15.0  # a log file wants few lines
        with (
            contextlib.closing(_closable(stage)) as items,
            tqdm(file=TERMINAL, desc=label, mininterval=patience, dynamic_ncols=True, unit="") as bar,
        ):
            for last in items:
                if last.warning:
                    tqdm.write(f"Warning: {last.message}", file=TERMINAL)
                elif last.message:
                    bar.set_postfix_str(last.message, refresh=False)
                bar.set_description(label or last.stage, refresh=False)
                if bar.total != last.total:
                    bar.total = last.total
                    bar.initial = bar.n = last.done  # what was there before says nothing about the speed
                    bar.refresh()
                bar.update(last.done - bar.n)
                if self._stop:
                    raise Stopped
            bar.refresh()
        return last


def _closable(stage: Iterator[Progress]) -> Generator[Progress, None, None]:
    yield from stage


def drive(stage: Iterator[Progress], made: Path | None) -> int:
    """Show a stage to its end and print what it made; the exit code."""
    console = Console()
    try:
        with console.stoppable():
            console.show(stage)
    except Stopped:
        return stopped()
    if made is not None:
        print(made)
    return 0


def stopped() -> int:
    """Say that it was; the exit code."""
    print("Stopped. All finished work is kept: run the same command again to continue.", file=TERMINAL)
    return 130
