"""What the pocket GroundingDINO is trained to do, on plain tensors.

Its first stage gets a target in every cell of the feature map: one peak a thing, as in "Objects as Points" (Zhou et al.
2019), and boxes around the peaks. That is what makes it learn in minutes; transformers' own loss teaches the first
stage through a handful of matched queries only. The decoder gets the usual one-to-one matching.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_PEAK_WIDTH = 0.65  # standard deviation of a peak, in cells
_BOX_REACH = 0.25  # boxes are taught where the peak is at least this high
_BOX_WEIGHT, _IOU_WEIGHT, _CLASS_WEIGHT = 5.0, 2.0, 2.0


def dense_loss(
    logits: Tensor, coordinates: Tensor, grid: tuple[int, int], boxes: Tensor, words: Tensor, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """Class and box loss of the first stage.

    logits: (B, T, L), -inf at padding. coordinates: (B, T, 4) logits of cxcywh in 0..1. grid: rows and columns, T
    cells together. boxes: (B, N, 4) cxcywh in 0..1, NaN beyond a picture's own. words: bool (B, N, L), the tokens that
    name each thing; none where the text does not name it. tokens: bool (B, L), which are no padding.
    """
    rows, columns = grid
    centre = boxes[..., :2] * boxes.new_tensor([columns, rows])
    y, x = torch.meshgrid(
        torch.arange(rows, device=boxes.device) + 0.5,
        torch.arange(columns, device=boxes.device) + 0.5,
        indexing="ij",
    )
    cells = torch.stack([x, y], -1).reshape(1, 1, -1, 2)
    peak = torch.exp(-(cells - centre[:, :, None]).square().sum(-1) / (2 * _PEAK_WIDTH**2)).nan_to_num(0.0)
    summit = torch.zeros_like(peak).scatter_(2, peak.argmax(-1, keepdim=True), 1.0)
    summit = summit * (peak.amax(-1, keepdim=True) > 0)
    named = words.float()
    positive = torch.einsum("bnt,bnl->btl", summit, named) > 0
    near = (peak[..., None] * named[:, :, None]).amax(1)  # (B, T, L)
    probability = logits.float().sigmoid().clamp(1e-6, 1 - 1e-6)
    loss = torch.where(
        positive,
        -(1 - probability).square() * probability.log(),
        -(1 - near).pow(4) * probability.square() * (1 - probability).log(),
    )
    class_loss = (loss * tokens[:, None]).sum() / positive.sum().clamp(min=1)

    height, owner = peak.max(1)  # (B, T)
    batch, cell = torch.nonzero(height > _BOX_REACH, as_tuple=True)
    found = coordinates[batch, cell].sigmoid()
    true = boxes[batch, owner[batch, cell]]
    weight = height[batch, cell]
    return class_loss, _box_loss(found, true, weight)


def matched_loss(logits: Tensor, found: Tensor, boxes: Tensor, words: Tensor, tokens: Tensor) -> Tensor:
    """Loss of one decoder layer: every named thing is matched with one query, all other queries shall be silent.

    logits: (B, Q, L); found: (B, Q, 4) cxcywh in 0..1; the rest as in `dense_loss`.
    """
    named = words.any(-1)
    logits = logits.float().clamp(-30, 30)
    target = torch.zeros_like(logits)
    probability = logits.detach().sigmoid()
    share = words.float() / words.sum(-1, keepdim=True).clamp(min=1)
    with torch.no_grad():
        cost = -2 * torch.einsum("bql,bnl->bqn", probability, share)
        cost = cost + _BOX_WEIGHT * (found[:, :, None] - boxes[:, None].nan_to_num(0.5)).abs().sum(-1)
        cost = cost - _IOU_WEIGHT * generalised_iou(found[:, :, None], boxes[:, None].nan_to_num(0.5))
    batch, query, thing = [], [], []
    for index, (matrix, there) in enumerate(zip(cost.cpu().numpy(), named.cpu().numpy(), strict=True)):
        columns = there.nonzero()[0]
        if len(columns):
            q, n = linear_sum_assignment(matrix[:, columns])
            batch += [index] * len(q)
            query += q.tolist()
            thing += columns[n].tolist()
    target[batch, query] = words[batch, thing].float()
    count = max(len(batch), 1)
    prob = logits.sigmoid()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = 0.5 * entropy * (target - prob).square()
    class_loss = (focal * tokens[:, None]).sum() / count
    chosen = found[batch, query]
    return _CLASS_WEIGHT * class_loss + _box_loss(chosen, boxes[batch, thing], torch.ones(len(batch)))


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of cxcywh boxes, broadcast over the leading dimensions."""
    a, b = (
        torch.cat([box[..., :2] - box[..., 2:] / 2, box[..., :2] + box[..., 2:] / 2], -1) for box in (a, b)
    )
    inside = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    overlap = inside.prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - overlap
    hull = around.prod(-1)
    return overlap / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def _box_loss(found: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    distance = (found - true).abs().sum(-1)
    loss = _BOX_WEIGHT * distance + _IOU_WEIGHT * (1 - generalised_iou(found, true))
    return (loss * weight).sum() / weight.sum().clamp(min=1)
