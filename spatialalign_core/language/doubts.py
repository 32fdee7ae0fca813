"""What the reader says about what it cannot be sure of: one full sentence each, with what to write instead."""

from __future__ import annotations

import re

EXAMPLE = "a cat is on the left of a box, then it jumps to the right of the box"
_NAMES = {"L": "left", "R": "right", "T": "top", "F": "front", "B": "back", "U": "underside", "I": "inside"}
_UNCLEAR = re.compile(
    r"\b(next\s+to|beside|near(?:by)?|close\s+to|alongside|by|around|over|inside|into|across)\b", re.I
)


def empty() -> str:
    return f"The sentence is empty. Write where something is and where it goes, for example: {EXAMPLE}."


def other_language() -> str:
    return f"Only English sentences can be read so far. Write it in English, for example: {EXAMPLE}."


def _hint(line: str) -> str:
    unclear = _UNCLEAR.search(line)
    return f" '{unclear[0]}' does not say which side." if unclear else ""


def no_place(line: str) -> str:
    return f"The sentence names no place.{_hint(line)} Write left of, right of or on top of, for example: {EXAMPLE}."


def one_place(code: str, line: str) -> str:
    return (
        f"The sentence names only one place, the {_NAMES[code]}.{_hint(line)} Say where it is first and"
        f" where it is at the end, for example: {EXAMPLE}."
    )


def no_change(code: str) -> str:
    return (
        f"Both places are the {_NAMES[code]}, so nothing changes. Let the movement end at another place: left, right or"
        " top."
    )


def back_again(code: str) -> str:
    return f"The movement ends where it begins, at the {_NAMES[code]}. Let it end at another place: left, right or top."


def other_side() -> str:
    return (
        "'The other side' is clear only after 'left' or 'right'. Write the side itself: left, right or top."
    )


def not_scored(words: str) -> str:
    return f"The place '{words}' is known but not scored yet. Use left of, right of or on top of instead."


def diagonal(words: str) -> str:
    return f"'{words}' names two directions at once. Write one of left of, right of or on top of."


def no_subject() -> str:
    return f"It is not clear what moves. Begin with the thing that moves, for example: {EXAMPLE}."


def no_object() -> str:
    return (
        "It is not clear what the movement is seen from. Name a second thing after the place, such as 'on the left of a"
        " box'."
    )


def two_objects(first: str, second: str) -> str:
    return (
        f"The sentence names two things to be seen from, '{first}' and '{second}'. Use the same one for the first and"
        " the last place."
    )


def two_subjects(first: str, second: str) -> str:
    return f"Both '{first}' and '{second}' change places. Only one thing can be followed; write of one alone."


def other_actor(first: str, second: str) -> str:
    return (
        f"First '{first}' is at a place, then '{second}' moves. Only one thing can be followed; let the same one be"
        " first here and then there."
    )


def which_one(pronoun: str, first: str, second: str) -> str:
    return f"It is not clear whether '{pronoun}' is '{first}' or '{second}'. Write the noun again."


def which_moves(subject: str, moved: str) -> str:
    return f"It is not clear whether '{subject}' or '{moved}' goes there. Write a sentence in which one thing moves."


def many(noun: str) -> str:
    return f"'{noun}' are several things, and only one can be followed. Write of one, such as 'a cat' and 'a box'."


def same_noun(noun: str) -> str:
    return f"The thing that moves and the thing it moves around are both '{noun}'. Name two."


def odd_noun(noun: str) -> str:
    return f"'{noun}' does not look like the name of one thing. Write the noun plainly, such as 'a cat' or 'a box'."


def question() -> str:
    return f"The sentence asks a question. Write what happens, for example: {EXAMPLE}."


def negated(words: str) -> str:
    return f"The sentence says something with 'not' about '{words}'. Write only what happens."


def unreal(words: str) -> str:
    return f"The sentence does not say that '{words}' really happens. Write what happens, without 'might'."


def several_places(count: int, subject: str) -> str:
    return f"The sentence names {count} places; only where the {subject} begins and ends is scored."


def no_part(words: str) -> str:
    return f"The words '{words}' play no part in the score; the video model still reads them."


def two_alike(first: str, second: str) -> str:
    return f"'{first}' and '{second}' are called by the same noun, so that no detector tells them apart. Write of one."


def either(words: str) -> str:
    return f"The sentence leaves open where it is ('{words}' or another place). Write one place."


def condition(words: str) -> str:
    return f"The words '{words}' are a condition. Write what happens, without 'if' or 'unless'."


# Doubts about the nouns; all others are about the places.
_ABOUT = (
    (r"It is not clear what moves\.", ("subject",)),
    (
        r"It is not clear what the movement is seen from\.|The sentence names two things to be seen from",
        ("object",),
    ),
    (r"Both '|First '|It is not clear whether '", ("subject",)),
    (r"The thing that moves and the thing it moves around", ("subject", "object")),
    (
        r"The sentence is empty|Only English|The sentence asks a question",
        ("subject", "object", "initial", "final"),
    ),
)


def parts_in_doubt(doubt: str, subject: str, thing: str) -> tuple[str, ...]:
    """Which of "subject", "object", "initial" and "final" a doubt is about. subject, thing: the nouns as read."""
    for looks, parts in _ABOUT:
        if re.match(looks, doubt):
            return parts
    said = doubt.split(" Write ")[0]  # what follows are examples
    named = [quoted.split()[-1] for quoted in re.findall(r"'([^']+)'", said) if quoted.strip()]
    if re.search(r"several things|does not look like the name|called by the same noun", doubt):
        heads = {"subject": subject.split()[-1:], "object": thing.split()[-1:]}
        return tuple(part for part, head in heads.items() if set(head) & set(named)) or ("subject", "object")
    if re.match(r"The sentence names only one place", doubt):
        return ("final",)
    if re.match(r"The place '.+' is known but not scored yet", doubt):
        return ()  # whoever shows the places sees which one it is
    return ("initial", "final")
