"""A sentence whose parts are changed: written again so that the reader reads exactly the wanted parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import SpatialAlignError
from .language.places import Place, find_places
from .language.reader import Reading
from .prompts import article, bare_noun, prompt_text
from .relations import Relation, RelationChange
from .sentence import parse_sentence

PARTS = ("subject", "object", "initial", "final")
_VERB = "moves"


@dataclass(frozen=True)
class _Wanted:
    subject: str
    object: str
    change: RelationChange


def edit_sentence(text: str, **parts: str) -> str:
    """The text with some of its parts changed; parts that are not named stay as they were read.

    Args:
        text: the sentence, also one in doubt.
        parts: `subject` and `object` are nouns, `initial` and `final` relation codes (L, R or T).

    The words around the parts stay where possible; else the sentence is built anew. Where the new first relation is
    the old last one, or the other way round, the two change places. Raises SpatialAlignError when a part is still
    unknown, or no sentence that the reader understands says it.
    """
    parsed = parse_sentence(text)
    wanted = _wanted(parsed.reading, parts)
    for candidate in _candidates(text, parsed.reading, wanted):
        if _says(candidate, wanted):
            return candidate
    raise SpatialAlignError(
        f"No sentence about {wanted.subject!r} and {wanted.object!r} can be read back; use plain nouns, such as cat "
        "and box."
    )


def _wanted(reading: Reading, parts: dict[str, str]) -> _Wanted:
    motion = reading.motion
    read = {
        "subject": reading.subject,
        "object": reading.object,
        "initial": motion[0] if motion else "",
        "final": motion[-1] if len(motion) > 1 else "",
    }
    values = read | {name: value.strip() for name, value in parts.items() if value.strip()}
    if values["initial"] == values["final"] != "":
        if "initial" in parts and "final" not in parts:
            values["final"] = read["initial"]
        elif "final" in parts and "initial" not in parts:
            values["initial"] = read["final"]
    codes = {relation.value for relation in Relation}
    missing = [
        name
        for name, value in values.items()
        if not value or (name in ("initial", "final") and value not in codes)
    ]
    if missing:
        names = {"initial": "where it is first", "final": "where it is at the end"}
        raise SpatialAlignError(
            f"Choose {', '.join(names.get(name, f'the {name}') for name in missing)} too."
        )
    subject, thing = bare_noun(values["subject"]), bare_noun(values["object"])
    if values["initial"] == values["final"]:
        raise SpatialAlignError("The first and the last place are the same; choose two different ones.")
    if not subject or not thing or subject.casefold() == thing.casefold():
        raise SpatialAlignError(f"Subject and object are both {subject!r}; use two different words.")
    return _Wanted(subject, thing, RelationChange(Relation(values["initial"]), Relation(values["final"])))


def _says(text: str, wanted: _Wanted) -> bool:
    prompt = parse_sentence(text).prompt
    return (
        prompt is not None
        and prompt.change == wanted.change
        and _same_noun(prompt.subject, wanted.subject)
        and _same_noun(prompt.object, wanted.object)
    )


def _same_noun(read: str, wanted: str) -> bool:
    """Adjectives are left out by the reader: "red fox" is read as "fox"."""
    return f" {wanted.lower()}".endswith(f" {read.lower()}")


def _candidates(text: str, reading: Reading, wanted: _Wanted) -> Iterator[str]:
    """From the one that keeps most of the words to the one that keeps none."""
    words = text.strip()
    if reading.subject and reading.object and reading.motion:
        renamed = _renamed(words, {reading.subject: wanted.subject, reading.object: wanted.object})
        motion = reading.motion
        if len(motion) > 1:
            yield from _moved(renamed, motion, wanted.change)
        elif motion[0] == wanted.change.initial:
            yield (
                f"{renamed.rstrip(' .!,;')}, then the {wanted.subject} {_VERB} {wanted.change.final.goal} "
                f"the {wanted.object}."
            )
    yield prompt_text(wanted.subject, wanted.object, wanted.change, reading.scene, _VERB)
    yield prompt_text(wanted.subject, wanted.object, wanted.change, "", _VERB)


def _renamed(text: str, names: dict[str, str]) -> str:
    """Other nouns in the places of these, with the article that fits."""
    changed = {old.lower(): new for old, new in names.items() if old.lower() != new.lower()}
    if not changed:
        return text
    heads = {old.split()[-1]: new for old, new in changed.items()}
    known = {**heads, **changed}
    nouns = "|".join(
        r"\s+".join(map(re.escape, noun.split())) for noun in sorted(known, key=len, reverse=True)
    )

    def put(match: re.Match[str]) -> str:
        noun = known[" ".join(match["noun"].lower().split())]
        lead = match["article"] or ""
        if lead.strip().lower() in ("a", "an"):
            fitting = article(noun) + lead[len(lead.rstrip()) :]
            lead = fitting.capitalize() if lead[0].isupper() else fitting
        return lead + (noun[0].upper() + noun[1:] if match["noun"][0].isupper() and not lead else noun)

    return re.sub(rf"\b(?P<article>an?\s+)?\b(?P<noun>{nouns})\b", put, text, flags=re.I)


def _moved(text: str, motion: tuple[str, ...], change: RelationChange) -> Iterator[str]:
    """The first and the last place exchanged, in each way that the words for places allow."""
    places = find_places(text)
    firsts = [each for each in places if each.code == motion[0]]
    lasts = [each for each in reversed(places) if each.code in (motion[-1], "O")]
    same_first, same_last = motion[0] == change.initial, motion[-1] == change.final
    for first in firsts if not same_first else [None]:
        for last in lasts if not same_last else [None]:
            if first is last is not None:
                continue
            changed = text
            for place, relation, arrives in sorted(
                ((p, r, a) for p, r, a in ((first, change.initial, False), (last, change.final, True)) if p),
                key=lambda each: -each[0].start,
            ):
                written = text[place.start : place.end]
                changed = (
                    changed[: place.start] + _spoken(written, place, relation, arrives) + changed[place.end :]
                )
            yield changed


def _spoken(written: str, place: Place, relation: Relation, arrives: bool) -> str:
    """Another relation in the words of a place: "to the left side of" -> "to the right side of"."""
    if relation is not Relation.TOP:
        side = "left" if relation is Relation.LEFT else "right"
        if re.search(r"\b(?:left|right)", written, re.I):
            return re.sub(r"left|right", side, written, count=1, flags=re.I)
        return (relation.goal if arrives else relation.place) + ("" if place.named else " it")
    if place.origin and place.named:
        return "from the top of"
    if place.owner:
        return f"on top of {place.owner if place.owner not in ('its', 'his', 'her', 'their') else 'it'}"
    return "on top of" if place.named else "on top of it"
