"""What settings that are left to the model and the preset come to, before anything is loaded."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..models.base import GenerateSettings
from ..models.loading import BUNDLED, read_defaults, recognise_family
from ..models.original_folders import find_transformer
from ..models.single_files import transformer_config
from ..train.preflight import read_transformer_config
from ..train.settings import PRESETS


def automatic_settings(model: str | Path | None, preset: str | None) -> dict[str, dict[str, Any]]:
    """{"video": fields of GenerateSettings, "training": fields of TrainSettings}, as far as they are known.

    model: as `load_video_model` takes it, None where it is not known; without it the learning rate of a preset that is
    meant for one width stays out. SpatialAlignError for a model that is none.
    """
    known: dict[str, dict[str, Any]] = {"video": {}, "training": {}}
    width = None
    if model is not None:
        defaults, width = _of_model(model)
        known["video"] = asdict(defaults)
    if preset in PRESETS:
        chosen = PRESETS[preset]
        known["training"] = asdict(chosen)
        if width is not None:
            known["training"]["learning_rate"] = chosen.learning_rate * chosen.slowness(width)
        elif chosen.base_width is not None:
            del known["training"]["learning_rate"]
    return known


def _of_model(model: str | Path) -> tuple[GenerateSettings, int]:
    path = BUNDLED.get(str(model), Path(model))
    family = recognise_family(model)
    file = path if path.is_file() else find_transformer(path)
    config = read_transformer_config(path) if file is None else transformer_config(file)
    defaults = read_defaults(path, family) if file is None else family.defaults
    return defaults, int(config["num_attention_heads"] * config["attention_head_dim"])
