"""How a model generates on the card at hand: how many videos at once, and which of its parts lie on the card meanwhile.

The numbers are estimates on the safe side, made of the model's sizes alone, so that a card always gets the same plan.
On a CPU the plan is to do nothing special.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch

from .attention import Attention, attention_order
from .errors import SpatialAlignError
from .models.base import GenerateSettings, VideoModel

Part = Literal["text_encoder", "transformer", "vae"]
PARTS: tuple[Part, ...] = get_args(Part)
Memory = Literal["auto", "card", "parts"]

_USABLE = 0.9  # of a card; the rest is the driver's, the screen's and what fragments
_HIDDEN_COPIES, _FEED_FORWARD_COPIES = (
    12,
    2,
)  # of a token's states that are alive at once in a transformer block
_PIXEL_COPIES = 10  # of a full-size feature map that are alive at once in a VAE's decoder
_ENCODING = 1.1  # a text encoder at work, over its weights
_TILE = 256  # pixels; what the VAEs of diffusers tile to


@dataclass(frozen=True)
class GenerateOptions:
    """What an artist may choose; none of it changes what is in the videos, beyond rounding.

    memory: "card" keeps the whole model on the card, "parts" only the part at work, "auto" what fits.
    attention: kernels to try first. compile: torch.compile, worth its minute from some dozens of videos on.
    """

    memory: Memory = "auto"
    attention: Attention = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        for name, known in (("memory", get_args(Memory)), ("attention", get_args(Attention))):
            if getattr(self, name) not in known:
                raise SpatialAlignError(
                    f"Unknown {name} {getattr(self, name)!r}; choose one of {', '.join(known)}."
                )


USUAL = GenerateOptions()


@dataclass(frozen=True)
class Needs:
    """Bytes: the weights of the model's parts, and what one video takes beside them."""

    text_encoder: int
    transformer: int
    vae: int
    denoising: int
    decoding: int
    tiled_decoding: int


@dataclass(frozen=True)
class Plan:
    """parts: only the part at work lies on the card. text_on_cpu: the text encoder never does. attention: kernels, best
    first; empty leaves the choice to torch."""

    batch_size: int
    parts: bool = False
    text_on_cpu: bool = False
    tile_vae: bool = False
    one_by_one: bool = False
    """Videos of a batch are decoded one after the other."""
    attention: tuple[str, ...] = ()
    compile: bool = False
    needed: int = 0
    """Most bytes on the card at any time, by estimate; 0 on a CPU."""


def plan_generation(
    model: VideoModel,
    settings: GenerateSettings,
    batch_size: int,
    options: GenerateOptions = USUAL,
) -> Plan:
    """The plan for this model on the device it lies on."""
    if model.device.type != "cuda":
        return Plan(batch_size, compile=options.compile)
    properties = torch.cuda.get_device_properties(model.device)
    fraction = getattr(torch.cuda.memory, "get_per_process_memory_fraction", lambda device: 1.0)
    card = int(properties.total_memory * fraction(model.device))
    plan = fit(needs_of(model, settings), card, batch_size, options.memory)
    kernels = attention_order(options.attention, (properties.major, properties.minor))
    return replace(plan, attention=kernels, compile=options.compile)


def fit(needs: Needs, card: int, batch_size: int, memory: Memory = "auto") -> Plan:
    """The fastest plan that fits a card of so many bytes; the most frugal one where none does."""
    room = int(card * _USABLE)
    weights = needs.text_encoder + needs.transformer + needs.vae
    for batch in range(batch_size, 0, -1) if memory != "parts" else ():
        needed = weights + max(batch * needs.denoising, needs.decoding)
        if needed <= room:
            return Plan(batch, one_by_one=weights + batch * needs.decoding > room, needed=needed)
    if memory == "card":
        needed = weights + max(needs.denoising, needs.tiled_decoding)
        return Plan(1, tile_vae=True, one_by_one=True, needed=needed)
    text_on_cpu = needs.text_encoder * _ENCODING > room
    tiled = needs.vae + needs.decoding > room
    batch = max(1, min(batch_size, (room - needs.transformer) // max(1, needs.denoising)))
    needed = max(
        0 if text_on_cpu else needs.text_encoder,
        needs.transformer + batch * needs.denoising,
        needs.vae + (needs.tiled_decoding if tiled else needs.decoding),
    )
    return Plan(batch, True, text_on_cpu, tiled, one_by_one=True, needed=needed)


def needs_of(model: VideoModel, settings: GenerateSettings) -> Needs:
    """Estimates for one video of these settings."""
    pipeline = model.pipeline
    _, frames, height, width = model.family.latent_shape(pipeline, settings)
    sides = patch_size(model.transformer)
    tokens = frames * height * width // (sides[0] * sides[1] * sides[2])
    hidden, feed_forward = _widths(model.transformer)
    size = next(model.transformer.parameters()).element_size()
    per_token = size * (_HIDDEN_COPIES * hidden + _FEED_FORWARD_COPIES * feed_forward)
    vae_size = next(pipeline.vae.parameters()).element_size()
    channels = getattr(pipeline.vae.config, "base_dim", None) or 128
    # A VAE's decoder works on as many frames at once as one latent stands for.
    group = -(-settings.num_frames // frames) * channels * vae_size * _PIXEL_COPIES
    pixels = settings.height * settings.width
    video = 2 * 3 * settings.num_frames * pixels * 4  # as floats, twice, before it is turned into bytes
    return Needs(
        text_encoder=_weights(networks(pipeline, "text_encoder")),
        transformer=_weights(networks(pipeline, "transformer")),
        vae=_weights(networks(pipeline, "vae")),
        denoising=tokens * per_token,
        decoding=pixels * group + video,
        tiled_decoding=min(pixels, _TILE**2) * group + video,
    )


def _widths(transformer: Any) -> tuple[int, int]:
    """Width of the hidden states, and of the feed-forward layers."""
    config = transformer.config
    hidden = config.num_attention_heads * config.attention_head_dim
    return hidden, getattr(config, "ffn_dim", None) or 4 * hidden


def _weights(part: Mapping[str, torch.nn.Module]) -> int:
    weights = (parameter for network in part.values() for parameter in network.parameters())
    return sum(weight.numel() * weight.element_size() for weight in weights)


def networks(pipeline: Any, part: Part) -> dict[str, torch.nn.Module]:
    """A part's networks by name; some families have two text encoders, or two transformers."""
    found = pipeline.components.items()
    return {name: each for name, each in found if name.startswith(part) and isinstance(each, torch.nn.Module)}


def patch_size(transformer: Any) -> tuple[int, int, int]:
    """Latents a patch, in time and on the sides."""
    patch = transformer.config.patch_size
    if isinstance(patch, int):
        return getattr(transformer.config, "patch_size_t", None) or 1, patch, patch
    return tuple(patch)
