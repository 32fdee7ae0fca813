"""Charts of the report as inline SVG. Colours and letters come from page.css, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ..curves import Point, axis, running_mean, thinned
from ..evaluate import Comparison, Estimate, Evaluation
from .text import percent

_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 14, 16, 44
_POINTS = 300


def accuracy_curve(evaluation: Evaluation) -> str:
    """Accuracy over tau for both models with 95 % bands, and a mark at the report's own tau."""
    last = max(*evaluation.taus, evaluation.tau)

    def at(tau: float, share: float) -> Point:
        return (
            _LEFT + tau / last * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = [_horizontal(at(0, share), percent(share)) for share in (0, 0.25, 0.5, 0.75, 1)]
    for tau in evaluation.taus:
        x, y = at(tau, 0)
        parts.append(_text(x, y + 22, f"{tau:.1f}", "middle"))
    x, bottom = at(evaluation.tau, 0)
    parts.append(_line((x, bottom), at(evaluation.tau, 1), "mark"))
    for kind in ("base", "aligned"):
        estimates: list[Estimate] = [getattr(comparison, kind) for comparison in evaluation.curve]
        upper = [at(t, e.high) for t, e in zip(evaluation.taus, estimates, strict=True)]
        lower = [at(t, e.low) for t, e in zip(evaluation.taus, estimates, strict=True)]
        if all(math.isfinite(value) for point in upper + lower for value in point):
            parts.append(f'<polygon class="band {kind}" points="{_points(upper + lower[::-1])}"/>')
        line = [at(t, e.value) for t, e in zip(evaluation.taus, estimates, strict=True)]
        parts.append(f'<polyline class="line {kind}" points="{_points(line)}"/>')
    parts += _values_at_tau(evaluation.accuracy, [at(evaluation.tau, e.value) for e in _both(evaluation)])
    base, lora = (percent(e.value) for e in _both(evaluation))
    caption = f"Share of videos with at least a given score: {base} base, {lora} with LoRA reach {evaluation.tau:g}."
    return _svg("".join(parts), caption)


def bar(estimate: Estimate, kind: str) -> str:
    """One horizontal bar from 0 to 100 % with its interval as a thin line; stretches to its container."""
    width = _n(100 * estimate.value)
    body = f'<rect class="track" width="100" height="10"/><rect class="{kind}" width="{width}" height="10"/>'
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        low, high = _n(100 * estimate.low), _n(100 * estimate.high)
        body += f'<line class="whisker" x1="{low}" x2="{high}" y1="5" y2="5"/>'
    return f'<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{body}</svg>'


def training_curve(steps: Sequence[float], values: Sequence[float], share: bool, caption: str) -> str:
    """One value over training steps: every step faintly, its running mean on top. share: the axis is 0 to 100 %."""
    points = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(s) and math.isfinite(v)]
    smooth = list(zip((s for s, _ in points), running_mean([v for _, v in points]), strict=True))
    low, high = (0.0, 1.0) if share else axis([value for _, value in points])
    first, last = points[0][0], points[-1][0]

    def at(step: float, value: float) -> Point:
        along = (step - first) / (last - first) if last > first else 0.5
        up = (value - low) / (high - low)
        return _LEFT + along * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)

    levels = [low + (high - low) * part for part in (0, 0.5, 1)]
    parts = [_horizontal(at(first, level), percent(level) if share else f"{level:.3g}") for level in levels]
    for step, anchor in ((first, "start"), (last, "end")) if last > first else ((first, "middle"),):
        x, y = at(step, low)
        parts.append(_text(x, y + 22, f"step {step:g}", anchor))
    for name, line in (("raw", points), ("line aligned", smooth)):
        parts.append(
            f'<polyline class="{name}" points="{_points([at(*point) for point in thinned(line, _POINTS)])}"/>'
        )
    return _svg("".join(parts), caption)


def rounds_curve(scores: Sequence[float], shares: Sequence[float]) -> str:
    """Held-out score and the share that obeys, both 0..1, over the rounds from 0 on; two at least."""

    def at(number: int, value: float) -> Point:
        along = number / (len(scores) - 1)
        return _LEFT + along * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - value * (
            _HEIGHT - _TOP - _BOTTOM
        )

    parts = [_horizontal(at(0, level), percent(level)) for level in (0, 0.25, 0.5, 0.75, 1)]
    for number in range(len(scores)):
        x, y = at(number, 0)
        parts.append(_text(x, y + 22, f"round {number}" if number == 0 else str(number), "middle"))
    for kind, values in (("base", scores), ("aligned", shares)):
        points = [at(number, value) for number, value in enumerate(values)]
        parts.append(f'<polyline class="line {kind}" points="{_points(points)}"/>')
        parts += [f'<circle class="dot {kind}" cx="{_n(x)}" cy="{_n(y)}" r="4"/>' for x, y in points]
    return _svg("".join(parts), f"Held-out score over {len(scores) - 1} rounds, {scores[0]:.2f} before any.")


def _values_at_tau(accuracy: Comparison, places: Sequence[Point]) -> list[str]:
    parts = []
    higher = "aligned" if accuracy.aligned.value >= accuracy.base.value else "base"
    for kind, estimate, (x, y) in zip(
        ("base", "aligned"), (accuracy.base, accuracy.aligned), places, strict=True
    ):
        parts.append(f'<circle class="dot {kind}" cx="{_n(x)}" cy="{_n(y)}" r="5"/>')
        # The higher value stands above its line to the right, the lower one below to the left: free of both curves.
        # Where there is no room above, the higher one stands below too.
        dx, anchor = (10, "start") if kind == higher else (-10, "end")
        dy = -10 if kind == higher and y - 10 >= _TOP + 14 else 22
        parts.append(_text(x + dx, y + dy, percent(estimate.value), anchor, f"value {kind}"))
    return parts


def _both(evaluation: Evaluation) -> tuple[Estimate, Estimate]:
    return evaluation.accuracy.base, evaluation.accuracy.aligned


def _svg(body: str, caption: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(caption)}">{body}</svg>'


def _horizontal(start: Point, label: str) -> str:
    x, y = start
    return _line((x, y), (_WIDTH - _RIGHT, y), "grid") + _text(x - 8, y + 4.5, label, "end")


def _line(start: Point, end: Point, kind: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{text}</text>'


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "0"
