"""Nouns as GroundingDINO reads them: one text for all of them, and from token scores back to nouns.

The text is "fox. traffic cone.": a full stop ends each phrase, and tokens of different phrases do not see each other.
A box has a score for every token; the noun whose own tokens score highest is what the box shows, however many words the
noun has, whatever their endings, and even where two phrases score at once ("cat dog").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SpatialAlignError

_ALLOWED = re.compile(r"[^\W_]+(?:[ '’-]+[^\W_]+)*")
_LONGEST = 60  # characters of a noun
_FEW = 60  # words of a vocabulary that may be listed
_NAMED = 8  # unknown nouns that an error names
_NO_NOUNS = {"a", "an", "the"}
_STOPS = (101, 102, 1012, 1029)  # GroundingDINO's own: begin, end, "." and "?"


@dataclass(frozen=True, eq=False)
class Phrases:
    """Nouns as tokens: input_ids (L,) int64, and for each noun which of the L positions are its own, bool (N, L)."""

    nouns: tuple[str, ...]
    text: str
    input_ids: NDArray[np.int64]
    own: NDArray[np.bool_]


def plain(noun: str) -> str:
    """A noun as it stands in the text: lower case, single spaces. SpatialAlignError when it cannot stand there."""
    words = " ".join(noun.lower().split())
    if not words:
        raise SpatialAlignError(
            "A noun to look for is empty; write what to look for, such as fox or traffic cone."
        )
    if len(words) > _LONGEST or not _ALLOWED.fullmatch(words):
        raise SpatialAlignError(
            f"{noun!r} cannot be looked for; use one to a few words of letters, such as fox or traffic cone."
        )
    return words


def read_phrases(tokenizer: Any, nouns: Sequence[str], most: int = 256) -> Phrases:
    """The nouns as one text and its tokens. SpatialAlignError for a noun that the tokenizer has no words for."""
    names = tuple(dict.fromkeys(nouns))
    words = [plain(noun) for noun in names]
    text = ". ".join(words) + "."
    ids = np.array(tokenizer(text)["input_ids"], dtype=np.int64)
    stop = np.isin(ids, _STOPS)
    # Tokens between two stops have the same number; the first stop is the beginning of the text.
    number = np.where(stop, 0, stop.cumsum())
    own = number == np.arange(1, len(names) + 1)[:, None]
    unknown = [
        noun
        for noun, mask in zip(names, own, strict=True)
        if not mask.any() or (ids[mask] == tokenizer.unk_token_id).any()
    ]
    if unknown:
        raise _no_word(tokenizer, unknown)
    if len(ids) > most:
        raise SpatialAlignError(
            f"The nouns are {len(ids)} tokens long, at most {most} fit; use shorter ones."
        )
    return Phrases(names, text, ids, own)


def check_nouns(tokenizer: Any, nouns: Iterable[str]) -> None:
    """SpatialAlignError that names all nouns, of many prompts, that the tokenizer has no words for."""
    unknown = []
    for noun in dict.fromkeys(nouns):
        ids = tokenizer(plain(noun) + ".")["input_ids"]
        if tokenizer.unk_token_id in ids or all(each in _STOPS for each in ids):
            unknown.append(noun)
    if unknown:
        raise _no_word(tokenizer, unknown)


def _no_word(tokenizer: Any, unknown: Sequence[str]) -> SpatialAlignError:
    named = ", ".join(map(repr, unknown[:_NAMED]))
    if len(unknown) > _NAMED:
        named += f" and {len(unknown) - _NAMED} more"
    known = _known_nouns(tokenizer)
    if not known:
        return SpatialAlignError(
            f"The detector has no word for {named}; use a simpler or a more common word."
        )
    return SpatialAlignError(
        f"The detector has no word for {named}; it knows only {', '.join(known)}. "
        "Use these nouns, or choose a large GroundingDINO in Load Detector."
    )


def _known_nouns(tokenizer: Any) -> list[str]:
    """The nouns of a toy detector, each once, in the singular; none where there are too many to list."""
    words = {word for word in tokenizer.get_vocab() if word.isalpha()} - _NO_NOUNS
    if len(words) > _FEW:
        return []
    return sorted(words - {word + ending for word in words for ending in ("s", "es")})


def noun_scores(tokens: NDArray[np.float32], phrases: Phrases) -> NDArray[np.float64]:
    """Score of every noun in every box, (Q, N): its best token's, from token scores (Q, L) in 0..1."""
    each = np.where(phrases.own, tokens[:, None, : phrases.own.shape[1]], 0.0)
    # The mean over the noun's tokens decides only between nouns whose best tokens score the same.
    mean = each.sum(-1) / phrases.own.sum(-1)
    scores: NDArray[np.float64] = each.max(-1) + 1e-9 * mean
    return np.minimum(scores, 1.0)


def label(tokenizer: Any, tokens: NDArray[np.float32], phrases: Phrases, threshold: float) -> str:
    """What the released procedure calls a box: its tokens above the threshold, whosoever they are. tokens: (L,)."""
    above = tokens > threshold
    above[0] = False
    return str(tokenizer.decode(phrases.input_ids[above[: len(phrases.input_ids)]].tolist()))
