"""Two names for every weight: diffusers' and the one in the original checkpoints, which ComfyUI's loader knows.

One table a family serves weight files and LoRA files, in both directions. Where the original fuses layers (a qkv
projection), one original layer is several of diffusers', one below the other in its rows.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_SUFFIXES = (".weight", ".bias")


@dataclass(frozen=True)
class Fused:
    """One layer of the original: `ours` are diffusers' layers whose rows it stacks, in order.

    "{}" in a name stands for the number of a block. halves_swapped: the two halves of its rows change places.
    """

    native: str
    ours: tuple[str, ...]
    halves_swapped: bool = False


@dataclass(frozen=True)
class Place:
    """Where a layer of ours lies in the original: layer `native`, part `index` of those in `parts` (our names)."""

    native: str
    index: int
    parts: tuple[str, ...]
    halves_swapped: bool


class KeyNames:
    """The two sets of names of one family. A name that no rule mentions is the same in both."""

    def __init__(
        self,
        renames: Mapping[str, str] | Iterable[tuple[str, str]],
        fused: Iterable[Fused] = (),
        spellings: Iterable[tuple[str, str]] = (),
    ) -> None:
        """renames: diffusers' name -> the original's. spellings: other names of the original's layers -> the usual."""
        rules = [Fused(native, (ours,)) for ours, native in dict(renames).items()] + list(fused)
        self._by_native: dict[str, list[Fused]] = {}
        for rule in rules:
            self._by_native.setdefault(rule.native, []).append(rule)
        self._by_ours = {name: (rule, index) for rule in rules for index, name in enumerate(rule.ours)}
        self._spellings = dict(spellings)

    def place(self, module: str) -> Place:
        """Where diffusers' layer `module` lies in the original."""
        for pattern, block in _patterns(module):
            if pattern in self._by_ours:
                rule, index = self._by_ours[pattern]
                parts = tuple(_fill(name, block) for name in rule.ours)
                return Place(_fill(rule.native, block), index, parts, rule.halves_swapped)
        return Place(module, 0, (module,), False)

    def parts(self, native: str, known: Container[str]) -> tuple[tuple[str, ...], bool]:
        """diffusers' layers that the original's layer `native` stacks, and whether its halves are swapped.

        known: names of the weights that there are, for originals whose last block is named otherwise by diffusers.
        """
        for pattern, block in _patterns(native):
            if pattern in self._spellings:
                return self.parts(_fill(self._spellings[pattern], block), known)
            for rule in self._by_native.get(pattern, ()):
                names = tuple(_fill(name, block) for name in rule.ours)
                if any(names[0] + suffix in known for suffix in ("", *_SUFFIXES)):
                    return names, rule.halves_swapped
        return (native,), False

    def other_spellings(self, native: str) -> list[str]:
        """The other names that the original's layer `native` goes by."""
        for pattern, block in _patterns(native):
            found = [_fill(other, block) for other, usual in self._spellings.items() if usual == pattern]
            if found:
                return found
        return []

    def to_ours(self, state: Mapping[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        """Weights under original names -> under diffusers' names. rows: rows of each of our weights, by full name.

        A fused weight whose rows do not add up keeps its name, so that loading finds it.
        """
        ours: dict[str, Tensor] = {}
        for key, value in state.items():
            module, suffix = _split(key)
            names, swapped = self.parts(module, rows)
            if swapped:
                value = swap_halves(value)
            sizes = [rows.get(name + suffix, -1) for name in names]
            if len(names) == 1:
                ours[names[0] + suffix] = value
            elif sum(sizes) == value.shape[0] and min(sizes) > 0:
                for name, part in zip(names, value.split(sizes), strict=True):
                    ours[name + suffix] = part
            else:
                ours[key] = value
        return ours

    def to_native(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights under diffusers' names -> under the original's; the inverse of `to_ours`."""
        native: dict[str, Tensor] = {}
        for key, value in state.items():
            module, suffix = _split(key)
            place = self.place(module)
            if place.index == 0:
                parts = [state[name + suffix] for name in place.parts] if len(place.parts) > 1 else [value]
                whole = torch.cat(parts) if len(parts) > 1 else value
                native[place.native + suffix] = swap_halves(whole) if place.halves_swapped else whole
        return native


def swap_halves(tensor: Tensor) -> Tensor:
    """The two halves of the first dimension change places."""
    first, second = tensor.chunk(2, dim=0)
    return torch.cat([second, first])


def _split(key: str) -> tuple[str, str]:
    for suffix in _SUFFIXES:
        if key.endswith(suffix):
            return key.removesuffix(suffix), suffix
    if key.endswith(".scale"):  # how some files call the weight of a norm
        return key.removesuffix(".scale"), ".weight"
    return key, ""


def _patterns(name: str) -> list[tuple[str, str]]:
    """The name as it is, then with each of its numbers in turn taken for a block's."""
    numbers = [
        (name[: m.start(1)] + "{}" + name[m.end(1) :], m[1]) for m in re.finditer(r"\.(\d+)(?=\.|$)", name)
    ]
    return [(name, ""), *numbers]


def _fill(pattern: str, block: str) -> str:
    return pattern.replace("{}", block)
