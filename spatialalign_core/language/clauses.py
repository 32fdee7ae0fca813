"""A text cut into sentences and clauses, with the word that joins each clause and when it happens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .lexicon import (
    ADVERBS,
    AUXILIARIES,
    DETERMINERS,
    MANY,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    inflected_verb,
    is_adverb,
    word_set,
)
from .noun_phrases import noun_phrase

_WORDS = re.compile(r"\d+(?:[.:]\d+)*\w*|[A-Za-z\u00c0-\uffff_][\w'-]*|[.,;:!?]|\d+|&")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+(?=\S)")
_TIME_LINKS = word_set(
    """
    then before after while whilst as until till when once because although though
    """
)
_PLAIN_LINKS = frozenset(("and", "but", "so", "yet", "&"))
_FIRST = re.compile(
    r"\b(?:before that|beforehand|previously|earlier|originally|^first|at the (?:very )?(?:beginning|start|outset)|"
    r"initially|to begin with|had been|having|"
    r"(?:start|starts|started|starting|begin|begins|began|beginning)(?= (?:out |off )?(?:on|at|in|to|from|left|right|"
    r"atop|above|behind|under|by)\b)|once(?= (?:on|at|to|left|right|atop)\b))",
    re.I,
)
_LAST = re.compile(
    r"\b(?:at the (?:very )?end|in the end|at last|(?:end|ends|ended|ending)(?= (?:up |its \w+ )?(?:on|at|in|to|left|"
    r"right|atop|above|behind|under|by)\b))",
    re.I,
)
_AFTERWARDS = re.compile(
    r"after (?:that|which|this|a (?:while|moment|second|few \w+|short \w+|brief \w+)|\w+ (?:moments|seconds))\b",
    re.I,
)


@dataclass(frozen=True)
class Clause:
    """Part of a sentence. text: its characters, start: where they stand in the whole line.

    words: lower-case words and punctuation, spans: where each stands in text.
    link: the word that joins it to what stands before ("" for the first). sentence: number of its sentence.
    when: its place in time, as a sort key. question: its sentence asks.
    """

    text: str
    start: int
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    link: str
    sentence: int
    when: tuple[int, float]
    question: bool

    def words_before(self, character: int) -> tuple[str, ...]:
        return tuple(word for word, (_, end) in zip(self.words, self.spans, strict=True) if end <= character)

    def words_after(self, character: int) -> tuple[str, ...]:
        return tuple(
            word for word, (start, _) in zip(self.words, self.spans, strict=True) if start >= character
        )


def split_clauses(line: str) -> list[Clause]:
    """The clauses of a cleaned text, in the order in which they stand."""
    clauses: list[Clause] = []
    start = 0
    for number, sentence in enumerate(_SENTENCE_END.split(line)):
        start = line.index(sentence, start)
        clauses += _of_sentence(sentence, start, number, len(clauses))
        start += len(sentence)
    return clauses


def words_of(text: str) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    matches = list(_WORDS.finditer(text))
    return tuple(match[0].lower() for match in matches), tuple(match.span() for match in matches)


def _of_sentence(sentence: str, begin: int, number: int, offset: int) -> list[Clause]:
    words, spans = words_of(sentence)
    cuts: list[tuple[int, int, str]] = []  # first word, last word + 1, link
    first, link = 0, ""
    at = 0
    while at < len(words):
        if _separates(words, at):
            if at > first:
                cuts.append((first, at, link))
                link = ""
            link = words[at] if words[at] in _TIME_LINKS else (link or words[at])
            first = at + 1
        at += 1
    cuts.append((first, len(words), link))
    result: list[Clause] = []
    question = sentence.rstrip().endswith("?")
    for start, end, joined in cuts:
        if start >= end:
            continue
        text = sentence[spans[start][0] : spans[end - 1][1]]
        base = spans[start][0]
        index = offset + len(result)
        lead = sentence[spans[start - 1][0] if start else 0 : spans[end - 1][1]]
        result.append(
            Clause(
                text,
                begin + base,
                words[start:end],
                tuple((low - base, high - base) for low, high in spans[start:end]),
                joined,
                number,
                _when(joined, lead, text, index, first=not result),
                question,
            )
        )
    return result


def _when(link: str, lead: str, text: str, index: int, first: bool) -> tuple[int, float]:
    joined = f"{link} {text}"
    if (
        _FIRST.search(text)
        or _FIRST.search(joined)
        or (link == "before" and re.match(r"(?:that|this)\b", text, re.I))
    ):
        return (-1, index)
    if _LAST.search(text):
        return (1, index)
    if link == "after" and not first and not _AFTERWARDS.match(joined):
        return (0, index - 1.5)
    if link == "before" and first:
        return (0, index + 1.5)
    return (0, index)


def _separates(words: Sequence[str], at: int) -> bool:
    word = words[at]
    after = words[at + 1] if at + 1 < len(words) else ""
    if word in (",", ":", ";"):
        return True
    if word in ("as", "once"):
        return after in DETERMINERS or after in PRONOUNS or (at == 0 and word == "once")
    if word in _TIME_LINKS:
        return True
    if word not in _PLAIN_LINKS:
        return False
    if not after or after in _TIME_LINKS or after in PRONOUNS or after in RELATIVES or after in AUXILIARIES:
        return True
    if after in ADVERBS or is_adverb(after) or after in ("left", "top", "not", "never"):
        return True
    if after in PREPOSITIONS or inflected_verb(after):
        return True
    return _has_verb(words, at + 1)


def _has_verb(words: Sequence[str], at: int) -> bool:
    """Whether a noun phrase begins there and a verb of its own follows: "and a dog is ..."."""
    if words[at] not in DETERMINERS | MANY and not words[at].isalpha():
        return False
    phrase = noun_phrase(words, at)
    if phrase is None or phrase.end >= len(words):
        return False
    # "a cat and a dog are": one clause with two subjects
    if words[phrase.end] in ("are", "were") or not any(
        word in AUXILIARIES or inflected_verb(word) for word in words[:at]
    ):
        return False
    after = next((word for word in words[phrase.end :] if not is_adverb(word)), "")
    return after in AUXILIARIES or inflected_verb(after)
