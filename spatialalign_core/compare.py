"""Two LoRAs, or two strengths, or one and none, on the same prompts and seeds: all of it, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .detect.base import Detector, MaskTracker
from .detect.validity import PUBLISHED, DetectionRule
from .models.base import GenerateSettings, VideoModel
from .progress import Progress
from .run import Run, Side
from .run.checks import check_words
from .run.comparing import check_sides
from .train.lora import check_lora

Part = Literal["generate", "detect", "score", "compare"]


@dataclass(frozen=True)
class ComparePlan:
    """split, seeds: which videos. settings: how they are made, None for the model's own. tau: see `evaluate`."""

    split: str | None = "held_out"
    seeds: int = 2
    tau: float = 0.7
    batch_size: int = 8
    settings: GenerateSettings | None = None
    rule: DetectionRule = PUBLISHED


def compare(
    run: Run,
    model: VideoModel,
    detector: Detector,
    a: Side,
    b: Side,
    plan: ComparePlan = ComparePlan(),
    mask_tracker: MaskTracker | None = None,
    workers: int | None = None,
) -> Iterator[tuple[Part, Iterator[Progress]]]:
    """The stages in order, each with what it needs: "generate" the model, "detect" the detector, the others neither.

    Run each to its end before taking the next. Videos that are there already are not made again. SpatialAlignError
    before anything is made when both sides are the same, a LoRA is missing, or there are no prompts.
    """
    check_sides(a, b)
    run = run.part_of("comparison")
    check_words(detector, run.prompts(plan.split))
    settings = plan.settings or model.defaults
    for side in (a, b):
        videos = run.generate(
            model,
            plan.seeds,
            plan.split,
            side.set,
            settings,
            plan.batch_size,
            side.lora,
            side.strength,
            workers,
        )
        yield "generate", _after_check(model, b.lora, videos) if side is a else videos
        yield (
            "detect",
            run.detect(detector, side.set, plan.split, plan.rule, plan.seeds, mask_tracker=mask_tracker),
        )
        yield "score", run.score(side.set, plan.split, plan.seeds)
    about = {"model": model.folder.name, **asdict(settings)}
    yield "compare", run.compare(a, b, plan.tau, plan.split, plan.seeds, settings=about)


def _after_check(model: VideoModel, lora: Path | None, videos: Iterator[Progress]) -> Iterator[Progress]:
    """The first side's videos; that the second side's LoRA does not fit is told before hours of work."""
    if lora is not None:
        check_lora(model, lora)
    yield from videos
