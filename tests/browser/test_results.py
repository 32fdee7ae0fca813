"""What is found where one looks: videos that play, both sides with their scores, the report, and that again later."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import MODES, PACK, THEMES, Seen, check_accessibility
from server import Server

sys.path.insert(0, str(PACK))

from tests.made_runs import HALF_WAY, make_run

BOTH = list(zip(MODES, THEMES, strict=True))
CROSSED = list(zip(MODES, reversed(THEMES), strict=True))
Look = Callable[..., Seen]
_PLAYING = """(css) => [...document.querySelectorAll(`${css} video`)]
    .filter((each) => !each.paused && each.videoWidth).length"""


@pytest.fixture
def runs(server: Server) -> Path:
    """The folder of all runs, empty."""
    folder = server.base / "output" / "spatialalign"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def opened(seen: Seen, kind: str, properties: dict[str, Any]) -> None:
    """A workflow with one node that remembers something, as a saved one does."""
    node = {"id": 1, "type": kind, "pos": [0, 0], "size": [480, 850], "properties": properties}
    nodes = {"version": 0.4, "last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "groups": []}
    seen.load(nodes)
    seen.centre_on(kind, 0.9)


def plays(seen: Seen, css: str, least: int) -> None:
    seen.page.wait_for_function(f"(css) => ({_PLAYING})(css) >= {least}", arg=css)


@pytest.mark.parametrize(("mode", "theme"), BOTH)
def test_an_evaluation_shows_both_sides_and_opens_its_report(
    look: Look, runs: Path, mode: str, theme: str
) -> None:
    scores = {
        "base": {"hill": [0.1, 0.9], "meadow": [0.2, HALF_WAY], "beach": [0.3, None]},
        "aligned": {"hill": [0.9, 0.95], "meadow": [0.85, 0.9], "beach": [0.8, 0.2]},
    }
    run = make_run(runs / "made", scores, held_out=["hill", "meadow", "beach"])
    list(run.evaluate(bootstrap=200, settings={"LoRA": "fox", "strength": 1.0}))
    run.video_path("aligned", "hill", 1).unlink()
    seen = look(mode, theme)
    opened(seen, "SpatialAlign_Evaluate", {"spatialalign_evaluation": {"run": "made"}})
    panel = seen.page.locator(".sa-evaluation")
    panel.get_by_text("17 % obey before, 83 % with LoRA").wait_for()
    panel.get_by_text(re.compile(r"Difference \+67 points, 95 % interval \+\d+ to \+\d+")).wait_for()
    panel.get_by_text("83 % could be scored before, 100 % with LoRA.").wait_for()
    plays(seen, ".sa-evaluation", 4)
    rows = panel.locator(".sa-list-row")
    assert "In hill" in rows.first.inner_text() and "(seed 0)" in rows.first.inner_text()  # it changed most
    for words in ("base", "\u2717 score 0.10", "with LoRA", "\u2713 score 0.90"):
        assert words in rows.first.inner_text()
    rows.first.locator(".sa-pair").press("Enter")
    assert rows.first.evaluate("(row) => [...row.querySelectorAll('video')].every((each) => each.paused)")

    chosen = panel.locator("select")
    chosen.select_option("worst")
    seen.settle()
    assert "score 0.20" in rows.first.inner_text() and "no score" in rows.first.inner_text()
    chosen.select_option("kept")
    panel.get_by_text("1 pair", exact=True).wait_for()
    panel.get_by_text("This video cannot be played").wait_for()
    seen.complaints[:] = [
        line for line in seen.complaints if "404" not in line
    ]  # the browser's own note of it
    chosen.select_option("changed")
    seen.picture(f"evaluation {mode} {theme}")
    check_accessibility(seen.page, ".sa-evaluation")

    with seen.page.context.expect_page() as opening:
        panel.get_by_role("link", name="Open report").click()
    report = opening.value
    report.wait_for_load_state()
    assert report.evaluate("document.title").startswith("On 3 prompts")
    until(report, "[...document.querySelectorAll('video')].every((each) => each.videoWidth)")
    assert report.evaluate("document.querySelectorAll('video').length") >= 12
    report.locator(".pair:not(.hero) .stage").first.click()
    until(report, "!document.querySelector('.pair:not(.hero) video').paused")
    assert report.evaluate("self.origin") == "null"  # a site of its own, which ComfyUI answers nothing
    report.close()


def until(page: Any, true: str) -> None:
    """`wait_for_function` for a page whose policy forbids what that needs."""
    for _ in range(200):
        if page.evaluate(true):
            return
        page.wait_for_timeout(100)
    raise AssertionError(true)


def _chain(seen: Seen) -> None:
    """Two clips, one of them a good one, picked from and collected, all in one workflow."""
    seen.page.evaluate(
        """() => {
            const { graph } = window.app;
            graph.clear();
            const add = (type, x, values = {}) => {
                const node = window.LiteGraph.createNode(type);
                node.pos = [x, 0];
                graph.add(node);
                for (const widget of node.widgets ?? []) widget.value = values[widget.name] ?? widget.value;
                return node;
            };
            const from = (node, name) => node.outputs.findIndex((each) => each.name === name);
            const to = (node, name) => node.inputs.findIndex((each) => each.name === name);
            const link = (one, out, other, into) => one.connect(from(one, out), other, to(other, into));
            const sentence = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box.";
            const good = add("SpatialAlign_SpriteClip", 0, { sentence, seed: 3 });
            const wrong = "In a meadow, a fox is on the right of a box, then the fox jumps to the left of the box.";
            const bad = add("SpatialAlign_SpriteClip", 0, { sentence: wrong, seed: 3 });
            bad.pos = [0, 600];
            const batch = add("ImageBatch", 500);
            const detector = add("SpatialAlign_LoadDetector", 500, { detector: "pocket" });
            detector.pos = [500, 300];
            const best = add("SpatialAlign_PickBest", 900, { sentence, clips: 2 });
            const kept = add("SpatialAlign_CollectSample", 1400, { sentence, run_folder: "kept", clips: 2 });
            link(bad, "images", batch, "image1");
            link(good, "images", batch, "image2");
            batch.connect(0, best, to(best, "images"));
            batch.connect(0, kept, to(kept, "images"));
            link(detector, "detector", best, "detector");
            const shown = add("PreviewImage", 1400);
            shown.pos = [1400, 900];
            best.connect(0, shown, 0);
        }"""
    )


@pytest.mark.parametrize(("mode", "theme"), CROSSED)
def test_clips_play_on_their_nodes_also_after_a_reload(look: Look, runs: Path, mode: str, theme: str) -> None:
    seen = look(mode, theme, (1440, 900))
    _chain(seen)
    seen.settle(800)

    def check() -> None:
        seen.page.wait_for_function("document.querySelectorAll('.sa-video-panel').length === 4")
        for kind, videos, words in (
            ("SpatialAlign_PickBest", 2, ["video 2, the best", "\u2713 score", "\u2717 score"]),
            ("SpatialAlign_CollectSample", 2, ["2 videos", "seed 0", "seed 1", "not scored"]),
            ("SpatialAlign_SpriteClip", 1, ["1 video"]),
        ):
            seen.centre_on(kind, 0.8)
            seen.settle(600)
            text = " ".join(seen.page.locator(".sa-video-panel").all_inner_texts())
            assert all(each in text for each in words), (kind, text)
            plays(seen, ".sa-video-panel", videos)
            seen.picture(f"videos {kind} {mode} {theme}")
        summaries = " ".join(seen.page.locator(".sa-summary").all_inner_texts())
        assert "1 new" in summaries or "2 videos in" in summaries, summaries

    seen.run()
    check()
    check_accessibility(seen.page, ".sa-video-panel")
    seen.reload()
    check()
    # ComfyUI runs nothing that it has the result of, and a page that never saw it shows it all the same.
    other = look(mode, theme, (1440, 900))
    _chain(other)
    other.run()
    other.page.wait_for_function("document.querySelectorAll('.sa-video-panel').length === 4")


@pytest.mark.parametrize("mode", MODES)
def test_a_box_is_as_tall_as_its_words(look: Look, mode: str) -> None:
    seen = look(mode)
    seen.open("Quickstart")
    heights = {}
    for words, lines in (
        ("One line.", 1),
        ("\n".join(["A line."] * 6), 6),
        ("\n".join(["A line."] * 60), 60),
    ):
        seen.page.evaluate(
            """(text) => window.app.graph._nodes.find((node) => node.type === "SpatialAlign_TrainLora")
                .onExecuted({ text: [text] })""",
            words,
        )
        seen.centre_on("SpatialAlign_TrainLora", 0.9)
        seen.settle(600)
        heights[lines] = seen.page.locator(".sa-summary").evaluate("(box) => box.offsetHeight")
    assert 20 <= heights[1] <= 40 and 100 <= heights[6] <= 130 and 200 <= heights[60] <= 270, heights
    assert json.dumps(seen.page.evaluate("window.app.graph.serialize()")).count("A line.") == 0
