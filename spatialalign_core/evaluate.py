"""Before and after: how often the base and the aligned model obey the prompt, and how sure we can be of the change.

Both models made a video for the same prompts and seeds, so every comparison is paired. Intervals are percentile
bootstraps over prompts: prompts are drawn with replacement and keep all their seeds, because videos of one prompt
resemble each other (Efron & Tibshirani 1993, chapter 13; a cluster bootstrap).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import SpatialAlignError
from .prompts import DsrPrompt
from .relations import CHANGES
from .score import GOOD, TAUS, Score, obeys

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "unclear"]


@dataclass(frozen=True)
class ScoredSample:
    """One video of a prompt and a seed with its score. video: its mp4, or None when there is none to show."""

    prompt: DsrPrompt
    seed: int
    score: Score
    video: Path | None = None


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval. NaN where it cannot be known, as the interval of a single prompt."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """One figure for the base model, the aligned model, and aligned minus base, over `prompts` prompts."""

    base: Estimate
    aligned: Estimate
    difference: Estimate
    prompts: int

    @property
    def changed(self) -> bool:
        """Whether the interval of the difference leaves 0 out."""
        return self.difference.low > 0 or self.difference.high < 0


@dataclass(frozen=True)
class Evaluation:
    """Everything the report says.

    accuracy: published accuracy at `tau`, see `accuracy_at`. obey: share of videos that obey, see `obeys`. curve:
    accuracy at each of `taus`. by_change, obey_by_change: accuracy at `tau`, and the share that obeys, for each
    relation change that occurs, by its code. mean_dsr: of the valid videos. invalid: share of videos that could not be
    scored.
    """

    tau: float
    accuracy: Comparison
    obey: Comparison
    taus: tuple[float, ...]
    curve: tuple[Comparison, ...]
    by_change: dict[str, Comparison]
    obey_by_change: dict[str, Comparison]
    mean_dsr: Comparison
    invalid: Comparison
    prompts: int
    videos: int
    bootstrap: int
    seed: int

    @property
    def verdict(self) -> Verdict:
        """Whether the share that obeys rose, fell, or moved too little to tell."""
        if not self.obey.changed:
            return "unclear"
        return "better" if self.obey.difference.value > 0 else "worse"

    def summary(self) -> dict[str, Any]:
        """The line that ends the command: accuracy at tau as base and aligned, tau, share that can be scored as
        valid_base and valid_aligned, share that obeys as obey_base and obey_aligned."""
        return {
            "base": _number(self.accuracy.base.value),
            "aligned": _number(self.accuracy.aligned.value),
            "tau": self.tau,
            "valid_base": _number(1 - self.invalid.base.value),
            "valid_aligned": _number(1 - self.invalid.aligned.value),
            "obey_base": _number(self.obey.base.value),
            "obey_aligned": _number(self.obey.aligned.value),
        }

    def to_json(self) -> dict[str, Any]:
        """The summary first, then every table; plain JSON values, null for NaN."""
        return {**self.summary(), **self.tables()}

    def tables(self, names: tuple[str, str] = ("base", "aligned")) -> dict[str, Any]:
        """Every table, each figure under these names and "difference"."""

        def table(comparison: Comparison) -> dict[str, Any]:
            figures = (comparison.base, comparison.aligned, comparison.difference)
            named = zip((*names, "difference"), map(_estimate, figures), strict=True)
            return {**dict(named), "prompts": comparison.prompts}

        return {
            "verdict": self.verdict,
            "prompts": self.prompts,
            "videos_per_model": self.videos,
            "accuracy": table(self.accuracy),
            "obey": table(self.obey),
            "curve": [{"tau": t, **table(c)} for t, c in zip(self.taus, self.curve, strict=True)],
            "by_change": {code: table(c) for code, c in self.by_change.items()},
            "obey_by_change": {code: table(c) for code, c in self.obey_by_change.items()},
            "mean_dsr_of_valid": table(self.mean_dsr),
            "invalid_share": table(self.invalid),
            "bootstrap": {"resamples": self.bootstrap, "seed": self.seed, "level": 0.95, "unit": "prompt"},
        }


def evaluate(
    base: Sequence[ScoredSample],
    aligned: Sequence[ScoredSample],
    tau: float = GOOD,
    bootstrap: int = 2000,
    seed: int = 0,
    names: tuple[str, str] = ("base", "aligned"),
) -> Evaluation:
    """Compare two sets of samples of the same prompts and seeds, in any order.

    tau: DSR-Score that a video must reach, 0..1; INVALID videos never do. bootstrap: resamples behind
    each interval. names: of the two sets, where they are called otherwise. The same arguments give the same numbers.
    SpatialAlignError when a set is empty or a sample has no counterpart.
    """
    if not 0 <= tau <= 1:
        raise SpatialAlignError(f"The threshold tau must lie between 0 and 1, got {tau}.")
    if bootstrap < 1:
        raise SpatialAlignError(f"The number of bootstrap resamples must be 1 or more, got {bootstrap}.")
    pairs = paired(base, aligned, names)
    ids = sorted({b.prompt.id for b, _ in pairs})
    row = {prompt_id: number for number, prompt_id in enumerate(ids)}
    prompt = np.array([row[b.prompt.id] for b, _ in pairs])
    dsr = np.array([[_dsr(b.score), _dsr(a.score)] for b, a in pairs])  # (videos, 2), NaN where INVALID
    obeying = np.array([[obeys(b.score, tau), obeys(a.score, tau)] for b, a in pairs])
    valid = np.isfinite(dsr)
    rng = np.random.default_rng(seed)
    weights = _resamples(rng, len(ids), bootstrap)

    def per_prompt(values: NDArray[Any]) -> Floats:
        sums = np.zeros((len(ids), 2))
        np.add.at(sums, prompt, values.astype(np.float64))
        return sums

    videos = per_prompt(np.ones_like(dsr))

    def accuracy(threshold: float) -> Floats:
        return per_prompt(np.nan_to_num(dsr, nan=-np.inf) >= threshold)

    def compare(numerators: Floats, denominators: Floats) -> Comparison:
        return _compare(numerators, denominators, weights)

    at_tau, obeyed = accuracy(tau), per_prompt(obeying)
    change_of = {b.prompt.id: b.prompt.change.code for b, _ in pairs}
    codes = np.array([change_of[prompt_id] for prompt_id in ids])
    by_change, obey_by_change = {}, {}
    for code in _ordered(set(codes.tolist())):
        chosen = codes == code
        resamples = _resamples(rng, int(chosen.sum()), bootstrap)
        by_change[code], obey_by_change[code] = (
            _compare(counts[chosen], videos[chosen], resamples) for counts in (at_tau, obeyed)
        )
    return Evaluation(
        tau=tau,
        accuracy=compare(at_tau, videos),
        obey=compare(obeyed, videos),
        taus=TAUS,
        curve=tuple(compare(accuracy(threshold), videos) for threshold in TAUS),
        by_change=by_change,
        obey_by_change=obey_by_change,
        mean_dsr=compare(per_prompt(np.nan_to_num(dsr)), per_prompt(valid)),
        invalid=compare(per_prompt(~valid), videos),
        prompts=len(ids),
        videos=len(pairs),
        bootstrap=bootstrap,
        seed=seed,
    )


def paired(
    base: Sequence[ScoredSample],
    aligned: Sequence[ScoredSample],
    names: tuple[str, str] = ("base", "aligned"),
) -> list[tuple[ScoredSample, ScoredSample]]:
    """(base, aligned) of the same prompt and seed, sorted by both. SpatialAlignError when one lacks its counterpart."""
    before, after = _by_key(base, names[0]), _by_key(aligned, names[1])
    for name, own, other in ((names[1], before, after), (names[0], after, before)):
        missing = sorted(own.keys() - other.keys())
        if missing:
            prompt_id, seed = missing[0]
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise SpatialAlignError(
                f"There is no {name} video for prompt {prompt_id!r}, seed {seed}{more}; generate, detect and score "
                f"the {name} set for the same prompts and seeds, then evaluate again."
            )
    return [(before[key], after[key]) for key in sorted(before)]


def _by_key(samples: Sequence[ScoredSample], name: str) -> dict[tuple[str, int], ScoredSample]:
    if not samples:
        raise SpatialAlignError(
            f"There are no scored videos in the {name} set; generate, detect and score it, then evaluate again."
        )
    found: dict[tuple[str, int], ScoredSample] = {}
    for sample in samples:
        key = (sample.prompt.id, sample.seed)
        if key in found:
            raise SpatialAlignError(
                f"The {name} set holds prompt {key[0]!r}, seed {key[1]} twice; remove one of the two."
            )
        found[key] = sample
    return found


def _dsr(score: Score) -> float:
    return score.dsr if score.valid and score.dsr is not None else math.nan


def _resamples(rng: np.random.Generator, prompts: int, count: int) -> Floats:
    """How often each resample drew each prompt, (count, prompts)."""
    return rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=count).astype(np.float64)


def _compare(numerators: Floats, denominators: Floats, weights: Floats) -> Comparison:
    """Ratios of sums over prompts. numerators, denominators: (prompts, 2), base and aligned; weights as above."""
    value = _ratios(numerators.sum(0, keepdims=True), denominators.sum(0, keepdims=True))[0]
    if len(numerators) < 2:  # one prompt says nothing about how prompts differ
        spread = np.full((2, 3), np.nan)
    else:
        drawn = _ratios(weights @ numerators, weights @ denominators)
        drawn = drawn[np.isfinite(drawn).all(1)]
        spread = np.percentile(drawn, [2.5, 97.5], axis=0) if len(drawn) else np.full((2, 3), np.nan)
    base, aligned, difference = (
        Estimate(float(value[i]), float(spread[0, i]), float(spread[1, i])) for i in range(3)
    )
    return Comparison(base, aligned, difference, prompts=len(numerators))


def _ratios(numerators: Floats, denominators: Floats) -> Floats:
    """(N, 2) and (N, 2) -> (N, 3): base, aligned, aligned minus base; NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = numerators / denominators
        return np.column_stack([ratios, ratios[:, 1] - ratios[:, 0]])


def _ordered(codes: set[str]) -> list[str]:
    known = [change.code for change in CHANGES]
    return sorted(codes, key=lambda code: (known.index(code) if code in known else len(known), code))


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {name: _number(getattr(estimate, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
