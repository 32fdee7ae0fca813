"""Who or what a clause says to be at a place: its grammatical subject, and what makes the statement unsure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    word_set,
)
from .noun_phrases import NounPhrase, noun_phrase

_OPENINGS = word_set(
    """
    there we i you see can show shows showing imagine generate create make render animate depict depicts showcase
    featuring features feature 's please let us picture of
    """
)
_NEGATIONS = word_set(
    """
    not never no without neither nor nobody nothing isn't aren't doesn't don't didn't won't wasn't can't cannot
    hardly barely fails refuses unable instead unlike
    """
)
_UNREAL = word_set(
    """
    might may could would should wants want wanted tries tried trying attempts attempting hopes hoping wishes plans
    planning about if whether going intends ready preparing prepares pretends dreams thinks wonders almost nearly
    """
)
_CARRIES = word_set(
    """
    wear hold carry have sport play read eat take make give cross do lick chew munch enjoy admire use
    leave splash wag flap spread show gather pick shake catch lose stretch bare cast scatter raise lift follow
    watch sniff continue reverse change turn
    """
)
"""Verbs whose object the subject takes along or leaves behind: it is the subject itself that is or goes there."""


@dataclass(frozen=True)
class Actor:
    """phrase: the noun phrase, None when the clause has none of its own. same: it is that of the clause before.

    staging: camera, light, style. negated, unreal: "not", "wants to". moved: another thing that the verb acts upon.
    looks: the verb only turns or points. scene: only the surroundings are told. carried: the place belongs to a thing
    "with" it. verbless: no verb stands before the place. filmed: "seen", "captured".
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
    verbless: bool = False
    filmed: bool = False


def find_actor(words: Sequence[str], link: str, follows: bool) -> Actor:
    """Read the words of a clause that stand before its place. follows: a clause before it had a subject."""
    negated = any(word in _NEGATIONS for word in words)
    unreal = any(word in _UNREAL for word in words) or link in ("although", "though")
    if unreal and re.search(r"\b(?:is|are) going to\b", " ".join(words)):
        unreal = sum(word in _UNREAL for word in words) > 1
    at = _skip_openings(words)
    base = Actor(negated=negated, unreal=unreal)
    if at >= len(words):
        return replace(base, same=bool(words) or follows, verbless=True)
    word = words[at]
    if word in IMPERATIVES and at == 0 and at + 1 < len(words) and words[1] in DETERMINERS | PRONOUNS:
        return replace(base, phrase=noun_phrase(words, 1))
    if word in CAMERA_STARTS and not any(each in DETERMINERS for each in words[at:]):
        return replace(base, staging=True)
    if word in AUXILIARIES:
        return _with_verb(replace(base, same=True), words, at)
    if word in PREPOSITIONS and word not in ("like",):
        after = _after_prepositions(words, at)
        if after >= len(words):
            if any(each in STAGING for each in words):
                return replace(base, staging=True)
            return replace(base, scene=not follows, same=follows, verbless=True)
        at, word = after, words[after]
    if inflected_verb(word) and _is_verb_here(words, at, link, follows):
        return _with_verb(replace(base, same=True), words, at)
    phrase = noun_phrase(words, at)
    if phrase is None:
        return _with_verb(replace(base, same=follows, scene=not follows), words, at)
    phrase = _real_subject(words, phrase)
    if phrase.head in STAGING or singular(phrase.head) in STAGING:
        return replace(
            base,
            phrase=phrase,
            staging=True,
        )
    rest = words[phrase.end :]
    if len(rest) > 1 and rest[0] in ("and", "&", "or"):
        other = noun_phrase(rest, 1)
        if other is not None:
            phrase = NounPhrase(phrase.noun, phrase.full, phrase.start, phrase.end, phrase.definite, True)
    return _with_verb(replace(base, phrase=phrase), words, phrase.end)


def _skip_openings(words: Sequence[str]) -> int:
    at = 0
    while at < len(words):
        word = words[at]
        expletive = word in AUXILIARIES and at and words[at - 1] in ("there", "here", "we", "i", "you")
        if word in _BEGINS and words[at + 1 : at + 2] in (("with",), ["with"]):
            at += 1
        elif (
            word in ("the", "a", "this")
            and at + 2 < len(words)
            and words[at + 1] in MEDIA
            and (
                words[at + 2]
                in ("shows", "showing", "depicts", "features", "opens", "starts", "begins", "where")
            )
        ):
            at += 2
            if at + 1 < len(words) and words[at + 1] in ("with", "on"):
                at += 1
        elif not (
            expletive
            or word in RELATIVES
            or word in _OPENINGS
            or word in CONJUNCTIONS
            or is_adverb(word)
            or word in ("that", "moments", "seconds", "moment", "second", ",", "up")
        ):
            break
        at += 1
    return at


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
        elif ((after in DETERMINERS and after != "that") or after in MANY) and not phrase.pronoun:
            following = noun_phrase(words, phrase.end)
        else:
            return phrase
        if following is None:
            return phrase
        phrase = following
    return phrase


def _with_verb(actor: Actor, words: Sequence[str], at: int) -> Actor:
    """What the verb before the place does: turn only, or act upon another thing."""
    verbs = [i for i in range(at, len(words)) if inflected_verb(words[i]) and not _is_plural(words, i)]
    verbless = not verbs and not any(word in AUXILIARIES for word in words[at:])
    tail = words[verbs[-1] + 1 :] if verbs else words[at:]
    actor = replace(actor, verbless=verbless)
    if verbs:
        stem = verb_stem(words[verbs[-1]])
        actor = replace(
            actor,
            looks=stem in LOOKS or (stem == "move" and "its" in tail and "head" in tail),
            staging=actor.staging or stem in FILMING,
            filmed=stem in FILMED,
            moved=_moved(tail, stem),
        )
    if "with" in tail:
        which = len(tail) - 1 - list(reversed(tail)).index("with")
        thing = noun_phrase(tail, which + 1) if which + 1 < len(tail) else None
        actor = replace(actor, carried=bool(verbs) and thing is not None and thing.end == len(tail))
    return actor


def _is_plural(words: Sequence[str], at: int) -> bool:
    """ "the jumps", "of jumps": a noun that looks like a verb."""
    return at > 0 and words[at - 1] in DETERMINERS | PREPOSITIONS and words[at].endswith("s")


def _moved(tail: Sequence[str], stem: str) -> NounPhrase | None:
    """The thing that a verb acts upon, when it is that thing which goes to the place: "pushes a ball"."""
    start = 0
    if stem in _PERCEIVES:
        # "watches a bird fly to the right": the bird goes there
        seen = noun_phrase(tail, 0) if tail else None
        if seen is not None:
            words = seen.full.split()
            verb_behind = seen.end < len(tail) and bool(verb_stem(tail[seen.end]))
            if verb_behind or (len(words) > 1 and verb_stem(words[-1]) == words[-1]):
                return seen
    while start < len(tail) and (is_adverb(tail[start]) or tail[start] in ("up", "down", "over", "out")):
        start += 1
    if start >= len(tail) or tail[start] in PREPOSITIONS or stem in _CARRIES:
        return None
    thing = noun_phrase(tail, start)
    if thing is None or thing.head in _MANNERS or (thing.pronoun and stem == "follow"):
        return None
    own = tail[start] in ("its", "his", "her", "their") and stem not in _DRIVES
    return None if own else thing


_PERCEIVES = frozenset(
    ("watch", "see", "hear", "let", "make", "notice", "feel", "help", "have", "observe", "spot")
)
_BEGINS = frozenset(("begin", "begins", "start", "starts", "end", "ends", "open", "opens", "finish"))
_DRIVES = frozenset(("walk", "push", "pull", "throw", "lead"))
_MANNERS = word_set(
    """
    way time step steps moment second times circle circles wings speed path leap jump hop turn day night morning
    evening energy once twice
    """
)
