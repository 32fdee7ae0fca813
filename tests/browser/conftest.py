"""One ComfyUI for all tests of this tier, and a Chromium for each file of tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browsing import Seen, chromium, find_chromium
from server import Server, clone_place, find_comfyui


@pytest.fixture(scope="session")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's folder; skips, and says why, where it or a browser is missing."""
    found = find_comfyui(clone_place(tmp_path_factory.getbasetemp()))
    if isinstance(found, str):
        pytest.skip(found)
    for needed in ("comfyui_frontend_package", "playwright"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is missing: pip install -r tests/requirements-comfyui.txt")
    if find_chromium() is None:
        pytest.skip(
            "no browser: install Chromium, name one in CHROMIUM, or run `python -m playwright install chromium`"
        )
    return found


@pytest.fixture(scope="session")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running ComfyUI with the pack linked in; another one than that of the tests without a browser."""
    running = Server(comfyui, tmp_path_factory.mktemp("browser"))
    running.start(timeout=float(os.environ.get("COMFYUI_START_TIMEOUT", "300")))
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser(comfyui: Path) -> Iterator[Any]:
    """A Chromium. For one file only: playwright's event loop would be in the way of other tests' own."""
    with chromium(find_chromium() or "") as started:
        yield started


@pytest.fixture
def look(browser: Any, server: Server) -> Iterator[Callable[..., Seen]]:
    """Opens pages, see `Seen.open_in`; they are closed after the test, which fails if one complained about us."""
    pages: list[Seen] = []

    def open_page(*arguments: Any, **named: Any) -> Seen:
        pages.append(Seen.open_in(browser, server, *arguments, **named))
        return pages[-1]

    yield open_page
    for each in pages:
        each.close()
    assert [line for each in pages for line in each.complaints] == []
