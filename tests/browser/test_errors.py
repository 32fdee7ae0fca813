"""What goes wrong is said where one looks: on the node and in a message, in both front ends and every language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browsing import MODES, THEMES, Seen

LANGUAGES = {"en": "The sentence is empty", "zh": "句子是空的", "ja": "文が空です"}
CASES = [*((mode, theme, "en") for mode, theme in zip(MODES, THEMES, strict=True)), ("vue", "light", "zh"),
         ("litegraph", "light", "ja")]  # fmt: skip


def press_run(seen: Seen) -> None:
    seen.page.evaluate("() => window.app.queuePrompt(0)")


def on_node(seen: Seen) -> Any:
    return seen.page.locator(".sa-failure")


def in_message(seen: Seen, words: str) -> Any:
    return seen.page.locator(".p-toast-message", has_text=words)


@pytest.mark.parametrize(("mode", "theme", "language"), CASES)
def test_a_refused_workflow_says_why_on_the_node_and_in_a_message(
    look: Callable[..., Seen], mode: str, theme: str, language: str
) -> None:
    seen = look(mode, theme, (1440, 900), {"Comfy.Locale": language})
    seen.open("Score a video", {"SpatialAlign_ScoreVideo": {"sentence": " "}})
    press_run(seen)
    words = LANGUAGES[language]
    in_message(seen, words).first.wait_for()
    on_node(seen).wait_for()
    assert words in on_node(seen).inner_text()
    seen.settle(500)
    seen.picture(f"refused {mode} {language}")
    # What was wrong is mended: the box goes.
    seen.set(
        "SpatialAlign_ScoreVideo",
        {"sentence": "a fox is left of a box, then it jumps to the right of the box"},
    )
    press_run(seen)
    seen.page.wait_for_function("!document.querySelector('.sa-failure')")
    seen.page.locator(".sa-score video").first.wait_for()
    seen.complaints.clear()  # ComfyUI itself writes every refusal into the console


@pytest.mark.parametrize(("mode", "theme"), list(zip(MODES, reversed(THEMES), strict=True)))
def test_a_node_that_fails_says_why_on_itself_and_in_a_message(
    look: Callable[..., Seen], mode: str, theme: str
) -> None:
    seen = look(mode, theme, (1440, 900))
    # One frame: only known when it is there.
    seen.open("Score a video", {"SpatialAlign_SpriteClip": {"frames": 2}})
    seen.page.evaluate(
        """() => {
            const node = (kind) => window.app.graph._nodes.find(({ type }) => type === kind);
            const [clip, scorer] = ["SpatialAlign_SpriteClip", "SpatialAlign_ScoreVideo"].map(node);
            const mask = window.LiteGraph.createNode("SolidMask");
            window.app.graph.add(mask);
            for (const name of ["subject_mask", "object_mask"]) {
                mask.connect(0, scorer, scorer.inputs.findIndex((each) => each.name === name));
            }
        }"""
    )
    press_run(seen)
    words = "The masks are 512 x 512 x 1 (width x height x frames), the video is 384 x 256 x 2"
    in_message(seen, words).first.wait_for()
    on_node(seen).wait_for()
    assert on_node(seen).inner_text().startswith(words)
    seen.settle(500)
    seen.picture(f"failed {mode} {theme}")
