"""Videos that were made elsewhere, taken into the run folder so that the stages go on from them.

They lie where Generate would have put them. Their safetensors file has no latents at first, only what came with them;
`complete_sample` adds the latents once it is known which model is to learn from them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..encode import encode_frames, latents_show, normalise
from ..errors import SpatialAlignError
from ..files import fingerprint
from ..models.base import VideoModel
from ..prompts import DsrPrompt
from ..video import read_video, write_video
from .layout import BASE, RunLayout
from .samples import (
    COLLECTED,
    is_collected,
    read_tensors,
    sample_metadata,
    sample_state,
    video_digest,
    write_tensors,
)

Collected = Literal["new", "there already", "replaced"]

_RAW = "raw"  # latents as they came, in the numbers of the VAE that decoded them
_MOST = 2**63 - 1  # seeds are 64-bit integers in the exported pairs


def collect_sample(
    layout: RunLayout, prompt: DsrPrompt, seed: int, frames: np.ndarray, fps: float, latents: Tensor | None
) -> Collected:
    """Write both files of a collected sample; see `Run.collect`."""
    if not 0 <= seed <= _MOST:
        raise SpatialAlignError(f"The seed must lie between 0 and {_MOST}, not {seed}.")
    if latents is not None and latents.ndim != 4:
        raise SpatialAlignError(
            f"The latents of a video have four dimensions (channels, frames, height, width), these {latents.ndim}; "
            "connect those of a video, or none."
        )
    video = layout.video_path(BASE, prompt.id, seed)
    raw = None if latents is None else latents.detach().float().cpu().contiguous()
    numbers = None if raw is None else raw.numpy().tobytes()
    shape = frames.shape
    print_ = fingerprint([COLLECTED, prompt.text, seed, fps, shape, frames.tobytes(), numbers])
    state = sample_state(video, print_)
    if state == "whole":
        return "there already"
    if state == "other" and not is_collected(video):
        raise SpatialAlignError(
            f"{video} was made by Generate and is not overwritten; choose another run_folder or another seed."
        )
    write_video(video, frames, fps)
    metadata = {
        "fingerprint": print_,
        "origin": COLLECTED,
        "model": "",
        "video": video_digest(video) or "",
        "prompt_id": prompt.id,
        "prompt": prompt.text,
        "seed": str(seed),
        "settings": json.dumps(
            {"height": shape[1], "width": shape[2], "num_frames": shape[0], "fps": fps}, ensure_ascii=False
        ),
    }
    write_tensors(video, {} if raw is None else {_RAW: raw}, metadata)
    return "new" if state == "missing" else "replaced"


def with_prompt(prompts: Sequence[DsrPrompt], prompt: DsrPrompt) -> list[DsrPrompt]:
    """The prompts with this one among them. SpatialAlignError when another one has its id."""
    for other in prompts:
        if other.id.casefold() == prompt.id.casefold():
            if other.text != prompt.text:
                raise SpatialAlignError(
                    f"The run has another prompt called {other.id!r}: {other.text!r}. Choose another run_folder."
                )
            return list(prompts)
    return [*prompts, prompt]


def is_complete(video: Path, model: str) -> bool:
    """Whether the sample has latents of the model with this fingerprint, or is none that could be given them."""
    metadata = sample_metadata(video)
    return metadata.get("origin") != COLLECTED or metadata.get("model") == model


@torch.no_grad()
def complete_sample(video: Path, model: VideoModel) -> str | None:
    """Give a collected sample the model's latents.

    Those that came with it, when the model's VAE shows the video in them; else its pictures are encoded. Returns what
    is worth a warning, or None. SpatialAlignError when neither can be done.
    """
    metadata = dict(sample_metadata(video))
    tensors = read_tensors(video)
    frames = _own_size(read_video(video)[0], metadata)
    latents, warning = None, None
    if _RAW in tensors:
        latents = _taken_over(model, tensors[_RAW], frames)
        if latents is None:
            warning = (
                f"The latents that were collected with {video} are not those of {model.folder.name}; its pictures are "
                "encoded instead."
            )
    if latents is None:
        latents = encode_frames(model, frames)
    metadata["model"] = model.fingerprint
    write_tensors(video, tensors | {"latents": latents.contiguous().clone()}, metadata)
    return warning


def _taken_over(model: VideoModel, raw: Tensor, frames: np.ndarray) -> Tensor | None:
    try:
        latents = normalise(model, raw)
    except SpatialAlignError:
        return None
    return latents if latents_show(model, latents, frames) else None


def _own_size(frames: np.ndarray, metadata: dict[str, str]) -> np.ndarray:
    """Without the enlargement and the even sides that small clips get in their mp4."""
    settings = json.loads(metadata.get("settings") or "{}")
    height, width = settings.get("height", frames.shape[1]), settings.get("width", frames.shape[2])
    factor = max(1, frames.shape[1] // max(1, height))
    part = frames[:, : height * factor, : width * factor]
    if factor == 1:
        return part
    blocks = part.reshape(len(part), height, factor, width, factor, 3).astype(np.float32)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)
