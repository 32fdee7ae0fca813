"""How tall nodes and notes are, so that nothing in a workflow file overlaps: the taller of ComfyUI's two front ends.

In pixels at a zoom of 1, measured in ComfyUI 0.33.0. tests/browser/test_templates.py fails where it no longer holds.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

TITLE = 30  # above a node's position
_EDGE, _SLOT = 14, 20
_CLASSIC, _CLASSIC_TEXT = 24, 54  # a widget in the classic front end, a box of several lines
_WIDGET, _LINE, _TEXT = 28, 36, 68  # the same in Nodes 2.0, and a line of text
_PACK, _ADVANCED = 24, 24  # what Nodes 2.0 has at the foot: whose node it is, and the button for more inputs
_LETTER, _TYPED, _ROW = 5.4, 6.2, 16  # of text in Nodes 2.0, which sets the wider lines
_HEADINGS, _ABOVE_HEADING = {"# ": 41, "## ": 37}, 24
_BETWEEN, _NOTE_EDGE = 5, 20
_LEAST_NOTE = 60
# What the pack's own panels take on a node as soon as it is there: what is understood of its sentence, the upload.
_PANELS = {
    "SpatialAlign_SpriteClip": 80,
    "SpatialAlign_ScoreVideo": 80,
    "SpatialAlign_PickBest": 80,
    "SpatialAlign_PromptFromSentence": 80,
    "SpatialAlign_DetectTrack": 80,
    "SpatialAlign_DrawTracks": 80,
    "SpatialAlign_PromptSet": 100,
    "SpatialAlign_CollectSample": 4,
}
# What a node says and plays below its widgets once it has run: what stands below it leaves this free.
_GROWTH = {
    "SpatialAlign_SpriteClip": 290,
    "SpatialAlign_Generate": 300,
    "SpatialAlign_CollectSample": 320,
    "SpatialAlign_PickBest": 360,
    "SpatialAlign_LoadVideoModel": 44,
    "SpatialAlign_PromptSet": 64,
    "SpatialAlign_Detect": 64,
    "SpatialAlign_Score": 64,
    "SpatialAlign_ExportPairs": 64,
}


def node_height(kind: str, slots: int, widgets: list[tuple[str, dict[str, Any], Any]], width: int) -> int:
    """Without its title. slots: rows of sockets; widgets: type, options and value of each."""
    ours = kind.startswith("SpatialAlign_")
    classic = modern = 0
    for type_, options, value in widgets:
        long = bool(options.get("multiline"))
        text = _TEXT + max(_lines(str(value), width - 20, _TYPED) - 2, 0) * _ROW if long else 0
        folded = bool(options.get("advanced"))
        if not (folded and ours):  # the classic front end shows those of other nodes
            classic += text - _TEXT + _CLASSIC_TEXT if long else _CLASSIC
            classic += _CLASSIC if options.get("control_after_generate") else 0
        if not folded:
            modern += text or (_LINE if type_ == "STRING" else _WIDGET)
    modern += _PACK if ours else 0
    modern += _ADVANCED if any(options.get("advanced") for _, options, _ in widgets) else 0
    return _EDGE + slots * _SLOT + max(classic, modern) + _PANELS.get(kind, 0)


def note_height(text: str, width: int) -> int:
    """Of a note in Markdown without its title: as tall as its text."""
    blocks = text.split("\n\n")
    headings = [_HEADINGS[mark] for block in blocks for mark in _HEADINGS if block.startswith(mark)]
    paragraphs = [_lines(block, width) * _ROW for block in blocks if not block.startswith("#")]
    inside = sum(headings) + max(len(headings) - 1, 0) * _ABOVE_HEADING
    inside += sum(paragraphs) + (len(paragraphs) - 1) * _BETWEEN
    return max(inside, _LEAST_NOTE) + _NOTE_EDGE


def room_below(kind: str) -> int:
    """What a node grows by when it has run."""
    return _GROWTH.get(kind, 0)


def _lines(text: str, width: int, letter: float = _LETTER) -> int:
    """How many a text takes on a node of this width."""
    # a Chinese or Japanese character is as wide as two letters
    plain = re.sub(r"[\u2e80-\uffef]", "xx", re.sub(r"[*`]", "", text))
    letters = int((width - 24) / letter)
    return sum(max(len(textwrap.wrap(line, letters)), 1) for line in plain.split("\n"))
