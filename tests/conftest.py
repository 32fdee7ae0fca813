"""The order of the tests when several processes share them (`pytest -n 2 --dist loadfile`): what takes longest first.

A file's tests stay together, and so do a model, a run or a browser that is made once for them. Each process starts the
servers that it needs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# The rest, unit tests of a few seconds each, fills up the end.
LONGEST = (
    *("browser/test_panel", "comfyui/test_quickstart", "browser/test_runs", "browser/test_templates"),
    *("browser/test_words", "comfyui/test_rounds", "comfyui/test_models", "comfyui/test_detect", "comfyui"),
    *(
        "unit/test_run",
        "unit/test_memory",
        "unit/test_compiling",
        "unit/test_ray_workers",
        "unit/test_training_run",
    ),
    *("unit/test_detect", "unit/test_ranks", "unit/test_family_files", "unit/test_bootstrap"),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # this is one process of several
        items.sort(key=_turn)  # stable: tests of a file stay in their order


def _turn(item: pytest.Item) -> int:
    file = item.path.relative_to(TESTS).with_suffix("")
    names = (file.as_posix(), file.parts[0])
    return next((LONGEST.index(name) for name in names if name in LONGEST), len(LONGEST))
