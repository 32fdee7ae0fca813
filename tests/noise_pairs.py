"""Pairs of noise, a trainer on them, and what one step of it gives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spatialalign_core.models.base import VideoModel
from spatialalign_core.pairs import Pair
from spatialalign_core.train.kept import ATTENTION
from spatialalign_core.train.plans import MemoryPlan
from spatialalign_core.train.settings import DEFAULT
from spatialalign_core.train.trainer import Trainer

SETTINGS = replace(DEFAULT, steps=2, warmup=0, pairs_per_step=2, rank=4, alpha=4.0, anchor_share=0.0)


class NoisePairs:
    """Pairs of noise, from memory."""

    explanation, fingerprint = "made up", "made-up"

    def __init__(self, shape: tuple[int, ...], text: tuple[int, ...]) -> None:
        self.pairs = (Pair("a", 0, 1, 0.9, 0.1),)
        self._videos = {
            seed: torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
        }
        self._text = torch.ones(text)

    def latents(self, prompt_id: str, seed: int) -> torch.Tensor:
        return self._videos[seed]

    def noise(self, prompt_id: str, seed: int) -> torch.Tensor:
        return self._videos[seed]

    def text(self, text_id: str) -> torch.Tensor:
        return self._text


def trainer_for(model: VideoModel, plan: MemoryPlan, compile: bool = False) -> Trainer:
    """With an adapter that does something."""
    trainer = Trainer(model, NoisePairs((16, 4, 8, 12), (12, 64)), SETTINGS, plan, compile=compile)  # type: ignore[arg-type]
    for name, parameter in trainer.parameters.items():
        if ".lora_B." in name:
            generator = torch.Generator().manual_seed(len(name))
            parameter.data.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return trainer


def gradients(trainer: Trainer) -> tuple[float, torch.Tensor]:
    """Loss and all gradients of one step; closes the trainer."""
    loss, _ = trainer._gradients(trainer._draws())
    found = torch.cat([p.grad.flatten() for p in trainer.parameters.values() if p.grad is not None])
    assert found.numel() == sum(p.numel() for p in trainer.parameters.values())
    trainer.close()
    return loss, found


def apart(first: torch.Tensor, second: torch.Tensor) -> float:
    return ((first - second).norm() / first.norm()).item()


@contextlib.contextmanager
def attention_made() -> Iterator[list[bool]]:
    """One entry for each time that attention is made within the block: whether it is self-attention."""
    made: list[bool] = []

    class Attentions(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, arguments: Any = (), named: Any = None
        ) -> Any:
            if function in ATTENTION:
                made.append(arguments[1].shape[-2] >= arguments[0].shape[-2])
            return function(*arguments, **(named or {}))

    with Attentions():
        yield made
