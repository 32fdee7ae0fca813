"""Free sentences: what is read, and what is said about the rest."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from spatialalign_core.files import safe_name
from spatialalign_core.relations import CHANGES
from spatialalign_core.sentence import parse_sentence

TABLE = Path(__file__).parents[1] / "data" / "published_columns.csv"

UNDERSTOOD = [
    # the published shape and the pocket world's captions
    ("In a park, a cat is on the left of a box, then the cat jumps to the right of the box.",
     "cat", "box", "LR", "In a park"),
    ("a frog is on the top of a pot in a room, then it hops to the left of it.",
     "frog", "pot", "TL", "in a room"),
    # the issue's own example
    ("a cat is on the left of a box, then it jumps on top of the box", "cat", "box", "LT", ""),
    # words for places
    ("a cat is to the left of a box, then it jumps to the top of it", "cat", "box", "LT", ""),
    ("a cat is left of a box, then it walks right of the box", "cat", "box", "LR", ""),
    ("a cat is on the left side of a box, then it goes to the right side of the box", "cat", "box", "LR", ""),
    ("a cat is on the left-hand side of a box, then it goes to the right hand side of it",
     "cat", "box", "LR", ""),
    ("a cat is on top of a box, then it hops down to the left of the box", "cat", "box", "TL", ""),
    ("a cat is on the right of a box, then it jumps onto the box", "cat", "box", "RT", ""),
    ("a cat is on the right of a box, then it jumps onto the left side of the box", "cat", "box", "RL", ""),
    ("a cat is on the right of a box, then it jumps atop the box", "cat", "box", "RT", ""),
    ("a cat is above a box, then it moves left", "cat", "box", "TL", ""),
    ("a cat sits on a box, then it jumps to the right of the box", "cat", "box", "TR", ""),
    ("a cat is on the left of a log, then climbs up on the log", "cat", "log", "LT", ""),
    ("a cat is on the left of a box, then it moves to the right.", "cat", "box", "LR", ""),
    ("a cat is on the left of a box, then it jumps over to the right side", "cat", "box", "LR", ""),
    ("a cat is on the right of a box, then it jumps to the other side", "cat", "box", "RL", ""),
    ("a cat is to the box's left, then it hops to its right", "cat", "box", "LR", ""),
    ("A CAT IS ON THE LEFT OF A BOX, THEN IT JUMPS TO THE RIGHT OF THE BOX", "cat", "box", "LR", ""),
    # articles, adjectives, compounds
    ("a small red fox is on the left of a wooden box, then it runs to the right of the box",
     "fox", "box", "LR", ""),
    ("a small, fluffy cat is on the left of a box, then it runs to the right of the box",
     "cat", "box", "LR", ""),
    ("a dog is on the left of a traffic cone, then it runs to the right of the cone",
     "dog", "traffic cone", "LR", ""),
    ("a robot dog is on the left of the park bench, then it runs onto the park bench",
     "robot dog", "park bench", "LT", ""),
    ("the cat is on the left of an umbrella, then the cat runs to the right of the umbrella",
     "cat", "umbrella", "LR", ""),
    ("cat left of box, then cat right of box", "cat", "box", "LR", ""),
    ("a butterfly is left of a flower pot, then it flutters right of the flower pot",
     "butterfly", "flower pot", "LR", ""),
    ("an orange is on the left of a box, then it rolls to the right of the box", "orange", "box", "LR", ""),
    ("a red fox is on the left of a blue fox, then it runs to the right of the blue fox",
     "red fox", "blue fox", "LR", ""),
    ("a cat with a hat is on the left of a box, then it jumps onto the box", "cat", "box", "LT", ""),
    ("There is a cat on the left of a box. Then the cat jumps onto the box.", "cat", "box", "LT", ""),
    ("A video of a cat on the left of a box, then it jumps onto the box.", "cat", "box", "LT", ""),
    # surroundings
    ("In a park a small fox is on the left of a box, then it runs to the right of it",
     "fox", "box", "LR", "In a park"),
    ("In a warm, sunny park, a cat is left of a box, then it jumps onto it",
     "cat", "box", "LT", "In a warm, sunny park"),
    ("a cat is left of a box, then it jumps onto the box in a park.", "cat", "box", "LT", "in a park"),
    ("a cat is left of a box in a park, then it jumps onto the box", "cat", "box", "LT", "in a park"),
    ("At the top of a hill, a cat is left of a box, then it jumps onto it",
     "cat", "box", "LT", "At the top of a hill"),
    ("Under a tree, a cat is left of a box, then it jumps onto it", "cat", "box", "LT", "Under a tree"),
    ("In a room with a mug left on a table, a cat is right of a box, then it jumps onto it", "cat", "box", "RT",
     "In a room with a mug left on a table"),
    # joining words and order
    ("a dog is left of a chair and then it jumps to the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair, and jumps to the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair before it jumps to the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair, it then jumps to the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair; it jumps to the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair -> right of the chair", "dog", "chair", "LR", ""),
    ("a dog left of a chair jumps on top of the chair", "dog", "chair", "LT", ""),
    ("a dog jumps from the left of a chair to the right of it", "dog", "chair", "LR", ""),
    ("a dog jumps from left to right of a chair", "dog", "chair", "LR", ""),
    ("a dog jumps on top of a chair from the left", "dog", "chair", "LT", ""),
    ("On the left of a chair, a dog sits, then it jumps to the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair,\nthen it jumps\tto the right of the chair", "dog", "chair", "LR", ""),
    ("a dog is left of a chair, then the animal jumps to the right of the chair", "dog", "chair", "LR", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "subject", "object", "code", "scene"), UNDERSTOOD)
def test_understood(text: str, subject: str, object: str, code: str, scene: str) -> None:
    parsed = parse_sentence(f"  {text}\n")
    assert parsed.not_understood == ()
    prompt = parsed.prompt
    assert prompt is not None
    assert (prompt.subject, prompt.object, prompt.change.code, prompt.scene) == (subject, object, code, scene)
    assert prompt.text == text
    assert prompt.id == safe_name(prompt.id)


NOT_UNDERSTOOD = [
    ("", "is empty"),
    ("  \n ", "is empty"),
    ("...", "is empty"),
    ("asdf", "names no place"),
    ("a cat and a box", "names no place"),
    ("a cat is next to a box, then it walks near the box", "'next to' does not say which side"),
    ("a cat is on the left of a box", "only one place, the left"),
    ("a cat is beside a box, then it jumps onto the box", "only one place, the top"),
    ("a cat is on the left of a box, then it jumps to the left of the box", "nothing changes"),
    ("a cat is on top of a box, then it jumps to the other side", "'The other side' is clear only after"),
    ("a cat is on the left of a box, then it hides behind the box", "'behind' is known but not scored yet"),
    ("a cat is under a table, then it jumps onto the table", "'under' is known but not scored yet"),
    (
        "a cat is in front of a box, then it is on the left of the box",
        "'in front of' is known but not scored yet",
    ),
    ("a cat is behind a box", "'behind' is known but not scored yet"),
    ("is on the left of a box, then jumps on top of it", "not clear what moves"),
    ("it is on the left of a box, then it jumps on top of it", "not clear what moves"),
    ("a cat is on the left, then it jumps to the right", "Name a second thing"),
    ("a cat is on the left of it, then it jumps to the right", "Name a second thing"),
    ("a cat is on the left of a box, then it jumps on top of a table", "'box' and 'table'"),
    ("a cat is on the left of a box, then a dog jumps on top of the box", "then 'dog' moves"),
    ("a fox is on the left of a fox, then it runs to the right", "are both 'fox'"),
]


@pytest.mark.parametrize(("text", "words"), NOT_UNDERSTOOD)
def test_not_understood(text: str, words: str) -> None:
    parsed = parse_sentence(text)
    assert parsed.prompt is None
    assert any(words in sentence for sentence in parsed.not_understood), parsed.not_understood
    assert all(sentence[0].isupper() or sentence[0] == "'" for sentence in parsed.not_understood)
    assert all(sentence.endswith(".") for sentence in parsed.not_understood)


REMARKS = [
    ("In a park a cat is left of a box, then right of it, then on top of it", "LT", "names 3 places"),
    (
        "a cat is left of a box, then it jumps onto the box and falls asleep",
        "LT",
        "'and falls asleep' play no part",
    ),
    ("a cat is left of a box, then on top of it, then right of the box", "LR", "names 3 places"),
]


@pytest.mark.parametrize(("text", "code", "words"), REMARKS)
def test_remarks_beside_a_prompt(text: str, code: str, words: str) -> None:
    parsed = parse_sentence(text)
    assert parsed.prompt is not None and parsed.prompt.change.code == code
    assert len(parsed.not_understood) == 1 and words in parsed.not_understood[0]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_change_in_the_vocabulary_s_own_words(change) -> None:
    parsed = parse_sentence(
        f"a fox is {change.initial.place} a stump, then it goes {change.final.goal} the stump"
    )
    assert parsed.prompt is not None and parsed.prompt.change == change


def test_different_sentences_have_different_ids() -> None:
    first, second = (
        parse_sentence(f"a cat is left of a box, then it {verb} onto it") for verb in ("hops", "runs")
    )
    assert first.prompt is not None and second.prompt is not None and first.prompt.id != second.prompt.id


def test_any_words_get_an_answer() -> None:
    alphabet = (
        "a the cat box it then and before , . ; left right top of on onto to from the in park is jumps 's under behind"
        " its side other small ’ \N{CAT FACE} -> next after there with by"
    )
    words = alphabet.split(" ")
    draw = random.Random(0)
    for _ in range(1000):
        parsed = parse_sentence(" ".join(draw.choices(words, k=draw.randrange(25))))
        assert parsed.prompt is not None or parsed.not_understood


@pytest.mark.parametrize("words", ["to ", "on the left of ", "a", "In a, ", "and then ", "to\n", "the "])
def test_endless_sentences_end(words: str) -> None:
    assert parse_sentence(words * 3000).not_understood  # "to to to ..." once took minutes


def test_prompts_of_the_published_shape_are_read_as_their_columns_say() -> None:
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    for row in rows:
        parsed = parse_sentence(row["prompt"])
        assert parsed.prompt is not None and parsed.not_understood == (), row["prompt"]
        prompt = parsed.prompt
        read = (prompt.subject, prompt.object, prompt.change.code, prompt.scene)
        assert read == (row["animal"], row["object"], row["type"], row["scene"].rstrip(","))
