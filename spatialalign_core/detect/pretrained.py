"""A model of transformers from its folder, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FEW = 0.1  # share of the weights that may be missing; some published files lack one that is never used


def load_pretrained(model_class: Any, folder: Path) -> Any:
    """The model of that class in a folder in transformers' layout. Never downloads, never opens a pickle.

    transformers draws at random what a file does not hold, and only warns; a model that is mostly noise finds nothing,
    and nobody knows why. ValueError instead, where more than a tenth is missing; other errors are transformers' own.
    """
    model, news = model_class.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    missing, every = sorted(news["missing_keys"]), len(model.state_dict())
    if len(missing) > _FEW * every:
        raise ValueError(
            f"model.safetensors is of another model: {len(missing)} of {every} weights are missing, first {missing[0]}"
        )
    return model
