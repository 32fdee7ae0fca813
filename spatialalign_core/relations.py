"""The vocabulary of spatial relations: where a subject is with respect to an object, and the change between two.

Relations are one-letter codes as in the SpatialAlign paper (arXiv 2602.22745). A change is the pair of the first and
the last relation of a video, written as two letters: "LR" is "on the left of, then to the right of".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Relation(StrEnum):
    """Where the subject is, seen from the camera."""

    LEFT = "L"
    RIGHT = "R"
    TOP = "T"

    @property
    def place(self) -> str:
        """Words for being there, as the published prompts write them: "on the left of"."""
        return f"on the {_WORDS[self]} of"

    @property
    def goal(self) -> str:
        """Words for going there, as the published prompts write them: "to the left of"."""
        return f"to the {_WORDS[self]} of"

    @property
    def side(self) -> str:
        """Words for being there, as people say them: "left of", "on top of"."""
        return "on top of" if self == Relation.TOP else f"{_WORDS[self]} of"

    @property
    def heading(self) -> str:
        """Words for going there, as people say them: "to the left of", "on top of"."""
        return "on top of" if self == Relation.TOP else self.goal


_WORDS = {Relation.LEFT: "left", Relation.RIGHT: "right", Relation.TOP: "top"}


@dataclass(frozen=True, order=True)
class RelationChange:
    """First and last relation of one video; the two differ."""

    initial: Relation
    final: Relation

    def __post_init__(self) -> None:
        if self.initial == self.final:
            raise ValueError(
                f"A relation change needs two different relations, got {self.initial.value} twice."
            )

    @classmethod
    def parse(cls, code: str) -> RelationChange:
        """Two-letter code, any case ("LR"). ValueError names the known codes."""
        letters = code.strip().upper()
        try:
            initial, final = (Relation(letter) for letter in letters)
            return cls(initial, final)
        except ValueError:
            known = " ".join(change.code for change in CHANGES)
            raise ValueError(f"Unknown relation change {code!r}; the known ones are {known}.") from None

    @property
    def code(self) -> str:
        return self.initial.value + self.final.value

    def __str__(self) -> str:
        return self.code


CHANGES: tuple[RelationChange, ...] = tuple(
    RelationChange(first, last)
    for first, last in (
        (Relation.LEFT, Relation.RIGHT),
        (Relation.RIGHT, Relation.LEFT),
        (Relation.LEFT, Relation.TOP),
        (Relation.TOP, Relation.LEFT),
        (Relation.RIGHT, Relation.TOP),
        (Relation.TOP, Relation.RIGHT),
    )
)
