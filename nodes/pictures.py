"""Between the core's uint8 frames and ComfyUI's IMAGE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io

from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.video import to_uint8_frames
from .video_input import frames_and_rate

_COLUMNS = 5
# The oldest ComfyUI that is supported does not know it.
_KNOWN = "has_intermediate_output" in io.Schema.__dataclass_fields__
SHOWS: dict[str, Any] = {"has_intermediate_output": True} if _KNOWN else {}
"""For the schema of a node that shows something and is no output node: it shows it again when ComfyUI has its result
already and does not run it."""


def to_image(frames: np.ndarray) -> torch.Tensor:
    """uint8 (F, H, W, 3) or (H, W, 3) -> IMAGE, float 0..1 BHWC."""
    batch = frames if frames.ndim == 4 else frames[None]
    return torch.from_numpy(np.ascontiguousarray(batch)).float() / 255


def strip(frames: np.ndarray) -> list[np.ndarray]:
    """Some frames of a video, evenly spread, for a row of a contact sheet."""
    return list(frames[np.linspace(0, len(frames) - 1, _COLUMNS).round().astype(int)])


def frames_of(images: torch.Tensor | None, video: Any | None, node: str) -> np.ndarray:
    """The frames that are connected to a node, as images or as a video, uint8 (F, H, W, 3).

    node: its name on the screen. SpatialAlignError when it is neither or both.
    """
    if (images is None) == (video is None):
        raise SpatialAlignError(either(node))
    return to_uint8_frames(images) if images is not None else frames_and_rate(video)[0]


def either(node: str) -> str:
    """What to say where neither pictures nor a video are connected, or both. node: its name on the screen."""
    return f"Connect either images or a video to {node}, one of the two."


def shown(cls: type[io.ComfyNode], text: str) -> dict[str, Any]:
    """What the node itself says."""
    return {"text": ("\n".join(line for line in text.splitlines() if line),)}
