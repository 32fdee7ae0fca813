"""Boxes around masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mask_boxes(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """bool (N, H, W) -> float64 (N, 4), the tightest xyxy boxes, far edges exclusive; NaN for an empty mask."""
    boxes = np.full((len(masks), 4), np.nan)
    for box, mask in zip(boxes, masks, strict=True):
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if len(columns):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes
