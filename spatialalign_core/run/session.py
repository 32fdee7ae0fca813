"""One training between its start and its end: steps, saving, requests, held-out looks, full memory, guards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from ..errors import SpatialAlignError, StopRequested
from ..progress import Progress
from ..train.checkpoint import save_checkpoint
from ..train.guard import TrainingStopped
from ..train.lora import read_lora, save_lora
from ..train.memory import is_out_of_memory, tidy, used_memory
from ..train.plans import leaner
from ..train.trainer import StepLog, Trainer
from .control import Health, TrainControl
from .held_out import HeldOutCheck, held_out_words
from .training_log import HELD_OUT, TrainingLog

Look = Callable[[Path | None, int], Generator[Progress, None, dict[str, float]]]
_NAP = 0.1
_PACE = 20  # steps whose mean time is the pace


@dataclass(frozen=True)
class Watching:
    """What is looked at while the training runs, and how; see `held_out.look`."""

    check: HeldOutCheck
    look: Look


class TrainingSession:
    """The steps of one training, and everything that happens between them."""

    def __init__(
        self,
        trainer: Trainer,
        log: TrainingLog,
        control: TrainControl,
        watching: Watching | None,
        lora: Path,
        checkpoints: Path,
    ) -> None:
        self.trainer, self.log, self.control, self.watching = trainer, log, control, watching
        self.lora, self.checkpoints = lora, checkpoints
        self.total = trainer.settings.steps
        self.good = trainer.state()
        self.saved = trainer.step
        self._told: set[str] = set()
        self._look_seconds = 0.0

    def run(self) -> Iterator[Progress]:
        """To the last step, or to where nothing gets better. However it ends, what is whole is saved.

        Raises StopRequested where the control folder says so.
        """
        try:
            with contextlib.closing(self._to_the_end()) as work:
                for item in work:
                    yield item
                    if self.control.asked("stop"):
                        raise self._stop()
            self.log.flush()
        except TrainingStopped as stopped:
            raise self._stopped(stopped) from None
        except GeneratorExit:
            self._leave()
            raise
        except BaseException:
            with contextlib.suppress(Exception):  # what went wrong first is what is told
                self._leave()
            raise

    def result(self) -> tuple[dict[str, Tensor], int]:
        """The tensors of the LoRA to leave, and the step they are of."""
        check = self.watching.check if self.watching else None
        best = check.best(self.log.rows) if check else None
        if best is not None and best != self.trainer.step:
            with contextlib.suppress(SpatialAlignError):
                tensors, metadata = read_lora(self._best_file)
                if metadata.get("step") == str(best):
                    return tensors, best
        return self.trainer.lora(), self.trainer.step

    @property
    def _best_file(self) -> Path:
        return self.checkpoints / "best.safetensors"

    def _to_the_end(self) -> Generator[Progress, None, None]:
        self._tell("training")
        yield from self._look_if_due()
        while self.trainer.step < self.total and not self._gave_up():
            yield from self._step()

    def _step(self) -> Iterator[Progress]:
        trainer = self.trainer
        log: StepLog | None = None
        try:
            log = next(trainer.run())
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if log is None:  # only here is what the error held on to free again
            yield self._with_less_memory()
            return
        self.log.append(log)
        due = log.step % trainer.settings.checkpoint_every == 0 and log.step < self.total
        if due and not trainer.guard.rising:
            self._save()
        for name, reason in trainer.drawer.set_aside.items():
            if name not in self._told:
                self._told.add(name)
                yield Progress("train", log.step, self.total, reason, warning=True)
        self._tell("training")
        yield Progress("train", log.step, self.total, _message(log), values=_values(log))
        yield from self._look_if_due()
        yield from self._answer()
        if self.control.asked("pause"):
            yield from self._rest()

    def _rest(self) -> Iterator[Progress]:
        self._save()
        self._tell("paused")
        while self.control.asked("pause"):
            self._tell("paused")
            yield Progress("train", self.trainer.step, self.total, f"paused after step {self.trainer.step}")
            yield from self._answer()
            time.sleep(_NAP)
        self._tell("training")

    def _answer(self) -> Iterator[Progress]:
        """Do what was asked for from outside."""
        if self.control.asked("save"):
            self._save()
            path = self._keep_lora()
            text = f"saved {path.name}" if path else "saved; the LoRA changes nothing yet"
            self.control.answered("save")
            yield Progress("train", self.trainer.step, self.total, text, path=path)
        if self.control.asked("sample"):
            if self.watching is None:
                text = (
                    "There is nothing to sample with: start the training with a detector for held-out videos."
                )
                yield Progress("train", self.trainer.step, self.total, text, warning=True)
            else:
                yield from self._look()
            self.control.answered("sample")

    def _look_if_due(self) -> Iterator[Progress]:
        step = self.trainer.step
        due = self.watching is not None and step > 0 and self.watching.check.due(step, self.total)
        if due and self.log.rows and HELD_OUT[0] not in self.log.rows[-1]:
            self._save()
            yield from self._look()

    def _look(self) -> Iterator[Progress]:
        """Score the held-out videos with the LoRA as it is, and remember it if it is the best."""
        assert self.watching is not None
        trainer, step = self.trainer, self.trainer.step
        tensors = trainer.lora()
        path: Path | None = self.checkpoints / "look.safetensors"
        if path and _changes_something(tensors):
            save_lora(path, tensors, {"step": str(step)})
        else:
            path = None
        self._tell("sampling")
        began = time.monotonic()
        with trainer.lifted():
            numbers = yield from self._in_own_terms(self.watching.look(path, step))
        self._look_seconds = time.monotonic() - began
        # The LoRA before the note: whoever reads that this step is the best finds it, killed in between or not.
        if path and self.watching.check.best(self.log.amended(numbers)) == step:
            save_lora(self._best_file, tensors, {"step": str(step)})
        self.log.amend(numbers)
        self._tell("training")
        text = f"step {step}, held out: {held_out_words(numbers)}"
        yield Progress("train", step, self.total, text, values=numbers)

    def _in_own_terms(
        self, look: Generator[Progress, None, dict[str, float]]
    ) -> Generator[Progress, None, dict[str, float]]:
        with contextlib.closing(look):
            while True:
                try:
                    item = next(look)
                except StopIteration as end:
                    return end.value
                text = (
                    item.message
                    if item.warning
                    else f"held-out videos: {item.stage} {item.done} of {item.total}"
                )
                yield Progress(
                    "train", self.trainer.step, self.total, text, item.warning, item.path, inner=item
                )

    def _gave_up(self) -> bool:
        return self.watching is not None and self.watching.check.gave_up(self.log.rows)

    def _with_less_memory(self) -> Progress:
        trainer, before = self.trainer, self.trainer.plan
        trainer.optimizer.zero_grad(set_to_none=True)
        tidy(trainer.device)
        plan = leaner(before)
        if plan is None:
            raise SpatialAlignError(
                f"The memory is full at step {trainer.step + 1} even with the plan {before.name!r}; all steps so far "
                "are kept. Generate the training videos smaller or shorter, or close other programs."
            )
        trainer.use(plan, self.good if trainer.torn else None)
        self.log.back_to(trainer.step)
        self._tell("training")
        text = (
            f"The memory was full with the plan {before.name!r}; going on after step {trainer.step} with "
            f"{plan.name!r}: {plan.about}."
        )
        return Progress("train", trainer.step, self.total, text, warning=True)

    def _stop(self) -> StopRequested:
        self.control.answered("stop")
        return StopRequested(
            f"The training was stopped at step {self.trainer.step}, as asked. Everything is saved; run it again and it "
            "goes on from there."
        )

    def _stopped(self, stopped: TrainingStopped) -> SpatialAlignError:
        """Keep the last good weights, also as a LoRA to try, and say so."""
        if stopped.sound:
            self._save()
        else:
            self.trainer.restore(self.good)
        path = self._keep_lora()
        self._tell("stopped")
        step = self.trainer.step
        return SpatialAlignError(f"{stopped} " + (f"The LoRA of step {step} is {path}." if path else ""))

    def _save(self) -> None:
        if self.saved == self.trainer.step:
            return
        self.log.flush()
        state = self.trainer.state()
        save_checkpoint(self.checkpoints, state)
        self.saved = state.step
        if not self.trainer.guard.rising:
            self.good = state

    def _leave(self) -> None:
        """Save on the way out, where there is anything whole to save."""
        try:
            if self.trainer.parameters and not self.trainer.torn and self.trainer.step == self._logged:
                self._save()
                if self.control.asked("save"):  # right before the end
                    self._keep_lora()
                    self.control.answered("save")
        finally:
            self._tell("stopped")

    def _keep_lora(self) -> Path | None:
        """The LoRA of this step beside the one that is made at the end."""
        tensors, step = self.trainer.lora(), self.trainer.step
        if not _changes_something(tensors):
            return None
        path = self.lora.with_name(f"{self.lora.stem}-step-{step:06d}.safetensors")
        save_lora(path, tensors, {"step": str(step)})
        return path

    @property
    def _logged(self) -> int:
        return int(self.log.rows[-1]["step"]) if self.log.rows else 0

    def _tell(self, state: str) -> None:
        trainer = self.trainer
        memory = used_memory(trainer.device)
        health = Health(self._seconds_left(), *memory, str(trainer.device))
        plan, can_sample = trainer.plan.name, self.watching is not None
        self.control.tell(state, trainer.step, self.total, plan, health, can_sample)

    def _seconds_left(self) -> float | None:
        """Steps at the pace of the last ones, and the looks that the schedule still asks for."""
        recent = [row["seconds"] for row in self.log.rows[-_PACE:] if "seconds" in row]
        if not recent:
            return None
        step, every = self.trainer.step, self.watching.check.every if self.watching else 0
        looks = -(-self.total // every) - step // every if every and step < self.total else 0
        return (self.total - step) * sum(recent) / len(recent) + looks * self._look_seconds


def _changes_something(tensors: dict[str, Tensor]) -> bool:
    return any(name.endswith("lora_B.weight") and bool(value.any()) for name, value in tensors.items())


def _values(step: StepLog) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(step).items() if name not in ("step", "total")}


def _message(step: StepLog) -> str:
    return f"loss {step.loss:.4f}, margin {step.margin:+.3f}, implicit accuracy {step.accuracy:.2f}"
