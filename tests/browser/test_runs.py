"""The run browser and the Compare node in a real browser, on made runs: no model is asked for anything."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import MODES, PACK, THEMES, Seen, check_accessibility

sys.path.insert(0, str(PACK))

from spatialalign_core.run import Run, Side
from tests.made_runs import HALF_WAY, export_made, make_run

EVIL = "<img src=x onerror=alert(1)>"
PAIRS = {EVIL: [0.9, 0.1, 0.8, None], "a meadow": [0.9, 0.2], "a park": [0.3, 0.4, 0.2]}
MANY = {f"place {number}": [seed / 12 for seed in range(12)] for number in range(50)}
WIDTHS = {"dark": (1280, 800), "light": (2560, 1400)}


@pytest.fixture(scope="module")
def output(server: Any) -> Path:
    """Where the runs lie: "first" with pairs and a comparison, "many" with 600 videos and 3000 steps."""
    folder = Path(server.base) / "output" / "spatialalign"
    lora = folder.parent / "style.safetensors"
    lora.parent.mkdir(parents=True, exist_ok=True)
    lora.write_bytes(b"")
    held_out = {f"{EVIL} {number}": [0.1, 0.9] for number in range(6)}
    better = {name: [0.9, None] for name in held_out}
    run = make_run(
        folder / "first", {"base": PAIRS | held_out, Side(lora).set: better}, list(held_out), steps=200
    )
    export_made(run)
    list(run.compare(Side(), Side(lora), bootstrap=50))
    make_run(folder / "many", {"base": MANY}, steps=3000)
    return folder


@pytest.fixture
def browse(look: Callable[..., Seen], output: Path) -> Iterator[Callable[..., Any]]:
    """Opens the run browser on a run; gives what is seen, and the dialog. Nothing that a run is called may run."""
    alarms: list[str] = []

    def open_browser(run: str, mode: str = "litegraph", theme: str = "dark") -> tuple[Seen, Any]:
        seen = look(mode, theme, WIDTHS[theme])
        page = seen.page
        page.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
        page.evaluate("(run) => localStorage.setItem('spatialalign.run', run)", run)
        tab = page.locator(".spatialalign.sa-tab")
        if not tab.count():
            page.evaluate("() => window.app.extensionManager.sidebarTab.toggleSidebarTab('spatialalign')")
        page.get_by_role("button", name="Browse videos and pairs").click()
        dialog = page.locator("dialog.sa-browser")
        dialog.locator(".sa-tile").first.wait_for()
        return seen, dialog

    yield open_browser
    assert alarms == []


@pytest.mark.parametrize(("mode", "theme"), list(zip(MODES, THEMES, strict=True)))
def test_a_pair_is_played_dropped_and_exported(
    browse: Callable[..., Any], output: Path, mode: str, theme: str
) -> None:
    seen, dialog = browse("first", mode, theme)
    page = seen.page
    assert dialog.get_by_text(f"In {EVIL}, a fox").first.is_visible()
    assert page.locator('img[src="x"]').count() == 0
    scores = dialog.locator(".sa-tile").evaluate_all(
        "tiles => tiles.slice(0, 3).map((each) => each.textContent)"
    )
    assert scores == ["seed 0winnerscore 0.90", "seed 2winnerscore 0.80", "seed 1loserscore 0.10"]
    dialog.locator(".sa-tile").first.press("Enter")
    dialog.get_by_text("A pair by score, 0.80 apart.").wait_for()
    page.wait_for_function(
        """() => {
            const videos = [...document.querySelectorAll(".sa-browser video")];
            return videos.length === 2 && videos.every((each) => !each.paused && each.currentTime > 0);
        }"""
    )
    seen.picture(f"runs {mode} {theme}")
    dialog.get_by_role("button", name="Drop", exact=True).focus()
    page.keyboard.press("d")
    dialog.get_by_text("Dropped by hand.").wait_for()
    dialog.get_by_text("Pairs were kept or dropped by hand since the last export.").wait_for()
    dialog.get_by_role("button", name="Export pairs again").click()
    dialog.get_by_text("By hand: 1 dropped.").wait_for()
    seen.picture(f"runs exported {mode} {theme}")
    page.keyboard.press("a")
    dialog.get_by_text("A pair by score, 0.80 apart.").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    rulings = Run(output / "first").rulings_file.read_text(encoding="utf-8")
    assert '"rulings": []' in rulings


def test_a_video_that_stops_half_way_is_no_winner_and_an_old_comparison_opens(
    browse: Callable[..., Any], output: Path
) -> None:
    side, held_out = Side(output.parent / "style.safetensors"), ["a lake", "a pond"]
    base = {"a meadow": [0.9, HALF_WAY]} | {each: [HALF_WAY] for each in held_out}
    sets = {"base": base, side.set: {each: [0.9] for each in held_out}}
    run = make_run(output / "half way", sets, held_out)
    list(run.compare(Side(), side, seeds=1, bootstrap=20))
    [file] = run.comparisons_folder.glob("*/comparison.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    for sample in data["samples"]:  # as version 0.1 wrote it
        for each in "ab":
            del sample[each]["obeys"]
    file.write_text(json.dumps({k: v for k, v in data.items() if not k.startswith("obey")}), encoding="utf-8")
    seen, dialog = browse("half way")
    dialog.get_by_label("Find in prompts").fill("a meadow")
    dialog.get_by_text("2 videos of 1 prompt").wait_for()
    tiles = dialog.locator(".sa-tile").evaluate_all(
        "tiles => tiles.map((each) => [each.textContent, each.querySelector('b').className, each.title])"
    )
    assert tiles == [
        ["seed 0winnerscore 0.90", "sa-good", "First, middle and last frame; press to play"],
        ["seed 1loserscore 0.75", "sa-poor", "it does not end right of the box"],
    ]
    dialog.get_by_label("Comparisons").select_option("no LoRA against style at 1")
    dialog.get_by_text("Score of at least 0.7").wait_for()
    dialog.get_by_text("Compare again to see how many of them").wait_for()
    assert dialog.get_by_text("Videos that obey").count() == 0
    seen.picture("runs old comparison")


def test_any_two_videos_can_be_made_a_pair(browse: Callable[..., Any]) -> None:
    _, dialog = browse("first")
    dialog.get_by_label("Which prompts").select_option("all prompts")
    dialog.get_by_label("Find in prompts").fill("a park")
    dialog.get_by_text("3 videos of 1 prompt").wait_for()
    dialog.locator(".sa-tile").first.click()
    dialog.get_by_text("both are losers. Keep it if the left one is better.").wait_for()
    dialog.get_by_role("button", name="Swap").click()
    dialog.get_by_role("button", name="Keep", exact=True).click()
    dialog.get_by_text("Kept by hand.").wait_for()
    dialog.get_by_text("1 kept by hand", exact=False).first.wait_for()
    dialog.get_by_role("button", name="As scored").click()
    dialog.get_by_text("both are losers").wait_for()


def test_six_hundred_videos_scroll_smoothly(browse: Callable[..., Any]) -> None:
    """And the arrow keys go through all. Under 200 MB, few elements. How long a frame takes is told, but no matter for
    a test: others use the computer too."""
    seen, dialog = browse("many")
    page = seen.page
    dialog.locator(".sa-tile").first.focus()
    for _ in range(60):
        page.keyboard.press("ArrowDown")
    words = page.evaluate("() => document.activeElement.closest('.sa-list-row').textContent")
    assert "seed" in words and dialog.locator(".sa-tile").count() < 120
    top = page.evaluate("() => document.activeElement.closest('.sa-scroll').scrollTop")
    assert top > 1000
    assert dialog.get_by_text("600 videos of 50 prompts").is_visible()
    session = page.context.new_cdp_session(page)
    slowest = min(_slowest_frame(page) for _ in range(4))
    used = page.evaluate("() => performance.memory.usedJSHeapSize") / 2**20
    session.send("HeapProfiler.collectGarbage")
    nodes = session.send("Memory.getDOMCounters")["nodes"]
    print(f"slowest frame {slowest:.0f} ms, heap {used:.0f} MiB, {nodes} DOM nodes")
    assert dialog.locator(".sa-tile").count() < 120 and dialog.locator("video").count() <= 2
    assert used < 200


def _slowest_frame(page: Any) -> float:
    return float(
        page.evaluate(
            """() => new Promise((done) => {
                const list = document.querySelector(".sa-browser-middle .sa-scroll");
                const end = list.scrollHeight - list.clientHeight;
                let slowest = 0, frames = 0, last = performance.now();
                list.scrollTop = 0;
                const step = (now) => {
                    if (frames > 2) slowest = Math.max(slowest, now - last);
                    last = now;
                    frames += 1;
                    list.scrollTop = (end * frames) / 90;
                    if (frames < 90) requestAnimationFrame(step);
                    else done(slowest);
                };
                requestAnimationFrame(step);
            })"""
        )
    )


def test_a_run_that_is_deleted_while_it_is_open(browse: Callable[..., Any], output: Path) -> None:
    shutil.copytree(output / "first", output / "doomed")
    seen, dialog = browse("doomed")
    dialog.locator(".sa-tile").first.click()
    dialog.locator(".sa-pair-row").first.wait_for()
    shutil.rmtree(output / "doomed")
    dialog.get_by_role("button", name="Drop", exact=True).click()
    dialog.get_by_text("There is no run 'doomed' any more").wait_for()
    seen.picture("runs deleted")
    dialog.locator(".sa-run", has_text="first").click()
    dialog.get_by_text("any more").wait_for(state="detached")
    dialog.get_by_text(f"In {EVIL}, a fox").first.wait_for()
    seen.complaints.clear()  # the browser itself notes what was refused


@pytest.mark.parametrize(("mode", "theme"), list(zip(MODES, THEMES, strict=True)))
def test_a_comparison_on_its_node(look: Callable[..., Seen], output: Path, mode: str, theme: str) -> None:
    """As it is when a saved workflow is opened again."""
    [name] = [folder.name for folder in (output / "first/comparisons").iterdir()]
    seen = look(mode, theme)
    node = {
        "id": 1, "type": "SpatialAlign_Compare", "pos": [100, 60], "size": [560, 900], "flags": {}, "order": 0,
        "mode": 0, "inputs": [], "outputs": [], "widgets_values": [],
        "properties": {"spatialalign_comparison": {"run": "first", "name": name}},
    }  # fmt: skip
    seen.load({"last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "groups": [], "config": {},
               "extra": {}, "version": 0.4})  # fmt: skip
    seen.centre_on("SpatialAlign_Compare", 0.8)
    panel = seen.page.locator(".sa-comparison")
    panel.get_by_text("Videos that obey").wait_for()
    assert panel.get_by_text("B: style at 1").first.is_visible()
    assert panel.locator("tbody tr").first.inner_text().split()[:4] == ["Videos", "that", "obey", "50"]
    panel.locator(".sa-pair-row").nth(1).click()
    seen.page.wait_for_function("() => document.querySelectorAll('.sa-comparison video').length === 2")
    seen.settle(1500)
    seen.picture(f"compare {mode} {theme}")


@pytest.mark.parametrize("theme", THEMES)
def test_everybody_can_use_it_and_its_comparisons(browse: Callable[..., Any], theme: str) -> None:
    seen, dialog = browse("first", "litegraph", theme)
    dialog.locator(".sa-tile").first.click()
    dialog.locator(".sa-pair-row").first.wait_for()
    check_accessibility(seen.page, "dialog.sa-browser")
    dialog.get_by_label("Comparisons").select_option("no LoRA against style at 1")
    dialog.get_by_text("Videos that obey").wait_for()
    check_accessibility(seen.page, "dialog.sa-browser")
    dialog.locator(".sa-comparison video").nth(1).wait_for()
    seen.picture(f"runs comparison {theme}")
    link = dialog.get_by_role("link", name="Picture to share").get_attribute("href")
    status, kind = seen.page.evaluate(
        "(url) => fetch(url).then((a) => [a.status, a.headers.get('content-type')])", link
    )
    assert (status, kind) == (200, "image/png")
