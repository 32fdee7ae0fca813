"""SAM on single frames: a mask for every box that a detector found. The light choice, without a memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SpatialAlignError, check_memory
from ..files import fingerprint
from ..weight_files import weights_fingerprint
from .base import Detection, Detector, check_nouns
from .masks import mask_boxes
from .pretrained import load_pretrained

Masks = NDArray[np.bool_]
Boxes = NDArray[np.float64]


class BoxSegmenter(Protocol):
    """Cuts out what is in a box."""

    name: str

    def segment(self, frames: NDArray[np.uint8], boxes: Sequence[Boxes]) -> list[Masks]:
        """bool masks (N, H, W) for the boxes (N, 4) xyxy of each frame, all frames at once.

        frames: uint8 RGB (B, H, W, 3). N may differ from frame to frame and be 0.
        """
        ...


class WithMasks:
    """A Detector that adds masks to another's detections.

    boxes_from_masks: replace each box by the tightest one around its mask, where the mask is not empty.
    batch_size: frames that are segmented at once.
    """

    def __init__(
        self, detector: Detector, segmenter: BoxSegmenter, batch_size: int = 1, boxes_from_masks: bool = False
    ) -> None:
        self.name = f"{detector.name} + {segmenter.name}"
        self.detector = detector
        self.segmenter = segmenter
        self.batch_size = batch_size
        self.boxes_from_masks = boxes_from_masks
        origins = [getattr(each, "fingerprint", each.name) for each in (detector, segmenter)]
        self.fingerprint = fingerprint([*origins, boxes_from_masks])

    def check_nouns(self, nouns: Sequence[str]) -> None:
        """See `Detector`."""
        check_nouns(self.detector, nouns)

    def detect(self, frames: NDArray[np.uint8], nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """See `Detector`."""
        waiting: list[list[Detection]] = []
        for index, found in enumerate(self.detector.detect(frames, nouns)):
            waiting.append(found)
            if len(waiting) == self.batch_size or index == len(frames) - 1:
                yield from self._add_masks(frames[index + 1 - len(waiting) : index + 1], waiting)
                waiting = []

    def _add_masks(
        self, frames: NDArray[np.uint8], found: Sequence[list[Detection]]
    ) -> Iterator[list[Detection]]:
        boxes = [np.array([each.box for each in frame], dtype=np.float64).reshape(-1, 4) for frame in found]
        for detections, masks in zip(found, self.segmenter.segment(frames, boxes), strict=True):
            around = mask_boxes(masks)
            tight = [self.boxes_from_masks and bool(np.isfinite(box).all()) for box in around]
            yield [
                replace(each, mask=mask, box=new if use else each.box)
                for each, mask, new, use in zip(detections, masks, around, tight, strict=True)
            ]


class SamSegmenter:
    """A BoxSegmenter over transformers' SamModel or Sam2Model and its image processor."""

    def __init__(
        self,
        model: Any,
        image_processor: Any,
        name: str = "sam",
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        weights: str = "",
    ) -> None:
        self.name = name
        self.device = torch.device(device)
        self.dtype = dtype or (torch.bfloat16 if self.device.type == "cuda" else torch.float32)
        self.model = model.to(self.device, self.dtype).eval()
        self.image_processor = image_processor
        self.fingerprint = fingerprint([name, weights, str(self.dtype)])

    @classmethod
    def load(
        cls, folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> SamSegmenter:
        """From a folder of SAM or SAM 2 (a video one serves too) in transformers' layout. Never downloads.

        SpatialAlignError for a damaged folder.
        """
        import transformers

        path = Path(folder)
        try:
            kind = json.loads((path / "config.json").read_text(encoding="utf-8"))["model_type"]
            family = "Sam" if kind == "sam" else "Sam2"
            model = load_pretrained(getattr(transformers, f"{family}Model"), path)
            processor_class = getattr(transformers, f"{family}ImageProcessor")
            processor = processor_class.from_pretrained(str(path), local_files_only=True)
        except Exception as error:  # a wrong file can fail in any of three libraries
            check_memory(error, path)
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SpatialAlignError(
                f"The SAM model in {path} could not be loaded ({first}); copy or download the folder again."
            ) from error
        return cls(model, processor, path.name, device, dtype, weights_fingerprint(path))

    def segment(self, frames: NDArray[np.uint8], boxes: Sequence[Boxes]) -> list[Masks]:
        """See `BoxSegmenter`."""
        height, width = frames.shape[1:3]
        masks = [np.zeros((len(each), height, width), dtype=bool) for each in boxes]
        busy = [index for index, each in enumerate(boxes) if len(each)]
        if not busy:
            return masks
        inputs = self.image_processor(images=[frames[index] for index in busy], return_tensors="pt")
        pixels = inputs["pixel_values"].to(self.device, self.dtype)
        # SAM keeps a picture's proportions and fills up with black, SAM 2 stretches it.
        shown = inputs["reshaped_input_sizes"].tolist() if "reshaped_input_sizes" in inputs else None
        inside = shown[0] if shown else pixels.shape[-2:]
        scale = np.tile([inside[1] / width, inside[0] / height], 2)
        # Boxes are looked at one by one; frames with fewer of them get some to fill up.
        prompts = np.zeros((len(busy), max(len(each) for each in boxes), 4))
        for prompt, index in zip(prompts, busy, strict=True):
            prompt[:] = boxes[index][0] * scale
            prompt[: len(boxes[index])] = boxes[index] * scale
        with torch.inference_mode():
            output = self.model(
                pixel_values=pixels,
                input_boxes=torch.tensor(prompts, device=self.device, dtype=self.dtype),
                multimask_output=False,
            )
        sizes = [[height, width]] * len(busy)
        for place, index in enumerate(busy):
            low = [output.pred_masks[place, : len(boxes[index])].float()]
            rest = (sizes[:1], shown[:1]) if shown else (sizes[:1],)
            found = self.image_processor.post_process_masks(low, *rest)[0]
            masks[index] = found[:, 0].cpu().numpy()
        return masks
