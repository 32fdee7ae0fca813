"""Parts of a sentence changed in place, and what a panel shows of a sentence."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.language import doubts
from spatialalign_core.reading_view import sentence_view
from spatialalign_core.sentence import parse_sentence
from spatialalign_core.sentence_edit import edit_sentence

FOX = (
    "In a park, a small red fox sits on the left side of a wooden box, then it leaps onto it. Cinematic, 4k."
)
CAT = "A cat is on the left of a box, then it jumps to its right."

EDITS: list[tuple[str, dict[str, str], str]] = [
    (FOX, {"subject": "owl"}, FOX.replace("fox", "owl")),
    (FOX, {"object": "umbrella"}, FOX.replace("box", "umbrella")),
    (FOX, {"final": "R"}, FOX.replace("onto it", "to the right of it")),
    (FOX, {"initial": "R"}, FOX.replace("left", "right")),
    (FOX, {"initial": "T"}, FOX.replace("the left side", "top").replace("onto it", "to the left of it")),
    (CAT, {"final": "T"}, "A cat is on the left of a box, then it jumps on top of it."),
    (CAT, {"initial": "R"}, "A cat is on the right of a box, then it jumps to its left."),
    (CAT, {"subject": "Owl"}, "An Owl is on the left of a box, then it jumps to its right."),
    (CAT, {"subject": "the dog"}, "A dog is on the left of a box, then it jumps to its right."),
    (CAT, {"subject": "red fox"}, "A red fox is on the left of a box, then it jumps to its right."),
    (CAT, {"subject": "box", "object": "cat"}, "A box is on the left of a cat, then it jumps to its right."),
    ("A cat walks from the left of the box to the right of it", {"initial": "T"},
     "A cat walks from the top of the box to the right of it"),
    ("A cat is on the left of a box, then it jumps to the other side.", {"initial": "R"},
     "A cat is on the right of a box, then it jumps to the left of it."),
    ("A traffic cone is on the left of a tree, then the cone slides onto the tree.", {"subject": "ball"},
     "A ball is on the left of a tree, then the ball slides onto the tree."),
    ("a cat sits on a box and purrs", {"final": "L"},
     "a cat sits on a box and purrs, then the cat moves to the left of the box."),
    ("A cat is on the left of a box, then it moves behind the box.", {"final": "R"},
     "A cat is on the left of a box, then it moves to the right of the box."),
    ("two cats are on the left of a box, then they jump to the right of the box", {"subject": "cat"},
     "A cat is on the left of a box, then the cat moves to the right of the box."),
    ("a cat", {"subject": "cat", "object": "box", "initial": "T", "final": "R"},
     "A cat is on the top of a box, then the cat moves to the right of the box."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts", "wanted"), EDITS)
def test_parts_change_and_the_words_around_them_stay(text: str, parts: dict[str, str], wanted: str) -> None:
    assert edit_sentence(text, **parts) == wanted
    assert parse_sentence(wanted).prompt is not None


READ = json.loads((Path(__file__).parents[1] / "data" / "sentences.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", ["subject", "object", "initial", "final"])
def test_every_sentence_that_is_understood_can_be_edited(part: str) -> None:
    """Whatever is written is read back as exactly what was chosen."""
    for entry in READ["sentences"]:
        before = parse_sentence(entry["text"]).prompt
        if before is None:
            continue
        codes = {"initial": before.change.initial.value, "final": before.change.final.value}
        value = next(code for code in "LRT" if code != codes[part]) if part in codes else "hedgehog"
        if value in (before.subject, before.object):
            continue
        after = parse_sentence(edit_sentence(entry["text"], **{part: value})).prompt
        assert after is not None, entry["text"]
        for name, old, new in (
            ("subject", before.subject, after.subject),
            ("object", before.object, after.object),
        ):
            assert new == (value if name == part else old), entry["text"]
        if part in codes:
            assert getattr(after.change, part).value == value, entry["text"]
        else:
            assert after.change == before.change, entry["text"]


REFUSED = [
    ("a cat", {"object": "box"}, "Choose the subject, where it is first, where it is at the end too"),
    (CAT, {"subject": "box"}, "both 'box'"),
    (CAT, {"initial": "T", "final": "T"}, "are the same"),
    (CAT, {"final": "B"}, "Choose where it is at the end"),
    (CAT, {"subject": "two cats"}, "can be read back"),
]


@pytest.mark.parametrize(("text", "parts", "words"), REFUSED)
def test_what_no_sentence_can_say_is_refused(text: str, parts: dict[str, str], words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        edit_sentence(text, **parts)


VIEWS: list[tuple[str, dict[str, Any]]] = [
    (FOX, {"subject": "fox", "object": "box", "initial": "L", "final": "T", "scene": "In a park",
           "understood": True, "in_doubt": []}),
    ("a cat sits on a box", {"initial": "T", "final": "", "understood": False, "in_doubt": ["final"]}),
    ("a cat", {"subject": "", "understood": False, "in_doubt": ["final", "initial", "object", "subject"]}),
    ("A cat is on the left of a box, then it moves behind the box.", {"final": "B", "in_doubt": ["final"]}),
    ("two cats are on the left of a box, then they jump to the right of the box", {"in_doubt": ["subject"]}),
    ("a cat left of a box then right of a chair", {"object": "box", "in_doubt": ["object"]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), VIEWS)
def test_what_a_panel_shows(text: str, wanted: dict[str, Any]) -> None:
    view = sentence_view(text)
    assert {name: view[name] for name in wanted} == wanted
    assert bool(view["doubts"]) != view["understood"]


def test_the_sprite_world_names_what_it_lacks() -> None:
    view = sentence_view(CAT.replace("cat", "cow"), "sprites")
    assert not view["understood"] and "no animal called 'cow'" in view["doubts"][0]
    assert view["in_doubt"] == ["subject"]
    view = sentence_view(f"On Mars, {CAT}", "sprites")
    assert view["understood"] and "no scene 'On Mars'" in view["remarks"][0]


def test_every_doubt_is_translated() -> None:
    """Each of them shows below a sentence while it is typed."""
    words = Path(__file__).parents[2] / "tools" / "words"
    said = []
    for name, function in inspect.getmembers(doubts, inspect.isfunction):
        if name.startswith("_") or function.__module__ != doubts.__name__ or name == "parts_in_doubt":
            continue
        count = len(inspect.signature(function).parameters)
        said.append(function(*["L" if name in ("one_place", "no_change", "back_again") else "7"] * count))
    for language in ("ja", "zh"):
        known = json.loads((words / f"{language}.errors.json").read_text(encoding="utf-8"))
        looks = [re.compile(".*".join(map(re.escape, re.split(r"\{\d\}", each)))) for each in known]
        assert [each for each in said if not any(each_.fullmatch(each) for each_ in looks)] == []
