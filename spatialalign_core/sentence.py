"""A sentence as an artist types it, read into the prompt that is made and scored."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache

from .files import safe_name
from .language.doubts import EXAMPLE
from .language.reader import SCORED, Reading, read_text
from .prompts import DsrPrompt
from .relations import Relation, RelationChange

__all__ = ["EXAMPLE", "ParsedSentence", "parse_sentence"]


@dataclass(frozen=True)
class ParsedSentence:
    """What was read. prompt is None when anything is in doubt, and `not_understood` then says what and what to write
    instead; next to a prompt, `not_understood` holds remarks on words that play no part in the score. reading: all that
    was read, also of a sentence in doubt."""

    prompt: DsrPrompt | None
    not_understood: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)


@lru_cache(maxsize=2048)  # a list is read again with every letter that is typed into it
def parse_sentence(text: str) -> ParsedSentence:
    """Read a free sentence; never raises. The prompt's text is the artist's own words without the spaces around them.

    "In a park, a small red fox sits on the left side of a wooden box, then it leaps onto it" gives subject "fox",
    object "box", change LT and scene "In a park". Common adjectives are left out of the nouns, compounds ("traffic
    cone") stay. Of a motion with more than two places the first and the last are scored.
    """
    words = text.strip()
    reading = read_text(words)
    motion = reading.motion
    if reading.doubts or len(motion) < 2 or not {motion[0], motion[-1]} <= set(SCORED):
        return ParsedSentence(None, reading.doubts, reading)
    change = RelationChange(Relation(motion[0]), Relation(motion[-1]))
    mark = hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()[:8]
    name = safe_name(re.sub(r"\s+", "-", f"{reading.subject}_{reading.object}_{change.code}_{mark}"))
    prompt = DsrPrompt(name, words, reading.subject, reading.object, change, reading.scene)
    return ParsedSentence(prompt, reading.remarks, reading)
