"""ComfyUI's own sampler nodes as neighbours: their templates, with sprite clips where Wan's files would be needed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prompts import cached, said, template
from server import Server

from spatialalign_core.pairs import load_pairs

COLLECT_TEMPLATE = "Collect samples from ComfyUI's own Wan nodes"
BEST_TEMPLATE = "Best of N with ComfyUI's own Wan nodes"
COLLECT, PICK, LOAD, CLIP = (
    f"SpatialAlign_{name}" for name in ("CollectSample", "PickBest", "LoadDetector", "SpriteClip")
)
ASKED = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."
OTHER = "In a meadow, a fox is on the right of a box, then the fox jumps to the left of the box."
WAN = {
    "UNETLoader",
    "CLIPLoader",
    "VAELoader",
    "CLIPTextEncode",
    "ModelSamplingSD3",
    "EmptyHunyuanLatentVideo",
}
FOLDER = "neighbours"


def _number(prompt: dict[str, Any], kind: str) -> str:
    return next(number for number, node in prompt.items() if node["class_type"] == kind)


def _without_wan(prompt: dict[str, Any], seed: int, *shown: str) -> dict[str, Any]:
    """The prompt with sprite clips of these sentences, one behind the other, in place of the sampler's frames."""
    decode = _number(prompt, "VAEDecode")
    for number in [n for n, node in prompt.items() if node["class_type"] in WAN | {"KSampler"}]:
        del prompt[number]
    last: list[Any] = []
    for index, sentence in enumerate(shown):
        clip, small, batch = (str(900 + 10 * index + n) for n in range(3))
        inputs = {"sentence": sentence, "seed": seed + index, "frames": 18}
        prompt[clip] = {"class_type": CLIP, "inputs": inputs}
        size = {"upscale_method": "area", "width": 96, "height": 64, "crop": "disabled"}
        prompt[small] = {"class_type": "ImageScale", "inputs": {"image": [clip, 0], **size}}
        if index:
            prompt[batch] = {"class_type": "ImageBatch", "inputs": {"image1": last, "image2": [small, 0]}}
            last = [batch, 0]
        else:
            last = [small, 0]
    del prompt[decode]
    for node in prompt.values():
        node["inputs"] = {
            name: last if value == [decode, 0] else value for name, value in node["inputs"].items()
        }
    prompt[_number(prompt, LOAD)]["inputs"]["detector"] = "pocket"
    prompt[_number(prompt, "SpatialAlign_PromptFromSentence")]["inputs"]["sentence"] = ASKED
    return prompt


def _collecting(server: Server, seed: int, *shown: str, train: bool = False) -> dict[str, Any]:
    settings: dict[str, dict[str, Any]] = {
        COLLECT: {"run_folder": FOLDER, "clips": len(shown)},
        "PrimitiveInt": {"value": seed},
    }
    if train:
        settings["SpatialAlign_TrainLora"] = {"steps": 2}
        settings["SpatialAlign_ExportPairs"] = {"retell": False}
    prompt = _without_wan(template(server, COLLECT_TEMPLATE, settings, muted=train), seed, *shown)
    del prompt[_number(prompt, COLLECT)]["inputs"]["latent"]
    return prompt


def test_collected_videos_go_on_to_pairs_and_a_lora(server: Server) -> None:
    folder = server.base / "output" / "spatialalign" / FOLDER
    prompt = _collecting(server, 5, ASKED)
    assert "1 new; 1 videos" in said(server.run(prompt), prompt, COLLECT)
    again = server.run(prompt)
    assert {COLLECT, "SpatialAlign_Detect", "SpatialAlign_Score"} <= cached(again, prompt)

    prompt = _collecting(server, 20, OTHER, ASKED)  # a batch of two clips
    entry = server.run(prompt)
    assert "2 new; 3 videos" in said(entry, prompt, COLLECT)
    assert "67\N{NARROW NO-BREAK SPACE}% of 3 videos" in said(entry, prompt, "SpatialAlign_Score")
    assert sorted(int(video.stem) for video in folder.rglob("samples/base/*/*.mp4")) == [5, 40, 41]

    prompt = _collecting(server, 20, OTHER, ASKED, train=True)
    server.run(prompt, timeout=900)
    pairs = load_pairs(folder / "pairs")
    assert {(pair.winner_seed, pair.loser_seed) for pair in pairs.pairs} == {(5, 40), (41, 40)}
    assert pairs.latents(pairs.pairs[0].prompt_id, 5).shape == (16, 18, 8, 12)
    assert f"{FOLDER}-wan.safetensors" in server.get("/models/loras")


def test_latents_that_do_not_fit_are_said_and_not_used(server: Server) -> None:
    for seed, shown in ((0, ASKED), (1, OTHER)):
        prompt = _collecting(server, seed, shown, train=True)
        inputs = prompt[_number(prompt, COLLECT)]["inputs"]
        inputs |= {"run_folder": "latents", "latent": ["800", 0]}
        size = {"width": 96, "height": 64, "length": 5, "batch_size": 1}
        prompt["800"] = {"class_type": "EmptyHunyuanLatentVideo", "inputs": size}
        del prompt[_number(prompt, "SpatialAlign_TrainLora")]
        entry = server.run(prompt)
        assert "with latents" in said(entry, prompt, COLLECT)
    assert "its pictures are encoded instead" in said(entry, prompt, "SpatialAlign_ExportPairs")


def _picking(server: Server, *shown: str, sentence: str = ASKED) -> dict[str, Any]:
    prompt = template(server, BEST_TEMPLATE, {"PrimitiveInt": {"value": len(shown)}})
    prompt = _without_wan(prompt, 0, *shown)
    prompt[_number(prompt, "SpatialAlign_PromptFromSentence")]["inputs"]["sentence"] = sentence
    return prompt


@pytest.mark.parametrize(
    ("shown", "sentence", "verdict"),
    [
        ((OTHER, ASKED), ASKED, "The best of 2"),
        ((OTHER,), ASKED, "below the threshold"),
        ((OTHER, ASKED), ASKED.replace("fox", "frog"), "No video could be scored"),
    ],
)
def test_best_of_a_batch_goes_on(server: Server, shown: tuple[str, ...], sentence: str, verdict: str) -> None:
    prompt = _picking(server, *shown, sentence=sentence)
    entry = server.run(prompt)
    text = said(entry, prompt, PICK)
    assert verdict in text and sum("<- best" in line for line in text.splitlines()) == 1
    assert entry["outputs"][_number(prompt, "SaveVideo")]


def test_a_list_of_videos_is_one_choice(server: Server) -> None:
    prompt = _picking(server, OTHER, ASKED)
    inputs = prompt[_number(prompt, PICK)]["inputs"]
    prompt["800"] = {"class_type": "RebatchImages", "inputs": {"images": inputs["images"], "batch_size": 18}}
    inputs |= {"images": ["800", 0], "clips": 1}
    text = said(server.run(prompt), prompt, PICK)
    assert text.splitlines()[-1].startswith("2: ") and "<- best" in text.splitlines()[-1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clips": 5}, "not 5 clips of equal length"),
        ({"run_folder": "../elsewhere"}, "must be a plain name"),
        ({"images": None}, "Connect either images or a video"),
        ({"prompts": None}, "The sentence is empty"),
    ],
)
def test_what_cannot_be_collected_is_said(server: Server, values: dict[str, Any], message: str) -> None:
    prompt = _collecting(server, 0, ASKED)
    inputs = prompt[_number(prompt, COLLECT)]["inputs"]
    inputs.update(values)
    prompt[_number(prompt, COLLECT)]["inputs"] = {k: v for k, v in inputs.items() if v is not None}
    assert message in server.complaint(prompt)


@pytest.mark.parametrize("name", [COLLECT_TEMPLATE, BEST_TEMPLATE])
def test_only_wans_own_files_are_missing(server: Server, name: str) -> None:
    """What ComfyUI says to the template as it is, on a machine without Wan."""
    status, answer = server.post("/prompt", {"prompt": template(server, name)})
    assert status == 400
    refused = {node["class_type"] for node in answer["node_errors"].values()}
    assert refused == {"UNETLoader", "CLIPLoader", "VAELoader"}, json.dumps(answer["node_errors"], indent=1)
