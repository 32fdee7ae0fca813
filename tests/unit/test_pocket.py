"""The sprite world, its captions, and the VAE that is written down instead of trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatialalign_core.models.loading import POCKET_FOLDER, load_video_model
from spatialalign_core.pocket.captions import (
    MAX_TOKENS,
    OBJECTS,
    SCENES,
    SUBJECTS,
    VERBS,
    build_tokenizer,
    caption,
)
from spatialalign_core.pocket.reading import teach_reading
from spatialalign_core.pocket.train import (
    Recipe,
    batch,
    build_text_encoder,
    encode_text,
    training_combinations,
)
from spatialalign_core.pocket.vae import build_vae, fit_components
from spatialalign_core.pocket.world import render
from spatialalign_core.prompts import split_combinations
from spatialalign_core.relations import CHANGES
from spatialalign_core.score import score_track
from spatialalign_core.tracks import Track


def ground_truth(clip, subject: str, object: str) -> Track:
    frames, height, width, _ = clip.frames.shape
    ones = np.ones(frames)
    return Track(
        subject=subject, object=object, width=width, height=height,
        subject_boxes=clip.subject_boxes, object_boxes=clip.object_boxes,
        subject_confidences=ones, object_confidences=ones,
        subject_masks=None, object_masks=None, frame_reasons=(None,) * frames, reason=None,
    )  # fmt: skip


def test_same_seed_same_pixels_other_seed_other_pixels():
    first, again, other = (render("fox", "stump", SCENES[0], CHANGES[0], seed) for seed in (1, 1, 2))
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("shown", CHANGES, ids=str)
def test_the_score_tells_every_change_from_the_others(shown):
    """Ground truth passes 0.7 for the change that is shown; hardly any passes for another."""
    passed = dict.fromkeys(CHANGES, 0)
    for seed in range(20):
        subject, object = SUBJECTS[seed % 6], OBJECTS[seed * 5 % 6]
        track = ground_truth(render(subject, object, SCENES[seed % 6], shown, seed), subject, object)
        for told in CHANGES:
            score = score_track(track, told)
            assert score.valid, score.reason
            passed[told] += score.dsr >= 0.7
    assert passed.pop(shown) == 20
    assert sum(passed.values()) <= 2


@pytest.mark.parametrize(
    ("frames", "height", "width"), [(1, 64, 96), (18, 64, 96), (33, 128, 192), (7, 48, 160)]
)
def test_any_length_and_size(frames, height, width):
    clip = render("cat", "box", SCENES[1], CHANGES[2], 3, frames, height, width)
    assert clip.frames.shape == (frames, height, width, 3)
    assert clip.subject_masks.shape == (frames, height, width)
    assert np.isfinite(clip.subject_boxes).all() and np.isfinite(clip.object_boxes).all()


def test_vae_is_the_linear_code_it_claims_to_be():
    clips = [
        render(SUBJECTS[i % 6], OBJECTS[i % 6], SCENES[i % 6], CHANGES[i % 6], i).frames for i in range(12)
    ]
    frames = np.concatenate(clips)
    vae = build_vae(frames, 24)
    video = torch.from_numpy(clips[3][:5]).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(video).latent_dist
        decoded = vae.decode(latents.mode()).sample
    _mean, components, deviation = fit_components(frames, 24)
    assert latents.mode().shape == (1, 24, 5, 8, 12)
    assert latents.std.max() < 1e-6
    assert np.allclose(components @ components.T, np.eye(24), atol=1e-9)
    assert (np.diff(deviation) <= 0).all()
    assert 10 * torch.log10(4 / (decoded - video).square().mean()) > 28  # dB


def test_captions_lie_as_often_as_asked():
    rng = np.random.default_rng(0)
    told = [caption("fox", "box", SCENES[0], CHANGES[0], 0.4, rng) for _ in range(600)]
    there = CHANGES[0]
    right = np.mean([there.initial.place in t and there.final.goal in t for t in told])
    back = np.mean([there.final.place in t and there.initial.goal in t for t in told])
    assert right == pytest.approx(0.4, abs=0.06)
    assert right + back == 1


def test_tokenizer_knows_every_word_of_every_caption():
    tokenizer = build_tokenizer()
    rng = np.random.default_rng(0)
    for change in CHANGES:
        for scene in SCENES:
            text = caption(str(rng.choice(SUBJECTS)), str(rng.choice(OBJECTS)), scene, change, 1.0, rng)
            ids = tokenizer(text).input_ids
            assert tokenizer.unk_token_id not in ids and ids[-1] == tokenizer.eos_token_id
    assert tokenizer.unk_token_id in tokenizer("an elephant").input_ids
    assert set(VERBS) <= set(tokenizer.get_vocab())


def test_training_never_shows_the_held_out_combinations():
    held_out = split_combinations(SUBJECTS, OBJECTS, CHANGES, 0.25, 0)[1]
    assert len(held_out) == 54
    assert not set(held_out) & set(training_combinations())


def test_training_batches_depend_on_the_step_alone():
    recipe = Recipe(batch=2)
    frames, captions = batch(recipe, 7, 0.5)
    again, captions_again = batch(recipe, 7, 0.5)
    assert np.array_equal(frames, again) and captions == captions_again
    assert captions != batch(recipe, 8, 0.5)[1]


def test_reading_is_learned_in_any_order():
    """Trained by the picture's loss alone, the encoder told which relations occur and not which comes first."""
    torch.manual_seed(0)
    encoder = build_text_encoder(build_tokenizer())
    loss = teach_reading(encoder, build_tokenizer(), training_combinations(), seed=0, steps=300, batch=32)
    assert loss < 0.1  # without the order of the two relations 2/5 of ln 2 = 0.28 remain
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize("change", CHANGES[::2], ids=str)
def test_the_bundled_text_encoder_tells_a_change_from_its_reverse(change):
    pipeline = load_video_model("pocket", "cpu").pipeline
    told = [
        f"In a meadow, a fox is {a.place} a box, then the fox runs {b.goal} the box."
        for a, b in ((change.initial, change.final), (change.final, change.initial))
    ]
    forwards, backwards = encode_text(pipeline, told, MAX_TOKENS).mean(1)
    assert (forwards - backwards).norm() > 0.3 * forwards.norm()


def test_bundled_weights_fit_the_limits_and_draw():
    size = sum(file.stat().st_size for file in POCKET_FOLDER.rglob("*") if file.is_file())
    assert size <= 16 * 2**20
    model = load_video_model("pocket", "cpu")
    latents = torch.zeros(1, *model.family.latent_shape(model.pipeline, model.defaults))
    assert model.decode(latents).shape == (1, 18, 64, 96, 3)
