"""Every model family against its pipeline's own scheduler, its names, its sizes and its LoRA files. A new family is a
row in tests/tiny_models.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import GenerateSettings, VideoModel, with_mask
from spatialalign_core.models.families import families
from spatialalign_core.models.families.hunyuan import _pack, _unpack
from spatialalign_core.models.lora_changes import parameter_shapes, read_changes
from spatialalign_core.models.lora_keys import (
    Update,
    linear_rows,
    resized,
    to_diffusers,
    to_native,
)
from spatialalign_core.models.weights import empty, rows_of
from spatialalign_core.train.lora import apply_lora, save_lora, target_modules
from spatialalign_core.train.losses import mean_squared_error, preference_loss
from tests.tiny_models import PUBLISHED, TEXT_WIDTH, TRANSFORMERS, make_transformer

FAMILIES = {family.name: family for family in families()}
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
SETTINGS = GenerateSettings(height=64, width=64, num_frames=9, fps=8, steps=5, guidance_scale=1.0)


def pipeline_of(family: Any, transformer: Any) -> Any:
    import diffusers

    names = {"vae", "text_encoder", "tokenizer"} | (
        {"text_encoder_2", "tokenizer_2"} if len(family.text_kinds) > 1 else set()
    )
    parts = dict.fromkeys(names) | {"transformer": transformer, "scheduler": family.scheduler(family.title)}
    if family.experts:
        parts["transformer_2"] = transformer
    return getattr(diffusers, family.pipeline_class)(**parts, **family.pipeline_options())


def text_of(family: Any) -> torch.Tensor:
    states, mask = torch.ones(1, 8, TEXT_WIDTH), torch.ones(1, 8)
    if family.name == "hunyuan-video":
        return _pack(states, mask, torch.ones(1, 24))
    return with_mask(states, mask) if family.name in ("ltx-video", "mochi") else states


def all_knowing(family: Any, clean: torch.Tensor) -> tuple[Any, dict[str, Any]]:
    """A network that always predicts towards `clean`, as the published ones are called and answer; and its memory, in
    which a scheduler makes it take that one's noise levels, since some round the timesteps that they tell."""
    transformer = make_transformer(family)
    memory: dict[str, Any] = {"scheduler": None}

    def forward(hidden_states: torch.Tensor, *args: Any, **options: Any) -> tuple[torch.Tensor]:
        time = (options["timestep"] if "timestep" in options else args[0]).flatten()[0].double()
        x = hidden_states.double()
        if family.name.startswith("cogvideox"):
            signal = memory["alphas"][int(time)].double().sqrt()
            wanted = clean.double().transpose(1, 2)
            return ((signal * x - wanted) / (1 - signal**2).sqrt()).float(),  # fmt: skip
        sigma = 1 - time / 1000 if family.name == "mochi" else time / 1000
        if memory["scheduler"] is not None:
            levels = memory["scheduler"].sigmas.double()
            levels = 1 - levels if family.name == "mochi" else levels
            sigma = levels[(levels - sigma).abs().argmin()]
        wanted = clean.double()
        if family.name == "ltx-video":
            wanted = wanted.flatten(2).transpose(1, 2)
        answer = (x - wanted) / sigma
        return (-answer if family.name == "mochi" else answer).float(),  # fmt: skip

    transformer.forward = forward
    return transformer, memory


@every_family
def test_loss_and_scheduler_agree(family: Any) -> None:
    """With exact predictions the pipeline's own sampler ends at the clean latents, and the loss is zero."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, *family.latent_shape(pipeline_of(family, make_transformer(family)), SETTINGS))
    clean, noise = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    network, memory = all_knowing(family, clean)
    pipeline = pipeline_of(family, network)
    memory["alphas"] = getattr(pipeline.scheduler, "alphas_cumprod", None)
    text = text_of(family)

    memory["scheduler"] = pipeline.scheduler
    with torch.no_grad():
        ended = family.sample(pipeline, text, None, noise, SETTINGS)
    assert (ended - clean).abs().max() < 1e-3

    memory["scheduler"] = None
    prediction = family.prediction(pipeline)
    for sigma in (0.2, 0.6, 0.95):
        noisy, target = prediction.noisy(clean, noise, sigma), prediction.target(clean, noise, sigma)
        assert (prediction.clean(noisy, target, sigma) - clean).abs().max() < 1e-4
        said = family.velocity(network, noisy, torch.tensor([sigma]), text)
        assert mean_squared_error(said, target).item() < 1e-8
        loss = preference_loss(said, said, said, said, target, target, loss="sft")
        assert loss.total.item() < 1e-8


@every_family
def test_attention_with_a_mask_is_known(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[bool] = []
    real = torch.nn.functional.scaled_dot_product_attention

    def attention(*arguments: Any, attn_mask: Any = None, **named: Any) -> torch.Tensor:
        masks.append(attn_mask is not None)
        return real(*arguments, attn_mask=attn_mask, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    network = make_transformer(family)
    shape = (1, *family.latent_shape(pipeline_of(family, network), SETTINGS))
    with torch.no_grad():
        family.velocity(network, torch.zeros(shape), torch.tensor([0.5]), text_of(family))
    assert masks and any(masks) == family.masked_attention


@every_family
def test_names_go_there_and_back(family: Any) -> None:
    network = make_transformer(family)
    ours = network.state_dict()
    native = family.names.to_native(ours)
    back = family.names.to_ours(native, rows_of(network))
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[key], value) for key, value in ours.items())


@every_family
def test_sizes_are_read_from_shapes(family: Any) -> None:
    shapes = {
        key: tuple(v.shape)
        for key, v in family.names.to_native(make_transformer(family).state_dict()).items()
    }
    file = "high_noise.safetensors" if family.experts else "model.safetensors"
    if family.name == "cogvideox-2b":  # told by its width
        assert FAMILIES["cogvideox-5b"].recognise(shapes, file)
        return
    owners = [each.name for each in families() if each.recognise(shapes, file)]
    assert owners == [family.name]
    config = family.transformer_config(shapes)
    for key, value in TRANSFORMERS[family.name].items():
        if key in config and key != "max_text_seq_length":
            assert config[key] == value, key


@pytest.mark.parametrize(("name", "sizes", "title"), PUBLISHED)
def test_published_sizes_are_known(name: str, sizes: dict[str, Any], title: str) -> None:
    """The published networks, without memory for their weights."""
    import diffusers

    family = FAMILIES[name]
    network = empty(lambda: getattr(diffusers, family.transformer_class)(**sizes))
    native = family.names.to_native(network.state_dict())
    shapes = {key: tuple(value.shape) for key, value in native.items()}
    assert [
        each.recognise(shapes, "x.safetensors")
        for each in families()
        if each.recognise(shapes, "x.safetensors")
    ] == [title]
    made = empty(lambda: getattr(diffusers, family.transformer_class)(**family.transformer_config(shapes)))
    assert {k: v.shape for k, v in made.state_dict().items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }


def updates_of(family: Any, network: Any, targets: str = "wide") -> dict[str, Update]:
    model = VideoModel(Path("tiny"), family, SimpleNamespace(transformer=network), family.defaults, "")
    generator = torch.Generator().manual_seed(3)
    layers = dict(network.named_modules())
    return {
        name: Update(
            torch.randn((3, layers[name].in_features), generator=generator),
            torch.randn((layers[name].out_features, 3), generator=generator),
        )
        for name in target_modules(model, targets)
    }


def plain(state: dict[str, torch.Tensor], family: Any) -> dict[str, torch.Tensor]:
    return {key.removeprefix(family.lora_prefix): value for key, value in state.items()}


def kohya(state: dict[str, torch.Tensor], family: Any) -> dict[str, torch.Tensor]:
    """Underscores, down and up, and an alpha that halves."""
    other = {}
    for key, value in plain(state, family).items():
        module, part = key.split(".lora_")
        name = "lora_unet_" + module.replace(".", "_")
        other[f"{name}.lora_{'down' if part[0] == 'A' else 'up'}.weight"] = value * (
            1 if part[0] == "A" else 2
        )
        if part[0] == "A":
            other[f"{name}.alpha"] = torch.tensor(len(value) / 2)
    return other


STYLES = {
    "native": lambda state, ours, family: {
        f"diffusion_model.{k}": v for k, v in plain(state, family).items()
    },
    "bare": lambda state, ours, family: plain(state, family),
    "kohya": lambda state, ours, family: kohya(state, family),
    "diffusers": lambda state, ours, family: to_diffusers(ours),
    "peft": lambda state, ours, family: {
        k.replace("transformer.", "base_model.model.", 1): v for k, v in to_diffusers(ours).items()
    },
    "adapter name": lambda state, ours, family: {
        k.replace(".weight", ".default.weight"): v for k, v in to_diffusers(ours).items()
    },
}


@every_family
@pytest.mark.parametrize("style", STYLES)
def test_lora_files_of_every_style(family: Any, style: str) -> None:
    network = make_transformer(family)
    rows, ours = linear_rows(network), updates_of(family, network)
    file = STYLES[style](to_native(family, ours, rows), ours, family)
    read = read_changes(family, file, {}, parameter_shapes(network)).updates
    assert read.keys() == ours.keys()
    for name, update in ours.items():
        found = read[name]
        assert torch.allclose(found.up @ found.down, update.up @ update.down, atol=1e-4), name
        assert found.rank == update.rank


def test_fused_layers_need_not_be_whole() -> None:
    """A LoRA on keys and values alone leaves the queries of a fused layer as they are."""
    family = FAMILIES["mochi"]
    network = make_transformer(family)
    rows, ours = linear_rows(network), updates_of(family, network, "published")
    state = to_native(family, ours, rows)
    whole = state["diffusion_model.blocks.0.attn.qkv_y.lora_B.weight"]
    assert whole.shape == (3 * 96, 6)
    assert whole[:96].abs().max() == 0
    assert read_changes(family, state, {}, parameter_shapes(network)).updates.keys() == ours.keys()


def some(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


# A layer of 128 x 128: what the file holds, and what it adds to the weight.
OTHER_KINDS: dict[str, tuple[dict[str, torch.Tensor], Callable[[dict[str, torch.Tensor]], torch.Tensor]]] = {
    "LoHa": (
        {
            "hada_w1_a": some(128, 3),
            "hada_w1_b": some(3, 128),
            "hada_w2_a": some(128, 4),
            "hada_w2_b": some(4, 128),
            "alpha": torch.tensor(1.5),
        },
        lambda p: (p["hada_w1_a"] @ p["hada_w1_b"]) * (p["hada_w2_a"] @ p["hada_w2_b"]) / 2,
    ),
    "LoKr": (
        {
            "lokr_w1": some(4, 8),
            "lokr_w2_a": some(32, 3),
            "lokr_w2_b": some(3, 16),
            "alpha": torch.tensor(6.0),
        },
        lambda p: torch.kron(p["lokr_w1"], p["lokr_w2_a"] @ p["lokr_w2_b"]) * 2,
    ),
    "LoKr of whole matrices": (
        {"lokr_w1": some(8, 4), "lokr_w2": some(16, 32), "alpha": torch.tensor(7.0)},
        lambda p: torch.kron(p["lokr_w1"], p["lokr_w2"]),
    ),
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_kinds_of_changes(kind: str) -> None:
    parts, change = OTHER_KINDS[kind]
    family = FAMILIES["wan2.1"]
    file = {f"diffusion_model.blocks.0.self_attn.q.{part}": value for part, value in parts.items()}
    read = read_changes(family, file, {}, parameter_shapes(make_transformer(family))).updates
    update = read["blocks.0.attn1.to_q"]
    expected = change(parts)
    assert (update.up @ update.down - expected).abs().max() < 1e-5 * expected.abs().max()
    lost = {key: value for key, value in file.items() if not key.endswith(("w1_b", "w2_b", "w2"))}
    with pytest.raises(SpatialAlignError, match=r"self_attn.q': it is not whole"):
        read_changes(family, lost, {}, parameter_shapes(make_transformer(family)))


def test_scale_of_an_adapter_config() -> None:
    family = FAMILIES["wan2.1"]
    network = make_transformer(family)
    ours = updates_of(family, network, "published")
    metadata = {"lora_adapter_metadata": '{"transformer.r": 3, "transformer.lora_alpha": 6}'}
    read = read_changes(family, to_diffusers(ours), metadata, parameter_shapes(network)).updates
    assert all(torch.allclose(read[name].up, 2 * update.up) for name, update in ours.items())


@pytest.mark.parametrize("rank", [2, 3, 5])
def test_an_update_at_another_rank(rank: int) -> None:
    generator = torch.Generator().manual_seed(0)
    update = Update(torch.randn((3, 7), generator=generator), torch.randn((6, 3), generator=generator))
    fitted, whole = resized(update, rank), update.up @ update.down
    assert fitted.down.shape == (rank, 7)
    u, values, v = torch.linalg.svd(whole, full_matrices=False)
    nearest = (u[:, :rank] * values[:rank]) @ v[:rank]
    assert torch.allclose(fitted.up @ fitted.down, nearest, atol=1e-4)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"diffusion_model.nowhere.lora_A.weight": torch.zeros(2, 2)},
            "no layer for 'diffusion_model.nowhere'",
        ),
        ({"blocks.0.ffn.0.lora_A.weight": torch.zeros(2, 128)}, "only one half"),
        (
            {"diffusion_model.blocks.0.ffn.0.diff_b": torch.zeros(2)},
            r"another size \(2, and this model has 32\)",
        ),
        (
            {
                "blocks.0.ffn.0.lora_A.weight": torch.zeros(2, 128),
                "blocks.0.ffn.0.lora_B.weight": torch.zeros(9, 2),
            },
            "another size",
        ),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, state: dict[str, torch.Tensor], words: str) -> None:
    family = FAMILIES["wan2.1"]
    model = VideoModel(
        Path("tiny"), family, SimpleNamespace(transformer=make_transformer(family)), family.defaults, ""
    )
    save_lora(tmp_path / "l.safetensors", state | {"x.lora_B.weight": torch.ones(1)}, {})
    with pytest.raises(
        SpatialAlignError, match=rf"l.safetensors does not fit tiny: .*({words}|no layer for 'x')"
    ):
        apply_lora(model, tmp_path / "l.safetensors")
    with pytest.raises(SpatialAlignError, match=words):
        read_changes(family, state, {}, parameter_shapes(model.transformer))


def test_text_of_two_encoders_in_one_tensor() -> None:
    states, mask, pooled = (
        torch.randn(2, 5, 4),
        torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]]),
        torch.randn(2, 7),
    )
    back, back_mask, back_pooled = _unpack(_pack(states, mask, pooled), 7)
    assert torch.equal(back, states)
    assert torch.equal(back_mask, mask.float())
    assert torch.equal(back_pooled, pooled)


@every_family
@pytest.mark.parametrize(
    ("name", "off", "says"),
    [
        ("width", 1, "a multiple of "),
        ("height", -3, "a multiple of "),
        ("num_frames", 1, " plus 1 for "),
    ],
)
def test_a_size_that_the_model_cannot_make(family: Any, name: str, off: int, says: str) -> None:
    """The family's own sizes are fine; one that is off is refused, and the two that are near it are fine too."""
    model = VideoModel(Path(), family, pipeline_of(family, make_transformer(family)), family.defaults, "")
    usual = getattr(family.defaults, name)
    assert model.settings_with({name: usual}) == family.defaults
    with pytest.raises(SpatialAlignError, match=f"^{name} must be .*{says}.*, not {usual + off};") as refused:
        model.settings_with({name: usual + off})
    near = [int(each) for each in re.findall(r"\d+", str(refused.value).split("; choose ")[1])]
    assert usual in near and min(near) < usual + off < max(near)
    assert [getattr(model.settings_with({name: each}), name) for each in near] == near
