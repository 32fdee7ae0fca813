"""What keeps a long run from training on nonsense: a loss that is no number, and a loss that runs away."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import SpatialAlignError, setting

_DECAY = 0.9
_RISING = 2.0


class TrainingStopped(SpatialAlignError):
    """A guard stopped the run. sound: whether the weights as they are can be gone on from."""

    def __init__(self, message: str, sound: bool) -> None:
        super().__init__(message)
        self.sound = sound


class LossGuard:
    """Watches the losses of a run. Its memory is two numbers, which travel in the checkpoints."""

    def __init__(self, limit: float) -> None:
        """limit: how many times its first value the smoothed loss may reach; 0 for no limit."""
        self.limit = limit
        self.first = self.smooth = math.nan

    @property
    def rising(self) -> bool:
        """Whether the loss is so far above its start that the weights are no good place to come back to."""
        return self.limit > 0 and self.smooth > min(_RISING, self.limit) * self.first

    def see(self, step: int, loss: float, gradient_norm: float) -> None:
        """Take in the loss of step `step`, before its weights change. Raises TrainingStopped."""
        for what, value in (("loss", loss), ("gradient", gradient_norm)):
            if not math.isfinite(value):
                raise TrainingStopped(
                    f"The {what} became {value} at step {step}; the weights of step {step - 1} are kept. "
                    f"Lower {setting('learning_rate')} or {setting('beta')}.",
                    sound=True,
                )
        if math.isnan(self.first):
            self.first = self.smooth = loss
        self.smooth = _DECAY * self.smooth + (1 - _DECAY) * loss
        if 0 < self.limit < self.smooth / max(self.first, 1e-12):
            raise TrainingStopped(
                f"The training diverged at step {step}: the loss rose from {self.first:.3g} to {self.smooth:.3g}. "
                f"Lower {setting('learning_rate')} or {setting('beta')}.",
                sound=False,
            )

    def state(self) -> Tensor:
        """float64 (2,)."""
        return torch.tensor([self.first, self.smooth], dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """What `state` gave."""
        self.first, self.smooth = state.tolist()
