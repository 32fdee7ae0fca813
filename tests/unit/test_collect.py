"""Videos of other programs in the run folder: with and without latents, again, replaced, on to pairs and training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import CogVideoXPipeline, WanPipeline

from spatialalign_core.detect.loading import load_detector
from spatialalign_core.encode import encode_frames, latents_show, normalise
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families import families
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pairs import PairSettings, load_pairs
from spatialalign_core.pocket.world import render
from spatialalign_core.progress import Progress
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import RelationChange
from spatialalign_core.run import Run
from spatialalign_core.run.samples import read_tensors, sample_metadata
from spatialalign_core.sentence import parse_sentence
from spatialalign_core.train.settings import DEFAULT
from tests.tiny_models import make_transformer, make_vae

SENTENCE = "In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def prompt() -> DsrPrompt:
    parsed = parse_sentence(SENTENCE).prompt
    assert parsed is not None
    return parsed


def clip(change: str, seed: int, frames: int = 18) -> np.ndarray:
    return render("fox", "box", "in a meadow", RelationChange.parse(change), seed, frames).frames


def raw(model: VideoModel, frames: np.ndarray) -> torch.Tensor:
    """The VAE's own numbers, as a LATENT has them."""
    padded = np.concatenate([frames, frames[-1:].repeat(3, 0)])  # diffusers encodes 1 + 4 n frames
    pixels = torch.from_numpy(padded).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        return model.pipeline.vae.encode(pixels).latent_dist.mode()[0][:, : len(frames)]


def collect_both(run: Run, model: VideoModel | None = None) -> None:
    """One video that obeys, as seed 7, and one that does not, as seed 2**40."""
    for seed, change in ((7, "LR"), (2**40, "RL")):
        frames = clip(change, seed)
        run.collect(prompt(), seed, frames, 6.0, None if model is None else raw(model, frames))


def export(run: Run, model: VideoModel) -> list[Progress]:
    news = [*run.detect(load_detector("sprites")), *run.score()]
    return news + list(run.export_pairs(model, PairSettings(retell=False)))


@pytest.mark.parametrize("with_latents", [False, True])
def test_collected_videos_become_pairs_and_a_lora(run: Run, model: VideoModel, with_latents: bool) -> None:
    collect_both(run, model if with_latents else None)
    assert [(key.prompt_id, key.seed) for key in run.samples()] == [(prompt().id, 7), (prompt().id, 2**40)]
    news = export(run, model)
    assert [item.message for item in news if item.warning] == []
    pairs = load_pairs(run.pairs_folder)
    assert [(pair.winner_seed, pair.loser_seed) for pair in pairs.pairs] == [(7, 2**40)]
    exact = normalise(model, raw(model, clip("LR", 7)))
    near = 0.0 if with_latents else 0.5  # without, they come out of the mp4
    assert (pairs.latents(prompt().id, 7) - exact).abs().mean() <= near
    with pytest.raises(SpatialAlignError, match="made elsewhere"):
        pairs.noise(prompt().id, 7)
    settings = replace(DEFAULT, steps=1, rank=2, alpha=2.0, pairs_per_step=1, warmup=0)
    list(run.train(model, settings))
    assert run.lora_path().is_file()


def test_second_time_makes_nothing(run: Run, model: VideoModel) -> None:
    collect_both(run)
    export(run, model)
    files = {
        file: file.stat().st_mtime_ns
        for file in run.folder.rglob("*.*")
        if file.name not in (".lock", "scores.csv", "work.json")
    }
    assert run.collect(prompt(), 7, clip("LR", 7), 6.0) == "there already"
    export(run, model)
    assert {file: file.stat().st_mtime_ns for file in files} == files


def test_other_frames_of_the_same_seed_replace_the_first(run: Run) -> None:
    assert run.collect(prompt(), 7, clip("LR", 7), 6.0) == "new"
    assert run.collect(prompt(), 7, clip("RL", 7), 6.0) == "replaced"
    assert len(run.samples()) == 1


def test_latents_of_another_vae_are_not_believed(run: Run, model: VideoModel) -> None:
    for seed, change in ((7, "LR"), (8, "RL")):
        frames = clip(change, seed)
        run.collect(prompt(), seed, frames, 6.0, torch.randn_like(raw(model, frames)) * 20)
    warnings = [item.message for item in export(run, model) if item.warning]
    assert len(warnings) == 2 and "are not those of" in warnings[0]
    exact = normalise(model, raw(model, clip("LR", 7)))
    assert (load_pairs(run.pairs_folder).latents(prompt().id, 7) - exact).abs().mean() < 0.5


def test_another_model_gets_latents_of_its_own(run: Run, model: VideoModel) -> None:
    collect_both(run)
    export(run, model)
    before = load_pairs(run.pairs_folder).fingerprint
    other = replace(model, fingerprint="another")
    export(run, other)
    assert load_pairs(run.pairs_folder).fingerprint != before
    assert sample_metadata(run.video_path("base", prompt().id, 7))["model"] == "another"


def test_generate_and_collect_leave_each_others_videos_alone(run: Run, model: VideoModel) -> None:
    collect_both(run)
    other = replace(prompt(), id="other", text=prompt().text.replace("fox", "cat"), subject="cat")
    run.write_prompts([other])
    assert {each.id for each in run.prompts()} == {"other", prompt().id}
    run.write_prompts([prompt()])
    with pytest.raises(SpatialAlignError, match="collected from another workflow"):
        list(run.generate(model, 8, workers=1))
    made = Run(run.folder.with_name("made"))
    made.write_prompts([prompt()])
    list(made.generate(model, 1, workers=1))
    with pytest.raises(SpatialAlignError, match="made by Generate"):
        made.collect(prompt(), 0, clip("LR", 0), 6.0)


@pytest.mark.parametrize(
    ("seed", "latents", "message"),
    [
        (-1, None, "seed must lie"),
        (2**63, None, "seed must lie"),
        (0, torch.zeros(1, 16, 18, 8, 12), "four dimensions"),
    ],
)
def test_what_cannot_be_collected_is_said(
    run: Run, seed: int, latents: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(SpatialAlignError, match=message):
        run.collect(prompt(), seed, clip("LR", 0), 6.0, latents)
    assert not run.prompts_file.exists()


def test_two_prompts_with_one_id_are_told_apart(run: Run) -> None:
    run.collect(prompt(), 0, clip("LR", 0), 6.0)
    with pytest.raises(SpatialAlignError, match="another prompt called"):
        run.collect(replace(prompt(), text="something else"), 0, clip("LR", 0), 6.0)


def test_videos_of_two_sizes_are_named(run: Run, model: VideoModel) -> None:
    run.collect(prompt(), 7, clip("LR", 7), 6.0)
    run.collect(prompt(), 8, clip("RL", 8, frames=24), 6.0)
    with pytest.raises(SpatialAlignError, match="differ in size or length"):
        export(run, model)


@pytest.mark.parametrize(
    ("shape", "latent_shape"),
    [
        ((18, 64, 96, 3), (18, 8, 12)),
        ((19, 64, 96, 3), (18, 8, 12)),  # frames are taken two by two
        ((18, 75, 111, 3), (18, 8, 12)),  # a middle part that patches fill
        ((2, 16, 16, 3), (2, 2, 2)),
    ],
)
def test_any_size_is_encoded(
    model: VideoModel, shape: tuple[int, ...], latent_shape: tuple[int, ...]
) -> None:
    assert tuple(encode_frames(model, np.zeros(shape, np.uint8)).shape[1:]) == latent_shape


@pytest.mark.parametrize("shape", [(1, 64, 96, 3), (18, 15, 96, 3), (18, 64, 8, 3)])
def test_too_small_a_video_says_what_is_needed(model: VideoModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(SpatialAlignError, match="too small"):
        encode_frames(model, np.zeros(shape, np.uint8))


def test_latents_show_their_own_video_only(model: VideoModel) -> None:
    frames = clip("LR", 0)
    latents = encode_frames(model, frames)
    assert latents_show(model, latents, frames)
    assert not latents_show(model, latents, 255 - frames)
    assert not latents_show(model, latents[:, :4], frames)
    assert not latents_show(model, torch.zeros_like(latents), frames)
    black = np.zeros_like(frames)
    assert latents_show(model, encode_frames(model, black), black)


def test_damaged_sample_is_named(run: Run, model: VideoModel) -> None:
    collect_both(run)
    file = run.video_path("base", prompt().id, 7).with_suffix(".safetensors")
    assert read_tensors(file) == {}
    file.write_bytes(b"")
    assert run.collect(prompt(), 7, clip("LR", 7), 6.0) == "replaced"


@pytest.mark.parametrize(
    ("shape", "latent_shape"), [((9, 32, 48, 3), (16, 3, 4, 6)), ((12, 40, 50, 3), (16, 3, 4, 6))]
)
def test_a_vae_that_also_shrinks_time(shape: tuple[int, ...], latent_shape: tuple[int, ...]) -> None:
    """Wan2.1's: four frames and eight pixels a latent, patches of two latents."""
    family = next(family for family in families() if family.name == "wan2.1")
    parts = dict.fromkeys(("tokenizer", "text_encoder")) | {"scheduler": family.scheduler(family.title)}
    pipeline = WanPipeline(**parts, vae=make_vae("Wan2.1 VAE", family), transformer=make_transformer(family))
    model = VideoModel(Path("tiny"), family, pipeline, family.defaults, "tiny")
    latents = encode_frames(model, np.zeros(shape, np.uint8))
    assert tuple(latents.shape) == latent_shape
    shown = model.decode(latents[None, :, :1])[0]
    assert shown.shape == (1, 32, 48, 3)
    video = shown.repeat(9, 0)
    found = [latents_show(model, latents, frames) for frames in (video, 255 - video)]
    assert found == [True, False]


def test_a_model_of_two_frames_a_patch_takes_every_frame() -> None:
    """CogVideoX 1.5: nine frames are three latents, and the first of four fills up."""
    family = next(family for family in families() if family.name == "cogvideox-1.5")
    parts = dict.fromkeys(("tokenizer", "text_encoder")) | {"scheduler": family.scheduler(family.title)}
    vae, transformer = make_vae("CogVideoX VAE", family), make_transformer(family)
    model = VideoModel(
        Path("tiny"),
        family,
        CogVideoXPipeline(**parts, vae=vae, transformer=transformer),
        family.defaults,
        "tiny",
    )
    latents = encode_frames(model, np.zeros((10, 32, 48, 3), np.uint8))
    assert tuple(latents.shape) == (16, 4, 4, 6)
    assert torch.equal(latents[:, 0], latents[:, 1])
    assert model.decode(latents[None]).shape == (1, 9, 32, 48, 3)
    assert latents_show(model, latents, model.decode(latents[None])[0])
