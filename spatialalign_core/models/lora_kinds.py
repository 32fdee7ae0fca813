"""The ways to write a change of a layer's weight, each as a low-rank product where it is one, or as a function of the
weight: LoRA, LoHa, LoKr, a full difference, GLoRA, OFT, BOFT, and DoRA over any of the first four.

Formulas: LyCORIS (arXiv 2309.14859), DoRA (arXiv 2402.09353), GLoRA (arXiv 2306.07967), OFT (arXiv 2306.07280), BOFT
(arXiv 2311.06243); where implementations differ, as ComfyUI's loader has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import SpatialAlignError

Parts = Mapping[str, Tensor]
"""What a file holds of one layer, by the names in `PARTS`."""
PARTS = (
    *(f"hada_w{n}_{side}" for n in (1, 2) for side in "ab"),
    *(f"lokr_w{n}{side}" for n in (1, 2) for side in ("", "_a", "_b")),
    *("oft_blocks", "rescale", "dora_scale", "diff", "diff_b", "w_norm", "b_norm", "set_weight", "alpha"),
)
"""Names that a key ends in, besides the halves of a LoRA."""
_MOST_RANKS = 2048  # of a LoKr as a product; with more it is cheaper as a whole matrix


@dataclass(frozen=True)
class WeightChange:
    """A change before it is scaled. One of: down (r, in) with up (out, r); delta, a function of the weight."""

    rank: int | None
    """What an alpha is divided by; None where the alpha does not count."""
    down: Tensor | None = None
    up: Tensor | None = None
    delta: Callable[[Tensor], Tensor] | None = None

    def of(self, weight: Tensor) -> Tensor:
        """What is added to the weight, at scale 1."""
        if self.delta is not None:
            return self.delta(weight)
        assert self.up is not None and self.down is not None
        return self.up.flatten(1).to(weight) @ self.down.flatten(1).to(weight)


def weight_change(parts: Parts) -> WeightChange | None:
    """The change of a layer's weight; None where the parts change its bias only.

    SpatialAlignError for parts that are not whole.
    """
    found = [make for needed, make in _KINDS if any(name in parts for name in needed)]
    if len(found) > 1:
        raise SpatialAlignError("it is changed in two ways at once")
    try:
        return found[0](parts) if found else None
    except (KeyError, RuntimeError, IndexError, ValueError):
        raise SpatialAlignError("it is not whole: parts are missing or do not fit each other") from None


def with_dora(weight: Tensor, changed: Tensor, parts: Parts) -> Tensor:
    """The changed weight with the norms that a DoRA has learned: of rows, or of columns for a `dora_scale` (1, in).

    ComfyUI divides a `dora_scale` of rows by the norms of the weight as it was; peft, whose parameter is called
    `lora_magnitude_vector`, by those of the changed weight. Each file is read as the program reads it that knows it.
    """
    small = torch.finfo(torch.float32).eps
    if "lora_magnitude_vector" in parts:
        wanted = parts["lora_magnitude_vector"].to(weight).reshape(-1, 1)
        return changed * wanted / changed.norm(dim=1, keepdim=True)
    scale = parts["dora_scale"].to(weight)
    if len(scale) == len(weight):
        return changed * scale.reshape(-1, 1) / (weight.norm(dim=1, keepdim=True) + small)
    return changed * scale.reshape(1, -1) / (changed.norm(dim=0, keepdim=True) + small)


def _lora(parts: Parts) -> WeightChange:
    down, up = parts["down"], parts["up"]
    if down.ndim < 2 or up.ndim < 2 or up.shape[1] != len(down):
        raise ValueError
    return WeightChange(len(down), down, up)


def _loha(parts: Parts) -> WeightChange:
    """(a1 b1) * (a2 b2), element by element, is a sum over all pairs of ranks."""
    one_a, one_b, two_a, two_b = (parts[f"hada_w{n}_{side}"] for n in (1, 2) for side in "ab")
    up = (one_a[:, :, None] * two_a[:, None, :]).flatten(1)
    down = (one_b[:, None, :] * two_b[None, :, :]).flatten(0, 1)
    return WeightChange(len(one_b), down, up)


def _lokr(parts: Parts) -> WeightChange:
    """The Kronecker product of two matrices is the product of those of their factors."""
    (up_1, down_1), (up_2, down_2) = (_factors(parts, f"lokr_w{n}") for n in (1, 2))
    divided = next((name for name in ("lokr_w2_b", "lokr_w1_b") if name in parts), None)
    rank = None if divided is None else len(parts[divided])
    if up_1.shape[1] * up_2.shape[1] > _MOST_RANKS:
        return WeightChange(rank, delta=lambda weight: torch.kron(up_1 @ down_1, up_2 @ down_2).to(weight))
    return WeightChange(rank, torch.kron(down_1, down_2), torch.kron(up_1, up_2))


def _factors(parts: Parts, name: str) -> tuple[Tensor, Tensor]:
    """up, down of one of its matrices; a whole one has itself and the unit matrix."""
    if f"{name}_a" in parts:
        return parts[f"{name}_a"], parts[f"{name}_b"]
    whole = parts[name]
    rows, columns = whole.shape
    if rows <= columns:
        return torch.eye(rows), whole
    return whole, torch.eye(columns)


def _difference(parts: Parts) -> WeightChange:
    difference = parts["diff"] if "diff" in parts else parts["w_norm"]
    return WeightChange(None, delta=lambda weight: difference.to(weight).reshape(weight.shape))


def _replaced(parts: Parts) -> WeightChange:
    new = parts["set_weight"]
    return WeightChange(None, delta=lambda weight: new.to(weight).reshape(weight.shape) - weight)


def _glora(parts: Parts) -> WeightChange:
    """W A + B, where A and B are products of two; older files have their factors the other way round."""
    a1, a2, b1, b2 = (parts[f"{name}.weight"].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    newer = b2.shape[0] == b1.shape[1] == a1.shape[1] == a2.shape[0]
    older = b2.shape[1] == b1.shape[0] == a1.shape[0] == a2.shape[1]
    if not newer and not older:
        raise ValueError

    def delta(weight: Tensor) -> Tensor:
        one, two, three, four = (each.to(weight) for each in (a1, a2, b1, b2))
        square = weight.shape[0] == weight.shape[1] == a2.shape[0]
        if older and (not newer or square):
            return four @ three + weight @ two @ one
        return weight @ one @ two + three @ four

    rank = min(a1.shape)
    return WeightChange(rank, delta=delta)


def _oft(parts: Parts) -> WeightChange:
    """Rows turned by orthogonal matrices in blocks; four dimensions are BOFT's butterfly of several turns."""
    blocks = parts["oft_blocks"]
    if blocks.ndim == 3 and "rescale" in parts:
        raise SpatialAlignError("it is an OFT with a rescale, which ComfyUI does not apply either")
    if "dora_scale" in parts:
        raise SpatialAlignError("it is an OFT with the norms of a DoRA, which no formula defines")
    most = float(parts["alpha"].reshape(())) if "alpha" in parts else 0.0
    rescale = parts.get("rescale")

    def delta(weight: Tensor) -> Tensor:
        turns = _turns(blocks.to(weight), most)
        if blocks.ndim == 3:
            rows = weight.view(*turns.shape[:2], -1)
            return torch.einsum("knm,kni->kmi", turns, rows).reshape(weight.shape) - weight
        turned = _butterfly(weight, turns)
        return (turned if rescale is None else turned * rescale.to(weight)) - weight

    return WeightChange(None, delta=delta)


def _turns(blocks: Tensor, most: float) -> Tensor:
    """Cayley's transform of the skew parts; most: of their norm, 0 for any."""
    skew = blocks - blocks.transpose(-1, -2)
    norm = skew.norm() + 1e-8
    if 0 < most < norm:
        skew = skew * most / norm
    unit = torch.eye(blocks.shape[-1]).to(blocks)
    return (unit + skew) @ (unit - skew).inverse()


def _butterfly(weight: Tensor, turns: Tensor) -> Tensor:
    for level, turn in enumerate(turns):
        size = turn.shape[-1]
        apart = 2**level * (size // 2)
        mixed = weight.unflatten(0, (-1, 2, apart)).transpose(1, 2).flatten(0, 2).unflatten(0, (-1, size))
        mixed = torch.einsum("bij,bjk->bik", turn, mixed)
        weight = mixed.flatten(0, 1).unflatten(0, (-1, apart, 2)).transpose(1, 2).flatten(0, 2)
    return weight


_KINDS: tuple[tuple[tuple[str, ...], Callable[[Parts], WeightChange]], ...] = (
    (("down", "up"), _lora),
    (tuple(name for name in PARTS if name.startswith("hada")), _loha),
    (tuple(name for name in PARTS if name.startswith("lokr")), _lokr),
    (("diff", "w_norm"), _difference),
    (("set_weight",), _replaced),
    (("a1.weight", "a2.weight", "b1.weight", "b2.weight"), _glora),
    (("oft_blocks",), _oft),
)
