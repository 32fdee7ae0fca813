"""Updates of a network's layers under the names of LoRA files, and back.

Written are plain LoRAs under the original names (ComfyUI). A LoRA on a fused layer (a qkv projection) is a LoRA on each
of its parts and back, without loss. `lora_changes` reads files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .base import Family
from .lora_parts import canonical
from .names import Place, swap_halves


@dataclass(frozen=True)
class Update:
    """What a LoRA adds to a layer's weight: up (out, rank) times down (rank, in), scale folded in."""

    down: Tensor
    up: Tensor

    @property
    def rank(self) -> int:
        return self.down.shape[0]


def linear_rows(transformer: nn.Module) -> dict[str, int]:
    """Output features of every linear layer, by name, with or without an adapter on it."""
    return {
        name.removesuffix(".base_layer"): module.out_features
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and ".lora_" not in name
    }


def to_native(family: Family, updates: Mapping[str, Update], rows: Mapping[str, int]) -> dict[str, Tensor]:
    """Updates of diffusers' layers -> tensors of a file, under the original names. rows: see `linear_rows`.

    All have the same rank, filled up with zeros: without alphas, diffusers takes the first layer's rank for the scale
    of every layer.
    """
    native: dict[str, dict[int, Update]] = {}
    places: dict[str, Place] = {}
    for module, update in updates.items():
        place = places[module] = family.names.place(module)
        native.setdefault(place.native, {})[place.index] = update
    whole: dict[str, Update] = {}
    for place in places.values():
        found = native.pop(place.native, None)
        if found is None:  # written with another of its parts
            continue
        update = found[0] if len(place.parts) == 1 else _stack(found, [rows[part] for part in place.parts])
        up = swap_halves(update.up) if place.halves_swapped else update.up
        whole[family.lora_prefix + place.native] = Update(update.down, up)
    rank = max((update.rank for update in whole.values()), default=0)
    return {
        f"{name}.lora_{letter}.weight": tensor.contiguous()
        for name, update in whole.items()
        for fitted in (resized(update, rank),)
        for letter, tensor in (("A", fitted.down), ("B", fitted.up))
    }


def to_diffusers(updates: Mapping[str, Update]) -> dict[str, Tensor]:
    """Updates -> the keys that every pipeline's `load_lora_weights` of diffusers takes."""
    return {
        f"transformer.{module}.lora_{letter}.weight": tensor.contiguous()
        for module, update in updates.items()
        for letter, tensor in (("A", update.down), ("B", update.up))
    }


def resized(update: Update, rank: int) -> Update:
    """The same update at another rank: padded with zeros, or the nearest of fewer ranks."""
    if update.rank <= rank:
        more = rank - update.rank
        return Update(
            torch.nn.functional.pad(update.down, (0, 0, 0, more)),
            torch.nn.functional.pad(update.up, (0, more)),
        )
    left, up_triangle = torch.linalg.qr(update.up)
    right, down_triangle = torch.linalg.qr(update.down.T)
    u, values, v = torch.linalg.svd(up_triangle @ down_triangle.T)
    roots = values[:rank].sqrt()
    return Update((roots[:, None] * v[:rank]) @ right.T, (left @ u[:, :rank]) * roots)


def _stack(found: Mapping[int, Update], sizes: list[int]) -> Update:
    """Updates of a fused layer's parts as one of the whole: each part has ranks of its own, and zeros elsewhere."""
    ups = []
    for index, update in found.items():
        above, below = sum(sizes[:index]), sum(sizes[index + 1 :])
        ups.append(torch.nn.functional.pad(update.up, (0, 0, above, below)))
    return Update(torch.cat([update.down for update in found.values()]), torch.cat(ups, dim=1))


def layers_by_name(family: Family, rows: Mapping[str, int]) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Canonical name -> diffusers' layers that it means, and whether their halves are swapped; all spellings."""
    layers: dict[str, tuple[tuple[str, ...], bool]] = {}
    for module in rows:
        place = family.names.place(module)
        if all(part in rows for part in place.parts):
            for native in (place.native, *family.names.other_spellings(place.native)):
                layers[canonical(native)] = (place.parts, place.halves_swapped)
    return layers | {
        canonical(module): ((module,), False) for module in rows if canonical(module) not in layers
    }
