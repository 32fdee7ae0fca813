"""Makes web/docs/pictures/ in a real ComfyUI: `python tools/help_pictures.py [--run FOLDER] [node id ...]`.

Each picture shows a node at work in its smallest graph, and carries that graph: dropped on ComfyUI's canvas, the
picture opens it. Needs what the browser tests need; takes some minutes, most of them for a small training. With the run
folder that quickstart.py has left, the nodes of the loop show that run instead of a small one of their own (Rounds only
if the folder holds its rounds already).
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
sys.path.insert(0, str(Path(__file__).parent))

from browsing import PACK, Seen
from graphs import Added, Graph, Wire
from running import running, without_place
from server import Server

PICTURES = PACK / "web" / "docs" / "pictures"
_FOX = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."
_VIEW = (2000, 1500)
_MARGIN = 24
_ROUNDS = "SpatialAlign_Rounds"
_COLOURS = 96
_QUIET = {
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}

_SHOW = """(outputs) => Object.entries(outputs).forEach(([number, output]) => {
    if (!(number in window.app.nodeOutputs)) window.app.graph.getNodeById(Number(number))?.onExecuted?.(output);
})"""


@dataclass(frozen=True)
class Size:
    """Of the loop: widgets of its nodes."""

    folder: str
    prompts: dict[str, int]
    seeds: int
    steps: int
    looks: int
    rounds: int
    round_steps: int


SMALL = Size(
    "small",
    {"train_prompts": 12, "held_out_prompts": 4},
    seeds=3,
    steps=30,
    looks=2,
    rounds=2,
    round_steps=20,
)
QUICKSTART = Size("quickstart", {"train_prompts": 144}, seeds=4, steps=0, looks=5, rounds=3, round_steps=0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a finished run folder of quickstart.py")
    parser.add_argument("nodes", nargs="*", help="ids of the nodes, all without")
    options = parser.parse_args()
    with running(options.run) as (browser, server):
        seen = open_page(browser, server)
        for name in options.nodes or graphs(SMALL):
            draw(seen, name, options.run)
            print(name, flush=True)


def open_page(browser: Any, server: Server) -> Seen:
    """A page in which `draw` can draw them all."""
    return Seen.open_in(browser, server, "vue", size=_VIEW, settings=_QUIET)


def draw(seen: Seen, name: str, run: Path | None) -> None:
    """The picture of one node. run: the finished run that is in ComfyUI's output folder as quickstart."""
    small = run is None or (name == _ROUNDS and not (run / "rounds").is_dir())
    graph = Graph(name, seen.server.get("/object_info"))
    shown = graphs(SMALL if small else QUICKSTART)[name](graph)
    seen.load(graph.as_json(), name)
    entry = seen.run(timeout=1800)
    # what ComfyUI had in its cache it does not send again
    seen.page.evaluate(_SHOW, entry["outputs"])
    PICTURES.mkdir(parents=True, exist_ok=True)
    _save(name, graph, _photograph(seen, [each.number for each in shown]))


def _photograph(seen: Seen, nodes: list[int]) -> bytes:
    """These nodes in the middle of the view, and nothing but them."""
    left, top, width, height = seen.page.evaluate(
        """(numbers) => {
            const { canvas, graph } = window.app;
            const boxes = numbers.map((each) => graph.getNodeById(each).getBounding());
            const left = Math.min(...boxes.map((b) => b[0])), top = Math.min(...boxes.map((b) => b[1]));
            const right = Math.max(...boxes.map((b) => b[0] + b[2]));
            const bottom = Math.max(...boxes.map((b) => b[1] + b[3]));
            const view = canvas.canvas.getBoundingClientRect();
            canvas.ds.scale = 1;
            canvas.ds.offset[0] = 300 - left;
            canvas.ds.offset[1] = 200 - top;
            canvas.setDirty(true, true);
            return [view.x + 300, view.y + 200, right - left, bottom - top];
        }""",
        nodes,
    )
    seen.settle(1200)
    seen.page.wait_for_load_state("networkidle")
    without_place(seen)
    clip = {
        "x": left - _MARGIN,
        "y": top - _MARGIN,
        "width": width + 2 * _MARGIN,
        "height": height + 2 * _MARGIN,
    }
    return bytes(seen.page.screenshot(clip=clip))


def _save(name: str, graph: Graph, picture: bytes) -> None:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    notes = PngInfo()
    notes.add_text("workflow", json.dumps(graph.as_json()))
    few = image.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(PICTURES / f"{name}.png", optimize=True, pnginfo=notes)


def _sprite(graph: Graph, seed: int = 0) -> Added:
    return graph.add("SpatialAlign_SpriteClip", sentence=_FOX, seed=seed, frames=36)


def _kept(graph: Graph, wire: Wire) -> Added:
    """What makes ComfyUI run a node that only hands something on."""
    graph.column(width=300)
    return graph.add("PreviewAny", source=wire)


def _prompt_set(graph: Graph) -> list[Added]:
    graph.column()
    node = graph.add("SpatialAlign_PromptSet")
    _kept(graph, node["prompts"])
    return [node]


def _sentence(graph: Graph) -> list[Added]:
    graph.column()
    node = graph.add("SpatialAlign_PromptFromSentence")
    return [node, _kept(graph, node["text"])]


def _clip(graph: Graph) -> list[Added]:
    graph.column()
    node = _sprite(graph)
    graph.column()
    return [node, graph.add("PreviewImage", tall=300, images=node["images"])]


def _load_detector(graph: Graph) -> list[Added]:
    graph.column()
    clip = _sprite(graph)
    detector = graph.add("SpatialAlign_LoadDetector")
    graph.column(width=440)
    node = graph.add(
        "SpatialAlign_ScoreVideo",
        images=clip["images"],
        detector=detector["detector"],
        sentence=_FOX,
    )
    return [clip, detector, node]


def _detect_track(graph: Graph) -> list[Added]:
    graph.column()
    clip = _sprite(graph)
    detector = graph.add("SpatialAlign_LoadDetector")
    graph.column()
    node = graph.add(
        "SpatialAlign_DetectTrack",
        images=clip["images"],
        detector=detector["detector"],
        sentence=_FOX,
    )
    return [clip, detector, node, _kept(graph, node["summary"])]


def _draw_tracks(graph: Graph) -> list[Added]:
    graph.column()
    clip = _sprite(graph)
    detector = graph.add("SpatialAlign_LoadDetector")
    graph.column()
    found = graph.add(
        "SpatialAlign_DetectTrack",
        images=clip["images"],
        detector=detector["detector"],
        sentence=_FOX,
    )
    graph.column()
    node = graph.add("SpatialAlign_DrawTracks", track=found["track"], images=clip["images"], sentence=_FOX)
    graph.column()
    graph.add("PreviewImage", tall=420, images=node["images"])
    return [found, node]


def _pick_best(graph: Graph) -> list[Added]:
    """Two clips in one batch, the second of which obeys."""
    graph.column()
    other = "In a meadow, a fox is on the right of a box, then the fox jumps on top of the box."
    first = graph.add("SpatialAlign_SpriteClip", sentence=other)
    second = graph.add("SpatialAlign_SpriteClip", sentence=_FOX)
    batch = graph.add("ImageBatch", image1=first["images"], image2=second["images"])
    graph.column(width=440)
    detector = graph.add("SpatialAlign_LoadDetector")
    node = graph.add(
        "SpatialAlign_PickBest",
        images=batch["IMAGE"],
        detector=detector["detector"],
        sentence=_FOX,
        clips=2,
    )
    graph.column(width=300)
    return [detector, node, graph.add("PreviewImage", tall=320, images=node["images"])]


def _collect(graph: Graph) -> list[Added]:
    graph.column()
    clip = _sprite(graph)
    graph.column()
    return [
        clip,
        graph.add("SpatialAlign_CollectSample", images=clip["images"], sentence=_FOX, fps=8.0),
    ]


def _loop(stage: str, size: Size) -> Callable[[Graph], list[Added]]:
    """The loop, small, as far as this stage; the stage and what stands before it are shown."""

    def draw(graph: Graph) -> list[Added]:
        graph.column()
        model = graph.add("SpatialAlign_LoadVideoModel")
        detector = graph.add("SpatialAlign_LoadDetector")
        prompts = graph.add("SpatialAlign_PromptSet", **size.prompts)
        graph.column()
        last = graph.add(
            "SpatialAlign_Generate",
            video_model=model["video_model"],
            prompts=prompts["prompts"],
            run_folder=size.folder,
            seeds=size.seeds,
        )
        if stage == "LoadVideoModel":
            return [model, last]
        if stage == "Generate":
            return [model, prompts, last]
        graph.column()
        if stage == "Rounds":
            rounds = graph.add(
                "SpatialAlign_Rounds",
                run=last["run"],
                video_model=model["video_model"],
                detector=detector["detector"],
                rounds=size.rounds,
                steps=size.round_steps,
            )
            return [last, rounds]
        made, last = (
            last,
            graph.add("SpatialAlign_Detect", run=last["run"], detector=detector["detector"]),
        )
        if stage == "Detect":
            return [made, last]
        graph.column()
        found, last = last, graph.add("SpatialAlign_Score", run=last["run"])
        if stage == "Score":
            return [found, last]
        graph.column()
        scored = last
        last = graph.add("SpatialAlign_ExportPairs", run=last["run"], video_model=model["video_model"])
        if stage == "ExportPairs":
            return [scored, last]
        graph.column()
        pairs = last
        last = graph.add(
            "SpatialAlign_TrainLora",
            run=last["run"],
            video_model=model["video_model"],
            steps=size.steps,
        )
        if stage == "TrainLora":
            return [pairs, last]
        graph.column(width=480)
        trained = last
        if stage == "Compare":
            last = graph.add(
                "SpatialAlign_Compare",
                run=last["run"],
                video_model=model["video_model"],
                detector=detector["detector"],
                seeds=size.looks,
            )
            return [trained, last]
        last = graph.add(
            "SpatialAlign_Evaluate",
            run=last["run"],
            video_model=model["video_model"],
            detector=detector["detector"],
            seeds=size.looks,
        )
        return [trained, last]

    def kept(graph: Graph) -> list[Added]:
        shown = draw(graph)
        if "run" in shown[-1].outputs:
            _kept(graph, shown[-1]["run"])
        return shown

    return kept


def graphs(size: Size) -> dict[str, Callable[[Graph], list[Added]]]:
    """What to draw for each node: puts the graph together and returns the nodes to show."""
    return {
        "SpatialAlign_SpriteClip": _clip,
        "SpatialAlign_PromptSet": _prompt_set,
        "SpatialAlign_PromptFromSentence": _sentence,
        "SpatialAlign_LoadDetector": _load_detector,
        "SpatialAlign_ScoreVideo": _load_detector,
        "SpatialAlign_DetectTrack": _detect_track,
        "SpatialAlign_DrawTracks": _draw_tracks,
        "SpatialAlign_PickBest": _pick_best,
        "SpatialAlign_CollectSample": _collect,
        **{
            f"SpatialAlign_{stage}": _loop(stage, size)
            for stage in (
                "LoadVideoModel",
                "Generate",
                "Detect",
                "Score",
                "ExportPairs",
                "TrainLora",
                "Rounds",
                "Evaluate",
                "Compare",
            )
        },
    }


if __name__ == "__main__":
    main()
