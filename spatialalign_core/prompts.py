"""Prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from .relations import RelationChange

Combination = tuple[str, str, RelationChange]


def split_combinations(
    subjects: Sequence[str],
    objects: Sequence[str],
    changes: Sequence[RelationChange],
    held_out_share: float,
    seed: int,
) -> tuple[list[Combination], list[Combination]]:
    """All (subject, object, change) triples in two disjoint halves: (train, held out).

    Every change gives the same share to the held-out half. Which triples those are depends on the words and the seed
    alone, not on the order or length of the lists' other entries.
    """
    train: list[Combination] = []
    held_out: list[Combination] = []
    for change in changes:
        triples = [(subject, object, change) for subject in subjects for object in objects]
        triples.sort(key=lambda t: hashlib.sha256(f"{seed}|{t[0]}|{t[1]}|{t[2]}".encode()).digest())
        count = round(held_out_share * len(triples))
        held_out += triples[:count]
        train += triples[count:]
    return train, held_out
