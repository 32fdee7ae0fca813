"""ComfyUI's single files: recognised, put together and loaded; what is wrong with one is said."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.generate import Job, generate
from spatialalign_core.models.base import GenerateSettings
from spatialalign_core.models.families import families
from spatialalign_core.models.file_kinds import recognise_file
from spatialalign_core.models.loading import POCKET_FOLDER, is_whole, load_video_model
from spatialalign_core.models.single_files import find_parts
from tests.tiny_models import make_transformer, make_umt5, make_vae, to_fp8, umt5_file, vae_file, write

BY_NAME = {family.name: family for family in families()}
SMALL = GenerateSettings(height=32, width=32, num_frames=5, fps=8, steps=2, guidance_scale=1.0)
JOBS = [Job("a", "a cat is on the left of a box", 0)]
# Published file -> what it is.
WAN_FILES = {
    "wan2.1_t2v_1.3B_bf16.safetensors": ("wan2.1", "Wan2.1 T2V"),
    "wan2.2_ti2v_5B_fp16.safetensors": ("wan2.2-5b", "Wan2.2 TI2V"),
    "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors": ("wan2.2-a14b", "Wan2.2 T2V A14B, high noise"),
    "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors": ("wan2.2-a14b", "Wan2.2 T2V A14B, low noise"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's models folder with tiny Wan files of every kind."""
    root = tmp_path_factory.mktemp("models")
    for seed, (name, (family, _)) in enumerate(WAN_FILES.items()):
        network = make_transformer(BY_NAME[family], seed)
        write(root / "diffusion_models" / name, BY_NAME[family].names.to_native(network.state_dict()))
    umt5_file(root / "text_encoders" / "umt5_xxl_fp8_e4m3fn_scaled.safetensors", make_umt5())
    for name, title in (("wan2.1", "Wan2.1 VAE"), ("wan2.2-5b", "Wan2.2 VAE")):
        family = BY_NAME[name]
        file = "wan_2.1_vae.safetensors" if name == "wan2.1" else "wan2.2_vae.safetensors"
        write(root / "vae" / file, vae_file(title, family, make_vae(title, family)))
    return root


@pytest.mark.parametrize(("name", "expected"), WAN_FILES.items())
def test_a_file_and_what_belongs_to_it_make_a_video(
    models: Path, name: str, expected: tuple[str, str]
) -> None:
    family, title = expected
    model = load_video_model(models / "diffusion_models" / name, "cpu")
    assert model.family.name == family
    assert model.description.startswith(title)
    assert "wan2.2_vae" in model.description if family == "wan2.2-5b" else "wan_2.1_vae" in model.description
    sample = next(iter(generate(model, JOBS, SMALL)))
    assert sample.frames.shape == (5, 32, 32, 3)
    assert torch.isfinite(sample.latents).all()


def test_weights_arrive_as_they_were(models: Path) -> None:
    model = load_video_model(models / "diffusion_models" / next(iter(WAN_FILES)), "cpu")
    for network, expected in (
        (model.transformer, make_transformer(BY_NAME["wan2.1"], 0)),
        (model.pipeline.vae, make_vae("Wan2.1 VAE", BY_NAME["wan2.1"])),
        (model.pipeline.text_encoder, make_umt5()),
    ):
        state = network.state_dict()
        assert all(torch.equal(state[key], value) for key, value in expected.state_dict().items())


def test_our_names_are_diffusers_own() -> None:
    """The same file through diffusers' converter."""
    family = BY_NAME["wan2.1"]
    network = make_transformer(family)
    native = family.names.to_native(network.state_dict())
    theirs = convert_wan_transformer_to_diffusers(dict(native))
    assert theirs.keys() == network.state_dict().keys()
    assert all(torch.equal(theirs[key], value) for key, value in network.state_dict().items())


def test_the_chosen_expert_is_the_trained_one(models: Path) -> None:
    for name, expert, low, high in (("high", "high noise", 0.875, 1.0), ("low", "low noise", 0.0, 0.875)):
        model = load_video_model(
            models / "diffusion_models" / f"wan2.2_t2v_{name}_noise_14B_fp8_scaled.safetensors"
        )
        assert (model.expert, model.sigma_range) == (expert, (low, high))
        seed = 2 if name == "high" else 3
        expected = make_transformer(model.family, seed).state_dict()["blocks.0.attn1.to_q.weight"]
        assert torch.equal(
            model.transformer.cpu().float().state_dict()["blocks.0.attn1.to_q.weight"], expected
        )
    other = load_video_model(model.folder, expert="high noise")
    assert (other.expert, other.fingerprint) == ("high noise", model.fingerprint)


def native() -> dict[str, torch.Tensor]:
    family = BY_NAME["wan2.1"]
    return family.names.to_native(make_transformer(family).state_dict())


def shuffled(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    keys = sorted(state)
    random.Random(0).shuffle(keys)
    return {key: state[key] for key in keys}


@pytest.mark.parametrize(
    ("change", "tolerance"),
    [
        pytest.param(shuffled, 0.0, id="shuffled"),
        pytest.param(lambda s: {f"model.diffusion_model.{k}": v for k, v in s.items()}, 0.0, id="prefixed"),
        pytest.param(lambda s: {k: v.bfloat16() for k, v in s.items()}, 0.01, id="bf16"),
        pytest.param(lambda s: to_fp8(s, "old"), 0.06, id="fp8 with scale_weight"),
        pytest.param(lambda s: to_fp8(s, "new"), 0.06, id="fp8 with weight_scale"),
        pytest.param(lambda s: {k: v.to(torch.float8_e4m3fn) for k, v in s.items()}, 0.06, id="plain fp8"),
        pytest.param(lambda s: s | {"ema.decay": torch.ones(1)}, 0.0, id="extra"),
    ],
)
def test_ways_to_write_the_same_weights(models: Path, tmp_path: Path, change, tolerance: float) -> None:
    file = write(tmp_path / "wan.safetensors", change(native()))
    model = load_video_model(file, "cpu", parts=find_parts(file, [models]))
    expected = make_transformer(BY_NAME["wan2.1"]).state_dict()
    for key, value in model.transformer.state_dict().items():
        assert (value.float() - expected[key]).abs().max() <= tolerance * expected[key].abs().max(), key
    assert ("ema.decay" in model.description) == ("ema.decay" in change(native()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            lambda s: {k: v for k, v in s.items() if "blocks.1.ffn" not in k},
            r"looks like a Wan2.1 T2V.*4 of \d+ weights are missing \(blocks.1.ffn.net.0.proj",
            id="missing",
        ),
        pytest.param(
            lambda s: s | {"blocks.1.self_attn.q.weight": torch.zeros(3, 128)},
            "attn1.to_q.weight is 3 x 128 and not 128 x 128",
            id="another size",
        ),
        pytest.param(
            lambda s: (
                s
                | {
                    "blocks.0.ffn.0.comfy_quant": torch.tensor(
                        list(b'{"format": "nvfp4"}'), dtype=torch.uint8
                    )
                }
            ),
            "quantised in a way.*nvfp4",
            id="nvfp4",
        ),
        pytest.param(
            lambda s: s | {"img_emb.proj.0.weight": torch.zeros(4)}, "starts from images", id="image to video"
        ),
        pytest.param(lambda s: {"blocks.0.x.lora_A.weight": torch.zeros(2, 2)}, "it is a LoRA", id="lora"),
        pytest.param(
            lambda s: {"double_blocks.0.img_attn.qkv.weight": torch.zeros(2)},
            "a Flux picture model",
            id="flux",
        ),
        pytest.param(lambda s: {"nothing.known": torch.zeros(2)}, "begin with nothing.known", id="unknown"),
    ],
)
def test_wrong_files_are_named(models: Path, tmp_path: Path, change, words: str) -> None:
    file = write(tmp_path / "wan.safetensors", change(native()))
    with pytest.raises(SpatialAlignError, match=words):
        load_video_model(file, "cpu", parts=find_parts(file, [models]))


def test_a_broken_download_is_named(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "wan.safetensors"
    file.write_bytes((models / "diffusion_models" / next(iter(WAN_FILES))).read_bytes()[:-100])
    with pytest.raises(SpatialAlignError, match=r"wan\.safetensors is damaged.*ends too early"):
        recognise_file(file)


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("vae", "needs its VAE, which was not found.*models/vae"),
        ("text_encoders", "needs its UMT5 text encoder, which was not found"),
    ],
)
def test_missing_parts_are_named(models: Path, folder: str, words: str) -> None:
    others = [each for each in models.iterdir() if each.name != folder]
    with pytest.raises(SpatialAlignError, match=words):
        find_parts(models / "diffusion_models" / next(iter(WAN_FILES)), others)


def test_a_wrong_choice_is_named(models: Path) -> None:
    file = models / "diffusion_models" / next(iter(WAN_FILES))
    with pytest.raises(SpatialAlignError, match=r"is a Wan2.2 VAE and does not belong to Wan2.1"):
        find_parts(file, [models], vae=models / "vae" / "wan2.2_vae.safetensors")
    with pytest.raises(SpatialAlignError, match=r"needs a UMT5 text encoder, but wan_2.1_vae"):
        find_parts(file, [models], text=[models / "vae" / "wan_2.1_vae.safetensors"])
    with pytest.raises(SpatialAlignError, match=r"is a Wan2.1 VAE, not a video model"):
        find_parts(models / "vae" / "wan_2.1_vae.safetensors", [models])


def test_of_several_files_the_fitting_one_is_taken(models: Path, tmp_path: Path) -> None:
    """The VAE of another model in the same shape, and a narrower text encoder, both first by name."""
    model = models / "diffusion_models" / next(iter(WAN_FILES))
    (tmp_path / "qwen_image_vae.safetensors").write_bytes(
        (models / "vae" / "wan_2.1_vae.safetensors").read_bytes()
    )
    umt5_file(tmp_path / "a_umt5_base.safetensors", make_umt5(width=8))
    parts = find_parts(model, [tmp_path, models])
    assert parts.vae.name == "wan_2.1_vae.safetensors"
    assert parts.text_encoders[0].name == "umt5_xxl_fp8_e4m3fn_scaled.safetensors"
    with pytest.raises(SpatialAlignError, match=r"of 8 channels, and .* needs one of 16"):
        find_parts(model, [models], text=[tmp_path / "a_umt5_base.safetensors"])


def test_two_hundred_files_are_quick(tmp_path: Path) -> None:
    for index in range(200):
        write(tmp_path / f"{index}.safetensors", {f"blocks.{n}.x.weight": torch.zeros(1) for n in range(200)})
    start = time.process_time()
    for file in tmp_path.iterdir():
        with pytest.raises(SpatialAlignError):
            recognise_file(file)
    assert time.process_time() - start < 3


def test_a_download_that_was_cut_off_is_not_whole(tmp_path: Path) -> None:
    assert is_whole(POCKET_FOLDER)
    assert not is_whole(tmp_path)
    (tmp_path / "model_index.json").write_text(
        '{"_class_name": "WanPipeline", "vae": ["diffusers", "AutoencoderKLWan"]}'
    )
    index = tmp_path / "vae" / "diffusion_pytorch_model.safetensors.index.json"
    index.parent.mkdir()
    assert not is_whole(tmp_path)
    index.write_text('{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}')
    (tmp_path / "vae" / "one.safetensors").touch()
    assert not is_whole(tmp_path)
    (tmp_path / "vae" / "two.safetensors").touch()
    assert is_whole(tmp_path)
