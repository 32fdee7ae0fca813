"""What the last evaluation of a run found, as values for a panel. Plain, ready for JSON; no sentences of its own."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import SpatialAlignError
from ..score import Score
from ..score_words import missed_words
from .layout import ALIGNED, BASE, RunLayout

_SIDES = {BASE: BASE, ALIGNED: "lora"}  # name in report.json -> name in the view
_OUTCOMES = {(False, True): "improved", (True, False): "lost", (True, True): "kept", (False, False): "missed"}
_FIGURES = {"obey": "obey", "accuracy": "accuracy", "mean_dsr_of_valid": "mean", "invalid_share": "invalid"}


def evaluation_view(layout: RunLayout) -> dict[str, Any]:
    """report.json of a run, without what its page alone needs.

    tau, prompts, videos (of each side), verdict ("better", "worse" or "unclear"); lora: name, None where it is not
    known, strength; obey, accuracy, mean (of valid videos), invalid: {"base", "lora", "difference"} of each, these as
    {value, low, high}; obey is None where an older version wrote the report. by_movement: the same by code of the
    relation change. texts: of the prompts by id. pairs: {prompt, seed, outcome, gain, "base", "lora"}, outcome
    "improved", "lost", "kept" or "missed", gain of the score, each side as {set, prompt, seed, dsr, obeys, reason};
    dsr is None without a score, reason says why it does not count or does not obey in spite of its score.
    Raises SpatialAlignError when nothing was evaluated yet, or the file is damaged.
    """
    report = _read(layout)
    try:
        return _view(layout, report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpatialAlignError(
            f"{layout.report_json} is damaged ({error!r}); evaluate the run again."
        ) from error


def _read(layout: RunLayout) -> dict[str, Any]:
    path = layout.report_json
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpatialAlignError(
            f"The run {layout.folder.name!r} has no report yet; evaluate it first."
        ) from None
    except (OSError, ValueError) as error:
        raise SpatialAlignError(f"{path} is damaged ({error}); evaluate the run again.") from error
    if not isinstance(report, dict):
        raise SpatialAlignError(f"{path} is damaged (no JSON object); evaluate the run again.")
    return report


def _view(layout: RunLayout, report: Mapping[str, Any]) -> dict[str, Any]:
    settings = report.get("settings", {})
    prompts = {}
    with contextlib.suppress(SpatialAlignError):  # gone or damaged: then the pairs are named by their ids
        prompts = {prompt.id: prompt for prompt in layout.prompts()}
    scores: dict[str, dict[tuple[str, int], Score]] = {}
    for each in _SIDES:
        with contextlib.suppress(SpatialAlignError):
            scores[each] = layout.scores(each, None)
    tau = float(report["tau"])

    def side(name: str, sample: Mapping[str, Any]) -> dict[str, Any]:
        prompt, seed, dsr = str(sample["prompt"]), int(sample["seed"]), sample[name]
        # Those of an older report are not told of videos that were made since.
        score = scores.get(name, {}).get((prompt, seed))
        if score is not None and not _same(score.dsr, dsr):
            score = None
        known = prompts.get(prompt)
        missed = missed_words(score, known.change, known.object, tau) if score and known else ""
        return {
            "set": name,
            "prompt": prompt,
            "seed": seed,
            "dsr": dsr,
            "obeys": bool(sample.get(f"{name}_obeys", dsr is not None and dsr >= tau)),
            "reason": score and (score.reason or missed or None),
        }

    pairs = []
    for sample in report["samples"]:
        both = {short: side(name, sample) for name, short in _SIDES.items()}
        before, after = both["base"], both["lora"]
        pairs.append(
            {
                "prompt": before["prompt"],
                "seed": before["seed"],
                "outcome": _OUTCOMES[before["obeys"], after["obeys"]],
                "gain": (after["dsr"] or 0.0) - (before["dsr"] or 0.0),
                **both,
            }
        )
    lora = settings.get("LoRA")
    return {
        "run": layout.folder.name,
        "changed": layout.report_json.stat().st_mtime,
        "page": layout.report_html.is_file(),
        "tau": tau,
        "prompts": int(report["prompts"]),
        "videos": int(report["videos_per_model"]),
        "verdict": str(report["verdict"]),
        "lora": None if lora is None else str(lora),
        "strength": settings.get("strength"),
        **{short: _figure(report.get(name)) for name, short in _FIGURES.items()},
        "by_movement": {code: _figure(each) for code, each in report.get("obey_by_change", {}).items()},
        "texts": {each: prompts[each].text for pair in pairs if (each := pair["prompt"]) in prompts},
        "pairs": pairs,
    }


def _figure(table: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if table is None:
        return None
    names = {**_SIDES, "difference": "difference"}
    found = {
        short: {key: table[name][key] for key in ("value", "low", "high")} for name, short in names.items()
    }
    return {**found, "prompts": table["prompts"]}


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, abs_tol=1e-6)
