"""Single files of every family: the published layouts at their full sizes, without memory for the weights, and small
random models written in them and run from end to end. Wan's own, in more detail, are in test_single_files.py."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.generate import Job, generate
from spatialalign_core.models.base import GenerateSettings
from spatialalign_core.models.families import families
from spatialalign_core.models.file_kinds import recognise_file
from spatialalign_core.models.loading import POCKET_FOLDER, load_video_model
from spatialalign_core.models.single_files import find_parts
from spatialalign_core.models.weights import empty, rows_of
from tests.tiny_models import (
    ENCODERS,
    PUBLISHED,
    VAES,
    encoder_state,
    make_transformer,
    make_vae,
    published_names,
    to_fp8,
    vae_file,
    write,
)

BY_NAME = {family.name: family for family in families()}
TOKENIZERS = dict.fromkeys(ENCODERS, POCKET_FOLDER / "tokenizer")
JOBS = [Job("a", "a cat is on the left of a box", 0)]
State = dict[str, Tensor]


def no_memory(name: str) -> State:
    """Weights of a published file that have a shape only."""
    return {key: torch.empty(shape, device="meta") for key, shape in published_names()[name].items()}


@pytest.mark.parametrize(("name", "sizes", "title"), PUBLISHED)
def test_every_weight_of_a_published_model_has_its_place(
    name: str, sizes: dict[str, Any], title: str
) -> None:
    import diffusers

    family, state = BY_NAME[name], no_memory(f"{name}: {title}")
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert family.recognise(shapes, "model.safetensors") == title
    config = family.transformer_config(shapes)
    network = empty(lambda: getattr(diffusers, family.transformer_class)(**config))
    ours = family.names.to_ours(state, rows_of(network))
    wanted = network.state_dict()
    assert ours.keys() == wanted.keys()
    assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in wanted.items()}


@pytest.mark.parametrize("title", VAES)
def test_every_weight_of_a_published_vae_has_its_place(title: str) -> None:
    import diffusers

    state = no_memory(title)
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    owners = [family for family in families() if family.recognise_vae(shapes)]
    assert owners and {family.recognise_vae(shapes) for family in owners} == {title}
    for family in owners:
        config = family.vae_config(shapes)
        network = empty(lambda: getattr(diffusers, family.vae_class)(**config))  # noqa: B023
        ours, wanted = family.vae_weights(dict(state), rows_of(network)), network.state_dict()
        assert ours.keys() == wanted.keys()
        assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in wanted.items()}


# Family, its VAE, and the smallest video that it makes: side and frames. LTX-Video's VAE 0.9.5 is missing because
# diffusers tells it by its published width; above it stands in full.
MODELS = [
    ("ltx-video", "LTX-Video VAE 0.9.0", 64, 9),
    ("ltx-video", "LTX-Video VAE 0.9.1", 64, 9),
    ("cogvideox-5b", "CogVideoX VAE", 32, 9),
    ("cogvideox-1.5", "CogVideoX VAE", 32, 9),
    ("hunyuan-video", "HunyuanVideo VAE", 32, 5),
    ("mochi", "Mochi VAE", 32, 7),
]


def native(name: str) -> State:
    family = BY_NAME[name]
    return family.names.to_native(make_transformer(family).state_dict())


def write_models(root: Path, name: str, vae: str, whole: bool = False) -> Path:
    """ComfyUI's models folder with a family's files; returns the model. whole: its VAE is inside."""
    family = BY_NAME[name]
    for kind in family.text_kinds:
        write(root / "text_encoders" / f"{kind}.safetensors", encoder_state(kind, ENCODERS[kind]()))
    state, other = native(name), vae_file(vae, family, make_vae(vae, family))
    if whole:
        state = {f"model.diffusion_model.{key}": value for key, value in state.items()}
        return write(
            root / "checkpoints" / "model.safetensors", state | {f"vae.{k}": v for k, v in other.items()}
        )
    write(root / "vae" / f"{name}.safetensors", other)
    return write(root / "diffusion_models" / "model.safetensors", state)


@pytest.mark.parametrize(("name", "vae", "side", "frames"), MODELS)
def test_files_make_a_video(tmp_path: Path, name: str, vae: str, side: int, frames: int) -> None:
    file = write_models(tmp_path, name, vae, whole=vae.endswith("0.9.1"))  # as LTX-Video's files are
    assert recognise_file(find_parts(file).vae).title in (vae, recognise_file(file).title)
    model = load_video_model(file, "cpu", tokenizers=TOKENIZERS)
    assert model.family.name == name
    assert "left out" not in model.description
    for network, expected in (
        (model.transformer, make_transformer(model.family)),
        (model.pipeline.vae, make_vae(vae, model.family)),
    ):
        state = network.state_dict()
        assert all(torch.equal(state[key], value) for key, value in expected.state_dict().items())
    settings = GenerateSettings(
        height=side, width=side, num_frames=frames, fps=8, steps=2, guidance_scale=2.0
    )
    sample = next(iter(generate(model, JOBS, settings)))
    assert sample.frames.shape == (frames, side, side, 3)
    assert torch.isfinite(sample.latents).all()
    assert sample.frames.std() > 0


def shuffled(state: State) -> State:
    keys = sorted(state)
    random.Random(0).shuffle(keys)
    return {key: state[key] for key in keys}


WAYS: dict[str, tuple[Callable[[State], State], float]] = {
    "shuffled": (shuffled, 0.0),
    "prefixed": (lambda s: {f"model.diffusion_model.{k}": v for k, v in s.items()}, 0.0),
    "bf16": (lambda s: {k: v.bfloat16() for k, v in s.items()}, 0.01),
    "fp8 with scale_weight": (lambda s: to_fp8(s, "old"), 0.06),
    "fp8 with weight_scale": (lambda s: to_fp8(s, "new"), 0.06),
    "plain fp8": (lambda s: {k: v.to(torch.float8_e4m3fn) for k, v in s.items()}, 0.06),
    "extra": (lambda s: s | {"ema.decay": torch.ones(1)}, 0.0),
}
OTHERS = ("ltx-video", "cogvideox-5b", "cogvideox-1.5", "hunyuan-video", "mochi")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models folders of every family but Wan."""
    vaes = {name: vae for name, vae, _, _ in MODELS}
    roots = {name: tmp_path_factory.mktemp(name) for name in OTHERS}
    for name, root in roots.items():
        write_models(root, name, vaes[name])
    return roots


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OTHERS)
def test_ways_to_write_the_same_weights(loaded: dict[str, Path], tmp_path: Path, name: str, way: str) -> None:
    change, tolerance = WAYS[way]
    file = write(tmp_path / "changed.safetensors", change(native(name)))
    parts = find_parts(file, [loaded[name]])
    model = load_video_model(file, "cpu", parts=parts, tokenizers=TOKENIZERS)
    for key, value in make_transformer(model.family).state_dict().items():
        found = model.transformer.state_dict()[key].float()
        assert (found - value).abs().max() <= tolerance * value.abs().max(), key
    assert ("ema.decay" in model.description) == (way == "extra")


@pytest.mark.parametrize("name", OTHERS)
def test_damaged_and_wrong_files_are_named(loaded: dict[str, Path], tmp_path: Path, name: str) -> None:
    state, title = native(name), BY_NAME[name].title
    block = max(key for key in state if "blocks.0." in key and key.endswith("weight"))

    def message(changed: State) -> str:
        file = write(tmp_path / "changed.safetensors", changed)
        with pytest.raises(SpatialAlignError) as caught:
            load_video_model(file, "cpu", parts=find_parts(file, [loaded[name]]), tokenizers=TOKENIZERS)
        return str(caught.value)

    lost = message({key: value for key, value in state.items() if key != block})
    assert "changed.safetensors looks like" in lost and title in lost and "missing" in lost
    other = message(state | {block: torch.zeros(3, *state[block].shape[1:])})
    # A fused weight whose rows do not add up is none of its parts.
    assert "changed.safetensors looks like" in other and (" and not " in other or "missing" in other)

    file = tmp_path / "cut.safetensors"
    file.write_bytes((loaded[name] / "diffusion_models" / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(SpatialAlignError, match=r"cut\.safetensors is damaged.*ends too early"):
        recognise_file(file)

    model = loaded[name] / "diffusion_models" / "model.safetensors"
    stranger = next(each for each in OTHERS if each[:4] != name[:4])
    vae = loaded[stranger] / "vae" / f"{stranger}.safetensors"
    with pytest.raises(SpatialAlignError, match=rf"VAE.* and does not belong to {title}"):
        find_parts(model, [loaded[name]], vae=vae)
    with pytest.raises(SpatialAlignError, match=r"needs its VAE, which was not found"):
        find_parts(model, [loaded[name] / "text_encoders"])
    with pytest.raises(SpatialAlignError, match=r"needs its .* text encoder, which was not found"):
        find_parts(model, [loaded[name] / "vae"])
