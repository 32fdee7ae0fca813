"""Sprite Clip: a clip of the sprite world with a known answer, to try things out without any file."""

from __future__ import annotations

from comfy_api.latest import io

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS
from ..spatialalign_core.pocket.sprites import unknown_sprite
from ..spatialalign_core.pocket.world import render
from ..spatialalign_core.prompts import DsrPrompt
from . import previews
from .aliases import schema
from .pictures import SHOWS, to_image
from .sentences import understood
from .sockets import CATEGORY

_ENLARGED = 4  # nearest neighbour, so that the sprites stay crisp in players and previews


class SpriteClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_SpriteClip",
            display_name="Sprite Clip",
            category=CATEGORY,
            description="Draws a short clip of the sprite world that obeys the sentence, to try Score Video on.",
            inputs=[
                io.String.Input(
                    "sentence",
                    multiline=True,
                    default="In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box.",
                    tooltip=f"Animals: {', '.join(SUBJECTS)}. Things: {', '.join(OBJECTS)}. "
                    f"Scenes: {', '.join(SCENES)}.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**32 - 1,
                    control_after_generate=True,
                    tooltip="Varies position, timing and height of the jump.",
                ),
                io.Int.Input("frames", default=18, min=2, max=256, tooltip="Length of the clip in frames."),
            ],
            outputs=[io.Image.Output("images", tooltip="The clip's frames, 384 x 256.")],
            **SHOWS,
        )

    @classmethod
    def execute(cls, sentence: str, seed: int, frames: int) -> io.NodeOutput:
        prompt = sprite_prompt(sentence)
        scene = prompt.scene.lower() if prompt.scene.lower() in SCENES else SCENES[0]
        clip = render(prompt.subject, prompt.object, scene, prompt.change, seed, frames)
        frames = clip.frames.repeat(_ENLARGED, 1).repeat(_ENLARGED, 2)
        played = previews.of_clips([{"video": previews.saved(frames, previews.FPS)}])
        return io.NodeOutput(to_image(frames), ui=played)


def sprite_prompt(sentence: str) -> DsrPrompt:
    """The prompt that the sentence says. SpatialAlignError for one that the sprite world cannot show."""
    prompt = understood(sentence)
    fault = unknown_sprite(prompt.subject, prompt.object)
    if fault:
        raise SpatialAlignError(fault)
    return prompt
