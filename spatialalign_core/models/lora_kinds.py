"""LoHa and LoKr, LyCORIS's other ways to write a change of a layer's weight, as the low-rank products that they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import SpatialAlignError

KINDS = r"(?:hada_w[12]_[ab]|lokr_w[12](?:_[ab])?)"
"""What their keys end in, as a regular expression."""
_MOST_RANKS = 2048  # of a LoKr whose factors are whole matrices; more would be as large as the model


def low_rank(parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, float | None]:
    """down (r, in), up (out, r) of one layer's parts by name, and the rank that its alpha is divided by.

    That rank is None where the alpha does not count. SpatialAlignError for parts that are not whole.
    """
    try:
        return _loha(parts) if "hada_w1_a" in parts else _lokr(parts)
    except (KeyError, RuntimeError, IndexError):
        raise SpatialAlignError("it is not whole: parts are missing or do not fit each other") from None


def _loha(parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, float | None]:
    """(a1 b1) * (a2 b2), element by element, is a sum over all pairs of ranks."""
    one_a, one_b, two_a, two_b = (parts[f"hada_w{n}_{side}"] for n in (1, 2) for side in "ab")
    up = (one_a[:, :, None] * two_a[:, None, :]).flatten(1)
    down = (one_b[:, None, :] * two_b[None, :, :]).flatten(0, 1)
    return down, up, float(len(one_b))


def _lokr(parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, float | None]:
    """The Kronecker product of two matrices is the product of those of their factors."""
    (up_1, down_1), (up_2, down_2) = (_factors(parts, f"lokr_w{n}") for n in (1, 2))
    if up_1.shape[1] * up_2.shape[1] > _MOST_RANKS:
        raise SpatialAlignError(
            "it is a LoKr of whole matrices, which changes as much as a model holds; take a LoRA of it"
        )
    divided = next((name for name in ("lokr_w2_b", "lokr_w1_b") if name in parts), None)
    rank = None if divided is None else float(len(parts[divided]))
    return torch.kron(down_1, down_2), torch.kron(up_1, up_2), rank


def _factors(parts: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """up, down of one of its matrices; a whole one has itself and the unit matrix."""
    if f"{name}_a" in parts:
        return parts[f"{name}_a"], parts[f"{name}_b"]
    whole = parts[name]
    rows, columns = whole.shape
    if rows <= columns:
        return torch.eye(rows), whole
    return whole, torch.eye(columns)
