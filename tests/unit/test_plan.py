"""Plans for cards of several sizes, and generation by them: the same videos whatever the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.generate import Job, encode_texts, generate
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.placement import compiled, decode, sampling
from spatialalign_core.plan import (
    GenerateOptions,
    Memory,
    Needs,
    Plan,
    attention_order,
    fit,
    needs_of,
    plan_generation,
)

GB = 2**30
WAN = Needs(
    text_encoder=int(10.6 * GB),
    transformer=int(2.7 * GB),
    vae=int(0.3 * GB),
    denoising=int(2.3 * GB),
    decoding=int(4 * GB),
    tiled_decoding=int(1.5 * GB),
)
"""Wan2.1 1.3B in bfloat16, 480 x 832 x 81."""


@pytest.mark.parametrize(
    ("card", "memory", "expected"),
    [
        (80, "auto", Plan(8, one_by_one=False)),
        (48, "auto", Plan(8, one_by_one=True)),
        (24, "auto", Plan(3, one_by_one=True)),
        (16, "auto", Plan(5, parts=True, one_by_one=True)),
        (12, "auto", Plan(3, parts=True, text_on_cpu=True, one_by_one=True)),
        (11, "auto", Plan(3, parts=True, text_on_cpu=True, one_by_one=True)),
        (4, "auto", Plan(1, parts=True, text_on_cpu=True, tile_vae=True, one_by_one=True)),
        (80, "parts", Plan(8, parts=True, one_by_one=True)),
        (12, "card", Plan(1, tile_vae=True, one_by_one=True)),
    ],
)
def test_plan_fits_the_card(card: int, memory: Memory, expected: Plan) -> None:
    plan = fit(WAN, card * GB, 8, memory)
    assert replace(plan, needed=0) == expected
    if memory != "card" and card > 4:
        assert 0 < plan.needed <= 0.9 * card * GB


@pytest.mark.parametrize(
    ("wish", "capability", "first"),
    [
        ("auto", (9, 0), "cudnn"),
        ("auto", (10, 0), "cudnn"),
        ("auto", (12, 0), None),
        ("auto", (8, 9), None),
        ("flash", (8, 9), "flash"),
        ("math", (9, 0), "math"),
    ],
)
def test_kernels_end_with_one_that_always_works(
    wish: str, capability: tuple[int, int], first: str | None
) -> None:
    order = attention_order(wish, capability)  # type: ignore[arg-type]
    assert (order[0] if order else None) == first
    assert not order or "math" in order


@pytest.mark.parametrize(("name", "value"), [("memory", "much"), ("attention", "none")])
def test_unknown_options_say_so(name: str, value: str) -> None:
    with pytest.raises(SpatialAlignError, match=f"Unknown {name}"):
        GenerateOptions(**{name: value})


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


def jobs() -> list[Job]:
    return [
        Job(name, f"a {name} is on the left of a box", seed) for name in ("fox", "cat") for seed in (0, 1)
    ]


def test_on_a_cpu_nothing_special_is_planned(model: VideoModel) -> None:
    assert plan_generation(model, model.defaults, 8) == Plan(8)
    needs = needs_of(model, model.defaults)
    assert needs.tiled_decoding <= needs.decoding and min(needs.transformer, needs.denoising) > 0


def test_kernels_and_decoding_one_by_one_change_nothing(model: VideoModel) -> None:
    samples = list(generate(model, jobs(), batch_size=4))
    text = torch.cat([model.encode_text([job.text]) for job in jobs()])
    noise, latents = (torch.stack([getattr(each, name) for each in samples]) for name in ("noise", "latents"))
    with sampling(model, Plan(4, parts=True, attention=("math",))):
        assert model.pipeline.text_encoder is None and model.pipeline.vae is None
        again = model.family.sample(model.pipeline, text, None, noise, model.defaults)
    assert model.pipeline.text_encoder is not None and model.pipeline.vae is not None
    assert torch.allclose(latents, again, atol=1e-4)
    one_by_one = decode(model, latents, Plan(4, one_by_one=True))
    assert np.abs(one_by_one.astype(int) - model.decode(latents).astype(int)).max() <= 1


def test_texts_are_encoded_once(model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    encode = VideoModel.encode_text
    monkeypatch.setattr(
        VideoModel, "encode_text", lambda self, texts: asked.extend(texts) or encode(self, texts)
    )
    settings = replace(model.defaults, guidance_scale=2.0)
    states: dict[str, torch.Tensor] = {}
    told = list(encode_texts(model, jobs(), settings, states, Plan(1), model.device))
    assert told == asked == ["a fox is on the left of a box", "a cat is on the left of a box", ""]
    with_states = [s.latents for s in generate(model, jobs(), settings, 1, states=states)]
    assert len(asked) == 3
    assert all(
        a.equal(b.latents) for a, b in zip(with_states, generate(model, jobs(), settings, 1), strict=True)
    )


def test_texts_wait_in_main_memory(model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a card thousands of them would fill it beside what the plan knows of."""
    monkeypatch.setattr("spatialalign_core.generate.put_to_work", lambda *where: None)
    states: dict[str, torch.Tensor] = {}
    list(encode_texts(model, jobs(), model.defaults, states, Plan(1), torch.device("meta")))
    assert states and {state.device.type for state in states.values()} == {"cpu"}


def test_blocks_are_plain_again_after_compiling(model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: seen.append(self))
    with compiled(model, Plan(1, compile=True)):
        assert len(seen) == model.transformer.config.num_layers
    assert all(block._compiled_call_impl is None for block in seen)
    with compiled(model, Plan(1)):
        assert len(seen) == model.transformer.config.num_layers
