"""A plan carried out: parts of the model on the card while they work, kernels chosen, blocks compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .attention import attention_kernels
from .compiling import compiling
from .models.base import VideoModel
from .plan import PARTS, Part, Plan, networks, plan_generation


def put_to_work(model: VideoModel, part: Part, plan: Plan, device: torch.device) -> None:
    """The part on the device; with `plan.parts` the others in main memory, which they leave when their turn comes."""
    if device.type == "cpu":
        return
    for other in PARTS:
        if plan.parts and other != part:
            _move(model, other, torch.device("cpu"))
    stays = part == "text_encoder" and plan.text_on_cpu
    _move(model, part, torch.device("cpu") if stays else device)


@contextlib.contextmanager
def at_work(model: VideoModel, part: Part) -> Iterator[None]:
    """One part on the model's device, the VAE tiled where that is needed, for work beside generation.

    The transformer is back there afterwards.
    """
    device = model.device
    plan = plan_generation(model, model.defaults, 1)
    try:
        put_to_work(model, part, plan, device)
        with _tiling(model, plan):
            yield
    finally:
        put_to_work(model, "transformer", plan, device)


def _move(model: VideoModel, part: Part, device: torch.device) -> None:
    for network in networks(model.pipeline, part).values():
        if next(network.parameters()).device != device:
            network.to(device)
            if device.type == "cpu":
                torch.cuda.empty_cache()  # else the next part finds the card as full as before


@contextlib.contextmanager
def sampling(model: VideoModel, plan: Plan) -> Iterator[None]:
    """The plan's attention kernels, for the time of sampling. Under inference mode: what comes out is to be cloned
    outside before anybody trains on it."""
    with (
        torch.inference_mode(),
        attention_kernels(plan.attention),
        _alone(model) if plan.parts else contextlib.nullcontext(),
    ):
        yield


@contextlib.contextmanager
def _alone(model: VideoModel) -> Iterator[None]:
    """The pipeline without its other parts: it asks the first part that it has which device to work on."""
    own = vars(model.pipeline)  # past its __setattr__, which would forget the parts' classes
    parts = (networks(model.pipeline, part) for part in PARTS if part != "transformer")
    away = {name: network for part in parts for name, network in part.items()}
    own.update(dict.fromkeys(away))
    try:
        yield
    finally:
        own.update(away)


@contextlib.contextmanager
def compiled(model: VideoModel, plan: Plan) -> Iterator[None]:
    """The transformer's repeated blocks compiled where the plan says so, and plain again afterwards: training changes
    them. SpatialAlignError where torch cannot compile."""
    names = getattr(model.transformer, "_repeated_blocks", None) or () if plan.compile else ()
    blocks = [module for module in model.transformer.modules() if type(module).__name__ in names]
    try:
        for block in blocks:
            block.compile()
        with compiling():
            yield
    finally:
        for block in blocks:
            block._compiled_call_impl = None


def decode(model: VideoModel, latents: Tensor, plan: Plan) -> np.ndarray:
    """uint8 frames (B, F, H, W, 3) of normalised latents (B, C, F', H', W'), tiled where the plan says so."""
    with torch.inference_mode(), _tiling(model, plan):
        if not plan.one_by_one:
            return model.decode(latents)
        return np.concatenate([model.decode(each[None]) for each in latents])


@contextlib.contextmanager
def _tiling(model: VideoModel, plan: Plan) -> Iterator[None]:
    if plan.tile_vae:
        model.pipeline.vae.enable_tiling()
    try:
        yield
    finally:
        if plan.tile_vae:
            model.pipeline.vae.disable_tiling()
