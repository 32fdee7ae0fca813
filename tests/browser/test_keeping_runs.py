"""Looking after runs in the run browser, and its keys, in a real browser on made runs."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import MODES, PACK, THEMES, Seen, check_accessibility
from made_up_runs import many_runs

sys.path.insert(0, str(PACK))

from spatialalign_core.run import Run
from spatialalign_core.run.note import read_note
from tests.made_runs import export_made, make_run

SETS = {
    "base": {"a meadow": [0.9, 0.1, 0.8], "a lake": [0.9, 0.2], "a park": [0.7]},
    "aligned": {"a park": [0.9]},
}


@pytest.fixture(scope="module")
def root(server: Any) -> Path:
    root = Path(server.base) / "output" / "spatialalign"
    root.mkdir(parents=True, exist_ok=True)
    many_runs(root, 30)
    return root


@pytest.fixture
def browse(look: Callable[..., Seen], root: Path) -> Callable[..., Any]:
    """Opens the run browser on a fresh run "cats"."""

    def open_browser(mode: str = "litegraph", theme: str = "dark", locale: str = "en") -> tuple[Seen, Any]:
        for old in root.glob("[cC]ats*"):
            shutil.rmtree(old)
        export_made(make_run(root / "cats", SETS, ["a park"], steps=20))
        seen = look(mode, theme, (1440, 900), {"Comfy.Locale": locale})
        seen.page.set_default_timeout(20_000)
        seen.page.evaluate("() => localStorage.setItem('spatialalign.run', 'cats')")
        if not seen.page.locator(".spatialalign.sa-tab").count():
            seen.page.evaluate(
                "() => window.app.extensionManager.sidebarTab.toggleSidebarTab('spatialalign')"
            )
        seen.page.evaluate("() => window.app.canvas.canvas.focus()")
        seen.page.locator(".sa-tab-head button").last.click()
        dialog = seen.page.locator("dialog.sa-browser")
        dialog.locator(".sa-tile").first.wait_for()
        return seen, dialog

    return open_browser


def _rulings(root: Path) -> list[bool]:
    file = Run(root / "cats").rulings_file
    data = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"rulings": []}
    return [each["keep"] for each in data["rulings"]]


# Where the focus may be: on the browser's own elements, or on the page when what had it is gone.
FOCUS = {
    "a button": "document.querySelector('.sa-browser .sa-run').focus()",
    "a list to choose from": "document.querySelector('.sa-browser-tools select').focus()",
    "the scrubber": "document.querySelector('.sa-browser .sa-scrub').focus()",
    "nothing": "document.activeElement.blur()",
}


@pytest.mark.parametrize("mode", MODES)
def test_keys_work_wherever_the_focus_is(browse: Callable[..., Any], root: Path, mode: str) -> None:
    seen, dialog = browse(mode)
    page = seen.page
    page.evaluate("() => { window.queued = 0; window.app.queuePrompt = () => { window.queued += 1; }; }")
    page.keyboard.press("k")
    dialog.get_by_text("Choose a video first").wait_for()
    page.keyboard.press("ArrowRight")
    dialog.get_by_text("A pair by score").wait_for()
    first = dialog.locator(".sa-pair-text").inner_text()
    for focus in FOCUS.values():
        page.evaluate(focus)
        page.keyboard.press("d")
        dialog.get_by_text("Dropped by hand.").wait_for()
        page.keyboard.press("k")
        dialog.get_by_text("Kept by hand.").wait_for()
        page.keyboard.press("a")
        dialog.get_by_text("A pair by score").wait_for()
    assert _rulings(root) == []
    page.evaluate(FOCUS["nothing"])
    for key in ("Control+Enter", "r", "Delete"):  # ComfyUI's own
        page.keyboard.press(key)
    assert page.evaluate("() => window.queued") == 0
    dialog.get_by_role("button", name="Pause").wait_for()
    page.keyboard.press(" ")
    dialog.get_by_role("button", name="Play").wait_for()
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "(before) => document.querySelector('.sa-browser .sa-pair-text').textContent !== before", arg=first
    )
    assert page.evaluate("() => document.activeElement.matches('.sa-tile[aria-pressed=true]')")
    page.keyboard.press("/")
    page.keyboard.type("park d k")  # typing decides on nothing
    page.keyboard.press("?")
    assert page.evaluate("() => document.activeElement.value") == "park d k?"
    assert _rulings(root) == [] and not page.locator("dialog.sa-ask").count()
    page.evaluate(FOCUS["a button"])
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    keys.get_by_text("drop the pair").wait_for()
    check_accessibility(page, "dialog.sa-ask")
    page.keyboard.press("Escape")
    keys.wait_for(state="detached")
    assert dialog.is_visible()  # only what is on top
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


@pytest.mark.parametrize(("mode", "theme"), list(zip(MODES, THEMES, strict=True)))
def test_a_run_is_noted_renamed_deleted_and_restored(
    browse: Callable[..., Any], root: Path, mode: str, theme: str
) -> None:
    seen, dialog = browse(mode, theme)
    page = seen.page
    seen.load({"last_node_id": 1, "last_link_id": 0, "links": [], "groups": [], "config": {}, "extra": {},
               "version": 0.4, "nodes": [{"id": 1, "type": "SpatialAlign_Generate", "pos": [0, 0],
               "size": [300, 300], "flags": {}, "order": 0, "mode": 0, "inputs": [], "outputs": [],
               "properties": {}, "widgets_values": ["cats"]}]})  # fmt: skip
    ask = page.locator("dialog.sa-ask").last
    dialog.get_by_role("button", name="Note…").click()
    ask.get_by_role("textbox").fill("the cat is late <b>")
    ask.get_by_role("button", name="Keep note").click()
    dialog.locator(".sa-run-note", has_text="the cat is late <b>").wait_for()
    assert read_note(root / "cats") == "the cat is late <b>"

    dialog.get_by_role("button", name="Rename…").click()
    ask.get_by_label("New name").fill("night 01")
    ask.get_by_role("button", name="Rename").click()
    ask.get_by_text("There is a run 'night 01' already").wait_for()
    ask.get_by_label("New name").fill("Cats, late")
    ask.get_by_label("Change the open nodes too").wait_for()
    seen.picture(f"keeping rename {mode} {theme}")
    ask.get_by_role("button", name="Rename").click()
    dialog.get_by_role("heading", name="Cats, late").wait_for()
    assert (
        page.evaluate(
            "() => window.app.graph._nodes[0].widgets.find(({ name }) => name === 'run_folder').value"
        )
        == "Cats, late"
    )
    dialog.locator(".sa-tile").first.wait_for()
    seen.settle(1000)
    seen.picture(f"keeping {mode} {theme}")
    check_accessibility(page, "dialog.sa-browser")

    dialog.get_by_label("Find runs").fill("late cat")
    dialog.get_by_text("1 run", exact=True).wait_for()
    dialog.get_by_label("Find runs").fill("")
    dialog.get_by_label("Order of the runs").select_option("largest first")
    dialog.get_by_role("button", name="Delete…").click()
    ask.get_by_text("Open nodes name this run (1)").wait_for()
    seen.picture(f"keeping delete {mode} {theme}")
    ask.get_by_role("button", name="Move to the bin").click()
    dialog.get_by_text("Cats, late is in the bin.").wait_for()
    assert not (root / "Cats, late").exists()
    dialog.get_by_role("button", name="Bin (1,").click()
    ask.get_by_role("button", name="Restore Cats, late").wait_for()
    seen.picture(f"keeping bin {mode} {theme}")
    ask.get_by_role("button", name="Restore Cats, late").click()
    ask.get_by_text("Cats, late is restored.").wait_for()
    page.keyboard.press("Escape")
    assert len(Run(root / "Cats, late").samples()) == 6
    seen.complaints.clear()  # the browser itself notes what was refused


def test_a_run_is_shared_made_smaller_and_its_workflow_opened(
    browse: Callable[..., Any], root: Path, tmp_path: Path
) -> None:
    seen, dialog = browse()
    page = seen.page
    ask = page.locator("dialog.sa-ask").last
    dialog.get_by_role("button", name="Share…").click()
    ask.get_by_label("videos").check()
    seen.picture("keeping share")
    with page.expect_download() as download:
        ask.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "cats.zip"
    download.value.save_as(tmp_path / "cats.zip")
    with zipfile.ZipFile(tmp_path / "cats.zip") as pack:
        assert pack.testzip() is None and sum(name.endswith(".mp4") for name in pack.namelist()) == 7
    ask.wait_for(state="detached")
    dialog.get_by_role("button", name="Free space…").click()
    ask.get_by_text("Latents of the training videos").check()
    seen.picture("keeping free")
    ask.get_by_role("button", name="Delete these for good").click()
    dialog.get_by_text("are free now.").wait_for()
    dialog.get_by_label("Find runs").fill("night 01")
    dialog.get_by_text("1 run", exact=True).wait_for()
    dialog.locator(".sa-run", has_text="night 01").click()
    dialog.get_by_role("button", name="Open workflow").click()
    ask.get_by_role("button", name="Open workflow").click()
    dialog.get_by_text("is on the canvas").wait_for()
    assert page.evaluate("() => window.app.graph._nodes.map(({ type }) => type)") == ["SpatialAlign_Generate"]
    dialog.get_by_label("Find runs").fill("fox and box 21")
    link = dialog.get_by_role("link", name="Open the report of fox and box 21", exact=False)
    status = page.evaluate("(url) => fetch(url).then((answer) => answer.status)", link.get_attribute("href"))
    assert status == 200
