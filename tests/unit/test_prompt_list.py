"""One's own prompts from texts and files, and how some of them are held out."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialalign_core.cli.verbs import main
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.prompt_list import (
    DOUBT,
    NOT_UNDERSTOOD,
    REPEATED,
    UNDERSTOOD,
    held_out,
    read_prompt_file,
    read_prompt_text,
    usable,
)
from spatialalign_core.prompts import read_prompts

CAT = "A cat is on the left of a box, then it jumps to the right of the box."
DOG = "In a park, a dog is on the right of a chair, then it walks to the left of the chair."
OWL = "An owl is on top of a log; then it hops to the left of the log, 4k, slow motion"
CAFE = "In a café, a cat is on the left of a box, then it jumps to the right of the box."

TEXTS = [
    (f"{CAT}\n{DOG}", [CAT, DOG]),
    (f"# mine\n\n  {CAT}  \r\n\r\n{DOG}\r\n# end", [CAT, DOG]),
    (f"prompt\n{CAT}", [CAT]),
    (f"1. {CAT}\n2. {DOG}", [CAT, DOG]),
    (f"- {CAT}\n- {DOG}", [CAT, DOG]),
    (f"1) {CAT}\n2) {DOG}\n10) {OWL}", [CAT, DOG, OWL]),
    (f'"{CAT}"\n"{DOG}"', [CAT, DOG]),
    (f'"{CAT}",\n"{DOG}"', [CAT, DOG]),
    (f"{CAT}\r{DOG}\r", [CAT, DOG]),
    (f"- {CAT}\n{DOG}", [f"- {CAT}", DOG]),
    (f"\ufeff{CAT}".lstrip("\ufeff"), [CAT]),
    (OWL, [OWL]),
]


@pytest.mark.parametrize(("text", "prompts"), TEXTS)
def test_one_sentence_a_line_and_its_words_stay(text: str, prompts: list[str]) -> None:
    found = read_prompt_text(text)
    assert [each.text for each in found.prompts] == prompts
    assert not found.set_aside


LINES = [
    ("a cat next to a box", NOT_UNDERSTOOD, "names no place"),
    ("一只猫在箱子左边，然后跳到箱子右边。", NOT_UNDERSTOOD, "Only English"),
    ("A cat sits on a box.", DOUBT, "only one place"),
    ("Two cats are on the left of a box, then they jump to the right of the box.", DOUBT, "several things"),
    (f"{CAT}", REPEATED, "same sentence as in line 1"),
    (f"{CAT.upper()}", REPEATED, "same sentence as in line 1"),
    (DOG, UNDERSTOOD, ""),
]


@pytest.mark.parametrize(("line", "state", "reason"), LINES)
def test_lines_that_cannot_be_used_are_set_aside_with_their_reason(
    line: str, state: str, reason: str
) -> None:
    found = read_prompt_text(f"{CAT}\n# a comment\n{line}")
    entry = found.entries[-1]
    assert (entry.number, entry.state) == (3, state)
    assert reason in " ".join(entry.reasons)
    assert (entry.prompt is None) == (state != UNDERSTOOD)
    assert found.prompts[0].text == CAT


FILES: list[tuple[str, bytes, list[str]]] = [
    ("a.txt", f"{CAT}\n{DOG}\n".encode(), [CAT, DOG]),
    ("a.txt", f"{CAT}\n{DOG}".encode("utf-8-sig"), [CAT, DOG]),
    ("a.txt", f"{CAFE}\n{DOG}".encode("utf-16"), [CAFE, DOG]),
    ("a.txt", f"{CAFE}\n{DOG}".encode("cp1252"), [CAFE, DOG]),
    ("a.csv", f'prompt\n"{CAT}"\n"{DOG}"\n'.encode(), [CAT, DOG]),
    ("a.csv", f"prompt\n{CAT}\n{DOG}\n".encode(), [CAT, DOG]),  # commas without quotes
    ("a.csv", f"\ufeffPrompt\r\n{CAFE}\r\n".encode(), [CAFE]),
    ("a.csv", f"prompt\r\n{CAFE}\r\n".encode("cp1252"), [CAFE]),
    ("a.csv", f"id;prompt\n1;{CAT}\n2;{DOG}\n".encode(), [CAT, DOG]),
    ("a.csv", f'sep=;\nprompt;note\n{CAT};good\n"{OWL}";"a;b"\n'.encode(), [CAT, OWL]),
    ("a.tsv", f"prompt\tnote\n{CAT}\tx\n{DOG}\ty\n".encode(), [CAT, DOG]),
    ("a.csv", f'"{CAT}"\n"{DOG}"\n'.encode(), [CAT, DOG]),  # no header
    ("a.csv", f"{CAT}\n{DOG}\n".encode("utf-16"), [CAT, DOG]),
    ("a.csv", f'1,"{CAT}"\n2,"{DOG}"\n'.encode(), [CAT, DOG]),
    ("a.csv", f"1;{CAT}\n2;{DOG}\n".encode(), [CAT, DOG]),
    ("a.txt", f'id,prompt\n1,"{CAT}"\n'.encode(), [CAT]),
    ("a.json", f'["{CAT}", "{DOG}"]'.encode(), [CAT, DOG]),
    ("a.jsonl", f'{{"prompt": "{CAT}"}}\n{{"prompt": "{DOG}"}}\n'.encode(), [CAT, DOG]),
]


@pytest.mark.parametrize(("name", "data", "prompts"), FILES)
def test_files_as_people_and_spreadsheets_save_them(
    tmp_path: Path, name: str, data: bytes, prompts: list[str]
) -> None:
    (tmp_path / name).write_bytes(data)
    found = read_prompt_file(tmp_path / name)
    assert [each.text for each in found.prompts] == prompts
    assert not found.set_aside


def test_a_table_may_name_ids_and_splits(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        f'prompt_id,prompt,split\nfirst,"{CAT}",\nsecond,"{DOG}",held_out\nfirst,"{OWL}",\nx,"{CAFE}",test\n'
    )
    found = read_prompt_file(path)
    assert [(each.id, each.split) for each in found.prompts] == [("first", "train"), ("second", "held_out")]
    assert found.divided and [each.number for each in found.set_aside] == [4, 5]
    assert "already used in row 2" in found.set_aside[0].reasons[0]
    assert "split 'test' is unknown" in found.set_aside[1].reasons[0]


def test_a_table_with_all_published_columns_is_taken_as_it_is(tmp_path: Path) -> None:
    table = Path(__file__).parents[1] / "data" / "published_columns.csv"
    found = read_prompt_file(table)
    assert found.prompts == read_prompts(table) and found.divided and not found.set_aside


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'animal,object,prompt\ncat,box,"{CAT}"\n')
    assert "columns animal, object are not used" in read_prompt_file(tmp_path / "a.csv").notes[0]


BROKEN = [
    ("a.txt", b"", "holds no sentences"),
    ("a.txt", b"# only a comment\n", "holds no sentences"),
    ("a.csv", b"", "is empty"),
    ("a.csv", b"prompt\n", "holds no sentences"),
    ("a.csv", b"a,b\n1,2\n", "no column prompt"),
    ("a.txt", b"PK\x03\x04 sheet", "is a spreadsheet"),
    ("a.txt", CAT.encode() + b"\xff\xfe\x9d", "UTF-8"),
]


@pytest.mark.parametrize(("name", "data", "words"), BROKEN)
def test_what_is_no_list_is_refused_by_name(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SpatialAlignError, match=words) as error:
        read_prompt_file(tmp_path / name)
    assert name in str(error.value)


def test_a_list_without_one_usable_sentence_is_refused_with_its_first_reasons() -> None:
    with pytest.raises(
        SpatialAlignError, match=r"None of the 2 sentences in own_prompts .* Line 1: .*no place"
    ):
        usable(read_prompt_text("a cat\na dog"), "own_prompts")
    with pytest.raises(SpatialAlignError, match="no sentence in own_prompts"):
        usable(read_prompt_text("# nothing"), "own_prompts")


def _many(subjects: int, changes: str = "LR RL LT", copies: int = 1) -> str:
    places = {"L": "the left", "R": "the right", "T": "the top"}
    nouns = ["cat", "dog", "fox", "owl", "pig", "hen", "crab", "frog", "goat", "duck"][:subjects]
    return "\n".join(
        f"{'Look, ' * copy}a {noun} is on {places[code[0]]} of a box, then it goes to {places[code[1]]} of the box."
        for noun in nouns
        for code in changes.split()
        for copy in range(copies)
    )


SPLITS = [
    (_many(7), None, 5, ""),
    (_many(7), 8, 8, ""),
    (_many(7), 0, 0, ""),
    (_many(7), 48, 5, "more than half of 21"),
    (_many(7), 1, 1, ""),
    (_many(4, copies=3), 6, 6, ""),
    (_many(4, copies=3), 7, 6, "stay together"),
    (_many(2, "LR", copies=3), 1, 3, "stay together"),
    (_many(1, "LR", copies=3), 1, 0, "same subject, object and movement"),
    (_many(1, "LR"), 1, 0, "one prompt alone"),
    (_many(1, "LR RL"), None, 1, ""),
]


@pytest.mark.parametrize(("text", "wanted", "number", "note"), SPLITS)
def test_held_out_prompts_share_no_combination(text: str, wanted: int | None, number: int, note: str) -> None:
    prompts = read_prompt_text(text).prompts
    divided, said = held_out(prompts, wanted)
    held = [each for each in divided if each.split == "held_out"]
    trained = [each for each in divided if each.split == "train"]
    assert len(held) == number and trained
    assert note in said and bool(note) == bool(said)
    assert [each.text for each in divided] == [each.text for each in prompts]
    keys = [{(p.subject, p.object, p.change) for p in half} for half in (held, trained)]
    assert not keys[0] & keys[1]


def test_the_command_line_takes_the_same_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text(f"{_many(4)}\na cat next to a box\n")
    assert (
        main(["prompts", str(tmp_path / "run"), "--file", str(tmp_path / "mine.txt"), "--held-out", "4"]) == 0
    )
    said = capsys.readouterr().out
    assert "13 read, 1 set aside" in said and "line 13, not understood" in said
    assert "8 train, 4 held_out" in said
    made = read_prompts(tmp_path / "run" / "prompts.csv")
    assert [each.text for each in made] == _many(4).splitlines()
