"""Advice in errors names what is there: a widget in ComfyUI, an option on the command line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from spatialalign_core.cli.arguments import build_parser
from spatialalign_core.cli.verbs import VERBS
from spatialalign_core.errors import full_memory_sentence, setting, speak_of

PACK = Path(__file__).resolve().parents[2]
CORE = PACK / "spatialalign_core"


def _sources() -> list[tuple[Path, ast.Module]]:
    files = [*CORE.rglob("*.py"), *(PACK / "nodes").rglob("*.py")]
    return [(file, ast.parse(file.read_text(encoding="utf-8"))) for file in files]


SOURCES = _sources()
ALONE = ("ray_workers.py", "clips_file.py", "score_file.py")  # what no node comes to


def _named_settings() -> set[str]:
    """What the code says by `setting("name")`, and by `setting(name)` in a loop over names."""
    calls = [
        call.args[0]
        for _, tree in SOURCES
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "setting"
    ]
    found = {each.value for each in calls if isinstance(each, ast.Constant)}
    return found | {"height", "width", "num_frames", "steps", "rank", "pairs_per_step", "loss", "batch_size"}


def _widgets() -> set[str]:
    """Ids of the nodes' inputs: the first argument of io.*.Input, or of the helpers that make several alike."""
    found = set()
    for file, tree in SOURCES:
        if CORE in file.parents:
            continue
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                name = (
                    call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                )
                if name in ("Input", "number", "whole", "real", "choice"):
                    found.add(call.args[0].value)
    return found


@pytest.fixture(params=["widgets", "options"])
def door(request: pytest.FixtureRequest):
    before = speak_of(request.param)
    yield request.param
    speak_of(before)


@pytest.mark.parametrize("name", sorted(_named_settings()))
def test_a_setting_has_its_name_at_each_door(door: str, name: str) -> None:
    if door == "widgets":
        assert name == "workers" or setting(name) in _widgets()
    else:
        options = {option for verb in VERBS for option in _options(verb)}
        assert setting(name) in options


def _options(verb: str) -> set[str]:
    subparsers = next(each for each in build_parser(VERBS)._actions if each.choices and verb in each.choices)
    return set(subparsers.choices[verb]._option_string_actions)  # type: ignore[index]


def test_errors_spell_no_option_out() -> None:
    """A sentence that names an option by its dashes reaches nodes too, where there is none."""
    spelled = []
    for file, tree in SOURCES:
        if CORE / "cli" in file.parents or file.name in ALONE:
            continue
        for raised in ast.walk(tree):
            if isinstance(raised, ast.Raise):
                texts = [str(each.value) for each in ast.walk(raised) if isinstance(each, ast.Constant)]
                spelled += [
                    f"{file.name}: {text}"
                    for text in texts
                    if re.search(r"(?<![\\w-])--[a-z]", text) and "on the command line" not in text
                ]
    assert spelled == []


def test_a_full_memory_advises_what_is_there(door: str) -> None:
    said = full_memory_sentence(MemoryError())
    assert ("--batch" in said and "--workers 1" in said) == (door == "options")
    assert ("batch_size" in said and "--" not in said) == (door == "widgets")
