"""Boxes around masks, and masks without specks."""

from __future__ import annotations

import cv2
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


def largest_piece(mask: NDArray[np.bool_]) -> int:
    """Pixels of the largest connected piece of a mask (H, W), 0 when it is empty."""
    facts = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)[2]
    return int(facts[1:, cv2.CC_STAT_AREA].max(initial=0))


def without_specks(masks: NDArray[np.bool_], least: float = 0.1) -> NDArray[np.bool_]:
    """Masks (N, H, W) without pieces smaller than that share of their largest: one stray pixel moves a box far."""
    cleaned = masks.copy()
    for mask in cleaned:
        count, pieces, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        areas = facts[1:, cv2.CC_STAT_AREA]
        if count > 2:
            mask &= np.isin(pieces, 1 + np.flatnonzero(areas >= least * areas.max()))
    return cleaned
