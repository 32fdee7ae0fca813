"""The words for places in a sentence: "on the left side of", "onto", "to its right"."""

from __future__ import annotations

import re
from dataclasses import dataclass

OTHER_SIDE = "O"
_OWNER = r"(?:the|its|his|her|their)\s+"
_TO = r"(?:from|on|onto|in|at|to|towards?|over|off|of|into|for|by|around)\s+"
_FAR = r"(?:very|far|upper|lower|immediate|extreme|exact|opposite)\s+"
_SIDE = r"(?P<{0}>left|right|top|front|back|rear|bottom|underside)(?:[\s-]*hand)?(?:[\s-]*(?:side|edge|end|part|half))?"
_PATTERNS = (
    # on the left (hand side) of NP; to the front of NP; left of NP
    rf"\b(?P<lead>(?:{_TO}){{0,3}}(?:{_OWNER})?(?:{_FAR})?){_SIDE.format('side')}\s+(?:of|from)\b(?!\s+(?:left|right|top)\b)",
    # to the box's left, on its right side; not "its left paw"
    rf"\b(?P<lead1>(?:{_TO}){{1,3}})(?P<owner>(?:(?:a|an|the)\s+(?:[\w-]+\s+){{0,2}}[\w-]+'s|its|his|her|their))\s+"
    rf"(?:{_FAR})?{_SIDE.format('owned')}(?!\s+(?!side|to\b|of\b|and\b|then\b|before\b|after\b|while\b|in\b|on\b|at\b|with\b|by\b|as\b|near\b|where\b|until\b|from\b|over\b|past\b|instead\b|again\b|now\b)\w)(?!\s*-?\s*\w+-)",
    # to the other side (of NP)
    rf"\b(?P<lead2>(?:{_TO}){{1,3}}){_OWNER}?(?P<other>other|opposite|far)\s+side(?:\s+of\b)?",
    r"\b(?P<lead3>(?:(?:from|off|over|to|onto|down)\s+){0,2})(?P<above>atop(?:\s+of)?|onto|above|upon)\b",
    r"\b(?P<lead4>(?:from|to|out\s+from|over)\s+)?(?P<under>underneath|under|beneath|below)\b",
    r"\b(?P<lead5>(?:from|to)\s+)?(?P<front>in\s+front\s+of)\b",
    r"\b(?P<lead6>(?:from|to)\s+)?(?P<behind>behind|in\s+back\s+of)\b",
    r"\b(?P<inside>into|inside(?:\s+of)?)\b",
    # to the right, on the left side, from left: what it is seen from stands elsewhere
    rf"\b(?P<lead7>(?:{_TO}){{1,3}}(?:{_OWNER})?(?:{_FAR})?){_SIDE.format('weak')}(?=\s*(?:[.,;!?]|$|\b(?:and|then|before|after|while|in|with|as|to|when|from|past|at|until|near|where|by|over|again|now|first|on|across|under|against|behind|beside|through|along|around|without|during|instead|a|an|the|is|are|was)\b))",
)  # fmt: skip
_PLACES = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.I)
_BARE = re.compile(
    r"\b(?P<bare>left|right)(?:wards?)?(?=\s*(?:[.,;!?]|$|\b(?:and|then|before|while|past|to|over)\b))", re.I
)
_ON = re.compile(r"\b(?P<on>on)\b(?=\s+(?:it\b|(?:(?:the|a|an|its)\s+)?\w))", re.I)
_CODES = {
    "left": "L", "right": "R", "top": "T", "front": "F", "back": "B", "rear": "B", "bottom": "U", "underside": "U",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a place is named. code: L, R, T, F, B, U, I, or O for the other side. start, end: in characters.

    named: its object follows it ("left of a box"). owner: or stands in it ("the box" of "to the box's left", "its").
    origin: "from the left of". weak: only a direction ("to the right"). stance: only "on", which a verb has to explain.
    words: as they were written.
    """

    code: str
    start: int
    end: int
    named: bool
    owner: str
    origin: bool
    weak: bool
    stance: bool
    words: str
    diagonal: bool = False


def find_places(text: str) -> list[Place]:
    """All places in a text, in order."""
    found = [_place(match) for match in _PLACES.finditer(text)]
    for pattern in (_BARE, _ON):
        for match in pattern.finditer(text):
            if any(place.start < match.end() and match.start() < place.end for place in found):
                continue
            found.append(_simple(match))
    return sorted(found, key=lambda place: place.start)


def _place(match: re.Match[str]) -> Place:
    groups = {name: value for name, value in match.groupdict().items() if value}
    words = " ".join(match[0].lower().split())
    lead = next((value for name, value in groups.items() if name.startswith("lead")), "").lower()
    origin = bool(re.search(r"\b(?:from|off)\b", lead))
    side = groups.get("side") or groups.get("owned") or groups.get("weak")
    if side:
        code = _CODES[side.lower()]
    elif "other" in groups:
        code = OTHER_SIDE
    else:
        code = {"above": "T", "under": "U", "front": "F", "behind": "B", "inside": "I"}[
            next(name for name in ("above", "under", "front", "behind", "inside") if name in groups)
        ]
    owner = re.sub(r"'s$", "", groups.get("owner", "").lower())
    weak = "weak" in groups or ("other" in groups and not words.endswith("of"))
    diagonal = bool(re.search(r"\b(?:upper|lower)\b", lead))
    return Place(
        code, match.start(), match.end(), not weak and not owner, owner, origin, weak, False, words, diagonal
    )


def _simple(match: re.Match[str]) -> Place:
    if match.groupdict().get("on"):
        return Place("T", match.start("on"), match.end("on"), True, "", False, False, True, "on")
    word = match["bare"].lower()
    return Place(_CODES[word], match.start(), match.end(), False, "", False, True, False, match[0].lower())
