"""The comparison as one picture to share: what was found, how sure that is, and some videos frame by frame."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..draw_marks import INK, OBJECT, PAPER, SUBJECT, Colour, Picture, fitted, font, wrapped
from ..errors import SpatialAlignError
from ..evaluate import Comparison, Estimate, Evaluation
from ..files import atomic_path
from ..relations import RelationChange
from ..score import obeys
from ..video import read_stills
from . import text as words
from .videos import SamplePair, choose_shown

_WIDTH, _EDGE = 1280, 40
_SHOWN = 4  # prompts
_STILLS = 5
_FEW = 20
_MUTED: Colour = (100, 99, 94)
_FAINT: Colour = (228, 227, 222)
_SIDES = (SUBJECT, OBJECT)
_NAME, _FIGURES, _LAST = 40, (400, 690), 980  # where the table's columns start


def save_picture(
    path: Path, evaluation: Evaluation, pairs: Sequence[SamplePair], names: tuple[str, str]
) -> None:
    """Write `comparison_picture` as a PNG, whole or not at all."""
    picture = Image.fromarray(comparison_picture(evaluation, pairs, names))
    with atomic_path(path) as temporary:
        picture.save(temporary, "PNG", optimize=True)


def comparison_picture(
    evaluation: Evaluation, pairs: Sequence[SamplePair], names: tuple[str, str]
) -> Picture:
    """uint8 (H, 1280, 3): a headline, the table of shares with 95 % intervals, and frames of some pairs of videos.

    pairs: what `evaluation` was made from, (a, b). names: of the two. The pairs that are shown are not picked for their
    looks: every outcome that occurred, spread over the prompts. A video that cannot be read is named in its place.
    """
    sheet = _Sheet()
    sheet.words(_headline(evaluation, names), 34, INK, lines=2)
    sheet.words(_lede(evaluation), 19, _MUTED, lines=2)
    _table(sheet, evaluation, names)
    for a, b in choose_shown(pairs, evaluation.tau, _SHOWN):
        _pair(sheet, (a, b), evaluation.tau, names)
    sheet.words("Made with SpatialAlign. The videos above show every outcome that occurred.", 15, _MUTED)
    return sheet.cut()


class _Sheet:
    """Paper that grows downwards. y: where the next thing goes."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (_WIDTH, 4000), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.y = _EDGE

    def words(self, text: str, size: int, colour: Colour, lines: int = 1) -> None:
        for line in wrapped(text, font(size), _WIDTH - 2 * _EDGE, lines):
            self.draw.text((_EDGE, self.y), line, colour, font(size), "la")
            self.y += round(size * 1.35)
        self.y += size // 3

    def rule(self, colour: Colour = _FAINT) -> None:
        self.draw.line((_EDGE, self.y, _WIDTH - _EDGE, self.y), colour, 2)
        self.y += 8

    def cut(self) -> Picture:
        return np.asarray(self.image.crop((0, 0, _WIDTH, self.y + _EDGE // 2)))


def _headline(evaluation: Evaluation, names: tuple[str, str]) -> str:
    obey = evaluation.obey
    shares = (_plain(words.percent(each.value)) for each in (obey.base, obey.aligned))
    (first, second), (a, b) = shares, names
    if evaluation.verdict == "unclear":
        return f"No clear difference: {first} of the videos obey with {a}, {second} with {b}"
    better, worse = ((b, second), (a, first)) if evaluation.verdict == "better" else ((a, first), (b, second))
    return f"{better[1]} of the videos obey with {better[0]}, {worse[1]} with {worse[0]}"


def _lede(evaluation: Evaluation) -> str:
    few = " Few prompts: a first impression." if evaluation.prompts < _FEW else ""
    return (
        f"{_prompts(evaluation.prompts)}, {evaluation.videos} videos each, from the same noise. A video obeys when "
        f"{words.obeys_when(evaluation.tau)}. Brackets and thin lines: 95 % intervals over prompts.{few}"
    )


def _prompts(number: int) -> str:
    return "1 prompt" if number == 1 else f"{number} prompts"


def _table(sheet: _Sheet, evaluation: Evaluation, names: tuple[str, str]) -> None:
    for x, name, colour in zip(_FIGURES, names, _SIDES, strict=True):
        sheet.draw.ellipse((x, sheet.y + 5, x + 14, sheet.y + 19), colour)
        sheet.draw.text((x + 22, sheet.y), fitted(name, font(19), 250), INK, font(19), "la")
    sheet.draw.text((_LAST, sheet.y), "difference", _MUTED, font(19), "la")
    sheet.y += 32
    sheet.rule(INK)
    _row(sheet, "Videos that obey", evaluation.obey, bars=True)
    for code, comparison in evaluation.obey_by_change.items():
        _row(sheet, f"  {_change(code)}, {_prompts(comparison.prompts)}", comparison, bars=True)
    sheet.rule()
    _row(sheet, f"Score of at least {evaluation.tau:g} (accuracy@{evaluation.tau:g})", evaluation.accuracy)
    _row(sheet, "Mean score of those that can be scored", evaluation.mean_dsr, share=False)
    _row(sheet, "Videos that cannot be scored", evaluation.invalid)
    sheet.y += 18


def _row(sheet: _Sheet, name: str, comparison: Comparison, share: bool = True, bars: bool = False) -> None:
    draw, y = sheet.draw, sheet.y
    draw.text((_NAME, y), fitted(name, font(18), _FIGURES[0] - _NAME - 10), INK, font(18), "la")
    for x, estimate, colour in zip(_FIGURES, (comparison.base, comparison.aligned), _SIDES, strict=True):
        value = _plain(words.percent(estimate.value)) if share else words.score_number(estimate.value)
        draw.text((x, y), value, INK, font(18), "la")
        draw.text((x + 62, y + 2), _interval(estimate, share), _MUTED, font(15), "la")
        if bars:
            _bar(draw, x, y + 26, estimate, colour)
    difference = comparison.difference
    value = words.points(difference.value) if share else f"{difference.value:+.2f}"
    sure = INK if comparison.changed else _MUTED
    draw.text((_LAST, y), _plain(value), sure, font(18), "la")
    span = _plain(words.interval(difference, signed=True)) if share else _interval(difference, False, "+.2f")
    draw.text((_LAST + 120, y + 2), f"[{span.strip('[]')}]" if span else "", _MUTED, font(15), "la")
    sheet.y += 42 if bars else 32


def _bar(draw: ImageDraw.ImageDraw, x: int, y: int, estimate: Estimate, colour: Colour) -> None:
    length = 240
    draw.rectangle((x, y, x + length, y + 7), _FAINT)
    if math.isfinite(estimate.value):
        draw.rectangle((x, y, x + round(length * estimate.value), y + 7), colour)
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        draw.line((x + length * estimate.low, y + 3.5, x + length * estimate.high, y + 3.5), INK, 2)


def _interval(estimate: Estimate, share: bool, form: str = ".2f") -> str:
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    if share:
        return f"[{_plain(words.interval(estimate))}]"
    return f"[{estimate.low:{form}} to {estimate.high:{form}}]"


def _pair(sheet: _Sheet, pair: SamplePair, tau: float, names: tuple[str, str]) -> None:
    """Two rows of stills under the prompt, each with its name and score beside it."""
    prompt = pair[0].prompt
    sheet.rule()
    sheet.words(f"{prompt.text} ({_change(prompt.change.code)}, seed {pair[0].seed})", 18, INK, lines=2)
    beside = 230
    tile_width = (_WIDTH - 2 * _EDGE - beside) // _STILLS - 6
    for sample, name, colour in zip(pair, names, _SIDES, strict=True):
        stills = _stills(sample.video)
        height = 90
        for column, still in enumerate(stills):
            tile = Image.fromarray(still)
            height = max(1, round(tile.height * tile_width / tile.width))
            tile = tile.resize((tile_width, height), Image.Resampling.LANCZOS)
            sheet.image.paste(tile, (_EDGE + beside + column * (tile_width + 6), sheet.y))
        draw, said = sheet.draw, words.verdict(sample.score, prompt.change, tau)
        draw.rectangle((_EDGE, sheet.y, _EDGE + 5, sheet.y + height), colour)
        lines = [
            *wrapped(name, font(16), beside - 30, 2),
            f"score {words.score_number(sample.score.dsr)}" if sample.score.valid else "no score",
            *wrapped("obeys" if obeys(sample.score, tau) else said, font(16), beside - 30, 3),
        ]  # fmt: skip
        for number, line in enumerate(lines):
            draw.text(
                (_EDGE + 16, sheet.y + 2 + number * 22), line, INK if not number else _MUTED, font(16), "la"
            )
        if not stills:
            draw.text((_EDGE + beside, sheet.y + 2), "this video cannot be read", _MUTED, font(16), "la")
        sheet.y += max(height, len(lines) * 22 + 4) + 8
    sheet.y += 6


def _stills(video: Path | None) -> list[Picture]:
    if video is not None:
        with contextlib.suppress(SpatialAlignError):
            return read_stills(video, _STILLS)
    return []


def _change(code: str) -> str:
    return _plain(words.change_words(RelationChange.parse(code)))


def _plain(text: str) -> str:
    """In signs that Pillow's letters have."""
    for sign, instead in (
        ("\N{NARROW NO-BREAK SPACE}", " "),
        ("\N{MINUS SIGN}", "-"),
        ("\N{RIGHTWARDS ARROW}", "to"),
    ):
        text = text.replace(sign, instead)
    return text
