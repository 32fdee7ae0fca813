"""LoRA files as trainers and extractors really write them: names, types, kinds of change, containers; and the words for
those that cannot be applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families import families
from spatialalign_core.train.lora import (
    add_lora,
    apply_lora,
    diffusers_lora,
    lora_digest,
    read_lora,
    remove_lora,
    start_from,
)
from tests.tiny_models import make_transformer

FAMILIES = {family.name: family for family in families()}
State = dict[str, Tensor]
Q, OURS = "blocks.0.self_attn.q", "blocks.0.attn1.to_q"


def tiny(name: str = "wan2.1", expert: int = 0) -> VideoModel:
    family = FAMILIES[name]
    pipeline = SimpleNamespace(
        transformer=make_transformer(family), transformer_2=make_transformer(family, 1)
    )
    return VideoModel(
        Path("tiny"), family, pipeline, family.defaults, "abc", *family.experts[expert : expert + 1]
    )


def some(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.1


def weights(model: VideoModel) -> State:
    """Every parameter with what the adapter adds to it."""
    found = {}
    for name, value in model.transformer.named_parameters():
        if ".lora_" not in name:
            found[name.replace(".base_layer.", ".")] = value.detach().clone()
    for name, layer in model.transformer.named_modules():
        if hasattr(layer, "get_delta_weight"):
            found[f"{name}.weight"] += layer.get_delta_weight("applied")
    return found


def changed(model: VideoModel, state: State, file: Path) -> State:
    """What a file adds to each parameter that it changes."""
    before = weights(model)
    save_file({key: value.contiguous().clone() for key, value in state.items()}, file)
    apply_lora(model, file)
    after = weights(model)
    remove_lora(model)
    restored = dict(model.transformer.named_parameters())
    assert all(torch.equal(restored[name], value) for name, value in before.items())
    return {name: after[name] - before[name] for name in before if not torch.equal(after[name], before[name])}


DOWN, UP = some(4, 128), some(128, 4)
# Keys of the two halves, and what the product is multiplied by.
NAMES: dict[str, tuple[str, str, dict[str, Tensor], float]] = {
    "ComfyUI": (f"diffusion_model.{Q}.lora_A.weight", f"diffusion_model.{Q}.lora_B.weight", {}, 1),
    "CausVid": (f"diffusion_model.{Q}.lora_down.weight", f"diffusion_model.{Q}.lora_up.weight", {}, 1),
    "checkpoint": (f"model.diffusion_model.{Q}.lora_A.weight", f"model.diffusion_model.{Q}.lora_B.weight", {}, 1),
    "bare": (f"{Q}.lora_A.weight", f"{Q}.lora_B.weight", {}, 1),
    "Mochi's trainer": (f"{Q}.lora_A", f"{Q}.lora_B", {}, 1),
    "Mochi's trainer, prefixed": (f"diffusion_model.{Q}.lora_A", f"diffusion_model.{Q}.lora_B", {}, 1),
    "DiffSynth": (f"pipe.dit.{Q}.lora_A.default.weight", f"pipe.dit.{Q}.lora_B.default.weight", {}, 1),
    "DiffSynth, newer": (f"{Q}.lora_A.default.weight", f"{Q}.lora_B.default.weight", {}, 1),
    "dit": (f"dit.{Q}.lora_A.weight", f"dit.{Q}.lora_B.weight", {}, 1),
    "diffusers": (f"transformer.{OURS}.lora_A.weight", f"transformer.{OURS}.lora_B.weight", {}, 1),
    "diffusers, bare": (f"{OURS}.lora_A.weight", f"{OURS}.lora_B.weight", {}, 1),
    "diffusers, old": (f"transformer.{OURS}.lora.down.weight", f"transformer.{OURS}.lora.up.weight", {}, 1),
    "diffusers, processors": (
        "transformer.blocks.0.attn1.processor.to_q_lora.down.weight",
        "transformer.blocks.0.attn1.processor.to_q_lora.up.weight", {}, 1,
    ),
    "transformers": (f"unet.{OURS}.lora_linear_layer.down.weight", f"unet.{OURS}.lora_linear_layer.up.weight", {}, 1),
    "PEFT": (f"base_model.model.{OURS}.lora_A.weight", f"base_model.model.{OURS}.lora_B.weight", {}, 1),
    "PEFT of the original": (f"base_model.model.{Q}.lora_A.weight", f"base_model.model.{Q}.lora_B.weight", {}, 1),
    "PEFT in a wrapper": (
        f"module.base_model.model.{OURS}.lora_A.x.weight", f"module.base_model.model.{OURS}.lora_B.x.weight", {}, 1,
    ),
    "kohya": (
        "lora_unet_blocks_0_self_attn_q.lora_down.weight", "lora_unet_blocks_0_self_attn_q.lora_up.weight",
        {"lora_unet_blocks_0_self_attn_q.alpha": torch.tensor(2.0)}, 0.5,
    ),
    "musubi in bf16": (
        "lora_unet_blocks_0_self_attn_q.lora_down.weight", "lora_unet_blocks_0_self_attn_q.lora_up.weight",
        {"lora_unet_blocks_0_self_attn_q.alpha": torch.tensor(2.0, dtype=torch.bfloat16)}, 0.5,
    ),
    "alpha of one dimension": (
        f"diffusion_model.{Q}.lora_down.weight", f"diffusion_model.{Q}.lora_up.weight",
        {f"diffusion_model.{Q}.alpha": torch.tensor([8.0])}, 2,
    ),
    "alpha as a whole number": (
        f"diffusion_model.{Q}.lora_down.weight", f"diffusion_model.{Q}.lora_up.weight",
        {f"diffusion_model.{Q}.alpha": torch.tensor(8)}, 2,
    ),
    "Wan-Fun": (
        "lora_unet__blocks_0_self_attn_q.lora_down.weight", "lora_unet__blocks_0_self_attn_q.lora_up.weight",
        {"lora_unet__blocks_0_self_attn_q.alpha": torch.tensor(4.0)}, 1,
    ),
    "OneTrainer": (
        "lora_transformer_blocks_0_attn1_to_q.lora_down.weight", "lora_transformer_blocks_0_attn1_to_q.lora_up.weight",
        {"lora_transformer_blocks_0_attn1_to_q.alpha": torch.tensor(1.0)}, 0.25,
    ),
    "SimpleTuner LyCORIS": (
        "lycoris_blocks_0_attn1_to_q.lora_down.weight", "lycoris_blocks_0_attn1_to_q.lora_up.weight",
        {"lycoris_blocks_0_attn1_to_q.alpha": torch.tensor(1.0)}, 0.25,
    ),
}  # fmt: skip


@pytest.mark.parametrize("names", NAMES)
def test_names_of_every_trainer(tmp_path: Path, names: str) -> None:
    down, up, more, scale = NAMES[names]
    found = changed(tiny(), {down: DOWN, up: UP, **more}, tmp_path / "x.safetensors")
    assert found.keys() == {f"{OURS}.weight"}
    assert torch.allclose(found[f"{OURS}.weight"], scale * UP @ DOWN, atol=1e-6)
    assert len(lora_digest(tmp_path / "x.safetensors")) > 8


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_types_of_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {
        f"diffusion_model.{Q}.lora_down.weight": DOWN.to(dtype),
        f"diffusion_model.{Q}.lora_up.weight": UP.to(dtype),
        f"diffusion_model.{Q}.alpha": torch.tensor(4.0, dtype=dtype),
        f"diffusion_model.{Q}.diff_b": some(128).to(dtype),
    }
    found = changed(tiny(), state, tmp_path / "x.safetensors")
    expected = UP.to(dtype).float() @ DOWN.to(dtype).float()
    assert torch.allclose(found[f"{OURS}.weight"], expected, atol=1e-6)
    assert torch.allclose(found[f"{OURS}.bias"], some(128).to(dtype).float(), atol=1e-6)
    lora_digest(tmp_path / "x.safetensors")


def dora(weight: Tensor, parts: State) -> Tensor:
    new = weight + UP @ DOWN
    return new * parts["dora_scale"] / new.norm(dim=0, keepdim=True)


# What a file holds of a layer; which parameter changes, and to what (W is as it was).
Formula = Callable[[Tensor, State], Tensor]
KINDS: dict[str, tuple[str, State, dict[str, Formula]]] = {
    "full difference": (
        Q, {"diff": some(128, 128)}, {f"{OURS}.weight": lambda w, p: w + p["diff"]},
    ),
    "differences of weight and bias": (
        Q, {"diff": some(128, 128), "diff_b": some(128)},
        {f"{OURS}.weight": lambda w, p: w + p["diff"], f"{OURS}.bias": lambda w, p: w + p["diff_b"]},
    ),
    "LoRA and a bias": (
        Q, {"lora_down.weight": DOWN, "lora_up.weight": UP, "diff_b": some(128)},
        {f"{OURS}.weight": lambda w, p: w + UP @ DOWN, f"{OURS}.bias": lambda w, p: w + p["diff_b"]},
    ),
    "peft's bias": (
        Q, {"lora_A.weight": DOWN, "lora_B.weight": UP, "lora_B.bias": some(128), "alpha": torch.tensor(2.0)},
        {
            f"{OURS}.weight": lambda w, p: w + UP @ DOWN / 2,
            f"{OURS}.bias": lambda w, p: w + p["lora_B.bias"] / 2,
        },
    ),
    "bias alone": (Q, {"diff_b": some(128)}, {f"{OURS}.bias": lambda w, p: w + p["diff_b"]}),
    "norm": (
        "blocks.1.norm3", {"diff": some(128), "diff_b": some(128, seed=1)},
        {"blocks.1.norm2.weight": lambda w, p: w + p["diff"], "blocks.1.norm2.bias": lambda w, p: w + p["diff_b"]},
    ),
    "norm of LyCORIS": (
        "blocks.1.norm3", {"w_norm": some(128), "b_norm": some(128, seed=1)},
        {"blocks.1.norm2.weight": lambda w, p: w + p["w_norm"], "blocks.1.norm2.bias": lambda w, p: w + p["b_norm"]},
    ),
    "norm without bias": (
        "blocks.1.self_attn.norm_q", {"diff": some(128)},
        {"blocks.1.attn1.norm_q.weight": lambda w, p: w + p["diff"]},
    ),
    "parameter of no layer": (
        "blocks.1.modulation", {"diff": some(1, 6, 128)},
        {"blocks.1.scale_shift_table": lambda w, p: w + p["diff"]},
    ),
    "convolution": (
        "patch_embedding", {"lora_down.weight": some(3, 16, 1, 2, 2), "lora_up.weight": some(128, 3, 1, 1, 1)},
        {
            "patch_embedding.weight": lambda w, p: w
            + (p["lora_up.weight"].flatten(1) @ p["lora_down.weight"].flatten(1)).view_as(w)
        },
    ),
    "convolution's difference": (
        "patch_embedding", {"diff": some(128, 16, 1, 2, 2), "diff_b": some(128)},
        {
            "patch_embedding.weight": lambda w, p: w + p["diff"],
            "patch_embedding.bias": lambda w, p: w + p["diff_b"],
        },
    ),
    "weight in place of the old": (Q, {"set_weight": some(128, 128)}, {f"{OURS}.weight": lambda w, p: p["set_weight"]}),
    "DoRA of columns": (
        Q, {"lora_A.weight": DOWN, "lora_B.weight": UP, "dora_scale": some(1, 128) + 1},
        {f"{OURS}.weight": dora},
    ),
    "DoRA of peft": (
        Q, {"lora_A.weight": DOWN, "lora_B.weight": UP, "lora_magnitude_vector": some(128) + 1},
        {
            f"{OURS}.weight": lambda w, p: (w + UP @ DOWN)
            * (p["lora_magnitude_vector"] / (w + UP @ DOWN).norm(dim=1))[:, None]
        },
    ),
    "GLoRA": (
        Q, {f"{n}{i}.weight": some(*((128, 3), (3, 128))[i - 1]) for n in "ab" for i in (1, 2)},
        {
            f"{OURS}.weight": lambda w, p: w
            + w @ p["a1.weight"] @ p["a2.weight"]
            + p["b1.weight"] @ p["b2.weight"]
        },
    ),
    "LoKr of two large matrices": (
        Q, {"lokr_w1": some(2, 2), "lokr_w2": some(64, 64)},
        {f"{OURS}.weight": lambda w, p: w + torch.kron(p["lokr_w1"], p["lokr_w2"])},
    ),
    "OFT that turns nothing": (Q, {"oft_blocks": torch.zeros(4, 32, 32)}, {}),
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["diffusion_model.", "lora_unet_"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_changes(tmp_path: Path, kind: str, prefix: str) -> None:
    module, parts, formulas = KINDS[kind]
    name = prefix + (module.replace(".", "_") if prefix.endswith("_") else module)
    model = tiny()
    before = weights(model)
    found = changed(
        model, {f"{name}.{part}": value for part, value in parts.items()}, tmp_path / "x.safetensors"
    )
    assert found.keys() == formulas.keys()
    for parameter, formula in formulas.items():
        expected = formula(before[parameter], parts) - before[parameter]
        assert torch.allclose(found[parameter], expected, atol=1e-5), parameter


def test_oft_turns_without_changing_lengths(tmp_path: Path) -> None:
    for blocks in (some(4, 32, 32), some(3, 8, 16, 16)):  # the second is a BOFT
        model = tiny()
        before = weights(model)[f"{OURS}.weight"]
        found = changed(model, {f"diffusion_model.{Q}.oft_blocks": blocks}, tmp_path / "x.safetensors")
        after = before + found[f"{OURS}.weight"]
        assert torch.allclose(after.norm(dim=0), before.norm(dim=0), atol=1e-4)


@pytest.mark.parametrize("strength", [0.0, 0.5, -1.0, 2.0])
def test_strength_of_what_is_written_into_weights(tmp_path: Path, strength: float) -> None:
    model, file = tiny(), tmp_path / "x.safetensors"
    before = weights(model)
    state = {f"diffusion_model.{Q}.diff": some(128, 128), f"diffusion_model.{Q}.diff_b": some(128)}
    save_file(state, file)
    for _ in range(2):  # applied twice it is not added twice
        apply_lora(model, file, strength)
    after = weights(model)
    for part, name in (("weight", "diff"), ("bias", "diff_b")):
        change = after[f"{OURS}.{part}"] - before[f"{OURS}.{part}"]
        assert torch.allclose(change, strength * state[f"diffusion_model.{Q}.{name}"], atol=1e-6)


def test_fused_layers_with_halves_that_change_places(tmp_path: Path) -> None:
    model = tiny("mochi")
    names = model.family.names
    before = names.to_native(weights(model))
    state = {
        f"{module}.{part}": some(*value.shape)
        for module in ("blocks.0.attn.qkv_x", "blocks.0.mlp_x.w1", "final_layer.mod")
        for part, suffix in (("diff", ".weight"), ("diff_b", ".bias"))
        if (value := before.get(module + suffix)) is not None
    }
    save_file(state, tmp_path / "x.safetensors")
    apply_lora(model, tmp_path / "x.safetensors")
    after = names.to_native(weights(model))
    for key, value in state.items():
        module, part = key.rsplit(".", 1)
        name = module + (".weight" if part == "diff" else ".bias")
        assert torch.allclose(after[name] - before[name], value, atol=1e-6), name


# Containers: what torch.save wrote.
def plain(key: str = "pipe.dit.") -> State:
    return {f"{key}{Q}.lora_A.default.weight": DOWN, f"{key}{Q}.lora_B.default.weight": UP}


CONTAINERS: dict[str, Any] = {
    "state alone": plain(),
    "Lightning": {"epoch": 3, "global_step": 2400, "state_dict": plain(), "hyper_parameters": {"rank": 16}},
    "DeepSpeed": {"module": plain(), "ds_version": "0.16", "lr": 1e-4},
    "module in model": {"model": {"module": plain("")}, "step": 1},
    "state_dict in module": {"module": {"state_dict": plain("")}, "step": 1},
    "several cards": plain("module.pipe.dit."),
    "OrderedDict": __import__("collections").OrderedDict(plain("diffusion_model.")),
}


@pytest.mark.parametrize("ending", ["ckpt", "pt", "pth", "bin", "CKPT"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_pickled_files(tmp_path: Path, container: str, ending: str) -> None:
    model, file = tiny(), tmp_path / f"spatialalign.{ending}"
    before = weights(model)[f"{OURS}.weight"]
    torch.save(CONTAINERS[container], file)
    apply_lora(model, file)
    assert torch.allclose(weights(model)[f"{OURS}.weight"] - before, UP @ DOWN, atol=1e-6)
    assert len(read_lora(file)[0]) == 2 and lora_digest(file)


class Program:
    def __reduce__(self) -> Any:
        return (print, ("this must never run",))


def test_a_pickle_that_would_run_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.ckpt"
    torch.save(plain() | {"callbacks": Program()}, file)
    with pytest.raises(SpatialAlignError, match="was not opened, because it asks to run program code"):
        apply_lora(tiny(), file)
    file.write_bytes(b"not a pickle")
    with pytest.raises(SpatialAlignError, match=r"x\.ckpt is damaged"):
        apply_lora(tiny(), file)
    file.unlink()
    with pytest.raises(SpatialAlignError, match="There is no LoRA file"):
        apply_lora(tiny(), file)
    assert "never" not in capsys.readouterr().out


def halves(name: str, rows: int = 128, columns: int = 128) -> State:
    return {f"{name}.lora_A.weight": some(4, columns), f"{name}.lora_B.weight": some(rows, 4)}


REFUSED: dict[str, tuple[State, str]] = {
    "14B on a smaller one": (
        halves(f"diffusion_model.{Q}", 5120, 5120),
        r"5120 x 5120, and this model has 128 x 128\): it was trained on the 14B, and this is another \(width 5120 "
        r"against 128\)",
    ),
    "a size nobody published": (halves(Q, 96, 96), "96 x 96, and this model has 128 x 128"),
    "a difference of another size": ({f"{Q}.diff": some(96, 96)}, "96 x 96, and this model has 128 x 128"),
    "a bias of another size": ({f"{Q}.diff_b": some(96)}, "96, and this model has 128"),
    "image to video": (
        halves(Q) | halves("blocks.0.cross_attn.k_img"),
        "1 of its 2 layers are not in this Wan2.1 T2V; by its names it was trained on an image-to-video model",
    ),
    "VACE": (halves("vace_blocks.0.self_attn.q"), "by its names it was trained on a VACE model"),
    "HunyuanVideo": (
        halves("transformer.double_blocks.0.img_attn.qkv"),
        "none of its layers is in this Wan2.1 T2V; by its names it was trained on HunyuanVideo or FLUX",
    ),
    "SDXL": (
        halves("lora_unet_input_blocks_4_1_proj_in"),
        "by its names it was trained on Stable Diffusion or SDXL",
    ),
    "text encoder": (
        halves(Q) | {"lora_te_encoder_block_0.lora_down.weight": DOWN},
        "it also changes the text encoder \\('lora_te_encoder_block_0",
    ),
    "half a LoRA": ({f"{Q}.lora_A.weight": DOWN}, "only one half of it is there"),
    "half a LoRA with a bias": ({f"{Q}.lora_B.bias": some(128)}, "only one half of it is there"),
    "unknown": ({f"{Q}.mystery": DOWN}, r"it holds 'blocks.0.self_attn.q.mystery', a kind of weight"),
    "a whole model": (
        {f"{Q}.weight": some(128, 128), f"{Q}.bias": some(128)},
        "it holds whole weights such as 'blocks.0.self_attn.q.bias'",
    ),
    "VeRA": ({f"base_model.model.{OURS}.vera_lambda_b": some(4)}, "it is a VeRA"),
    "IA3": ({f"base_model.model.{OURS}.ia3_l": some(4)}, "it is an IA3"),
    "OFT of peft": ({f"base_model.model.{OURS}.oft_R.weight": some(4)}, "it is peft's OFT"),
    "LoCon": (halves(Q) | {f"{Q}.lora_mid.weight": DOWN}, "LoRA of a convolution with a middle factor"),
    "two adapters": (
        {f"{Q}.lora_A.{name}.weight": DOWN for name in ("one", "two")},
        "holds the part 'down' of .* twice",
    ),
    "one layer under two names": (halves(Q) | halves(f"transformer.{OURS}"), "changes the same layer twice"),
    "norms without a LoRA": ({f"{Q}.dora_scale": some(1, 128)}, "norms of a DoRA and no change"),
    "bias of a layer without": (
        {"blocks.0.self_attn.norm_q.diff_b": some(128)},
        "bias of a layer that has none",
    ),
    "two experts' file": (halves(f"transformer_2.{OURS}"), "it is for a model of two networks"),
    "halves of different ranks": (
        {f"{Q}.lora_A.weight": DOWN, f"{Q}.lora_B.weight": some(128, 5)},
        "it is not whole: parts are missing or do not fit each other",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_true_cause_is_told(tmp_path: Path, case: str) -> None:
    state, words = REFUSED[case]
    model, file = tiny(), tmp_path / "theirs.safetensors"
    before = weights(model)
    save_file({key: value.contiguous().clone() for key, value in state.items()}, file)
    with pytest.raises(SpatialAlignError, match=words) as caught:
        apply_lora(model, file)
    text = str(caught.value)
    assert text.startswith("theirs.safetensors does not fit tiny: ") and text.endswith(".")
    assert "choose a LoRA that was trained on this model" not in text
    assert weights(model).keys() == before.keys()


@pytest.mark.parametrize("kind", ["full difference", "bias alone", "norm", "DoRA of peft", "GLoRA"])
def test_what_cannot_be_continued_says_so(tmp_path: Path, kind: str) -> None:
    module, parts, _ = KINDS[kind]
    model, file = tiny(), tmp_path / "x.safetensors"
    save_file({f"diffusion_model.{module}.{part}": value for part, value in parts.items()}, file)
    parameters = add_lora(model, "wide", 4, 4.0, 0)
    with pytest.raises(
        SpatialAlignError, match=r"x\.safetensors cannot be trained further: it also changes a"
    ):
        start_from(model, parameters, file, 1.0)
    remove_lora(model)
    with pytest.raises(SpatialAlignError, match="cannot be written for diffusers"):
        diffusers_lora(model, file)


@pytest.mark.parametrize("names", ["kohya", "alpha of one dimension", "DiffSynth", "Wan-Fun"])
def test_training_continues_from_files_of_others(tmp_path: Path, names: str) -> None:
    down, up, more, scale = NAMES[names]
    model, file = tiny(), tmp_path / "x.safetensors"
    save_file({down: DOWN, up: UP, **more}, file)
    parameters = add_lora(model, "wide", 4, 2.0, 0)
    start_from(model, parameters, file, 0.5)
    layer = model.transformer.get_submodule(OURS)
    found = 0.5 * layer.lora_B["trained"].weight @ layer.lora_A["trained"].weight
    assert torch.allclose(found, scale * UP @ DOWN, atol=1e-5)


@pytest.mark.parametrize("expert", [0, 1])
@pytest.mark.parametrize(
    ("first", "second"),
    [("transformer.", "transformer_2."), ("high_noise_model.", "low_noise_model.")],
)
def test_a_file_for_both_experts(tmp_path: Path, first: str, second: str, expert: int) -> None:
    model, file = tiny("wan2.2-a14b", expert), tmp_path / "both.safetensors"
    state = {
        f"{prefix}{OURS}.lora_{letter}.weight": value * factor
        for prefix, factor in ((first, 1.0), (second, 2.0))
        for letter, value in (("A", DOWN), ("B", UP))
    }
    found = changed(model, state, file)[f"{OURS}.weight"]
    assert torch.allclose(found, (UP @ DOWN) * (1, 4)[expert], atol=1e-5)
    one = {key: value for key, value in state.items() if key.startswith(second)}
    if expert == 0:
        save_file(one, file)
        with pytest.raises(SpatialAlignError, match="holds nothing for the high noise network"):
            apply_lora(model, file)
    else:
        assert torch.allclose(changed(model, one, file)[f"{OURS}.weight"], 4 * UP @ DOWN, atol=1e-5)


def test_a_file_that_names_no_expert_is_for_either(tmp_path: Path) -> None:
    for expert in (0, 1):
        for prefix in ("transformer.", "diffusion_model.", ""):
            found = changed(
                tiny("wan2.2-a14b", expert), halves(f"{prefix}{OURS}"), tmp_path / "x.safetensors"
            )
            assert found.keys() == {f"{OURS}.weight"}


def test_weights_in_half_precision_come_back_to_the_bit(tmp_path: Path) -> None:
    model = tiny()
    model = replace(
        model, pipeline=SimpleNamespace(transformer=make_transformer(model.family).to(torch.bfloat16))
    )
    found = changed(model, {f"{Q}.diff": some(128, 128)}, tmp_path / "x.safetensors")
    assert found[f"{OURS}.weight"].dtype == torch.bfloat16
