"""Writes subgraphs/ from the schemas of a ComfyUI that runs: `python tools/blueprints.py http://127.0.0.1:8188`.

A blueprint is one node made of several. ComfyUI lists the files in subgraphs/ in its node library.
"""

from __future__ import annotations

import json
import sys
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from graphs import Added, Graph, Wire

PACK = Path(__file__).resolve().parents[1]
_INPUTS, _OUTPUTS = -10, -20  # numbers that ComfyUI gives to a subgraph's two ends


@dataclass(frozen=True)
class Blueprint:
    """takes: name outside -> the inputs inside that it feeds, as (node, name). gives: name outside -> wire inside."""

    graph: Graph
    description: str
    takes: dict[str, list[tuple[Added, str]]]
    gives: dict[str, Wire]


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with urllib.request.urlopen(f"{sys.argv[1]}/object_info", timeout=300) as answer:
        write(json.loads(answer.read()))


def write(schemas: dict[str, Any]) -> None:
    """All blueprints. schemas: /object_info."""
    for make in (score, draw, best, pairs, lora):
        blueprint = make(schemas)
        # ComfyUI 0.8.0 reads them in the system's encoding: ASCII is the same in all.
        text = json.dumps(as_json(blueprint), indent=1) + "\n"
        (PACK / "subgraphs" / f"{blueprint.graph.name}.json").write_text(text, encoding="ascii")


def score(schemas: dict[str, Any]) -> Blueprint:
    graph = Graph("Score a Video", schemas)
    graph.column()
    finder = graph.add("SpatialAlign_LoadDetector")
    graph.column()
    node = graph.add("SpatialAlign_ScoreVideo", detector=finder["detector"])
    return Blueprint(
        graph,
        "Frames and a sentence in; the score, its chart and the annotated frames out.",
        {"images": [(node, "images")], "sentence": [(node, "sentence")], "detector": [(finder, "detector")]},
        {name: node[name] for name in ("score", "valid", "chart", "annotated", "summary")},
    )


def draw(schemas: dict[str, Any]) -> Blueprint:
    graph = Graph("Draw What Moves Where", schemas)
    graph.column()
    finder = graph.add("SpatialAlign_LoadDetector")
    graph.column()
    found = graph.add("SpatialAlign_DetectTrack", detector=finder["detector"])
    graph.column()
    drawn = graph.add("SpatialAlign_DrawTracks", track=found["track"])
    return Blueprint(
        graph,
        "Frames and a sentence in; the frames with boxes, masks, the way and the relations out.",
        {
            "images": [(found, "images"), (drawn, "images")],
            "sentence": [(found, "sentence"), (drawn, "sentence")],
            "detector": [(finder, "detector")],
            "masks": [(finder, "masks")],
        },
        {"images": drawn["images"], "valid": found["valid"], "summary": found["summary"]},
    )


def best(schemas: dict[str, Any]) -> Blueprint:
    graph = Graph("Best of N", schemas)
    graph.column()
    finder = graph.add("SpatialAlign_LoadDetector")
    graph.column()
    node = graph.add("SpatialAlign_PickBest", detector=finder["detector"])
    return Blueprint(
        graph,
        "A batch of several videos of one sentence in; the one that obeys it best out.",
        {
            "images": [(node, "images")],
            "sentence": [(node, "sentence")],
            "clips": [(node, "clips")],
            "detector": [(finder, "detector")],
        },
        {name: node[name] for name in ("images", "score", "number", "valid", "summary")},
    )


def pairs(schemas: dict[str, Any]) -> Blueprint:
    graph = Graph("Prompts to Pairs", schemas)
    graph.column()
    made = graph.add("SpatialAlign_Generate")
    graph.column()
    tracked = graph.add("SpatialAlign_Detect", run=made["run"])
    scored = graph.add("SpatialAlign_Score", run=tracked["run"])
    graph.column()
    chosen = graph.add("SpatialAlign_ExportPairs", run=scored["run"])
    return Blueprint(
        graph,
        "Makes videos of the prompts, finds, scores and pairs them: all that Train Spatial LoRA needs.",
        {
            "video_model": [(made, "video_model"), (chosen, "video_model")],
            "prompts": [(made, "prompts")],
            "detector": [(tracked, "detector")],
            "run_folder": [(made, "run_folder")],
            "seeds": [(made, "seeds")],
            "batch_size": [(made, "batch_size")],
        },
        {"run": chosen["run"], "accuracy": scored["accuracy"], "obey_share": scored["obey_share"]},
    )


def lora(schemas: dict[str, Any]) -> Blueprint:
    graph = Graph("Videos to LoRA", schemas)
    graph.column()
    tracked = graph.add("SpatialAlign_Detect")
    scored = graph.add("SpatialAlign_Score", run=tracked["run"])
    graph.column()
    chosen = graph.add("SpatialAlign_ExportPairs", run=scored["run"])
    graph.column()
    trained = graph.add("SpatialAlign_TrainLora", run=chosen["run"])
    return Blueprint(
        graph,
        "A run folder full of videos in, as Generate or Collect Sample leave it; a trained LoRA out.",
        {
            "run": [(tracked, "run")],
            "video_model": [(chosen, "video_model"), (trained, "video_model")],
            "detector": [(tracked, "detector")],
            "preset": [(trained, "preset")],
            "steps": [(trained, "steps")],
            "lora_name": [(trained, "lora_name")],
        },
        {"run": trained["run"], "lora_name": trained["lora_name"], "loss_chart": trained["loss_chart"]},
    )


def as_json(blueprint: Blueprint) -> dict[str, Any]:
    """The content of the file: a workflow of one node, and what is inside it."""
    graph = blueprint.graph
    own = str(uuid.uuid5(uuid.NAMESPACE_URL, f"spatialalign/subgraph/{graph.name}"))
    kinds = {node["id"]: node for node in graph.nodes}
    links = [dict(zip(_LINK, link, strict=True)) for link in graph.links]
    ends: dict[str, list[dict[str, Any]]] = {"inputs": [], "outputs": []}
    for slot, (name, targets) in enumerate(blueprint.takes.items()):
        numbers = []
        for node, inside in targets:
            target = next(i for i, each in enumerate(kinds[node.number]["inputs"]) if each["name"] == inside)
            socket = kinds[node.number]["inputs"][target]
            socket["link"] = len(links) + 1
            numbers.append(socket["link"])
            values = (socket["link"], _INPUTS, slot, node.number, target, socket["type"])
            links.append(dict(zip(_LINK, values, strict=True)))
        ends["inputs"].append(_end(own, "in", slot, name, socket["type"], numbers))
    for slot, (name, wire) in enumerate(blueprint.gives.items()):
        number = len(links) + 1
        values = (number, wire.node, wire.slot, _OUTPUTS, slot, wire.type)
        links.append(dict(zip(_LINK, values, strict=True)))
        output = kinds[wire.node]["outputs"][wire.slot]
        output["links"] = [*(output["links"] or []), number]
        ends["outputs"].append(_end(own, "out", slot, name, wire.type, [number]))
    right = max(node["pos"][0] + node["size"][0] for node in graph.nodes)
    inside = {
        "id": own,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": len(kinds), "lastLinkId": len(links), "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": graph.name,
        "inputNode": {"id": _INPUTS, "bounding": [-220, 0, 120, 60 + 20 * len(ends["inputs"])]},
        "outputNode": {"id": _OUTPUTS, "bounding": [right + 100, 0, 120, 60 + 20 * len(ends["outputs"])]},
        **ends,
        "widgets": [],
        "nodes": graph.nodes,
        "groups": [],
        "links": links,
        "extra": {"workflowRendererVersion": "LG"},
        "category": "SpatialAlign",
        "description": blueprint.description,
    }
    return {
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_outside(own, blueprint, ends, kinds)],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [inside]},
        "extra": {},
    }


_LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


def _end(own: str, way: str, slot: int, name: str, kind: str, links: list[int]) -> dict[str, Any]:
    number = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{own}/{way}/{slot}"))
    return {"id": number, "name": name, "type": kind, "linkIds": links, "localized_name": name, "label": name}


def _outside(own: str, blueprint: Blueprint, ends: dict[str, Any], kinds: dict[int, Any]) -> dict[str, Any]:
    inputs = []
    for each in ends["inputs"]:
        node, name = blueprint.takes[each["name"]][0]
        socket = next(one for one in kinds[node.number]["inputs"] if one["name"] == name)
        widget = {"widget": {"name": each["name"]}} if "widget" in socket else {}
        inputs.append({"name": each["name"], "type": each["type"], "link": None, **widget})
    return {
        "id": 1,
        "type": own,
        "pos": [0, 0],
        "size": [380, 60 + 30 * max(len(inputs), len(ends["outputs"]))],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": [{"name": each["name"], "type": each["type"], "links": []} for each in ends["outputs"]],
        "properties": {},
        "widgets_values": [],
        "title": blueprint.graph.name,
    }


if __name__ == "__main__":
    main()
