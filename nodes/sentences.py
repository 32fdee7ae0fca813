"""A typed sentence, or one clear sentence why it was not understood."""

from __future__ import annotations

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.prompts import DsrPrompt
from ..spatialalign_core.sentence import parse_sentence


def understood(sentence: str) -> DsrPrompt:
    """The prompt that the sentence says. SpatialAlignError that names what was not understood."""
    parsed = parse_sentence(sentence)
    if parsed.prompt is None:
        raise SpatialAlignError(" ".join(parsed.not_understood))
    return parsed.prompt


def remarks(sentence: str) -> str:
    """What of an understood sentence plays no part in the score: a line for each remark, none without any."""
    return "".join(f"\n{remark}" for remark in parse_sentence(sentence).not_understood)
