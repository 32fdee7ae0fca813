"""Accuracy, validity and colour against pair evaluations, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

COLOURS = ("#1f77b4", "#7f7f7f", "#2ca02c", "#d62728", "#ff7f0e", "#9467bd")


@dataclass(frozen=True)
class Point:
    """One look: accuracy@0.7 and valid are shares of all videos, score is the mean DSR-Score (INVALID counts 0),
    saturation the mean of HSV's S in 0..1."""

    evaluations: int
    accuracy: float
    valid: float
    score: float
    saturation: float


Curves = Mapping[str, Sequence[Sequence[Point]]]


def mean_line(runs: Sequence[Sequence[Point]], name: str) -> list[tuple[int, float]]:
    """Evaluations and the mean of the seeds that went so far."""
    groups = ([point for point in group if point] for group in zip_longest(*runs))
    return [(group[0].evaluations, float(np.mean([getattr(p, name) for p in group]))) for group in groups]


def figure(curves: Curves) -> str:
    """Accuracy, validity and saturation against pair evaluations, one line an arm (mean over seeds), as SVG."""
    colours = dict(zip(curves, COLOURS, strict=False))
    panels = (("accuracy", "accuracy@0.7"), ("valid", "valid"), ("saturation", "colour saturation"))
    width, height, left, bottom = 300, 220, 46, 36
    last = max(point.evaluations for runs in curves.values() for points in runs for point in points)
    parts = []
    for index, (name, title) in enumerate(panels):
        means = {arm: mean_line(runs, name) for arm, runs in curves.items()}
        values = [value for line in means.values() for _, value in line]
        low, high = (0.0, 1.0) if name != "saturation" else (0.9 * min(values), 1.1 * max(values))
        origin = index * width + left

        def at(
            evaluations: float, value: float, origin: int = origin, low: float = low, high: float = high
        ) -> str:
            x = origin + evaluations / last * (width - left - 12)
            return f"{x:.1f},{height - bottom - (value - low) / (high - low) * (height - bottom - 30):.1f}"

        parts.append(f'<text x="{origin}" y="18" font-weight="bold">{title}</text>')
        for value in (low, (low + high) / 2, high):
            x, y = at(0, value).split(",")
            end = at(last, value).split(",")[0]
            parts.append(f'<path d="M{x} {y}H{end}" stroke="#ddd"/>')
            parts.append(
                f'<text x="{origin - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
            )
        parts.append(f'<text x="{origin}" y="{height - 12}">0</text>')
        right = at(last, low).split(",")[0]
        parts.append(f'<text x="{right}" y="{height - 12}" text-anchor="end">{last} pair evaluations</text>')
        for arm, line in means.items():
            points = " ".join(at(*point) for point in line)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{colours[arm]}" stroke-width="2"/>'
            )
    x = left
    for arm, colour in colours.items():
        parts.append(f'<path d="M{x} {height + 8}h24" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 30}" y="{height + 12}">{arm}</text>')
        x += 56 + 6 * len(arm)
    body = "".join(parts)
    box = f"0 0 {3 * width} {height + 24}"
    style = 'font-family="sans-serif" font-size="11" style="background:#fff"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" {style}>{body}</svg>\n'
