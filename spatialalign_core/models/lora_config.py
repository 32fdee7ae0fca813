"""The scale of a LoRA whose file has no alpha beside the weights: peft's configuration, wherever the trainer wrote it.

Known places are diffusers' `lora_adapter_metadata`, finetrainers' `lora_config`, single fields of the header
(`transformer.lora_alpha`), and peft's own adapter_config.json beside the file. Without any the scale is 1, which is
the convention of diffusers and of ComfyUI.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import SpatialAlignError

ADAPTER_CONFIG = "adapter_config"
"""The key under which `read_lora` puts the text of an adapter_config.json into the metadata."""
_DOCUMENTS = ("lora_adapter_metadata", ADAPTER_CONFIG, "lora_config")
_FIELDS = ("lora_alpha", "r", "use_rslora", "alpha_pattern", "rank_pattern")
_NETWORK = "transformer"


def config_entries(metadata: Mapping[str, str]) -> dict[str, str]:
    """What of a file's metadata changes the strength of its LoRA."""
    return {
        key: value
        for key, value in metadata.items()
        if key in _DOCUMENTS or key.rpartition(".")[2] in _FIELDS
    }


def read_config(metadata: Mapping[str, str], network: str = _NETWORK) -> dict[str, Any]:
    """peft's fields from a file's metadata; empty where there are none.

    network: of the networks that a configuration speaks of, such as "transformer" and "text_encoder", the one asked
    for. SpatialAlignError for a configuration that cannot be read.
    """
    entries = config_entries(metadata)
    for document in _DOCUMENTS:
        if document in entries:
            try:
                fields = json.loads(entries[document])
                found = _of_network(dict(fields), network)
            except (ValueError, TypeError):
                raise SpatialAlignError(
                    f"its metadata {document!r} is no JSON object, so that its alpha is not known"
                ) from None
            if found:
                return found
    return _of_network({key: _value(text) for key, text in entries.items() if key not in _DOCUMENTS}, network)


def config_scale(config: Mapping[str, Any], names: Sequence[str], rank: int) -> float:
    """What multiplies a layer's update: alpha / rank, or alpha / sqrt(rank) for rsLoRA.

    names: of the layer, as patterns may mean it. rank: of the weights in the file. 1 where no alpha is known.
    """
    from peft.utils.other import get_pattern_key

    alpha = config.get("lora_alpha", config.get("alpha"))
    patterns = config.get("alpha_pattern") or {}
    try:
        for name in names:
            key = get_pattern_key(list(patterns), name)
            if key in patterns:
                alpha = patterns[key]
                break
        if alpha is None:
            return 1.0
        return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (TypeError, ValueError, ZeroDivisionError):
        raise SpatialAlignError(f"its configuration says an alpha of {alpha!r}, which is no number") from None


def _of_network(fields: Mapping[str, Any], network: str) -> dict[str, Any]:
    """The fields of one network, without its name in front. Without any name they are of the network itself."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in fields.items():
        before, _, field = key.rpartition(".")
        groups.setdefault(before, {})[field] = value
    return groups.get(network) or groups.get(_NETWORK) or groups.get("") or {}


def _value(text: str) -> Any:
    """A field of a safetensors header, which holds text only."""
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)
