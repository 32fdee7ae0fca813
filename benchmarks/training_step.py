"""The training step that benchmarks/train.py measures, in two ways, on a model of random weights.

Published: a deep copy of the model as reference, four separate forwards a pair, one pair at a time, gradient
checkpointing where the shape asks for it; written here from the paper's formulas. Ours: the trainer's own step, with a
memory plan.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families.wan import Wan21
from spatialalign_core.models.loading import POCKET_FOLDER
from spatialalign_core.pairs import Pair
from spatialalign_core.train.draws import Draw
from spatialalign_core.train.plans import FAST, MemoryPlan
from spatialalign_core.train.preflight import read_transformer_config
from spatialalign_core.train.settings import PUBLISHED, TrainSettings
from spatialalign_core.train.trainer import Trainer

_WAN = {
    "_class_name": "WanTransformer3DModel",
    "patch_size": [1, 2, 2], "in_channels": 16, "out_channels": 16, "freq_dim": 256, "cross_attn_norm": True,
    "eps": 1e-6, "qk_norm": "rms_norm_across_heads", "rope_max_seq_len": 1024,
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """A model and a step. checkpointing: whether the published step needs it to fit at all."""

    config: dict[str, Any]
    latents: tuple[int, int, int, int]
    text: tuple[int, int]
    pairs: int
    checkpointing: bool = False


def _wan(heads: int, size: int, text: int, inner: int, layers: int) -> dict[str, Any]:
    return _WAN | {
        "num_attention_heads": heads,
        "attention_head_dim": size,
        "text_dim": text,
        "ffn_dim": inner,
        "num_layers": layers,
    }


_FULL_SIZE = (16, 21, 60, 104)  # 480 x 832, 81 frames
SHAPES = {
    "pocket": Shape(read_transformer_config(POCKET_FOLDER), (16, 18, 8, 12), (32, 64), 4),
    "memory": Shape(_wan(4, 64, 256, 1024, 6), (16, 4, 24, 24), (64, 256), 2),
    "wan1.3b": Shape(_wan(12, 128, 4096, 8960, 30), _FULL_SIZE, (512, 4096), 2, checkpointing=True),
    "wan14b": Shape(_wan(40, 128, 4096, 13824, 40), _FULL_SIZE, (512, 4096), 1, checkpointing=True),
}


class Noise:
    """Pairs of noise, from memory."""

    explanation, fingerprint = "noise", "noise"

    def __init__(self, shape: Shape) -> None:
        self.pairs = tuple(Pair(f"p{index}", 0, 1, 0.9, 0.1) for index in range(shape.pairs))
        self._videos = {
            (pair.prompt_id, seed): torch.randn(
                shape.latents, generator=torch.Generator().manual_seed(7 * index + seed)
            )
            for index, pair in enumerate(self.pairs)
            for seed in (0, 1)
        }
        self._text = torch.randn(shape.text, generator=torch.Generator().manual_seed(99))

    def latents(self, prompt_id: str, seed: int) -> Tensor:
        return self._videos[prompt_id, seed]

    def noise(self, prompt_id: str, seed: int) -> Tensor:
        return self._videos[prompt_id, seed]

    def text(self, text_id: str) -> Tensor:
        return self._text


def build_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> VideoModel:
    """Random weights, in the number types that loading gives."""
    import diffusers

    torch.manual_seed(0)
    with device:
        transformer = getattr(diffusers, shape.config["_class_name"]).from_config(shape.config)
    keep = transformer._keep_in_fp32_modules or ()
    for name, parameter in transformer.named_parameters():
        if not any(part in name.split(".") for part in keep):
            parameter.data = parameter.data.to(dtype)
    transformer.requires_grad_(False).eval()
    family = Wan21()
    return VideoModel(
        Path("random"), family, SimpleNamespace(transformer=transformer), family.defaults, "random"
    )


def settings_for(shape: Shape) -> TrainSettings:
    return replace(PUBLISHED, pairs_per_step=shape.pairs, warmup=0, beta=100.0)


def trainer_for(model: VideoModel, shape: Shape, plan: MemoryPlan, compile: bool = False) -> Trainer:
    """With an adapter that does something, so that policy and reference differ."""
    trainer = Trainer(model, Noise(shape), settings_for(shape), plan, compile=compile)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(5)
    for name, parameter in trainer.parameters.items():
        if ".lora_B." in name:
            noise = torch.randn(parameter.shape, generator=generator) * 0.02
            parameter.data.copy_(noise)
    return trainer


def published_loss(
    policy: Any, reference: Any, model: VideoModel, draw: Draw, settings: TrainSettings
) -> Tensor:
    """One pair, from the paper: four forwards, S = MSE_ref - MSE_policy, clipped margin, zeroth-order regulariser."""
    device, dtype = model.device, model.dtype
    text = draw.text[None].to(device, dtype)
    sigma = torch.tensor([draw.sigma], device=device)

    def velocity(network: Any, noisy: Tensor) -> Tensor:
        return model.family.velocity(network, noisy[None].to(device, dtype), sigma, text)[0].float()

    winner, loser = velocity(policy, draw.noisy_winner), velocity(policy, draw.noisy_loser)
    with torch.no_grad():
        reference_winner = velocity(reference, draw.noisy_winner)
        reference_loser = velocity(reference, draw.noisy_loser)

    def error(first: Tensor, second: Tensor) -> Tensor:
        return (first - second).square().mean()

    target_winner, target_loser = draw.target_winner.to(device), draw.target_loser.to(device)
    score_winner = error(reference_winner, target_winner) - error(winner, target_winner)
    score_loser = error(reference_loser, target_loser) - error(loser, target_loser)
    margin = (settings.beta * (score_winner - score_loser)).clamp(-settings.clip, settings.clip)
    drift = 0.5 * (error(winner, reference_winner) + error(loser, reference_loser))
    return -torch.nn.functional.logsigmoid(margin) + settings.zo_weight * drift


Step = Callable[[], float]


def published_step(model: VideoModel, shape: Shape) -> tuple[Step, Trainer]:
    """The procedure with a copied reference: a call is one optimiser step and gives the loss. Closing the trainer gives
    the base back."""
    trainer = trainer_for(model, shape, FAST)
    policy = model.pipeline.transformer
    reference = copy.deepcopy(policy)
    reference.disable_adapters()
    if shape.checkpointing:
        policy.enable_gradient_checkpointing()
    trainer.optimizer = optimizer = torch.optim.AdamW(trainer.parameters.values(), lr=1e-4)
    draws = trainer.drawer.draw(0)

    def step() -> float:
        total = 0.0
        for draw in draws:
            loss = published_loss(policy, reference, model, draw, trainer.settings) / len(draws)
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total

    return step, trainer


def our_step(
    model: VideoModel, shape: Shape, plan: MemoryPlan, compile: bool = False
) -> tuple[Step, Trainer]:
    trainer = trainer_for(model, shape, plan, compile)
    return lambda: next(trainer.run()).loss, trainer
