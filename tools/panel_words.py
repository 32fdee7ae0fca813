"""Finds the words in the panels' JavaScript: what they say in the artist's language, and English that slipped by.

A phrase is said by t`step ${a} of ${b}` ("step {0} of {1}") or t("Loss"), or kept for later by mark("Loss"); see
web/shared/language.js. Reads just enough JavaScript for that: strings, templates, comments and brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

WEB = Path(__file__).resolve().parents[1] / "web"
_SAID = ("t", "mark")
_SHOWN = {"html": 2, "svg": 2, "say": 1, "tell": 0, "scroller": 0, "select": 0, "figure": 0, "lazyVideo": 1}
"""Calls that show text, and from which argument on."""
_SHOWN_KEYS = {"title", "aria-label", "placeholder", "label", "alt", "about", "tooltip", "words", "text"}
_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\s+|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[\w$]+|===|!==|=>|\?\.|\?\?|.""",
    re.DOTALL,
)
_REGEX = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")


@dataclass
class _Frame:
    """An open bracket. callee: of a call. argument: which one it is at. key: of an object, the one it is at."""

    bracket: str
    callee: str = ""
    argument: int = 0
    key: str = ""


@dataclass(frozen=True)
class Literal:
    """A string or template of the code, with {0}, {1} for what a template fills in.

    said: it goes through `t` or `mark`. shown: it stands where text is shown.
    """

    text: str
    said: bool
    shown: bool
    before: str
    after: str
    where: str


def panel_phrases() -> set[str]:
    """Every phrase that the panels say."""
    return {each.text for each in all_literals() if each.said} - {""}


def all_literals() -> Iterator[Literal]:
    """Those of all files below web/."""
    for file in sorted(WEB.rglob("*.js")):
        yield from literals(file.read_text(encoding="utf-8"), file.name)


def literals(source: str, name: str = "") -> list[Literal]:
    """The strings and templates of one file, in no order."""
    reader = _Reader(source, name)
    reader.read(0, "")
    return reader.found


@dataclass
class _Reader:
    source: str
    name: str
    found: list[Literal] = field(default_factory=list)
    stack: list[_Frame] = field(default_factory=list)
    before: str = ""  # the last token that is no space and no comment

    def read(self, at: int, end: str) -> int:
        """From `at` to the bracket `end` that closes what was open, or to the end of the file; returns behind it."""
        depth = len(self.stack)
        while at < len(self.source):
            if self.source[at] == "`":
                at = self._template(at)
                continue
            match = self._regex(at) or _TOKEN.match(self.source, at)
            assert match is not None
            token, at = match[0], match.end()
            if token.isspace() or token.startswith(("//", "/*")):
                continue
            if token == end and len(self.stack) == depth:
                return at
            self._token(token, at)
            self.before = token
        return at

    def _token(self, token: str, at: int) -> None:
        top = self.stack[-1] if self.stack else _Frame("")
        if token[0] in "\"'":
            self._literal(_plain(token[1:-1]), self._is_said(), at)
        elif token in "([{":
            callee = self.before if token == "(" and re.fullmatch(r"[\w$]+", self.before) else ""
            self.stack.append(_Frame(token, callee if callee not in ("if", "for", "while", "switch") else ""))
        elif token in ")]}":
            self.stack.pop()
        elif token == ",":
            top.argument, top.key = top.argument + 1, ""
        elif token == ":" and top.bracket == "{" and not top.key:
            top.key = self.before.strip("\"'")

    def _template(self, at: int) -> int:
        """Read a template from its backtick on; what it fills in is read like all code."""
        said, before, text, holes = self.before == "t" or self._is_said(), self.before, "", 0
        at += 1
        while self.source[at] != "`":
            if self.source.startswith("${", at):
                self.before = "${"
                at = self.read(at + 2, "}")
                text, holes = f"{text}{{{holes}}}", holes + 1
            else:
                size = 2 if self.source[at] == "\\" else 1
                text, at = text + self.source[at : at + size], at + size
        self.before = before
        self._literal(_plain(text), said, at + 1)
        self.before = "`"
        return at + 1

    def _is_said(self) -> bool:
        top = self.stack[-1] if self.stack else _Frame("")
        return top.bracket == "(" and top.callee in _SAID and top.argument == 0

    def _literal(self, text: str, said: bool, at: int) -> None:
        frame = next(
            (each for each in reversed(self.stack) if each.callee or each.bracket == "{"), _Frame("")
        )
        shown = frame.key in _SHOWN_KEYS or frame.argument >= _SHOWN.get(frame.callee, 99)
        after = _TOKEN.match(self.source, at + len(self.source[at:]) - len(self.source[at:].lstrip()))
        line = self.source.count("\n", 0, at) + 1
        where = f"{self.name}:{line}"
        self.found.append(Literal(text, said, shown, self.before, after[0] if after else "", where))

    def _regex(self, at: int) -> re.Match[str] | None:
        """A regular expression, where a division cannot stand."""
        if self.source[at] != "/" or self.source[at + 1] in "/*":
            return None
        return (
            _REGEX.match(self.source, at) if self.before[-1:] in "(,=:[!&|?{};>" or not self.before else None
        )


def _plain(inner: str) -> str:
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, inner, flags=re.DOTALL)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else {"n": "\n", "t": "\t"}.get(code, code)
