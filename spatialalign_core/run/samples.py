"""Samples on disk: `<seed>.mp4` to look at, and beside it `<seed>.safetensors` with latents, noise and their origin.

The safetensors file is written last and names the mp4's digest, so that it vouches for both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import SpatialAlignError
from ..files import atomic_path, cause, content_digest
from ..generate import Sample
from ..models.base import GenerateSettings
from ..video import write_video
from ..weight_files import save_tensors

State = Literal["missing", "whole", "damaged", "other"]
COLLECTED = "collected"  # origin of samples that were not made by Generate; see `collecting`
DROPPED = "dropped"  # digest of latents that were deleted to free room; see `slimming`
ENCODED = "encoded"  # of a sample of Generate's whose latents were made of its pictures again
ENCODE_SECONDS = "encode_seconds"  # what the last encoding took


def write_sample(
    video: Path, sample: Sample, settings: GenerateSettings, fingerprint: str, model_fingerprint: str
) -> None:
    """Write both files of a sample; `video` is the mp4's path. Errors as `files.atomic_path`."""
    write_video(video, sample.frames, settings.fps)
    metadata = {
        "fingerprint": fingerprint,
        "model": model_fingerprint,
        "video": video_digest(video) or "",
        "prompt_id": sample.job.prompt_id,
        "prompt": sample.job.text,
        "seed": str(sample.job.seed),
        "settings": json.dumps(asdict(settings), ensure_ascii=False),
    }
    tensors = {"latents": sample.latents.contiguous().clone(), "noise": sample.noise.contiguous().clone()}
    write_tensors(video, tensors, metadata)


def write_tensors(video: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write the safetensors file beside a video, whole or not at all."""
    with atomic_path(video.with_suffix(".safetensors")) as temporary:
        save_tensors(temporary, tensors, metadata)


def sample_state(video: Path, fingerprint: str) -> State:
    """Whether the sample is there, whole, and made from what `fingerprint` says ("other": from something else)."""
    if not video.exists() and not video.with_suffix(".safetensors").exists():
        return "missing"
    try:
        metadata = sample_metadata(video)
    except SpatialAlignError:
        return "damaged"
    if metadata.get("fingerprint") != fingerprint:
        return "other"
    return "whole" if metadata.get("video") == video_digest(video) else "damaged"


def sample_metadata(video: Path) -> Mapping[str, str]:
    """What a sample was made from. SpatialAlignError when its safetensors file is missing, damaged or cut short."""
    path = video.with_suffix(".safetensors")
    try:
        with safe_open(path, framework="pt") as file:  # checks the length of the file against its header
            return file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def is_collected(video: Path) -> bool:
    """Whether the sample was made elsewhere; False where there is none or it cannot be read."""
    try:
        return sample_metadata(video).get("origin") == COLLECTED
    except SpatialAlignError:
        return False


def drop_tensors(video: Path) -> None:
    """Delete latents and noise of a sample; what it was made from stays, so that it counts as whole."""
    tensors, metadata = read_tensors(video), dict(sample_metadata(video))
    metadata[DROPPED] = tensor_digest(tensors["latents"]) if "latents" in tensors else ""
    metadata |= {name: DROPPED for name in tensors if name not in ("latents", "noise")}
    write_tensors(video, {}, metadata)


def tensor_digest(tensor: Tensor) -> str:
    """16 hex digits of a tensor's numbers."""
    return hashlib.sha256(tensor.float().contiguous().numpy().tobytes()).hexdigest()[:16]


def load_latents(video: Path) -> dict[str, Tensor]:
    """Those called "latents", and "noise" where it is known, float32 (C, F', H', W'). Errors as `sample_metadata`."""
    tensors = read_tensors(video)
    if "latents" not in tensors:
        path = video.with_suffix(".safetensors")
        raise SpatialAlignError(
            f"{path} has no latents; export the pairs again, with the model that is to learn."
        )
    return {name: tensors[name] for name in ("latents", "noise") if name in tensors}


def latent_shape(video: Path) -> tuple[int, ...]:
    """(C, F', H', W') of a sample's latents, without reading them. SpatialAlignError as `sample_metadata`."""
    path = video.with_suffix(".safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            return tuple(file.get_slice("latents").get_shape())
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def read_tensors(video: Path) -> dict[str, Tensor]:
    """All tensors beside a video. SpatialAlignError as `sample_metadata`."""
    path = video.with_suffix(".safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error


def video_digest(video: Path) -> str | None:
    """See `files.content_digest`."""
    return content_digest(video)


def _damaged(path: Path, error: Exception) -> SpatialAlignError:
    if isinstance(error, FileNotFoundError):
        return SpatialAlignError(
            f"{path} is missing; generate the samples again, only missing ones are made."
        )
    return SpatialAlignError(
        f"{path} is damaged ({cause(error)}); generate the samples again, only damaged ones are made."
    )
