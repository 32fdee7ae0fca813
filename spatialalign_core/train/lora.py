"""The LoRA on the model and in its file.

Files use the names ComfyUI's own loader knows (`diffusion_model.<original name>.lora_A.weight`), with the scale
alpha / rank folded into B, so that there is no `.alpha` to lose.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import SpatialAlignError
from ..files import atomic_path
from ..models.base import Family, VideoModel

TRAINED, APPLIED = "trained", "applied"  # adapter names
_PREFIX = "diffusion_model."


def add_lora(model: VideoModel, targets: str, rank: int, alpha: float, seed: int) -> dict[str, nn.Parameter]:
    """Put a fresh LoRA on the transformer; returns its parameters by name. It starts as no change at all."""
    names = target_modules(model, targets)
    generator_state = torch.get_rng_state()
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=names, init_lora_weights=True)
    model.pipeline.transformer.add_adapter(config, adapter_name=TRAINED)
    torch.set_rng_state(generator_state)
    parameters = {n: p for n, p in model.transformer.named_parameters() if f".{TRAINED}." in n}
    for parameter in parameters.values():
        parameter.data = parameter.data.float()
        parameter.requires_grad_(True)
    return parameters


def target_modules(model: VideoModel, targets: str) -> list[str]:
    """Full names of the linear layers in a target set. SpatialAlignError for an unknown set."""
    sets = model.family.lora_targets
    if targets not in sets:
        raise SpatialAlignError(
            f"Unknown LoRA targets {targets!r}; {model.family.name} has {', '.join(sets)}."
        )
    names = [
        name.removesuffix(".base_layer")
        for name, module in model.transformer.named_modules()
        if isinstance(module, nn.Linear)
        and ".lora_" not in name
        and name.removesuffix(".base_layer").endswith(sets[targets])
    ]
    if not names:
        raise SpatialAlignError(
            f"The model in {model.folder} has no layers of the LoRA target set {targets!r}."
        )
    return names


def remove_lora(model: VideoModel) -> None:
    """Take every adapter off; the model is the base again, to the bit."""
    if getattr(model.pipeline.transformer, "peft_config", None):
        model.pipeline.transformer.unload_lora()
        model.transformer.requires_grad_(False)


def native_state(family: Family, parameters: dict[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Adapter parameters by peft name -> file tensors by native name, contiguous float32 on the CPU."""
    state = {}
    for name, value in parameters.items():
        module, part = name.split(".lora_", 1)
        letter = part[0]
        tensor = value.detach().float().cpu()
        state[f"{_PREFIX}{family.native_name(module)}.lora_{letter}.weight"] = (
            tensor * scale if letter == "B" else tensor.clone()
        ).contiguous()
    return state


def save_lora(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a native LoRA file whole. SpatialAlignError when it would change nothing."""
    if not any(name.endswith("lora_B.weight") and value.abs().max() > 0 for name, value in state.items()):
        raise SpatialAlignError(
            f"The LoRA for {path.name} would change nothing, so it was not saved; train longer or raise learning_rate."
        )
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def read_lora(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a LoRA file. SpatialAlignError for a missing or damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise SpatialAlignError(f"There is no LoRA file {path}; train one or choose another.") from None
    except (SafetensorError, OSError) as error:
        raise SpatialAlignError(
            f"The LoRA file {path} is damaged ({error}); train it again or restore a copy."
        ) from None


def apply_lora(model: VideoModel, path: Path, strength: float = 1.0) -> None:
    """Put a saved LoRA on the model, in place of any other. SpatialAlignError when a key fits nothing."""
    state, _ = read_lora(path)
    remove_lora(model)
    layers = {n for n, m in model.transformer.named_modules() if isinstance(m, nn.Linear)}
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        module, dot, part = key.removeprefix(_PREFIX).partition(".lora_")
        try:
            name = model.family.diffusers_name(module)
        except KeyError:
            name = ""
        if not dot or name not in layers:
            raise SpatialAlignError(
                f"{path.name} does not fit {model.folder.name}: the model has no layer for {key!r}; "
                "choose a LoRA that was trained on this model."
            )
        renamed[f"{name}.lora_{part}"] = value
    try:
        model.pipeline.transformer.load_lora_adapter(renamed, prefix=None, adapter_name=APPLIED)
    except (ValueError, RuntimeError) as error:
        raise SpatialAlignError(
            f"{path.name} does not fit {model.folder.name}: {str(error).splitlines()[0]}"
        ) from error
    model.pipeline.transformer.set_adapters(APPLIED, strength)
    model.transformer.requires_grad_(False)
