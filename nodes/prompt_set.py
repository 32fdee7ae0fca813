"""Prompt Set: many prompts from word lists, or from a CSV file."""

from __future__ import annotations

from collections import Counter
from typing import Any

from comfy_api.latest import io

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from ..spatialalign_core.prompts import build_prompts, read_prompts, split_words
from .aliases import schema
from .pictures import shown
from .places import csv_file, csv_names
from .sockets import CATEGORY, PromptsSocket


class PromptSet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_PromptSet",
            display_name="Prompt Set",
            category=CATEGORY,
            description="Builds prompts 'SCENE, a SUBJECT is left of an OBJECT, then ...' from word lists, "
            "some of them held out from training so that progress can be measured on new combinations.",
            inputs=[
                _words("subjects", SUBJECTS, "Who moves"),
                _words("objects", OBJECTS, "What stays in place"),
                _words("scenes", SCENES, "Where it happens"),
                _words("verbs", VERBS, "How the subject moves"),
                io.Int.Input(
                    "train_prompts", default=120, min=1, max=100_000, tooltip="Number of prompts to train on."
                ),
                io.Int.Input(
                    "held_out_prompts",
                    default=48,
                    min=0,
                    max=100_000,
                    tooltip="Number of prompts that are kept from training and used by Evaluate. They share no "
                    "subject, object and relation change with the training prompts.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=False,  # a new set after every run would start everything afresh
                    tooltip="Which combinations are drawn.",
                ),
                io.Combo.Input(
                    "csv_file",
                    options=csv_names(),
                    default="none",
                    tooltip="Take the prompts from this CSV file in ComfyUI's input folder instead (columns type, "
                    "prompt_id, animal, object, scene, initial_SR, final_SR, prompt). The widgets above then rest.",
                ),
            ],
            outputs=[PromptsSocket.Output("prompts", tooltip="For Generate.")],
        )

    @classmethod
    def fingerprint_inputs(cls, csv_file: str, **_: Any) -> Any:
        path = _path(csv_file)
        return (path.stat().st_mtime_ns, path.stat().st_size) if path is not None and path.is_file() else None

    @classmethod
    def execute(
        cls,
        subjects: str,
        objects: str,
        scenes: str,
        verbs: str,
        train_prompts: int,
        held_out_prompts: int,
        seed: int,
        csv_file: str,
    ) -> io.NodeOutput:
        path = _path(csv_file)
        if path is not None:
            prompts = read_prompts(path)
        else:
            lists = {"subjects": subjects, "objects": objects, "scenes": scenes, "verbs": verbs}
            words = {name: _split(name, text) for name, text in lists.items()}
            prompts = build_prompts(**words, count=train_prompts, held_out_count=held_out_prompts, seed=seed)
        splits = Counter(prompt.split for prompt in prompts)
        changes = Counter(prompt.change.code for prompt in prompts)
        text = (
            f"{splits['train']} prompts to train on, {splits['held_out']} held out.\n"
            + ", ".join(f"{code} {number}" for code, number in changes.items())
            + f"\nFor example: {prompts[0].text}"
        )
        return io.NodeOutput(tuple(prompts), ui=shown(cls, text))


_path = csv_file  # the widget of that name hides the function inside the class


def _words(name: str, default: tuple[str, ...], what: str) -> io.String.Input:
    return io.String.Input(
        name,
        multiline=True,
        default=", ".join(default),
        tooltip=f"{what}: words or phrases, separated by commas or lines.",
    )


def _split(name: str, text: str) -> list[str]:
    words = split_words(text)
    if not words:
        raise SpatialAlignError(f"The list '{name}' is empty; write at least one word, separated by commas.")
    return words
