"""The statements of one text, narrowed down to one subject and one object; what stays unclear becomes a doubt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import doubts as say
from .clauses import Clause
from .events import Event
from .kinds import is_general, same_actor
from .lexicon import MANY, MEDIA, is_adverb, only_verb
from .noun_phrases import NounPhrase, same_thing
from .places import OTHER_SIDE

_SIDES = frozenset("LRT")
_OPPOSITE = {"L": "R", "R": "L", "F": "B", "B": "F"}


@dataclass(frozen=True)
class Reading:
    """What a text says. subject, object: nouns in lower case, "" when unknown, with every word of theirs in *_full.

    motion: relation codes in time order (L, R, T, F, B, U, I). doubts: what is unclear or cannot be scored, in full
    sentences; without any the reading is sure. remarks: what plays no part in the score. scene: the surroundings.
    """

    subject: str = ""
    object: str = ""
    motion: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    scene: str = ""


@dataclass
class _Candidate:
    """One that may be the subject: the codes of its places, and what they are seen from."""

    phrase: NounPhrase
    codes: set[str] = field(default_factory=set)
    things: list[NounPhrase] = field(default_factory=list)


class Case:
    """The statements of one text, narrowed down to those about one subject and one object."""

    def __init__(self, events: Sequence[Event], clauses: Sequence[Clause], line: str) -> None:
        self.clauses = clauses
        self.line = line
        self.events = [event for event in events if not event.actor.staging]
        self.doubts: list[str] = []
        self.own: list[Event] = []
        self.others: list[NounPhrase] = []

    def read(self) -> Reading:
        subject = self._subject()
        own = [event for event in self.events if self._is_of(event, subject)]
        thing = self._thing(own)
        kept = [event for event in own if self._concerns(event, thing)]
        self._check_left_out([event for event in own if event not in kept], kept, thing)
        own = self.own = kept
        own.sort(key=lambda event: (event.when, not event.place.origin, event.clause, event.place.start))
        self._check(own, subject)
        motion = self._motion(own)
        if subject is None and motion:
            self.doubts.insert(0, say.no_subject())
        if thing is None and motion:
            self.doubts.append(say.no_object())
        if subject is not None and thing is not None:
            names = _different(subject, thing)
            if names is None:
                self.doubts.append(say.same_noun(thing.full))
                names = subject.full, thing.full
            self._check_nouns(*names)
            self.doubts += [say.two_alike(noun, other) for noun in names if (other := self._second(noun))]
        else:
            names = (subject.noun if subject else "", thing.noun if thing else "")
        unscored = [event for event in own if event.code not in _SIDES and event.code != OTHER_SIDE]
        self.doubts += [
            say.not_scored(words) for words in dict.fromkeys(event.place.words for event in unscored)
        ]
        if not unscored or len(motion) < 2:
            self.doubts += self._too_few(motion, own)
        if motion:
            self.doubts += [say.condition(text) for text in map(_condition, self.clauses) if text]
            self.doubts += [
                say.either(event.place.words)
                for event in own
                if _ALTERNATIVES.search(self.clauses[event.clause].text)
            ]
        remarks = (say.several_places(len(motion), names[0]),) if len(motion) > 2 and not self.doubts else ()
        return Reading(names[0], names[1], motion, tuple(dict.fromkeys(self.doubts)), remarks)

    def _subject(self) -> NounPhrase | None:
        """The one that is said to be at most places, seen from a thing; the first of those."""
        actors = self._actors()
        if not actors:
            return None
        moving = [each for each in actors if len(each.codes) > 1]
        if len(moving) > 1:
            self.doubts.append(say.two_subjects(moving[0].phrase.full, moving[1].phrase.full))
        chosen = (moving or actors)[0].phrase
        others = [each.phrase for each in actors if not self._same(each.phrase, chosen)]
        self.doubts += [say.two_alike(chosen.full, each.full) for each in others if each.head == chosen.head]
        self.others = others
        return chosen

    def _actors(self) -> list[_Candidate]:
        """Who is said to be anywhere; those at a place of a thing before those that only go left or right."""
        nobody = all(event.subject is None or event.subject.pronoun for event in self.events)
        actors: list[_Candidate] = []
        for event in self.events:
            phrase = event.subject
            if phrase is not None and phrase.pronoun and nobody:
                phrase = event.antecedent
            if phrase is None or phrase.pronoun or phrase.owned:
                continue
            known = next((each for each in actors if self._same(each.phrase, phrase)), None)
            if known is None:
                known = _Candidate(phrase)
                actors.append(known)
            if event.thing is not None or event.its:
                known.codes.add(event.code)
                known.things += [event.thing] if event.thing is not None else []
        actors = [each for each in actors if each.codes] or actors
        # "The box is on the right of a door. A cat is on the left of the box, ...": the box is what is seen from.
        own = [
            each
            for each in actors
            if not any(
                same_thing(thing, each.phrase)
                for other in actors
                if other is not each
                for thing in other.things
            )
        ]
        return own or actors

    def _same(self, one: NounPhrase, other: NounPhrase) -> bool:
        if one.head != other.head and not other.definite:
            return False  # "a gull ..., then a bird": another one
        return same_actor(one, other) or (other.definite and is_general(other.head))

    def _is_of(self, event: Event, subject: NounPhrase | None) -> bool:
        """Whether it is about the subject. A pronoun is, unless it can stand for another one too."""
        if subject is None:
            return event.subject is None or event.subject.pronoun
        if event.subject is None:
            return False
        if not event.subject.pronoun:
            return self._same(subject, event.subject)
        rivals = [
            each
            for each in self.events
            if each.subject is not None
            and not each.subject.pronoun
            and each.clause < event.clause
            and not self._same(subject, each.subject)
            and each.thing is not None
            and not each.actor.scene
            and not same_thing(each.thing, subject)
            and not self._is_object(each.subject)
        ]
        if rivals and rivals[-1].subject is not None:
            self.doubts.append(say.which_one(event.subject.noun, subject.full, rivals[-1].subject.full))
        return True

    def _is_object(self, phrase: NounPhrase) -> bool:
        return any(
            each.thing is not None and not each.thing.pronoun and same_thing(each.thing, phrase)
            for each in self.events
        )

    def _thing(self, own: Sequence[Event]) -> NounPhrase | None:
        """What it is seen from: that of a left, right or top, the one with most words."""
        named = [e.thing for e in own if e.thing is not None and not e.thing.pronoun and not e.place.stance]
        sided = [
            e.thing
            for e in own
            if e.thing is not None
            and not e.thing.pronoun
            and e.code in _SIDES
            and not e.place.stance
            and not e.inverted
        ]
        stance = [e.thing for e in own if e.thing is not None and not e.thing.pronoun]
        pool = sided or named or stance
        if not pool:
            return None
        return max(
            (each for each in pool if same_thing(each, pool[0]) or same_actor(each, pool[0])),
            key=lambda p: len(p.noun.split()),
        )

    def _concerns(self, event: Event, thing: NounPhrase | None) -> bool:
        """Whether it is about that object; places of the surroundings are left out, another object is a doubt."""
        if event.actor.moved is not None and (event.place.weak or event.its):
            return False
        if (event.actor.looks or event.actor.carried) and event.place.weak:
            return False
        if event.place.weak and event.actor.verbless and event.actor.scene:
            return False
        if event.thing is None or event.thing.pronoun or thing is None:
            return True
        described = set(event.thing.full.split()) - set(event.thing.noun.split())
        if (
            same_thing(event.thing, thing)
            and described
            and not event.thing.definite
            and not thing.definite
            and event.thing.full != thing.full
            and (not described <= set(thing.full.split()))
        ):
            self.doubts.append(say.two_objects(thing.full, event.thing.full))
            return True
        if (
            same_thing(event.thing, thing)
            or same_actor(event.thing, thing)
            or is_general(event.thing.head, True)
        ):
            return True
        if (
            event.code in ("L", "R", "T")
            and not event.place.stance
            and not event.inverted
            and not event.actor.scene
        ):
            self.doubts.append(say.two_objects(thing.full, event.thing.full))
            return True
        return False

    def _check_left_out(self, left: Sequence[Event], kept: Sequence[Event], thing: NounPhrase | None) -> None:
        """A place of another object is scenery, unless the subject starts or stops there and nowhere else."""
        clauses = {event.clause for event in kept}
        for event in left:
            elsewhere = event.thing is not None and not event.place.stance and event.code in "FBUT"
            if (
                not elsewhere
                or event.inverted
                or event.actor.scene
                or event.clause in clauses
                or thing is None
            ):
                continue
            if clauses and (event.clause < min(clauses) or event.clause > max(clauses)):
                self.doubts.append(say.two_objects(thing.full, event.thing.full if event.thing else ""))

    def _check(self, own: Sequence[Event], subject: NounPhrase | None) -> None:
        if subject is not None and subject.many:
            self.doubts.append(say.many(subject.full))
        for event in own:
            if event.question:
                self.doubts.append(say.question())
            if event.actor.negated:
                self.doubts.append(say.negated(event.place.words))
            if event.actor.unreal:
                self.doubts.append(say.unreal(event.place.words))
            if event.actor.moved is not None and subject is not None:
                self.doubts.append(say.which_moves(subject.full, event.actor.moved.full))
            if event.place.diagonal:
                self.doubts.append(say.diagonal(event.place.words))
            if (
                event.thing is not None
                and event.thing.many
                and any(word in MANY for word in event.thing.full.split())
            ):
                self.doubts.append(say.many(event.thing.full))
        for event in self.events:
            other = event.subject
            if (
                other is not None
                and subject is not None
                and not other.pronoun
                and not self._same(subject, other)
                and other.definite
                and not other.owned
                and event not in own
                and not self._is_object(other)
                and not self._introduced(other, event)
                and event.code in "LRT"
                and not event.its
            ):
                self.doubts.append(say.other_actor(subject.full, other.full))
        if subject is not None and len({e.code for e in own}) < 2:
            for other in self.others:
                self.doubts.append(say.other_actor(subject.full, other.full))

    def _introduced(self, other: NounPhrase, event: Event) -> bool:
        return any(
            each.subject is not None
            and each.clause < event.clause
            and same_actor(each.subject, other)
            and not each.subject.definite
            for each in self.events
        )

    def _motion(self, own: Sequence[Event]) -> tuple[str, ...]:
        codes: list[str] = []
        for number, event in enumerate(own):
            code = event.code
            following = own[number + 1 : number + 3]
            if (
                event.place.weak
                and len(following) == 2
                and following[0].place.origin
                and following[1].code == code
            ):
                continue  # "rolls right, from the left of a box to the right of it"
            if code == OTHER_SIDE:
                if len(codes) > 1 and _OPPOSITE.get(codes[-2]) == codes[-1]:
                    continue  # "moves right, to the other side": it is there already
                code = _OPPOSITE.get(codes[-1], "") if codes else ""
                if not code:
                    self.doubts.append(say.other_side())
                    continue
            if not codes or codes[-1] != code:
                codes.append(code)
        return tuple(codes)

    def _too_few(self, motion: tuple[str, ...], own: Sequence[Event]) -> list[str]:
        if len(motion) == 1 and not self.doubts:
            repeated = len({event.clause for event in own}) > 1 and len(own) > 1
            return [say.no_change(motion[0]) if repeated else say.one_place(motion[0], self.line)]
        if len(motion) > 2 and motion[0] == motion[-1]:
            return [say.back_again(motion[0])]
        return []

    def _second(self, noun: str) -> str:
        """The words for a second one of the same kind: "another fox"."""
        head = re.escape(noun.split()[-1])
        found = re.search(
            rf"\b(?:another|(?:a|the)\s+(?:second|third|different|other))\s+(?:[\w-]+\s+){{0,2}}?{head}\b",
            self.line,
            re.I,
        )
        return found[0] if found else ""

    def _check_nouns(self, subject: str, thing: str) -> None:
        for noun in (subject, thing):
            words = noun.split()
            odd = len(words) > 3 or (len(words) > 2 and any(word in MEDIA for word in words[:-1]))
            if odd or only_verb(words[-1]) or is_adverb(words[-1]):
                self.doubts.append(say.odd_noun(noun))


_ALTERNATIVES = re.compile(
    r"\b(?:left|right|top|side|front|back|of\s+(?:the|a|an)\s+[\w-]+)\s+or\s+(?:(?:on|to|at|the|maybe|perhaps)\s+)*"
    r"(?:left|right|top|front|back|above|under|behind)\b|\beither\b",
    re.I,
)


def _condition(clause: Clause) -> str:
    """The words of a condition: "unless a dog is there"."""
    first = clause.words[0]
    return clause.text if first in ("unless", "if", "provided", "assuming") else ""


def _different(subject: NounPhrase, thing: NounPhrase) -> tuple[str, str] | None:
    if subject.noun != thing.noun:
        return subject.noun, thing.noun
    return (subject.full, thing.full) if subject.full != thing.full else None
