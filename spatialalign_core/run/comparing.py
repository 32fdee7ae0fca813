"""Comparing two LoRAs, or two strengths, or one with none, on the same prompts and seeds.

comparisons/<set of a>--<set of b>/comparison.json and picture.png
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import SpatialAlignError
from ..evaluate import Evaluation, ScoredSample, evaluate, paired
from ..files import atomic_write, cause, content_digest, last_step, safe_name
from ..progress import Progress
from ..report.picture import save_picture
from ..score import obeys
from ..score_words import missed_words
from .layout import BASE, RunLayout

_LONGEST = 40  # of a LoRA's name in the name of a folder
AB = ("a", "b")


@dataclass(frozen=True)
class Side:
    """One of the two: the model as it is, or with a LoRA at a strength."""

    lora: Path | None = None
    strength: float = 1.0

    @property
    def name(self) -> str:
        """For people."""
        return "no LoRA" if self.lora is None else f"{self.lora.stem} at {self.strength:g}"

    @cached_property
    def set(self) -> str:
        """The set of its videos. Without a LoRA those that the run has already, else one of the file's content when
        first asked for: once the LoRA is trained again, an older comparison still shows what it was about."""
        if self.lora is None:
            return BASE
        parts = [
            "lora",
            self.lora.stem[:_LONGEST],
            f"{self.strength:g}",
            (content_digest(self.lora) or "")[:8],
        ]
        return safe_name("-".join(filter(None, parts)))


@dataclass(frozen=True)
class Comparison:
    """Where a comparison lies, and what it found."""

    folder: Path
    evaluation: Evaluation

    @property
    def picture(self) -> Path:
        return self.folder / "picture.png"


def same_sides(name: str) -> str:
    """What to say where both sides are the same."""
    return f"Both sides are {name!r}; choose another LoRA or another strength for one of them."


def check_sides(a: Side, b: Side) -> None:
    """SpatialAlignError when there is nothing to compare, or a LoRA is not there."""
    for side in (a, b):
        if side.lora is not None and not side.lora.is_file():
            raise SpatialAlignError(f"There is no LoRA {side.lora}; train one first, or choose another.")
    if a.set == b.set:
        raise SpatialAlignError(
            same_sides(a.name)
            if a == b
            else f"{a.lora} and {b.lora} are the same LoRA; choose another one, or another strength for one of them."
        )


def comparison_folder(layout: RunLayout, a: Side, b: Side) -> Path:
    return layout.comparisons_folder / f"{a.set}--{b.set}"


def compare_stage(
    layout: RunLayout,
    a: Side,
    b: Side,
    tau: float,
    split: str | None,
    seeds: int | None,
    bootstrap: int,
    settings: Mapping[str, object],
) -> Iterator[Progress]:
    """comparison.json and picture.png; see `Run.compare`."""
    check_sides(a, b)
    first, second = (layout.scored_samples(side.set, split, seeds) for side in (a, b))
    names = (a.name, b.name)
    yield Progress("compare", 0, 2, f"{len(first)} videos with {names[0]}, {len(second)} with {names[1]}")
    evaluation = evaluate(first, second, tau, bootstrap, names=names)
    found = Comparison(comparison_folder(layout, a, b), evaluation)
    pairs = paired(first, second, names)
    data = {
        "format": 1,
        **{key: _side(side) for key, side in zip(AB, (a, b), strict=True)},
        "tau": tau,
        **evaluation.tables(AB),
        "settings": {key: value for key, value in settings.items() if isinstance(value, (str, int, float))},
        "samples": [_sample(*pair, tau) for pair in pairs],
        "texts": {one.prompt.id: one.prompt.text for one, _ in pairs},
    }
    yield Progress("compare", 1, 2, "drawing the picture")
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
    with last_step(
        f"The videos of both sides are made and scored; they lie in {layout.folder}. Compare again to go on."
    ):
        save_picture(found.picture, evaluation, pairs, names)
        atomic_write(found.folder / "comparison.json", text + "\n")
    yield Progress("compare", 2, 2, _verdict(evaluation, names), path=found.picture)


def read_comparison(folder: Path) -> dict[str, Any]:
    """comparison.json. SpatialAlignError when it is missing or damaged."""
    path = folder / "comparison.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != 1:
            raise SpatialAlignError(f"{path} was written by another version of SpatialAlign; compare again.")
        return dict(data)
    except FileNotFoundError:
        raise SpatialAlignError(f"There is no {path} yet; compare first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpatialAlignError(f"{path} is damaged ({cause(error)}); compare again.") from error


def list_comparisons(layout: RunLayout) -> list[dict[str, Any]]:
    """name, a, b (names for people) and verdict of every comparison that can be read, the newest first."""
    found = []
    for file in layout.comparisons_folder.glob("*/comparison.json"):
        with contextlib.suppress(SpatialAlignError, OSError):
            data = read_comparison(file.parent)
            names = {key: str(data[key]["name"]) for key in AB}
            entry = {"name": file.parent.name, **names, "verdict": data["verdict"]}
            found.append((file.stat().st_mtime, entry))
    return [entry for _, entry in sorted(found, key=lambda each: -each[0])]


def _side(side: Side) -> dict[str, Any]:
    lora = None if side.lora is None else side.lora.name
    return {"name": side.name, "set": side.set, "lora": lora, "strength": side.strength}


def _sample(a: ScoredSample, b: ScoredSample, tau: float) -> dict[str, Any]:
    scores = {key: _score(each, tau) for key, each in zip(AB, (a, b), strict=True)}
    return {"prompt": a.prompt.id, "seed": a.seed, **scores}


def _score(sample: ScoredSample, tau: float) -> dict[str, Any]:
    """dsr: None without a score. reason: why it does not count, or does not obey in spite of its score."""
    score, prompt = sample.score, sample.prompt
    why = score.reason or missed_words(score, prompt.change, prompt.object, tau) or None
    return {"dsr": score.dsr if score.valid else None, "obeys": obeys(score, tau), "reason": why}


def _verdict(evaluation: Evaluation, names: tuple[str, str]) -> str:
    accuracy, obey = evaluation.accuracy, evaluation.obey
    change = obey.difference
    return (
        f"share that obeys: {obey.base.value:.3f} with {names[0]}, {obey.aligned.value:.3f} with {names[1]} "
        f"({change.value:+.3f}, 95 % interval {change.low:+.3f} to {change.high:+.3f}); accuracy@{evaluation.tau:g}: "
        f"{accuracy.base.value:.3f} and {accuracy.aligned.value:.3f}"
    )
