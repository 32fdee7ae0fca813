"""GroundingDINO through transformers: finds any noun, in batches of frames from memory.

The text is the same for every frame and does not depend on the pictures, so its features are made once. Where the
device likes it, sums run in half precision; weights, box coordinates and scores stay in single precision.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SpatialAlignError, check_memory, is_out_of_memory
from ..files import fingerprint
from ..models.loading import folder_fingerprint
from .base import Detection
from .phrases import Phrases, check_nouns, label, noun_scores, plain, read_phrases
from .pretrained import load_pretrained

BOX_THRESHOLD, TEXT_THRESHOLD = 0.4, 0.3  # the published ones
_PIXELS = {"cuda": 1 << 24, "cpu": 1 << 18}  # of a batch after resizing, where its size is not given
# config.json's model_type -> transformers' class. MMDetection's has other weights and the same inputs and outputs.
_CLASSES = {
    "grounding-dino": "GroundingDinoForObjectDetection",
    "mm-grounding-dino": "MMGroundingDinoForObjectDetection",
}


class GroundingDinoDetector:
    """Finds nouns with a GroundingDinoForObjectDetection, or MMGroundingDinoForObjectDetection, and its processor.

    device: where the model is brought. dtype: of the sums; default float16 on CUDA, else float32. batch_size: frames at
    a time; default as many as 0.26 million pixels hold (CUDA: 16 million). It is halved when memory runs out.
    """

    name = "grounding-dino"

    def __init__(
        self,
        model: Any,
        processor: Any,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        batch_size: int | None = None,
        weights: str = "",
    ) -> None:
        if not (0 < box_threshold < 1 and 0 < text_threshold < 1) or (
            batch_size is not None and batch_size < 1
        ):
            raise SpatialAlignError(
                f"The thresholds must lie between 0 and 1 and the batch size must be at least 1, got {box_threshold}, "
                f"{text_threshold} and {batch_size}."
            )
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = dtype or (torch.float16 if self.device.type == "cuda" else torch.float32)
        self.model = model.to(self.device).float().requires_grad_(False).eval()
        self.processor = processor
        self.box_threshold, self.text_threshold = box_threshold, text_threshold
        self.batch_size = batch_size
        self.fingerprint = fingerprint([self.name, weights, box_threshold, text_threshold, str(self.dtype)])
        _remember_text(self.model.model.text_backbone)

    @classmethod
    def from_folder(
        cls,
        folder: str | Path,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        batch_size: int | None = None,
    ) -> GroundingDinoDetector:
        """From a folder in transformers' layout, such as a copy of IDEA-Research/grounding-dino-tiny; never downloads.

        SpatialAlignError for a folder that is missing, damaged or holds another model.
        """
        path = Path(folder)
        model, processor = _load(path)
        weights = folder_fingerprint(path)
        return cls(model, processor, device, dtype, box_threshold, text_threshold, batch_size, weights)

    def check_nouns(self, nouns: Sequence[str]) -> None:
        """See `Detector`."""
        check_nouns(self.processor.tokenizer, nouns)

    def detect(self, frames: NDArray[np.uint8], nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """See `Detector`: frames uint8 RGB (F, H, W, 3). SpatialAlignError for a noun that cannot be looked for.

        Every box above the box threshold is given, without NMS, as the released procedure takes them.
        """
        phrases = read_phrases(self.processor.tokenizer, nouns, self.model.config.max_text_len)
        return self._detections(frames, phrases)

    def _detections(self, frames: NDArray[np.uint8], phrases: Phrases) -> Iterator[list[Detection]]:
        height, width = self.input_size(*frames.shape[1:3])
        most = _PIXELS.get(self.device.type, _PIXELS["cpu"])
        batch = self.batch_size or max(1, most // (height * width))
        start = 0
        while start < len(frames):
            part = frames[start : start + batch]
            try:
                scores, boxes = self.scores(part, phrases)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if batch == 1:
                    raise SpatialAlignError(
                        f"There is not enough memory for one frame of {frames.shape[2]} x {frames.shape[1]} pixels; "
                        "free some memory or use a smaller detector."
                    ) from None
                batch = (batch + 1) // 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            for frame_scores, frame_boxes in zip(scores, boxes, strict=True):
                yield self._named(frame_scores, frame_boxes, phrases)
            start += len(part)

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in which frames of that size are looked at."""
        settings = self.processor.image_processor
        if not settings.do_resize:
            return height, width
        size = dict(settings.size)
        if size.get("shortest_edge") and size.get("longest_edge"):
            return _between(height, width, size["shortest_edge"], size["longest_edge"])
        return int(size["height"]), int(size["width"])

    @torch.inference_mode()
    def pixels(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """Frames as the model takes them, float32 (F, 3, h, w); the same as its own image processor gives."""
        from torchvision.transforms.v2 import functional as tv

        settings = self.processor.image_processor
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device).permute(0, 3, 1, 2)
        size = self.input_size(*frames.shape[1:3])
        if size != frames.shape[1:3]:
            pixels = tv.resize(
                pixels, list(size), interpolation=tv.InterpolationMode.BILINEAR, antialias=True
            )
        mean, deviation = (
            torch.tensor(values, device=self.device).view(3, 1, 1)
            for values in (settings.image_mean, settings.image_std)
        )
        scale = settings.rescale_factor if settings.do_rescale else 1.0
        scaled = pixels.float() * scale
        return (scaled - mean) / deviation if settings.do_normalize else scaled

    @torch.inference_mode()
    def scores(
        self, frames: NDArray[np.uint8], phrases: Phrases
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Token scores (F, Q, L) in 0..1 and boxes (F, Q, 4), xyxy pixels, of every query in every frame."""
        ids = torch.from_numpy(phrases.input_ids).to(self.device).expand(len(frames), -1)
        pixels = self.pixels(frames)
        output = self._forward(pixels, ids, self.dtype)
        if self.dtype != torch.float32 and not output.logits[..., : ids.shape[1]].float().isfinite().all():
            output = self._forward(pixels, ids, torch.float32)  # half precision has a short range
        tokens = output.logits[..., : ids.shape[1]].float().sigmoid().cpu().numpy()
        centre, size = output.pred_boxes.double().cpu().split(2, -1)
        height, width = frames.shape[1:3]
        boxes = torch.cat([centre - size / 2, centre + size / 2], -1) * torch.tensor([width, height] * 2)
        return tokens, boxes.numpy()

    def _forward(self, pixels: torch.Tensor, ids: torch.Tensor, dtype: torch.dtype) -> Any:
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            return self.model(pixel_values=pixels, input_ids=ids, attention_mask=torch.ones_like(ids))

    def _named(
        self, tokens: NDArray[np.float32], boxes: NDArray[np.float64], phrases: Phrases
    ) -> list[Detection]:
        found = []
        for query in np.flatnonzero(tokens.max(-1) > self.box_threshold):
            scores = noun_scores(tokens[query][None], phrases)[0]
            best = int(scores.argmax())
            noun = phrases.nouns[best] if scores[best] > self.text_threshold else ""
            words = label(self.processor.tokenizer, tokens[query], phrases, self.text_threshold)
            own_label = None if noun and words == plain(noun) else words
            found.append(Detection(noun, boxes[query], float(scores[best]), None, own_label))
        return found


def _load(path: Path) -> tuple[Any, Any]:
    import json

    import transformers

    if not path.is_dir():
        raise SpatialAlignError(
            f"There is no detector folder {path}; give the folder of a GroundingDINO in transformers' layout."
        )
    config = path / "config.json"
    try:
        kind = json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SpatialAlignError(
            f"{path} has no readable config.json, so it is no GroundingDINO in transformers' layout; choose another."
        ) from None
    if kind not in _CLASSES:
        raise SpatialAlignError(
            f"{path} holds a {kind!r} model, not one of {', '.join(_CLASSES)}; choose another folder."
        )
    if not hasattr(transformers, _CLASSES[kind]):
        raise SpatialAlignError(
            f"{path} holds a {kind!r} model, which transformers {transformers.__version__} does not know; update "
            "transformers in ComfyUI's environment, or use a grounding-dino folder."
        )
    try:
        processor = transformers.GroundingDinoProcessor.from_pretrained(path, local_files_only=True)
        model = load_pretrained(getattr(transformers, _CLASSES[kind]), path)
    except Exception as error:  # a wrong file can fail in any of three libraries
        check_memory(error, path)
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SpatialAlignError(
            f"The detector in {path} could not be loaded ({first_line}); copy or download the folder again."
        ) from error
    return model, processor


def _between(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """The size with that shortest side, or a smaller one whose longest side fits, in the proportions of the frame."""
    low, high = min(height, width), max(height, width)
    exact = float(shortest)
    if high / low * shortest > longest:
        exact = longest * low / high
        shortest = round(exact)
    if shortest == low:
        return height, width
    other = int(exact * high / low)
    return (shortest, other) if height <= width else (other, shortest)


def _remember_text(text_backbone: Any, most: int = 8) -> None:
    """Let the text model answer from memory when it is asked the same again, one row for the whole batch."""
    from transformers.modeling_outputs import BaseModelOutput

    if getattr(text_backbone, "_remembers", False):
        return
    forward = text_backbone.forward
    memory: OrderedDict[tuple[Any, ...], torch.Tensor] = OrderedDict()

    def remembered(input_ids: torch.Tensor, *inputs: Any, **settings: Any) -> Any:
        if torch.is_grad_enabled() or not bool((input_ids == input_ids[:1]).all()):
            return forward(input_ids, *inputs, **settings)
        weight = text_backbone.embeddings.word_embeddings.weight
        key = (
            tuple(input_ids[0].tolist()),
            input_ids.device,
            weight.dtype,
            torch.is_autocast_enabled(input_ids.device.type),
        )
        if key not in memory:
            first = [value[:1] if isinstance(value, torch.Tensor) else value for value in inputs]
            memory[key] = forward(input_ids[:1], *first, **settings)[0]
            while len(memory) > most:
                memory.popitem(last=False)
        memory.move_to_end(key)
        return BaseModelOutput(last_hidden_state=memory[key].expand(len(input_ids), -1, -1))

    text_backbone.forward = remembered
    text_backbone._remembers = True
