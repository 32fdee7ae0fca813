"""Looking at a LoRA while it is trained: the same held-out prompts and noise every time, generated, found, scored."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..detect.base import Detector, MaskTracker, origin
from ..detect.validity import PUBLISHED, DetectionRule
from ..errors import SpatialAlignError
from ..files import fingerprint
from ..models.base import GenerateSettings, VideoModel
from ..progress import Progress
from ..score import GOOD, Score, accuracy_at, obey_share
from .layout import RunLayout
from .stages import detect_stage, generate_stage, score_stage
from .training_log import HELD_OUT


@dataclass(frozen=True)
class HeldOutCheck:
    """What is looked at, and when.

    every: steps between two looks, and one after the last step; 0 looks only when asked to. patience: looks without a
    better score after which the training ends; 0 never ends it. prompts: how many of the held-out ones, spread
    evenly. settings: how the videos are made, None for the model's own.
    With `every` above 0 the LoRA with the best score is what the training leaves, not the last one.
    """

    detector: Detector
    every: int = 0
    patience: int = 0
    prompts: int = 8
    seeds: int = 1
    rule: DetectionRule = PUBLISHED
    mask_tracker: MaskTracker | None = None
    settings: GenerateSettings | None = None
    batch_size: int = 8
    workers: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("every", 0), ("patience", 0), ("prompts", 1), ("seeds", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise SpatialAlignError(f"{name} of the held-out check must be at least {least}; raise it.")

    @property
    def fingerprint(self) -> str:
        """Tells checks apart that may leave different LoRAs."""
        return fingerprint(
            [
                *(self.every, self.patience, self.prompts, self.seeds, self.rule, self.settings),
                *(origin(self.detector), origin(self.mask_tracker)),
            ]
        )

    def due(self, step: int, total: int) -> bool:
        """Whether the schedule asks for a look after this step."""
        return self.every > 0 and (step % self.every == 0 or step == total)

    def best(self, rows: Sequence[Mapping[str, float]]) -> int | None:
        """The step with the best score among those of the schedule, the first of equals; None without any."""
        looks = self._looks(rows)
        return max(looks, key=lambda look: look[1])[0] if looks else None

    def gave_up(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """Whether `patience` looks have passed since the best."""
        best = self.best(rows)
        return (
            bool(self.patience) and sum(step > (best or 0) for step, _ in self._looks(rows)) >= self.patience
        )

    def _looks(self, rows: Sequence[Mapping[str, float]]) -> list[tuple[int, float]]:
        return [
            (int(row["step"]), row[HELD_OUT[0]])
            for row in rows
            if HELD_OUT[0] in row and self.due(int(row["step"]), int(row["total"]))
        ]


def look_set(step: int) -> str:
    """Name of the set of videos that a look at this step makes; that of step 0 is by the model without any LoRA."""
    return f"step-{step:06d}"


def look(
    layout: RunLayout, model: VideoModel, check: HeldOutCheck, lora: Path | None, step: int
) -> Generator[Progress, None, dict[str, float]]:
    """Make, find and score the set `step-000123`, and `step-000000` where it is missing; returns the numbers of the
    former by the names in `HELD_OUT`.

    lora: None for a LoRA that changes nothing yet. The model must be free of adapters.
    """
    prompts = {prompt.id: prompt for prompt in layout.prompts("held_out")}
    ids, count = list(prompts), min(check.prompts, len(prompts))
    chosen = [prompts[ids[index * len(ids) // count]] for index in range(count)]
    settings = check.settings or model.defaults
    # The untrained model first, once: what every later look is compared with.
    for set, adapter in ((look_set(0), None), (look_set(step), lora)):
        for stage in (
            generate_stage(
                layout,
                model,
                chosen,
                check.seeds,
                set,
                settings,
                check.batch_size,
                adapter,
                1.0,
                check.workers,
            ),
            detect_stage(
                layout,
                check.detector,
                prompts,
                set,
                "held_out",
                check.rule,
                check.seeds,
                False,
                check.mask_tracker,
            ),
            score_stage(layout, prompts, set, "held_out", check.seeds),
        ):
            yield from without_gradients(stage)
    wanted = {(prompt.id, seed) for prompt in chosen for seed in range(check.seeds)}
    scores = [score for key, score in layout.scores(look_set(step), "held_out").items() if key in wanted]
    return held_out_numbers(scores)


def held_out_numbers(scores: Sequence[Score]) -> dict[str, float]:
    """What is told of held-out videos, by the names in `HELD_OUT`."""
    mean = sum(score.dsr or 0.0 for score in scores if score.valid) / len(scores)
    valid = sum(score.valid for score in scores) / len(scores)
    return dict(zip(HELD_OUT, (mean, accuracy_at(scores, GOOD), valid, obey_share(scores)), strict=True))


def held_out_words(numbers: Mapping[str, float]) -> str:
    """Some of them in words."""
    score, accuracy, _, obey = (numbers[name] for name in HELD_OUT)
    return f"score {score:.3f}, accuracy {accuracy:.3f}, share that obeys {obey:.3f}"


def without_gradients(stage: Iterator[Progress]) -> Iterator[Progress]:
    """Only while the stage works: whoever drives it keeps its own mode between two items."""
    while True:
        with torch.no_grad():
            item = next(stage, None)
        if item is None:
            return
        yield item
