"""The report: one HTML page that explains itself, opens from disk and asks the network for nothing, and its JSON twin.

Every text that came from outside is escaped, and the page's own policy allows only the one style sheet and the one
script that were written into it, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from ..evaluate import Comparison, Estimate, Evaluation, ScoredSample, paired
from ..files import atomic_write
from ..relations import RelationChange
from ..score import obeys
from . import svg
from . import text as words
from .videos import MOST_BYTES, SamplePair, choose_shown, hero, side_by_side


def write_report(
    html_path: str | Path,
    json_path: str | Path,
    evaluation: Evaluation,
    base: Sequence[ScoredSample],
    aligned: Sequence[ScoredSample],
    training_log: Sequence[Mapping[str, Any]] | None,
    settings: Mapping[str, Any],
    rounds: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write both files, each whole or not at all.

    base, aligned: what `evaluation` was made from. training_log: rows with `step`, `loss` and `accuracy` (numbers or
    their text); None leaves the training section out. rounds: of self-improvement, with `number`, `held_out_score`,
    `held_out_accuracy` and `held_out_obey`, from the model before any. settings: shown as a table, nested mappings as
    "outer inner"; an `fps` in it sets how far an arrow key steps. Videos that are missing or would not fit are named,
    never an error.
    """
    pairs = paired(base, aligned)
    shown = choose_shown(pairs, evaluation.tau)
    page = _page(evaluation, pairs, shown, training_log or [], settings, rounds)
    samples = [
        {"prompt": b.prompt.id, "seed": b.seed, "base": b.score.dsr, "aligned": a.score.dsr,
         "base_obeys": obeys(b.score, evaluation.tau), "aligned_obeys": obeys(a.score, evaluation.tau)}
        for b, a in pairs
    ]  # fmt: skip
    report = {**evaluation.to_json(), "settings": dict(_flat(settings)), "samples": samples}
    atomic_write(json_path, json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    atomic_write(html_path, page)


def _page(
    evaluation: Evaluation,
    pairs: Sequence[SamplePair],
    shown: Sequence[SamplePair],
    log: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    rounds: Sequence[Mapping[str, Any]],
) -> str:
    here = resources.files(__package__)
    style, script = (here.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; media-src data:; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = words.headline(evaluation, (b.prompt for b, _ in pairs))
    room = [MOST_BYTES]
    best = hero(evaluation, pairs, room)
    body = [
        f'<p class="eyebrow">SpatialAlign · base and with LoRA</p><h1>{escape(title)}</h1>',
        f'<p class="lede">{escape(words.lede(evaluation))}</p>',
        *(f'<p class="caution">{escape(text)}</p>' for text in words.cautions(evaluation)),
        best,
        _numbers(evaluation),
        _accuracy(evaluation),
        _changes(evaluation),
        side_by_side(evaluation, pairs, shown, room),
        _training(log),
        _rounds(rounds),
        here.joinpath("reading.html").read_text("utf-8").replace("TAU", f"{evaluation.tau:g}"),
        _settings(settings, evaluation),
        "<footer>Everything on this page is inside this one file; it loads nothing from anywhere. "
        "The same numbers for programs are in report.json.</footer>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n"
        f'<body data-frame="{_frame_seconds(settings):.5f}"><main>{"".join(body)}</main>'
        f"<script>{script}</script></body></html>\n"
    )


def _numbers(evaluation: Evaluation) -> str:
    obey, accuracy = evaluation.obey, evaluation.accuracy
    mean, invalid = evaluation.mean_dsr, evaluation.invalid

    def item(name: str, before: str, after: str, more: str) -> str:
        return (
            f'<div><dt>{escape(name)}</dt><dd>{before} <span class="arrow">→</span> {after}'
            f"<small>{escape(more)}</small></dd></div>"
        )

    return '<dl class="numbers">' + "".join((
        item("Videos that obey the prompt", words.percent(obey.base.value), words.percent(obey.aligned.value),
             _more(words.points(obey.difference.value, 1), words.interval(obey.difference, signed=True))),
        item(f"Videos that score at least {evaluation.tau:g}",
             words.percent(accuracy.base.value), words.percent(accuracy.aligned.value),
             f"the published accuracy@{evaluation.tau:g}, also of videos that start or end at the wrong place"),
        item("Mean score of valid videos", words.score_number(mean.base.value), words.score_number(mean.aligned.value),
             "from 0 to 1, higher is better"),
        item("Videos that can be scored",
             words.percent(1 - invalid.base.value), words.percent(1 - invalid.aligned.value),
             "both things found, in enough frames"),
    )) + "</dl>"  # fmt: skip


def _more(text: str, interval: str) -> str:
    return f"{text}, 95 % interval {interval}" if interval else text


_LEGEND = (
    '<ul class="legend"><li class="base"><span>base</span></li>'
    '<li class="aligned"><span>with LoRA</span></li></ul>'
)


def _accuracy(evaluation: Evaluation) -> str:
    rows = "".join(
        f'<tr{" class=own" if math.isclose(tau, evaluation.tau) else ""}><th scope="row">{tau:.1f}</th>'
        f"{_cell(c.base)}{_cell(c.aligned)}{_difference(c)}</tr>"
        for tau, c in zip(evaluation.taus, evaluation.curve, strict=True)
    )
    return (
        "<section><h2>How many videos reach which score</h2>"
        f"<p>At {evaluation.tau:g}, the dotted line, this is the published accuracy@{evaluation.tau:g}. Not every "
        "video that reaches the line obeys: the score is a mean of four parts, and one that does three of them well "
        "can reach it without ending where the prompt says. The shaded bands are 95 % intervals: over all prompts of "
        "this kind, the curves most likely run inside them.</p>"
        f"{_LEGEND}{svg.accuracy_curve(evaluation)}"
        '<p class="note axis">Score (tau) that a video must reach at least</p>'
        "<details><summary>The numbers behind the curve</summary><table><thead><tr><th>tau</th><th>base</th>"
        f"<th>with LoRA</th><th>difference in points</th></tr></thead><tbody>{rows}</tbody></table></details></section>"
    )


def _cell(estimate: Estimate) -> str:
    return f'<td>{words.percent(estimate.value)}<span class="ci">{words.interval(estimate)}</span></td>'


def _difference(comparison: Comparison) -> str:
    value = words.points(comparison.difference.value).split(" ")[0]
    kind = "" if comparison.changed else ' class="unsure"'
    if comparison.changed and comparison.difference.value < 0:
        kind = ' class="fell"'
    return (
        f'<td{kind}>{value}<span class="ci">{words.interval(comparison.difference, signed=True)}</span></td>'
    )


def _changes(evaluation: Evaluation) -> str:
    rows = "".join(
        f"<li><b>{words.change_words(RelationChange.parse(code))}<small>{c.prompts} "
        f'{"prompt" if c.prompts == 1 else "prompts"}</small></b><div class="bars">{svg.bar(c.base, "base")}'
        f'{svg.bar(c.aligned, "aligned")}</div><span class="to">{words.comparison_words(c)}</span></li>'
        for code, c in evaluation.obey_by_change.items()
    )
    return (
        "<section><h2>Movement by movement</h2><p>Share of videos that obey, for each movement a prompt can ask for. "
        "The thin lines are 95 % intervals; with few prompts they are wide, and differences inside them mean little."
        f'</p>{_LEGEND}<ul class="changes">{rows}</ul></section>'
    )


def _training(log: Sequence[Mapping[str, Any]]) -> str:
    steps = [_float(row.get("step")) for row in log]
    charts = []
    for key, share, name, text in (
        ("loss", False, "Loss", "What training makes smaller."),
        ("accuracy", True, "Implicit accuracy",
         "How often the model, compared with how it was before, leans towards the better of two videos. "
         "50 % is guessing."),
    ):  # fmt: skip
        values = [_float(row.get(key)) for row in log]
        if any(math.isfinite(s) and math.isfinite(v) for s, v in zip(steps, values, strict=True)):
            chart = svg.training_curve(steps, values, share, f"{name} over training steps")
            charts.append(f'<div><h3>{name}</h3>{chart}<p class="note">{text}</p></div>')
    if not charts:
        return ""
    return (
        "<section><h2>Training</h2><p>Faint: every step. Strong: the running mean.</p>"
        f'<div class="two">{"".join(charts)}</div></section>'
    )


def _rounds(rounds: Sequence[Mapping[str, Any]]) -> str:
    if len(rounds) < 2:
        return ""
    scores = [_float(row.get("held_out_score")) for row in rounds]
    name, shares = words.round_shares(rounds)
    rows = "".join(
        f'<tr><th scope="row">{number}</th><td>{score:.3f}</td><td>{words.percent(share)}</td></tr>'
        for number, (score, share) in enumerate(zip(scores, shares, strict=True))
    )
    return (
        "<section><h2>Round by round</h2><p>Each round learned from videos of the round before. Round 0 is the model "
        "before any. The best round was chosen by these same videos, so its own number is a little too kind.</p>"
        '<ul class="legend"><li class="base"><span>mean score of held-out videos</span></li>'
        f'<li class="aligned"><span>{name}</span></li></ul>'
        f"{svg.rounds_curve(scores, shares)}<details><summary>The numbers behind the curve</summary><table><thead><tr>"
        f"<th>round</th><th>score</th><th>{name}</th></tr></thead><tbody>{rows}</tbody></table></details></section>"
    )


def _settings(settings: Mapping[str, Any], evaluation: Evaluation) -> str:
    own = {
        "prompts": evaluation.prompts, "videos per model": evaluation.videos, "tau": evaluation.tau,
        "bootstrap resamples": evaluation.bootstrap, "bootstrap seed": evaluation.seed,
    }  # fmt: skip
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(str(value))}</td></tr>'
        for name, value in (*own.items(), *_flat(settings))
    )
    return f"<section><h2>Settings</h2><table><tbody>{rows}</tbody></table></section>"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        label = f"{prefix} {name}".strip()
        if isinstance(value, Mapping):
            yield from _flat(value, label)
        elif value is None or isinstance(value, (str, bool, int)):
            yield label, value
        elif isinstance(value, float):
            yield label, value if math.isfinite(value) else None
        else:
            yield label, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _frame_seconds(settings: Mapping[str, Any]) -> float:
    for name, value in _flat(settings):
        if name.split()[-1:] == ["fps"] and 0 < _float(value) < 1000:
            return 1 / _float(value)
    return 1 / 16


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
