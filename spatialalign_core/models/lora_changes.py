"""A LoRA file of any kind as changes of a network's layers, and those changes put on the network and taken off.

Low-rank products of linear layers become `Update`s, which an adapter applies beside the weight. Everything else (a full
difference, a bias, DoRA, GLoRA, OFT, a norm, a convolution) is written into the weights, which are kept as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..errors import SpatialAlignError
from .base import Family
from .lora_config import config_scale, read_config
from .lora_keys import Update, layers_by_name
from .lora_kinds import WeightChange, weight_change, with_dora
from .lora_parts import bare, canonical, sort_parts
from .names import swap_halves

Shapes = Mapping[str, tuple[int, ...]]
_KEPT = "weights_without_lora"  # attribute of a network: its parameters as they were
_OTHER_MODELS = (
    (("k_img", "v_img", "img_emb", "add_k_proj", "image_embedder"), "an image-to-video model"),
    (("vace",), "a VACE model"),
    (("double_blocks", "single_blocks", "single_transformer_blocks"), "HunyuanVideo or FLUX"),
    (("self_attn", "cross_attn", "ffn"), "Wan"),
    (("qkv_x", "qkv_y", "mlp_x"), "Mochi"),
    (("joint_blocks", "joint_transformer"), "Stable Diffusion 3"),
    (("input_blocks", "middle_block", "output_blocks", "down_blocks", "mid_block"), "Stable Diffusion or SDXL"),
    (("transformer_blocks",), "another transformer, by diffusers' names"),
)  # fmt: skip


@dataclass(frozen=True)
class Folded:
    """A change that is written into one layer of the original: `parts` are diffusers' layers that it stacks."""

    parts: tuple[str, ...]
    swapped: bool
    what: str
    """For people."""
    suffix: str
    """".weight", ".bias", or "" for a parameter that is no layer's."""
    changed: Callable[[Tensor], Tensor]
    """The parameter as the original has it, in float32 -> the changed one."""


@dataclass
class Changes:
    """What a LoRA file does to a network. updates: by diffusers' linear layers."""

    updates: dict[str, Update] = field(default_factory=dict)
    folded: list[Folded] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.updates or self.folded)


def parameter_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter by name, with or without an adapter on the network."""
    return {
        name.replace(".base_layer.", "."): tuple(parameter.shape)
        for name, parameter in network.named_parameters()
        if ".lora_" not in name
    }


def read_changes(
    family: Family, state: Mapping[str, Tensor], metadata: Mapping[str, str], shapes: Shapes
) -> Changes:
    """A LoRA file of any kind -> what it changes.

    shapes: see `parameter_shapes`. SpatialAlignError, with a cause and no name of the file, for a key of no known kind,
    for a layer that the network lacks or has in another size, and for parts that do not belong together.
    """
    rows = {_layer(name): shape[0] for name, shape in shapes.items() if shape}
    layers = layers_by_name(family, rows)
    second = any(key.startswith("transformer_2.") for key in state)
    config = read_config(metadata, "transformer_2" if second else "transformer")
    modules = sort_parts(state)
    places = {module: layers.get(canonical(module), ((), False)) for module in modules}
    missing = [module for module, (parts, _) in places.items() if not parts]
    if missing:
        raise SpatialAlignError(_not_there(missing, len(modules), family))
    changes = Changes()
    seen: dict[tuple[str, ...], str] = {}
    for module, parts in modules.items():
        where, swapped = places[module]
        if where in seen:
            raise SpatialAlignError(f"it changes the same layer twice, as {seen[where]!r} and as {module!r}")
        seen[where] = module
        try:
            layer = _OneLayer(family, where, swapped, shapes, parts)
            scale = layer.scale(config, (bare(module), *where))
            layer.add_to(changes, scale)
        except SpatialAlignError as error:
            raise SpatialAlignError(f"of its {module!r}: {error}") from None
    return changes


def fold(network: nn.Module, folded: Iterable[Folded], strength: float) -> None:
    """Write changes into a network without an adapter; `unfold` takes them back, to the bit."""
    parameters = dict(network.named_parameters())
    kept: dict[str, Tensor] = network.__dict__.setdefault(_KEPT, {})
    with torch.no_grad():
        for change in folded:
            names = [part + change.suffix for part in change.parts]
            found = [parameters[name] for name in names]
            before = torch.cat([each.data.float() for each in found]) if len(found) > 1 else found[0].float()
            if change.swapped:
                before = swap_halves(before)
            after = before + strength * (change.changed(before.clone()) - before)
            if change.swapped:
                after = swap_halves(after)
            for name, parameter, part in zip(
                names, found, after.split([len(each) for each in found]), strict=True
            ):
                # On the processor, since a card may have no room for the model twice.
                kept.setdefault(name, parameter.data.cpu())
                parameter.data = part.to(parameter.dtype, copy=True)


def unfold(network: nn.Module) -> None:
    """The parameters as they were before `fold`."""
    kept: dict[str, Tensor] = network.__dict__.pop(_KEPT, {})
    parameters = dict(network.named_parameters()) if kept else {}
    for name, value in kept.items():
        parameters[name].data = value.to(parameters[name].device)


class _OneLayer:
    """What a file holds of one layer of the original."""

    def __init__(
        self,
        family: Family,
        where: tuple[str, ...],
        swapped: bool,
        shapes: Shapes,
        parts: Mapping[str, Tensor],
    ) -> None:
        self.family, self.where, self.swapped, self.shapes, self.parts = family, where, swapped, shapes, parts
        self.suffix = ".weight" if where[0] + ".weight" in shapes else ""
        self.sizes = [shapes[part + self.suffix][0] for part in where]
        self.shape = (sum(self.sizes), *shapes[where[0] + self.suffix][1:])
        half = next((name for name in ("down", "up") if name not in parts and _of_lora(parts)), None)
        if half is not None:
            raise SpatialAlignError("only one half of it is there")
        self.change = weight_change(parts)

    def scale(self, config: Mapping[str, object], names: tuple[str, ...]) -> float:
        if self.change is None:
            return 1.0
        if "alpha" in self.parts:
            alpha = float(self.parts["alpha"].reshape(()))
            return 1.0 if self.change.rank is None else alpha / self.change.rank
        is_difference = self.change.rank is None and not any(name.startswith("lokr") for name in self.parts)
        if is_difference:
            return 1.0
        rank = self.change.rank or config.get("r") or 1
        return config_scale(config, names, int(str(rank)))

    def add_to(self, changes: Changes, scale: float) -> None:
        dora = next((name for name in ("dora_scale", "lora_magnitude_vector") if name in self.parts), None)
        if self.change is not None:
            self._check_size(self.change)
            linear = self.suffix == ".weight" and len(self.shape) == 2
            if self.change.delta is None and dora is None and linear:
                changes.updates |= self._updates(self.change, scale)
            else:
                what = (
                    "a DoRA"
                    if dora
                    else "a full difference of a weight"
                    if linear
                    else "a norm or convolution"
                )
                changes.folded.append(
                    self._folded(what, self.suffix, self._changed(self.change, scale, dora))
                )
        elif dora:
            raise SpatialAlignError("it has the norms of a DoRA and no change of the weight")
        self._add_bias(changes, scale)

    def _changed(self, change: WeightChange, scale: float, dora: str | None) -> Callable[[Tensor], Tensor]:
        def changed(weight: Tensor) -> Tensor:
            flat = weight.flatten(1) if weight.ndim > 1 and change.delta is None else weight
            after = flat + scale * change.of(flat)
            return (with_dora(flat, after, self.parts) if dora else after).reshape(weight.shape)

        return changed

    def _check_size(self, change: WeightChange) -> None:
        if change.delta is not None:
            try:
                found = change.delta(torch.zeros(self.shape)).shape
            except RuntimeError:
                found = None
            if found != self.shape:
                difference = self.parts.get("diff")
                raise SpatialAlignError(
                    self._other_size(None if difference is None else difference.shape, self.shape)
                )
            return
        assert change.up is not None and change.down is not None
        rows, columns = change.up.flatten(1).shape[0], change.down.flatten(1).shape[1]
        if (rows, columns) != (self.shape[0], _product(self.shape[1:])):
            raise SpatialAlignError(self._other_size((rows, columns), self.shape))

    def _other_size(self, found: Iterable[int] | None, here: tuple[int, ...]) -> str:
        """What is said of a part that has the shape `found`, which may be unknown, in place of `here`."""
        ours = " x ".join(map(str, here))
        if found is None:
            return f"it is for a layer of another size than {ours}, so it was trained on another model"
        theirs = tuple(found)
        text = (
            f"it is for a layer of another size ({' x '.join(map(str, theirs))}, and this model has {ours})"
        )
        for there, own in zip(theirs, here, strict=False):
            if there != own and there in self.family.widths:
                named = self.family.widths.get(own)
                this = f"this is {'the ' + named if named else 'another'}"
                return (
                    f"{text}: it was trained on the {self.family.widths[there]}, and {this} (width {there} against "
                    f"{own})"
                )
        return f"{text}, so it was trained on another model"

    def _updates(self, change: WeightChange, scale: float) -> dict[str, Update]:
        assert change.up is not None and change.down is not None
        whole = change.up.flatten(1) * scale
        if self.swapped:
            whole = swap_halves(whole)
        parts = {}
        for name, rows in zip(self.where, whole.split(self.sizes), strict=True):
            used = rows.abs().amax(dim=0) > 0
            if bool(used.any()):
                parts[name] = Update(change.down.flatten(1)[used], rows[:, used])
            elif len(self.where) == 1:
                parts[name] = Update(change.down.flatten(1), rows)
        return parts

    def _add_bias(self, changes: Changes, scale: float) -> None:
        for name, factor in (("diff_b", 1.0), ("b_norm", 1.0), ("up_bias", scale), ("set_bias", None)):
            value = self.parts.get(name)
            if value is None:
                continue
            if any(part + ".bias" not in self.shapes for part in self.where):
                if factor is not None and not bool(value.any()):
                    continue
                raise SpatialAlignError("it changes the bias of a layer that has none in this model")
            if value.numel() != sum(self.sizes):
                raise SpatialAlignError(self._other_size(value.shape, (sum(self.sizes),)))
            flat = value.reshape(-1)
            changes.folded.append(self._folded("a bias", ".bias", _bias(flat, factor)))

    def _folded(self, what: str, suffix: str, changed: Callable[[Tensor], Tensor]) -> Folded:
        return Folded(self.where, self.swapped, what, suffix, changed)


def _bias(value: Tensor, factor: float | None) -> Callable[[Tensor], Tensor]:
    if factor is None:
        return lambda before: value.to(before)
    return lambda before: before + factor * value.to(before)


def _of_lora(parts: Mapping[str, Tensor]) -> bool:
    return "down" in parts or "up" in parts or "up_bias" in parts


def _layer(name: str) -> str:
    return name.removesuffix(".weight").removesuffix(".bias")


def _product(sizes: Iterable[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _not_there(missing: list[str], total: int, family: Family) -> str:
    """Layers that the network lacks, and what that tells."""
    if len(missing) < total:
        why = f"{len(missing)} of its {total} layers are not in this {family.title}"
    else:
        why = f"none of its layers is in this {family.title}"
    text = f"the model has no layer for {missing[0]!r}: {why}"
    for marks, model in _OTHER_MODELS:
        if any(mark in canonical(missing[0]) for mark in marks) and not family.title.startswith(model):
            return f"{text}; by its names it was trained on {model}"
    return text
