"""Pictures and prompts for training, drawn once and dealt in batches that depend on the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...detect.sprites import SpriteDetector
from ...errors import SpatialAlignError
from ...video import read_video
from ..captions import OBJECTS, SUBJECTS
from ..world import HEIGHT, WIDTH
from .pictures import (
    MOST_THINGS,
    NOUNS,
    Scene,
    disturb,
    pocket_vae,
    recolour,
    scattered_clip,
    shrunk,
    world_clip,
)

GROUP = 8  # pictures that share their size and what happens to them
_SIZES = ((64, 96), (64, 64), (64, 112), (96, 64), (64, 85))
_SIZE_SHARES = (0.72, 0.07, 0.07, 0.07, 0.07)
_WORLD_SHARE = 0.35


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures of one size: uint8 (N, H, W, 3); nouns int (N, MOST_THINGS), -1 beyond a picture's own; boxes in xyxy
    pixels (N, MOST_THINGS, 4), NaN there."""

    pictures: NDArray[np.uint8]
    nouns: NDArray[np.int64]
    boxes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """pictures: float32 (B, H, W, 3) in 0..255. boxes: cxcywh in 0..1, (B, MOST_THINGS, 4), NaN beyond a picture's own.

    nouns: as in `Pool`. asked: for each picture the indices of the nouns that the prompt asks for; -1 is a word that
    nobody knows.
    """

    pictures: NDArray[np.float32]
    nouns: NDArray[np.int64]
    boxes: NDArray[np.float32]
    asked: list[list[int]]


def draw_pools(seed: int, count: int) -> list[Pool]:
    """About `count` training pictures, disturbed in every way that they may meet."""
    rng = np.random.default_rng((seed, 1))
    vae = pocket_vae()
    groups: dict[tuple[int, int], list[tuple[NDArray[np.uint8], list[Scene]]]] = {size: [] for size in _SIZES}
    for _ in range(count // GROUP):
        size = _SIZES[rng.choice(len(_SIZES), p=_SIZE_SHARES)]
        if rng.random() < _WORLD_SHARE:
            scenes = [world_clip(rng, GROUP, *size)]
        else:
            scenes = [scattered_clip(rng, 1, *size) for _ in range(GROUP)]
        frames = np.concatenate([scene.frames for scene in scenes])
        groups[size].append((disturb(frames, rng, vae), scenes))
    return [_pool(each) for each in groups.values() if each]


def model_drawn_pool(videos: Sequence[Path]) -> Pool:
    """Frames of mp4 files that the bundled video model drew, labelled by the sprite world's own colour detector.

    Sprites are softer there than the world's and sometimes torn, and now and then one comes twice. Frames in which that
    detector finds anything else than a subject and an object, once or more each, teach nothing and are left out.
    """
    detector = SpriteDetector()
    groups = []
    for video in videos:
        frames = shrunk(read_video(video)[0], HEIGHT, WIDTH)
        scenes, kept = [], []
        for index, found in enumerate(detector.detect(frames, NOUNS)):
            kinds = {each.noun for each in found}
            whole = len(kinds & set(SUBJECTS)) == 1 and len(kinds & set(OBJECTS)) == 1
            if whole and len(kinds) == 2 and len(found) <= MOST_THINGS:
                masks = np.stack([each.mask for each in found if each.mask is not None])[None]
                boxes = np.stack([each.box for each in found]).astype(np.float32)[None]
                scenes.append(Scene(frames[index][None], tuple(each.noun for each in found), masks, boxes))
                kept.append(index)
        if kept:
            groups.append((frames[kept], scenes))
    if not groups:
        raise SpatialAlignError("None of the videos shows a subject and an object of the sprite world.")
    return _pool(groups)


def _pool(groups: list[tuple[NDArray[np.uint8], list[Scene]]]) -> Pool:
    nouns, boxes = [], []
    for _, scenes in groups:
        for scene in scenes:
            for row in scene.boxes:
                there = [index for index, box in enumerate(row) if np.isfinite(box).all()]
                names = [NOUNS.index(scene.nouns[index]) for index in there]
                nouns.append(names + [-1] * (MOST_THINGS - len(there)))
                empty = np.full((MOST_THINGS - len(there), 4), np.nan, dtype=np.float32)
                boxes.append(np.concatenate([row[there], empty]))
    return Pool(np.concatenate([frames for frames, _ in groups]), np.array(nouns), np.stack(boxes))


def deal(pools: list[Pool], count: int, seed: int, step: int) -> Batch:
    """The batch of one step: pictures of one size, mirrored half of the time, recoloured, with prompts."""
    rng = np.random.default_rng((seed, 2, step))
    sizes = np.array([len(pool.pictures) for pool in pools])
    pool = pools[rng.choice(len(pools), p=sizes / sizes.sum())]
    chosen = rng.integers(len(pool.pictures), size=count)
    pictures, boxes = pool.pictures[chosen], pool.boxes[chosen]
    height, width = pictures.shape[1:3]
    mirrored = rng.random(count) < 0.5
    pictures = np.where(mirrored[:, None, None, None], pictures[:, :, ::-1], pictures)
    left, right = (
        np.where(mirrored[:, None], width - boxes[..., b], boxes[..., a]) for a, b in ((0, 2), (2, 0))
    )
    top, bottom = boxes[..., 1], boxes[..., 3]
    relative = np.stack(
        [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ],
        -1,
    )
    nouns = pool.nouns[chosen]
    asked = [_prompt(rng, [n for n in row if n >= 0]) for row in nouns.tolist()]
    return Batch(recolour(pictures, rng), nouns, relative.astype(np.float32), asked)


def _prompt(rng: np.random.Generator, there: list[int]) -> list[int]:
    """Nouns to ask for, mostly two, some of them not in the picture."""
    count = int(rng.choice([1, 2, 3, 4, 7], p=[0.12, 0.55, 0.15, 0.1, 0.08]))
    present = list(dict.fromkeys(there))
    rng.shuffle(present)
    absent = [n for n in rng.permutation(len(NOUNS)).tolist() if n not in present]
    asked: list[int] = []
    while len(asked) < count:
        if rng.random() < 0.03:
            asked.append(-1)
        elif present and rng.random() < 0.65:
            asked.append(present.pop())
        else:
            asked.append(absent.pop())
    rng.shuffle(asked)
    return asked
