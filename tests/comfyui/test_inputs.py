"""Inputs for how videos are made and LoRAs trained: what is left alone, what is chosen, what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from prompts import said
from server import Server, error_of

MARK = "spatialalign_word"


def _inputs(server: Server) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (node, name): spec[1]
        for node, info in server.get("/object_info").items()
        if node.startswith("SpatialAlign_")
        for section in ("required", "optional")
        for name, spec in info["input"].get(section, {}).items()
    }


def _generate(run: str, **chosen: Any) -> dict[str, Any]:
    inputs = {"video_model": ["1", 0], "prompts": ["2", 0], "run_folder": run, "split": "training prompts"}
    inputs |= {"seeds": 1, "batch_size": 8, "steps": 1, "guidance": 0.0, **chosen}
    sentence = "A cat is on the left of a box, then it jumps to the right of the box."
    return {
        "1": {"class_type": "SpatialAlign_LoadVideoModel", "inputs": {"model": "pocket"}},
        "2": {
            "class_type": "SpatialAlign_PromptFromSentence",
            "inputs": {"sentence": sentence},
        },
        "3": {"class_type": "SpatialAlign_Generate", "inputs": inputs},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
    }


def test_a_number_that_means_something_else_says_so(server: Server) -> None:
    """Whoever's tooltip speaks of a word in a number's place has it in the schema, and the other way round."""
    inputs = _inputs(server)
    spoken = {
        key for key, spec in inputs.items() if "' (0)" in spec["tooltip"] or "' (-1)" in spec["tooltip"]
    }
    marked = {key for key, spec in inputs.items() if MARK in spec}
    assert spoken == marked and len(marked) > 20
    for key in marked:
        spec = inputs[key]
        assert spec["min"] == spec[MARK]["at"], key
        assert f"'{spec[MARK]['word']}' ({spec[MARK]['at']})" in spec["tooltip"], key
    silent = [key for key, spec in inputs.items() if "; 0 " in spec["tooltip"] and MARK not in spec]
    assert silent == []


def test_new_inputs_may_be_left_out_and_are_folded(server: Server) -> None:
    inputs = _inputs(server)
    folded = {key for key, spec in inputs.items() if spec.get("advanced")}
    if not any("'advanced': True" in str(info["input"]) for info in server.get("/object_info").values()):
        pytest.skip("this ComfyUI folds nothing away")
    assert ("SpatialAlign_Generate", "width") in folded and ("SpatialAlign_TrainLora", "rank") in folded
    for node, name in folded:
        assert name in server.get(f"/object_info/{node}")[node]["input"]["optional"]


def test_values_are_said_and_used(server: Server) -> None:
    usual = _generate("inputs-usual")
    assert "1 step, guidance 1.5, 96 x 64 pixels, 17 frames at 6 fps" in said(
        server.run(usual), usual, "SpatialAlign_Generate"
    )
    chosen = _generate("inputs-chosen", width=112, frames=9, fps=8.0, negative_prompt="a dog")
    entry = server.run(chosen)
    words = "guidance 1.5, 112 x 64 pixels, 9 frames at 8 fps, negative prompt 'a dog'"
    assert words in said(entry, chosen, "SpatialAlign_Generate")


@pytest.mark.parametrize(
    ("chosen", "message"),
    [({"width": 100}, "width must be a multiple of"), ({"height": 1}, "height must be")],
)
def test_what_the_model_cannot_make_is_refused(server: Server, chosen: dict[str, Any], message: str) -> None:
    entry = server.wait(server.queue(_generate("inputs-refused", **chosen)))
    assert error_of(entry).startswith(message)
    assert not (server.base / "output" / "spatialalign" / "inputs-refused" / "samples").exists()


def test_what_auto_comes_to(server: Server) -> None:
    known = server.get("/spatialalign/automatic?model=pocket&preset=published")
    assert (known["video"]["width"], known["training"]["steps"]) == (96, 3000)
    assert server.get("/spatialalign/automatic") == {"video": {}, "training": {}}
