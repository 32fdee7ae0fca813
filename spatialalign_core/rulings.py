"""Rulings: pairs that were kept or dropped by hand. The scores propose, the artist's eye has the last word.

A run folder keeps them in rulings.json: {"format": 1, "rulings": [one object a ruling, with the fields of `Ruling`]}.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .errors import SpatialAlignError
from .files import atomic_write, cause

_FORMAT = 1
_writing = threading.Lock()


@dataclass(frozen=True)
class Ruling:
    """What was decided about one pair, which is named as in `Pair`.

    keep: the pair is used whatever the settings say, and the same two the other way round are not; otherwise it is
    left out. winner_video, loser_video: digests of the videos that were looked at; for others it does not hold.
    """

    prompt_id: str
    winner_seed: int
    loser_seed: int
    told: str
    keep: bool
    winner_video: str
    loser_video: str

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Names the pair: prompt id, told change, winner and loser."""
        return self.prompt_id, self.told, self.winner_seed, self.loser_seed

    @property
    def turned(self) -> tuple[str, str, int, int]:
        """Names the pair of the same videos the other way round."""
        return self.prompt_id, self.told, self.loser_seed, self.winner_seed

    def holds(self, videos: Mapping[tuple[str, int], str]) -> bool:
        """Whether it is of these videos. videos: (prompt id, seed) -> digest."""
        seen = videos.get((self.prompt_id, self.winner_seed)), videos.get((self.prompt_id, self.loser_seed))
        return seen == (self.winner_video, self.loser_video)


def read_rulings(path: Path) -> tuple[Ruling, ...]:
    """Sorted by pair; none where there is no file. SpatialAlignError for a damaged one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != _FORMAT:
            raise SpatialAlignError(f"{path} was written by another version of SpatialAlign; delete it.")
        return tuple(_ruling(entry) for entry in data["rulings"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpatialAlignError(
            f"{path} is damaged ({cause(error)}); delete it and choose the pairs by hand again."
        ) from error


def add_ruling(path: Path, ruling: Ruling) -> None:
    """Write one more ruling; it replaces those about the same two videos under the same text. Errors as above."""
    with _writing:
        others = (each for each in read_rulings(path) if each.key not in (ruling.key, ruling.turned))
        _write(path, [*others, ruling])


def remove_ruling(path: Path, key: tuple[str, str, int, int]) -> None:
    """Forget what was decided about the pair of that key, either way round. Errors as above."""
    with _writing:
        prompt_id, told, winner, loser = key
        gone = (key, (prompt_id, told, loser, winner))
        _write(path, [each for each in read_rulings(path) if each.key not in gone])


def _write(path: Path, rulings: Iterable[Ruling]) -> None:
    data = {"format": _FORMAT, "rulings": [asdict(each) for each in sorted(rulings, key=lambda r: r.key)]}
    atomic_write(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def _ruling(entry: Mapping[str, Any]) -> Ruling:
    kinds = (str, int, int, str, bool, str, str)
    values = [entry[field.name] for field in fields(Ruling)]
    for field, kind, value in zip(fields(Ruling), kinds, values, strict=True):
        if type(value) is not kind:
            raise ValueError(f"{field.name} is {value!r}")
    return Ruling(*values)
