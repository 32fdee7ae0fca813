"""What can be chosen about training pairs, and what became of a prompt's videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from .errors import SpatialAlignError
from .score import GOOD

Mode = Literal["all", "best_worst"]


@dataclass(frozen=True)
class PairSettings:
    """Which videos make pairs.

    threshold: a video that obeys, with a DSR-Score of at least `threshold`, is a winner; any other valid one is a
    loser, one with a higher score that starts or ends at the wrong place too (see `obeys`).
    min_margin: by how much the winner's score must be above the loser's; other pairs are left out.
    mode: "all" winners with all losers, or one pair a prompt: the best winner with the worst loser.
    max_pairs_per_prompt: keeps the largest margins of each text; None keeps all.
    retell: the videos of a prompt are compared under the other relation changes too, with its text told accordingly: a
    video that obeys another change than it was asked for is a winner there. The same two videos then meet under texts
    that differ by the relation words alone, which leaves nothing else to learn.
    """

    threshold: float = GOOD
    min_margin: float = 0.0
    mode: Mode = "all"
    max_pairs_per_prompt: int | None = None
    retell: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise SpatialAlignError(f"The pair threshold must lie between 0 and 1, got {self.threshold}.")
        if not self.min_margin >= 0:
            raise SpatialAlignError(
                f"The smallest margin of a pair must be 0 or more, got {self.min_margin}."
            )
        if self.mode not in get_args(Mode):
            known = " or ".join(get_args(Mode))
            raise SpatialAlignError(f"Unknown way to choose pairs {self.mode!r}; choose {known}.")
        if self.max_pairs_per_prompt is not None and self.max_pairs_per_prompt < 1:
            raise SpatialAlignError(
                f"The most pairs a prompt must be 1 or more, or empty for all, got {self.max_pairs_per_prompt}."
            )


USUAL = PairSettings()


@dataclass(frozen=True)
class PromptCount:
    """What became of one prompt's videos under its own text; retold: pairs under other texts.

    wrong_end: losers with at least the threshold's score that do not start or end where the text says. kept, dropped:
    pairs of the prompt about which that was decided by hand, under any text.
    """

    winners: int
    losers: int
    invalid: int
    pairs: int
    retold: int = 0
    kept: int = 0
    dropped: int = 0
    wrong_end: int = 0
