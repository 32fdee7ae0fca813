"""The published prompt files, and prompt sets from word lists."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.files import safe_name
from spatialalign_core.prompts import (
    DsrPrompt,
    build_prompts,
    read_prompts,
    retell,
    split_combinations,
    write_prompts,
)
from spatialalign_core.relations import CHANGES, RelationChange

# Thirty rows in our own words, laid out as the published table of thirty.
TABLE = Path(__file__).parents[1] / "data" / "published_columns.csv"

HEADER = "type,prompt_id,animal,object,scene,initial_SR,final_SR,prompt"
ROW = (
    'LR,testLRFBT_LR_0,rabbit,stone,"On a hill above a quiet town,",on the left of,to the right of,'
    '"On a hill above a quiet town, a rabbit is on the left of a stone, then the rabbit jumps to the right of'
    ' the stone."'
)
EVAL30 = f"{HEADER}\n{ROW}\n"
EVAL120 = (
    "group,type,prompt_id,scene,initial_SR,final_SR,animal,object,prompt\n"
    "1043,TL,1043_TL,In a narrow hallway with a coat rack by the door,on the top of,to the left of,squirrel,box,"
    '"In a narrow hallway with a coat rack by the door, a squirrel is on the top of a box, then the squirrel jumps to'
    ' the left of the box."\n'
    "1046,LT,1046_LT,In a narrow studio,on the left of,to the top of,rabbit,chair,"
    '"In a narrow studio, a rabbit is on the left of a chair, then the rabbit hops to the top of the chair."\n'
)


def cells(text: str) -> list[dict[str, str]]:
    return [dict(sorted(row.items())) for row in csv.DictReader(io.StringIO(text))]


@pytest.mark.parametrize("text", [EVAL30, EVAL120], ids=["eval30", "eval120"])
def test_published_rows_come_back_cell_for_cell(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    prompts = read_prompts(tmp_path / "in.csv")
    write_prompts(tmp_path / "out.csv", prompts)
    assert read_prompts(tmp_path / "out.csv") == prompts
    assert cells((tmp_path / "out.csv").read_text(encoding="utf-8")) == cells(text)


def test_what_a_row_says(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(EVAL120, encoding="utf-8")
    assert read_prompts(tmp_path / "in.csv")[1] == DsrPrompt(
        id="1046_LT",
        text="In a narrow studio, a rabbit is on the left of a chair, then the rabbit hops to the top of the chair.",
        subject="rabbit",
        object="chair",
        change=RelationChange.parse("LT"),
        scene="In a narrow studio",
        split="train",
        group="1046",
    )


def test_a_whole_table_comes_back_cell_for_cell(tmp_path: Path) -> None:
    prompts = read_prompts(TABLE)
    assert Counter(prompt.change for prompt in prompts) == dict.fromkeys(CHANGES, 5)
    write_prompts(tmp_path / "out.csv", prompts)
    assert read_prompts(tmp_path / "out.csv") == prompts
    assert cells((tmp_path / "out.csv").read_text(encoding="utf-8")) == cells(
        TABLE.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize(
    "data",
    [
        EVAL30.encode("utf-8-sig"),
        EVAL30.replace("\n", "\r\n").encode(),
        EVAL30.rstrip("\n").encode(),
        EVAL30.replace("\n", "\n\n").encode(),
        EVAL30.replace("type,", " type ,").replace("LR,test", " lr , test").encode(),
        HEADER.replace(",", ";").encode()
        + b"\nLR;testLRFBT_LR_0;rabbit;stone;s;on the left of;to the right of;text\n",
        EVAL30.replace("on the left of,to the right of", "left,to the right side of").encode(),
        f"sep=;\n{EVAL30.replace(',', ';')}".encode(),
        f"SEP=\t\r\n{EVAL30.replace(',', chr(9))}".encode(),
        EVAL30.replace(",", "\t").encode("utf-16"),
        EVAL30.replace(HEADER, HEADER.upper()).encode(),
        EVAL30.replace("initial_SR,final_SR", 'Initial SR,"Final SR"').encode(),
        f"\n,,,\n{EVAL30}".encode(),
        f"Table 1\n{EVAL30}".encode(),
        f"{EVAL30},,,,,,,\n\n;;\n,,,,,,,\n".replace(";;\n", "").encode(),
        (HEADER + ",,\n" + ROW + ",,\n").encode(),
        EVAL30.replace("rabbit", "rabbit").replace("text", "café").encode("cp1252"),
    ],
    ids=[
        "byte order mark",
        "windows line ends",
        "no last line end",
        "blank lines",
        "spaces",
        "semicolons",
        "short",
        "sep",
        "sep with tabs",
        "Unicode text of Excel",
        "capitals",
        "spaces in names",
        "empty rows first",
        "a title row",
        "empty rows last",
        "empty columns last",
        "western",
    ],
)
def test_files_as_people_save_them(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.csv").write_bytes(data)
    (prompt,) = read_prompts(tmp_path / "in.csv")
    assert (prompt.id, prompt.subject, prompt.change.code) == ("testLRFBT_LR_0", "rabbit", "LR")


@pytest.mark.parametrize(
    ("data", "row", "words"),
    [
        (EVAL30.replace("animal", "beast"), 1, "column 'animal' is missing"),
        ("just some text\nand more", 1, "is missing"),
        (EVAL30.replace("on the left of,", "beside,"), 2, "relation 'beside' in 'initial_SR' is unknown"),
        (EVAL30.replace(",to the right of,", ",,"), 2, "relation '' in 'final_SR' is unknown"),
        (EVAL30.replace(",to the right of,", ",to the left of,"), 2, "must differ"),
        (EVAL30.replace("LR,test", "RL,test"), 2, "type 'RL' does not match"),
        (f"{HEADER}\nLR,a,cat,box,s,on the left of,to the right of,\n", 2, "'prompt' is empty"),
        (f"{HEADER}\nLR, ,cat,box,s,on the left of,to the right of,text\n", 2, "'prompt_id' is empty"),
        (f"{HEADER}\nLR,a,,box,s,on the left of,to the right of,text\n", 2, "'animal' is empty"),
        (f"{EVAL30}{ROW}\n", 3, "'testLRFBT_LR_0' is already used in row 2"),
        (f"{EVAL30}{ROW.replace('testLRFBT', 'TESTlrfbt')}\n", 3, "already used in row 2"),
        (f"{EVAL30}LR,b,cat\n", 3, "fewer cells"),
        (f"{EVAL30}LR,b,cat,box,s,on the left of,to the right of,In a park, a cat\n", 3, "more cells"),
        (f'{EVAL30}LR,"b,cat\n', 3, "not a CSV table"),
        (f"{HEADER},split\n{ROW},exam\n", 2, "split 'exam' is unknown"),
        (f"sep=;\n{EVAL30}LR;b\n".replace(",", ";"), 3, "fewer cells"),
        (f"\n\n{EVAL30}LR,b,cat\n", 5, "fewer cells"),
        (f"{HEADER},Scene\n{ROW},x\n", 1, "'scene' is there twice"),
        (EVAL30.replace("rabbit", "兎").encode("gbk", "replace").replace(b"?", b"\xcd\xc3"), 2, "not UTF-8"),
        (EVAL30.encode() + b"\xff\xfe\n", 3, "not UTF-8"),
    ],
)
def test_bad_files_name_file_and_row(tmp_path: Path, data: str | bytes, row: int, words: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(SpatialAlignError) as caught:
        read_prompts(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, row {row}: ") and words in message, message


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_an_empty_file_is_called_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.csv").write_bytes(data)
    with pytest.raises(SpatialAlignError, match=r"in\.csv is empty; it needs a header with type"):
        read_prompts(tmp_path / "in.csv")


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_spreadsheet_by_mistake(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "in.csv").write_bytes(start + b"\0" * 99)
    with pytest.raises(SpatialAlignError, match="export it as 'CSV UTF-8'"):
        read_prompts(tmp_path / "in.csv")


def test_files_without_prompts(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(HEADER + "\n")
    for path, words in (
        (tmp_path / "in.csv", "no prompts"),
        (tmp_path / "none.csv", "no file"),
        (tmp_path, "cannot"),
    ):
        with pytest.raises(SpatialAlignError, match=words):
            read_prompts(path)


WORDS = {
    "subjects": ["fox", "cat", "frog"],
    "objects": ["box", "traffic cone"],
    "scenes": ["in a park", "on a beach"],
    "verbs": ["jumps", "runs"],
}


def test_the_published_shape() -> None:
    (prompt,) = build_prompts(["fox"], ["box"], ["in a park,"], ["jumps"], count=1, held_out_share=0)
    assert (
        prompt.text == "In a park, a fox is on the left of a box, then the fox jumps to the right of the box."
    )
    assert (prompt.id, prompt.scene, prompt.split) == ("fox_box_LR", "in a park", "train")
    (prompt,) = build_prompts(["fox"], ["box"], [], ["jumps"], count=1, held_out_share=0)
    assert prompt.text == "A fox is on the left of a box, then the fox jumps to the right of the box."


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("count", "held_out"), [(12, 6), (30, 12), (96, 48), (0, 5), (7, 0)])
def test_prompt_sets(tmp_path: Path, count: int, held_out: int, seed: int) -> None:
    prompts = build_prompts(**WORDS, count=count, held_out_count=held_out, held_out_share=1 / 3, seed=seed)
    assert [prompt.split for prompt in prompts] == ["train"] * count + ["held_out"] * held_out
    halves = [{(p.subject, p.object, p.change) for p in half} for half in (prompts[:count], prompts[count:])]
    assert not halves[0] & halves[1]
    for half in (prompts[:count], prompts[count:]):
        turns = Counter(prompt.change for prompt in half)
        assert max(turns.values(), default=0) - min((turns[change] for change in CHANGES), default=0) <= 1
    assert (
        len({prompt.id.casefold() for prompt in prompts})
        == len({prompt.text for prompt in prompts})
        == len(prompts)
    )
    assert all(prompt.id == safe_name(prompt.id) for prompt in prompts)
    write_prompts(tmp_path / "prompts.csv", prompts)
    assert read_prompts(tmp_path / "prompts.csv") == prompts


def test_without_a_count_each_training_combination_comes_once() -> None:
    prompts = build_prompts(**WORDS, count=None, held_out_count=0, held_out_share=0.5)
    train, _ = split_combinations(WORDS["subjects"], WORDS["objects"], CHANGES, 0.5, 0)
    assert sorted((p.subject, p.object, p.change) for p in prompts) == sorted(train)


def test_the_same_seed_gives_the_same_and_more_begins_with_fewer() -> None:
    few, many = (build_prompts(**WORDS, count=count, seed=3) for count in (10, 40))
    assert many[:10] == few
    assert build_prompts(**WORDS, count=10, seed=4) != few


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subjects": []}, "list of subjects is empty"),
        ({"objects": [" "]}, "list of objects is empty"),
        ({"verbs": []}, "list of verbs is empty"),
        ({"objects": ["box", "Fox"]}, "'fox' is among the subjects and the objects"),
        ({"changes": []}, "no relation change"),
        ({"count": -1}, "0 or more"),
        ({"count": 10_000}, "at most 96 training prompts"),
        ({"held_out_count": 5, "held_out_share": 0}, "at most 0 held-out prompts"),
        ({"held_out_share": 1}, "below 1"),
    ],
)
def test_impossible_sets_are_explained(change: dict, words: str) -> None:
    arguments = {**WORDS, "count": 4, "held_out_share": 1 / 3, **change}
    with pytest.raises(SpatialAlignError, match=words):
        build_prompts(**arguments)


def test_the_split_the_bundled_weights_were_trained_with() -> None:
    """Pinned: another order would let the pocket model be judged on what it has seen."""
    train, held_out = split_combinations(["fox", "cat"], ["box", "pot"], CHANGES[:2], 0.25, 0)
    assert [(s, o, c.code) for s, o, c in held_out] == [("fox", "pot", "LR"), ("fox", "box", "RL")]
    assert len(train) == 6


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "In a park, a cat is on the left of a box, then the cat jumps to the right of the box.",
            "In a park, a cat is on the top of a box, then the cat jumps to the left of the box.",
        ),
        (
            "A cat on the left of a box looks to the right of it and walks to the right of the box.",
            "A cat on the top of a box looks to the right of it and walks to the left of the box.",
        ),
        ("A cat is left of a box, then runs to the right of it.", None),
        ("A cat goes to the right of a box; it was on the left of it.", None),
    ],
)
def test_a_sentence_told_of_another_change(text: str, told: str | None) -> None:
    prompt = DsrPrompt("x", text, "cat", "box", RelationChange.parse("LR"), "")
    other = retell(prompt, RelationChange.parse("TL"))
    assert (other and other.text) == told
    if other is not None:
        assert other == replace(prompt, text=other.text, change=RelationChange.parse("TL"))
        assert retell(other, prompt.change) == prompt
