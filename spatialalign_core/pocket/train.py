"""Make the pocket video model from nothing: `python -m spatialalign_core.pocket.train FOLDER`.

The result is an ordinary WanPipeline folder. The text encoder learns to read and is then left alone, as those of real
models are. The transformer learns from true captions until it obeys every time; then a quarter of the captions tell the
change backwards, and it learns to choose one way instead of drawing both; then half of them do, as captions of real
videos are careless about what came first. In the end it draws well, knows the words, and does not quite trust them.
That is the room preference training fills.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from ..prompts import split_combinations
from ..relations import CHANGES, RelationChange
from .captions import MAX_TOKENS, OBJECTS, SCENES, SUBJECTS, build_tokenizer, caption
from .reading import states as token_states
from .reading import teach_reading
from .vae import PATCH, build_vae
from .world import HEIGHT, WIDTH, render

LATENT_CHANNELS = 16
SHIFT = 3.0
STEPS, GUIDANCE = 16, 1.5  # of the sampler


@dataclass(frozen=True)
class Phase:
    """A stretch of training with an optimiser of its own.

    truth: share of captions that tell the change as it is; the others tell it backwards.
    """

    steps: int
    truth: float
    decay_share: float  # the last share of the steps, over which the learning rate falls to zero


@dataclass(frozen=True)
class Recipe:
    """How long and how truthfully to train."""

    phases: tuple[Phase, ...] = (
        Phase(3500, truth=1.0, decay_share=0.0),
        Phase(750, truth=0.75, decay_share=0.0),
        Phase(750, truth=0.5, decay_share=0.6),
    )
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100
    caption_dropout: float = 0.1
    ema: float = 0.998
    seed: int = 0

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)


def training_combinations() -> list[tuple[str, str, RelationChange]]:
    """The (subject, object, change) triples that the base is shown; the held-out ones of seed 0 it never sees."""
    return split_combinations(SUBJECTS, OBJECTS, CHANGES, held_out_share=0.25, seed=0)[0]


def build_text_encoder(tokenizer: PreTrainedTokenizerBase) -> UMT5EncoderModel:
    """An untrained encoder of 64 numbers a token."""
    config = UMT5Config(
        vocab_size=len(tokenizer), d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4,
        dropout_rate=0.0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return UMT5EncoderModel(config)


def build_pipeline(seed: int) -> WanPipeline:
    """The untrained pipeline: analytic VAE, word-level tokenizer, random text encoder and transformer."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    frames = [
        render(
            str(rng.choice(SUBJECTS)),
            str(rng.choice(OBJECTS)),
            SCENES[i % len(SCENES)],
            CHANGES[i % len(CHANGES)],
            i,
        ).frames[::3]
        for i in range(600)
    ]
    tokenizer = build_tokenizer()
    text_encoder = build_text_encoder(tokenizer)
    transformer = WanTransformer3DModel(
        patch_size=(2, 2, 2), num_attention_heads=4, attention_head_dim=40, in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS, text_dim=64, freq_dim=64, ffn_dim=480, num_layers=6, rope_max_seq_len=64,
    )  # fmt: skip
    return WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        transformer=transformer,
        vae=build_vae(np.concatenate(frames), LATENT_CHANNELS),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
    )


class Encoder:
    """Pixels to normalised latents by the same matrix that the VAE holds, without its video overhead."""

    def __init__(self, vae: torch.nn.Module) -> None:
        z = vae.config.z_dim
        self.matrix = vae.encoder.conv_in.weight[:z, :, -1, 1, 1].detach().clone()
        self.bias = vae.encoder.conv_in.bias[:z].detach().clone()
        self.std = torch.tensor(vae.config.latents_std)

    def __call__(self, frames: np.ndarray) -> Tensor:
        """uint8 (B, F, H, W, 3) -> float32 (B, Z, F, H/8, W/8)."""
        b, f, h, w, _ = frames.shape
        x = torch.from_numpy(frames).float().div_(127.5).sub_(1.0)
        x = x.reshape(b, f, h // PATCH, PATCH, w // PATCH, PATCH, 3).permute(0, 1, 2, 4, 6, 5, 3)
        z = (x.reshape(b, f, h // PATCH, w // PATCH, -1) @ self.matrix.T + self.bias) / self.std
        return z.permute(0, 4, 1, 2, 3).contiguous()


def batch(recipe: Recipe, step: int, truth: float) -> tuple[np.ndarray, list[str]]:
    """Frames uint8 (B, F, H, W, 3) and captions of one step; they depend on (recipe.seed, step) alone."""
    combinations = training_combinations()
    rng = np.random.default_rng((recipe.seed, step))
    frames, captions = [], []
    for _ in range(recipe.batch):
        subject, object, change = combinations[rng.integers(len(combinations))]
        scene = SCENES[rng.integers(len(SCENES))]
        frames.append(render(subject, object, scene, change, int(rng.integers(2**31))).frames)
        blank = rng.random() < recipe.caption_dropout
        captions.append("" if blank else caption(subject, object, scene, change, truth, rng))
    return np.stack(frames), captions


@torch.no_grad()
def encode_text(pipeline: WanPipeline, captions: list[str], length: int) -> Tensor:
    """Text states (B, length, 64), zero beyond each caption's end as WanPipeline makes them."""
    states, mask = token_states(pipeline.text_encoder, pipeline.tokenizer, captions)
    return torch.nn.functional.pad(states * mask[..., None], (0, 0, 0, length - MAX_TOKENS))


def learning_rate_at(recipe: Recipe, phase: Phase, step: int) -> float:
    """Linear warm-up, constant, linear decay to zero; `step` counts from the phase's start."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    fall = min(1.0, (phase.steps - step) / (phase.decay_share * phase.steps)) if phase.decay_share else 1.0
    return recipe.learning_rate * rise * fall


def make_optimizers(transformer: WanTransformer3DModel, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks (half the steps of AdamW here), AdamW for everything else."""
    hidden = [p for n, p in transformer.blocks.named_parameters() if p.ndim == 2 and "scale" not in n]
    chosen = {id(p) for p in hidden}
    others = [p for p in transformer.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(hidden, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(pipeline: WanPipeline, recipe: Recipe, compile_model: bool = False) -> Iterator[tuple[int, float]]:
    """Train in place, yielding (step, loss); exhausted, the pipeline holds the final weights."""
    teach_reading(pipeline.text_encoder, pipeline.tokenizer, training_combinations(), recipe.seed)
    pupil = Pupil(pipeline, recipe, compile_model)
    for phase in recipe.phases:
        yield from pupil.learn(phase)
    pipeline.transformer.load_state_dict(pupil.average.state_dict())
    pipeline.transformer.eval()


class Pupil:
    """A pipeline's transformer while it learns, and the running average of its weights."""

    def __init__(self, pipeline: WanPipeline, recipe: Recipe, compile_model: bool) -> None:
        self.pipeline, self.recipe = pipeline, recipe
        self.transformer = pipeline.transformer.train()
        self.average = copy.deepcopy(self.transformer).requires_grad_(False)
        self._model = torch.compile(self.transformer) if compile_model else self.transformer
        self._encode = Encoder(pipeline.vae)
        self._done = 0

    def learn(self, phase: Phase) -> Iterator[tuple[int, float]]:
        """One stretch, yielding (step, loss); steps count from the pupil's beginning."""
        recipe = self.recipe
        torch.manual_seed(recipe.seed + self._done)
        optimizers = make_optimizers(self.transformer, recipe.learning_rate)
        for step in range(phase.steps):
            rate = learning_rate_at(recipe, phase, step)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
            frames, captions = batch(recipe, self._done, phase.truth)
            # Now and then as much padding as the pipeline's own default, so that the model learns to ignore padding.
            text = encode_text(self.pipeline, captions, 512 if self._done % 20 == 0 else MAX_TOKENS)
            loss = flow_matching_loss(self._model, self._encode(frames), text)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.transformer.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            decay = min(recipe.ema, (self._done + 1) / (self._done + 10))
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.average.parameters()), list(self.transformer.parameters()), 1 - decay
                )
            yield self._done, loss.item()
            self._done += 1


def flow_matching_loss(model: torch.nn.Module, clean: Tensor, text: Tensor) -> Tensor:
    """Mean squared error of the predicted velocity at random noise levels, shifted as the sampler's schedule is."""
    count = clean.shape[0]
    noise = torch.randn_like(clean)
    uniform = (torch.arange(count) + torch.rand(count)) / count  # stratified over the batch
    sigma = (SHIFT * uniform / (1 + (SHIFT - 1) * uniform))[:, None, None, None, None]
    prediction = model((1 - sigma) * clean + sigma * noise, sigma.flatten() * 1000, text, return_dict=False)[
        0
    ]
    return (prediction - (noise - clean)).square().mean()


def save(pipeline: WanPipeline, folder: Path) -> None:
    """Write the pipeline and its recommended generation settings."""
    pipeline.vae.to(torch.bfloat16)  # halves the file; the code is linear and keeps its quality
    pipeline.register_modules(tokenizer=build_tokenizer())  # a used one remembers its last padding
    pipeline.save_pretrained(folder)
    settings = {
        "height": HEIGHT,
        "width": WIDTH,
        "num_frames": 17,
        "fps": 6,
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
    }
    (folder / "spatialalign.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the diffusers folder is written")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=2, help="the bundled weights were made with 2")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile the transformer (about 1.4 x faster)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    recipe = Recipe(seed=arguments.seed)
    pipeline = build_pipeline(recipe.seed)
    progress = tqdm(train(pipeline, recipe, arguments.compile), total=recipe.steps, unit="step")
    for _, loss in progress:
        progress.set_postfix(loss=f"{loss:.4f}", refresh=False)
    save(pipeline, arguments.folder)


if __name__ == "__main__":
    main()
