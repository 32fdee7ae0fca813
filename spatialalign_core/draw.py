"""Pictures for people: a score's chart, frames with their boxes, and a contact sheet. Arrays in, uint8 RGB out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .draw_marks import (
    INK,
    OBJECT,
    PAPER,
    SUBJECT,
    Colour,
    Labels,
    Picture,
    enlarged,
    fitted,
    font,
    label,
    readable,
    wrapped,
)
from .draw_tracks import others_of
from .relations import RelationChange
from .score import Score, ssr_sequences
from .tracks import Track

_FAINT: Colour = (218, 217, 212)
_MUTED: Colour = (110, 109, 104)
_SET_ASIDE: Colour = (240, 236, 228)


def chart(track: Track, change: RelationChange, score: Score, width: int = 768, height: int = 432) -> Picture:
    """SSR of the first and the last relation over the frames, uint8 (height, width, 3).

    Frames that do not count are shaded; the lines stop there.
    """
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = 54, 84, width - 18, height - 40
    frames = track.frames
    step = (right - left) / max(frames - 1, 1)

    def x(frame: float) -> float:
        return left + frame * step if frames > 1 else (left + right) / 2

    def y(value: float) -> float:
        return bottom - (value + 1) / 2 * (bottom - top)

    first, last = ssr_sequences(track, change)
    for frame in np.flatnonzero(~np.isfinite(first)):
        draw.rectangle(
            (max(left, x(frame - 0.5)), top, min(right, x(frame + 0.5)) if frames > 1 else right, bottom),
            _SET_ASIDE,
        )
    for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
        draw.line((left, y(value), right, y(value)), _MUTED if value == 0 else _FAINT)
        draw.text((left - 8, y(value)), f"{value:+.1f}" if value else "0", _MUTED, font(13), "rm")
    for frame in sorted({round(n) for n in np.linspace(0, max(frames - 1, 0), min(frames, 7))}):
        draw.text((x(frame), bottom + 8), str(frame), _MUTED, font(13), "ma")
    draw.text(((left + right) / 2, height - 4), "frame", _MUTED, font(13), "ms")

    title = f"DSR-Score {score.dsr:.2f} of 1" if score.dsr is not None else f"No score: {score.reason}"
    _title(draw, title, width - 36)
    at = 18.0
    for colour, words in (
        (SUBJECT, f"{change.initial.side} (should fall)"),
        (OBJECT, f"{change.final.side} (should rise)"),
    ):
        draw.line((at, 60, at + 22, 60), colour, 4)
        draw.text((at + 30, 60), words, INK, font(15), "lm")
        at += 58 + draw.textlength(words, font(15))
    for values, colour in ((first, SUBJECT), (last, OBJECT)):
        points = [(x(frame), y(value)) for frame, value in enumerate(values)]
        for (before, after), counts in zip(
            itertools.pairwise(points),
            np.isfinite(values[:-1]) & np.isfinite(values[1:]),
            strict=True,
        ):
            if counts:
                draw.line((*before, *after), colour, 3)
        for (px, py), value in zip(points, values, strict=True):
            if np.isfinite(value):
                draw.ellipse((px - 3, py - 3, px + 3, py + 3), colour)
    return np.asarray(image)


def annotate(frames: Picture, track: Track, shortest: int = 384) -> Picture:
    """Frames with the boxes and names of subject and object, and a note on frames that do not count.

    frames: uint8 (F, H, W, 3), of any size with the track's proportions. Clips whose short side is under `shortest`
    are enlarged by a whole factor first, so that the words can be read.
    """
    factor = max(1, math.ceil(shortest / min(frames.shape[1:3])))
    height, width = (side * factor for side in frames.shape[1:3])
    scale = np.array([width / track.width, height / track.height] * 2)
    size = max(14, min(height, width) // 24)
    result = np.empty((len(frames), height, width, 3), dtype=np.uint8)
    for index, frame in enumerate(frames):
        image = enlarged(frame, (width, height))
        draw = ImageDraw.Draw(image)
        labels = Labels(image.size, size)
        reason = track.frame_reasons[index]
        note = [] if reason is None else wrapped(f"not valid: {reason}", font(size), width - 16)
        top = height - len(note) * (size + 8) - 4
        labels.reserve((4, top, width - 4 if note else 4, height))
        things = [
            (readable(noun, role), boxes[index] * scale, colour)
            for noun, role, boxes, colour in (
                (track.object, "object", track.object_boxes, OBJECT),
                (track.subject, "subject", track.subject_boxes, SUBJECT),
            )
            if np.isfinite(boxes[index]).all()
        ]
        things += [
            (readable(n, "another"), box * scale, c)
            for n, boxes, c in others_of(track, index)
            for box in boxes
        ]
        for _, box, colour in things:
            _box(draw, box, colour, size)
        for noun, box, colour in things:
            labels.beside(draw, box, noun, colour)
        for row, words in enumerate(note):
            label(draw, (4, top + row * (size + 8)), words, INK, size)
        result[index] = np.asarray(image)
    return result


def contact_sheet(rows: Sequence[tuple[str, Sequence[Picture]]], tile_width: int = 192) -> Picture:
    """Rows of pictures under a caption each, uint8 (H, W, 3); one blank picture when there are no rows."""
    if not rows:
        return np.full((64, tile_width, 3), PAPER, dtype=np.uint8)
    columns = max(len(pictures) for _, pictures in rows)
    gap, line = 6, 19
    sheet_width = gap + columns * (tile_width + gap)
    captions = [wrapped(words, font(15), sheet_width - 2 * gap) for words, _ in rows]
    height, width = rows[0][1][0].shape[:2]
    tile_height = round(height * tile_width / width)
    captions_height = sum(len(lines) * line + 7 for lines in captions)
    sheet = Image.new("RGB", (sheet_width, captions_height + len(rows) * (tile_height + gap) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = gap
    for lines, (_, pictures) in zip(captions, rows, strict=True):
        for row, words in enumerate(lines):
            draw.text((gap, y + 4 + row * line), words, INK, font(15), "la")
        caption = len(lines) * line + 7
        for column, picture in enumerate(pictures):
            tile = enlarged(picture, (tile_width, tile_height))
            sheet.paste(tile, (gap + column * (tile_width + gap), y + caption))
        y += caption + tile_height + gap
    return np.asarray(sheet)


def curve(
    series: Sequence[tuple[str, Sequence[float]]],
    title: str,
    x_label: str,
    width: int = 768,
    height: int = 432,
    counted: bool = False,
) -> Picture:
    """Up to two lines over a common x of 0..n-1, for losses and the like; NaN leaves gaps. uint8 (height, width, 3).

    counted: for a few values worth looking at one by one, such as rounds: each has its number and a dot.
    """
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = 64, 84, width - 18, height - 40
    values = np.concatenate([np.asarray(numbers, dtype=np.float64) for _, numbers in series] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    draw.text((18, 14), fitted(title, font(22), width - 36), INK, font(22), "la")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - top)
        draw.line((left, y, right, y), _FAINT)
        draw.text((left - 8, y), f"{low + share * (high - low):.3g}", _MUTED, font(13), "rm")
    length = max((len(numbers) for _, numbers in series), default=1)
    ticks = {share: str(round(share * length)) for share in (0.0, 0.5, 1.0)}
    if counted:
        ticks = {number / max(length - 1, 1): str(number) for number in range(length)}
    for share, words in ticks.items():
        draw.text((left + share * (right - left), bottom + 8), words, _MUTED, font(13), "ma")
    draw.text(((left + right) / 2, height - 4), x_label, _MUTED, font(13), "ms")
    at = 18.0
    for (words, numbers), colour in zip(series, (SUBJECT, OBJECT), strict=False):
        draw.line((at, 60, at + 22, 60), colour, 4)
        draw.text((at + 30, 60), words, INK, font(15), "lm")
        at += 58 + draw.textlength(words, font(15))
        points = [
            (
                left + i / max(length - 1, 1) * (right - left),
                bottom - (v - low) / (high - low) * (bottom - top),
            )
            for i, v in enumerate(numbers)
        ]
        for before, after in itertools.pairwise(points):
            if np.isfinite([*before, *after]).all():
                draw.line((*before, *after), colour, 2)
        for x, y in points if counted else ():
            if np.isfinite(y):
                draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)
    return np.asarray(image)


def _title(draw: ImageDraw.ImageDraw, words: str, width: float) -> None:
    """Large in one line if it fits, else smaller in two or three."""
    for size, lines in ((22, 1), (17, 2), (13, 3)):
        rows = wrapped(words, font(size), width)
        if len(rows) <= lines:
            break
    for row, line in enumerate(rows[:lines]):
        draw.text((18, (14 if lines == 1 else 6) + row * (size + 3)), line, INK, font(size), "la")


def _box(draw: ImageDraw.ImageDraw, box: NDArray[np.float64], colour: Colour, size: int) -> None:
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    draw.rectangle((x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)), outline=colour, width=max(2, size // 8))
