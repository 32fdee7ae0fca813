"""A video model of the right sizes without its weights: to count with, before anything is downloaded or loaded."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from ..errors import SpatialAlignError
from ..models.base import VideoModel
from ..models.families import families
from ..models.loading import BUNDLED, read_defaults, recognise_family
from ..models.original_folders import find_transformer
from ..models.single_files import transformer_config
from ..train.preflight import read_transformer_config

# Family and sizes of models that may not be here yet, by the names that `download` knows.
PUBLISHED: dict[str, tuple[str, dict[str, Any]]] = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": (
        "wan2.1",
        {
            "_class_name": "WanTransformer3DModel",
            "num_attention_heads": 12,
            "ffn_dim": 8960,
            "num_layers": 30,
        },
    ),
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": ("wan2.1", {"_class_name": "WanTransformer3DModel"}),
}


def hollow_model(place: str | Path) -> VideoModel:
    """The model of a folder or file, a bundled one, or one of PUBLISHED, on torch's "meta" device.

    SpatialAlignError for a place where none is.
    """
    import diffusers

    if str(place) in PUBLISHED:
        name, config = PUBLISHED[str(place)]
        family = next(each for each in families() if each.name == name)
        path, defaults = Path(str(place)), family.defaults
    else:
        path = BUNDLED.get(str(place), Path(place))
        if not path.exists():
            raise SpatialAlignError(
                f"There is no model {place}; give its folder or file, or one of: "
                f"{', '.join((*BUNDLED, *PUBLISHED))}."
            )
        family = recognise_family(path)
        file = path if path.is_file() else find_transformer(path)
        config = read_transformer_config(path) if file is None else transformer_config(file)
        defaults = read_defaults(path if path.is_dir() else path.parent, family)
    with torch.device("meta"):
        transformer = getattr(diffusers, config["_class_name"]).from_config(config)
    pipeline_class = getattr(diffusers, family.pipeline_class)
    # A pipeline without its other parts takes the usual compression of its family's VAE.
    parts = inspect.signature(pipeline_class.__init__).parameters.values()
    needed = {each.name: None for each in parts if each.default is inspect.Parameter.empty}
    components = {name: None for name in needed if name not in ("self", "args", "kwargs")}
    pipeline = pipeline_class(**{**components, "transformer": transformer, "scheduler": None})
    return VideoModel(path, family, pipeline, defaults, "")
