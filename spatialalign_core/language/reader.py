"""A text read into subject, object and motion, clause by clause; what stays unclear is a doubt, never a guess."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from . import doubts as say
from .case import Case, Reading
from .clauses import Clause, split_clauses
from .clean import clean
from .events import Event, find_events
from .lexicon import PREPOSITIONS

SCORED = ("L", "R", "T")
_FOREIGN = re.compile(r"[\u0400-\u04ff\u0600-\u06ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def read_text(text: str) -> Reading:
    """Read a text; never raises."""
    line = clean(text)
    if not re.search(r"\w", line):
        return Reading(doubts=(say.empty(),))
    if len(_FOREIGN.findall(line)) > len(re.findall(r"[A-Za-z]", line)) / 4:
        return Reading(doubts=(say.other_language(),))
    clauses = split_clauses(line[:20000])
    events = find_events(clauses)
    case = Case(events, clauses, line)
    reading = case.read()
    doubts = reading.doubts or _nothing(line, reading)
    if doubts or not reading.motion:
        return replace(reading, doubts=doubts)
    return replace(
        reading,
        scene=_as_written(_scene(line, clauses, case.own), text),
        remarks=reading.remarks + _no_part(clauses, case.own),
    )


def _nothing(line: str, reading: Reading) -> tuple[str, ...]:
    return () if reading.motion else (say.no_place(line),)


def _scene(line: str, clauses: Sequence[Clause], events: Sequence[Event]) -> str:
    """The surroundings: what stands before the subject's first clause, or behind an object."""
    opening = clauses[0]
    begin = min(events, key=lambda event: event.clause)
    if opening.words[0] in PREPOSITIONS and not (begin.inverted and begin.clause == 0):
        clause = clauses[begin.clause]
        phrase = begin.actor.phrase
        end = clause.start
        if phrase is not None:
            end += clause.spans[min(phrase.start, len(clause.spans) - 1)][0]
        scene = line[:end].strip(" ,")
        return re.sub(r",?\s+(?:and|then|while)$", "", scene)
    return next((event.scene for event in events if event.scene), "")


def _as_written(words: str, text: str) -> str:
    """The same words as the text has them, with its own commas."""
    pattern = r"[\W_]+".join(re.escape(word) for word in re.findall(r"\w+", words))
    found = re.search(pattern, " ".join(text.split())) if pattern else None
    return found[0] if found else words


def _no_part(clauses: Sequence[Clause], events: Sequence[Event]) -> tuple[str, ...]:
    """A remark on what the subject does besides: "and falls asleep"."""
    used = {event.clause for event in events}
    last = max(used)
    rest = [
        clause
        for number, clause in enumerate(clauses)
        if number > last and clause.link == "and" and clause.sentence == clauses[last].sentence
    ]
    return tuple(say.no_part(f"{clause.link} {clause.text}".strip(" .")) for clause in rest)
