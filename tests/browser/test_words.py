"""Words as they are seen: languages, help pages and their pictures, blueprints."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from browsing import MODES, PACK, Seen

DOCS = PACK / "web" / "docs"
BLUEPRINTS = sorted((PACK / "subgraphs").glob("*.json"))


@pytest.mark.parametrize(("language", "title"), [("ja", "動画を採点"), ("zh", "视频评分")])
def test_nodes_speak_the_artists_language(look: Callable[..., Seen], language: str, title: str) -> None:
    seen = look("vue", settings={"Comfy.Locale": language})
    seen.open("Score a video")
    seen.page.get_by_text(title, exact=True).first.wait_for()
    seen.picture(f"locale {language}")


def test_every_help_picture_opens_as_its_graph(look: Callable[..., Seen]) -> None:
    seen = look()
    for picture in sorted((DOCS / "pictures").glob("*.png")):
        seen.page.evaluate(
            """async ([bytes, name]) => {
                const file = await (await fetch(`data:image/png;base64,${bytes}`)).blob();
                await window.app.handleFile(new File([file], name, { type: "image/png" }));
            }""",
            [base64.b64encode(picture.read_bytes()).decode(), picture.name],
        )
        seen.settle(300)
        assert seen.page.evaluate(
            "(name) => window.app.graph._nodes.some((node) => node.type === name)", picture.stem
        )
        assert seen.red_nodes() == [], picture.name


def test_help_page_shows_its_picture(look: Callable[..., Seen]) -> None:
    seen = look("vue", "light")
    seen.open("Score a video")
    seen.page.evaluate(
        """() => {
            const { canvas, graph } = window.app;
            canvas.selectItems([graph._nodes.find((node) => node.type === "SpatialAlign_ScoreVideo")]);
        }"""
    )
    seen.page.get_by_test_id("info-button").click()
    seen.page.wait_for_function(
        "document.querySelector(\"img[src*='pictures/SpatialAlign_ScoreVideo.png']\")?.naturalWidth > 0"
    )
    seen.picture("help page")


@pytest.mark.parametrize(("mode", "language"), [("litegraph", "ja"), ("vue", "zh")])
def test_notes_and_help_speak_the_artists_language(
    look: Callable[..., Seen], mode: str, language: str
) -> None:
    """What is word for word a template's; an edited note and a workflow of one's own stay as they are."""
    notes = json.loads((PACK / "tools" / "words" / f"{language}.notes.json").read_text(encoding="utf-8"))
    workflow = json.loads((PACK / "workflows" / "Score a video.json").read_text(encoding="utf-8"))
    texts = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    shown = """() => window.app.graph.serialize().nodes.filter((node) => node.type === "MarkdownNote")
        .map((node) => node.widgets_values[0])"""
    seen = look(mode, settings={"Comfy.Locale": language})
    seen.load(workflow)
    assert seen.page.evaluate(shown) == [notes[text] for text in texts]
    first = next(node for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    first["widgets_values"][0] += " Mine."
    seen.load(workflow)
    assert seen.page.evaluate(shown) == [f"{texts[0]} Mine.", *(notes[text] for text in texts[1:])]
    workflow["nodes"] = [first]
    seen.load(workflow | {"links": []})
    assert seen.page.evaluate(shown) == [f"{texts[0]} Mine."]
    seen.open("Score a video")
    seen.page.evaluate(
        """() => {
            const { canvas, graph } = window.app;
            canvas.selectItems([graph._nodes.find((node) => node.type === "SpatialAlign_ScoreVideo")]);
        }"""
    )
    seen.page.get_by_test_id("info-button").click()
    page = (DOCS / "SpatialAlign_ScoreVideo" / f"{language}.md").read_text(encoding="utf-8")
    seen.page.get_by_text(page.splitlines()[2][:20]).first.wait_for()
    seen.page.wait_for_function(
        "document.querySelector(\"img[src*='pictures/SpatialAlign_ScoreVideo.png']\")?.naturalWidth > 0"
    )
    seen.picture(f"help page {language}")


@pytest.mark.parametrize("mode", MODES)
def test_blueprints_open_and_one_runs(look: Callable[..., Seen], mode: str) -> None:
    seen = look(mode)
    for file in BLUEPRINTS:
        seen.load(json.loads(file.read_text(encoding="ascii")), file.stem)
        assert seen.red_nodes() == [], file.stem
        assert seen.page.evaluate("() => window.app.graph._nodes[0].inputs.length") > 2, file.stem
    seen.load(json.loads((PACK / "subgraphs" / "Score a Video.json").read_text(encoding="ascii")))
    seen.page.evaluate(
        """() => {
            const { graph } = window.app;
            const [clip, shown] = ["SpatialAlign_SpriteClip", "PreviewImage"].map((kind, index) => {
                const node = window.LiteGraph.createNode(kind);
                node.pos = [index ? 500 : -500, 0];
                graph.add(node);
                return node;
            });
            const blueprint = graph._nodes[0];
            clip.connect(0, blueprint, blueprint.inputs.findIndex((each) => each.name === "images"));
            blueprint.connect(blueprint.outputs.findIndex((each) => each.name === "chart"), shown, 0);
        }"""
    )
    seen.run()
    seen.picture(f"blueprint {mode}")
