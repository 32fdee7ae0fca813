"""LoRA files of every kind and name by ComfyUI's own loader and by ours: `python -O lora_kinds_parity.py COMFYUI`.

A process of its own, as lora_parity.py. Prints a line of JSON for each file: what ComfyUI did not load, how many
parameters it changed and how many ours did, and the largest difference of any parameter afterwards.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from lora_parity import PACK, _Collect, _comfy_model
from torch import Tensor

State = dict[str, Tensor]
_BOTH = ("LoRA and a bias", "norm", "convolution")  # tried under kohya's names too


def main(comfyui: str) -> None:
    sys.path[:0] = [comfyui, str(PACK), str(PACK / "tests")]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True

    from spatialalign_core.models.families import families

    torch.set_num_threads(1)
    by_name = {family.name: family for family in families()}
    for family, file, state in files():
        print(json.dumps({"file": file} | compare(by_name[family], state)), flush=True)


def some(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 0.1


def files() -> list[tuple[str, str, State]]:
    """Family, what it is, and what it holds."""
    wan, down, up = "blocks.0.self_attn.q", some(4, 128), some(128, 4)
    lora = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0)}
    kinds: dict[str, tuple[str, State]] = {
        "LoRA and a bias": (wan, lora | {"diff_b": some(128)}),
        "without alpha": (wan, {"lora_A.weight": down, "lora_B.weight": up}),
        "Mochi's names": (wan, {"lora_A": down, "lora_B": up}),
        "peft's names": (wan, {"lora_A.default.weight": down, "lora_B.default.weight": up}),
        "old names": (wan, {"lora.down.weight": down, "lora.up.weight": up}),
        "transformers' names": (wan, {"lora_linear_layer.down.weight": down, "lora_linear_layer.up.weight": up}),
        "fp8": (wan, {k: v.to(torch.float8_e4m3fn) for k, v in lora.items() if k != "alpha"}),
        "full difference": (wan, {"diff": some(128, 128), "diff_b": some(128)}),
        "norm": ("blocks.0.norm3", {"diff": some(128), "diff_b": some(128)}),
        "norm of LyCORIS": ("blocks.0.norm3", {"w_norm": some(128), "b_norm": some(128)}),
        "norm of the queries": ("blocks.0.self_attn.norm_q", {"diff": some(128)}),
        "modulation": ("blocks.0.modulation", {"diff": some(1, 6, 128)}),
        "head's modulation": ("head.modulation", {"diff": some(1, 2, 128)}),
        "convolution": (
            "patch_embedding",
            {"lora_down.weight": some(3, 16, 1, 2, 2), "lora_up.weight": some(128, 3, 1, 1, 1)},
        ),
        "convolution's difference": ("patch_embedding", {"diff": some(128, 16, 1, 2, 2), "diff_b": some(128)}),
        "new weight": (wan, {"set_weight": some(128, 128)}),
        "DoRA of rows": (wan, lora | {"dora_scale": some(128, 1) + 1}),
        "DoRA of columns": (wan, lora | {"dora_scale": some(1, 128) + 1}),
        "LoHa": (
            wan,
            {f"hada_w{n}_{s}": some(*z) for n in (1, 2) for s, z in (("a", (128, 3)), ("b", (3, 128)))}
            | {"alpha": torch.tensor(1.0)},
        ),
        "LoHa with DoRA": (
            wan,
            {f"hada_w{n}_{s}": some(*z) for n in (1, 2) for s, z in (("a", (128, 3)), ("b", (3, 128)))}
            | {"dora_scale": some(1, 128) + 1},
        ),
        "LoKr": (wan, {"lokr_w1": some(4, 8), "lokr_w2_a": some(32, 3), "lokr_w2_b": some(3, 16)}
                 | {"alpha": torch.tensor(6.0)}),
        "large LoKr": (wan, {"lokr_w1": some(2, 2), "lokr_w2": some(64, 64), "alpha": torch.tensor(9.0)}),
        "GLoRA": (wan, {f"{n}{i}.weight": some(*((128, 3), (3, 128))[i - 1]) for n in "ab" for i in (1, 2)}
                  | {"alpha": torch.tensor(6.0)}),
        "older GLoRA": (wan, {f"{n}{i}.weight": some(*((3, 128), (128, 3))[i - 1]) for n in "ab" for i in (1, 2)}
                        | {"alpha": torch.tensor(6.0)}),
        "GLoRA of a wide layer": (
            "blocks.0.ffn.0",
            {"a1.weight": some(128, 3), "a2.weight": some(3, 128), "b1.weight": some(32, 3), "b2.weight": some(3, 128)},
        ),
        "OFT": (wan, {"oft_blocks": some(4, 32, 32)}),
        "OFT with a limit": (wan, {"oft_blocks": some(4, 32, 32), "alpha": torch.tensor(0.5)}),
        "BOFT": (wan, {"oft_blocks": some(3, 8, 16, 16), "alpha": torch.tensor(0.0)}),
        "BOFT with a rescale": (
            wan, {"oft_blocks": some(3, 8, 16, 16), "alpha": torch.tensor(0.5), "rescale": some(128, 1) + 1},
        ),
    }  # fmt: skip
    found = [
        ("wan2.1", f"{what}, {prefix or 'bare'}", {f"{prefix}{_named(module, prefix)}.{k}": v for k, v in p.items()})
        for what, (module, p) in kinds.items()
        for prefix in ("diffusion_model.", "lora_unet_")[: 2 if what in _BOTH else 1]
    ]  # fmt: skip
    # The key by which ComfyUI knows these files must be there.
    fun = [f"lora_unet__blocks_{n}_cross_attn_k" for n in (0, 1)]
    found.append(("wan2.1", "Wan-Fun", {f"{name}.{k}": v for name in fun for k, v in lora.items()}))
    mochi = {"blocks.0.attn.qkv_x": (288, 96), "blocks.0.mlp_x.w1": (512, 96), "final_layer.mod": (192, 96)}
    for module, (rows, columns) in mochi.items():
        found += [
            (
                "mochi", f"Mochi's own {module}",
                {f"{module}.lora_A": some(3, columns), f"{module}.lora_B": some(rows, 3)},
            ),
            ("mochi", f"Mochi's {module}, difference", {f"diffusion_model.{module}.diff": some(rows, columns)}),
            (
                "mochi", f"Mochi's {module}, DoRA",
                {
                    f"diffusion_model.{module}.lora_A.weight": some(3, columns),
                    f"diffusion_model.{module}.lora_B.weight": some(rows, 3),
                    f"diffusion_model.{module}.dora_scale": some(1, columns) + 1,
                },
            ),
        ]  # fmt: skip
    return found


def _named(module: str, prefix: str) -> str:
    return module.replace(".", "_") if prefix.endswith("_") else module


def compare(family: Any, state: State) -> dict[str, Any]:
    import comfy.lora_convert
    import comfy.model_patcher
    import comfy.sd
    import comfy.utils
    from safetensors.torch import save_file
    from tiny_models import make_transformer

    from spatialalign_core.models.base import VideoModel
    from spatialalign_core.train.lora import apply_lora

    transformer = make_transformer(family)
    pipeline = SimpleNamespace(transformer=transformer)
    ours = VideoModel(Path("tiny"), family, pipeline, family.defaults, "")
    theirs = _comfy_model(family, transformer)
    complaints: list[str] = []
    collector = _Collect(complaints)
    logging.getLogger().addHandler(collector)
    before = {key: value.clone() for key, value in theirs.diffusion_model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        file = Path(folder) / "lora.safetensors"
        save_file({key: value.contiguous().clone() for key, value in state.items()}, file)
        loaded = comfy.utils.load_torch_file(str(file), safe_load=True)
        patcher = comfy.model_patcher.ModelPatcher(theirs, torch.device("cpu"), torch.device("cpu"))
        patched, _ = comfy.sd.load_lora_for_models(patcher, None, loaded, 1.0, 0.0)
        patched.patch_model()
        after = {key: value.clone() for key, value in theirs.diffusion_model.state_dict().items()}
        apply_lora(ours, file)
    logging.getLogger().removeHandler(collector)
    found = _comfy_names(family, theirs, _weights(transformer))
    return {
        "complaints": complaints,
        "changed_there": sum(not torch.equal(after[key], before[key]) for key in before),
        "changed_here": sum(not torch.equal(found[key], before[key]) for key in before if key in found),
        "effect": max(float((after[key] - before[key]).abs().max()) for key in before),
        "difference": max(float((after[key] - found[key]).abs().max()) for key in before if key in found),
    }


def _comfy_names(family: Any, theirs: Any, state: State) -> State:
    return theirs.model_config.process_unet_state_dict(family.names.to_native(state))


def _weights(transformer: Any) -> State:
    """Every parameter with what the adapter adds to it."""
    found = {}
    for name, value in transformer.state_dict().items():
        if ".lora_" not in name:
            found[name.replace(".base_layer.", ".")] = value.detach().clone()
    for name, layer in transformer.named_modules():
        if hasattr(layer, "get_delta_weight"):
            found[f"{name}.weight"] += layer.get_delta_weight("applied")
    return found


if __name__ == "__main__":
    main(sys.argv[1])
