"""How long work takes: operations against torch's own counter, hours against a published time, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from spatialalign_core.cli import main
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.progress import SECONDS_LEFT
from spatialalign_core.prompts import build_prompts
from spatialalign_core.run import Run
from spatialalign_core.run.estimate import (
    Cost,
    LoopPlan,
    duration,
    gibibytes,
    loop_costs,
    machine_speed,
    pass_operations,
    sample_bytes,
    video_operations,
)
from spatialalign_core.run.hollow import hollow_model
from spatialalign_core.train.preflight import _fused_attention

WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


@pytest.fixture(scope="module")
def wan() -> VideoModel:
    return hollow_model(WAN)


@pytest.mark.parametrize("frames", [5, 33])
def test_operations_agree_with_torchs_counter(wan: VideoModel, frames: int) -> None:
    """Weights of the text side count for every token of the video here: some percent too much, never too little."""
    shape = wan.family.latent_shape(wan.pipeline, replace(wan.defaults, num_frames=frames))
    with torch.device("meta"):
        noisy, sigma, text = torch.empty(1, *shape), torch.empty(1), torch.empty(1, 512, 4096)
    with FlopCounterMode(display=False) as counter, _fused_attention(), torch.no_grad():
        wan.family.velocity(wan.transformer, noisy, sigma, text)
    counted = counter.get_total_flops()
    assert counted <= pass_operations(wan.transformer, shape) <= 1.12 * counted


def test_a_published_time_is_met(wan: VideoModel) -> None:
    """4 minutes for 81 frames of 480 x 832 on an RTX 4090, which does 165e12 operations a second at most."""
    speed = video_operations(wan, wan.defaults) / 240
    assert 0.6 < speed / 165e12 < 0.9


def test_a_night_fits_into_a_night(wan: VideoModel) -> None:
    """What the template says of its settings."""
    settings = replace(wan.defaults, num_frames=33, steps=30)
    plan = LoopPlan(24, 8, 6, 3, steps=100, pairs_per_step=16, check_every=50)
    whole = sum(loop_costs(wan, settings, plan, 80e12).values(), Cost(0))
    assert 8 < whole.seconds / 3600 < 9
    assert 2.5 < whole.files / 2**30 < 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (74, "74 s"),
        (600, "10 min"),
        (3599, "1 h 0 min"),
        (24000, "6 h 40 min"),
        (200000, "2 days 7 h"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("size", "words"), [(10, "1 MiB"), (50e6, "48 MiB"), (3.3e9, "3.1 GiB")])
def test_sizes(size: float, words: str) -> None:
    assert gibibytes(size) == words


def test_speed_is_positive_and_remembered() -> None:
    one = machine_speed(torch.device("cpu"), torch.float32)
    assert one == machine_speed(torch.device("cpu"), torch.float32) > 1e8


def test_generate_says_how_long_and_how_large(model_folder: Path, tmp_path: Path) -> None:
    model = load_video_model(model_folder, "cpu")
    settings = replace(model.defaults, height=32, width=48, num_frames=5, steps=1, guidance_scale=1.0)
    run = Run(tmp_path / "run")
    run.write_prompts(build_prompts(["cat", "fox"], ["box"], ["in a park"], ["jumps"], count=2))
    news = list(run.generate(model, 2, settings=settings, batch_size=2, workers=1))
    estimates = [item.message for item in news if "(estimated)" in item.message]
    assert len(estimates) == 1
    assert estimates[0].startswith("4 videos, about ")
    left = [item.values[SECONDS_LEFT] for item in news if item.path is not None and item.values]
    assert len(left) == 3  # none is left after the fourth
    assert left[-1] > 0
    # What was said of the files holds: short clips compress badly, so a factor is enough.
    real = sum(file.stat().st_size for file in (run.folder / "samples").rglob("*.*"))
    assert real / 4 < 6 * sample_bytes(model, settings)
    again = list(run.generate(model, 2, settings=settings, batch_size=2, workers=1))
    assert not any("(estimated)" in item.message for item in again)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--model", WAN, "--frames", "33", "--steps", "30", "--tflops", "80"],
            "832 x 480, 30 denoising steps, at 80",
        ),
        (["--model", "pocket"], "wan-pocket: 17 frames"),
        (["--model", "nothing"], "There is no model nothing"),
        (["--tflops", "0"], "--tflops must be above 0"),
        (["--seeds", "0"], "--seeds must be at least 1"),
    ],
)
def test_the_verb(options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts", str(tmp_path / "run"), "--count", "24", "--held-out", "8"]) == 0
    code = main(["estimate", str(tmp_path / "run"), *options])
    said = capsys.readouterr()
    assert words in (said.out if code == 0 else said.err)
    assert ("all of it" in said.out) == (code == 0)
