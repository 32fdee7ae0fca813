"""A real Chromium before a real ComfyUI, and the few things the tests do in it.

A test asks for the `look` fixture: `seen = look("vue", "light"); seen.open("Quickstart"); seen.picture("quickstart")`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "comfyui"))

from server import PACK, Server

MODES = ("litegraph", "vue")  # ComfyUI's two front ends; vue is Nodes 2.0
THEMES = ("dark", "light")
PICTURES = Path(os.environ.get("BROWSER_PICTURES") or PACK / "output" / "browser")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# What is said by ComfyUI itself, whatever packs there are, names none of these.
_OURS = ("extensions/spatialalign", "spatialalign", "SpatialAlign")
# Where ComfyUI looks for a help page in the reader's language, before it takes the one there is.
_ASKED_FIRST = re.compile(r"/docs/SpatialAlign_\w+/\w+\.md")
# Accessible at the level that the guidelines call AA, the usual one.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

# ComfyUI marks its own loaders too when the artist does not have their model file; that is not our doing.
_RED = """() => window.app.graph._nodes
    .filter((node) => !(node.type in window.LiteGraph.registered_node_types)
        || node.has_errors && node.type.startsWith("SpatialAlign_"))
    .map((node) => node.type)"""

# In Nodes 2.0 a node is as large as the page makes it.
_OVERLAPS = """() => {
    const scale = window.app.canvas.ds.scale;
    const boxes = window.app.graph._nodes.map((node) => {
        const drawn = document.querySelector(`[data-node-id="${node.id}"]`)?.getBoundingClientRect();
        const [x, y, width, height] = drawn
            ? [drawn.x, drawn.y, drawn.width, drawn.height].map((each) => each / scale)
            : node.getBounding();
        return { name: node.title, x, y, width, height, drawn: drawn != null };
    });
    const pairs = boxes.flatMap((one, index) => boxes.slice(index + 1).map((other) => [one, other]));
    const shared = (one, other, start, size) =>
        Math.min(one[start] + one[size], other[start] + other[size]) - Math.max(one[start], other[start]);
    return pairs
        .filter(([one, other]) => one.drawn === other.drawn)
        .filter(([one, other]) => shared(one, other, "x", "width") > 2 && shared(one, other, "y", "height") > 2)
        .map(([one, other]) => `${one.name} and ${other.name}`);
}"""

# Notes without the room that their text takes, or with much more. In pixels at a zoom of 1.
_CUT_NOTES = """() => {
    const notes = [...document.querySelectorAll(".comfy-markdown .tiptap, .comfy-markdown-content")];
    const seen = notes.filter((note) => note.clientHeight > 0);
    const wrong = seen.filter((note) => {
        const bottom = note.lastElementChild.offsetTop + note.lastElementChild.offsetHeight;
        const text = bottom - note.firstElementChild.offsetTop;
        return note.scrollHeight > note.clientHeight + 1 || note.clientHeight > Math.max(text + 56, 70);
    });
    const words = (note) => `${note.clientHeight} for ${note.scrollHeight}: ${note.innerText.slice(0, 60)}`;
    return seen.length ? wrong.map(words) : null;
}"""


def find_chromium() -> str | None:
    """Path of a Chromium: CHROMIUM, else one on the PATH, else the one that playwright has fetched; None without."""
    named = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if named:
        return named
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


@contextlib.contextmanager
def chromium(path: str) -> Iterator[Any]:
    """A browser without a window, ended with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """One page with ComfyUI in it. complaints: what the page said in its console that is of our making."""

    page: Any
    server: Server
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def open_in(
        cls,
        browser: Any,
        server: Server,
        mode: str = "litegraph",
        theme: str = "dark",
        size: tuple[int, int] = (1280, 800),
        settings: dict[str, Any] | None = None,
    ) -> Seen:
        """A new page with an empty canvas. settings: more of ComfyUI's own, such as {"Comfy.Locale": "ja"}.

        Settings belong to ComfyUI's one user: pages that are open at the same time share them from their next reload.
        """
        given = {
            "Comfy.VueNodes.Enabled": mode == "vue",
            "Comfy.ColorPalette": theme,
            "Comfy.Locale": "en",
            **(settings or {}),
        }
        server.post("/settings", given)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(120_000)
        seen = cls(page, server)
        page.on("pageerror", lambda error: seen._note(str(getattr(error, "stack", "") or error)))
        page.on("console", lambda message: seen._hear(message))
        page.goto(server.url)
        seen.ready()
        return seen

    def ready(self) -> None:
        """Waits until the canvas can be used."""
        self.page.wait_for_function(
            "window.app?.vueAppReady && window.app.graph != null && window.app.canvas != null"
            " && 'SpatialAlign_ScoreVideo' in window.LiteGraph.registered_node_types",
            timeout=300_000,
        )
        self.settle()

    def reload(self) -> None:
        """What the reload button does."""
        self.page.reload()
        self.ready()

    def settle(self, milliseconds: int = 300) -> None:
        """Gives the page time to draw."""
        self.page.wait_for_timeout(milliseconds)
        self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def load(self, workflow: dict[str, Any], name: str = "test") -> None:
        """Puts a workflow file's content on the canvas."""
        self.page.evaluate(
            "([workflow, name]) => window.app.loadGraphData(workflow, true, true, name)", [workflow, name]
        )
        self.settle(800)

    def open(self, template: str, settings: dict[str, dict[str, Any]] | None = None) -> None:
        """One of our templates, as a click in the template browser loads it.

        settings: widgets to set, by node class: {"SpatialAlign_TrainLora": {"steps": 4}}.
        """
        self.page.evaluate(
            """async (name) => {
                const url = `/api/workflow_templates/spatialalign/${encodeURIComponent(name)}.json`;
                const workflow = await (await fetch(url)).json();
                await window.app.loadGraphData(workflow, true, true, name, { openSource: "template" });
            }""",
            template,
        )
        for kind, values in (settings or {}).items():
            self.set(kind, values)
        self.settle(800)

    def set(self, kind: str, values: dict[str, Any]) -> None:
        """Sets widgets of the first node of a class."""
        missing = self.page.evaluate(
            """([kind, values]) => {
                const node = window.app.graph._nodes.find((each) => each.type === kind);
                const known = new Map((node?.widgets ?? []).map((each) => [each.name, each]));
                const missing = Object.keys(values).filter((name) => !known.has(name));
                for (const [name, value] of Object.entries(values)) {
                    const widget = known.get(name);
                    if (widget) { widget.value = value; widget.callback?.(value); }
                }
                return missing;
            }""",
            [kind, values],
        )
        assert missing == [], f"{kind} has no widgets {missing}"

    def red_nodes(self) -> list[str]:
        """Classes of the nodes that ComfyUI does not know, and of ours that it has marked as wrong."""
        return list(self.page.evaluate(_RED))

    def overlaps(self) -> list[str]:
        """Pairs of nodes that lie on each other."""
        return list(self.page.evaluate(_OVERLAPS))

    def cut_notes(self) -> list[str]:
        """Notes in view whose text does not fit, or that are much taller than their text."""
        cut = self.page.evaluate(_CUT_NOTES)
        assert cut is not None, "no note is in view"
        return list(cut)

    def start(self) -> str:
        """Presses Run; the id under which ComfyUI runs it."""
        answer = self.page.evaluate(
            """async () => {
                const prompt = await window.app.graphToPrompt();
                return await window.app.api.queuePrompt(0, prompt);
            }"""
        )
        assert not answer.get("node_errors"), json.dumps(answer["node_errors"], indent=1)
        return str(answer["prompt_id"])

    def run(self, timeout: float = 300) -> dict[str, Any]:
        """Presses Run and waits until it is done and shown; ComfyUI's history entry, which must be a success."""
        number = self.start()
        entry = self.server.wait(number, timeout)
        said = json.dumps(entry["status"], indent=1)
        assert entry["status"]["status_str"] == "success", said + self.server.log_tail()
        cached = {
            each
            for kind, data in entry["status"]["messages"]
            if kind == "execution_cached"
            for each in data["nodes"]
        }
        # what nodes inside a subgraph show is kept under other names
        shown = [each for each in entry["outputs"] if ":" not in each and each not in cached]
        self.page.wait_for_function(
            "(shown) => shown.every((each) => each in window.app.nodeOutputs)", arg=shown
        )
        self.settle(500)
        return entry

    def centre_on(self, kind: str, scale: float = 1.0) -> None:
        """Brings the first node of a class into view."""
        self.page.evaluate(
            """([kind, scale]) => {
                const { canvas, graph } = window.app;
                const node = graph._nodes.find((each) => each.type === kind);
                const view = canvas.canvas.getBoundingClientRect();
                canvas.ds.scale = scale;
                canvas.ds.offset[0] = view.width / 2 / scale - node.pos[0] - node.size[0] / 2;
                canvas.ds.offset[1] = view.height / 2 / scale - node.pos[1] - node.size[1] / 2;
                canvas.setDirty(true, true);
            }""",
            [kind, scale],
        )
        self.settle()

    def picture(self, name: str, selector: str | None = None) -> Path:
        """A screenshot of the page, or of one element, as <name>.png in the folder that the tests leave behind."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        target = PICTURES / f"{name}.png"
        (self.page if selector is None else self.page.locator(selector).first).screenshot(path=target)
        return target

    def close(self) -> None:
        """Ends the page."""
        if not self.page.is_closed():
            self.page.close()

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location.get('url', '')})")

    def _note(self, text: str) -> None:
        if any(word in text for word in _OURS) and not _ASKED_FIRST.search(text):
            self.complaints.append(text)


def check_accessibility(page: Any, selector: str, **options: Any) -> None:
    """Fails with every rule of WCAG 2.2 A and AA that one of our own panels breaks, as axe-core finds it.

    selector: CSS of the panel. options: more for axe.run, such as rules={"color-contrast": {"enabled": False}}.
    """
    import pytest

    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing"
    )
    assert page.locator(selector).count(), f"nothing to check: the page has no {selector}"
    results = (
        axe.Axe().run(page, selector, {"runOnly": {"type": "tag", "values": _RULES}, **options}).response
    )
    found = [
        f"{each['id']} ({each['impact']}): {each['help']}: {node['html'][:200]}"
        for each in results["violations"]
        for node in each["nodes"]
    ]
    assert found == [], "\n".join(found)
