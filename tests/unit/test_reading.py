"""Texts as people write them: read rightly, or told as a doubt; never something else in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatialalign_core.cli.verbs import main
from spatialalign_core.language.reader import Reading, read_text

DATA = json.loads((Path(__file__).parents[1] / "data" / "sentences.json").read_text(encoding="utf-8"))
GOOD = "A cat is on the left of a box, then the cat jumps to the right of the box."
BLIND = json.loads((Path(__file__).parents[1] / "data" / "blind_sentences.json").read_text(encoding="utf-8"))
TEXTS = [(entry["text"], entry) for entry in DATA["sentences"]]


def agrees(reading: Reading, entry: dict) -> bool:
    read = reading.subject.casefold(), reading.object.casefold(), "".join(reading.motion)
    return read == (entry["subject"].casefold(), entry["object"].casefold(), entry["motion"])


@pytest.mark.parametrize(("text", "entry"), TEXTS, ids=[str(i) for i in range(len(TEXTS))])
def test_no_text_is_read_as_something_else_in_silence(text: str, entry: dict) -> None:
    reading = read_text(text)
    if not entry["motion"]:
        assert reading.doubts, reading
    elif not entry.get("unsure"):
        assert agrees(reading, entry) and reading.doubts == (), reading
    else:
        assert reading.doubts or agrees(reading, entry), reading


@pytest.mark.parametrize("entry", BLIND, ids=[entry["id"] for entry in BLIND])
def test_sentences_written_without_knowing_the_reader(entry: dict) -> None:
    reading = read_text(entry["text"])
    if entry["motion"] == "?":
        assert reading.doubts, reading
    else:
        assert reading.doubts == () and "".join(reading.motion) == entry["motion"], reading
        assert reading.subject.split()[-1] == entry["subject"].split()[-1]
        assert reading.object.split()[-1] == entry["object"].split()[-1]


@pytest.mark.parametrize("camera", DATA["camera"])
def test_camera_light_and_style_change_nothing(camera: str) -> None:
    for text in (f"{GOOD} {camera}", f"{camera} {GOOD}", f"{GOOD[:-1]}, {camera[0].lower()}{camera[1:]}"):
        reading = read_text(text)
        assert (reading.subject, reading.object, reading.motion) == ("cat", "box", ("L", "R")), text
        assert reading.doubts == (), text


NOUNS = [
    ("cinematic shot 4k a corgi is on the left of a box, then it runs to the right of the box", "corgi", "box"),
    ("static shot a cat is on the left of a box, then it runs to the right of the box", "cat", "box"),
    ("(cat:1.2) is on the left of a box, then the cat runs to the right of the box", "cat", "box"),
    ("cat 1 2 is on the left of a box, then the cat runs to the right of the box", "cat", "box"),
    ("a dog on the left of a bench walks to the right of the bench", "dog", "bench"),
    ("a dog is on the left\N{NON-BREAKING HYPHEN}hand side of a rock, then it runs to the right of it", "dog", "rock"),
    ("a dog is on the left of a weathered rock, then it runs to the right of the rock", "dog", "rock"),
    ("a dog is on the left of a moss-covered rock, then it runs to the right of the rock", "dog", "rock"),
    ("<lora:motion:0.8> a dog is on the left of a rock, then it runs to the right of the rock", "dog", "rock"),
    ("A dog\N{RIGHT SINGLE QUOTATION MARK}s toy is on the left of a rock, then it rolls to the right of the rock",
     "dog's toy", "rock"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "subject", "object"), NOUNS)
def test_nouns_are_nouns(text: str, subject: str, object: str) -> None:
    reading = read_text(text)
    assert (reading.subject, reading.object, reading.motion) == (subject, object, ("L", "R")), reading
    assert reading.doubts == ()


TWO_ALIKE = [
    "A fox is on the left of a box and another fox hops onto it.",
    "A fox is on the left of a box, then a second red fox hops on top of the box.",
    "A fox is on the left of a box, then the other fox hops to the right of the box.",
    "A fox is on the left of a box, then it hops to the right of another box.",
]


@pytest.mark.parametrize("text", TWO_ALIKE)
def test_a_second_one_of_the_same_kind_is_a_doubt(text: str) -> None:
    assert read_text(text).doubts, read_text(text)


ONLY_READ = [
    ("a cat is behind a box, then it runs to the front of the box", ("B", "F"), "'behind'"),
    ("a cat is on the left of a box, then it runs to the back of the box", ("L", "B"), "'to the back of'"),
    ("a crab is under a chair, then it crawls to the left of the chair", ("U", "L"), "'under'"),
    ("a bird is on top of a log, then it hops to the bottom of the log", ("T", "U"), "'to the bottom of'"),
]


@pytest.mark.parametrize(("text", "motion", "words"), ONLY_READ)
def test_places_that_cannot_be_scored_are_read_and_told(text: str, motion: tuple, words: str) -> None:
    reading = read_text(text)
    assert reading.motion == motion
    assert any(words in doubt and "not scored yet" in doubt for doubt in reading.doubts)


def test_other_languages_are_a_doubt() -> None:
    reading = read_text("一只猫在箱子左边，然后跳到箱子右边。")
    assert reading.motion == () and "Only English" in reading.doubts[0]


FILES = [
    ("a.json", json.dumps([{"id": "x", "text": GOOD}])),
    ("a.json", json.dumps([{"id": "x", "prompt": GOOD}])),
    ("a.jsonl", json.dumps({"id": "x", "text": GOOD}) + "\n"),
    ("a.csv", f'id,prompt\nx,"{GOOD}"\n'),
    ("a.csv", f"id;text\nx;{GOOD}\n"),
]


@pytest.mark.parametrize(("name", "content"), FILES)
def test_files_are_read(tmp_path: Path, capsys: pytest.CaptureFixture, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert main(["read", str(tmp_path / name), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "id": "x", "subject": "cat", "object": "box", "motion": ["L", "R"], "doubts": [], "remarks": [],
    }  # fmt: skip


def test_a_sentence_a_line_and_doubts_in_words(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.txt").write_text(f"{GOOD}\n\nThe camera pans right.\n", encoding="utf-8")
    assert main(["read", str(tmp_path / "a.txt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1: cat | left, then right | box"
    assert lines[1] == "3: ? | no movement | ?" and "names no place" in lines[2]
    assert lines[-1] == "2 sentences read, 1 of them with doubts"


BROKEN = [
    ("a.json", "{", "not valid JSON"),
    ("a.json", "{}", "holds no list"),
    ("a.json", "[1]", "entry 1: there is no text"),
    ("a.csv", "a,b\n1,2\n", "no column prompt or text"),
]


@pytest.mark.parametrize(("name", "content", "words"), BROKEN)
def test_broken_files_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert main(["read", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert words in error and name in error
