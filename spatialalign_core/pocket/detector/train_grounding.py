"""Make the pocket GroundingDINO: `python -m spatialalign_core.pocket.detector.train_grounding FOLDER [--run RUN]`.

From nothing, it is trained on rendered pictures. With the run folder of a quickstart, what FOLDER holds is trained
further, on the training videos that the pocket video model drew there too: its sprites are softer than the world's.

The result is an ordinary folder of GroundingDinoForObjectDetection and GroundingDinoProcessor. A file `training.pt` in
it holds the state of an unfinished training, which the same command goes on with; it is deleted at the end.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import GroundingDinoForObjectDetection

from ...run.layout import RunLayout
from .grounding import build_config, build_model, build_processor, build_tokenizer, plural
from .grounding_loss import dense_loss, matched_loss
from .pictures import NOUNS
from .pool import Batch, Pool, deal, draw_pools, model_drawn_pool

_MEAN, _STD = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # of ImageNet, as GroundingDINO's processor has them
_STRIDE = 8


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to train."""

    steps: int = 5000
    pictures: int = 8000
    batch: int = 32
    learning_rate: float = 1.5e-3
    warmup: int = 150
    decay_share: float = 0.5  # the last share of the steps, over which the learning rate falls to zero
    ema: float = 0.998
    seed: int = 0


FURTHER = Recipe(steps=3000, learning_rate=6e-4, decay_share=1.0)  # on videos of the video model too


class Words:
    """Turns prompts into token ids and marks the tokens that name each thing."""

    def __init__(self) -> None:
        vocabulary = build_tokenizer().get_vocab()
        self.singular = [vocabulary[noun] for noun in NOUNS]
        self.plural = [vocabulary[plural(noun)] for noun in NOUNS]
        self.articles = [vocabulary[word] for word in ("a", "the")]

    def __call__(self, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids (B, L), which are no padding (B, L), and which name thing n (B, N, L), all bool but the first."""
        rows, places = [], []
        for asked in batch.asked:
            ids, place = [101], {}
            for noun in asked:
                if rng.random() < 0.06:
                    ids.append(self.articles[rng.integers(2)])
                place[noun] = len(ids)
                words = self.plural if rng.random() < 0.08 else self.singular
                ids += [words[noun] if noun >= 0 else 100, 1012]
            rows.append([*ids, 102])
            places.append(place)
        length = max(map(len, rows))
        tokens = torch.tensor([row + [0] * (length - len(row)) for row in rows])
        named = torch.zeros((len(rows), batch.nouns.shape[1], length), dtype=torch.bool)
        for index, (nouns, place) in enumerate(zip(batch.nouns.tolist(), places, strict=True)):
            for thing, noun in enumerate(nouns):
                if noun >= 0 and noun in place:
                    named[index, thing, place[noun]] = True
        return tokens, tokens != 0, named


def loss_of(
    model: GroundingDinoForObjectDetection, batch: Batch, words: Words, rng: np.random.Generator
) -> Tensor:
    """Loss of the first stage and of every decoder layer."""
    tokens, real, named = words(batch, rng)
    pixels = (torch.from_numpy(batch.pictures) / 255 - torch.tensor(_MEAN)) / torch.tensor(_STD)
    boxes = torch.from_numpy(batch.boxes)
    output = model(
        pixel_values=pixels.permute(0, 3, 1, 2).contiguous(), input_ids=tokens, attention_mask=real.long()
    )
    length = tokens.shape[1]
    height, width = batch.pictures.shape[1:3]
    grid = (-(-height // _STRIDE), -(-width // _STRIDE))
    first, box = dense_loss(
        output.enc_outputs_class[..., :length], output.enc_outputs_coord_logits, grid, boxes, named, real
    )
    loss = first + box
    reference = output.init_reference_points
    text = output.encoder_last_hidden_state_text
    for layer in range(output.intermediate_hidden_states.shape[1]):
        states = output.intermediate_hidden_states[:, layer]
        found = (model.bbox_embed[layer](states) + torch.special.logit(reference, eps=1e-5)).sigmoid()
        loss = loss + matched_loss(states @ text.transpose(1, 2), found, boxes, named, real)
        reference = output.intermediate_reference_points[:, layer]
    return loss


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Linear warm-up, constant, linear decay to zero."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    fall = min(1.0, (recipe.steps - step) / (recipe.decay_share * recipe.steps))
    return recipe.learning_rate * rise * fall


class Training:
    """A training that can be written down and taken up again; after the last step `average` is the result."""

    def __init__(self, recipe: Recipe, start: Path | None = None) -> None:
        """start: a finished folder whose weights are trained further."""
        self.recipe = recipe
        self.model = build_model(recipe.seed).train()
        if start is not None:
            finished = GroundingDinoForObjectDetection.from_pretrained(start, local_files_only=True)
            self.model.load_state_dict(finished.state_dict(), strict=False)  # live batch norms also count
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=1e-3
        )
        self.words = Words()
        self.done = 0

    def run(self, pools: list[Pool]) -> Iterator[tuple[int, float]]:
        """Train to the end, yielding (step, loss)."""
        recipe = self.recipe
        while self.done < recipe.steps:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate_at(recipe, self.done)
            rng = np.random.default_rng((recipe.seed, 3, self.done))
            loss = loss_of(self.model, deal(pools, recipe.batch, recipe.seed, self.done), self.words, rng)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self._average_weights(min(recipe.ema, (self.done + 1) / (self.done + 10)))
            yield self.done, loss.item()
            self.done += 1

    @torch.no_grad()
    def _average_weights(self, decay: float) -> None:
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        for target, source in zip(self.average.buffers(), self.model.buffers(), strict=True):
            target.copy_(source)

    def state(self) -> dict[str, Any]:
        """Everything that `take_up` needs."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]


def save(trained: nn.Module, folder: Path) -> None:
    """Write model and processor; the live batch norms become the frozen ones that the class has."""
    model = GroundingDinoForObjectDetection(build_config())
    model.load_state_dict(trained.state_dict(), strict=False)
    model.eval().save_pretrained(folder)
    build_processor().save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the model folder is written")
    parser.add_argument(
        "--run", type=Path, help="train it further, on the training videos of this run folder too"
    )
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--steps", type=int, help=f"default: {Recipe.steps}, further {FURTHER.steps}")
    parser.add_argument("--pictures", type=int, default=Recipe.pictures)
    parser.add_argument("--save-every", type=float, default=180, metavar="SECONDS")
    options = parser.parse_args()
    torch.set_num_threads(1)  # more gain little on a model of this size
    options.folder.mkdir(parents=True, exist_ok=True)
    unfinished = options.folder / "training.pt"
    recipe = FURTHER if options.run else Recipe()
    recipe = replace(
        recipe, seed=options.seed, steps=options.steps or recipe.steps, pictures=options.pictures
    )
    training = Training(recipe, options.folder if options.run else None)
    if unfinished.exists():
        training.take_up(torch.load(unfinished, weights_only=True))
    pools = draw_pools(options.seed, options.pictures)
    if options.run:
        layout = RunLayout(options.run)
        keys = layout.samples("base", "train")
        pools.append(model_drawn_pool([layout.video_path("base", key.prompt_id, key.seed) for key in keys]))
    saved, losses = time.monotonic(), []
    started = time.process_time()
    for step, loss in training.run(pools):
        losses.append(loss)
        if step % 50 == 49:
            print(
                f"step {step + 1}: loss {np.mean(losses):.4f}, {time.process_time() - started:.0f} s",
                flush=True,
            )
            losses = []
        if time.monotonic() - saved > options.save_every:
            torch.save(training.state(), unfinished)
            saved = time.monotonic()
    save(training.average, options.folder)
    unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
