"""torch.compile in training: the same gradients, attention made once all the same, one sentence when it fails.

The tracing is real; the traced pieces run as they are, since no test should need a C++ compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.train.kept import Shelf
from spatialalign_core.train.plans import FAST, PLANS
from tests.noise_pairs import SETTINGS, apart, gradients, trainer_for


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    """Two blocks of six: what is traced for the second must serve for all."""
    model = load_video_model(model_folder, "cpu")
    model.transformer.blocks = model.transformer.blocks[:2]
    return model


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Chooses what becomes of the traced pieces."""
    compile_ = torch.compile

    def choose(backend: Any) -> None:
        monkeypatch.setattr(torch, "compile", partial(compile_, backend=backend))

    torch._dynamo.reset()
    counters.clear()
    yield choose
    torch._dynamo.reset()


@pytest.mark.parametrize("plan", ["single", "offload"])
def test_compiled_blocks_give_the_same_gradients(
    model: VideoModel, traced: Callable[[Any], None], plan: str
) -> None:
    base = {name: value.clone() for name, value in model.transformer.state_dict().items()}
    loss, expected = gradients(trainer_for(model, FAST))
    traced("aot_eager")
    compiled_loss, found = gradients(trainer_for(model, PLANS[plan], compile=True))
    assert counters["stats"]["unique_graphs"] > 0
    assert compiled_loss == pytest.approx(loss, rel=1e-4)
    assert apart(expected, found) < 1e-4
    after = model.transformer.state_dict()
    assert after.keys() == base.keys() and all(after[name].equal(base[name]) for name in base)


def test_kept_attention_is_not_made_again_between_compiled_pieces(
    model: VideoModel, traced: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the pieces are the same for all blocks, and after the model did something else."""
    moved = {"put": 0, "take": 0}

    def count(name: str, real: Callable[..., Any]) -> None:
        def counting(*arguments: Any) -> Any:
            moved[name] += 1
            return real(*arguments)

        monkeypatch.setattr(Shelf, name, counting)

    count("put", Shelf.put)
    count("take", Shelf.take)
    real = torch.nn.functional.scaled_dot_product_attention
    traced("aot_eager")
    trainer = trainer_for(model, PLANS["parked"], compile=True)
    next(trainer.run())
    videos, blocks = 2 * SETTINGS.pairs_per_step, len(trainer.blocks.blocks)
    assert moved == {"put": videos * blocks, "take": videos * blocks}
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    with trainer.lifted():
        pass
    next(trainer.run())
    assert counters["stats"]["unique_graphs"] == graphs
    assert torch.nn.functional.scaled_dot_product_attention is real
    trainer.close()


def test_a_compiler_that_fails_is_one_sentence(model: VideoModel, traced: Callable[[Any], None]) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no C++ compiler\nand much more")

    traced(broken)
    trainer = trainer_for(model, PLANS["recompute"], compile=True)
    with pytest.raises(
        SpatialAlignError, match=r"torch\.compile does not work on this machine \(.*compile' off"
    ):
        next(trainer.run())
    trainer.close()
