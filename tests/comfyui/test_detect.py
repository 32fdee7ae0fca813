"""Detection in ComfyUI: the template, masks and boxes of other nodes, model files, and errors in one clear sentence."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from typing import Any

import pytest
import torch
from prompts import cached, said, template
from server import PACK, Server, error_of

from spatialalign_core.video import read_video

DETECT, DRAW, LOAD = (f"SpatialAlign_{name}" for name in ("DetectTrack", "DrawTracks", "LoadDetector"))


def _number(prompt: dict[str, Any], kind: str) -> str:
    return next(number for number, node in prompt.items() if node["class_type"] == kind)


def _given(prompt: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The template without its detector, with these inputs of Detect & Track."""
    inputs = prompt[_number(prompt, DETECT)]["inputs"]
    del inputs["detector"], prompt[_number(prompt, LOAD)]
    inputs.update(values)
    return prompt


def _pickle(command: str) -> bytes:
    """A checkpoint that would run a command if it were opened as pickles are."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (command,)

    file = io.BytesIO()
    torch.save({"model": Evil()}, file)
    return file.getvalue()


def _masks(prompt: dict[str, Any], *channels: str) -> dict[str, dict[str, Any]]:
    """Nodes that make masks of the clip, one for each colour channel: 90, 91."""
    clip = _number(prompt, "SpatialAlign_SpriteClip")
    return {
        str(90 + index): {"class_type": "ImageToMask", "inputs": {"image": [clip, 0], "channel": channel}}
        for index, channel in enumerate(channels)
    }


def test_template_ends_in_an_annotated_video_and_is_not_made_twice(server: Server) -> None:
    prompt = template(server, "Detect a video")
    entry = server.run(prompt)
    assert "found together in 36 of 36 frames" in said(entry, prompt, DETECT)
    saved = entry["outputs"][_number(prompt, "SaveVideo")]["images"][0]
    frames, fps = read_video(server.base / "output" / saved["subfolder"] / saved["filename"])
    assert (len(frames), fps) == (36, 12.0)
    assert frames.shape[1] > 512 and frames.shape[2] == 768  # enlarged, with a panel below
    assert {DETECT, DRAW, LOAD} <= cached(server.run(prompt), prompt)


def test_masks_of_other_nodes_need_no_detector(server: Server) -> None:
    prompt = template(server, "Detect a video")
    prompt |= _masks(prompt, "red", "blue")
    entry = server.run(_given(prompt, subject_mask=["90", 0], object_mask=["91", 0]))
    assert "of 36 frames" in said(entry, prompt, DETECT)


def test_boxes_of_other_nodes_need_no_detector(server: Server) -> None:
    if "PrimitiveBoundingBox" not in server.get("/object_info"):
        pytest.skip("this ComfyUI has no boxes of its own")
    prompt = template(server, "Detect a video")
    for number, x in (("90", 10), ("91", 200)):
        box = {"x": x, "y": 100, "width": 60, "height": 50}
        prompt[number] = {"class_type": "PrimitiveBoundingBox", "inputs": box}
    entry = server.run(_given(prompt, subject_boxes=["90", 0], object_boxes=["91", 0]))
    assert "found together in 36 of 36 frames" in said(entry, prompt, DETECT)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Detect a video", DETECT),
        ("Score a video", "SpatialAlign_ScoreVideo"),
        ("Score a video", "SpatialAlign_PickBest"),
    ],
)
def test_drawn_boxes_stand_for_the_whole_clip(server: Server, name: str, kind: str) -> None:
    """Core's Create Bounding Boxes gives one frame of boxes."""
    known = server.get("/object_info")
    if "CreateBoundingBoxes" not in known:
        pytest.skip("this ComfyUI draws no boxes")
    prompt = template(server, name)
    clip = _number(prompt, "SpatialAlign_SpriteClip")
    sentence = "a fox is on the left of a box, then it jumps to the right of the box"
    values: dict[str, Any] = {"images": [clip, 0], "sentence": sentence, "rule": "default"}
    if kind == "SpatialAlign_PickBest":
        values |= {"clips": 2}
    inputs = {"subject": "fox", "object": "box", "keep_masks": True} if kind == DETECT else {}
    prompt[clip]["inputs"]["sentence"] = f"{sentence}."
    prompt = {clip: prompt[clip], "9": {"class_type": kind, "inputs": inputs | values}}
    prompt["8"] = {"class_type": "PreviewAny", "inputs": {"source": ["9", 0 if kind != DETECT else 3]}}
    for number, x in (("90", 100), ("91", 300)):
        drawn = {
            "width": 512,
            "height": 320,
            "editor_state": {"__value__": [{"x": x, "y": 90, "width": 60, "height": 50}]},
        }
        prompt[number] = {"class_type": "CreateBoundingBoxes", "inputs": drawn}
        prompt["9"]["inputs"][f"{'subject' if number == '90' else 'object'}_boxes"] = [number, 1]
    text = said(server.run(prompt), prompt, kind)
    assert "0.50" in text, text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "connect a detector from Load Detector"),
        ({"subject_mask": ["90", 0]}, "needs object_mask too"),
        ({"sentence": "", "subject": " "}, "Write a subject and an object"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    server: Server, values: dict[str, Any], message: str
) -> None:
    prompt = template(server, "Detect a video")
    prompt |= _masks(prompt, "red")
    assert message in server.complaint(_given(prompt, **values))


def test_a_sentence_about_something_else_is_not_drawn(server: Server) -> None:
    other = "a cat is on the left of a pot, then it jumps to the right of the pot"
    prompt = template(server, "Detect a video", {DRAW: {"sentence": other}})
    assert "the track about 'fox' and 'box'" in error_of(server.wait(server.queue(prompt)))


def test_workflows_from_before_the_other_widgets_still_run(server: Server) -> None:
    prompt = template(server, "Score a video")
    prompt[_number(prompt, LOAD)]["inputs"] = {"detector": "sprites"}
    assert "obeys the sentence" in said(server.run(prompt), prompt, "SpatialAlign_ScoreVideo")


def test_a_download_without_network_says_so(server: Server) -> None:
    settings = {LOAD: {"detector": "download IDEA-Research/grounding-dino-tiny"}}
    entry = server.wait(server.queue(template(server, "Detect a video", settings)))
    assert "Hugging Face could not be reached" in error_of(entry)


def test_model_folders_are_found_loaded_and_not_loaded_twice(server: Server) -> None:
    """Small random networks: what they see is noise, but it goes the whole way."""
    sys.path.insert(0, str(PACK / "tests" / "unit"))
    from test_grounding import make_model, make_processor
    from test_sam2 import tiny_parts

    folder = server.base / "models"
    for part in (make_model(), make_processor()):
        part.save_pretrained(folder / "grounding-dino" / "dino-tiny")
    for part in tiny_parts()[:2]:
        part.save_pretrained(folder / "sam2" / "sam2-tiny")
    settings = {"detector": "dino-tiny", "masks": "sam2-tiny", "box_threshold": 0.01, "text_threshold": 0.01}
    prompt = template(server, "Detect a video", {LOAD: settings})
    assert "of 36 frames" in said(server.run(prompt), prompt, DETECT)
    assert {DETECT, LOAD} <= cached(server.run(prompt), prompt)


@pytest.mark.parametrize(
    ("folder", "widget", "name", "content", "message"),
    [
        ("grounding-dino", "detector", "broken.pth", b"not a checkpoint", "broken.pth"),
        ("sams", "masks", "empty.safetensors", b"", "empty.safetensors"),
        ("sams", "masks", "never-there.pth", None, "There is no"),
        ("grounding-dino", "detector", "evil.pth", "pickle", "asks to run program code"),
        ("sams", "masks", "evil.pth", "pickle", "asks to run program code"),
    ],
)
def test_a_wrong_file_is_on_the_list_and_says_what_is_wrong(
    server: Server, folder: str, widget: str, name: str, content: bytes | str | None, message: str
) -> None:
    file, harm = server.base / "models" / folder / name, server.base / "harm"
    if content is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_pickle(f"touch '{harm}'") if isinstance(content, str) else content)
    try:
        spec = server.get(f"/object_info/{LOAD}")[LOAD]["input"]
        listed = (spec["required"] | spec["optional"])[widget]
        assert (name in json.dumps(listed)) == (content is not None)
        prompt = template(server, "Detect a video", {LOAD: {widget: name}})
        status, answer = server.post("/prompt", {"prompt": prompt})
        assert status == 400
        assert message in json.dumps(answer["node_errors"])
        assert not harm.exists()
    finally:
        file.unlink(missing_ok=True)
    server.run(template(server, "Score a video"))  # and the queue still works


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ({"model_type": "owlvit"}, 400, "OWL-ViT, which is not supported"),
        (None, 200, "is of another model"),  # what its weights are is seen only when they are loaded
    ],
)
def test_a_folder_of_another_model(
    server: Server, config: dict[str, str] | None, status: int, message: str
) -> None:
    """The right name and a wrong config.json, or a right one and wrong weights."""
    from safetensors.torch import save_file

    folder = server.base / "models" / "grounding-dino" / "wrong"
    shutil.copytree(PACK / "spatialalign_core" / "pocket" / "weights" / "grounding-dino-pocket", folder)
    try:
        if config is not None:
            (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({"blocks.0.weight": torch.zeros(4)}, folder / "model.safetensors")
        prompt = template(server, "Detect a video", {LOAD: {"detector": "wrong"}})
        answered, answer = server.post("/prompt", {"prompt": prompt})
        assert answered == status
        said_so = json.dumps(answer) if status == 400 else error_of(server.wait(answer["prompt_id"]))
        assert message in said_so
    finally:
        shutil.rmtree(folder)
    server.run(template(server, "Score a video"))


def test_a_folder_that_went_away_says_so_and_other_models_still_run(server: Server) -> None:
    """A workflow from another machine names a model that is not here, and models/grounding-dino may be missing too."""
    shutil.rmtree(server.base / "models" / "grounding-dino", ignore_errors=True)
    prompt = template(server, "Detect a video", {LOAD: {"detector": "grounding-dino-base"}})
    status, answer = server.post("/prompt", {"prompt": prompt})
    assert status == 400
    assert "There is no detector 'grounding-dino-base'" in json.dumps(answer["node_errors"])
    server.run(template(server, "Score a video"))
