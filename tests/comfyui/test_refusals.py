"""What is wrong with a workflow is said when it is queued: one sentence, at one place, and nothing of it runs."""

from __future__ import annotations

from typing import Any

import pytest
from prompts import template
from server import Server

LOOP = "Quickstart"
Values = dict[str, Any]
_DRAGON = "a dragon is on the left of a box, then it jumps on top of the box"
_OWN = "\n".join(
    f"a {animal} is on the left of a box, then it jumps to the {place} of the box"
    for animal in ("cat", "fox", "pig", "lion")
    for place in ("right", "top")
)
_HELD_OUT = "needs held-out prompts, and there are none; raise held_out_prompts in Prompt Set"

# template, node class whose widgets are set, values, class and input that are blamed, a part of the sentence
WIDGETS = [
    ("Score a video", "ScoreVideo", {"sentence": " "}, "ScoreVideo", "sentence", "The sentence is empty"),
    ("Score a video", "ScoreVideo", {"sentence": "a fox sits"}, "ScoreVideo", "sentence", "names no place"),
    ("Score a video", "ScoreVideo", {"sentence": _DRAGON}, "ScoreVideo", "sentence", "no word for 'dragon'"),
    ("Score a video", "SpriteClip", {"sentence": _DRAGON}, "SpriteClip", "sentence", "no animal called 'dragon'"),
    ("Detect a video", "DrawTracks", {"sentence": "a fox"}, "DrawTracks", "sentence", "names no place"),
    (LOOP, "PromptSet", {"subjects": ""}, "PromptSet", "subjects", "'subjects' is empty"),
    (LOOP, "PromptSet", {"objects": " , "}, "PromptSet", "objects", "'objects' is empty"),
    (LOOP, "PromptSet", {"subjects": "cat, lion"}, "PromptSet", "subjects", "no word for 'lion'"),
    (LOOP, "PromptSet", {"objects": "car, box, piano"}, "PromptSet", "objects", "no word for 'car', 'piano'"),
    (LOOP, "PromptSet", {"train_prompts": 99_999}, "PromptSet", "train_prompts", "make at most"),
    (LOOP, "PromptSet", {"held_out_prompts": 99_999}, "PromptSet", "held_out_prompts", "make at most"),
    (LOOP, "PromptSet", {"held_out_prompts": 0}, "PromptSet", "held_out_prompts", f"Evaluate {_HELD_OUT}"),
    (LOOP, "PromptSet", {"own_prompts": _OWN}, "PromptSet", "own_prompts", "no word for 'lion'"),
    (LOOP, "PromptSet", {"own_prompts": "hello"}, "PromptSet", "own_prompts", "own_prompts"),
    (LOOP, "Generate", {"run_folder": "../x"}, "Generate", "run_folder", "must be a plain name"),
    (LOOP, "Generate", {"run_folder": "CON"}, "Generate", "run_folder", "Windows keeps that name"),
    (LOOP, "Generate", {"seeds": 1, "run_folder": "new"}, "Generate", "seeds", "set seeds to 2 or more"),
    (LOOP, "TrainLora", {"lora_name": "a/b"}, "TrainLora", "lora_name", "cannot name a LoRA"),
    (LOOP, "TrainLora", {"check_every": 5}, "TrainLora", "check_every", "connect a detector, or set it to 0"),
    ("Evaluate a LoRA", "Compare", {}, "Compare", "lora_b", "This run has no LoRA of its own yet"),
    ("Evaluate a LoRA", "Compare", {"lora_b": "none"}, "Compare", "lora_b", "Both sides are 'no LoRA'"),
    ("Continue with another round", "Rounds", {"seeds": 1}, "Rounds", "seeds", "set seeds to 2 or more"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "values", "blamed", "input", "words"), WIDGETS)
def test_a_widget_is_blamed(
    server: Server, name: str, kind: str, values: Values, blamed: str, input: str, words: str
) -> None:
    prompt = template(server, name, {f"SpatialAlign_{kind}": values})
    ((class_type, place, sentence),) = server.refused(prompt)
    assert (class_type, place) == (blamed, input), sentence
    assert words in sentence


# template, node class, input that is rewired, its new source (None: nothing), who is blamed, part of the sentence
WIRES = [
    (LOOP, "Evaluate", "run", "Score", "Evaluate", "There is no LoRA to evaluate; connect the run"),
    (LOOP, "ExportPairs", "run", "Detect", "ExportPairs", "The run of Export Pairs has not been through Score"),
    (LOOP, "TrainLora", "run", "Score", "TrainLora", "has not been through Export Pairs"),
    ("Score a video", "ScoreVideo", "images", None, "ScoreVideo", "Connect either images or a video"),
    ("Score a video", "ScoreVideo", "detector", None, "ScoreVideo", "does not know where things are"),
    ("Detect a video", "DetectTrack", "detector", None, "DetectTrack", "does not know where things are"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "input", "source", "blamed", "words"), WIRES)
def test_a_missing_connection_is_said(
    server: Server, name: str, kind: str, input: str, source: str | None, blamed: str, words: str
) -> None:
    prompt = template(server, name)
    inputs = next(each["inputs"] for each in prompt.values() if each["class_type"] == f"SpatialAlign_{kind}")
    inputs.pop(input)
    if source is not None:
        number = next(id for id, each in prompt.items() if each["class_type"] == f"SpatialAlign_{source}")
        inputs[input] = [number, 0]
    ((class_type, _, sentence),) = server.refused(prompt)
    assert class_type == blamed
    assert words in sentence


def test_a_folder_that_cannot_be_written_is_said(server: Server) -> None:
    runs = server.base / "output" / "spatialalign"
    runs.mkdir(parents=True, exist_ok=True)
    (runs / "taken").write_text("a file")
    prompt = template(server, LOOP, {"SpatialAlign_Generate": {"run_folder": "taken"}})
    ((class_type, place, sentence),) = server.refused(prompt)
    assert (class_type, place) == ("Generate", "run_folder")
    assert "Cannot write the run" in sentence
    assert "Errno" not in sentence


def test_limits_of_widgets_still_hold(server: Server) -> None:
    prompt = template(
        server, LOOP, {"SpatialAlign_Generate": {"seeds": 0}, "SpatialAlign_Evaluate": {"tau": 3.0}}
    )
    assert sorted((kind, place) for kind, place, _ in server.refused(prompt)) == [
        ("Evaluate", "tau"),
        ("Generate", "seeds"),
    ]


@pytest.mark.parametrize(
    "name", ["Quickstart", "Score a video", "Detect a video", "Continue with another round"]
)
def test_right_workflows_pass(server: Server, name: str) -> None:
    prompt = template(server, name)
    server.post("/queue", {"clear": True})
    number = server.queue(prompt)
    server.post("/queue", {"delete": [number]})
    server.post("/interrupt", {})
