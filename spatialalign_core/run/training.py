"""Training from the exported pairs to the LoRA file, however often it is stopped on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..models.base import VideoModel
from ..pairs import PairData
from ..progress import Progress
from ..train.checkpoint import load_checkpoint
from ..train.follow import follow
from ..train.lora import lora_metadata, lora_origin, read_lora, save_lora
from ..train.plans import LADDER, PLANS, SHARDED, MemoryPlan, find_plan
from ..train.ranks import ALONE, Ranks
from ..train.settings import TrainSettings
from ..train.trainer import Trainer
from .control import REQUESTS, TrainControl
from .planning import AUTO, plan_training
from .session import TrainingSession, Watching
from .training_log import TrainingLog


def train_lora(
    model: VideoModel,
    pairs: PairData,
    settings: TrainSettings,
    lora: Path,
    log: Path,
    control: TrainControl,
    watching: Watching | None = None,
    plan: str = AUTO,
    room: int | None = None,
    device: torch.device | None = None,
    tensorboard: Path | None = None,
    continue_from: Path | None = None,
    ranks: Ranks = ALONE,
    compile: bool = False,
) -> Iterator[Progress]:
    """Train and write `lora`, yielding after every step.

    Goes on from the newest whole checkpoint that belongs to these pairs, settings and weights; a LoRA that is finished
    is not trained again. However it ends, all steps that were done are saved. The model leaves without any LoRA. `log`
    gets one row a step. plan, room: see `plan_training`; with "auto", what needed a leaner plan goes on with that.
    continue_from, ranks, compile: see `Trainer`; this process leads.
    """
    pairs.check()
    if continue_from is not None and continue_from.resolve() == lora.resolve():
        raise SpatialAlignError(f"{lora.name} cannot continue from itself; give the new LoRA another name.")
    total = settings.steps
    origin = lora_origin(continue_from)
    print_ = fingerprint([pairs.fingerprint, settings.chosen(), model.trained_fingerprint, *origin])
    check = watching.check if watching and watching.check.every else None
    outcome = fingerprint([print_, check.fingerprint]) if check else print_
    state_of_file = _finished(lora, outcome)
    if state_of_file is True:
        yield Progress("train", total, total, f"{lora.name} is up to date", path=lora)
        return
    if state_of_file is None:
        yield Progress("train", 0, total, f"{lora} is damaged; it is made again.", warning=True)

    if plan == SHARDED.name and watching is not None:
        raise SpatialAlignError(
            f"The plan {plan!r} cannot look at held-out videos meanwhile; leave that out, and evaluate what it saves."
        )
    # A folder for each combination, because another run's higher step numbers would count as newer.
    checkpoints = lora.parent / "checkpoints" / f"{lora.stem}-{print_}"
    for request in REQUESTS:  # left from an earlier training
        control.answered(request)
    place = device or model.device
    estimate = plan_training(model, pairs, settings, place, plan, room)
    trainer = Trainer(model, pairs, settings, estimate.plan, place, continue_from, ranks, compile)
    try:
        state, damaged = load_checkpoint(checkpoints, trainer.fingerprint)
        for path in damaged:
            text = (
                f"The checkpoint {path} is damaged; an older one is used."
                if state
                else f"The checkpoint {path} is damaged and there is no older one; the training begins again."
            )
            yield Progress("train", 0, total, text, warning=True)
        if state is not None:
            needed = _leanest(trainer.plan, state.plan) if plan == AUTO else trainer.plan
            if needed == trainer.plan:
                trainer.restore(state)
            else:
                trainer.use(needed, state)
        yield Progress("train", trainer.step, total, f"going on after step {trainer.step}" if state else "")
        yield Progress("train", trainer.step, total, f"memory plan {estimate}")
        with TrainingLog(log, trainer.step, tensorboard) as rows:
            session = TrainingSession(trainer, rows, control, watching, lora, checkpoints)
            yield from session.run()
        metadata = {
            **lora_metadata(model, settings, pairs),
            "fingerprint": outcome,
            "preset_settings": repr(settings),
            **({} if continue_from is None else {"continued_from": continue_from.name}),
        }
        tensors, step = session.result()
        save_lora(lora, tensors, metadata | {"step": str(step)})
    finally:
        trainer.close()
    control.tell("finished", trainer.step, total, trainer.plan.name)
    text = f"saved {lora.name}" + (f", of step {step}" if step < total else "")
    yield Progress("train", total, total, text, path=lora)


def follow_training(
    model: VideoModel,
    pairs: PairData,
    settings: TrainSettings,
    device: torch.device | None,
    continue_from: Path | None,
    ranks: Ranks,
    compile: bool = False,
) -> Iterator[Progress]:
    """Take part in a training that another process leads, writing nothing; yields after every step."""
    first = ranks.hear()
    if first is None:  # nothing to train, or it could not begin
        return
    trainer = Trainer(model, pairs, settings, find_plan(first.plan), device, continue_from, ranks, compile)
    try:
        for log in follow(trainer, first):
            yield Progress("train", log.step, log.total)
    finally:
        trainer.close()


def _finished(lora: Path, print_: str) -> bool | None:
    """Whether the file is there and up to date; None when it is damaged."""
    if not lora.exists():
        return False
    try:
        _, metadata = read_lora(lora)
    except SpatialAlignError:
        return None
    return metadata.get("fingerprint") == print_


def _leanest(plan: MemoryPlan, other: str) -> MemoryPlan:
    found = [each for each in (plan, PLANS.get(other, plan)) if each in LADDER]
    return max(found, key=LADDER.index, default=plan)
