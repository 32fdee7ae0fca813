"""Workflow files written as Python: nodes in columns, wires by name, widgets by name.

    graph = Graph("Score a video", schemas)
    graph.column("# Score a video ...", width=320)
    clip = graph.add("SpatialAlign_SpriteClip", sentence="...")
    graph.column(width=420)
    score = graph.add("SpatialAlign_ScoreVideo", images=clip["images"])

Everything that a file repeats (order of widgets, sockets, sizes) comes from ComfyUI's /object_info, so that a node with
a new widget needs the files made again and nothing else. How tall things are is in node_sizes.py.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from node_sizes import TITLE, node_height, note_height, room_below

_TYPES = {"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"}
_GAP = 26
# Where ComfyUI's own nodes changed since: as 0.8.0 has them, the oldest that we support; the newer read that too.
_SAVE_VIDEO = {
    "video": ["VIDEO"],
    "filename_prefix": ["STRING", {"default": "video/SpatialAlign"}],
    "format": ["COMBO", {"default": "auto"}],
    "codec": ["COMBO", {"default": "auto"}],
}
_LATER = {("CreateVideo", "bit_depth")}
_NOTE_COLOURS = {"color": "#432", "bgcolor": "#653"}


@dataclass(frozen=True)
class Wire:
    """An output that can be connected."""

    node: int
    slot: int
    type: str


@dataclass(frozen=True)
class Added:
    """A node of a graph; node["images"] is its output of that name."""

    number: int
    outputs: dict[str, Wire]

    def __getitem__(self, name: str) -> Wire:
        return self.outputs[name]


@dataclass
class Graph:
    """One workflow in the making. schemas: /object_info."""

    name: str
    schemas: dict[str, Any]
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    _x: int = 0
    _y: int = 0
    _width: int = 0

    def column(self, note: str | None = None, width: int = 380, note_width: int | None = None) -> None:
        """Starts the next column, with a note in Markdown above it; note_width: where it spans more than this one."""
        self._x += self._width + _GAP if self._width else 0
        self._y, self._width = 0, width
        if note is not None:
            wide = note_width or width
            tall = note_height(note, wide)
            self._note(note, [self._x, -_GAP - TITLE - tall], [wide, tall])

    def note(self, text: str) -> None:
        """A note in Markdown below the last node, about what comes next."""
        tall = note_height(text, self._width)
        self._note(text, [self._x, self._y], [self._width, tall])
        self._y += tall + TITLE + _GAP

    def add(
        self,
        kind: str,
        title: str | None = None,
        tall: int | None = None,
        muted: bool = False,
        after: str | None = None,
        **inputs: Any,
    ) -> Added:
        """A node below the last one.

        inputs: a Wire is connected, anything else is a widget's value. after: what happens to a seed after each run.
        tall: its height in pixels, where its widgets need less.
        """
        info = self.schemas[kind]
        sockets, widgets, values = [], [], []
        shown = []
        for name, spec, optional in _inputs(kind, info):
            socket = {"name": name, "type": _type(spec), "link": None}
            options = _options(spec)
            if _type(spec) in _TYPES and not options.get("forceInput"):
                given = inputs.get(name)
                wired = isinstance(given, Wire) or name not in inputs
                values.append(options.get("default", _first(spec)) if wired else given)
                widgets.append({**socket, "widget": {"name": name}})
                shown.append((_type(spec), options, values[-1]))
                if options.get("control_after_generate"):
                    values.append(after or "fixed")
            else:
                sockets.append(socket | ({"shape": 7} if optional else {}))
        unknown = inputs.keys() - {each["name"] for each in (*sockets, *widgets)}
        if unknown:
            raise ValueError(f"{self.name}: {kind} has no input {sorted(unknown)}")
        slots = max(len(sockets), len(info["output"]))
        size = [self._width, max(tall or 0, node_height(kind, slots, shown, self._width))]
        self._place(kind, [self._x, self._y], size, title, info, values)
        node = self.nodes[-1]
        node["inputs"], node["mode"] = sockets + widgets, 2 if muted else 0
        outputs = [] if kind == "SaveVideo" else zip(info["output_name"], info["output"], strict=True)
        node["outputs"] = [{"name": name, "type": type_, "links": None} for name, type_ in outputs]
        for slot, each in enumerate(node["inputs"]):
            if isinstance(inputs.get(each["name"]), Wire):
                self._connect(inputs[each["name"]], node["id"], slot)
        self._y += size[1] + room_below(kind) + TITLE + _GAP
        wires = {
            each["name"]: Wire(node["id"], slot, each["type"]) for slot, each in enumerate(node["outputs"])
        }
        return Added(node["id"], wires)

    def as_json(self) -> dict[str, Any]:
        """The content of the file."""
        top = min((node["pos"][1] for node in self.nodes), default=0)
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"spatialalign/{self.name}")),
            "revision": 0,
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            # "LG": sizes are those of the classic front end; Nodes 2.0 adds its own room to them
            "extra": {"ds": {"scale": 0.6, "offset": [150, 150 - top]}, "workflowRendererVersion": "LG"},
            "version": 0.4,
        }

    def text(self) -> str:
        """The file."""
        return json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n"

    def _note(self, text: str, at: list[int], size: list[int]) -> None:
        self._place("MarkdownNote", at, size, "Note", {}, [text])
        self.nodes[-1] |= _NOTE_COLOURS

    def _place(
        self, kind: str, at: list[int], size: list[int], title: str | None, info: Any, values: list[Any]
    ) -> None:
        node: dict[str, Any] = {"id": len(self.nodes) + 1, "type": kind, "pos": at, "size": size, "flags": {}}
        node |= {"order": len(self.nodes), "mode": 0, "inputs": [], "outputs": []}
        ours = kind.startswith("SpatialAlign_")
        package = ("comfyui-spatialalign", "0.1.0") if ours else ("comfy-core", "0.8.0")
        node["properties"] = (
            {"cnr_id": package[0], "ver": package[1], "Node name for S&R": kind} if info else {}
        )
        node["widgets_values"] = values
        if title:
            node["title"] = title
        self.nodes.append(node)

    def _connect(self, wire: Wire, node: int, slot: int) -> None:
        number = len(self.links) + 1
        self.links.append([number, wire.node, wire.slot, node, slot, wire.type])
        output = self.nodes[wire.node - 1]["outputs"][wire.slot]
        output["links"] = [*(output["links"] or []), number]
        self.nodes[node - 1]["inputs"][slot]["link"] = number


def _inputs(kind: str, info: dict[str, Any]) -> list[tuple[str, list[Any], bool]]:
    """Name, type with options, and whether it may be left out."""
    if kind == "SaveVideo":
        return [(name, spec, False) for name, spec in _SAVE_VIDEO.items()]
    return [
        (name, spec, section == "optional")
        for section in ("required", "optional")
        for name, spec in info["input"].get(section, {}).items()
        if (kind, name) not in _LATER
    ]


def _type(spec: list[Any]) -> str:
    return "COMBO" if isinstance(spec[0], list) else str(spec[0])


def _first(spec: list[Any]) -> Any:
    """Of a choice without a default."""
    options = spec[0] if isinstance(spec[0], list) else _options(spec).get("options")
    return options[0] if options else None


def _options(spec: list[Any]) -> dict[str, Any]:
    return spec[1] if len(spec) > 1 else {}
