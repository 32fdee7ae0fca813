"""Looks at the templates in a real browser: `python tests/browser/screenshots.py FOLDER [--run]`.

Starts ComfyUI as the tests do, opens each template from the template browser, saves pictures of the canvas and, with
--run, of the finished workflow. Needs playwright and a Chromium (CHROMIUM names another than the usual one).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "comfyui"))

from server import PACK, Server, find_comfyui

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--run", action="store_true", help="also queue each template and wait for its end")
    parser.add_argument("--only", help="name of the one template to look at")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    from playwright.sync_api import sync_playwright

    base = Path(tempfile.mkdtemp(prefix="spatialalign-browser-"))
    comfyui = find_comfyui(base / "ComfyUI")
    if isinstance(comfyui, str):
        raise SystemExit(f"Cannot look: {comfyui}.")
    server = Server(comfyui, base)
    server.start()
    try:
        with sync_playwright() as playwright:
            chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
            for template in sorted((PACK / "workflows").glob("*.json")):
                if arguments.only in (None, template.stem):
                    page = browser.new_page(viewport={"width": 1600, "height": 900})
                    _look(page, server, template.stem, arguments.folder, arguments.run)
                    page.close()
            browser.close()
    finally:
        server.stop()
        shutil.rmtree(base, ignore_errors=True)


def _look(page: Any, server: Server, name: str, folder: Path, run: bool) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    page.wait_for_function("window.app?.graph != null", timeout=120_000)
    page.wait_for_timeout(3000)
    # What a click in the template browser does: the file comes from ComfyUI's own route for templates.
    page.evaluate(
        """async (name) => {
            const url = `/api/workflow_templates/spatialalign/${encodeURIComponent(name)}.json`;
            await window.app.loadGraphData(await (await fetch(url)).json(), true, true, name);
        }""",
        name,
    )
    page.wait_for_timeout(3000)
    page.screenshot(path=folder / f"{name}.png")
    if run:
        page.evaluate("window.app.queuePrompt(0)")
        page.wait_for_timeout(2000)
        while server.get("/queue")["queue_running"] or server.get("/queue")["queue_pending"]:
            page.wait_for_timeout(1000)
        page.wait_for_timeout(2500)
        page.screenshot(path=folder / f"{name} finished.png")
    print(name, "page errors:", errors or "none")


if __name__ == "__main__":
    main()
