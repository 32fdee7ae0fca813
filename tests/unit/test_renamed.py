"""Renamed nodes are told to a ComfyUI that knows replacements, and to no other."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FILE = (
    Path(__file__).resolve().parents[2] / "nodes" / "renamed.py"
)  # a pack's nodes/ is no package outside ComfyUI
ONE = {"old_node_id": "SpatialAlign_Old", "new_node_id": "SpatialAlign_New"}


class _Taker:
    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def register(self, replacement: Any) -> None:
        self.taken.append(replacement)


@pytest.mark.parametrize(("knows", "taken"), [(True, [ONE]), (False, [])])
def test_replacements_are_registered_where_there_are_any(knows: bool, taken: list[Any]) -> None:
    spec = importlib.util.spec_from_file_location("renamed", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    taker = _Taker()
    api = SimpleNamespace(node_replacement=taker) if knows else SimpleNamespace()
    io = SimpleNamespace(NodeReplace=lambda **named: named) if knows else SimpleNamespace()
    assert asyncio.run(module.register(api, io, (ONE,))) == len(taken)
    assert taker.taken == taken
