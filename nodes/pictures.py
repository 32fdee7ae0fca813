"""Between the core's uint8 frames and ComfyUI's IMAGE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from comfy_api.latest import io, ui


def to_image(frames: np.ndarray) -> torch.Tensor:
    """uint8 (F, H, W, 3) or (H, W, 3) -> IMAGE, float 0..1 BHWC."""
    batch = frames if frames.ndim == 4 else frames[None]
    return torch.from_numpy(np.ascontiguousarray(batch)).float() / 255


def shown(cls: type[io.ComfyNode], text: str, image: torch.Tensor | None = None) -> dict[str, Any]:
    """What the node itself shows: words, and a picture above them."""
    pictures = ui.PreviewImage(image, cls=cls).as_dict() if image is not None else {}
    return {**pictures, "text": ("\n".join(line for line in text.splitlines() if line),)}
