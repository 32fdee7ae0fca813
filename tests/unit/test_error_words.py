"""Translated errors: each pattern is a sentence that the code still says, and the languages have the same ones."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
TABLES = {
    file.name.split(".")[0]: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((PACK / "tools" / "words").glob("*.errors.json"))
}


def _said() -> list[str]:
    """Every string of the code, with {} for what is filled in."""
    texts = []
    for file in [*(PACK / "spatialalign_core").rglob("*.py"), *(PACK / "nodes").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


SAID = _said()


@pytest.mark.parametrize("pattern", sorted({each for table in TABLES.values() for each in table}))
def test_the_code_says_it(pattern: str) -> None:
    assert re.sub(r"\{\d\}", "{}", pattern) in SAID


@pytest.mark.parametrize("language", sorted(TABLES))
def test_languages_say_the_same(language: str) -> None:
    assert TABLES[language].keys() == TABLES["zh"].keys()
    for english, other in TABLES[language].items():
        given = set(re.findall(r"\{\d\}", english))
        assert set(re.findall(r"\{\d\}", other)) <= given, english
