"""What the processes besides the first do in a training of several."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import SpatialAlignError
from .guard import TrainingStopped
from .memory import is_out_of_memory, tidy
from .plans import find_plan
from .ranks import Order, OtherFailed
from .trainer import StepLog, Trainer, TrainState


def follow(trainer: Trainer, first: Order) -> Iterator[StepLog]:
    """Take part in the steps of the leading process until it ends them. first: what it said already.

    SpatialAlignError when it trains something else, or is gone.
    """
    order: Order | None = first
    while order is not None:
        _take_over(trainer, order)
        log: StepLog | None = None
        try:
            log = trainer.one_step()
        except (TrainingStopped, OtherFailed):
            pass  # the leader comes to the same end, and says so
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        if log is None:
            tidy(trainer.device)
        else:
            yield log
        order = trainer.ranks.hear()


def _take_over(trainer: Trainer, order: Order) -> None:
    if order.fingerprint != trainer.fingerprint:
        raise SpatialAlignError(
            "The processes of this training were started with different settings, pairs or weights; start all of them "
            "by the same command on the same run folder."
        )
    state = None
    if order.state is not None:
        state = TrainState(order.step, dict(order.state), order.fingerprint, order.plan)
    if order.plan != trainer.plan.name:
        trainer.use(find_plan(order.plan), state)
    elif state is not None:
        trainer.restore(state)
