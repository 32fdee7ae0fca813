"""What can be chosen about a training run, and two presets."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import SpatialAlignError, setting
from .losses import LOSSES

NOISES = ("separate", "shared", "loser")
SCHEDULES = ("cosine", "constant")
OPTIMIZERS = ("adamw", "adamw_fused", "adamw_8bit")


@dataclass(frozen=True)
class TrainSettings:
    """One preference training run.

    noise: "separate" draws one for winner and loser each; "shared" the same for both; "loser" takes, for both, the
    noise from which the loser was generated, so that the model learns what that very start should have become.
    sigma_min, sigma_max: noise levels at which the preference is learned, within 0..1. anchor_share: share of a step's
    pairs at the levels outside of them, where only the regulariser acts; a LoRA works at every level, and nothing else
    would hold it there. margin_weight: the power of a pair's score margin by which its preference counts, relative to
    the mean over all pairs; 0 counts all pairs the same, 1 counts one with twice the margin twice. shift: how far the
    levels lean towards noise; None takes the family's. targets: a set of the family's `lora_targets`. base_width: the
    learning rate is meant for a network so wide, and a wider one learns more slowly in proportion, as Adam's steps want
    it (arXiv 2203.03466); None leaves the rate as it is.
    """

    loss: str = "dpo+zo"
    beta: float = 1.0
    clip: float | None = 5.0
    zo_weight: float = 0.5
    sft_weight: float = 1.0
    targets: str = "published"
    rank: int = 16
    alpha: float = 16.0
    learning_rate: float = 1e-4
    base_width: int | None = None
    weight_decay: float = 0.01
    warmup: int = 300
    schedule: str = "cosine"
    steps: int = 3000
    pairs_per_step: int = 48
    noise: str = "separate"
    sigma_min: float = 0.0
    sigma_max: float = 1.0
    anchor_share: float = 0.0
    margin_weight: float = 0.0
    shift: float | None = None
    max_grad_norm: float | None = None
    average: float = 0.0
    """Decay of the averaged LoRA that is saved; 0 saves the last one."""
    seed: int = 0
    checkpoint_every: int = 50
    optimizer: str = "adamw"
    """adamw_fused is one kernel a step; adamw_8bit keeps its state in 8 bits and needs the package bitsandbytes."""
    diverged: float = 10.0
    """Stop when the smoothed loss is this many times the first one; 0 never stops."""

    def __post_init__(self) -> None:
        for name, known in (
            ("loss", LOSSES),
            ("noise", NOISES),
            ("schedule", SCHEDULES),
            ("optimizer", OPTIMIZERS),
        ):
            if getattr(self, name) not in known:
                raise SpatialAlignError(
                    f"Unknown {setting(name)} {getattr(self, name)!r}; choose one of {', '.join(known)}."
                )
        for name in ("rank", "steps", "pairs_per_step", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise SpatialAlignError(
                    f"{setting(name)} must be at least 1, not {getattr(self, name)}; raise it."
                )
        if self.learning_rate <= 0:
            raise SpatialAlignError(
                f"{setting('learning_rate')} must be above 0, not {self.learning_rate}; 1e-4 is a fair start."
            )
        if self.beta <= 0:
            raise SpatialAlignError(f"{setting('beta')} must be above 0, not {self.beta}; 1 is a fair start.")
        for name, value in (("regularisation", self.zo_weight), ("warmup", self.warmup)):
            if value < 0:
                raise SpatialAlignError(f"{setting(name)} must be 0 or more, not {value}; raise it.")
        if not 0 <= self.sigma_min < self.sigma_max <= 1:
            raise SpatialAlignError(
                "sigma_min must lie below sigma_max, both within 0 and 1; correct the two."
            )
        if self.margin_weight < 0:
            raise SpatialAlignError(
                f"margin_weight must be 0 or more, not {self.margin_weight}; 0 weighs nothing."
            )
        if not 0 <= self.anchor_share < 1:
            raise SpatialAlignError(f"anchor_share must be at least 0 and below 1, not {self.anchor_share}.")

    def chosen(self) -> dict[str, Any]:
        """What is not as in `TrainSettings()`. A setting that a later version adds, off, leaves this as it is, so that
        runs from before go on."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }

    def at_rate(self, learning_rate: float) -> TrainSettings:
        """The same with a rate that somebody chose, to be taken as it is for a network of any width."""
        return replace(self, learning_rate=learning_rate, base_width=None)

    def slowness(self, width: int) -> float:
        """What the learning rate is multiplied by for a network so wide."""
        return 1.0 if self.base_width is None else min(1.0, self.base_width / width)

    def in_words(self, width: int) -> str:
        """For people; width: of the network that is trained."""
        rate = self.learning_rate * self.slowness(width)
        return (
            f"{self.steps} steps of {self.pairs_per_step} pairs, learning rate {rate:.3g} after {self.warmup} steps of "
            f"warm-up, rank {self.rank}, {self.targets} targets, loss {self.loss}, beta "
            f"{self.beta:g}, regularisation {self.zo_weight:g}"
        )

    @property
    def anchors(self) -> int:
        """How many of a step's pairs are anchors; at least one pair is not.

        None where nothing would act on them: without a regulariser, or when the range is all of 0..1.
        """
        if "zo" not in self.loss.split("+") or (self.sigma_min, self.sigma_max) == (0, 1):
            return 0
        return min(round(self.anchor_share * self.pairs_per_step), self.pairs_per_step - 1)


PUBLISHED = TrainSettings()
"""The released recipe: beta 1, clip 5, lambda 0.5, text and cross-attention k and v, r = alpha = 16, AdamW 1e-4,
warm-up 300, cosine to 3000, 48 pairs a step, separate noise, one timestep a pair."""

DEFAULT = TrainSettings(
    targets="wide", learning_rate=1e-2, base_width=160, warmup=10, steps=64, pairs_per_step=16
)
"""What reached a held-out score with the fewest pair evaluations on the pocket model, which is 160 wide: the published
loss and noise, on more layers, at a hundred times the rate. See benchmarks/NOTES.md."""

PRESETS: dict[str, TrainSettings] = {"published": PUBLISHED, "default": DEFAULT}
