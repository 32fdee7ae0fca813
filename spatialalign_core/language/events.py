"""What a text says of places, clause by clause: who is or goes where, seen from what, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .actors import Actor, find_actor
from .clauses import Clause
from .lexicon import AUXILIARIES, DETERMINERS, FRAME, MANY, inflected_verb, is_adverb, verb_stem, word_set
from .noun_phrases import NounPhrase, noun_phrase
from .places import Place, find_places

_STAY = word_set(
    """
    is are was were be been being
    """
)
_REST = word_set(
    """
    sit stand lie rest perch stay wait sleep start begin end appear jump hop leap climb land step get go move spring
    fly flutter bound crawl walk pounce settle roll float drop fall nap crouch hang remain balance alight arrive
    finish scramble scamper run slide glide pose graze roost clamber hover swing teeter be come lay seat position
    place put situate locate park
    """
)
_OPENING_LINKS = word_set(
    """
    as while whilst when then before after until once
    """
)
_MOST = 20
_LEAVES = word_set(
    """
    leave depart exit abandon vacate
    """
)


@dataclass(frozen=True)
class Event:
    """One statement about a place. clause: its number. actor: see `Actor`. subject: None when nobody is named.

    thing: what it is seen from, None when it is not said here; its: "its left". inverted: the subject stands behind it.
    antecedent: what a pronoun stood closest to.
    """

    clause: int
    when: tuple[int, float]
    place: Place
    actor: Actor
    subject: NounPhrase | None
    thing: NounPhrase | None
    its: bool
    inverted: bool = False
    antecedent: NounPhrase | None = None
    question: bool = False
    scene: str = ""

    @property
    def code(self) -> str:
        return self.place.code


def find_events(clauses: Sequence[Clause]) -> list[Event]:
    """Every statement about a place, in the order of the text; those of the camera and of scenery are marked."""
    events: list[Event] = []
    last: Actor | None = None
    for number, clause in enumerate(clauses):
        # Nobody names more in one breath; a text of nothing but places would take minutes.
        places = [place for place in find_places(clause.text) if not _inside_phrase(clause, place)][:_MOST]
        first = places[0] if places else None
        before = clause.words_before(first.start) if first else clause.words
        new_sentence = number == 0 or clauses[number - 1].sentence != clause.sentence
        actor = find_actor(before, clause.link, last is not None and not (new_sentence and bool(before)))
        known = last
        if actor.phrase is not None and not actor.phrase.pronoun:
            known = actor
        for place in places:
            within = (
                actor
                if place is first
                else replace(
                    find_actor(clause.words_before(place.start), clause.link, True),
                    scene=False,
                )
            )
            events += _event(clauses, number, clause, place, within, known)
        rest = clause.words[actor.phrase.end :] if actor.phrase is not None else ()
        told = (
            new_sentence
            or places
            or clause.link in _OPENING_LINKS
            or any(word in AUXILIARIES or inflected_verb(word) for word in rest)
        )
        if actor.phrase is not None and not actor.phrase.pronoun and told:
            own = actor.phrase.definite and clause.words[actor.phrase.start] in ("its", "his", "her", "their")
            last = last if own and last is not None else actor
        elif actor.phrase is not None and last is None:
            last = actor
        elif (
            events and events[-1].clause == number and events[-1].inverted and events[-1].subject is not None
        ):
            last = Actor(events[-1].subject)
    return events


def _event(
    clauses: Sequence[Clause], number: int, clause: Clause, place: Place, actor: Actor, known: Actor | None
) -> Iterator[Event]:
    if place.stance and not _explained(clause.words_before(place.start), actor):
        return
    thing, end = _thing(clause, place)
    if thing is not None and thing.head in FRAME and not _own_thing(clauses[: number + 1], thing):
        return
    if place.origin and (actor.filmed or (place.named and thing is None)):
        return  # "seen from the left", "from above"
    subject = actor.phrase
    if subject is None and actor.scene and number and clauses[number - 1].sentence != clause.sentence:
        known = None
    inverted = False
    if place.weak and _other_behind(clause, place):
        return
    opens_sentence = number == 0 or clauses[number - 1].sentence != clause.sentence
    opens = (
        not clause.words_before(place.start)
        or not actor.same
        or clause.words[0].endswith(("ing", "ed", "ly"))
    )
    if (
        subject is None
        and opens
        and place.named
        and thing is not None
        and (not actor.same or known is None or opens_sentence)
    ):
        subject = _subject_behind(clauses, number, clause, end)
        inverted = subject is not None
    if subject is None and not inverted and known is not None and (actor.same or not actor.scene):
        subject = known.phrase
        actor = replace(actor, staging=actor.staging or known.staging)
    before = clause.words_before(place.start)
    if before and verb_stem(before[-1]) in _LEAVES:
        place = replace(place, origin=True)
    yield Event(
        number,
        clause.when,
        place,
        actor,
        subject,
        thing,
        place.owner in ("its", "his", "her", "their"),
        inverted,
        known.phrase if known is not None and not known.staging else None,
        clause.question,
        _scene_behind(clause, end),
    )


def _thing(clause: Clause, place: Place) -> tuple[NounPhrase | None, int]:
    """What the place is seen from, and the character behind it."""
    if place.owner and place.owner not in ("its", "his", "her", "their"):
        return noun_phrase(place.owner.split(), 0), place.end
    if not place.named:
        return None, place.end
    words = clause.words_after(place.end)
    phrase = noun_phrase(words, 0) if words else None
    if phrase is None:
        return None, place.end
    offset = len(clause.words) - len(words)
    return phrase, clause.spans[offset + phrase.end - 1][1]


def _own_thing(clauses: Sequence[Clause], thing: NounPhrase) -> bool:
    """Whether a word for the picture or the surroundings is a thing here: "on the left of a picture"."""
    before = "|".join(("of", "from", "above", "under", "behind", "onto", "on", "atop", "upon"))
    named = re.compile(
        rf"\b(?:{before})\s+(?:a|an|another)\s+(?:[\w-]+\s+){{0,2}}{re.escape(thing.head)}\b", re.I
    )
    return any(named.search(clause.text) for clause in clauses)


def _subject_behind(clauses: Sequence[Clause], number: int, clause: Clause, end: int) -> NounPhrase | None:
    """ "On top of a box sits a cat", "On the left of a box, a cat sits"."""
    words = clause.words_after(end)
    at = 0
    while at < len(words) and (words[at] in AUXILIARIES or inflected_verb(words[at]) or is_adverb(words[at])):
        at += 1
    if at and at < len(words):
        return noun_phrase(words, at)
    if words:
        return None
    if (
        number + 1 < len(clauses)
        and clauses[number + 1].link == ","
        and clauses[number + 1].sentence == clause.sentence
    ):
        following = clauses[number + 1]
        places = find_places(following.text)
        actor = find_actor(following.words_before(places[0].start) if places else following.words, "", False)
        return actor.phrase
    return None


def _other_behind(clause: Clause, place: Place) -> bool:
    """ "on the left a river flows": the place of what follows."""
    words = clause.words_after(place.end)
    phrase = noun_phrase(words, 0) if words and (words[0] in DETERMINERS or words[0] in MANY) else None
    return (
        phrase is not None
        and phrase.end < len(words)
        and (words[phrase.end] in AUXILIARIES or inflected_verb(words[phrase.end]))
    )


def _scene_behind(clause: Clause, end: int) -> str:
    """A phrase of place behind the object: "a box in a park"."""
    rest = clause.text[end:].strip(" .,;!?")
    first = rest.split(" ", 1)[0].lower() if rest else ""
    return rest if first in _SCENERY else ""


_SCENERY = word_set("in inside at on near by under during outside with among")


def _explained(before: Sequence[str], actor: Actor) -> bool:
    """Whether "on" tells of a place: behind a verb of resting or going, or in a clause that goes on with another's."""
    words = list(before)
    while words and (is_adverb(words[-1]) or words[-1] in ("up", "down", "back", "over", "out")):
        words.pop()
    if not words:
        return actor.same
    return words[-1] in _STAY or (
        verb_stem(words[-1]) in _REST and (inflected_verb(words[-1]) or words[-1] in _REST)
    )


def _inside_phrase(clause: Clause, place: Place) -> bool:
    """ "a mug left on a table", "with its left paw": no place of a subject."""
    before = clause.words_before(place.start)
    return place.weak and len(before) >= 2 and before[-1] in MANY
