"""How the tests are shared out when several processes run them (`pytest -n 2`).

What is expensive to make, a server, a browser, a trained model, is made once for all tests that use it: the tests with
ComfyUI go to one process, those in a browser to one other, and each file of unit tests to one. The longest come first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Files whose tests take the longest, so that none of them is left over for the end.
_LONG = ("test_run", "test_memory", "test_compiling", "test_ray_workers", "test_training_run", "test_ranks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("dist", "no") == "no":
        return
    items.sort(key=_turn)  # stable: tests of a file stay in their order
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))


def _group(file: Path) -> str:
    tier = file.relative_to(TESTS).parts[0]
    return file.stem if tier == "unit" else tier


def _turn(item: pytest.Item) -> int:
    group = _group(item.path)
    order = ("browser", "comfyui", *_LONG)
    return order.index(group) if group in order else len(order)
