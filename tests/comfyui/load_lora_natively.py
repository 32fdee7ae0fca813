"""Puts a LoRA on ComfyUI's own Wan model with ComfyUI's own loader: `load_lora_natively.py COMFYUI LORA WEIGHTS`.

A process of its own, because ComfyUI's modules take over the interpreter. Prints one line of JSON: how many modules the
file has and how many of them were patched, what the loader did not load, how far the patched model's output is from the
same model and LoRA in diffusers, and how far from the model without it.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import torch

PACK = Path(__file__).resolve().parents[2]


def main() -> None:
    comfyui, lora_file, weights = sys.argv[1:4]
    sys.path[:0] = [comfyui, str(PACK)]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.lora
    import comfy.model_patcher
    import comfy.sd
    import comfy.utils

    from spatialalign_core.models.loading import load_video_model
    from spatialalign_core.train.lora import apply_lora

    torch.set_num_threads(1)
    ours = load_video_model(weights, "cpu", torch.float32)
    theirs = _comfy_model(ours)
    state = comfy.utils.load_torch_file(lora_file, safe_load=True)

    complaints: list[str] = []
    logging.getLogger().addHandler(_Collect(complaints))
    patcher = comfy.model_patcher.ModelPatcher(theirs, torch.device("cpu"), torch.device("cpu"))
    patched, _ = comfy.sd.load_lora_for_models(patcher, None, state, 1.0, 0.0)
    modules = {name.split(".lora_")[0] for name in state}

    noisy, sigma, text = _inputs(ours)
    with torch.no_grad():
        plain = theirs.diffusion_model(noisy, sigma * 1000, text)
        patched.patch_model()
        with_lora = theirs.diffusion_model(noisy, sigma * 1000, text)
        apply_lora(ours, Path(lora_file))
        expected = ours.family.velocity(ours.transformer, noisy, sigma, text)
    print(
        json.dumps(
            {
                "modules_in_file": len(modules),
                "modules_patched": len(patched.patches),
                "not_loaded": [each for each in complaints if "not loaded" in each],
                "largest_difference": float((with_lora - expected).abs().max()),
                "effect": float((with_lora - plain).abs().max()),
            }
        )
    )


def _comfy_model(ours: Any) -> Any:
    """ComfyUI's WanModel with the sizes and the weights of `ours`."""
    import comfy.supported_models

    sizes = ours.transformer.config
    config = comfy.supported_models.WAN21_T2V(
        {
            "image_model": "wan2.1",
            "model_type": "t2v",
            "dim": sizes.num_attention_heads * sizes.attention_head_dim,
            "num_heads": sizes.num_attention_heads,
            "num_layers": sizes.num_layers,
            "ffn_dim": sizes.ffn_dim,
            "freq_dim": sizes.freq_dim,
            "text_dim": sizes.text_dim,
            "in_dim": sizes.in_channels,
            "out_dim": sizes.out_channels,
            "patch_size": tuple(sizes.patch_size),
            "qk_norm": True,
            "cross_attn_norm": sizes.cross_attn_norm,
            "eps": sizes.eps,
        }
    )
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device="cpu")
    weights = ours.family.names.to_native(ours.transformer.state_dict())
    model.diffusion_model.load_state_dict(weights, strict=True)
    return model.eval()


def _inputs(ours: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = ours.family.latent_shape(ours.pipeline, ours.defaults)
    text = ours.encode_text(
        ["In a meadow, a fox is on the left of a box, then the fox jumps to the right of the box."]
    )
    return torch.randn((1, *shape), generator=generator), torch.tensor([0.6]), text


class _Collect(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(record.getMessage())


if __name__ == "__main__":
    main()
