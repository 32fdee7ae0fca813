"""A track drawn into its video: boxes, masks, the subject's trail, how much each relation holds, what does not count.

Frames in, larger or equal frames out, one at a time, so that memory does not grow with the clip.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .draw_marks import (
    INK,
    OBJECT,
    SUBJECT,
    Colour,
    Labels,
    Picture,
    enlarged,
    font,
    label,
    readable,
    wrapped,
)
from .errors import SpatialAlignError
from .relations import RelationChange
from .score import ssr_sequences
from .tracks import Track

_PANEL: Colour = (24, 25, 28)
_RAIL: Colour = (52, 54, 60)
_TICK: Colour = (120, 123, 132)
_WORDS: Colour = (226, 227, 230)
_QUIET: Colour = (150, 153, 162)
_HOLDS: Colour = (86, 186, 120)
_FAILS: Colour = (214, 92, 92)
_BRIDGED: Colour = (176, 132, 30)
_WARNING: Colour = (168, 38, 38)
_SMOOTH = 2  # lines are drawn so many times larger and made smaller: Pillow has no smooth ones


@dataclass(frozen=True)
class Drawing:
    """What is drawn. trail: of how many frames the subject's way is shown. shortest: smaller clips are enlarged by a
    whole factor until their short side is at least that, so that the words can be read."""

    boxes: bool = True
    masks: bool = True
    trail: int = 24
    shortest: int = 384


def draw_tracks(
    frames: Picture, track: Track, change: RelationChange | None = None, drawing: Drawing | None = None
) -> Iterator[Picture]:
    """Each frame with what was seen in it, uint8 (H, W, 3) of one even size.

    frames: uint8 (F, H, W, 3), of any size with the track's proportions. change: adds a panel below with the SSR of
    its first and its last relation. Frames that do not count turn grey and say why. SpatialAlignError when the track
    is of another clip.
    """
    if len(frames) != track.frames:
        raise SpatialAlignError(
            f"The track has {track.frames} frames, but there are {len(frames)} pictures; "
            "connect the frames that were given to Detect & Track."
        )
    return _drawn(frames, track, change, drawing or Drawing())


def _drawn(
    frames: Picture, track: Track, change: RelationChange | None, drawing: Drawing
) -> Iterator[Picture]:
    factor = max(1, math.ceil(drawing.shortest / min(frames.shape[1:3])))
    height, width = (side * factor for side in frames.shape[1:3])
    size = max(13, min(height, width) // 26)
    scale = np.array([width / track.width, height / track.height] * 2)
    subject_boxes, object_boxes = track.subject_boxes * scale, track.object_boxes * scale
    centres = (subject_boxes[:, :2] + subject_boxes[:, 2:]) / 2
    things = (
        (track.object, object_boxes, track.object_confidences, track.object_masks, OBJECT),
        (track.subject, subject_boxes, track.subject_confidences, track.subject_masks, SUBJECT),
    )
    panel = None if change is None else _Panel(track, change, width, size)
    below = 0 if panel is None else panel.height
    for index, frame in enumerate(frames):
        reason = track.frame_reasons[index]
        image = enlarged(frame, (width, height))
        if reason is not None:
            image = Image.blend(image, Image.new("RGB", image.size, (90, 90, 92)), 0.5)
        for _, _, _, masks, colour in things:
            if drawing.masks and masks is not None and masks[index].any():
                _mask(image, masks[index], colour, max(2, size // 7))
        if drawing.trail > 0:
            _trail(image, centres[max(0, index + 1 - drawing.trail) : index + 1], SUBJECT, size)
        draw = ImageDraw.Draw(image)
        labels = Labels(image.size, size)
        notes = _notes(track, index, size, image.size)
        for words, at, _ in notes:
            labels.reserve((*at, round(at[0] + font(size, words).getlength(words)) + 8, at[1] + size + 8))
        for _, boxes, _, _, colour in things if drawing.boxes else ():
            if np.isfinite(boxes[index]).all():
                _box(draw, boxes[index], colour, size, track.bridged[index])
        if drawing.boxes:
            for noun, others, colour in others_of(track, index):
                for box in others * scale:
                    _box(draw, box, colour, size // 2, False)
                    labels.beside(draw, box, readable(noun, "another"), colour)
        for (noun, boxes, confidences, _, colour), role in zip(things, ("object", "subject"), strict=True):
            if drawing.boxes and np.isfinite(boxes[index]).all():
                sure = f" {confidences[index]:.0%}" if np.isfinite(confidences[index]) else ""
                labels.beside(draw, boxes[index], readable(noun, role) + sure, colour)
        for words, at, colour in notes:
            label(draw, at, words, colour, size)
        # Players want even sides.
        whole = Image.new("RGB", (width + width % 2, height + below + (height + below) % 2), _PANEL)
        whole.paste(image, (0, 0))
        if panel is not None:
            panel.draw(ImageDraw.Draw(whole), index, height)
        yield np.asarray(whole)


def _mask(image: Image.Image, mask: NDArray[np.bool_], colour: Colour, line: int) -> None:
    """A veil over the mask and a line around it, on `image` itself."""
    inside = Image.fromarray(mask.astype(np.uint8) * 255).resize(image.size, Image.Resampling.BICUBIC)
    inside = inside.point(lambda value: 255 if value >= 128 else 0)
    wider = inside.filter(ImageFilter.MaxFilter(2 * (line // 2) + 1))
    edge = np.asarray(wider).astype(np.int16) - np.asarray(inside)
    image.paste(colour, (0, 0), inside.point(lambda value: value * 2 // 5))
    image.paste(_paler(colour), (0, 0), Image.fromarray(edge.astype(np.uint8)))


def _trail(image: Image.Image, centres: NDArray[np.float64], colour: Colour, size: int) -> None:
    """The way that led here, fading into the past; it breaks where the subject was not seen."""
    thick = max(3, size // 4) * _SMOOTH
    # A pale rim first, so that it can be seen on things of its own colour.
    for ink, rim in ((_paler(colour), thick // 2), (colour, 0)):
        image.paste(ink, (0, 0), _way(image.size, centres * _SMOOTH, thick, rim))


def _way(picture: tuple[int, int], points: NDArray[np.float64], thick: int, rim: int) -> Image.Image:
    """How strong the trail's colour is in each pixel, 0..255."""
    strength = Image.new("L", (picture[0] * _SMOOTH, picture[1] * _SMOOTH), 0)
    draw = ImageDraw.Draw(strength)
    for number, (before, after) in enumerate(itertools.pairwise(points), start=1):
        if not np.isfinite([before, after]).all():
            continue
        value = round(40 + 200 * number / (len(points) - 1))
        draw.line((*before, *after), value, thick + rim)
        _dot(draw, after, (thick + rim) / 2, value)
    if len(points) and np.isfinite(points[-1]).all():
        _dot(draw, points[-1], thick * 1.2 + rim, 255)
    return strength.reduce(_SMOOTH)


def _paler(colour: Colour) -> Colour:
    red, green, blue = ((value + 2 * 255) // 3 for value in colour)
    return red, green, blue


def _dot(draw: ImageDraw.ImageDraw, at: NDArray[np.float64], radius: float, value: int) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), value)


def _box(
    draw: ImageDraw.ImageDraw, box: NDArray[np.float64], colour: Colour, size: int, dashed: bool
) -> None:
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    x1, y1 = max(x1 - 1, x0), max(y1 - 1, y0)
    line = max(2, size // 6)
    if dashed:
        dash = max(6, size // 2)
        for x in range(x0, x1, 2 * dash):
            for y in (y0, y1 - line + 1):
                draw.rectangle((x, y, min(x + dash, x1), y + line - 1), colour)
        for y in range(y0, y1, 2 * dash):
            for x in (x0, x1 - line + 1):
                draw.rectangle((x, y, x + line - 1, min(y + dash, y1)), colour)
    else:
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=line)


def others_of(track: Track, index: int) -> list[tuple[str, NDArray[np.float64], Colour]]:
    """Further finds of each noun in a frame that does not count because of them."""
    return [
        (noun, others[index], colour)
        for noun, others, colour in (
            (track.object, track.object_others, OBJECT),
            (track.subject, track.subject_others, SUBJECT),
        )
        if others
    ]


def _notes(
    track: Track, index: int, size: int, picture: tuple[int, int]
) -> list[tuple[str, tuple[int, int], Colour]]:
    """Why the whole video does not count, at the top; why this frame does not, or is bridged, at the bottom."""
    letters, notes = font(size), []
    if track.reason is not None:
        lines = wrapped(f"This video is not valid: {track.reason}", letters, picture[0] - 24)
        notes += [(words, (8, 8 + row * (size + 8)), _WARNING) for row, words in enumerate(lines)]
    reason = track.frame_reasons[index]
    if reason is not None:
        note, colour = f"not valid: {reason}", INK
    elif track.bridged[index]:
        note, colour = "not detected here; interpolated", _BRIDGED
    else:
        return notes
    lines = wrapped(note, letters, picture[0] - 24)
    for row, words in enumerate(lines):
        notes.append((words, (8, picture[1] - 8 - (len(lines) - row) * (size + 8)), colour))
    return notes


class _Panel:
    """Below the picture: for each relation a bar from -1 to 1, and the whole clip with this frame marked."""

    def __init__(self, track: Track, change: RelationChange, width: int, size: int) -> None:
        self.rows = [
            (f"first {change.initial.side}", ssr_sequences(track, change)[0]),
            (f"then {change.final.side}", ssr_sequences(track, change)[1]),
        ]
        self.counts = np.isfinite(self.rows[0][1])
        self.width, self.size = width, size
        self.pad, self.row = round(size * 0.8), round(size * 1.6)
        self.height = round(2 * self.row + size * 0.9 + 2 * self.pad)

    def draw(self, draw: ImageDraw.ImageDraw, index: int, top: int) -> None:
        """Into the `height` rows of pixels that begin at `top`."""
        letters = font(self.size)
        left = self.pad + max(letters.getlength(words) for words, _ in self.rows) + self.pad
        right = self.width - self.pad - letters.getlength("+0.00") - self.pad / 2
        y = top + self.pad
        for words, values in self.rows:
            middle = y + self.row / 2
            draw.text((self.pad, middle), words, _WORDS, letters, "lm")
            self._bar(draw, (left, right), middle, float(values[index]))
            y += self.row
        self._clip(draw, index, y + round(self.size * 0.5))

    def _bar(self, draw: ImageDraw.ImageDraw, ends: tuple[float, float], middle: float, value: float) -> None:
        half = self.size * 0.32
        zero = sum(ends) / 2
        draw.rounded_rectangle((ends[0], middle - half, ends[1], middle + half), half, _RAIL)
        if np.isfinite(value):
            end = zero + value * (ends[1] - ends[0]) / 2
            x0, x1 = min(zero, end), max(zero, end)
            colour = _HOLDS if value > 0 else _FAILS
            if x1 - x0 >= 1:
                draw.rounded_rectangle(
                    (x0, middle - half, x1, middle + half), min(half, (x1 - x0) / 2), colour
                )
            # Flat at zero, round at the value.
            if x1 - x0 > 2 * half:
                near = (zero, zero + half) if value > 0 else (zero - half, zero)
                draw.rectangle((near[0], middle - half, near[1], middle + half), colour)
        draw.line((zero, middle - half * 1.5, zero, middle + half * 1.5), _TICK, max(1, self.size // 12))
        words, ink = (f"{value:+.2f}", _WORDS) if np.isfinite(value) else ("-", _QUIET)
        draw.text((self.width - self.pad, middle), words, ink, font(self.size), "rm")

    def _clip(self, draw: ImageDraw.ImageDraw, index: int, y: float) -> None:
        """The clip from its first to its last frame: done, to come, and in red what does not count."""
        frames, thick = len(self.counts), max(3, self.size // 5)
        step = (self.width - 2 * self.pad) / frames
        for frame, counts in enumerate(self.counts):
            x = self.pad + frame * step
            done = frame <= index
            colour = (_TICK if done else _RAIL) if counts else (_FAILS if done else (94, 52, 54))
            draw.rectangle((x, y, max(x, x + step - (1 if step >= 4 else 0)), y + thick), colour)
        x = self.pad + index * step
        draw.rectangle((x, y - thick, max(x + 2, x + step - 1), y + 2 * thick), _WORDS)
