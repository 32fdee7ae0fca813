"""What the nodes say, in every language: tooltips, translations, help pages."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from server import PACK, Server

sys.path.insert(0, str(PACK / "tools"))

from locales import LANGUAGES, LOCALES, as_text, differences, locale

HOW = "run `python tools/locales.py` and mend tools/words"


@pytest.fixture(scope="module")
def schemas(server: Server) -> dict[str, Any]:
    return {k: v for k, v in server.get("/object_info").items() if k.startswith("SpatialAlign_")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_has_a_translation_and_none_is_stale(schemas: dict[str, Any], language: str) -> None:
    missing, stale = differences(schemas, language)
    assert (missing, stale) == (set(), set()), HOW


@pytest.mark.parametrize("language", LANGUAGES)
def test_locales_are_those_of_the_schemas(schemas: dict[str, Any], language: str) -> None:
    for name, content in locale(schemas, language).items():
        assert (LOCALES / language / name).read_text(encoding="utf-8") == as_text(content), HOW


def test_comfyui_serves_them(server: Server, schemas: dict[str, Any]) -> None:
    served = server.get("/i18n")
    for language in LANGUAGES:
        assert schemas.keys() <= served[language]["nodeDefs"].keys()
    assert served["zh"]["nodeDefs"]["SpatialAlign_ScoreVideo"]["display_name"] == "视频评分"


def test_outputs_have_tooltips(schemas: dict[str, Any]) -> None:
    silent = [
        f"{name}.{output}"
        for name, info in schemas.items()
        for output, tooltip in zip(info["output_name"], info["output_tooltips"], strict=True)
        if not tooltip
    ]
    assert silent == []


def test_help_pages_name_every_widget_and_output(schemas: dict[str, Any]) -> None:
    for name, info in schemas.items():
        page = (PACK / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        inputs = [each for section in info["input"].values() for each in section]
        hidden = set(info["input"].get("hidden", {}))
        silent = [each for each in (*inputs, *info["output_name"]) if each not in page and each not in hidden]
        assert silent == [], name


def test_translations_leave_the_values_of_widgets_as_they_are() -> None:
    """What stands between quotes is typed or chosen, in every language the same."""
    for language in LANGUAGES[1:]:
        table = json.loads((PACK / "tools" / "words" / f"{language}.json").read_text(encoding="utf-8"))
        for english, other in table.items():
            quoted = set(english.split("'")[1::2]) if english.count("'") % 2 == 0 else set()
            assert [each for each in quoted if " " not in each and each not in other] == [], english
