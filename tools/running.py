"""A ComfyUI with the pack, and a browser beside it, for as long as a script makes pictures of them."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))

from browsing import Seen, chromium, find_chromium
from server import Server, find_comfyui

_RENAME = """([from, to]) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        if (text.data.includes(from)) text.data = text.data.replaceAll(from, to);
    }
}"""


@contextlib.contextmanager
def running(run: Path | None = None) -> Iterator[tuple[Any, Server]]:
    """Browser and server. SystemExit with a sentence where one of them is missing.

    run: a finished run folder of quickstart.py, which is then the Quickstart template's own.
    """
    with tempfile.TemporaryDirectory(prefix="spatialalign-pictures-") as base:
        comfyui, browser = find_comfyui(Path(base) / "ComfyUI"), find_chromium()
        if isinstance(comfyui, str) or browser is None:
            raise SystemExit(
                f"Cannot make pictures: {comfyui if isinstance(comfyui, str) else 'no Chromium'}."
            )
        if run:
            place = Path(base) / "output" / "spatialalign" / "quickstart"
            shutil.copytree(run, place, ignore=shutil.ignore_patterns(".lock", "control"))
        server = Server(comfyui, Path(base))
        server.start()
        try:
            with chromium(browser) as started:
                yield started, server
        finally:
            server.stop()


def without_place(seen: Seen) -> None:
    """Words on the page name ComfyUI, not its folder on this machine, which means nothing to anybody else."""
    seen.page.evaluate(_RENAME, [str(seen.server.base), "ComfyUI"])
