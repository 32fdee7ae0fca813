"""The panels' words: every phrase in web/ has a translation, and none slipped by in English."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from panel_words import all_literals, literals

from locales import LOCALES, TABLES, note_differences, panel_differences, phrases

LANGUAGES = ("ja", "zh")
HOW = "run `python tools/locales.py` and mend tools/words"
# English on purpose: names, keys, and what is compared with and not shown.
NOT_WORDS = re.compile(
    r"SpatialAlign(_\w*)?|(Markdown)?Note|Comfy\.Locale(\.change)?|Content-Type|Arrow\w*|Page\w*|Home|End|INPUT|SELECT"
    r"|((sa-[\w-]+|spatialalign|pi|pi-[\w-]+|sa-\{\d\}) ?)+"
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_has_a_translation_and_none_is_stale(language: str) -> None:
    assert panel_differences(language) == (set(), set()), HOW


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_note_of_a_template_has_a_translation_and_none_is_stale(language: str) -> None:
    assert note_differences(language) == (set(), set()), HOW


@pytest.mark.parametrize("language", LANGUAGES)
def test_translated_notes_have_the_same_layout_and_values(language: str) -> None:
    """Headings, paragraphs and bold parts; what stands between signs of code is typed or a path, and stays."""
    for english, other in phrases(f"{language}.notes").items():
        kinds = (r"(?m)^#+ ", r"\n\n", r"\*\*", r"`[^`]+`")
        assert [re.findall(kind, other) for kind in kinds] == [re.findall(kind, english) for kind in kinds]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("table", ["", ".errors", ".sentences", ".words"])
def test_translations_call_widgets_by_their_labels(language: str, table: str) -> None:
    """Not by their ids, which only English shows. What stands between quotes, as code or in a path is typed."""
    names = [name for name in phrases(f"{language}.labels") if "_" in name and "." not in name]
    ids = re.compile(rf"(?<![\w.-])({'|'.join(names)})(?![\w.-])", re.ASCII)
    found = {
        other: ids.findall(re.sub(r"'[^']*'|`[^`]*`", "", other))
        for other in phrases(f"{language}{table}").values()
    }
    # the one widget of ComfyUI's own that is named
    assert {other: each for other, each in found.items() if set(each) - {"batch_size"}} == {}


@pytest.mark.parametrize("table", TABLES)
def test_languages_say_the_same_with_the_same_holes(table: str) -> None:
    assert phrases(f"ja.{table}").keys() == phrases(f"zh.{table}").keys()
    for language in LANGUAGES:
        for english, other in phrases(f"{language}.{table}").items():
            given, used = (set(re.findall(r"\{\d\}", each)) for each in (english, other))
            assert used <= given if table == "errors" else used == given, (language, english)


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_comfyui_gets_these_tables(language: str) -> None:
    file = LOCALES / language / "main.json"
    served = json.loads(file.read_text(encoding="utf-8"))["spatialalign"]
    assert served == {table: phrases(f"{language}.{table}") for table in TABLES}, HOW


def test_no_english_is_shown_untranslated() -> None:
    """What stands where text is shown, and anywhere what looks like words for people."""
    found = [
        f"{each.where}: {each.text!r}"
        for each in all_literals()
        if not each.said
        and (
            (each.shown and re.search(r"[A-Za-z]{2}", each.text))
            or re.search(r"[A-Za-z},] [A-Za-z]|^[A-Z][a-z]", each.text)
        )
        and not NOT_WORDS.fullmatch(each.text)
        and not {each.before, each.after} & {"===", "!=="}
    ]
    assert found == [], "say it with t(), see web/shared/language.js"


@pytest.mark.parametrize(
    ("source", "said", "shown"),
    [
        ('html("p", {}, t("Loss"))', ["Loss"], []),
        ('html("p", { title: "Loss" }, "of")', [], ["Loss", "of"]),
        ("t`step ${a} of ${b}`", ["step {0} of {1}"], []),
        ("html('p', {}, `${n} pairs`)", [], ["{0} pairs"]),
        ('html("p", {}, many ? t`${n} of ${t("all")}` : ["one"])', ["{0} of {1}", "all"], ["one"]),
        ('const C = [{ title: mark("It\'s \\u2192"), name: "loss" }];', ["It's \u2192"], []),
        ('// "no" \n x = a / b / c; y = /"(/.test("z") /* `no` */', [], []),
        ('t`a${ { b: "c" }.b }d ${`e${f}`}`', ["a{0}d {1}"], []),
        ('html("button", { onclick: () => { this.tell("Done"); } }, words)', [], ["Done"]),
        ('say(this.note, x === "none" ? "" : x)', [], ["none", ""]),
    ],
)
def test_reading_javascript(source: str, said: list[str], shown: list[str]) -> None:
    found = literals(source)
    assert sorted(each.text for each in found if each.said) == sorted(said)
    assert sorted(each.text for each in found if each.shown and not each.said) == sorted(shown)
