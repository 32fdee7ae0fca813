"""Videos of other programs as latents of a model: encoded by its VAE, or taken over where they belong to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .errors import SpatialAlignError, is_out_of_memory
from .models.base import GenerateSettings, VideoModel
from .plan import patch_size

_FAR = 0.2
"""Mean difference of two pictures (0..1) from which they do not show the same. A VAE's own loss lies below 0.05, what a
wrong VAE makes of latents above 0.25."""
_ALIKE = 0.5  # correlation of two pictures that show the same
_PLAIN = 0.02  # deviation of a picture in which there is nothing to see, such as a black one


@torch.no_grad()
def encode_frames(model: VideoModel, frames: np.ndarray) -> Tensor:
    """Normalised latents float32 (C, F', H', W') of a video, uint8 (F, H, W, 3).

    Frames at the end and pixels at the sides that do not fill a patch of the model are left out. SpatialAlignError
    for a video that is too small, or when the model's VAE cannot encode.
    """
    count, height, width = _fitting(model, frames.shape)
    top, left = (frames.shape[1] - height) // 2, (frames.shape[2] - width) // 2
    video = torch.from_numpy(np.ascontiguousarray(frames[:count, top : top + height, left : left + width]))
    vae = model.pipeline.vae
    if type(vae).__name__ == "AutoencoderKLWan":
        # It encodes one frame and then whole fours, whatever its own step in time, and drops the rest.
        video = torch.cat([video, video[-1:].expand(-(count - 1) % 4, -1, -1, -1)])
    pixels = video.permute(3, 0, 1, 2)[None]  # F H W C -> B C F H W
    try:
        raw = vae.encode(pixels.to(vae.device, vae.dtype) / 127.5 - 1).latent_dist.mode()[0]
    except (AttributeError, NotImplementedError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise SpatialAlignError(
            f"The VAE of {model.folder.name} cannot turn pictures into latents ({error}); connect LATENT to Collect "
            "Sample, so that it need not."
        ) from error
    lead = model.family.leading_latents
    raw = raw[:, : _latent_shape(model, (count, height, width))[0] - lead]
    return normalise(model, torch.cat([raw[:, :1].expand(-1, lead, -1, -1), raw], dim=1))


def normalise(model: VideoModel, raw: Tensor) -> Tensor:
    """A VAE's own numbers (C, F', H', W'), as ComfyUI's LATENT has them, in those that the transformer takes.

    float32, about mean 0 and deviation 1 in every channel. SpatialAlignError when there are not the model's channels.
    """
    config = model.pipeline.vae.config
    numbers = raw.detach().float().cpu()
    mean, deviation = (_constant(model.pipeline.vae, name) for name in ("latents_mean", "latents_std"))
    if mean is not None and deviation is not None:
        if len(mean) != len(numbers):
            raise SpatialAlignError(
                f"These latents have {len(numbers)} channels, those of {model.folder.name} {len(mean)}; choose the "
                "model that made them."
            )
        shape = (-1, 1, 1, 1)
        numbers = (numbers - mean.view(shape)) / deviation.view(shape)
    else:
        numbers = numbers - (getattr(config, "shift_factor", None) or 0.0)
    return numbers * (getattr(config, "scaling_factor", None) or 1.0)


def _constant(vae: Any, name: str) -> Tensor | None:
    """A VAE's constant for every channel, which some keep in their configuration and some beside their weights."""
    found = getattr(vae.config, name, None)
    if found is None:
        found = getattr(vae, name, None)
    return None if found is None else torch.as_tensor(found).detach().float().cpu()


def latents_show(model: VideoModel, latents: Tensor, frames: np.ndarray) -> bool:
    """Whether normalised latents are those of this video, uint8 (F, H, W, 3), with this model's VAE.

    Looks at their shape, then decodes the first latent frame alone, which every causal VAE can.
    """
    expected = _latent_shape(model, _fitting(model, frames.shape))
    if latents.ndim != 4 or tuple(latents.shape[1:]) != expected or expected[0] < 1:
        return False
    start = latents[None, :, : 1 + model.family.leading_latents]
    picture, first = model.decode(start.to(model.device))[0, 0] / 255, frames[0] / 255
    if picture.shape != first.shape or np.abs(picture - first).mean() >= _FAR:
        return False
    # Anything grey is near enough to a grey picture, so what there is to see must be alike too.
    if first.std() < _PLAIN:
        return True
    return bool(picture.std() > 0 and np.corrcoef(picture.ravel(), first.ravel())[0, 1] > _ALIKE)


def _fitting(model: VideoModel, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Frames, height and width of a video of this shape that the model can take."""
    temporal, spatial, patch = _scales(model)
    count, height, width = shape[:3]
    lead = model.family.leading_latents
    latent_frames = ((count - 1) // temporal + 1 + lead) // patch[0] * patch[0] - lead
    height, width = (
        side // (spatial * n) * (spatial * n) for side, n in ((height, patch[1]), (width, patch[2]))
    )
    if min(latent_frames, height, width) < 1:
        raise SpatialAlignError(
            f"A video of {shape[0]} frames, {shape[2]} x {shape[1]}, is too small for {model.folder.name}; it takes "
            f"{(patch[0] - lead - 1) * temporal + 1} frames of {spatial * patch[2]} x {spatial * patch[1]} and more."
        )
    return (latent_frames - 1) * temporal + 1, height, width


def _latent_shape(model: VideoModel, size: tuple[int, int, int]) -> tuple[int, int, int]:
    temporal, spatial, _ = _scales(model)
    count, height, width = size
    return (
        (count - 1) // temporal + 1 + model.family.leading_latents,
        height // spatial,
        width // spatial,
    )


def _scales(model: VideoModel) -> tuple[int, int, tuple[int, int, int]]:
    """Frames and pixels a latent, and latents a patch, of any family."""
    _, small_frames, small_side, _ = model.family.latent_shape(model.pipeline, _probe(1, 768))
    _, large_frames, _, _ = model.family.latent_shape(model.pipeline, _probe(97, 768))
    return 96 // (large_frames - small_frames), 768 // small_side, patch_size(model.transformer)


def _probe(frames: int, side: int) -> GenerateSettings:
    return GenerateSettings(side, side, frames, fps=1, steps=1, guidance_scale=1)
