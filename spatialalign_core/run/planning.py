"""Which memory plan a training gets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from ..errors import SpatialAlignError
from ..models.base import VideoModel
from ..models.loading import BUNDLED, recognise_family
from ..models.original_folders import find_transformer
from ..models.single_files import transformer_config
from ..pairs import PairData
from ..train.memory import free_memory, is_out_of_memory
from ..train.plans import LADDER, PLANS, find_plan
from ..train.preflight import Estimate, StepShape, choose_plan, estimate, read_transformer_config
from ..train.settings import TrainSettings

AUTO = "auto"


def plan_training(
    model: VideoModel,
    pairs: PairData,
    settings: TrainSettings,
    device: torch.device,
    plan: str = AUTO,
    room: int | None = None,
) -> Estimate:
    """The plan of that name, or the first that fits, with the memory it will need.

    room: bytes that may be used, weights included; None for what is free. SpatialAlignError for an unknown plan, or
    when none fits.
    """
    shape = step_shape(pairs, device, model.dtype)
    transformer = model.transformer
    config = dict(transformer.config) | {"_class_name": type(transformer).__name__}
    if plan != AUTO:
        chosen = find_plan(plan)
        with _fitting(model.folder.name, shape):
            return estimate(model.family, config, shape, settings, chosen)
    if room is None:
        room = free_memory(device)
        if (
            device.type != "cpu"
        ):  # what is there already is part of the estimate, or leaves before the first step
            parts = (getattr(model.pipeline, name, None) for name in ("transformer", "vae", "text_encoder"))
            there = [p for part in parts if part is not None for p in part.parameters()]
            room += sum(p.numel() * p.element_size() for p in there if p.device.type == device.type)
    host_room = None if device.type == "cpu" else free_memory(torch.device("cpu"))
    with _fitting(model.folder.name, shape):
        return choose_plan(model.family, config, shape, settings, room, host_room=host_room)


@contextlib.contextmanager
def _fitting(name: str, shape: StepShape) -> Iterator[None]:
    """Within the block tensors without content go through the model: what can go wrong is their sizes."""
    try:
        yield
    except SpatialAlignError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        why = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise SpatialAlignError(
            f"The pairs do not fit the model {name}: it takes no latents {shape.latents} with texts {shape.text} "
            f"({why}). Choose the model that they were exported with, or export them again with this one."
        ) from error


def all_plans(
    folder: str | Path, pairs: PairData, settings: TrainSettings, device: torch.device
) -> list[Estimate]:
    """What each plan would need for the model in `folder`, from fast to lean."""
    path = BUNDLED.get(str(folder), Path(folder))
    family, file = recognise_family(folder), path if path.is_file() else find_transformer(path)
    config = read_transformer_config(path) if file is None else transformer_config(file)
    shape = step_shape(pairs, device, usual_dtype(device))
    plans = [*LADDER, *(plan for plan in PLANS.values() if plan not in LADDER)]
    with _fitting(str(folder), shape):
        return [estimate(family, config, shape, settings, plan) for plan in plans]


def step_shape(pairs: PairData, device: torch.device, dtype: torch.dtype) -> StepShape:
    """Of the first pair. SpatialAlignError when there is none."""
    if not pairs.pairs:
        raise SpatialAlignError(f"There are no pairs to train on. {pairs.explanation}".strip())
    pair = pairs.pairs[0]
    latents, text = pairs.latents(pair.prompt_id, pair.winner_seed), pairs.text(pair.text_id)
    return StepShape(tuple(latents.shape), tuple(text.shape), dtype, device.type == "cpu")


def usual_dtype(device: torch.device) -> torch.dtype:
    """What models are loaded in on this device."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32
