"""Prompt from Sentence: what an artist types, read into its parts."""

from __future__ import annotations

from comfy_api.latest import io

from ..spatialalign_core.sentence import parse_sentence
from .aliases import schema
from .pictures import SHOWS, shown
from .sentences import understood
from .sockets import CATEGORY, PromptsSocket


class PromptFromSentence(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_PromptFromSentence",
            display_name="Prompt from Sentence",
            category=CATEGORY,
            description="Reads a sentence such as 'a cat is on the left of a box, then it jumps on top of the box'.",
            inputs=[
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="In a park, a cat is on the left of a box, then it jumps on top of the box.",
                    tooltip="Where the subject starts, and where it ends. Relations: left of, right of, on "
                    "top of.",
                ),
            ],
            outputs=[
                PromptsSocket.Output("prompts", tooltip="One prompt, for Generate."),
                io.String.Output("text", tooltip="The prompt's text, for any text-to-video workflow."),
            ],
            **SHOWS,
        )

    @classmethod
    def execute(cls, sentence: str) -> io.NodeOutput:
        prompt = understood(sentence)
        lines = [
            f"Subject: {prompt.subject}. Object: {prompt.object}."
            + (f" Scene: {prompt.scene}." if prompt.scene else ""),
            f"First {prompt.change.initial.side}, then {prompt.change.final.heading}.",
        ]
        lines += parse_sentence(sentence).not_understood
        return io.NodeOutput((prompt,), prompt.text, ui=shown(cls, "\n".join(lines)))
