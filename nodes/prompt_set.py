"""Prompt Set: many prompts from word lists, or one's own from sentences in the node or in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from ..spatialalign_core.prompt_list import (
    PromptList,
    changes_in,
    held_out,
    read_prompt_file,
    read_prompt_text,
    set_aside_words,
    usable,
)
from ..spatialalign_core.prompts import DsrPrompt, build_prompts, split_words
from .aliases import schema
from .pictures import SHOWS, shown
from .places import chosen_prompt_file, prompt_file_names
from .sockets import CATEGORY, PromptsSocket


class PromptSet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_PromptSet",
            display_name="Prompt Set",
            category=CATEGORY,
            description="Makes the prompts: from word lists, or from your own sentences, one per line in "
            "the node or in a file. Some prompts are held out, to measure progress on combinations that are "
            "not trained on.",
            inputs=[
                _words("subjects", SUBJECTS, "Who moves"),
                _words("objects", OBJECTS, "What stays in place"),
                _words("scenes", SCENES, "Where it happens"),
                _words("verbs", VERBS, "How the subject moves"),
                io.Int.Input(
                    "train_prompts", default=120, min=1, max=100_000, tooltip="Number of training prompts."
                ),
                io.Int.Input(
                    "held_out_prompts",
                    default=48,
                    min=0,
                    max=100_000,
                    tooltip="Number of held-out prompts, used by Evaluate and never by training. Training "
                    "and held-out prompts never share subject, object and movement. Of your own prompts at "
                    "most half are held out; a quarter if this asks for more.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=False,  # a new set after every run would start everything afresh
                    tooltip="Selects which combinations are used.",
                ),
                io.Combo.Input(
                    "csv_file",
                    options=prompt_file_names(),
                    default="none",
                    tooltip="Reads your own prompts from this file in ComfyUI's input folder: a .txt with "
                    "one sentence per line, or a CSV or TSV with a column 'prompt'. The word lists and "
                    "train_prompts are then ignored; with a table that has all published columns, "
                    "held_out_prompts too.",
                ),
                io.String.Input(
                    "own_prompts",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="Your own prompts, one sentence per line; lines that begin with # are comments. "
                    "If anything is written here, the word lists, train_prompts and csv_file are ignored.",
                ),
            ],
            outputs=[PromptsSocket.Output("prompts", tooltip="For Generate.")],
            **SHOWS,
        )

    @classmethod
    def fingerprint_inputs(cls, csv_file: str, **_: Any) -> Any:
        try:
            path = chosen_prompt_file(csv_file)
        except SpatialAlignError:
            return None  # execute says what is wrong with it
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
        own_prompts: str = "",
    ) -> io.NodeOutput:
        lines = []
        if own_prompts.strip():
            found = read_prompt_text(own_prompts)
            prompts, lines = _own(found, "own_prompts", held_out_prompts, seed)
        elif (path := chosen_prompt_file(csv_file)) is not None:
            found = read_prompt_file(path)
            prompts, lines = _own(found, csv_file, held_out_prompts, seed)
        else:
            lists = {"subjects": subjects, "objects": objects, "scenes": scenes, "verbs": verbs}
            words = {name: _split(name, text) for name, text in lists.items()}
            prompts = build_prompts(**words, count=train_prompts, held_out_count=held_out_prompts, seed=seed)
        splits = Counter(prompt.split for prompt in prompts)
        text = (
            f"{splits['train']} prompts to train on, {splits['held_out']} held out.\n"
            f"{changes_in(prompts)}\nFor example: {prompts[0].text}"
        )
        return io.NodeOutput(tuple(prompts), ui=shown(cls, "\n".join([text, *lines])))


def _own(found: PromptList, source: str, wanted: int, seed: int) -> tuple[Sequence[DsrPrompt], list[str]]:
    """The artist's prompts, and what to say about them."""
    prompts, note = usable(found, source), ""
    if not found.divided:
        prompts, note = held_out(prompts, wanted, seed)
    lines = [f"From {source}: {len(found.entries)} read, {len(found.set_aside)} set aside.", *found.notes]
    return prompts, [*lines, *([note] if note else []), *set_aside_words(found)]


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
