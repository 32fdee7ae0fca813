"""The nouns of plain English phrases: "a small red fox is sitting" -> fox. Word lists and rules of thumb."""

from __future__ import annotations

import re
from dataclasses import dataclass


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_DETERMINERS = _set(
    """
    a an the one some this that these those his her its my our their your another two three
    """
)
_PRONOUNS = _set("it he she they him them this that itself which")
_ADJECTIVES = _set(
    """
    small big large little tiny huge giant tall short long wide narrow round square flat fat thin slim
    old young new red green blue yellow orange purple pink brown black white grey gray golden silver
    dark light bright colorful colourful pale striped spotted wooden metal metallic plastic stone-built
    stony rusty dusty clean dirty wet dry shiny soft fluffy furry cute lovely pretty beautiful happy sad
    sleepy lazy playful curious brave quick fast slow quiet single simple plain open closed empty full
    broken cardboard adorable friendly gentle wild realistic very really rather tabby ginger fuzzy
    chubby strong heavy good nice great
    """
)
_ADVERBS = _set("now first initially still currently already also just again quickly up down over back")
_NO_ADVERB = _set("butterfly fly dragonfly firefly lily jelly family")
_AUXILIARIES = _set(
    """
    is are was were be has have had can will starts start begins begin stays stay remains remain sits
    sit stands stand lies lie rests rest waits wait keeps seems appears
    """
)
_STOPS = _set(
    """
    and then that which who while as to of in on at by with from near inside under behind before after
    but where when so or for into onto until because it he she they during outside among along next
    beside is are was
    """
)
_SCENES = _set(
    """
    in inside at on near by under beneath during outside behind with among along amid beside beyond
    within
    """
)
_OPENINGS = re.compile(
    r"^\s*(?:(?:and|so|first|initially|at first|once|now)\b[\s,]*)*"
    r"(?:there\s+(?:is|was|are)\b|there's\b|(?:we|i|you)\s+(?:can\s+)?see\b|show(?:s|ing)?\b|imagine\b|"
    r"(?:a|the)\s+(?:video|clip|shot|photo|picture|scene|animation|film)\s+(?:of|with|where)\b)?\s*",
    re.I,
)
_DETERMINER = re.compile(rf"\b(?:{'|'.join(sorted(_DETERMINERS))})\s", re.I)
_WORD = re.compile(r"[\w'-]+")


@dataclass(frozen=True)
class NounPhrase:
    """noun: lower case, without common adjectives. full: with them. scene: a phrase of place right behind the
    noun ("in a park"). rest: other words behind it. Empty where there is none."""

    noun: str = ""
    full: str = ""
    scene: str = ""
    rest: str = ""


def closing_noun(text: str) -> tuple[NounPhrase, str]:
    """The subject of a half sentence that breaks off before a place, and the surroundings told before it.

    "In a park, a small fox is sitting" -> fox, "In a park".
    """
    text = text[_OPENINGS.match(text).end() :]  # type: ignore[union-attr]
    scene, clause = "", text
    first = _WORD.search(text)
    if first and first[0].lower() in _SCENES:
        cut = _clause_start(text)
        scene, clause = text[:cut].strip(" ,"), text[cut:]
    else:
        comma = text.rfind(",")
        if comma >= 0 and _DETERMINER.match(text[comma + 1 :].lstrip()):
            scene, clause = text[:comma].strip(" ,"), text[comma + 1 :]
    clause = clause[_OPENINGS.match(clause).end() :]  # type: ignore[union-attr]
    words = [word.lower() for word in _WORD.findall(clause)]
    return _phrase(_up_to_verb(_after_determiner(words))), scene


def beginning_noun(text: str, before_verb: bool) -> NounPhrase:
    """The noun a text begins with: "a wooden box in a park" -> box, scene "in a park".

    before_verb: whether a verb may follow without a comma or joining word between ("a box jumps").
    """
    words: list[str] = []
    end = 0
    for match in _WORD.finditer(text):
        between = text[end : match.start()]
        word = match[0].lower()
        adjectives_so_far = all(known in _ADJECTIVES or known in _DETERMINERS for known in words)
        if re.search(r"[,.;:!?]|->|→", between) and not (words and adjectives_so_far):
            break
        if words and word in _STOPS and not adjectives_so_far:
            break
        if not words and word in _PRONOUNS and word not in ("this", "that"):
            return NounPhrase(noun=word, full=word, rest=_rest(text[match.end() :])[1])
        words.append(word)
        end = match.end()
    scene, rest = _rest(text[end:])
    words = _after_determiner(words)
    if before_verb and len(words) > 1 and not re.match(r"\s*[,.;]", text[end:]):
        words = _up_to_verb(words)
    phrase = _phrase(words)
    return NounPhrase(phrase.noun, phrase.full, scene, rest)


def same_thing(one: NounPhrase, other: NounPhrase) -> bool:
    """Whether two phrases can mean the same: "traffic cone" and "cone" do, "box" and "table" do not."""
    return one.noun.split()[-1:] == other.noun.split()[-1:]


def is_pronoun(word: str) -> bool:
    return word in _PRONOUNS


def _clause_start(text: str) -> int:
    """Where the subject begins in a text that opens with surroundings: after a comma, else at the last
    article."""
    commas = [match.start() for match in re.finditer(",", text)]
    for comma in reversed(commas):
        if _DETERMINER.match(text[comma + 1 :].lstrip()):
            return comma + 1
    if commas:
        return commas[-1] + 1
    articles = [match.start() for match in _DETERMINER.finditer(text)]
    return articles[-1] if articles else len(text)


def _after_determiner(words: list[str]) -> list[str]:
    while words and words[0] in _DETERMINERS:
        words = words[1:]
    return words


def _up_to_verb(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if index and (word in _STOPS or word in _AUXILIARIES):
            return words[:index]
    while len(words) > 1 and (words[-1] in _ADVERBS or _is_adverb(words[-1])):
        words = words[:-1]
    bare = [word for word in words if word not in _ADJECTIVES]
    if len(bare) > 1 and re.search(r"(?<![su])s$|ing$|ed$", words[-1]):
        words = words[:-1]
        while len(words) > 1 and _is_adverb(words[-1]):
            words = words[:-1]
    return words


def _is_adverb(word: str) -> bool:
    return word.endswith("ly") and word not in _NO_ADVERB


def _phrase(words: list[str]) -> NounPhrase:
    while len(words) > 1 and (words[-1] in _ADVERBS or _is_adverb(words[-1])):
        words = words[:-1]
    if not words or words[0] in _STOPS - _PRONOUNS or words[0] in _AUXILIARIES:
        return NounPhrase()
    bare = list(words)
    while len(bare) > 1 and (bare[0] in _ADJECTIVES or _is_adverb(bare[0])):
        bare = bare[1:]
    return NounPhrase(" ".join(bare), " ".join(words))


def _rest(text: str) -> tuple[str, str]:
    """(scene, other words) of what follows a noun."""
    text = text.strip(" .,;!?")
    first = _WORD.search(text)
    if first is None or (first[0].lower() in _ADVERBS and len(text.split()) == 1):
        return "", ""
    return (text, "") if first[0].lower() in _SCENES else ("", text)
