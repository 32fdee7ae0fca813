"""The verb `collect`."""

from __future__ import annotations

import argparse
import math

from ..errors import SpatialAlignError
from .console import TERMINAL

_SMALLEST = 16


def collect(options: argparse.Namespace) -> None:
    """Take videos of another program into a run. One that cannot be read is told, and the others are taken."""
    from ..run import Run
    from ..sentence import parse_sentence
    from ..video_file import Part
    from ..video_sources import find_videos

    parsed = parse_sentence(options.sentence)
    if parsed.prompt is None:
        raise SpatialAlignError(" ".join(parsed.not_understood))
    part = Part(
        _seconds("--start", options.start), _seconds("--duration", options.duration), options.short_side or 0
    )
    if options.short_side is not None and options.short_side < _SMALLEST:
        raise SpatialAlignError(
            f"--short-side must be at least {_SMALLEST} pixels, not {options.short_side}."
        )
    run, sources = Run(options.run), find_videos(options.videos)
    for sentence in sources.skipped:
        print(sentence, file=TERMINAL)
    failed = []
    # A video that cannot be read keeps its seed, so that the same command takes it when it is whole.
    for seed, video in enumerate(sources.videos, start=options.seed):
        try:
            outcome = run.collect_file(parsed.prompt, seed, video, part)
        except SpatialAlignError as error:
            if len(sources.videos) == 1:
                raise
            print(f"Not collected: {error}", file=TERMINAL)
            failed.append(video)
            continue
        if len(sources.videos) > 1:
            print(f"Seed {seed}: {video}", file=TERMINAL)
        print(f"{run.video_path('base', parsed.prompt.id, seed)}: {outcome}")
    if failed:
        raise SpatialAlignError(
            f"{len(failed)} of {len(sources.videos)} videos were not collected, for the reasons above; the others "
            f"are in {run.folder}."
        )


def _seconds(option: str, value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise SpatialAlignError(f"{option} must be a number of seconds from 0 on, not {value}.")
    return float(value)
