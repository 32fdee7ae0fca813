"""A run folder that is ready to train on: prompts, and pairs of noise."""

from __future__ import annotations

from pathlib import Path

import torch

from spatialalign_core.pair_choice import Pair, PairSelection
from spatialalign_core.pair_settings import PairSettings
from spatialalign_core.pairs import export_pairs
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from spatialalign_core.prompts import build_prompts
from spatialalign_core.run import Run

SHAPE = (16, 4, 4, 6)


def noise_run(folder: Path) -> Run:
    """Two training prompts with a pair each, and one held-out prompt."""
    run = Run(folder)
    run.write_prompts(build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=2, held_out_count=1))
    prompts = run.prompts("train")
    pairs = tuple(Pair(prompt.id, 0, 1, 0.9, 0.1) for prompt in prompts)

    def noise(prompt_id: str, seed: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed + len(prompt_id))
        return {name: torch.randn(SHAPE, generator=generator) for name in ("latents", "noise")}

    texts = {prompt.id: torch.ones(4, 64) * index for index, prompt in enumerate(prompts)}
    selection = PairSelection(pairs, "", {}, PairSettings())
    export_pairs(run.pairs_folder, selection, prompts, noise, texts, "made up")
    return run
