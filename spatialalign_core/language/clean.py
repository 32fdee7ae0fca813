"""Pasted prompts as plain English: without prompt weights, LoRA tags, typographic signs and line breaks."""

from __future__ import annotations

import html
import re
import unicodedata

from .lexicon import (
    CONJUNCTIONS,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    describes,
    inflected_verb,
    is_adverb,
    tags,
)

_NEVER = CONJUNCTIONS | PREPOSITIONS | PRONOUNS | RELATIVES

_REPLACED = {
    "’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "´": "'", "`": "'",
    "‐": "-", "‑": "-", "‒": "-", "–": " - ", "—": " - ", "―": " - ", "−": "-", "…": ". ",
    "。": ". ", "、": ", ", "・": " ",
}  # fmt: skip
_ARROW = re.compile(r"\s*(?:--?>|=+>|→|⇒|➜|➔|➡)\s*")
_TAG = re.compile(r"<[^<>]{0,200}>|\b(?:embedding|lora|hypernet):\S+")
_WEIGHT = re.compile(r"[:]\s*[+-]?\d+(?:\.\d+)?\s*(?=[)\]])")
_CONTRACTED = re.compile(r"\b(it|he|she|that|there|here|who|what)'s\b", re.I)
_ITS = re.compile(r"\b(to|on|onto|from|at|towards?|over)\s+it's\b", re.I)
_LATER = re.compile(
    r"\b(?:(?:just|only|about)\s+)?(?:an?|one|two|some|a\s+few|several|few)?\s*(?:brief|short|few|split)?\s*"
    r"(?:moments?|seconds?|minutes?|while|instant|beats?|second)\s+later\b"
    r"|\bafter\s+(?:a|an|some|one|several|two|three)\s+(?:few\s+|brief\s+|short\s+)?"
    r"(?:moments?|seconds?|minutes?|while|instant|beats?|pause|time)\b"
    r"|\bafter\s+(?:that|which|this)\b|\bthereafter\b|\bthe\s+next\s+(?:moment|second|instant)\b",
    re.I,
)
_EARLIER = re.compile(r"\bbefore\s+(?:that|this|then)\b|\bprior\s+to\s+(?:that|this)\b", re.I)
_TIMES = re.compile(
    r"\b((?:and\s+)?(?:then|next|later|previously|originally|initially|finally|suddenly|eventually|afterwards?|soon|now|"
    r"first|at\s+first|at\s+last|in\s+the\s+end|at\s+the\s+(?:very\s+)?(?:beginning|start|end)|to\s+begin\s+with|"
    r"earlier|this\s+time|instantly|slowly|gradually|quickly|without\s+warning))\s*,",
    re.I,
)
_PLACE_WORDS = re.compile(r"\b(?:left|right|top|above|under|behind|front|back)\b", re.I)
_SIGNS = re.compile(r"[^\w\s.,;:!?'\"&/%+-]")
_LABEL = re.compile(
    r"(?:^|(?<=[.;!?\n]))\s*(?:scene|shot|step|part|subject|object|action|motion|prompt|positive prompt|description)"
    r"\s*\d*\s*:\s*",
    re.I,
)


def clean(text: str) -> str:
    """The text on one line, in ASCII punctuation; what stood in round brackets behind a word is set off by commas."""
    text = unicodedata.normalize("NFKC", html.unescape(html.unescape(text)))
    for sign, plain in _REPLACED.items():
        text = text.replace(sign, plain)
    text = _TAG.sub(" ", text)
    text = _WEIGHT.sub("", text)
    text = re.sub(r"\[\s*(?:scene|shot|cut|part)?\s*\d*\s*\]|\bBREAK\b", " ", text, flags=re.I)
    text = re.sub(r"(?<=\w)\s*\(([^()]{1,80})\)", _aside, text)
    text = text.replace('"', " ")
    text = re.sub(r"[ \t]+", " ", text)
    # A line break ends a sentence, unless the next line goes on with small letters.
    text = re.sub(r"(?<=[\w\]\)])[ ]*\n\s*(?=[A-Z0-9*#-])", ". ", text)
    text = _ARROW.sub(" , then ", text)
    text = re.sub(r"\s-+\s", " , ", text)
    text = _LABEL.sub(" ", text)
    text = _ITS.sub(r"\1 its", text)
    text = re.sub(r"\bat\s+first\b", "first", text, flags=re.I)
    text = re.sub(r"\bat\s+last\b", "finally", text, flags=re.I)
    text = _CONTRACTED.sub(r"\1 is", text)
    text = _EARLIER.sub("previously", text)
    text = _LATER.sub("then", text)
    text = _SIGNS.sub(" ", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([.,;:!?])", r"\1", text)
    text = re.sub(r"([.,;:!?])\1+", r"\1", text)
    text = re.sub(r"([,;!?])(?=\w)|\.(?=[A-Za-z]{2})", lambda match: match[0] + " ", text)
    text = _TIMES.sub(r"\1 ", text)
    text = re.sub(r"\s+", " ", text)
    return _without_list_commas(text).strip(" ,;:")


def _aside(match: re.Match[str]) -> str:
    """What stands in brackets behind a word: set off by commas where it may tell of a place, else left out."""
    return f", {match[1]}, " if _PLACE_WORDS.search(match[1]) else " "


def _without_list_commas(text: str) -> str:
    """ "a small, fluffy cat" -> "a small fluffy cat", so that a comma always stands between parts of a sentence."""

    def joined(match: re.Match[str]) -> str:
        before, after = match[1].lower(), match[2].lower()
        start = text[: match.start()].lower().split()
        opened = any(word in DETERMINERS for word in start[-3:])
        described = describes(before) or ("ADJ" in tags(before) and describes(after) and not is_adverb(after))
        if (
            opened
            and described
            and after not in DETERMINERS | _NEVER
            and (not inflected_verb(after) or (after.endswith("ed") and "NOUN" in tags(match[3].lower())))
        ):
            return f"{match[1]} {match[2]}{match[0][match.end(2) - match.start() :]}"
        return match[0]

    for _ in range(3):
        changed = re.sub(r"\b([\w-]+), ([\w-]+)(?=[ ,]+([\w-]+))", joined, text)
        if changed == text:
            break
        text = changed
    return text
