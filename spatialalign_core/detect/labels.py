"""Which of the labelled boxes belong to a noun: 'Foxes' are a fox, a 'traffic cone' is a cone, a 'hot dog' no dog."""

from __future__ import annotations

import re
from collections.abc import Iterable

_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "geese": "goose",
    "feet": "foot",
    "teeth": "tooth",
    "oxen": "ox",
    "buses": "bus",
    "shoes": "shoe",
}
_FOR_F = ("lves", "rves", "nives", "wives", "loaves", "leaves", "thieves")  # wolves, scarves, knives


def matching_label(noun: str, labels: Iterable[str]) -> str | None:
    """The label that means the noun, None when none does.

    Case, articles, hyphens and plural make no difference. Where no label is the whole noun, the longest one with which
    the noun ends is taken: 'bear' or rather 'teddy bear' for 'brown teddy bear'. A label that says more than the noun
    does not match: a 'hot dog' is no dog.
    """
    asked = _plain(noun)
    plain = {label: _plain(label) for label in labels}
    ends = [label for label, words in plain.items() if words and asked[-len(words) :] == words]
    return max(ends, key=lambda label: (len(plain[label]), label), default=None)


def _plain(text: str) -> tuple[str, ...]:
    """The words of a noun, the last one in the singular."""
    words = re.sub(r"[\s_\-‐‑–]+", " ", text.casefold()).strip(" .,;:!").split()
    while words and words[0] in ("a", "an", "the"):
        words = words[1:]
    return (*words[:-1], _singular(words[-1])) if words else ()


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith(_FOR_F):
        return word[:-3] + ("fe" if word in ("knives", "wives") else "f")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes", "oes")):
        return word[:-2]
    return (
        word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2 else word
    )
