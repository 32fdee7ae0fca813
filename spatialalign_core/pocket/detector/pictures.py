"""What the pocket detectors are trained on: sprite pictures and clips with true boxes and masks, made worse.

Pictures show what the world's own clips never do, too: several animals, the same noun twice, things cut by the
picture's edge or half hidden, and none at all. They then go through what detectors meet in practice: the video
model's VAE, an mp4 file, being enlarged and shrunk again, blur, noise and other colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...relations import CHANGES
from ...video import read_video, write_video
from ..captions import OBJECTS, SCENES, SUBJECTS
from ..sprites import COLOURS, backdrop, sprite
from ..world import HEIGHT, WIDTH, render

NOUNS: tuple[str, ...] = tuple(COLOURS)
MOST_THINGS = 4
_SIZE = 20.0  # of a sprite in the world, in pixels of a picture that is HEIGHT high

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip with its truth; a single picture is a clip of one frame.

    frames: uint8 RGB (F, H, W, 3). nouns: of each of the N things. masks: bool (F, N, H, W), what is visible.
    boxes: float32 (F, N, 4), xyxy pixels of the visible part, far edges exclusive, NaN where nothing is visible.
    """

    frames: Frames
    nouns: tuple[str, ...]
    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]


def world_clip(rng: np.random.Generator, frames: int, height: int = HEIGHT, width: int = WIDTH) -> Scene:
    """A clip as the world itself draws them, of any of its nouns, scenes and relation changes."""
    subject, object, scene = (str(rng.choice(each)) for each in (SUBJECTS, OBJECTS, SCENES))
    change = CHANGES[rng.integers(len(CHANGES))]
    clip = render(subject, object, scene, change, int(rng.integers(2**31)), frames, height, width)
    masks = np.stack([clip.subject_masks, clip.object_masks], axis=1)
    return Scene(clip.frames, (subject, object), masks, mask_boxes(masks))


def scattered_clip(
    rng: np.random.Generator,
    frames: int = 1,
    height: int = HEIGHT,
    width: int = WIDTH,
    least_visible: float = 0.4,
) -> Scene:
    """Up to `MOST_THINGS` things of any size anywhere, each on a smooth path of its own; later ones hide earlier ones.

    In the first frame every thing shows at least `least_visible` of itself.
    """
    wanted = int(rng.choice(MOST_THINGS + 1, p=[0.06, 0.2, 0.34, 0.25, 0.15]))
    unit = min(height, width * HEIGHT / WIDTH) / HEIGHT
    nouns: list[str] = []
    layers: list[NDArray[np.float32]] = []  # (F, H, W, 4) each
    for _ in range(6 * wanted):
        if len(nouns) == wanted:
            break
        noun = nouns[-1] if nouns and rng.random() < 0.2 else NOUNS[rng.integers(len(NOUNS))]
        size = max(6, round(_SIZE * unit * float(np.exp(np.clip(rng.normal(0.0, 0.2), -0.4, 0.5)))))
        layer = _moving(noun, size, _random_path(rng, frames, height, width), height, width)
        after = _visible([*layers, layer])
        whole = [float((each[0, ..., 3] >= 0.5).sum()) for each in (*layers, layer)]
        whole[-1] = float(sprite(noun, size)[..., 3].sum())
        if all(mask[0].sum() >= least_visible * area for mask, area in zip(after, whole, strict=True)):
            nouns.append(noun)
            layers.append(layer)
    pictures = np.repeat(backdrop(SCENES[rng.integers(len(SCENES))], height, width)[None], frames, axis=0)
    for layer in layers:
        pictures = pictures * (1 - layer[..., 3:]) + layer[..., :3] * layer[..., 3:]
    masks = _visible(layers)
    shown = np.stack(masks, axis=1) if masks else np.zeros((frames, 0, height, width), dtype=bool)
    return Scene(np.round(pictures * 255).astype(np.uint8), tuple(nouns), shown, mask_boxes(shown))


def mask_boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Extent of masks (..., H, W) as xyxy (..., 4), far edges exclusive; NaN for an empty mask."""
    sides = []
    for axis in (-2, -1):  # columns first
        filled: NDArray[np.bool_] = np.any(masks, axis=axis)
        length = filled.shape[-1]
        first, last = filled.argmax(-1), length - filled[..., ::-1].argmax(-1)
        sides += [first, last]
    left, right, top, bottom = sides
    boxes = np.stack([left, top, right, bottom], axis=-1).astype(np.float32)
    boxes[~masks.any((-2, -1))] = np.nan
    return boxes


def _random_path(rng: np.random.Generator, frames: int, height: int, width: int) -> NDArray[np.float64]:
    """Centres (F, 2): from one random place to another, half of the time the same, on a slight arc."""
    start, end = (rng.uniform((0.04, 0.1), (0.96, 0.95)) * (width, height) for _ in range(2))
    if rng.random() < 0.4:
        end = start
    way = np.clip(end - start, -0.5 * width, 0.5 * width)
    progress = np.linspace(0, 1, frames)[:, None] if frames > 1 else np.zeros((1, 1))
    path: NDArray[np.float64] = start + way * progress * progress * (3 - 2 * progress)
    path[:, 1] -= (
        rng.uniform(-0.1, 0.3) * height * (4 * progress * (1 - progress))[:, 0] * (end != start).any()
    )
    return path


def _moving(noun: str, size: int, path: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    """A sprite along a path, on nothing: float32 RGBA (F, H, W, 4)."""
    picture = sprite(noun, size)
    layer = np.zeros((len(path), height, width, 4), dtype=np.float32)
    for target, centre in zip(layer, path, strict=True):
        left, top = (round(float(c) - size / 2) for c in centre)
        rows = slice(max(top, 0), max(min(top + size, height), 0))
        columns = slice(max(left, 0), max(min(left + size, width), 0))
        target[rows, columns] = picture[
            rows.start - top : max(rows.stop - top, 0), columns.start - left : max(columns.stop - left, 0)
        ]
    return layer


def _visible(layers: Sequence[NDArray[np.float32]]) -> list[NDArray[np.bool_]]:
    """Of each layer (F, H, W, 4) what no later one hides: bool (F, H, W)."""
    masks: list[NDArray[np.bool_]] = []
    for layer in reversed(layers):
        own = layer[..., 3] >= 0.5
        for other in masks:
            own = own & ~other
        masks.append(own)
    return masks[::-1]


def through_vae(components: NDArray[np.float32], mean: NDArray[np.float32]) -> Callable[[Frames], Frames]:
    """The pocket VAE there and back, as the linear map that it is.

    components: (Z, 192) with orthonormal rows, mean: (192,), of 8 x 8 x 3 patches in -1..1, channel order (colour,
    column, row). The result takes uint8 (F, H, W, 3) with sides divisible by 8; other sides come back unchanged.
    """

    def apply(frames: Frames) -> Frames:
        count, height, width, _ = frames.shape
        if height % 8 or width % 8:
            return frames
        grid = (count, height // 8, width // 8, 3, 8, 8)
        tiles = frames.reshape(count, height // 8, 8, width // 8, 8, 3).astype(np.float32) / 127.5 - 1
        flat = tiles.transpose(0, 1, 3, 5, 4, 2).reshape(-1, 192) - mean
        back = (flat @ components.T @ components + mean).reshape(grid).transpose(0, 1, 5, 2, 4, 3)
        return np.clip(np.round((back.reshape(frames.shape) + 1) * 127.5), 0, 255).astype(np.uint8)

    return apply


def pocket_vae() -> Callable[[Frames], Frames]:
    """`through_vae` with the bundled video model's own VAE."""
    from safetensors.torch import load_file

    folder = Path(__file__).parent.parent / "weights" / "wan-pocket" / "vae"
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    count = weights["quant_conv.weight"].shape[0] // 2
    encode = weights["encoder.conv_in.weight"][:count, :, -1, 1, 1].float().numpy()
    return through_vae(encode, weights["decoder.conv_out.bias"].float().numpy())


def through_mp4(frames: Frames) -> Frames:
    """Written as an mp4 by `write_video`, read back, and shrunk to the size it had."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, 6)
        return shrunk(read_video(path)[0], *frames.shape[1:3])


def shrunk(frames: Frames, height: int, width: int) -> Frames:
    """Resized by a triangle filter, as the processors of detectors do it. (F, H, W, 3) -> (F, height, width, 3)."""
    size = (width, height)
    return np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BILINEAR)) for f in frames])


def enlarged(frames: Frames, factor: int) -> Frames:
    """Every pixel repeated `factor` times both ways."""
    return frames.repeat(factor, axis=1).repeat(factor, axis=2)


def disturb(frames: Frames, rng: np.random.Generator, vae: Callable[[Frames], Frames]) -> Frames:
    """Some of: the VAE, an mp4, enlarging and shrinking, blur. The same for all frames (F, H, W, 3) of a clip."""
    if rng.random() < 0.4:
        frames = vae(frames)
    chance = rng.random()
    if chance < 0.2:
        frames = through_mp4(frames)
    elif chance < 0.45:
        frames = shrunk(enlarged(frames, int(rng.integers(2, 5))), *frames.shape[1:3])
    if rng.random() < 0.25:
        sigma = float(rng.uniform(0.3, 1.0))
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames])
    return frames


def recolour(pictures: Frames, rng: np.random.Generator) -> NDArray[np.float32]:
    """Light, contrast and colour of each picture a little changed, and noise. uint8 (B, H, W, 3) -> float32, 0..255."""
    count = len(pictures)
    changed = rng.random((count, 1, 1, 1)) < 0.7
    gain = np.where(changed, rng.uniform(0.9, 1.1, (count, 1, 1, 3)), 1).astype(np.float32)
    contrast = np.where(changed, rng.uniform(0.75, 1.12, (count, 1, 1, 1)), 1).astype(np.float32)
    light = np.where(changed, rng.uniform(-12, 12, (count, 1, 1, 1)), 0).astype(np.float32)
    noise = rng.uniform(0, 10, (count, 1, 1, 1)).astype(np.float32) * (rng.random((count, 1, 1, 1)) < 0.5)
    values = (pictures.astype(np.float32) - 128) * (gain * contrast) + (128 + light)
    values += rng.standard_normal(pictures.shape, dtype=np.float32) * noise.astype(np.float32)
    return np.clip(values, 0, 255, out=values)
