"""The training loop on the real architecture: presets, resuming, the adapter and its file."""

from __future__ import annotations

import math
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spatialalign_core.cli.chosen import train_settings
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pairs import Pair
from spatialalign_core.train.checkpoint import load_checkpoint, save_checkpoint
from spatialalign_core.train.lora import apply_lora, read_lora, remove_lora, save_lora
from spatialalign_core.train.losses import LOSSES
from spatialalign_core.train.plans import FAST
from spatialalign_core.train.settings import DEFAULT, PUBLISHED, TrainSettings
from spatialalign_core.train.trainer import Trainer, draw_sigma, learning_rate_at

SHAPE = (16, 4, 8, 12)
TINY = replace(DEFAULT, steps=4, warmup=1, pairs_per_step=2, average=0.5, rank=4, alpha=4.0)


class Pairs:
    """Two prompts, one pair each, of noise: what `load_pairs` gives, from memory."""

    pairs = (Pair("a", 0, 1, 0.9, 0.1), Pair("b", 0, 1, 0.8, 0.2))
    explanation = "made up"
    fingerprint = "made-up"

    def _noise(self, *key: object) -> torch.Tensor:
        generator = torch.Generator().manual_seed(sum(map(ord, "".join(map(str, key)))))
        return torch.randn(SHAPE, generator=generator)

    def latents(self, prompt_id: str, seed: int) -> torch.Tensor:
        return self._noise("latents", prompt_id, seed)

    def noise(self, prompt_id: str, seed: int) -> torch.Tensor:
        return self._noise("noise", prompt_id, seed)

    def text(self, prompt_id: str) -> torch.Tensor:
        return torch.ones(12, 64) if prompt_id == "a" else torch.zeros(12, 64)


@pytest.fixture(scope="module")
def model(model_folder: Path):
    return load_video_model(model_folder, "cpu")


def finish(model, settings: TrainSettings, state=None) -> dict[str, torch.Tensor]:
    trainer = Trainer(model, Pairs(), settings)
    if state is not None:
        trainer.restore(state)
    for _ in trainer.run():
        pass
    result = trainer.lora()
    trainer.close()
    return result


def test_published_preset_is_the_released_recipe():
    assert (PUBLISHED.loss, PUBLISHED.beta, PUBLISHED.clip, PUBLISHED.zo_weight) == ("dpo+zo", 1.0, 5.0, 0.5)
    assert (PUBLISHED.targets, PUBLISHED.rank, PUBLISHED.alpha) == ("published", 16, 16.0)
    assert (PUBLISHED.learning_rate, PUBLISHED.warmup, PUBLISHED.steps) == (1e-4, 300, 3000)
    assert (PUBLISHED.pairs_per_step, PUBLISHED.noise) == (48, "separate")


def test_a_setting_that_is_off_changes_no_fingerprint():
    """So that a version with one setting more goes on with the runs of the version before."""
    assert TrainSettings().chosen() == {}
    assert "margin_weight" not in DEFAULT.chosen()
    assert replace(DEFAULT, margin_weight=1.0).chosen() == DEFAULT.chosen() | {"margin_weight": 1.0}


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.0), (150, 0.5e-4), (300, 1e-4), (1650, 0.5e-4), (2999, pytest.approx(0.0, abs=1e-9))],
)
def test_published_schedule(step, rate):
    assert learning_rate_at(PUBLISHED, step) == pytest.approx(rate)


@pytest.mark.parametrize(("times", "share"), [(None, 1.0), (1.0, 1.0), (0.25, 0.25), (4.0, 1.0)])
def test_a_network_wider_than_the_base_width_learns_more_slowly(model, times, share):
    width = None if times is None else round(times * model.width)
    trainer = Trainer(model, Pairs(), replace(TINY, warmup=0, base_width=width))
    assert next(trainer.run()).learning_rate == pytest.approx(share * TINY.learning_rate)
    trainer.close()


@pytest.mark.parametrize(("rate", "width"), [(None, DEFAULT.base_width), (1e-3, None)])
def test_a_rate_that_was_chosen_is_taken_as_it_is(rate, width):
    options = Namespace(preset="default", train_learning_rate=rate)
    assert train_settings(options).base_width == width


def test_published_noise_levels_are_the_shifted_grid():
    """u in {1, 0.999, ..., 0.001} and sigma = 5 u / (1 + 4 u), as in the released recipe."""
    rng = np.random.default_rng(0)
    drawn = {draw_sigma(PUBLISHED, 5.0, rng, 0) for _ in range(20000)}
    grid = [5 * u / (1 + 4 * u) for u in (1 - np.arange(1000) / 1000)]
    assert sorted(drawn) == pytest.approx(sorted(grid))


@pytest.mark.parametrize(
    ("low", "high", "share", "pairs", "anchors"),
    [(0.7, 1.0, 0.25, 8, 2), (0.3, 0.6, 0.5, 10, 5), (0.0, 0.5, 0.9, 2, 1), (0.7, 1.0, 0.0, 4, 0)],
)
def test_anchors_lie_outside_and_the_rest_inside_of_the_range(low, high, share, pairs, anchors):
    settings = replace(DEFAULT, sigma_min=low, sigma_max=high, anchor_share=share, pairs_per_step=pairs)
    assert settings.anchors == anchors
    for seed in range(20):
        rng = np.random.default_rng(seed)
        levels = [draw_sigma(settings, 3.0, rng, index) for index in range(pairs)]
        assert all(0 <= level <= 1 for level in levels)
        assert [low <= level <= high for level in levels] == [False] * anchors + [True] * (pairs - anchors)
        # Spread evenly: the levels of each kind rise.
        assert levels[:anchors] == sorted(levels[:anchors]) and levels[anchors:] == sorted(levels[anchors:])


@pytest.mark.parametrize("change", [{"loss": "dpo"}, {"loss": "sft"}, {"sigma_min": 0.0}])
def test_no_anchors_where_nothing_holds_them(change):
    assert replace(DEFAULT, sigma_min=0.5, anchor_share=0.5).anchors > 0
    assert replace(DEFAULT, **{"sigma_min": 0.5, "anchor_share": 0.5} | change).anchors == 0


def test_anchors_teach_no_preference(model):
    """With anchors, the preference term is that of the other pairs alone; the regulariser is that of all."""
    settings = replace(TINY, pairs_per_step=4, sigma_min=0.7, anchor_share=0.5)
    trainer = Trainer(model, Pairs(), settings)
    for _ in zip(range(2), trainer.run(), strict=False):  # so that the adapter does something
        pass
    draws = trainer._draws()
    with torch.no_grad():
        together, learned, anchors = (trainer._loss(part) for part in (draws, draws[2:], draws[:2]))
    trainer.close()
    assert [draw.anchor for draw in draws] == [True, True, False, False]
    assert anchors.dpo.tolist() == [0.0, 0.0]
    assert anchors.regulariser.min() > 0
    expected = (
        learned.dpo.sum() / 4
        + settings.zo_weight * torch.cat([anchors.regulariser, learned.regulariser]).mean()
    )
    assert together.total.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("power", "margins", "weights"),
    [
        (0.0, (0.2, 0.6), (1.0, 1.0)),
        (1.0, (0.2, 0.6), (0.5, 1.5)),
        (2.0, (0.2, 0.6), (0.2, 1.8)),
        (1.0, (0.4, -0.3), (1.0, 1.0)),  # kept by hand against its scores
        (1.0, (-0.3, 0.0), (1.0, 1.0)),
    ],
)
def test_a_pair_counts_by_its_margin(model, power, margins, weights):
    data = Pairs()
    data.pairs = [
        replace(pair, winner_score=0.4 + margin, loser_score=0.4)
        for pair, margin in zip(data.pairs, margins, strict=True)
    ]
    trainer = Trainer(model, data, replace(TINY, margin_weight=power, anchor_share=0.0, pairs_per_step=8))
    expected = dict(zip((pair.prompt_id for pair in data.pairs), weights, strict=True))
    draws = trainer._draws()
    weighed = trainer._loss(draws).dpo
    for draw in draws:
        name = "a" if draw.text.any() else "b"
        assert draw.weight == pytest.approx(expected[name])
    assert weighed.tolist() == pytest.approx([math.log(2) * draw.weight for draw in draws], rel=1e-4)
    trainer.close()


def test_noise_of_winner_and_loser(model):
    """The target is noise minus latents, so adding the latents back shows which noise was drawn."""

    def noises(kind: str) -> tuple[torch.Tensor, torch.Tensor, str]:
        trainer = Trainer(model, Pairs(), replace(TINY, noise=kind, pairs_per_step=1))
        draw = trainer._draws()[0]
        name = "a" if draw.text.any() else "b"
        trainer.close()
        pairs = Pairs()
        return draw.target_winner + pairs.latents(name, 0), draw.target_loser + pairs.latents(name, 1), name

    winner, loser, _ = noises("separate")
    assert not torch.allclose(winner, loser)
    winner, loser, _ = noises("shared")
    assert torch.allclose(winner, loser, atol=1e-5)
    winner, loser, name = noises("loser")
    assert torch.allclose(winner, Pairs().noise(name, 1), atol=1e-5)
    assert torch.allclose(loser, Pairs().noise(name, 1), atol=1e-5)


@pytest.mark.parametrize("stop", [1, 3])
def test_interrupted_run_ends_bit_equal(model, tmp_path, stop):
    whole = finish(model, TINY)
    trainer = Trainer(model, Pairs(), TINY)
    for log in trainer.run():
        if log.step == stop:
            break
    save_checkpoint(tmp_path, trainer.state())
    trainer.close()
    state, damaged = load_checkpoint(tmp_path, trainer.fingerprint)
    assert state is not None and state.step == stop and not damaged
    resumed = finish(model, TINY, state)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(("optimizer", "place"), [("adamw", "cpu"), ("adamw_fused", "meta")])
def test_count_of_steps_is_restored_to_where_the_optimizer_reads_it(model, optimizer, place):
    """The fused kernel reads it on the device, as AdamW's own `load_state_dict` knows."""
    trainer = Trainer(model, Pairs(), replace(TINY, optimizer=optimizer))
    trainer.device = torch.device("meta")  # a device that any machine has
    assert trainer._optimizer_value(torch.tensor(3.0)).device.type == place
    assert trainer._optimizer_value(torch.ones(2)).device.type == "meta"
    trainer.device = model.device
    trainer.close()


def test_truncated_checkpoint_falls_back_to_the_one_before(model, tmp_path):
    trainer = Trainer(model, Pairs(), TINY)
    for _ in trainer.run():
        newest = save_checkpoint(tmp_path, trainer.state())
    trainer.close()
    newest.write_bytes(newest.read_bytes()[:1000])
    state, damaged = load_checkpoint(tmp_path, trainer.fingerprint)
    assert state is not None and state.step == TINY.steps - 1
    assert damaged == [newest]


def test_checkpoint_of_other_settings_is_not_used(model, tmp_path):
    trainer = Trainer(model, Pairs(), TINY)
    next(trainer.run())
    save_checkpoint(tmp_path, trainer.state())
    trainer.close()
    assert load_checkpoint(tmp_path, "another") == (None, [])


@pytest.mark.parametrize("loss", LOSSES)
def test_training_moves_towards_its_goal(model, loss):
    trainer = Trainer(
        model, Pairs(), replace(TINY, loss=loss, steps=8, learning_rate=3e-3, schedule="constant")
    )
    logs = list(trainer.run())
    trainer.close()
    assert logs[-1].margin > 0 if loss != "sft" else logs[-1].loss < logs[0].loss


def test_micro_batches_change_nothing_but_rounding(model):
    def logs(micro_batch: int) -> list[tuple[float, float]]:
        trainer = Trainer(
            model, Pairs(), replace(TINY, pairs_per_step=4, warmup=0), replace(FAST, micro_batch=micro_batch)
        )
        result = [(log.loss, log.margin) for log in trainer.run()]
        trainer.close()
        return result

    assert np.allclose(logs(4), logs(1), rtol=2e-3, atol=1e-3)


def test_closing_gives_the_base_back_to_the_bit(model):
    noisy, sigma, text = torch.randn(1, *SHAPE), torch.tensor([0.7]), torch.ones(1, 12, 64)
    with torch.no_grad():
        before = model.family.velocity(model.transformer, noisy, sigma, text)
    finish(model, TINY)
    with torch.no_grad():
        after = model.family.velocity(model.transformer, noisy, sigma, text)
    assert torch.equal(before, after)


def test_saved_lora_does_what_the_trained_one_did(model, tmp_path):
    settings = replace(TINY, average=0.0, alpha=16.0)  # alpha / rank = 4 must be folded in
    noisy, sigma, text = torch.randn(1, *SHAPE), torch.tensor([0.7]), torch.ones(1, 12, 64)
    trainer = Trainer(model, Pairs(), settings)
    for _ in trainer.run():
        pass
    path = tmp_path / "x.safetensors"
    save_lora(path, trainer.lora(), {"note": "kept"})
    with torch.no_grad():
        trained = model.family.velocity(model.transformer, noisy, sigma, text)
        trainer.close()
        base = model.family.velocity(model.transformer, noisy, sigma, text)
        apply_lora(model, path)
        applied = model.family.velocity(model.transformer, noisy, sigma, text)
        apply_lora(model, path, strength=0.0)
        off = model.family.velocity(model.transformer, noisy, sigma, text)
    remove_lora(model)
    assert (trained - base).abs().max() > 1e-3
    assert torch.allclose(trained, applied, atol=1e-5)
    assert torch.allclose(base, off, atol=1e-6)
    state, metadata = read_lora(path)
    assert metadata["note"] == "kept"
    assert all(name.startswith("diffusion_model.") for name in state)
    assert not any("alpha" in name for name in state)


def test_lora_that_changes_nothing_is_not_saved(model, tmp_path):
    trainer = Trainer(model, Pairs(), TINY)
    with pytest.raises(SpatialAlignError, match="change nothing"):
        save_lora(tmp_path / "x.safetensors", trainer.lora(), {})
    trainer.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "no LoRA file"), (b"not safetensors at all", "damaged"), (b"", "damaged")],
)
def test_bad_lora_files_are_named(model, tmp_path, content, words):
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpatialAlignError, match=words):
        apply_lora(model, path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_lora_that_is_no_number_is_named(model, tmp_path, value):
    path = tmp_path / "spoilt.safetensors"
    save_file({"a.lora_A.weight": torch.ones(1, 4), "a.lora_B.weight": torch.full((4, 1), value)}, path)
    with pytest.raises(SpatialAlignError, match=r"is damaged .*a\.lora_B\.weight is no number"):
        apply_lora(model, path)


def test_lora_of_another_model_is_refused(model, tmp_path):
    path = tmp_path / "other.safetensors"
    save_lora(
        path,
        {
            "diffusion_model.blocks.99.self_attn.q.lora_A.weight": torch.ones(1, 160),
            "diffusion_model.blocks.99.self_attn.q.lora_B.weight": torch.ones(160, 1),
        },
        {},
    )
    with pytest.raises(SpatialAlignError, match="does not fit"):
        apply_lora(model, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": "ppo"}, "loss"),
        ({"noise": "pink"}, "noise"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"sigma_min": 0.9, "sigma_max": 0.1}, "sigma_min"),
        ({"anchor_share": 1.0}, "anchor_share"),
    ],
)
def test_bad_settings_are_named(change, words):
    with pytest.raises(SpatialAlignError, match=words):
        replace(DEFAULT, **change)


def test_no_pairs_is_explained(model):
    class Empty(Pairs):
        pairs = ()
        explanation = "All videos were winners."

    with pytest.raises(SpatialAlignError, match="All videos were winners"):
        Trainer(model, Empty(), TINY)
