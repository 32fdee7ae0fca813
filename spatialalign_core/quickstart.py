"""The whole loop on one model, from prompts to the report: what `python3 quickstart.py` runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from .detect.base import Detector
from .errors import SpatialAlignError
from .files import atomic_write
from .models.base import VideoModel
from .pairs import PairSettings
from .pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from .progress import Progress
from .prompts import DsrPrompt, build_prompts
from .run import ALIGNED, BASE, Run
from .train.settings import DEFAULT, TrainSettings


@dataclass(frozen=True)
class QuickstartPlan:
    """How much of everything. With the defaults the loop takes some minutes on two CPU cores."""

    train_prompts: int = 144
    held_out_prompts: int = 48
    train_seeds: int = 4
    held_out_seeds: int = 5
    batch_size: int = 8
    pairs: PairSettings = field(default_factory=PairSettings)
    training: TrainSettings = DEFAULT
    tau: float = 0.7
    # 0 splits the words as they were split when the pocket model was trained: it never saw the held-out combinations.
    prompt_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train_prompts", "held_out_prompts", "train_seeds", "held_out_seeds", "batch_size"):
            if getattr(self, name) < 1:
                raise SpatialAlignError(
                    f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}."
                )


def plan_prompts(plan: QuickstartPlan) -> list[DsrPrompt]:
    """Prompts of the sprite world: train first, then held out, with no word combination in both."""
    return build_prompts(
        SUBJECTS,
        OBJECTS,
        SCENES,
        VERBS,
        count=plan.train_prompts,
        held_out_count=plan.held_out_prompts,
        seed=plan.prompt_seed,
    )


def prepare(run: Run, plan: QuickstartPlan) -> None:
    """Write the plan's prompts into the run folder; other prompts that stand there are kept as prompts.old.csv."""
    prompts = plan_prompts(plan)
    with contextlib.suppress(SpatialAlignError):  # none yet, or damaged
        if run.prompts() == prompts:
            return
    if run.prompts_file.exists():
        atomic_write(run.folder / "prompts.old.csv", run.prompts_file.read_bytes())
    run.write_prompts(prompts)


def quickstart(
    run: Run, model: VideoModel, detector: Detector, plan: QuickstartPlan, workers: int | None = None
) -> Iterator[tuple[str, Iterator[Progress]]]:
    """The stages in order, each with a label for people; run each to its end before taking the next.

    Called again on the same folder it goes on where it stopped.
    """
    prepare(run, plan)
    train, held_out, batch = plan.train_seeds, plan.held_out_seeds, plan.batch_size
    yield (
        "1/8 generate training videos",
        run.generate(model, train, "train", batch_size=batch, workers=workers),
    )
    yield (
        "2/8 generate test videos, before",
        run.generate(model, held_out, "held_out", batch_size=batch, workers=workers),
    )
    yield "3/8 find subject and object", run.detect(detector, BASE)
    yield "4/8 score", _score(run, BASE, plan)
    yield "5/8 choose pairs", run.export_pairs(model, plan.pairs)
    yield "6/8 train the LoRA", run.train(model, plan.training)
    yield (
        "7/8 generate test videos, after",
        run.generate(model, held_out, "held_out", ALIGNED, batch_size=batch, workers=workers),
    )
    yield "8/8 find subject and object", run.detect(detector, ALIGNED, "held_out", seeds=held_out)
    yield "8/8 score", run.score(ALIGNED, "held_out", seeds=held_out)
    settings = {
        "model": model.folder.name,
        "detector": detector.name,
        "generation": asdict(model.defaults),
        "training prompts": plan.train_prompts,
        "seeds for each training prompt": train,
        "pairs": asdict(plan.pairs),
        "training": asdict(plan.training),
    }
    yield "8/8 compare", run.evaluate(plan.tau, "held_out", held_out, settings=settings)


def _score(run: Run, set: str, plan: QuickstartPlan) -> Iterator[Progress]:
    # Seeds beyond the plan's, left by an earlier run with more of them, must not take part.
    yield from run.score(set, "train", plan.train_seeds)
    yield from run.score(set, "held_out", plan.held_out_seeds)
