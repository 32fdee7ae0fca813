"""Training data, losses and bundled weights of the pocket detectors."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from spatialalign_core.detect.loading import load_detector, load_mask_tracker
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.pocket.captions import SCENES
from spatialalign_core.pocket.detector import train_grounding, train_sam2
from spatialalign_core.pocket.detector.grounding import build_tokenizer, plural
from spatialalign_core.pocket.detector.grounding_loss import dense_loss, generalised_iou, matched_loss
from spatialalign_core.pocket.detector.pictures import (
    NOUNS,
    enlarged,
    mask_boxes,
    pocket_vae,
    recolour,
    scattered_clip,
    shrunk,
    through_mp4,
    world_clip,
)
from spatialalign_core.pocket.detector.pool import deal, draw_pools, model_drawn_pool
from spatialalign_core.pocket.world import render
from spatialalign_core.relations import CHANGES
from spatialalign_core.video import write_video

WEIGHTS = Path(train_grounding.__file__).parent.parent / "weights"
GROUNDING, SAM2 = WEIGHTS / "grounding-dino-pocket", WEIGHTS / "sam2-pocket"
bundled_grounding = pytest.mark.skipif(not GROUNDING.is_dir(), reason="no pocket GroundingDINO is bundled")
bundled_sam2 = pytest.mark.skipif(not SAM2.is_dir(), reason="no pocket SAM 2 is bundled")


@pytest.mark.parametrize("draw", [world_clip, scattered_clip])
@pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 85)])
def test_clips_tell_the_truth(draw, size):
    rng = np.random.default_rng(3)
    for _ in range(6):
        clip = draw(rng, 3, *size)
        assert clip.frames.shape == (3, *size, 3) and clip.frames.dtype == np.uint8
        assert clip.masks.shape == (3, len(clip.nouns), *size)
        assert (clip.masks.sum(1) <= 1).all()  # a pixel shows one thing only
        assert np.array_equal(clip.boxes, mask_boxes(clip.masks), equal_nan=True)
        assert set(clip.nouns) <= set(NOUNS)
        assert not clip.nouns or clip.masks[0].any((1, 2)).all()


def test_the_same_noun_comes_twice_and_sometimes_nothing():
    rng = np.random.default_rng(0)
    nouns = [scattered_clip(rng).nouns for _ in range(150)]
    assert any(len(set(each)) < len(each) for each in nouns)
    assert any(not each for each in nouns)


@pytest.mark.parametrize(
    ("filled", "box"),
    [
        ((slice(2, 5), slice(1, 4)), [1, 2, 4, 5]),
        ((slice(0, 8), slice(0, 9)), [0, 0, 9, 8]),
        ((slice(7, 8), slice(8, 9)), [8, 7, 9, 8]),
        ((slice(0, 0), slice(0, 0)), [math.nan] * 4),
    ],
)
def test_mask_boxes(filled, box):
    mask = np.zeros((8, 9), dtype=bool)
    mask[filled] = True
    assert np.array_equal(mask_boxes(mask), np.array(box, dtype=np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("disturbance", "most"),
    [
        (pocket_vae(), 6.0),
        (through_mp4, 4.0),
        (lambda frames: shrunk(enlarged(frames, 3), *frames.shape[1:3]), 2.0),
        (lambda frames: recolour(frames, np.random.default_rng(0)), 20.0),
    ],
    ids=["vae", "mp4", "enlarged", "recoloured"],
)
def test_disturbances_keep_the_picture(disturbance, most):
    frames = world_clip(np.random.default_rng(0), 4).frames
    changed = disturbance(frames)
    assert changed.shape == frames.shape
    assert 0 < np.abs(changed.astype(float) - frames).mean() < most


def test_batches_depend_on_seed_and_step_alone():
    pools = draw_pools(0, 64)
    first, again, other = (deal(pools, 4, 0, step) for step in (7, 7, 8))
    assert np.array_equal(first.pictures, again.pictures) and first.asked == again.asked
    assert first.pictures.shape != other.pictures.shape or not np.array_equal(first.pictures, other.pictures)
    named = np.isfinite(first.boxes).all(-1)
    assert np.array_equal(named, first.nouns >= 0)
    assert (first.boxes[named] > 0).all() and (first.boxes[named] <= 1).all()


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_is_one_token_between_berts_own_marks(noun):
    tokenizer = build_tokenizer()
    ids = tokenizer(f"{noun}. {plural(noun).upper()}. dragon.")["input_ids"]
    assert len(ids) == 8 and ids[0] == 101 and ids[-1] == 102 and ids[2::2][:3] == [1012] * 3
    assert len({ids[1], ids[3], 100}) == 3 and ids[5] == 100


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0.5, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), 1.0),
        ((0.3, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), 0.0),  # touching: no overlap, hull = union
        ((0.1, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), -1 / 3),  # hull 0.6 wide, union 0.4
        ((0.4, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), 1 / 3),  # overlap 0.02 of union 0.06
    ],
)
def test_generalised_iou(a, b, iou):
    assert generalised_iou(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(iou, abs=1e-5)


def _one_thing() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One thing in the middle of cell 1 of a grid of 1 x 3, named by token 1 of 3; a second row of padding."""
    boxes = torch.full((1, 2, 4), math.nan)
    boxes[0, 0] = torch.tensor([0.5, 0.5, 0.2, 0.6])
    words = torch.zeros((1, 2, 3), dtype=torch.bool)
    words[0, 0, 1] = True
    return boxes, words, torch.tensor([[True, True, True]])


@pytest.mark.parametrize(("cell", "token"), [(0, 1), (1, 0), (2, 2)])
def test_dense_loss_is_least_for_the_right_cell_and_word(cell, token):
    boxes, words, tokens = _one_thing()
    coordinates = torch.logit(boxes[:, :1].expand(1, 3, 4))

    def loss(at_cell: int, at_token: int) -> float:
        logits = torch.full((1, 3, 3), -8.0)
        logits[0, at_cell, at_token] = 8.0
        return dense_loss(logits, coordinates, (1, 3), boxes, words, tokens)[0].item()

    assert loss(1, 1) < 0.01 < loss(cell, token)
    assert dense_loss(torch.zeros(1, 3, 3), coordinates, (1, 3), boxes, words, tokens)[1].item() < 1e-4


@pytest.mark.parametrize(
    ("token", "shift", "expected"),
    [(1, 0.0, pytest.approx(0.0, abs=0.01)), (0, 0.0, None), (1, 0.3, None)],
)
def test_matched_loss_is_zero_only_for_the_right_word_and_box(token, shift, expected):
    boxes, words, tokens = _one_thing()
    logits = torch.full((1, 2, 3), -12.0)
    logits[0, 1, token] = 12.0
    found = torch.tensor([[[0.1, 0.1, 0.1, 0.1], [0.5 + shift, 0.5, 0.2, 0.6]]])
    loss = matched_loss(logits, found, boxes, words, tokens).item()
    assert loss == expected if expected is not None else loss > 0.5


def test_losses_of_pictures_without_anything_are_finite():
    boxes = torch.full((2, 2, 4), math.nan)
    words = torch.zeros((2, 2, 3), dtype=torch.bool)
    tokens = torch.tensor([[True, True, False]] * 2)
    logits = torch.zeros((2, 6, 3)).masked_fill(~tokens[:, None], -math.inf)
    coordinates = torch.zeros((2, 6, 4))
    total = sum(dense_loss(logits, coordinates, (2, 3), boxes, words, tokens))
    total = total + matched_loss(logits, coordinates.sigmoid(), boxes, words, tokens)
    assert torch.isfinite(total)


def test_training_grounding_learns_and_goes_on_where_it_stopped():
    recipe = train_grounding.Recipe(steps=6, pictures=64, batch=4, warmup=1)
    pools = draw_pools(0, recipe.pictures)
    whole = train_grounding.Training(recipe)
    losses = [loss for _, loss in whole.run(pools)]
    assert losses[-1] < losses[0]
    first = train_grounding.Training(recipe)
    for step, _ in first.run(pools):
        if step == 2:
            break
    first.done += 1  # the loop was left before it counted this step
    second = train_grounding.Training(recipe)
    second.take_up(first.state())
    assert [loss for _, loss in second.run(pools)] == pytest.approx(losses[3:])


@bundled_grounding
def test_a_finished_grounding_dino_can_be_trained_further():
    """In evaluation, the model with live batch norms is the bundled one with frozen ones."""
    training = train_grounding.Training(train_grounding.FURTHER, GROUNDING)
    pixels, ids = torch.rand(1, 3, 64, 96), torch.tensor([[101, 1030, 1012, 1040, 1012, 102]])
    with torch.inference_mode():
        outputs = [
            model(pixel_values=pixels, input_ids=ids).logits[..., : ids.shape[1]]
            for model in (training.model.eval(), training.average, load_detector("pocket", "cpu").model)
        ]
    assert torch.allclose(outputs[0], outputs[2], atol=1e-4) and torch.equal(outputs[0], outputs[1])


def test_videos_of_the_video_model_are_labelled_by_colour(tmp_path):
    """A frame with two foxes and a box teaches too; one with a fox alone does not."""
    clip = render("fox", "box", SCENES[0], CHANGES[0], 5, frames=4)
    alone = render("fox", "fox", SCENES[0], CHANGES[0], 5, frames=4).frames
    write_video(tmp_path / "both.mp4", clip.frames, 6)
    write_video(tmp_path / "alone.mp4", alone, 6)
    pool = model_drawn_pool([tmp_path / "both.mp4", tmp_path / "alone.mp4"])
    assert pool.pictures.shape == (4, 64, 96, 3)
    for row, nouns, boxes in zip(pool.nouns, pool.nouns, pool.boxes, strict=True):
        assert sorted(NOUNS[n] for n in row if n >= 0) == ["box", "fox"]
        assert np.array_equal(nouns >= 0, np.isfinite(boxes).all(1))
    with pytest.raises(SpatialAlignError, match="None of the videos"):
        model_drawn_pool([tmp_path / "alone.mp4"])


def test_training_sam2_reaches_every_weight_it_uses():
    clips = train_sam2.draw_clips(0, 4)
    training = train_sam2.Training(train_sam2.Recipe())
    loss, _ = train_sam2.loss_of(training.model, train_sam2.deal(clips, 2, 3, 0, 0))
    loss.backward()
    silent = {
        name for name, p in training.model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    }
    # A box and a memory are its only prompts, and one mask its only answer.
    spared = (
        "mask_embed",
        "mask_downsample.",
        "output_hypernetworks_mlps.1",
        "no_memory_positional_encoding",
    )
    spared += (
        "point_embed",
        "no_object_pointer",
        "occlusion_spatial_embedding",
        "temporal_positional_encoding_proj",
    )
    spared += ("memory_fuser.layers",)  # behind a scale that starts at 0 and is learned
    assert not {name for name in silent if not any(part in name for part in spared)}


@cache
def _benchmark():
    import importlib.util

    path = Path(__file__).resolve().parents[2] / "benchmarks" / "pocket_detector.py"
    spec = importlib.util.spec_from_file_location("pocket_detector_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@bundled_grounding
@pytest.mark.parametrize("factor", [1, 3])
def test_bundled_grounding_dino_finds_what_is_asked_for_and_nothing_else(factor):
    detector = load_detector("pocket", "cpu")
    clip = render("fox", "box", SCENES[0], CHANGES[0], 5, frames=4)
    for row, subject, object in zip(
        detector.detect(enlarged(clip.frames, factor), ["box", "frog", "fox"]),
        clip.subject_boxes,
        clip.object_boxes,
        strict=True,
    ):
        assert sorted(each.noun for each in row) == ["box", "fox"]
        for each in row:
            true = subject if each.noun == "fox" else object
            assert _benchmark().box_iou(each.box / factor, true) > 0.7


@bundled_sam2
def test_bundled_sam2_follows_both():
    clip = render("cat", "pot", SCENES[1], CHANGES[1], 5, frames=8)
    seed = 3
    boxes = np.stack([clip.subject_boxes[seed], clip.object_boxes[seed]])
    true = np.stack([clip.subject_masks, clip.object_masks], axis=1)
    masks = np.zeros_like(true)
    for index, found, _ in load_mask_tracker("pocket", "cpu").track(clip.frames, seed, boxes):
        masks[index] = found
    assert np.mean(_benchmark().overlaps(masks, true)) > 0.8


def test_bundled_weights_are_small():
    files = [file for folder in (GROUNDING, SAM2) for file in folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 12e6
