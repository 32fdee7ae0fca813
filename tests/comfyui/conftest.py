"""One ComfyUI for all tests of this tier."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from server import Server, clone_place, find_comfyui


@pytest.fixture(scope="session")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's folder; skips, and says why, where there is none."""
    found = find_comfyui(clone_place(tmp_path_factory.getbasetemp()))
    if isinstance(found, str):
        pytest.skip(found)
    if importlib.util.find_spec("comfyui_frontend_package") is None:
        pytest.skip("ComfyUI's own requirements are missing: pip install -r tests/requirements-comfyui.txt")
    return found


@pytest.fixture(scope="session")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running ComfyUI with the pack linked in."""
    running = Server(comfyui, tmp_path_factory.mktemp("comfyui"))
    running.start(timeout=float(os.environ.get("COMFYUI_START_TIMEOUT", "300")))
    try:
        yield running
    finally:
        running.stop()
