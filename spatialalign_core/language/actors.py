"""Who or what a clause says to be at a place: its grammatical subject, and what makes the statement unsure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .lexicon import (
    AUXILIARIES,
    CAMERA_STARTS,
    CONJUNCTIONS,
    DETERMINERS,
    FILMED,
    FILMING,
    IMPERATIVES,
    LOOKS,
    MANY,
    MEDIA,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    STAGING,
    inflected_verb,
    is_adverb,
    singular,
    verb_stem,
)
from .noun_phrases import NounPhrase, noun_phrase

_OPENINGS = frozenset(
    "there we i you see can show shows showing imagine generate create make render animate depict depicts showcase "
    "featuring features feature 's please let us picture of the-video-shows".split()
)
_NEGATIONS = frozenset(
    "not never no without neither nor nobody nothing isn't aren't doesn't don't didn't won't wasn't can't cannot "
    "hardly barely fails refuses unable instead unlike stays-away".split()
)
_UNREAL = frozenset(
    "might may could would should wants want wanted tries tried trying attempts attempting hopes hoping wishes plans "
    "planning about if whether going intends ready preparing prepares pretends dreams thinks wonders almost nearly".split()
)
_CARRIES = frozenset(
    "wear hold carry have sport play read eat take make give cross do lick chew munch enjoy admire use chase-tail "
    "leave kick splash wag flap spread show gather pick shake catch lose stretch bare cast scatter raise lift "
    "follow watch sniff continue reverse change turn".split()
)
"""Verbs whose object the subject takes along or leaves behind: it is the subject itself that is or goes there."""

_KINDS = {
    "dog": "retriever corgi samoyed husky poodle beagle terrier puppy pup shepherd labrador dalmatian bulldog chihuahua "
    "pug dachshund collie hound greyhound spaniel canine doggy mutt hunter",
    "cat": "kitten kitty tabby siamese persian calico feline",
    "horse": "stallion mare foal pony colt steed",
    "bird": "robin sparrow parrot eagle owl seagull gull crow raven pigeon dove heron swan duck goose chicken hen rooster "
    "hawk falcon flamingo hummingbird finch canary penguin toucan peacock stork turkey macaw duckling chick",
    "bear": "cub panda",
    "cow": "calf bull heifer ox",
    "person": "man woman boy girl child kid teenager lady gentleman guy dancer runner skater skateboarder cyclist worker",
    "monkey": "chimpanzee ape gorilla baboon macaque",
    "car": "suv sedan truck van taxi jeep vehicle",
    "boat": "rowboat canoe sailboat kayak ship",
    "sofa": "couch settee",
    "rabbit": "bunny hare",
    "table": "desk",
    "fish": "goldfish shark",
    "turtle": "tortoise",
}
_ANY_ANIMAL = frozenset("animal creature pet beast critter mammal insect reptile rodent figure character".split())
_ANY_THING = frozenset("object thing item structure vehicle".split())


@dataclass(frozen=True)
class Actor:
    """phrase: the noun phrase, None when the clause has none of its own. same: it is that of the clause before.

    staging: camera, light, style. negated, unreal: "not", "wants to". moved: another thing that the verb acts upon.
    looks: the verb only turns or points. scene: only the surroundings are told. carried: the place belongs to a thing
    "with" it. relative: joined by "which". verbless: no verb stands before the place. filmed: "seen", "captured".
    """

    phrase: NounPhrase | None = None
    same: bool = False
    staging: bool = False
    negated: bool = False
    unreal: bool = False
    moved: NounPhrase | None = None
    looks: bool = False
    scene: bool = False
    carried: bool = False
    relative: bool = False
    verbless: bool = False
    filmed: bool = False


def find_actor(words: Sequence[str], link: str, follows: bool) -> Actor:
    """Read the words of a clause that stand before its place. follows: a clause before it had a subject."""
    negated = any(word in _NEGATIONS for word in words)
    unreal = any(word in _UNREAL for word in words) or link in ("although", "though")
    if unreal and re.search(r"\b(?:is|are) going to\b", " ".join(words)):
        unreal = sum(word in _UNREAL for word in words) > 1
    at, relative = _skip_openings(words)
    base = {"negated": negated, "unreal": unreal, "relative": relative}
    rest: Sequence[str]
    if at >= len(words):
        return Actor(same=bool(words) or follows, verbless=True, **base)
    word = words[at]
    if word in IMPERATIVES and at == 0 and at + 1 < len(words) and words[1] in DETERMINERS | PRONOUNS:
        return Actor(noun_phrase(words, 1), **base)
    if word in CAMERA_STARTS and not any(each in DETERMINERS for each in words[at:]):
        return Actor(staging=True, **base)
    if word in AUXILIARIES:
        return _with_verb(Actor(same=True, **base), words, at)
    if word in PREPOSITIONS and word not in ("like",):
        after = _after_prepositions(words, at)
        if after >= len(words):
            return Actor(scene=not follows, same=follows, verbless=True, **base)
        at, word = after, words[after]
    if inflected_verb(word) and _is_verb_here(words, at, link, follows):
        return _with_verb(Actor(same=True, **base), words, at)
    phrase = noun_phrase(words, at)
    if phrase is None:
        return _with_verb(Actor(same=follows, scene=not follows, **base), words, at)
    phrase = _real_subject(words, phrase)
    if phrase.head in STAGING or singular(phrase.head) in STAGING:
        return Actor(phrase, staging=True, **base)
    rest = words[phrase.end :]
    if len(rest) > 1 and rest[0] in ("and", "&", "or"):
        other = noun_phrase(rest, 1)
        if other is not None:
            phrase = NounPhrase(phrase.noun, phrase.full, phrase.start, phrase.end, phrase.definite, True)
    return _with_verb(Actor(phrase, **base), words, phrase.end)


def _skip_openings(words: Sequence[str]) -> tuple[int, bool]:
    at, relative = 0, False
    while at < len(words):
        word = words[at]
        if word in RELATIVES:
            relative = True
        elif word in AUXILIARIES and at and words[at - 1] in ("there", "here", "we", "i", "you"):
            pass
        elif word in ("the", "a", "this") and at + 2 < len(words) and words[at + 1] in MEDIA and (
            words[at + 2] in ("shows", "showing", "depicts", "features", "opens", "starts", "begins", "where")
        ):
            at += 2
            if at + 1 < len(words) and words[at + 1] in ("with", "on"):
                at += 1
        elif not (
            word in _OPENINGS
            or word in CONJUNCTIONS
            or is_adverb(word)
            or word in ("that", "moments", "seconds", "moment", "second", ",", "up")
        ):
            break
        at += 1
    return at, relative


def _after_prepositions(words: Sequence[str], at: int) -> int:
    """Behind the prepositional phrases that begin there."""
    while at < len(words) and (words[at] in PREPOSITIONS or words[at] in ("front", "middle")):
        at += 1
        phrase = noun_phrase(words, at) if at < len(words) else None
        if phrase is not None:
            at = phrase.end
            while at < len(words) and inflected_verb(words[at]) and words[at].endswith(("ing", "ed")):
                at += 1
        while at + 1 < len(words) and words[at] in ("and", "&") and words[at + 1] not in PRONOUNS:
            phrase = noun_phrase(words, at + 1)
            if phrase is None:
                break
            at = phrase.end
    return at


def _is_verb_here(words: Sequence[str], at: int, link: str, follows: bool) -> bool:
    word = words[at]
    if word.endswith(("ing", "ed")) or not word.endswith("s"):
        after = words[at + 1] if at + 1 < len(words) else ""
        if follows and not (word.endswith(("ing", "ed")) and after and noun_phrase(words, at) is None):
            return True
        phrase = noun_phrase(words, at)
        return phrase is None or phrase.end == at + 1
    return follows or link in ("then", "and", "before", "after", "while")


def _real_subject(words: Sequence[str], phrase: NounPhrase) -> NounPhrase:
    """Past "a video of", and past words of style in front of the article: "cinematic shot 4k a corgi"."""
    for _ in range(4):
        if phrase.end >= len(words):
            return phrase
        after = words[phrase.end]
        if phrase.head in MEDIA and after in ("of", "with", "showing", "featuring", "where", "depicting"):
            following = noun_phrase(words, phrase.end + 1)
        elif (after in DETERMINERS or after in MANY) and not phrase.pronoun:
            following = noun_phrase(words, phrase.end)
        else:
            return phrase
        if following is None:
            return phrase
        phrase = following
    return phrase


def _with_verb(actor: Actor, words: Sequence[str], at: int) -> Actor:
    """What the verb before the place does: turn only, or act upon another thing."""
    verbs = [
        i
        for i in range(at, len(words))
        if inflected_verb(words[i]) and not (i and words[i - 1] in DETERMINERS | PREPOSITIONS and words[i].endswith("s"))
    ]
    fields = dict(actor.__dict__)
    fields["verbless"] = not verbs and not any(word in AUXILIARIES for word in words[at:])
    tail = words[verbs[-1] + 1 :] if verbs else words[at:]
    if verbs:
        stem = verb_stem(words[verbs[-1]])
        fields["staging"] = actor.staging or stem in FILMING
        fields["filmed"] = stem in FILMED
        fields["looks"] = stem in LOOKS or (stem == "move" and "its" in tail and "head" in tail)
        start = 0
        while start < len(tail) and (is_adverb(tail[start]) or tail[start] in ("up", "down", "over", "out")):
            start += 1
        thing = noun_phrase(tail, start) if start < len(tail) and tail[start] not in PREPOSITIONS else None
        if thing is not None and not thing.pronoun and stem not in _CARRIES and thing.head not in _MANNERS:
            own = tail[start] in ("its", "his", "her", "their") and stem not in ("walk", "push", "pull", "throw", "lead")
            if not own:
                fields["moved"] = thing
        elif thing is not None and thing.pronoun:
            fields["moved"] = None
    if "with" in tail:
        which = len(tail) - 1 - list(reversed(tail)).index("with")
        thing = noun_phrase(tail, which + 1) if which + 1 < len(tail) else None
        fields["carried"] = bool(verbs) and thing is not None and thing.end == len(tail)
    return Actor(**fields)


_MANNERS = frozenset(
    "way time step steps moment second times circle circles wings speed path leap jump hop turn day night morning "
    "evening energy once twice".split()
)


def same_actor(one: NounPhrase, other: NounPhrase) -> bool:
    """Whether two nouns can name one thing: equal heads, a kind of ("corgi", "dog"), part of a compound."""
    a, b = singular(one.head), singular(other.head)
    if a == b:
        return True
    if len(a) > 2 and len(b) > 2 and (a.endswith(b) or b.endswith(a)):
        return True
    for general, special in _KINDS.items():
        kinds = special.split()
        if (a == general and b in kinds) or (b == general and a in kinds):
            return True
    return a.split("-")[-1] == b.split("-")[-1]


def is_general(noun: str, of_things: bool = False) -> bool:
    """Whether it can stand for any animal, or with of_things for any object."""
    return noun in _ANY_ANIMAL or (of_things and noun in _ANY_THING)
