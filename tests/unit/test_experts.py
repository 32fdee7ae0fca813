"""Which of Wan2.2 A14B's two networks a file is: names as people have them, and the partner that goes with each."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.experts import find_partner
from spatialalign_core.models.families import families
from spatialalign_core.models.file_kinds import recognise_file
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.models.single_files import find_parts
from tests.tiny_models import (
    make_transformer,
    make_umt5,
    make_vae,
    published_names,
    umt5_file,
    vae_file,
    write,
)

BY_NAME = {family.name: family for family in families()}
SHAPES = {key: tuple(value) for key, value in published_names()["wan2.1: Wan2.1 T2V 14B"].items()}
SMALL = {key: tuple(value) for key, value in published_names()["wan2.1: Wan2.1 T2V 1.3B"].items()}
HIGH, LOW, ONE = "Wan2.2 T2V A14B, high noise", "Wan2.2 T2V A14B, low noise", "Wan2.1 T2V 14B"


def title(name: str, shapes: dict[str, tuple[int, ...]] = SHAPES) -> str | None:
    [found] = [each for family in families() if (each := family.recognise(shapes, name))]
    return found


@pytest.mark.parametrize(
    ("name", "partner"),
    [
        ("wan2.2_t2v_high_noise_14B_fp8_scaled", "wan2.2_t2v_low_noise_14B_fp8_scaled"),
        ("Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn_scaled_KJ", "Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ"),
        ("Wan2_2-T2V-A14B-HIGH_bf16", "Wan2_2-T2V-A14B-LOW_bf16"),
        ("Wan2.2-T2V-A14B-HighNoise-bf16", "Wan2.2-T2V-A14B-LowNoise-bf16"),
        ("wan2.2-t2v-a14b-high-noise_model", "wan2.2-t2v-a14b-low-noise_model"),
        ("wan2.2_t2v_A14b_high_noise_lightx2v_4step_1217", "wan2.2_t2v_A14b_low_noise_lightx2v_4step_1206"),
        ("Wan2.2 T2V High Noise 14B", "Wan2.2 T2V Low Noise 14B"),
        ("wan22T2VHighNoise", "wan22T2VLowNoise"),
        ("smoothMixWan22T2V_highV20", "smoothMixWan22T2V_lowV20"),
        ("dasiwaWAN22T2V14B_flirtHighV7", "dasiwaWAN22T2V14B_flirtLowV7"),
        ("wan22t2vhigh_v3", "wan22t2vlow_v3"),
        ("WAN22_T2V_14B_HN", "WAN22_T2V_14B_LN"),
        ("wan2.2_t2v_noise_high", "wan2.2_t2v_noise_low"),
        ("wan2.2t2v.highnoise", "wan2.2t2v.lownoise"),
        ("wan2.2_t2v_高噪_14B", "wan2.2_t2v_低噪_14B"),
        ("wan2.2_t2v_high_noise_14B_fp8_scaled", "wan2.2_t2v_low_noise_14B_bf16"),
        ("wan22_t2v_14b_h", "wan22_t2v_14b_l"),
        ("Wan2.2_T2V_A14B_H_fp8", "Wan2.2_T2V_A14B_L_fp8"),
        ("Wan2.2_Remix_t2v_14b_high_lighting_v2.0", "Wan2.2_Remix_t2v_14b_low_lighting_v2.0"),
        ("Wan2.2-T2V-A14B_high_rank64_merge_fp8", "Wan2.2-T2V-A14B_low_rank64_merge_fp8"),
        ("high", "low"),
        ("high_noise_model/diffusion_pytorch_model", "low_noise_model/diffusion_pytorch_model"),
        ("HIGH/wan22_t2v_14B", "LOW/wan22_t2v_14B"),
    ],
)
def test_names_of_experts(name: str, partner: str) -> None:
    files = [Path(f"models/{each}.safetensors") for each in (name, partner)]
    folder = {"models": "x"}
    high, low = (f"{folder.get(file.parent.name, file.parent.name)}/{file.name}" for file in files)
    assert (title(high), title(low)) == (HIGH, LOW)
    stranger = Path("models/another_low_noise.safetensors")
    assert find_partner(files[0], [stranger, files[1]]) == files[1]
    assert find_partner(files[1], [Path("models/another_high_noise.safetensors"), files[0]]) == files[0]
    assert find_partner(files[0], [stranger]) is None


@pytest.mark.parametrize(
    ("name", "doubtful"),
    [
        ("wan2.1_t2v_14B_fp16", False),
        ("Wan2_1-T2V-14B_fp8_e4m3fn", False),
        ("wan21_t2v_14B_high_quality", False),
        ("wan2.1_t2v_14B_slow_motion", False),
        ("Wan2_1-T2V-14B_HIGH", True),
        ("wan_14B_low_vram", True),
        ("my_finetune_14B", True),
        ("flow_noise_14B", True),
        ("highlights_14B", True),
        ("my_14B_h", True),
        ("my_14B_low_lighting", True),
        ("wan2.2-rapid-mega-aio-v10", True),
        ("wan22_high_low_merged", True),
    ],
)
def test_names_of_one_network(name: str, doubtful: bool) -> None:
    assert title(f"x/{name}.safetensors") == ONE
    doubt = BY_NAME["wan2.1"].doubt(SHAPES, f"x/{name}.safetensors")
    assert (doubt is not None) == doubtful
    assert doubt is None or "high_noise or low_noise" in doubt


@pytest.mark.parametrize("name", ["wan2.1_1.3B_HIGH", "self_forcing_low", "wan_high_noise"])
def test_the_small_model_has_no_experts(name: str) -> None:
    assert title(name, SMALL) == "Wan2.1 T2V 1.3B"
    assert BY_NAME["wan2.1"].doubt(SMALL, name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wan2.2_t2v_14B.safetensors", "neither high nor low noise"),
        ("Wan2_2-T2V-A14B_fp8.safetensors", "neither high nor low noise"),
        ("Wan2.2-T2V-A14B-Q4_K_L.safetensors", "neither high nor low noise"),
        ("wan22_t2v_14B_high_quality.safetensors", "neither high nor low noise"),
        ("wan2.2_t2v_high_to_low.safetensors", "both high and low noise"),
    ],
)
def test_an_expert_that_is_not_named_is_asked_for(tmp_path: Path, name: str, words: str) -> None:
    family = BY_NAME["wan2.1"]
    file = write(tmp_path / name, family.names.to_native(make_transformer(family).state_dict()))
    with pytest.raises(
        SpatialAlignError, match=f"{name} is one of the two networks.*{words}; rename the file"
    ):
        recognise_file(file)


def test_a_missing_partner_is_asked_for_by_name(tmp_path: Path) -> None:
    family = BY_NAME["wan2.2-a14b"]
    state = family.names.to_native(make_transformer(family).state_dict())
    high = write(tmp_path / "Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn_scaled_KJ.safetensors", state)
    umt5_file(tmp_path / "umt5.safetensors", make_umt5())
    write(tmp_path / "vae.safetensors", vae_file("Wan2.1 VAE", family, make_vae("Wan2.1 VAE", family)))
    wanted = "low noise, Wan2_2-T2V-A14B_LOW_fp8_e4m3fn_scaled_KJ.safetensors, which was not found"
    with pytest.raises(SpatialAlignError, match=wanted):
        find_parts(high, [tmp_path])
    other = write(tmp_path / "dasiwa_low.safetensors", state)
    with pytest.raises(SpatialAlignError, match=rf"{wanted}.*There is dasiwa_low\.safetensors"):
        find_parts(high, [tmp_path])
    other.rename(tmp_path / "Wan2_2-T2V-A14B-LOW_bf16.safetensors")
    model = load_video_model(high, "cpu")
    assert (model.family.name, model.expert) == ("wan2.2-a14b", "high noise")
    assert "Wan2_2-T2V-A14B-LOW_bf16.safetensors is taken for the other network" in model.description


def test_a_doubtful_name_is_told(tmp_path: Path) -> None:
    family = BY_NAME["wan2.1"]
    file = write(tmp_path / "mine.safetensors", family.names.to_native(make_transformer(family).state_dict()))
    umt5_file(tmp_path / "umt5.safetensors", make_umt5())
    write(tmp_path / "vae.safetensors", vae_file("Wan2.1 VAE", family, make_vae("Wan2.1 VAE", family)))
    assert "taken for one network for all noise" in load_video_model(file, "cpu").description
