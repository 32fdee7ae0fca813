"""What is understood of sentences, seen while they are typed; old verdicts; one's own prompts and their upload."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import MODES, PACK, Seen, check_accessibility

Look = Callable[..., Seen]
SCORE, CLIP, SET = "SpatialAlign_ScoreVideo", "SpatialAlign_SpriteClip", "SpatialAlign_PromptSet"
FOX = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."
LIST = """# mine
A cat is on the left of a box, then it jumps to the right of the box.
A dog is on the right of a chair, then it walks to the left of the chair.
a cat next to a box
A cat is on the left of a box, then it jumps to the right of the box."""

_WIDGET = """([kind, name]) => {
    const all = [window.app.graph, ...(window.app.graph.subgraphs?.values() ?? [])].flatMap((each) => each._nodes);
    return all.find((each) => each.type === kind).widgets.find((each) => each.name === name);
}"""


def value(seen: Seen, kind: str, name: str) -> Any:
    return seen.page.evaluate(f"(which) => ({_WIDGET})(which).value", [kind, name])


def panel(seen: Seen, kind: str, name: str = "spatialalign_reading") -> Any:
    """The element below the sentence."""
    return seen.page.evaluate_handle(f"(which) => ({_WIDGET})(which).element", [kind, name]).as_element()


def fields(seen: Seen, kind: str) -> list[str]:
    return [
        each.evaluate("(each) => each.value")
        for each in panel(seen, kind).query_selector_all("input, select")
    ]


def wait_for_fields(seen: Seen, kind: str, wanted: list[str]) -> None:
    seen.page.wait_for_function(
        f"""([which, wanted]) => {{
            const fields = [...({_WIDGET})(which).element.querySelectorAll("input, select")].map((each) => each.value);
            return JSON.stringify(fields) === JSON.stringify(wanted);
        }}""",
        arg=[[kind, "spatialalign_reading"], wanted],
    )


def wait_for_text(seen: Seen, wanted: str, kind: str = SCORE, name: str = "sentence") -> None:
    seen.page.wait_for_function(
        f"([which, wanted]) => ({_WIDGET})(which).value === wanted", arg=[[kind, name], wanted]
    )


def choose(seen: Seen, kind: str, number: int, chosen: str) -> None:
    """Another part: 0 subject, 1 object, 2 from, 3 to."""
    field = panel(seen, kind).query_selector_all("input, select")[number]
    if number < 2:
        field.fill(chosen)
        field.press("Enter")
    else:
        field.select_option(chosen)


def outdated(seen: Seen, wanted: int) -> None:
    seen.page.wait_for_function(
        "(wanted) => document.querySelectorAll('.sa-outdated').length === wanted", arg=wanted
    )


@pytest.mark.parametrize("mode", MODES)
def test_a_sentence_is_read_while_it_is_typed_and_old_verdicts_turn_grey(look: Look, mode: str) -> None:
    seen = look(mode, "light" if mode == "vue" else "dark")
    seen.open("Score a video")
    wait_for_fields(seen, SCORE, ["fox", "box", "L", "R"])
    seen.run()
    outdated(seen, 0)

    choose(seen, SCORE, 3, "T")
    wait_for_text(seen, FOX.replace("to the right of", "on top of"))
    wait_for_fields(seen, SCORE, ["fox", "box", "L", "T"])
    outdated(seen, 1)
    choose(seen, SCORE, 3, "R")
    wait_for_text(seen, FOX)
    choose(seen, SCORE, 0, "owl")
    wait_for_text(seen, FOX.replace("a fox", "an owl").replace("fox", "owl"))
    wait_for_fields(seen, SCORE, ["owl", "box", "L", "R"])

    seen.set(SCORE, {"sentence": "two cats are on the left of a box, then they hide behind the box"})
    wait_for_fields(seen, SCORE, ["cats", "box", "L", "B"])
    said = panel(seen, SCORE).inner_text()
    assert "several things" in said and "'behind' is known but not scored" in said
    assert len(panel(seen, SCORE).query_selector_all(".sa-doubtful")) == 2
    seen.centre_on(SCORE)
    seen.picture(f"sentence in doubt {mode}")
    check_accessibility(seen.page, ".sa-reading")

    seen.set(SCORE, {"sentence": FOX})
    outdated(seen, 0)  # it is what the verdict was made of
    seen.set(CLIP, {"frames": 17})
    outdated(seen, 1)
    seen.run()
    outdated(seen, 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_sentence_from_another_node_and_through_a_subgraph(look: Look, mode: str) -> None:
    seen = look(mode)
    seen.load(json.loads((PACK / "subgraphs" / "Score a Video.json").read_text(encoding="ascii")))
    seen.page.evaluate(
        """() => {
            const { graph } = window.app;
            const text = window.LiteGraph.createNode("PrimitiveStringMultiline");
            text.widgets[0].value = "A pig is on the left of a pot, then it jumps on top of the pot.";
            graph.add(text);
            const host = graph._nodes.find((each) => each.subgraph);
            text.connect(0, host, host.inputs.findIndex((each) => each.name === "sentence"));
        }"""
    )
    wait_for_fields(seen, SCORE, ["pig", "pot", "L", "T"])
    panel(seen, SCORE).evaluate(
        """(each) => {
            const field = each.querySelector("input");
            field.value = "cat";
            field.dispatchEvent(new Event("change"));
        }"""
    )
    changed = "A cat is on the left of a pot, then it jumps on top of the pot."
    wait_for_text(seen, changed, "PrimitiveStringMultiline", "value")
    wait_for_fields(seen, SCORE, ["cat", "pot", "L", "T"])


@pytest.mark.parametrize("mode", MODES)
def test_settings_are_saved_as_before_and_come_back(look: Look, mode: str) -> None:
    """The panel stands between two settings, and ComfyUI saves them by place."""
    seen = look(mode)
    seen.open("Score a video", {SCORE: {"sentence": FOX, "rule": "default"}})
    saved = seen.page.evaluate("() => window.app.graph.serialize()")
    node = next(each for each in saved["nodes"] if each["type"] == SCORE)
    assert node["widgets_values"] == [FOX, "default", "auto"]
    seen.load(saved)
    assert [value(seen, SCORE, name) for name in ("sentence", "rule", "box_format")] == [
        FOX,
        "default",
        "auto",
    ]
    wait_for_fields(seen, SCORE, ["fox", "box", "L", "R"])


@pytest.mark.parametrize("mode", MODES)
def test_own_prompts_are_read_and_uploaded(look: Look, mode: str, tmp_path: Path) -> None:
    seen = look(mode)
    seen.page.evaluate(
        """(kind) => {
            const { graph } = window.app;
            graph.clear();
            const [set, shown] = [kind, "PreviewAny"].map((each, index) => {
                const node = window.LiteGraph.createNode(each);
                node.pos = [900 * index, 0];
                graph.add(node);
                return node;
            });
            set.connect(0, shown, 0);
        }""",
        SET,
    )
    shown = seen.page.locator(".sa-reading")
    shown.get_by_text("From the word lists").wait_for()
    seen.centre_on(SET, 0.8)
    seen.set(SET, {"own_prompts": LIST})
    shown.get_by_text("4 read: 2 understood, 1 not understood, 1 repeated").wait_for()
    shown.get_by_text("line 4").wait_for()
    assert "same sentence as in line 2" in shown.inner_text()

    name = f"my prompts {mode}.csv"
    (tmp_path / name).write_bytes(("prompt\r\n" + "\r\n".join(LIST.splitlines()[1:3])).encode("utf-16"))
    seen.set(SET, {"own_prompts": ""})
    with seen.page.expect_file_chooser() as chooser:
        shown.get_by_role("button", name="Upload").click()
    chooser.value.set_files(tmp_path / name)
    shown.get_by_text("2 read: 2 understood").wait_for()
    assert value(seen, SET, "csv_file") == name
    seen.picture(f"own prompts {mode}")
    check_accessibility(seen.page, ".sa-reading")
    entry = seen.run()
    said = json.dumps(entry["outputs"])
    assert all(prompt in said for prompt in LIST.splitlines()[1:3])
