"""Make the pocket SAM 2 from nothing: `python -m spatialalign_core.pocket.detector.train_sam2 FOLDER`.

The result is an ordinary folder of Sam2VideoModel and Sam2VideoProcessor. First it learns to draw the mask of what a
box holds, on single frames; then to carry a mask through short clips by its memory. A file `training.pt` in the folder
holds the state of an unfinished training, which the same command goes on with; it is deleted at the end.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import Sam2VideoModel

from ...detect.sam2_step import Following, Seen, look
from .pictures import Scene, disturb, mask_boxes, pocket_vae, recolour, scattered_clip, world_clip
from .sam2 import SIDE, build_model, build_processor

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as SAM 2's processor has them
_TRUTH_SIDE = SIDE // 2  # masks are compared at this size
_CLIP = 8  # frames of a clip in the pool
_THINGS = 2  # followed in each clip: what tells them apart is only where their boxes are


@dataclass(frozen=True)
class Stage:
    """A number of steps on that many clips of that many frames; on each clip `_THINGS` are followed."""

    steps: int
    batch: int
    frames: int


# Stills teach what a box holds, pairs of frames to find it again, longer clips to live with one's own mistakes.
STAGES = (Stage(600, 12, 1), Stage(900, 8, 2), Stage(700, 5, 4))


@dataclass(frozen=True)
class Recipe:
    """How long and on what to train."""

    stages: tuple[Stage, ...] = STAGES
    clips: int = 900
    learning_rate: float = 1.5e-3
    warmup: int = 100
    decay_share: float = 0.4  # the last share of the steps, over which the learning rate falls to zero
    ema: float = 0.998
    seed: int = 0

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self.stages[-1]


@dataclass(frozen=True, eq=False)
class Batch:
    """B things to follow, `_THINGS` in each of the clips.

    pixels: (clips, F, 3, SIDE, SIDE), normalised. masks: float (B, F, _TRUTH_SIDE, _TRUTH_SIDE). boxes: (B, 4), xyxy in
    pixels of SIDE, in the first frame. there: bool (B, F), whether the thing is visible.
    """

    pixels: Tensor
    masks: Tensor
    boxes: Tensor
    there: Tensor


def draw_clips(seed: int, count: int) -> list[Scene]:
    """Clips of `_CLIP` frames, disturbed in every way that they may meet."""
    rng = np.random.default_rng((seed, 1))
    vae = pocket_vae()
    clips: list[Scene] = []
    while len(clips) < count:
        draw = world_clip if rng.random() < 0.5 else scattered_clip
        scene = draw(rng, _CLIP)
        if scene.nouns:
            clips.append(Scene(disturb(scene.frames, rng, vae), scene.nouns, scene.masks, scene.boxes))
    return clips


def deal(clips: list[Scene], count: int, frames: int, seed: int, step: int) -> Batch:
    """The batch of one step; it depends on the seed and the step alone."""
    rng = np.random.default_rng((seed, 2, step))
    pictures: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.bool_]] = []
    boxes: list[NDArray[np.float64]] = []
    while len(pictures) < count:
        scene = clips[rng.integers(len(clips))]
        spacing = int(rng.integers(1, (_CLIP - 1) // (frames - 1) + 1)) if frames > 1 else 1
        start = int(rng.integers(_CLIP - (frames - 1) * spacing))
        places = np.arange(frames) * spacing + start
        if rng.random() < 0.5:
            places = places[::-1]
        shown, shapes = scene.frames[places], scene.masks[places]
        large = np.flatnonzero(shapes[0].sum((1, 2)) >= 30)
        if not len(large):
            continue
        if rng.random() < 0.5:
            shown, shapes = shown[:, :, ::-1], shapes[..., ::-1]
        height, width = shapes.shape[2:]
        pictures.append(shown)
        for thing in rng.choice(large, _THINGS, replace=len(large) < _THINGS):
            box = mask_boxes(shapes[0, thing]) + rng.normal(0, 0.7, 4)
            masks.append(shapes[:, thing])
            boxes.append(box * SIDE / np.array([width, height, width, height]))
    frames_of_all = np.stack(pictures)
    coloured = _same_for_each_clip(frames_of_all, rng)
    squeezed = np.stack([_resized(frame, SIDE) for frame in coloured.reshape(-1, *coloured.shape[2:])])
    pixels = (torch.from_numpy(squeezed) / 255 - torch.tensor(_MEAN)) / torch.tensor(_STD)
    truth = np.stack(masks)
    small = np.stack(
        [_resized(m.astype(np.float32), _TRUTH_SIDE) for m in truth.reshape(-1, *truth.shape[2:])]
    )
    return Batch(
        pixels.permute(0, 3, 1, 2).unflatten(0, frames_of_all.shape[:2]).contiguous(),
        torch.from_numpy(small > 0.5).float().unflatten(0, truth.shape[:2]),
        torch.from_numpy(np.stack(boxes)).float(),
        torch.from_numpy(truth.any((2, 3))),
    )


def _same_for_each_clip(clips: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """`recolour` with one light and colour for all frames of a clip: the frames side by side as one picture."""
    count, frames, height, width, _ = clips.shape
    strips = recolour(clips.transpose(0, 2, 1, 3, 4).reshape(count, height, frames * width, 3), rng)
    return strips.reshape(count, height, frames, width, 3).transpose(0, 2, 1, 3, 4)


def _resized(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    resized: NDArray[np.float32] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
    return resized


def loss_of(model: Sam2VideoModel, batch: Batch) -> tuple[Tensor, float]:
    """Loss over all frames, and the mean IoU of the masks in the last one."""
    clips, frames = batch.pixels.shape[:2]
    seen = look(model, batch.pixels.flatten(0, 1))
    # (cells, clips * frames, C) -> (cells, things, frames, C)
    levels = [each.unflatten(1, (clips, frames)).repeat_interleave(_THINGS, dim=1) for each in seen.levels]
    following = Following(model, batch.boxes, frames)
    loss = batch.pixels.new_zeros(())
    iou = batch.pixels.new_zeros(())
    for index in range(frames):
        there, truth = batch.there[:, index], batch.masks[:, index]
        now = Seen([level[:, :, index] for level in levels], seen.places[:, :1])
        # What is remembered goes by the truth of whether the thing is there.
        found = following.step(now, index, there, remember=index + 1 < frames)
        logits = functional.interpolate(found.masks[:, None], size=truth.shape[1:], mode="bilinear")[:, 0]
        entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((1, 2))
        soft = logits.sigmoid()
        dice = 1 - (2 * (soft * truth).sum((1, 2)) + 1) / (soft.sum((1, 2)) + truth.sum((1, 2)) + 1)
        with torch.no_grad():
            shown, true = logits > 0, truth > 0
            each = (shown & true).sum((1, 2)) / (shown | true).sum((1, 2)).clamp(min=1)
            iou = each[there].mean()
        weight = there.float()
        loss = loss + ((8 * entropy + dice + 0.1 * (found.quality - each).abs()) * weight).mean()
        loss = loss + 0.1 * functional.binary_cross_entropy_with_logits(found.scores, weight)
    return loss / frames, float(iou)


def learning_rate_at(recipe: Recipe, step: int) -> float:
    """Linear warm-up, constant, linear decay to zero."""
    rise = min(1.0, (step + 1) / recipe.warmup)
    fall = min(1.0, (recipe.steps - step) / (recipe.decay_share * recipe.steps))
    return recipe.learning_rate * rise * fall


def make_optimizers(model: Sam2VideoModel, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices between hidden states, AdamW for everything else."""
    hidden = [
        p
        for n, p in model.named_parameters()
        if p.ndim == 2 and min(p.shape) >= 8 and "embed" not in n and "token" not in n
    ]
    chosen = {id(p) for p in hidden}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(hidden, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


class Training:
    """A training that can be written down and taken up again; after the last step `average` is the result."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        # Evaluation mode throughout: the model has no dropout, and the memory is then made as in use.
        self.model = build_model(recipe.seed).eval()
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizers = make_optimizers(self.model, recipe.learning_rate)
        self.done = 0

    def run(self, clips: list[Scene]) -> Iterator[tuple[int, float, float]]:
        """Train to the end, yielding (step, loss, mean IoU in the last frame)."""
        recipe = self.recipe
        while self.done < recipe.steps:
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate_at(recipe, self.done)
            stage = recipe.stage(self.done)
            loss, iou = loss_of(self.model, deal(clips, stage.batch, stage.frames, recipe.seed, self.done))
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                decay = min(recipe.ema, (self.done + 1) / (self.done + 10))
                torch._foreach_lerp_(
                    list(self.average.parameters()), list(self.model.parameters()), 1 - decay
                )
            yield self.done, loss.item(), iou
            self.done += 1

    def state(self) -> dict[str, Any]:
        """Everything that `take_up` needs."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "done": self.done,
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.done = state["done"]


def save(trained: Sam2VideoModel, folder: Path) -> None:
    """Write model and processor; bfloat16 halves the file."""
    copy.deepcopy(trained).to(torch.bfloat16).save_pretrained(folder)
    build_processor().save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the model folder is written")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument(
        "--steps",
        type=int,
        nargs=len(STAGES),
        default=[stage.steps for stage in STAGES],
        help="of stills, pairs of frames, and longer clips",
    )
    parser.add_argument("--clips", type=int, default=Recipe.clips, help="clips in the pool")
    parser.add_argument("--save-every", type=float, default=180, metavar="SECONDS")
    options = parser.parse_args()
    torch.set_num_threads(1)  # more gain little on a model of this size
    options.folder.mkdir(parents=True, exist_ok=True)
    unfinished = options.folder / "training.pt"
    stages = tuple(replace(stage, steps=steps) for stage, steps in zip(STAGES, options.steps, strict=True))
    training = Training(Recipe(stages, options.clips, seed=options.seed))
    if unfinished.exists():
        training.take_up(torch.load(unfinished, weights_only=True))
    clips = draw_clips(options.seed, options.clips)
    saved, recent = time.monotonic(), []
    started = time.process_time()
    for step, loss, iou in training.run(clips):
        recent.append((loss, iou))
        if step % 50 == 49:
            mean_loss, mean_iou = np.nanmean(recent, axis=0)
            spent = time.process_time() - started
            print(f"step {step + 1}: loss {mean_loss:.4f}, IoU {mean_iou:.3f}, {spent:.0f} s", flush=True)
            recent = []
        if time.monotonic() - saved > options.save_every:
            torch.save(training.state(), unfinished)
            saved = time.monotonic()
    save(training.average, options.folder)
    unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
