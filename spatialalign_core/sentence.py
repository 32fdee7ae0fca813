"""A sentence as an artist types it, read into subject, object, first place and last place.

No grammar and no model: the words for places ("on the left side of", "onto") are found first, and the nouns
are read off around them. What cannot be read is said in full sentences.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .files import safe_name
from .nouns import NounPhrase, beginning_noun, closing_noun, is_pronoun, same_thing
from .prompts import DsrPrompt
from .relations import Relation, RelationChange

EXAMPLE = "a cat is on the left of a box, then it jumps to the right of the box"

_OWNER = r"(?:the\s+|its\s+|his\s+|her\s+|their\s+)"
_TOWARDS = r"(?:(?:from|on|onto|in|at|to|towards?|over)\s+)"
_SIDE = r"(?P<{0}>left|right|top)(?:[\s-]*hand)?(?:[\s-]+(?:side|edge|end|part))?"
_PLACES = re.compile(
    rf"\b{_TOWARDS}{{0,3}}{_OWNER}?(?:(?:very|far|upper)\s+)?{_SIDE.format('side')}\s+(?:of|from)\b"
    rf"|\b{_TOWARDS}{{1,3}}(?P<owner>(?:a|an|the)\s+[\w-]+(?:\s+[\w-]+)?)'s\s+{_SIDE.format('owned')}\b"
    rf"|\b{_TOWARDS}{{1,3}}{_OWNER}?(?:(?:very|far|upper)\s+)?{_SIDE.format('weak')}\b"
    rf"|\b{_TOWARDS}{{1,3}}{_OWNER}(?P<other>other|opposite)\s+side(?:\s+of\b)?"
    r"|\b(?P<above>atop|onto|above|upon)\b"
    r"|\b(?P<unscored>underneath|under|beneath|below|in\s+front\s+of|behind|in\s+back\s+of)\b",
    re.I,
)
_STANDS_OR_GOES = (
    r"is|are|was|be|being|been|sits|sit|sitting|stands|standing|lies|lying|rests|resting|perches|perched"
    r"|perching|stays|waits|waiting|sleeps|sleeping|starts|begins|ends|appears|jumps|jumping|hops|hopping"
    r"|leaps|leaping|climbs|climbing|lands|landing|steps|stepping|gets|goes|moves|moving|springs|flies"
    r"|flying|flutters|bounds|crawls|walks|walking|pounces|settles|rolls|floats|drops|falls"
)
_PLAIN_ON = re.compile(rf"\b(?:{_STANDS_OR_GOES})\s+(?:(?:up|down|back)\s+)?(?P<on>on)\b", re.I)
_BARE_DIRECTION = re.compile(r"\b(?P<weak>left|right)(?:wards?)?(?=\s*(?:[.,;!]|$))", re.I)
_CONNECTOR = re.compile(
    r"(?:\band\s+)?\bthen\b|\bbefore\b|\bafter\s+(?:that|which)\b|\bafterwards?\b|\bnext\b(?!\s+to\b)|\bfinally\b"
    r"|\blater\b|\buntil\b|;|\.\s|->|→|\band\b",
    re.I,
)
_SCENE_WORDS = (
    r"in|inside|at|on|near|by|under|beneath|during|outside|behind|with|among|along|amid|beside|next"
    r"|beyond|across|over|within|around|between|through|below|above|throughout|into"
)
_SCENE_FIRST = re.compile(rf"(?:{_SCENE_WORDS})\b[^,;.]*,", re.I)
_UNCLEAR = re.compile(
    r"\b(next\s+to|beside|near(?:by)?|close\s+to|alongside|by|around|over|inside|into|across)\b", re.I
)
_PLACE_NAMES = {Relation.LEFT: "left", Relation.RIGHT: "right", Relation.TOP: "top"}


@dataclass(frozen=True)
class ParsedSentence:
    """What was read. prompt is None when a part is missing, and `not_understood` then says which and what to
    write; next to a prompt, `not_understood` holds remarks on words that play no part in the score."""

    prompt: DsrPrompt | None
    not_understood: tuple[str, ...] = ()


class _Place(NamedTuple):
    start: int
    end: int
    relation: Relation | str  # "other" is the opposite of the first; anything else names an unscored relation
    certain: bool  # a word that can mean nothing else
    origin: bool  # "from the left of"
    owner: str  # "the box" in "to the box's left"


def parse_sentence(text: str) -> ParsedSentence:
    """Read a free sentence; never raises. The prompt's text is the artist's own words without the spaces
    around them.

    "In a park, a small red fox sits on the left side of a wooden box, then it leaps onto it" gives subject
    "fox", object "box", change LT and scene "In a park". Common adjectives are left out of the nouns,
    compounds ("traffic cone") stay.
    """
    words = text.strip()
    line = " ".join(words.split()).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if not re.search(r"\w", line):
        return _failed(
            f"The sentence is empty. Write where something is and where it goes, for example: {EXAMPLE}."
        )
    places = _places(line)
    chosen = _first_and_last(line, places)
    if chosen is None:
        return _failed(_too_few(line, places))
    first, last, connector = chosen
    unscored = [place.relation for place in (first, last) if _is_unscored(place)]
    if unscored:
        return _failed(*(_not_scored(words) for words in dict.fromkeys(unscored)))
    count = sum(place.certain and isinstance(place.relation, Relation) for place in places)
    return _assemble(words, line, first, last, connector, count)


def _assemble(
    words: str, line: str, first: _Place, last: _Place, connector: re.Match[str] | None, count: int
) -> ParsedSentence:
    before, middle, after = line[: first.start], line[first.end : last.start], line[last.end :]
    first_half = middle if connector is None else line[first.end : connector.start()]
    second_half = "" if connector is None else line[connector.end() : last.start]
    subject, scene = closing_noun(before)
    near = beginning_noun(first_half, before_verb=connector is None)
    if (
        not subject.noun and not before.strip() and "," in first_half
    ):  # "On the left of a box, a cat sits, then ..."
        subject, _ = closing_noun(first_half.split(",", 1)[1])
        near = beginning_noun(first_half.split(",", 1)[0], before_verb=False)
    again, _ = (
        closing_noun(second_half) if re.match(r"\s*(?:a|an|the)\s", second_half, re.I) else (NounPhrase(), "")
    )
    far = beginning_noun(after, before_verb=False)
    owners = [beginning_noun(place.owner, before_verb=False) for place in (first, last) if place.owner]
    objects = [phrase for phrase in (near, far, *owners) if phrase.noun and not is_pronoun(phrase.noun)]

    problems = []
    if not subject.noun or is_pronoun(subject.noun):
        problems.append(
            f"It is not clear what moves. Begin with the thing that moves, for example: {EXAMPLE}."
        )
    if not objects:
        problems.append(
            "It is not clear what the movement is seen from. Name a second thing after the place, such as 'on the left"
            " of a box'."
        )
    thing = max(objects, key=lambda phrase: len(phrase.noun), default=NounPhrase())
    others = [phrase for phrase in objects if not same_thing(phrase, objects[0])]
    if others:
        problems.append(
            f"The sentence names two things to be seen from, '{objects[0].full}' and '{others[0].full}'. Use the same"
            " one for the first and the last place."
        )
    if (
        again.noun
        and subject.noun
        and not same_thing(again, subject)
        and again.noun not in ("animal", "creature")
    ):
        problems.append(
            f"First '{subject.full}' is at a place, then '{again.full}' moves. Only one thing can be followed; let the"
            " same one be first here and then there."
        )
    start, end = (last, first) if last.origin and not first.origin else (first, last)
    change = _change(start.relation, end.relation)
    if not isinstance(change, RelationChange):
        problems.append(change)
    subject_noun, object_noun = subject.noun, thing.noun
    if subject_noun and subject_noun == object_noun:
        subject_noun, object_noun = subject.full, thing.full
        if subject_noun == object_noun:
            problems.append(
                f"The thing that moves and the thing it moves around are both '{thing.full}'. Name two."
            )
    if problems or not isinstance(change, RelationChange):
        return _failed(*problems)
    mark = hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()[:8]
    name = safe_name(re.sub(r"\s+", "-", f"{subject_noun}_{object_noun}_{change.code}_{mark}"))
    scene = scene or near.scene or far.scene
    prompt = DsrPrompt(name, words, subject_noun, object_noun, change, scene)
    return ParsedSentence(prompt, tuple(_remarks(far, count, subject_noun)))


def _places(line: str) -> list[_Place]:
    found = [_place(match) for match in _PLACES.finditer(line)]
    for pattern, group in ((_PLAIN_ON, "on"), (_BARE_DIRECTION, "weak")):
        for match in pattern.finditer(line):
            start, end = match.span(group)
            if any(place.start < end and start < place.end for place in found):
                continue
            relation = Relation.TOP if group == "on" else Relation[match[group].upper()]
            found.append(_Place(start, end, relation, False, False, ""))
    return _without_scene(line, sorted(found))


def _place(match: re.Match[str]) -> _Place:
    groups = match.groupdict()
    side = groups["side"] or groups["owned"] or groups["weak"]
    relation: Relation | str
    if side:
        relation = Relation[side.upper()]
    elif groups["above"]:
        relation = Relation.TOP
    else:
        relation = "other" if groups["other"] else " ".join(groups["unscored"].lower().split())
    certain = bool(groups["side"] or groups["owned"] or groups["other"] or groups["above"])
    origin = match[0].lower().startswith("from")
    return _Place(match.start(), match.end(), relation, certain, origin, groups["owner"] or "")


def _without_scene(line: str, places: list[_Place]) -> list[_Place]:
    """Leave out places that belong to the surroundings: "At the top of a hill, a cat is on the left of a box,
    ..."."""
    opening = _SCENE_FIRST.match(line)
    following = line[opening.end() :].split() if opening else []
    if not following or _CONNECTOR.match(following[0]) or is_pronoun(following[0].lower()):
        return places  # "In a park a fox is on the left of a box, then ..." has its subject before the comma
    outside = [place for place in places if place.start >= line.index(",")]
    return outside if len(outside) >= 2 else places


def _first_and_last(
    line: str, places: Sequence[_Place]
) -> tuple[_Place, _Place, re.Match[str] | None] | None:
    """The place before and the place after the word that joins the two halves; certain ones win over doubtful
    ones."""
    joins = [
        connector
        for connector in _CONNECTOR.finditer(line)
        if any(place.end <= connector.start() for place in places)
        and any(place.start >= connector.end() for place in places)
    ]
    joins = [join for join in joins if join[0].lower() != "and"] or joins[:1]
    if joins:
        before = [place for place in places if place.end <= joins[0].start()]
        after = [place for place in places if place.start >= joins[-1].end()]
        return _best(before), _best(after), joins[0]
    certain = [place for place in places if place.certain]
    pool = certain if len(certain) >= 2 else places
    return (pool[0], pool[1], None) if len(pool) >= 2 else None


def _best(places: Sequence[_Place]) -> _Place:
    return next((place for place in places if place.certain), places[0])


def _change(first: Relation | str, last: Relation | str) -> RelationChange | str:
    opposite = {Relation.LEFT: Relation.RIGHT, Relation.RIGHT: Relation.LEFT}
    if last == "other" and isinstance(first, Relation) and first in opposite:
        last = opposite[first]
    if not isinstance(first, Relation) or not isinstance(last, Relation):
        return "'The other side' is clear only after 'left' or 'right'. Write the side itself: left, right or top."
    if first == last:
        return (
            f"Both places are the {_PLACE_NAMES[first]}, so nothing changes. Let the movement end at another place:"
            " left, right or top."
        )
    return RelationChange(first, last)


def _too_few(line: str, places: Sequence[_Place]) -> str:
    unscored = [place.relation for place in places if _is_unscored(place)]
    if unscored:
        return _not_scored(unscored[0])
    unclear = _UNCLEAR.search(line)
    hint = f" The words '{unclear[0]}' do not say on which side." if unclear else ""
    if not places:
        return f"The sentence names no place.{hint} Write left of, right of or on top of, for example: {EXAMPLE}."
    relation = places[0].relation
    name = _PLACE_NAMES[relation] if isinstance(relation, Relation) else "other side"
    return (
        f"The sentence names only one place, the {name}.{hint} Say where it is first and where it is at the end, for"
        f" example: {EXAMPLE}."
    )


def _is_unscored(place: _Place) -> bool:
    return not isinstance(place.relation, Relation) and place.relation != "other"


def _not_scored(words: str) -> str:
    return f"The place '{words}' is known but not scored yet. Use left of, right of or on top of instead."


def _remarks(far: NounPhrase, count: int, subject: str) -> list[str]:
    remarks = []
    if far.rest:
        remarks.append(f"The words '{far.rest}' play no part in the score; the video model still reads them.")
    if count > 2:
        remarks.append(
            f"The sentence names {count} places; only where the {subject} begins and ends is scored."
        )
    return remarks


def _failed(*reasons: str) -> ParsedSentence:
    return ParsedSentence(None, reasons)
