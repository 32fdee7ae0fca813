"""SAM 2 for video: follows things from the boxes they have in one frame, both ways through a clip of any length.

transformers' session would keep every picture, mask and memory of a clip. Here it is given a view that prepares a
picture only when it is looked at, and after each frame everything is dropped that the model's memory does not look
back at: the last frames in the direction of travel, and those next to the seed, from which the way back starts. What
comes out equals the whole session's to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..weight_files import weights_fingerprint

_REMEMBERED = ("maskmem_features", "maskmem_pos_enc", "object_pointer", "object_score_logits")


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

    @classmethod
    def load(
        cls, folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> Sam2VideoTracker:
        """From a folder in transformers' layout. Never downloads. SpatialAlignError for a damaged folder."""
        from transformers import Sam2VideoModel, Sam2VideoProcessor

        path = Path(folder)
        try:
            model = Sam2VideoModel.from_pretrained(str(path), local_files_only=True, use_safetensors=True)
            processor = Sam2VideoProcessor.from_pretrained(str(path), local_files_only=True)
        except Exception as error:  # a wrong file can fail in any of three libraries
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
        session = self.processor.init_video_session(inference_device=self.device, dtype=self.dtype)
        session.processed_frames = _Prepared(frames, self.processor, self.device, self.dtype)
        session.video_height, session.video_width = height, width
        self.processor.add_inputs_to_inference_session(
            inference_session=session,
            frame_idx=seed,
            obj_ids=list(range(1, len(boxes) + 1)),
            input_boxes=[boxes.tolist()],
            original_size=(height, width),
        )
        span = max(self.model.config.num_maskmem, self.model.config.max_object_pointers_in_encoder)
        for index in (*range(seed, len(frames)), *range(seed - 1, -1, -1)):
            with torch.inference_mode():
                output = self.model(session, frame_idx=index, reverse=index < seed)
                masks = torch.nn.functional.interpolate(
                    output.pred_masks.float(), size=(height, width), mode="bilinear", align_corners=False
                )
                found = (masks[:, 0] > 0).cpu().numpy()
                confidences = output.object_score_logits.double().sigmoid().reshape(len(boxes)).cpu().numpy()
            _forget(session, index, seed, span)
            yield index, found, confidences


class _Prepared:
    """A clip as the session wants it, each picture made when it is asked for and kept by nobody."""

    def __init__(
        self, frames: NDArray[np.uint8], processor: Any, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.frames = frames
        self.processor = processor
        self.device = device
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> torch.Tensor:
        # A copy: read-only frames and memory maps are welcome, and torch warns about them.
        frame = torch.from_numpy(np.array(self.frames[index])).permute(2, 0, 1)
        prepared = self.processor.video_processor(
            videos=[frame[None]], return_tensors="pt", device=self.device
        )
        picture: torch.Tensor = prepared["pixel_values_videos"][0, 0].to(self.dtype)
        return picture


def _forget(session: Any, index: int, seed: int, span: int) -> None:
    """Drop what no later frame looks at. `span`: how many frames the model looks back at most."""

    def needed(frame: int) -> bool:
        if index < seed:  # on the way back
            return frame < index + span
        return frame > index - span or frame < seed + span

    for object, outputs in session.output_dict_per_obj.items():
        for store in outputs.values():
            for value in store.values():
                for key in [key for key in value if key not in _REMEMBERED]:
                    del value[key]
        followed = outputs["non_cond_frame_outputs"]
        for frame in [frame for frame in followed if not needed(frame)]:
            del followed[frame]
        session.frames_tracked_per_obj[object].clear()
