"""SAM 2 for video: follows things from the boxes they have in one frame, both ways through a clip of any length.

transformers' session keeps every picture, mask and memory of a clip, and does one picture and one thing at a time. Here
a few pictures are looked at together, all things are followed together, and after each frame everything is dropped
that the model's memory does not look back at: the last frames in the direction of travel, and those next to the seed,
from which the way back starts. What comes out is the whole session's but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SpatialAlignError, check_memory
from ..files import fingerprint
from ..weight_files import weights_fingerprint
from .pretrained import load_pretrained
from .sam2_step import Following, Seen, look

_PIXELS = {"cuda": 1 << 22, "cpu": 1 << 18}  # of the pictures that are looked at together


class Sam2VideoTracker:
    """A MaskTracker over transformers' Sam2VideoModel."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        name: str = "sam2",
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        weights: str = "",
    ) -> None:
        self.name = name
        self.device = torch.device(device)
        self.dtype = dtype or (torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        self.model = model.to(self.device, self.dtype).eval()
        self.processor = processor
        self.fingerprint = fingerprint([name, weights, str(self.dtype)])
        _remember_places(self.model.vision_encoder.neck.position_encoding)

    @classmethod
    def load(
        cls, folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> Sam2VideoTracker:
        """From a folder in transformers' layout. Never downloads. SpatialAlignError for a damaged folder."""
        from transformers import Sam2VideoModel, Sam2VideoProcessor

        path = Path(folder)
        try:
            model = load_pretrained(Sam2VideoModel, path)
            processor = Sam2VideoProcessor.from_pretrained(str(path), local_files_only=True)
        except Exception as error:  # a wrong file can fail in any of three libraries
            check_memory(error, path)
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SpatialAlignError(
                f"The SAM 2 model in {path} could not be loaded ({first}); copy or download the folder again."
            ) from error
        return cls(model, processor, path.name, device, dtype, weights_fingerprint(path))

    def track(
        self, frames: NDArray[np.uint8], seed: int, boxes: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float64]]]:
        """See `MaskTracker`. frames: uint8 RGB (F, H, W, 3), an array or a memory map; one is read at a time.

        Confidence: the model's probability that the thing is to be seen in the frame. ValueError for a seed outside the
        clip or boxes that are not (N, 4) finite numbers.
        """
        boxes = np.asarray(boxes, dtype=np.float64)
        if not 0 <= seed < len(frames):
            raise ValueError(f"The seed frame {seed} is not one of the clip's {len(frames)} frames.")
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) or not np.isfinite(boxes).all():
            raise ValueError(f"Boxes must be N x 4 finite numbers, got shape {boxes.shape}.")
        return self._track(frames, seed, boxes)

    def _track(
        self, frames: NDArray[np.uint8], seed: int, boxes: NDArray[np.float64]
    ) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.float64]]]:
        height, width = frames.shape[1:3]
        order = [*range(seed, len(frames)), *range(seed - 1, -1, -1)]
        side = self.model.config.image_size
        batch = max(1, _PIXELS.get(self.device.type, _PIXELS["cpu"]) // side**2)
        scale = np.tile([side / width, side / height], 2)
        following = Following(self.model, torch.from_numpy(boxes * scale).to(self.device), len(frames))
        for place, index in enumerate(order):
            with torch.inference_mode():
                if place % batch == 0:
                    seen = self._look(frames, order[place : place + batch])
                found = following.step(seen.picture(place % batch), index)
                following.forget(index)
                masks = torch.nn.functional.interpolate(
                    found.masks[:, None].float(), size=(height, width), mode="bilinear", align_corners=False
                )
                shown = (masks[:, 0] > 0).cpu().numpy()
                confidences = found.scores.double().sigmoid().cpu().numpy()
            yield index, shown, confidences

    def _look(self, frames: NDArray[np.uint8], indices: list[int]) -> Seen:
        """What the model sees in these frames, which are read only now."""
        clip = torch.from_numpy(np.stack([frames[index] for index in indices])).permute(0, 3, 1, 2)
        prepared = self.processor.video_processor(videos=[clip], return_tensors="pt", device=self.device)
        return look(self.model, prepared["pixel_values_videos"][0].to(self.dtype))


def _remember_places(encoding: Any, most: int = 8) -> None:
    """Let the encoding of places answer from memory: it is the same for every picture, and made anew for each."""
    if getattr(encoding, "_remembers", False):
        return
    forward = encoding.forward
    memory: dict[tuple[Any, ...], torch.Tensor] = {}

    def remembered(shape: torch.Size, device: Any, dtype: torch.dtype, mask: Any = None) -> torch.Tensor:
        if mask is not None or torch.is_grad_enabled():
            return forward(shape, device, dtype, mask)
        key = (tuple(shape[1:]), str(device), dtype)
        if key not in memory:
            if len(memory) >= most:
                memory.clear()
            memory[key] = forward(torch.Size((1, *shape[1:])), device, dtype)
        return memory[key].expand(shape[0], -1, -1, -1)

    encoding.forward = remembered
    encoding._remembers = True
