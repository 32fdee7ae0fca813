"""Folders as a model's authors publish them: weights, VAE and text encoder as .pth, tokenizer, no model_index.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.generate import GenerateOptions, Job, generate
from spatialalign_core.models.base import GenerateSettings
from spatialalign_core.models.families import families
from spatialalign_core.models.file_kinds import recognise_file, video_models
from spatialalign_core.models.loading import load_video_model, recognise_family
from spatialalign_core.models.single_files import find_parts, transformer_config
from spatialalign_core.run.worker import prepare, recipe
from spatialalign_core.weight_files import weights_fingerprint
from tests.tiny_models import encoder_state, make_transformer, make_umt5, make_vae, spiece_model, vae_file
from tests.unit.test_text_encoders import wan_names

BY_NAME = {family.name: family for family in families()}
# Folder -> family, VAE's file and kind, where the networks lie and in how many parts.
FOLDERS = {
    "Wan2.1-T2V-1.3B": ("wan2.1", "Wan2.1_VAE.pth", "Wan2.1 VAE", [""], 1),
    "Wan2.1-T2V-14B": ("wan2.1", "Wan2.1_VAE.pth", "Wan2.1 VAE", [""], 3),
    "Wan2.2-TI2V-5B": ("wan2.2-5b", "Wan2.2_VAE.pth", "Wan2.2 VAE", [""], 3),
    "Wan2.2-T2V-A14B": (
        "wan2.2-a14b", "Wan2.1_VAE.pth", "Wan2.1 VAE", ["high_noise_model", "low_noise_model"], 2
    ),
}  # fmt: skip


def publish(folder: Path, name: str) -> Path:
    family_name, vae, title, networks, parts = FOLDERS[name]
    family = BY_NAME[family_name]
    place = folder / name
    (place / "google" / "umt5-xxl").mkdir(parents=True)
    (place / "google" / "umt5-xxl" / "spiece.model").write_bytes(spiece_model())
    for seed, network in enumerate(networks):
        state = family.names.to_native(make_transformer(family, seed).state_dict())
        write_parts(place / network, state, parts)
        (place / network / "config.json").write_text(json.dumps({"_class_name": "WanModel"}))
    torch.save(vae_file(title, family, make_vae(title, family)), place / vae)
    torch.save(wan_names(encoder_state("umt5", make_umt5())), place / "models_t5_umt5-xxl-enc-bf16.pth")
    return place


def write_parts(folder: Path, state: dict[str, torch.Tensor], count: int) -> None:
    folder.mkdir(exist_ok=True)
    keys = sorted(state)
    for number in range(count):
        part = {key: state[key].contiguous().clone() for key in keys[number::count]}
        name = f"-{number + 1:05d}-of-{count:05d}" if count > 1 else ""
        save_file(part, folder / f"diffusion_pytorch_model{name}.safetensors")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_published_folder_makes_a_video(tmp_path: Path, name: str) -> None:
    place = publish(tmp_path, name)
    family = BY_NAME[FOLDERS[name][0]]
    assert recognise_family(place).name == family.name
    model = load_video_model(place, "cpu")
    assert (model.family.name, model.folder) == (family.name, place)
    expected = make_transformer(family, 0).state_dict()
    assert all(torch.equal(model.transformer.state_dict()[key], value) for key, value in expected.items())
    if family.experts:
        other = load_video_model(place, "cpu", expert="low noise")
        expected = make_transformer(family, 1).state_dict()
        assert all(torch.equal(other.transformer.state_dict()[key], value) for key, value in expected.items())
        assert other.fingerprint == model.fingerprint
    small = GenerateSettings(height=32, width=32, num_frames=5, fps=8, steps=1, guidance_scale=1.0)
    sample = next(iter(generate(model, [Job("a", "a cat is on the left of a box", 0)], small)))
    assert sample.frames.shape == (5, 32, 32, 3)


@pytest.mark.parametrize("expert", ["high noise", "low noise"])
def test_a_worker_puts_a_lora_on_the_same_network(tmp_path: Path, expert: str) -> None:
    model = load_video_model(publish(tmp_path, "Wan2.2-T2V-A14B"), "cpu", expert=expert)
    lora = tmp_path / "lora.safetensors"
    layer = "diffusion_model.blocks.0.self_attn.q.lora_"
    save_file({f"{layer}A.weight": torch.ones(2, 128), f"{layer}B.weight": torch.ones(128, 2)}, lora)
    plan = json.loads(json.dumps(recipe(model, model.defaults, lora, 1.0, GenerateOptions())))
    found, _, _ = prepare(plan, "cpu")
    changed = [
        network
        for network in (found.pipeline.transformer, found.pipeline.transformer_2)
        if any(".lora_" in name for name, _ in network.named_modules())
    ]
    assert found.expert == expert
    assert changed == [found.transformer]


def test_its_files_one_by_one(tmp_path: Path) -> None:
    """Chosen from ComfyUI's list, a part stands for the whole."""
    place = publish(tmp_path, "Wan2.1-T2V-14B")
    files = {path.name: path for path in sorted(place.glob("*.safetensors"))}
    first, second, third = files
    assert video_models(files) == [first]
    assert find_parts(files[third]).transformer == files[first]
    assert transformer_config(files[first])["num_layers"] == 2
    before = weights_fingerprint(files[first])
    files[second].write_bytes(files[second].read_bytes()[:-1] + b"\x7f")
    assert weights_fingerprint(files[first]) != before
    files[second].unlink()
    with pytest.raises(SpatialAlignError, match=f"3 parts of a model, and 1 of them are missing .{second}"):
        recognise_file(files[first])
    with pytest.raises(SpatialAlignError, match=f"missing .{second}"):
        load_video_model(place, "cpu")


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("Wan2.1_VAE.pth", "needs its VAE, which was not found"),
        ("models_t5_umt5-xxl-enc-bf16.pth", "needs its UMT5 text encoder, which was not found"),
        ("google/umt5-xxl/spiece.model", "put the folder google/umt5-xxl of its authors beside it"),
        ("diffusion_pytorch_model.safetensors", "no model_index.json.*and holds no video model's file"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, gone: str, words: str) -> None:
    place = publish(tmp_path, "Wan2.1-T2V-1.3B")
    (place / gone).unlink()
    with pytest.raises(SpatialAlignError, match=words):
        load_video_model(place, "cpu")


def test_a_folder_of_several_models_is_asked_about(tmp_path: Path) -> None:
    place = publish(tmp_path, "Wan2.1-T2V-1.3B")
    (place / "other.safetensors").write_bytes((place / "diffusion_pytorch_model.safetensors").read_bytes())
    with pytest.raises(
        SpatialAlignError, match=r"several video models \(diffusion_pytorch_model\.safetensors, other"
    ):
        recognise_family(place)
