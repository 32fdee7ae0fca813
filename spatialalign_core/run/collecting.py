"""Videos that were made elsewhere, taken into the run folder so that the stages go on from them.

They lie where Generate would have put them. Their safetensors file has no latents at first, only what came with them;
`complete_sample` adds the latents once it is known which model is to learn from them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..encode import encode_frames, latents_show, normalise
from ..errors import SpatialAlignError
from ..files import atomic_path, content_digest, fingerprint
from ..generate import Job, initial_noise
from ..models.base import VideoModel
from ..prompts import DsrPrompt
from ..video import VideoWriter, check_rate, read_video
from ..video_file import Part, open_clip
from .layout import BASE, RunLayout
from .samples import (
    COLLECTED,
    DROPPED,
    ENCODE_SECONDS,
    ENCODED,
    is_collected,
    read_tensors,
    sample_metadata,
    sample_state,
    video_digest,
    write_tensors,
)

Collected = Literal["new", "there already", "replaced"]

_RAW = "raw"  # latents as they came, in the numbers of the VAE that decoded them
_READER = 1  # another number when files are read in another way, so that they are collected again
_MOST = 2**63 - 1  # seeds are 64-bit integers in the exported pairs


class _ThereAlready(Exception):
    """The frames are those that lie there; what was written of them is dropped."""


def collect_sample(
    layout: RunLayout,
    prompt: DsrPrompt,
    seed: int,
    frames: Iterable[np.ndarray],
    fps: float,
    latents: Tensor | None,
    source: str = "",
) -> Collected:
    """Write both files of a collected sample, frame by frame; see `Run.collect`. source: what stands for the file that
    the frames are of, to know it again without decoding it."""
    if latents is not None and latents.ndim != 4:
        raise SpatialAlignError(
            f"The latents of a video have four dimensions (channels, frames, height, width), these {latents.ndim}; "
            "connect those of a video, or none."
        )
    check_rate(fps)
    video = _place(layout, prompt, seed)
    before = sample_state(video, "")
    raw = None if latents is None else latents.detach().float().cpu().contiguous()
    numbers = None if raw is None else raw.numpy().tobytes()

    def fingerprint_of(whole: tuple[int, ...], digest: str) -> str:
        return fingerprint([COLLECTED, prompt.text, seed, fps, whole, digest, numbers])

    if isinstance(frames, np.ndarray):  # looking at them costs less than writing them
        digest = hashlib.sha256()
        for frame in frames:
            digest.update(np.ascontiguousarray(frame).data)
        if sample_state(video, fingerprint_of(frames.shape, digest.hexdigest())) == "whole":
            return "there already"
    digest, count, shape = hashlib.sha256(), 0, (0, 0, 3)
    try:
        with atomic_path(video) as temporary, VideoWriter(temporary, fps) as writer:
            for frame in frames:
                picture = np.ascontiguousarray(frame)
                digest.update(picture.data)
                writer.add(picture)
                count, shape = count + 1, picture.shape
            if not count:
                raise SpatialAlignError("A video needs at least one frame; connect one that has some.")
            print_ = fingerprint_of((count, *shape), digest.hexdigest())
            if sample_state(video, print_) == "whole":
                raise _ThereAlready
    except _ThereAlready:
        return "there already"
    metadata = {
        "fingerprint": print_,
        "origin": COLLECTED,
        "model": "",
        "video": video_digest(video) or "",
        "source": source,
        "prompt_id": prompt.id,
        "prompt": prompt.text,
        "seed": str(seed),
        "settings": json.dumps(
            {"height": shape[0], "width": shape[1], "num_frames": count, "fps": fps}, ensure_ascii=False
        ),
    }
    write_tensors(video, {} if raw is None else {_RAW: raw}, metadata)
    return "new" if before == "missing" else "replaced"


def collect_file(layout: RunLayout, prompt: DsrPrompt, seed: int, file: Path, part: Part) -> Collected:
    """The same with a video file, of which no more than a few frames are in memory at once."""
    video = _place(layout, prompt, seed)
    content = content_digest(file)  # None where it cannot be read, which opening it tells
    source = fingerprint([_READER, content, part, prompt.text, seed])
    if content and video.exists() and is_collected(video):
        metadata = sample_metadata(video)
        if metadata.get("source") == source and metadata.get("video") == video_digest(video):
            return "there already"
    with open_clip(file, part) as clip:
        return collect_sample(layout, prompt, seed, _moving(clip.frames, file), clip.fps, None, source)


def _place(layout: RunLayout, prompt: DsrPrompt, seed: int) -> Path:
    """Where the video goes. SpatialAlignError for an impossible seed, and where Generate's own video lies."""
    if not 0 <= seed <= _MOST:
        raise SpatialAlignError(f"The seed must lie between 0 and {_MOST}, not {seed}.")
    video = layout.video_path(BASE, prompt.id, seed)
    if sample_state(video, "") == "other" and not is_collected(video):
        raise SpatialAlignError(
            f"{video} was made by Generate and is not overwritten; choose another run_folder or another seed."
        )
    return video


def _moving(frames: Iterable[np.ndarray], file: Path) -> Iterator[np.ndarray]:
    count = 0
    for frame in frames:
        count += 1
        yield frame
    if count == 1:
        raise SpatialAlignError(
            f"The video {file} has only one frame, and nothing moves in one; choose a longer one."
        )


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
    """Whether the sample has latents of the model with this fingerprint: those of a collected one may not be made yet,
    those of any may have been deleted."""
    metadata = sample_metadata(video)
    return DROPPED not in metadata and (metadata.get("origin") != COLLECTED or metadata.get("model") == model)


@torch.no_grad()
def complete_sample(video: Path, model: VideoModel) -> str | None:
    """Give a sample the model's latents: a collected one, or one whose latents were deleted.

    Those that came with it, when the model's VAE shows the video in them; else its pictures are encoded. The noise of
    one that Generate made is drawn again. Returns what is worth a warning, or None. SpatialAlignError when neither can
    be done.
    """
    begun = time.monotonic()
    metadata = dict(sample_metadata(video))
    was_dropped = metadata.pop(DROPPED, None) is not None
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
    metadata[ENCODE_SECONDS] = f"{time.monotonic() - begun:.2f}"
    tensors |= {"latents": latents.contiguous().clone()}
    collected = metadata.get("origin") == COLLECTED
    if was_dropped and (not collected or _RAW in metadata):  # better ones were there
        metadata[ENCODED] = "1"
    if not collected:
        job = Job(metadata["prompt_id"], metadata["prompt"], int(metadata["seed"]))
        tensors["noise"] = initial_noise(job, latents.shape)
    write_tensors(video, tensors, metadata)
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
    small = np.empty((len(part), height, width, 3), np.uint8)
    for index, picture in enumerate(part):  # one by one: the means are four times as large as the pictures
        small[index] = np.rint(
            picture.reshape(height, factor, width, factor, 3).mean((1, 3), dtype=np.float32)
        )
    return small
