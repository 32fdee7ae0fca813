"""Lines through many numbers: their running mean, and as few points as a screen can show."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


def running_mean(values: Sequence[float]) -> list[float]:
    """Mean over a window of a twentieth of the length, centred, shorter at the ends."""
    half = max(1, len(values) // 40)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    result = []
    for index in range(len(values)):
        start, end = max(0, index - half), min(len(values), index + half + 1)
        result.append((sums[end] - sums[start]) / (end - start))
    return result


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points (4 or more) that look like all of them: of each stretch its lowest and its highest.

    The first and the last point stay. Points without a finite value are left out.
    """
    finite = [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]
    if len(finite) <= most:
        return finite
    inner = finite[1:-1]
    size = math.ceil(len(inner) / ((most - 2) // 2))
    kept = [finite[0]]
    for start in range(0, len(inner), size):
        stretch = inner[start : start + size]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return [*kept, finite[-1]]


def axis(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the axis for one value or more: from 0, unless all lie so far from there that one would not see them
    change."""
    least, most = min(values), max(values)
    if least > most / 2:
        air = (most - least or most) / 10
        return least - air, most + air
    low, high = min(0.0, least), max(0.0, most)
    return low, high if high > low else low + 1
