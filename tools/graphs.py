"""Workflow files written as Python: nodes in columns, wires by name, widgets by name.

    graph = Graph("Score a video", schemas)
    clip = graph.add("SpatialAlign_SpriteClip", sentence="...")
    graph.column("# Score a video ...")
    score = graph.add("SpatialAlign_ScoreVideo", images=clip["images"])

Everything that a file repeats (order of widgets, sockets, sizes) comes from ComfyUI's /object_info, so that a node with
a new widget needs the files made again and nothing else.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

_TYPES = {"STRING", "INT", "FLOAT", "BOOLEAN", "COMBO"}
_HEAD, _SLOT, _WIDGET, _TEXT, _FOOT = (
    42,
    22,
    30,
    92,
    34,
)  # heights in pixels, what Nodes 2.0 needs, the taller of both
_GAP = 50
# Where ComfyUI's own nodes changed since: as 0.8.0 has them, the oldest that we support; the newer read that too.
_SAVE_VIDEO = {
    "video": ["VIDEO"],
    "filename_prefix": ["STRING", {"default": "video/SpatialAlign"}],
    "format": ["COMBO", {"default": "auto"}],
    "codec": ["COMBO", {"default": "auto"}],
}
# These say something below their widgets once they have run.
_SPEAKING = {"SpatialAlign_LoadVideoModel", "SpatialAlign_PromptSet"}
_WORDS = 110
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
    """One workflow in the making. schemas: /object_info. note_height: of the notes above the columns, 0 without."""

    name: str
    schemas: dict[str, Any]
    note_height: int = 240
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    _x: int = 0
    _y: int = 0
    _width: int = 0

    def column(self, note: str | None = None, width: int = 380) -> None:
        """Starts the next column, with a note in Markdown above it."""
        self._x += self._width + _GAP if self._width else 0
        self._y, self._width = 0, width
        if note is not None:
            at = [self._x, -self.note_height - _GAP]
            self._place("MarkdownNote", at, [width, self.note_height], "Note", {}, [note])
            self.nodes[-1] |= _NOTE_COLOURS

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
        for name, spec, optional in _inputs(kind, info):
            socket = {"name": name, "type": _type(spec), "link": None}
            options = _options(spec)
            if _type(spec) in _TYPES and not options.get("forceInput"):
                given = inputs.get(name)
                wired = isinstance(given, Wire) or name not in inputs
                values.append(options.get("default", _first(spec)) if wired else given)
                widgets.append({**socket, "widget": {"name": name}})
                if options.get("control_after_generate"):
                    values.append(after or "fixed")
            else:
                sockets.append(socket | ({"shape": 7} if optional else {}))
        unknown = inputs.keys() - {each["name"] for each in (*sockets, *widgets)}
        if unknown:
            raise ValueError(f"{self.name}: {kind} has no input {sorted(unknown)}")
        size = [self._width, max(tall or 0, _height(kind, info, len(sockets), widgets))]
        self._place(kind, [self._x, self._y], size, title, info, values)
        node = self.nodes[-1]
        node["inputs"], node["mode"] = sockets + widgets, 2 if muted else 0
        outputs = [] if kind == "SaveVideo" else zip(info["output_name"], info["output"], strict=True)
        node["outputs"] = [{"name": name, "type": type_, "links": None} for name, type_ in outputs]
        for slot, each in enumerate(node["inputs"]):
            if isinstance(inputs.get(each["name"]), Wire):
                self._connect(inputs[each["name"]], node["id"], slot)
        self._y += size[1] + _GAP
        wires = {
            each["name"]: Wire(node["id"], slot, each["type"]) for slot, each in enumerate(node["outputs"])
        }
        return Added(node["id"], wires)

    def as_json(self, scale: float = 0.6) -> dict[str, Any]:
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
            "extra": {"ds": {"scale": scale, "offset": [150, 150 - top]}, "workflowRendererVersion": "LG"},
            "version": 0.4,
        }

    def text(self, scale: float = 0.6) -> str:
        """The file."""
        return json.dumps(self.as_json(scale), indent=1, ensure_ascii=False) + "\n"

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


def _height(kind: str, info: dict[str, Any], sockets: int, widgets: list[dict[str, Any]]) -> int:
    shown = {each["name"] for each in widgets}
    options = [_options(spec) for name, spec, _ in _inputs(kind, info) if name in shown]
    long = sum(bool(each.get("multiline")) for each in options)
    seeds = sum(bool(each.get("control_after_generate")) for each in options)
    rows = max(sockets, len(info["output"])) * _SLOT + (len(widgets) - long + seeds) * _WIDGET + long * _TEXT
    return _HEAD + rows + _FOOT + (_WORDS if kind in _SPEAKING else 0)
