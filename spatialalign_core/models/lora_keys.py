"""LoRA files of any style and the layers they mean.

Read are the original names (ComfyUI), kohya's `lora_unet_`, diffusers' and PEFT's, and LoHa and LoKr beside plain
LoRA; written are plain LoRAs under the original names. A LoRA on a fused layer (a qkv projection) is a LoRA on each of
its parts and back, without loss.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import SpatialAlignError
from .base import Family
from .lora_kinds import KINDS, low_rank
from .names import Place, swap_halves

_KEY = re.compile(
    r"(.+?)\.(lora_A|lora_down|lora\.down|lora_B|lora_up|lora\.up)(?:\.(?!weight$)[^.]+)?\.weight"
)
_OTHER_KEY = re.compile(rf"(.+?)\.({KINDS})")
_PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "unet.",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
)


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


def read_updates(
    family: Family, state: Mapping[str, Tensor], metadata: Mapping[str, str], rows: Mapping[str, int]
) -> dict[str, Update]:
    """A LoRA file of any style -> updates of diffusers' layers.

    rows: see `linear_rows`. SpatialAlignError for a key that no layer of the model has, and for kinds of files that
    are no plain LoRA.
    """
    layers = _layers(family, rows)
    down, up, alpha, ranks = _sorted(state)
    updates: dict[str, Update] = {}
    whole_scale = _scale_in(metadata)
    for module in down | up:
        parts, swapped = layers.get(_canonical(module), ((), False))
        if not parts:
            raise SpatialAlignError(f"the model has no layer for {module!r}")
        if module not in down or module not in up:
            raise SpatialAlignError(f"it holds only one half of {module!r}")
        rank = down[module].shape[0]
        scale = alpha[module] / ranks.get(module, rank) if module in alpha else whole_scale
        whole = up[module] * scale
        sizes = [rows[part] for part in parts]
        if down[module].ndim != 2 or whole.shape != (sum(sizes), rank):
            raise SpatialAlignError(f"its {module!r} is for a layer of another size")
        if swapped:
            whole = swap_halves(whole)
        for part, rows_of_part in zip(parts, whole.split(sizes), strict=True):
            update = _trimmed(Update(down[module], rows_of_part), len(parts) > 1)
            if update is not None:
                updates[part] = update
    return updates


def _sorted(
    state: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, float], dict[str, float]]:
    """down, up and alpha by the module names of the file, and what an alpha is divided by where not by the rank."""
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    alpha: dict[str, float] = {}
    ranks: dict[str, float] = {}
    others: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if match := _KEY.fullmatch(key):
            (down if match[2].endswith(("A", "down")) else up)[match[1]] = value.float()
        elif match := _OTHER_KEY.fullmatch(key):
            others.setdefault(match[1], {})[match[2]] = value.float()
        elif key.endswith(".alpha"):
            alpha[key.removesuffix(".alpha")] = float(value)
        else:
            raise SpatialAlignError(
                f"it holds {key!r}, which is no plain LoRA weight and cannot be applied here"
            )
    for module, parts in others.items():
        try:
            down[module], up[module], rank = low_rank(parts)
        except SpatialAlignError as error:
            raise SpatialAlignError(f"of its {module!r}: {error}") from None
        if rank is None:
            alpha.pop(module, None)
        else:
            ranks[module] = rank
    return down, up, alpha, ranks


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


def _trimmed(update: Update, part: bool) -> Update | None:
    """Without the ranks that do nothing; None for a part of a fused layer that has no others."""
    used = update.up.abs().amax(dim=0) > 0
    if not bool(used.any()):
        return None if part else update
    return Update(update.down[used], update.up[:, used])


def _layers(family: Family, rows: Mapping[str, int]) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Canonical name -> diffusers' layers that it means, and whether their halves are swapped; all spellings."""
    layers: dict[str, tuple[tuple[str, ...], bool]] = {}
    for module in rows:
        place = family.names.place(module)
        if all(part in rows for part in place.parts):
            for native in (place.native, *family.names.other_spellings(place.native)):
                layers[_canonical(native)] = (place.parts, place.halves_swapped)
    return layers | {
        _canonical(module): ((module,), False) for module in rows if _canonical(module) not in layers
    }


def _canonical(module: str) -> str:
    """Without prefixes, and with kohya's one sign between words."""
    before = None
    while before != module:
        before = module
        for prefix in _PREFIXES:
            module = module.removeprefix(prefix)
    return module.replace(".", "_")


def _scale_in(metadata: Mapping[str, str]) -> float:
    """alpha / rank where diffusers or PEFT wrote both into the file's metadata, else 1."""
    try:
        config = json.loads(metadata["lora_adapter_metadata"])
        config = {key.rpartition(".")[2]: value for key, value in config.items()}
        return float(config["lora_alpha"]) / float(config["r"])
    except (KeyError, ValueError, TypeError, ZeroDivisionError):
        return 1.0
