"""The pack as ComfyUI sees it: its nodes, their help, and errors in one clear sentence."""

from __future__ import annotations

import urllib.parse
import urllib.request
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from prompts import said, template
from server import PACK, Server

from spatialalign_core.pocket.world import render
from spatialalign_core.relations import RelationChange
from spatialalign_core.video import read_video
from spatialalign_core.video_file import Part
from tests.video_files import encode, hold

NODES = {
    "LoadVideoModel", "LoadDetector", "PromptSet", "PromptFromSentence", "Generate", "Detect", "Score", "ExportPairs",
    "TrainLora", "Evaluate", "ScoreVideo", "DetectTrack", "DrawTracks", "SpriteClip", "CollectSample", "PickBest",
    "Compare", "Rounds",
}  # fmt: skip
TEMPLATES = {
    "Quickstart",
    "Score a video",
    "Detect a video",
    "Align Wan2.1-1.3B on one GPU",
    "Evaluate a LoRA",
    "Continue with another round",
    "Best of N with ComfyUI's own Wan nodes",
    "Collect samples from ComfyUI's own Wan nodes",
}


def _ours(server: Server) -> dict[str, Any]:
    return {k: v for k, v in server.get("/object_info").items() if k.startswith("SpatialAlign_")}


def test_every_node_is_there_with_help_and_tooltips(server: Server) -> None:
    found = _ours(server)
    assert set(found) == {f"SpatialAlign_{name}" for name in NODES}
    for name, info in found.items():
        assert info["category"] == "SpatialAlign"
        assert (PACK / "web" / "docs" / f"{name}.md").stat().st_size > 300
        for section in ("required", "optional"):
            for widget, spec in info["input"].get(section, {}).items():
                assert spec[1].get("tooltip"), f"{name}.{widget} has no tooltip"


def test_help_page_and_templates_are_served(server: Server) -> None:
    assert set(server.get("/workflow_templates")["spatialalign"]) == TEMPLATES
    paths = [
        "/extensions/spatialalign/docs/SpatialAlign_ScoreVideo.md",
        "/extensions/spatialalign/spatialalign.js",
    ]
    paths += [
        f"/api/workflow_templates/spatialalign/{name}.{kind}"
        for name in sorted(TEMPLATES)
        for kind in ("json", "jpg")
    ]
    for path in paths:
        with urllib.request.urlopen(server.url + urllib.parse.quote(path)) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_fits_the_nodes_that_are_there(server: Server, name: str) -> None:
    known = server.get("/object_info")
    prompt = template(server, name, muted=True)
    for node in prompt.values():
        wanted = known[node["class_type"]]["input"]
        assert set(wanted.get("required", {})) <= set(node["inputs"]), node["class_type"]
        given = {
            name.split(".")[0] for name in node["inputs"]
        }  # a choice may have inputs of its own, "format.codec"
        assert given <= set(wanted.get("required", {})) | set(wanted.get("optional", {}))


@pytest.mark.parametrize(
    ("sentence", "verdict"),
    [
        ("a fox is on the left of a box, then it jumps to the right of the box", "obeys the sentence"),
        ("a fox is on the right of a box, then it jumps on top of the box", "does not obey the sentence"),
        ("a frog is on the left of a box, then it jumps to the right of the box", "No score"),
    ],
)
def test_score_video_tells_obedient_clips_from_others(server: Server, sentence: str, verdict: str) -> None:
    prompt = template(server, "Score a video", {"SpatialAlign_ScoreVideo": {"sentence": sentence}})
    assert verdict in said(server.run(prompt), prompt, "SpatialAlign_ScoreVideo")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("ScoreVideo", {"sentence": "  "}, "The sentence is empty"),
        ("ScoreVideo", {"sentence": "a fox sits there"}, "names no place"),
        (
            "ScoreVideo",
            {"sentence": "a dragon is on the left of a box, then it jumps on top of the box"},
            "dragon",
        ),
        (
            "SpriteClip",
            {"sentence": "a dragon is on the left of a box, then it jumps on top of the box"},
            "dragon",
        ),
    ],
)
def test_what_is_not_understood_is_said_in_one_sentence(
    server: Server, kind: str, values: dict[str, Any], message: str
) -> None:
    ((blamed, input, sentence),) = server.refused(
        template(server, "Score a video", {f"SpatialAlign_{kind}": values})
    )
    assert (blamed, input) == (kind, "sentence")
    assert message in sentence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, "must be a plain name") for name in ("../elsewhere", "..", "a/b", "a\\b", "/tmp/x", "")),
        ("CON", "Windows keeps that name for a device"),
        ("nul.txt", "Windows keeps that name for a device"),
        ("first run.", "ends with a dot"),
        ("C:run", "the character ':'"),
        ("猫" * 90, "longer than 200 bytes"),
    ],
)
def test_run_folder_stays_in_the_output_folder(server: Server, name: str, words: str) -> None:
    (server.base / "output" / "spatialalign").mkdir(parents=True, exist_ok=True)  # as with an earlier run
    prompt = template(server, "Quickstart", {"SpatialAlign_Generate": {"run_folder": name}})
    ((blamed, input, sentence),) = server.refused(prompt)
    assert (blamed, input) == ("Generate", "run_folder")
    assert words in sentence


def test_one_frame_is_not_enough_and_nothing_breaks(server: Server) -> None:
    prompt = template(server, "Score a video")
    clip, scorer = (
        next(number for number, node in prompt.items() if node["class_type"] == f"SpatialAlign_{kind}")
        for kind in ("SpriteClip", "ScoreVideo")
    )
    prompt["90"] = {
        "class_type": "ImageFromBatch",
        "inputs": {"image": [clip, 0], "batch_index": 0, "length": 1},
    }
    prompt[scorer]["inputs"]["images"] = ["90", 0]
    text = said(server.run(prompt), prompt, "SpatialAlign_ScoreVideo")
    assert "1 frames" in text or "No score" in text


def test_score_video_takes_a_video_too(server: Server) -> None:
    prompt = template(server, "Score a video")
    clip, scorer = (
        next(number for number, node in prompt.items() if node["class_type"] == f"SpatialAlign_{kind}")
        for kind in ("SpriteClip", "ScoreVideo")
    )
    prompt["90"] = {"class_type": "CreateVideo", "inputs": {"images": [clip, 0], "fps": 8.0}}
    del prompt[scorer]["inputs"]["images"]
    prompt[scorer]["inputs"]["video"] = ["90", 0]
    assert "obeys the sentence" in said(server.run(prompt), prompt, "SpatialAlign_ScoreVideo")


def test_a_file_is_scored_as_the_command_line_reads_it(server: Server) -> None:
    """A phone's clip, turned by its matrix and with pixels twice as wide as high, and a part of it."""
    frames = render("fox", "box", "in a meadow", RelationChange.parse("LR"), 3, 24).frames
    stored = [np.rot90(each.repeat(2, axis=0).repeat(4, axis=1), 1) for each in frames]
    file = server.base / "input" / "phone.mp4"
    file.parent.mkdir(exist_ok=True)
    hold(encode(file, stored, ratio=Fraction(2)), 0, 1, -1, 0)
    trims = "Video Slice" in server.get("/object_info")  # newer than the oldest ComfyUI that is supported
    for part in (Part(), Part(1.0, 1.5)) if trims else (Part(),):
        read, fps = read_video(file, part)
        assert read.shape[1:3] == (256, 384), read.shape
        prompt = {
            "1": {"class_type": "LoadVideo", "inputs": {"file": "phone.mp4"}},
            "3": {
                "class_type": "SpatialAlign_CollectSample",
                "inputs": {
                    "video": ["1", 0],
                    "sentence": "A fox is on the left of a box, then the fox jumps to the right of the box.",
                    "seed": int(part.start),
                    "clips": 1,
                    "fps": 16.0,
                    "run_folder": "phone",
                },
            },
        }
        if part.start:
            prompt["2"] = {
                "class_type": "Video Slice",
                "inputs": {
                    "video": ["1", 0],
                    "start_time": part.start,
                    "duration": part.duration,
                    "strict_duration": False,
                },
            }
            prompt["3"]["inputs"]["video"] = ["2", 0]
        server.run(prompt)
        samples = server.base / "output" / "spatialalign" / "phone" / "samples" / "base"
        collected, rate = read_video(next(samples.glob(f"*/{int(part.start)}.mp4")))
        assert collected.shape == read.shape and rate == fps
        assert np.abs(collected.astype(int) - read).mean() < 3
