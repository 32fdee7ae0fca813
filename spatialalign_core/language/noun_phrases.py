"""Noun phrases in a row of words: "a small red fox with a hat is" -> fox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .lexicon import (
    AUXILIARIES,
    CONJUNCTIONS,
    DETERMINERS,
    MANY,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    describes,
    inflected_verb,
    is_adverb,
    is_number,
    only_verb,
    singular,
    tags,
    verb_stem,
    word_set,
)

PUNCTUATION = frozenset(",;:.!?")


@dataclass(frozen=True)
class NounPhrase:
    """noun: lower case, without words that only describe. full: with them.

    start, end: its words, end exclusive. definite: "the fox". owned: "its tail". many: more than one thing, so that
    none can be followed. pronoun: it stands for one.
    """

    noun: str = ""
    full: str = ""
    start: int = 0
    end: int = 0
    definite: bool = False
    many: bool = False
    pronoun: bool = False
    owned: bool = False

    @property
    def head(self) -> str:
        return self.noun.rsplit(" ", 1)[-1]


def noun_phrase(words: Sequence[str], start: int) -> NounPhrase | None:
    """The noun phrase that begins at `start`, or None. Words are lower case, punctuation marks are words too."""
    at = start
    definite = many = False
    if at < len(words) and words[at] in PRONOUNS:
        return NounPhrase(words[at], words[at], at, at + 1, True, words[at] in ("they", "them"), True)
    while at < len(words) and (words[at] in DETERMINERS or words[at] in MANY or words[at] in ("each", "all")):
        definite |= words[at] in ("the", "its", "his", "her", "their", "this", "that")
        many |= words[at] in MANY or words[at] in ("these", "those")
        at += 1
    singular_article = at > start and words[at - 1] in ("a", "an", "another")
    # "a pair of shoes", "a group of dogs": the things are what follows.
    if at + 1 < len(words) and words[at + 1] == "of" and words[at] in _GROUPS:
        inner = noun_phrase(words, at + 2)
        if inner is not None:
            several = words[at] not in ("piece", "kind", "sort", "type", "pair")
            return NounPhrase(inner.noun, inner.full, start, inner.end, definite, many or several)
    first = at
    while at < len(words) and _belongs(words, at, first, singular_article, first > start):
        at += 1
    body = list(words[first:at])
    while len(body) > 1 and (is_adverb(body[-1]) or is_number(body[-1])):
        body.pop()
    if (
        not body
        or all(is_number(word) for word in body)
        or (first == start and len(body) == 1 and _no_noun(body[0]))
    ):
        return None
    if body[-1].endswith("'s") and len(body) > 1:
        body[-1] = body[-1][:-2]
    bare = list(body)
    while len(bare) > 1 and describes(bare[0], bare[-1], bare[1]):
        bare.pop(0)
    # "golden retriever puppy": what stands in the middle goes too when it only describes.
    bare = [
        word
        for i, word in enumerate(bare)
        if i == 0 or i == len(bare) - 1 or not describes(word, bare[-1], bare[i + 1])
    ]
    plural = not singular_article and body[-1] != singular(body[-1]) and singular(body[-1]) in body[-1]
    many = many or (plural and not definite)
    owned = words[start] in ("its", "his", "her", "their")
    return NounPhrase(" ".join(bare), " ".join(body), start, at, definite, many, owned=owned)


_GROUPS = word_set(
    """
    pair group couple herd flock pack bunch number crowd row pile stack piece kind sort type team
    """
)


_CANS = word_set(
    """
    trash garbage tin soda beer watering paint coffee oil spray jerry milk rubbish aluminum metal
    """
)


def _no_noun(word: str) -> bool:
    kinds = tags(word)
    return "NOUN" not in kinds and bool(kinds & {"VERB", "ADV"})


def _belongs(words: Sequence[str], at: int, first: int, singular_article: bool, determined: bool) -> bool:
    word = words[at]
    if word == "can" and at > first and words[at - 1] in _CANS:
        return True
    if word in PUNCTUATION or word in AUXILIARIES or word in RELATIVES or word in PRONOUNS:
        return False
    if word in CONJUNCTIONS or word in DETERMINERS:
        return False
    if word in PREPOSITIONS:
        return False
    if word in ("left", "right", "top") and at > first:
        return False
    if at == first:
        return (
            not (is_adverb(word) and word not in ("very", "only", "right", "straight", "back")) or determined
        )
    if word.endswith("'s"):
        return True
    noun_before = any("NOUN" in tags(each) and not describes(each) for each in words[first:at])
    third_person = (
        word.endswith("s") and inflected_verb(word) and any("NOUN" in tags(each) for each in words[first:at])
    )
    if not noun_before and not third_person:
        return True
    if is_adverb(word):
        return False
    last = words[at - 1]
    if verb_stem(word) == word and last != singular(last) and _starts_phrase(words, at + 1):
        return False  # "birds fly from left to right"
    if not inflected_verb(word):
        # "a girl step to": an infinitive behind a noun is rare; a word that can only be a verb ends the noun.
        return "NOUN" in tags(word) or is_number(word) or not verb_stem(word)
    if only_verb(word) or word.endswith(("ing", "ed")):
        # "a traffic cone" goes on, "a cat sleeping" ends; so does "a cat perched".
        return word.endswith("ing") and "NOUN" in tags(word) and _noun_follows(words, at)
    # "walks", "jumps", "lands": a verb after one thing, a noun where another verb follows ("the park benches are").
    after = words[at + 1] if at + 1 < len(words) else ""
    if after in AUXILIARIES or (after and inflected_verb(after) and after not in ("left",)):
        return not singular_article
    return False


def _starts_phrase(words: Sequence[str], at: int) -> bool:
    return at >= len(words) or words[at] in PREPOSITIONS | PUNCTUATION or is_adverb(words[at])


def _noun_follows(words: Sequence[str], at: int) -> bool:
    after = words[at + 1] if at + 1 < len(words) else ""
    return bool(after) and after not in PUNCTUATION | PREPOSITIONS | DETERMINERS and "NOUN" in tags(after)


def same_thing(one: NounPhrase, other: NounPhrase) -> bool:
    """Whether two phrases can mean the same: "traffic cone" and "cone" do, "box" and "table" do not."""
    return singular(one.head) == singular(other.head)
