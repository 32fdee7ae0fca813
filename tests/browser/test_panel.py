"""The score chart on its nodes and the training panel, seen in both front ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import MODES, PACK, THEMES, Seen, check_accessibility
from made_up_runs import EVIL, finished_run, training_run, with_rounds
from server import Server

BOTH = list(zip(MODES, THEMES, strict=True))
CROSSED = list(zip(MODES, reversed(THEMES), strict=True))
WIDE = (2560, 1300)
Look = Callable[..., Seen]


@pytest.fixture
def runs(server: Server) -> Path:
    """The folder of all runs, empty."""
    folder = server.base / "output" / "spatialalign"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def open_tab(seen: Seen) -> Any:
    """The pack's tab in the sidebar, opened by its button."""
    if not seen.page.locator(".sa-tab").count():
        seen.page.locator("button[aria-label^='SpatialAlign']").first.click()
    tab = seen.page.locator(".sa-tab")
    tab.wait_for()
    return tab


def panel(seen: Seen) -> Any:
    return open_tab(seen).locator(".sa-training")


def frame_of(seen: Seen) -> float:
    """Where the score chart's video stands, in frames."""
    seen.page.wait_for_function("!document.querySelector('.sa-score video').seeking")
    return float(seen.page.evaluate("document.querySelector('.sa-score video').currentTime")) * 8


@pytest.mark.parametrize(("mode", "theme"), BOTH)
def test_score_chart(look: Look, mode: str, theme: str) -> None:
    seen = look(mode, theme)
    seen.open("Score a video")
    seen.run()
    seen.page.get_by_text("DSR-Score 0.").first.wait_for()
    seen.centre_on("SpatialAlign_ScoreVideo")
    chart = seen.page.locator(".sa-score")
    for words in ("DSR-Score", "obeys the sentence", "starts left: yes", "ends right: yes", "(should rise)"):
        chart.get_by_text(words).first.wait_for()
    assert chart.locator("path.sa-line").count() == 2

    slider = chart.get_by_role("slider")
    slider.focus()
    seen.page.wait_for_function("document.querySelector('.sa-score video').readyState >= 2")
    seen.page.keyboard.press("Home")
    assert 0 <= frame_of(seen) < 1
    for _ in range(3):
        seen.page.keyboard.press("ArrowRight")
    seen.settle()
    assert 3 <= frame_of(seen) < 4
    assert chart.get_by_text("frame 3: left of the box +").count() == 1
    assert slider.get_attribute("aria-valuenow") == "3"
    box = slider.bounding_box()
    seen.page.mouse.move(box["x"] + box["width"] - 14, box["y"] + 20)
    seen.settle()
    assert 17 <= frame_of(seen) < 18
    seen.picture(f"score chart {mode} {theme}")
    check_accessibility(seen.page, ".sa-score")


@pytest.mark.parametrize(("mode", "theme"), CROSSED)
def test_tracks_and_drawings_have_the_chart_too(look: Look, mode: str, theme: str) -> None:
    seen = look(mode, theme, WIDE)
    seen.open("Detect a video")
    seen.run()
    seen.page.locator(".sa-score").nth(1).wait_for()
    seen.picture(f"detect a video {mode} {theme} wide")


def test_frames_that_do_not_count_say_why(look: Look) -> None:
    seen = look()
    seen.open("Score a video")
    data = {
        "frames": 4, "title": "No score", "good": None, "low": -1, "high": 1, "bridged": [], "parts": [], "video": None,
        "lines": [{"words": EVIL, "values": [0.5, None, None, -0.5]}, {"words": "then", "values": [0, None, None, 1]}],
        "gaps": [{"from": 1, "to": 2, "reason": f"the {EVIL} was not found"}], "reason": f"too few {EVIL}",
    }  # fmt: skip
    seen.page.evaluate(
        """(data) => window.app.graph._nodes.find((node) => node.type === "SpatialAlign_ScoreVideo")
            .onExecuted({ spatialalign_score: [data], text: ["in words"] })""",
        data,
    )
    chart = seen.page.locator(".sa-score")
    chart.get_by_text(f"Not valid: too few {EVIL}").wait_for()
    assert chart.locator("rect.sa-band").count() == 1
    chart.get_by_role("slider").focus()
    for key, words in (
        ("Home", f"frame 0: {EVIL} +0.50, then 0.00"),
        ("ArrowRight", f"the {EVIL} was not found"),
    ):
        seen.page.keyboard.press(key)
        chart.get_by_text(words).wait_for()
    assert chart.locator("img").count() == 0


@pytest.mark.parametrize(("mode", "theme"), BOTH)
def test_a_finished_run_opens_again(look: Look, runs: Path, mode: str, theme: str) -> None:
    finished_run(runs / "done", steps=60, looks=3, prompts=4)
    seen = look(mode, theme)
    alerts: list[str] = []
    seen.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    shown = panel(seen)
    shown.get_by_text("Finished").wait_for()
    shown.get_by_text("step 60 of 60").wait_for()
    shown.get_by_text("12 pairs, newest first").wait_for()
    for title in ("Loss", "Margin", "Implicit accuracy", "Held-out score"):
        assert shown.get_by_text(title, exact=True).first.is_visible()
    shown.get_by_text("base 0.").wait_for()
    assert not shown.get_by_role("button", name="Pause").is_visible()
    assert shown.locator("p", has_text=EVIL).count() >= 1
    assert shown.locator("img").count() == 0

    shown.locator(".sa-pair").first.scroll_into_view_if_needed()
    shown.locator(".sa-pair").first.press("Enter")
    seen.page.wait_for_function(
        "[...document.querySelectorAll('.sa-pair')][0].querySelectorAll('video').length === 2"
        " && [...[...document.querySelectorAll('.sa-pair')][0].querySelectorAll('video')].every((v) => !v.paused)"
    )
    shown.locator(".sa-pair").first.press("Enter")
    seen.picture(f"training finished {mode} {theme}")
    check_accessibility(seen.page, ".sa-tab")
    shown.locator("select").select_option(f"={EVIL}")
    shown.get_by_text("3 pairs, newest first").wait_for()

    shutil.rmtree(runs / "done")
    shown.get_by_text("There is no run 'done' any more").wait_for(timeout=40_000)
    seen.picture(f"training deleted {mode} {theme}")
    assert alerts == []
    # The browser notes every refusal in its console; that of a run which is gone is meant.
    seen.complaints[:] = [line for line in seen.complaints if "404" not in line]


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            [
                "Browse videos and pairs",
                "Finished",
                "step 40 of 40",
                "Held-out score",
                "4 pairs, newest first",
            ],
        ),
        ("ja", ["動画とペアを見る", "完了", "ステップ 40 / 40", "ホールドアウトスコア", "4 組、新しい順"]),
        ("zh", ["浏览视频和样本对", "已完成", "第 40 步，共 40 步", "留出视频得分", "4 组，新的在前"]),
    ],
)
def test_the_panel_speaks_the_artists_language(
    look: Look, runs: Path, language: str, said: list[str]
) -> None:
    finished_run(runs / "done", steps=40, looks=2, prompts=2)
    seen = look(settings={"Comfy.Locale": language})
    tab = open_tab(seen)
    for words in said:
        tab.get_by_text(words, exact=True).first.wait_for()
    if language != "en":
        assert tab.evaluate(_IN_ENGLISH, [EVIL, "In a meadow, a fox"]) == []
    seen.picture(f"training {language}")


# Text and labels with a word of Latin letters, but for names and prompts, which other languages keep.
_IN_ENGLISH = """(root, prompts) => [root, ...root.querySelectorAll("*")]
    .flatMap((each) => [
        ...["title", "aria-label", "aria-valuetext"].map((name) => each.getAttribute(name) ?? ""),
        ...[...each.childNodes].filter((child) => child.nodeType === 3).map((child) => child.textContent),
    ])
    .map((words) => words.replace(/LoRA|DSR|SpatialAlign|done|fast/g, "").trim())
    .filter((words) => /[A-Za-z]{2}/.test(words) && !prompts.some((prompt) => words.includes(prompt)))"""


def test_steering_reload_and_a_second_tab(look: Look, runs: Path) -> None:
    with training_run(runs / "live") as layout:
        first = look()
        shown = panel(first)
        shown.locator(".sa-state").get_by_text("Training", exact=True).wait_for()
        shown.get_by_text("3.2 GB of 16 GB").wait_for()
        shown.get_by_role("button", name="Pause").press("Enter")
        shown.get_by_text("Paused", exact=True).wait_for()
        first.picture("training paused")
        check_accessibility(first.page, ".sa-tab")

        first.reload()
        panel(first).get_by_text("Paused", exact=True).wait_for()
        second = look()
        panel(second).get_by_text("Paused", exact=True).wait_for()
        panel(second).get_by_role("button", name="Resume").click()
        for each in (first, second):
            panel(each).get_by_text("Training", exact=True).wait_for()
        assert not layout.control.asked("pause")
        panel(second).get_by_role("button", name="Stop").click()
        for each in (first, second):
            panel(each).get_by_text("Stopped; run it again and it goes on").wait_for()


@pytest.mark.parametrize(("mode", "theme"), CROSSED)
def test_the_trainer_shows_the_run_of_its_workflow(look: Look, runs: Path, mode: str, theme: str) -> None:
    finished_run(runs / "other", steps=20, looks=1, prompts=1)
    finished_run(runs / "mine", steps=40, looks=2, prompts=2)
    seen = look(mode, theme, WIDE)
    seen.open("Quickstart", {"SpatialAlign_Generate": {"run_folder": "mine"}})
    workflow = seen.page.evaluate("window.app.graph.serialize()")
    seen.load(workflow)
    node = seen.page.locator(".sa-training")
    node.get_by_text("step 40 of 40").wait_for()
    seen.centre_on("SpatialAlign_TrainLora")
    # The list of videos has no end; the node has.
    assert node.evaluate("(panel) => panel.clientHeight < 1000 && panel.scrollHeight > panel.clientHeight")
    seen.picture(f"training on its node {mode} {theme} wide")
    # The event of a node that trains elsewhere turns to that run.
    number = seen.page.evaluate(
        "String(window.app.graph._nodes.find((node) => node.type === 'SpatialAlign_TrainLora').id)"
    )
    seen.page.evaluate(
        "(detail) => window.app.api.dispatchEvent(new CustomEvent('spatialalign', { detail }))",
        {"kind": "train", "run": "other", "node": number, "step": 1, "total": 2},
    )
    node.get_by_text("step 20 of 20").wait_for()
    assert "spatialalign_training" not in json.dumps(seen.page.evaluate("window.app.graph.serialize()"))


def test_long_runs_stay_smooth(look: Look, runs: Path) -> None:
    """3000 steps and 600 samples: few elements and little memory, on which the time of a frame depends; that time
    itself is only printed, since a busy machine makes it long."""
    finished_run(runs / "long", steps=3000, looks=50, prompts=12)
    seen = look()
    talk = seen.page.context.new_cdp_session(seen.page)
    shown = panel(seen)
    shown.get_by_text("600 pairs, newest first").wait_for()
    longest = _longest_frame(seen, talk)
    talk.send("HeapProfiler.collectGarbage")
    heap = talk.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    elements = shown.locator("*").count()
    videos = seen.page.locator(".sa-tab video").count()
    print(f"longest frame {longest:.0f} ms, page memory {heap:.0f} MB, {elements} elements, {videos} videos")
    seen.picture("training long")
    assert elements < 600 and videos <= 24
    assert heap < 200


def _longest_frame(seen: Seen, talk: Any, frames: int = 60) -> float:
    """Milliseconds that the page computes in the worst frame while the list is scrolled from one end to the other.

    Its own processor time, layout and paint included, so that other work on the machine does not count.
    """
    talk.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = {each["name"]: each["value"] for each in talk.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"]) * 1000

    times = []
    for frame in range(frames + 1):
        before = busy()
        seen.page.evaluate(
            """async (share) => {
                const list = document.querySelector(".sa-tab .sa-training");
                list.scrollTop = (list.scrollHeight - list.clientHeight) * share;
                await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            }""",
            frame / frames,
        )
        times.append(busy() - before)
    return max(times)


@pytest.mark.parametrize(("mode", "theme"), BOTH)
def test_rounds_show_their_chart_again_after_a_reload(look: Look, runs: Path, mode: str, theme: str) -> None:
    with_rounds(finished_run(runs / "by rounds", 20, 2, 2), (0.44, 0.61, 0.58))
    seen = look(mode, theme)
    template = PACK / "workflows" / "Continue with another round.json"
    workflow = json.loads(template.read_text(encoding="utf-8"))
    node = next(each for each in workflow["nodes"] if each["type"] == "SpatialAlign_Rounds")
    node["properties"]["spatialalign_run"] = "by rounds"
    seen.load(workflow)
    seen.centre_on("SpatialAlign_Rounds")
    chart = seen.page.locator(".sa-rounds")
    chart.get_by_text("round 1, the best: score 0.61, 61 % obey, learned from 40 pairs").wait_for()
    assert chart.locator("path.sa-line").count() == 2
    chart.get_by_role("slider").focus()
    seen.page.keyboard.press("Home")
    chart.get_by_text("before training: score 0.44, 44 % obey").wait_for()
    seen.picture(f"rounds {mode} {theme}")
    check_accessibility(seen.page, ".sa-rounds")
