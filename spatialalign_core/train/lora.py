"""The LoRA on the model and in its file.

Files use the names ComfyUI's own loader knows (`diffusion_model.<original name>.lora_A.weight`), with the scale
alpha / rank folded into B, so that there is no `.alpha` to lose.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import SpatialAlignError, setting
from ..files import atomic_path, cause, fingerprint
from ..models.base import VideoModel
from ..models.lora_changes import Changes, fold, parameter_shapes, read_changes, unfold
from ..models.lora_config import ADAPTER_CONFIG, config_entries
from ..models.lora_keys import Update, linear_rows, resized, to_diffusers, to_native
from ..models.lora_parts import of_expert, second_network
from ..pairs import PairData
from ..weight_files import PICKLED, read_weights, save_tensors
from .settings import TrainSettings

TRAINED, APPLIED = "trained", "applied"  # adapter names
_PEFT_WEIGHTS, _PEFT_CONFIG = "adapter_model", "adapter_config.json"


def add_lora(model: VideoModel, targets: str, rank: int, alpha: float, seed: int) -> dict[str, nn.Parameter]:
    """Put a fresh LoRA on the transformer; returns its parameters by name. It starts as no change at all."""
    names = target_modules(model, targets)
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, init_lora_weights=True)
    model.transformer.add_adapter(config, adapter_name=TRAINED)
    torch.set_rng_state(generator_state)
    parameters = {n: p for n, p in model.transformer.named_parameters() if f".{TRAINED}." in n}
    for parameter in parameters.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    for layer in model.transformer.modules():
        if isinstance(layer, LoraLayer):
            layer.cast_input_dtype_enabled = False
            for half in (layer.lora_A, layer.lora_B):
                half[TRAINED] = _InItsInputsType(half[TRAINED].weight)
    return parameters


class _InItsInputsType(nn.Module):
    """Half of a LoRA, kept in 32 bits and computed in as many as what comes in. peft would hold every layer's input a
    second time in 32 bits, which for all layers of a large model is more than the rest of a block."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, value: Tensor) -> Tensor:
        return nn.functional.linear(value, self.weight.to(value.dtype))


def start_from(model: VideoModel, parameters: dict[str, nn.Parameter], path: Path, scale: float) -> None:
    """Let a fresh LoRA begin as the one in `path`, of any style. parameters: from `add_lora`; scale: alpha / rank.

    SpatialAlignError when the file changes layers that are not trained.
    """
    updates = _updates(model, path, "trained further")
    named = {(n.split(".lora_")[0], n.split(".lora_")[1][0]): p for n, p in parameters.items()}
    outside = [module for module in updates if (module, "A") not in named]
    if outside:
        raise SpatialAlignError(
            f"{path.name} changes layers that would not be trained ({outside[0]}); set "
            f"{setting('targets')} to wide, or start from nothing."
        )
    with torch.no_grad():
        for module, update in updates.items():
            down, up = named[module, "A"], named[module, "B"]
            fitted = resized(update, down.shape[0])
            used = min(update.rank, down.shape[0])
            # Ranks that the file does not have keep their random beginning, so that they can learn.
            down[:used] = fitted.down[:used].to(down)
            up.copy_(fitted.up / scale)


def target_modules(model: VideoModel, targets: str) -> list[str]:
    """Full names of the linear layers in a target set. SpatialAlignError for an unknown set."""
    sets = model.family.lora_targets
    if targets not in sets:
        raise SpatialAlignError(
            f"Unknown {setting('targets')} {targets!r}; {model.family.name} has {', '.join(sets)}."
        )
    names = [
        name
        for name in linear_rows(model.transformer)
        if name.endswith(sets[targets]) and not name.startswith(model.family.lora_left_alone)
    ]
    if not names:
        raise SpatialAlignError(
            f"The model in {model.folder} has no layers of the LoRA target set {targets!r}."
        )
    return names


def remove_lora(model: VideoModel) -> None:
    """Take every adapter off; the model is the base again, to the bit."""
    if getattr(model.transformer, "peft_config", None):
        model.transformer.unload_lora()
        model.transformer.requires_grad_(False)
    unfold(model.transformer)


def native_state(model: VideoModel, parameters: dict[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Adapter parameters by peft name -> file tensors by native name, contiguous float32 on the CPU."""
    tensors = {name: value.detach().float().cpu() for name, value in parameters.items()}
    halves: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        module, part = name.split(".lora_", 1)
        halves.setdefault(module, {})[part[0]] = value
    updates = {module: Update(half["A"].clone(), half["B"] * scale) for module, half in halves.items()}
    return to_native(model.family, updates, linear_rows(model.transformer))


def lora_metadata(model: VideoModel, settings: TrainSettings, pairs: PairData) -> dict[str, str]:
    """Where a LoRA comes from, for its file: base model, rank, method, the pairs and their scores."""
    scores = {
        "winner": [pair.winner_score for pair in pairs.pairs],
        "loser": [pair.loser_score for pair in pairs.pairs],
    }
    return {
        "base_model": model.description.splitlines()[0] if model.description else model.family.title,
        "base_model_name": model.folder.name,
        "base_model_fingerprint": model.fingerprint,
        "family": model.family.name,
        **({} if model.expert is None else {"expert": model.expert}),
        "method": settings.loss,
        "rank": str(settings.rank),
        "alpha": str(settings.alpha),
        "targets": settings.targets,
        "steps": str(settings.steps),
        "dataset_hash": pairs.fingerprint,
        "dataset_pairs": str(len(pairs.pairs)),
        **{
            f"mean_{which}_score": f"{sum(found) / len(found):.4f}"
            for which, found in scores.items()
            if found
        },
    }


def lora_digest(path: Path) -> str:
    """Of the tensors, because the same LoRA saved twice differs in the order of its metadata. Errors as `read_lora`."""
    tensors, metadata = read_lora(path)
    content: dict[str, Any] = {
        # Flat first: an alpha of kohya's has no dimension, and such a tensor has no bytes to view.
        name: [list(tensor.shape), tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()]
        for name, tensor in tensors.items()
    }
    # Only where there is one, so that files without keep the digest that older runs know.
    if config := config_entries(metadata):
        content["config"] = dict(sorted(config.items()))
    return fingerprint(content)


def lora_origin(path: Path | None) -> list[str]:
    """What a fingerprint holds of the LoRA that a training continues from: nothing for None. Errors as `read_lora`."""
    return [] if path is None else [lora_digest(path)]


def save_lora(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a native LoRA file whole. SpatialAlignError when it would change nothing."""
    if not any(name.endswith("lora_B.weight") and value.abs().max() > 0 for name, value in state.items()):
        raise SpatialAlignError(
            f"The LoRA for {path.name} would change nothing, so it was not saved; raise steps or learning_rate."
        )
    with atomic_path(path) as temporary:
        save_tensors(temporary, state, metadata)


def read_lora(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a LoRA file, .safetensors or what torch.save wrote, opened without running anything.

    Of a file of peft's, whose alpha stands in a file beside it, the metadata hold that file's text. SpatialAlignError
    for a missing or damaged file, and for one that holds NaN: it would turn every video black.
    """
    metadata: dict[str, str] = {}
    if path.suffix.lower() in PICKLED:
        if not path.is_file():
            raise SpatialAlignError(f"There is no LoRA file {path}; train one or choose another.")
        tensors = read_weights(path)
    else:
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                metadata = dict(file.metadata() or {})
        except FileNotFoundError:
            raise SpatialAlignError(f"There is no LoRA file {path}; train one or choose another.") from None
        except (SafetensorError, OSError) as error:
            raise SpatialAlignError(
                f"The LoRA file {path} is damaged ({cause(error)}); train it again or restore a copy."
            ) from None
    spoilt = next((name for name, each in tensors.items() if not torch.isfinite(each.float()).all()), None)
    if spoilt is not None:
        raise SpatialAlignError(
            f"The LoRA file {path} is damaged ({spoilt} is no number); train it again or restore a copy."
        )
    beside = path.with_name(_PEFT_CONFIG)
    # Of another name it may be another LoRA's, in a folder of many.
    if path.stem == _PEFT_WEIGHTS and beside.is_file():
        metadata[ADAPTER_CONFIG] = beside.read_text(encoding="utf-8", errors="replace")
    return tensors, metadata


def lora_doubt(path: Path) -> str | None:
    """What is not known of a LoRA file's strength, in a sentence; None where nothing is missing. Errors as `read_lora`.

    peft keeps the alpha in a file of its own. Without it, alpha = rank is the convention of diffusers and ComfyUI.
    """
    tensors, metadata = read_lora(path)
    of_peft = any(key.startswith("base_model.model.") for key in tensors)
    if not of_peft or config_entries(metadata) or any(key.endswith(".alpha") for key in tensors):
        return None
    return (
        f"{path.name} was written by peft, and its {_PEFT_CONFIG}, which has the alpha, is not beside it: the LoRA is "
        f"applied as if alpha were the rank. Put {_PEFT_CONFIG} beside it, under the name {_PEFT_WEIGHTS}"
        f"{path.suffix}, for the strength that it was trained with."
    )


def apply_lora(model: VideoModel, path: Path, strength: float = 1.0) -> None:
    """Put a LoRA file of any style on the model, in place of any other. SpatialAlignError when a key fits nothing."""
    changes = _changes(model, path)
    remove_lora(model)
    fold(model.transformer, changes.folded, strength)
    if changes.updates:
        _add_updates(model, changes.updates, strength)
    model.transformer.requires_grad_(False)


def check_lora(model: VideoModel, path: Path) -> None:
    """SpatialAlignError where `apply_lora` would raise it; changes nothing."""
    _changes(model, path)


def _add_updates(model: VideoModel, updates: dict[str, Update], strength: float) -> None:
    """Updates as an adapter; each layer has its own rank."""
    ranks = {f"^{re.escape(module)}": update.rank for module, update in updates.items()}
    config = LoraConfig(
        r=1, lora_alpha=1, rank_pattern=ranks, alpha_pattern=dict(ranks), target_modules=list(updates)
    )
    model.transformer.add_adapter(config, adapter_name=APPLIED)
    layers: dict[str, Any] = dict(model.transformer.named_modules())
    with torch.no_grad():
        for module, update in updates.items():
            for layer, tensor in (("lora_A", update.down), ("lora_B", update.up * strength)):
                weight = getattr(layers[module], layer)[APPLIED].weight
                weight.data = tensor.to(model.device, model.dtype)


def diffusers_lora(model: VideoModel, path: Path) -> dict[str, Tensor]:
    """A LoRA file of any style under diffusers' own names, for `pipeline.load_lora_weights`. SpatialAlignError for one
    that is more than low-rank updates of linear layers."""
    return to_diffusers(_updates(model, path, "written for diffusers"))


def _updates(model: VideoModel, path: Path, purpose: str) -> dict[str, Update]:
    changes = _changes(model, path)
    if changes.folded:
        first = changes.folded[0]
        raise SpatialAlignError(
            f"{path.name} cannot be {purpose}: it also changes {first.what} (of {first.parts[0]}), and only a LoRA "
            "that is nothing but low-rank changes of linear layers can; choose such a one."
        )
    return changes.updates


def _changes(model: VideoModel, path: Path) -> Changes:
    state, metadata = read_lora(path)
    try:
        changes = read_changes(
            model.family, _of_network(model, state), metadata, parameter_shapes(model.transformer)
        )
    except SpatialAlignError as error:
        raise SpatialAlignError(f"{path.name} does not fit {model.folder.name}: {error}.") from None
    if not changes:
        raise SpatialAlignError(f"{path.name} holds no LoRA weights; choose another file.")
    return changes


def _of_network(model: VideoModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """What of a file is for the chosen one of two networks."""
    if model.expert is None:
        second = second_network(state)
        if second is not None:
            raise SpatialAlignError(f"it is for a model of two networks, as its key {second!r} says")
        return state
    found = of_expert(state, model.family.experts.index(model.expert))
    if state and not found:
        raise SpatialAlignError(
            f"it holds nothing for the {model.expert} network, only for the other one; choose that expert"
        )
    return found
