"""A LoRA of every family on ComfyUI's own model by its own loader: `python -O lora_parity.py COMFYUI [FAMILY ...]`.

A process of its own, because ComfyUI's modules take over the interpreter; -O, because ComfyUI's Mochi asserts its
published width. Prints a line of JSON for each family and target set: modules in the file and patched, what the loader
did not load, how far the patched model's output is from the same model and LoRA in diffusers, and from the plain one.
Then the same LoRA as diffusers loads it from the file, and what the file's layers mean when read back.
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

PACK = Path(__file__).resolve().parents[2]
SIGMA = 0.6


def main(comfyui: str, chosen: list[str]) -> None:
    sys.path[:0] = [comfyui, str(PACK), str(PACK / "tests")]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.supported_models

    from spatialalign_core.models.families import families

    torch.set_num_threads(1)
    for family in families():
        if chosen and family.name not in chosen:
            continue
        if family.name.startswith("cogvideox") and not hasattr(comfy.supported_models, "CogVideoX_T2V"):
            print(json.dumps({"family": family.name, "skipped": "this ComfyUI has no CogVideoX"}), flush=True)
            continue
        for targets in family.lora_targets:
            print(
                json.dumps({"family": family.name, "targets": targets} | _compare(family, targets)),
                flush=True,
            )


def _compare(family: Any, targets: str) -> dict[str, Any]:
    import comfy.model_patcher
    import comfy.sd
    import comfy.utils
    from tiny_models import make_transformer

    from spatialalign_core.models.base import VideoModel
    from spatialalign_core.train.lora import (
        add_lora,
        apply_lora,
        diffusers_lora,
        native_state,
        remove_lora,
        save_lora,
    )

    transformer = make_transformer(family)
    pipeline = SimpleNamespace(transformer=transformer, transformer_2=make_transformer(family, 1))
    ours = VideoModel(Path("tiny"), family, pipeline, family.defaults, "", *family.experts[:1])
    theirs = _comfy_model(family, transformer)
    parameters = add_lora(ours, targets, rank=3, alpha=6.0, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    noisy, text = _inputs(family, generator)
    sigma = torch.tensor([SIGMA])
    complaints: list[str] = []
    logging.getLogger().addHandler(_Collect(complaints))
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        trained = family.velocity(transformer, noisy, sigma, text)
        file = Path(folder) / "lora.safetensors"
        save_lora(file, native_state(ours, dict(parameters), 2.0), {})
        remove_lora(ours)
        apply_lora(ours, file)
        expected = family.velocity(transformer, noisy, sigma, text)
        again = diffusers_lora(ours, file)
        remove_lora(ours)
        plain = family.velocity(transformer, noisy, sigma, text)
        state = comfy.utils.load_torch_file(str(file), safe_load=True)
        patcher = comfy.model_patcher.ModelPatcher(theirs, torch.device("cpu"), torch.device("cpu"))
        patched, _ = comfy.sd.load_lora_for_models(patcher, None, state, 1.0, 0.0)
        bare = _forward(family, theirs, noisy, text)
        patched.patch_model()
        with_lora = _forward(family, theirs, noisy, text)
        through_diffusers = _through_diffusers(family, transformer, file, again, expected, noisy, sigma, text)
    return {
        "modules_in_file": len({name.split(".lora_")[0] for name in state}),
        "modules_patched": len(patched.patches),
        "not_loaded": [each for each in complaints if "not loaded" in each],
        "bare_difference": _most(bare, plain),
        "largest_difference": _most(with_lora, expected),
        "file_difference": _most(trained, expected),
        "diffusers_difference": through_diffusers,
        "effect": _most(expected, plain),
    }


def _most(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def _through_diffusers(
    family: Any,
    transformer: Any,
    file: Path,
    ours: dict[str, torch.Tensor],
    expected: torch.Tensor,
    *inputs: Any,
) -> float:
    """How far the pipeline's own loader is off, with diffusers' names, and with the file itself where it knows them."""
    import diffusers
    from safetensors.torch import load_file

    pipeline = getattr(diffusers, family.pipeline_class)

    def output(state: dict[str, torch.Tensor]) -> torch.Tensor:
        pipeline.load_lora_into_transformer(
            pipeline.lora_state_dict(dict(state)), transformer, adapter_name="theirs"
        )
        try:
            return family.velocity(transformer, *inputs)
        finally:
            transformer.unload_lora()

    differences = [_most(output(ours), expected)]
    if family.pipeline_class in ("WanPipeline", "LTXPipeline", "HunyuanVideoPipeline"):
        # It takes 3072 for the width of these blocks, which is not tiny.
        native, same = (
            {key: value for key, value in state.items() if "single_" not in key}
            for state in (load_file(file), ours)
        )
        differences.append(_most(output(native), output(same)))
    return max(differences)


def _comfy_model(family: Any, transformer: Any) -> Any:
    """ComfyUI's model with the sizes and the weights of `transformer`."""
    import comfy.supported_models

    sizes = transformer.config
    name, config = _CONFIGS[family.name](sizes)
    made = getattr(comfy.supported_models, name)(config)
    made.set_inference_dtype(torch.float32, None)
    model = made.get_model({}, "", device="cpu")
    state = made.process_unet_state_dict(family.names.to_native(transformer.state_dict()))
    if (
        family.name == "cogvideox-2b"
    ):  # ComfyUI's own sines divide the channels otherwise; with a table it takes that
        state["patch_embed.pos_embedding"] = transformer.patch_embed.pos_embedding
    model.diffusion_model.load_state_dict(state, strict=True)
    return model.eval()


def _wan(sizes: Any) -> tuple[str, dict[str, Any]]:
    config = {
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
    return "WAN21_T2V", config


def _ltx(sizes: Any) -> tuple[str, dict[str, Any]]:
    config = {
        "image_model": "ltxv",
        "in_channels": sizes.in_channels,
        "num_layers": sizes.num_layers,
        "num_attention_heads": sizes.num_attention_heads,
        "attention_head_dim": sizes.attention_head_dim,
        "cross_attention_dim": sizes.cross_attention_dim,
        "caption_channels": sizes.caption_channels,
    }
    return "LTXV", config


def _cog(sizes: Any) -> tuple[str, dict[str, Any]]:
    names = (
        "num_attention_heads", "attention_head_dim", "in_channels", "time_embed_dim", "text_embed_dim", "num_layers",
        "patch_size", "patch_size_t", "patch_bias", "sample_width", "sample_height", "sample_frames",
        "max_text_seq_length", "spatial_interpolation_scale", "use_rotary_positional_embeddings",
    )  # fmt: skip
    config = {"image_model": "cogvideox"} | {name: sizes[name] for name in names}
    return "CogVideoX_T2V", config | {"use_learned_positional_embeddings": not config[names[-1]]}


def _hunyuan(sizes: Any) -> tuple[str, dict[str, Any]]:
    config = {
        "image_model": "hunyuan_video",
        "in_channels": sizes.in_channels,
        "out_channels": sizes.out_channels,
        "patch_size": [sizes.patch_size_t, sizes.patch_size, sizes.patch_size],
        "vec_in_dim": sizes.pooled_projection_dim,
        "context_in_dim": sizes.text_embed_dim,
        "hidden_size": sizes.num_attention_heads * sizes.attention_head_dim,
        "mlp_ratio": sizes.mlp_ratio,
        "num_heads": sizes.num_attention_heads,
        "depth": sizes.num_layers,
        "depth_single_blocks": sizes.num_single_layers,
        "axes_dim": list(sizes.rope_axes_dim),
        "theta": 256,
        "qkv_bias": True,
        "guidance_embed": True,
    }
    newer = {"byt5": False, "meanflow": False, "use_cond_type_embedding": False, "vision_in_dim": None}
    return "HunyuanVideo", config | newer | {"meanflow_sum": False}


def _mochi(sizes: Any) -> tuple[str, dict[str, Any]]:
    config = {
        "image_model": "mochi_preview",
        "depth": sizes.num_layers,
        "patch_size": sizes.patch_size,
        "num_heads": sizes.num_attention_heads,
        "hidden_size_x": sizes.num_attention_heads * sizes.attention_head_dim,
        "hidden_size_y": sizes.pooled_projection_dim,
        "mlp_ratio_x": 4.0,
        "mlp_ratio_y": 4.0,
        "learn_sigma": False,
        "in_channels": sizes.in_channels,
        "qk_norm": True,
        "qkv_bias": False,
        "out_bias": True,
        "attn_drop": 0.0,
        "patch_embed_bias": True,
        "posenc_preserve_area": True,
        "timestep_mlp_bias": True,
        "attend_to_padding": False,
        "timestep_scale": 1000.0,
        "use_t5": True,
        "t5_feat_dim": sizes.text_embed_dim,
        "t5_token_length": 256,
        "rope_theta": 10000.0,
    }
    return "GenmoMochi", config


_CONFIGS = {
    "wan2.1": _wan,
    "wan2.2-5b": _wan,
    "wan2.2-a14b": _wan,
    "ltx-video": _ltx,
    "cogvideox-2b": _cog,
    "cogvideox-5b": _cog,
    "cogvideox-1.5": _cog,
    "hunyuan-video": _hunyuan,
    "mochi": _mochi,
}


def _inputs(family: Any, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy latents and text states as the family's `velocity` takes them; every token counts."""
    from tiny_models import TEXT_WIDTH, TRANSFORMERS

    from spatialalign_core.models.base import with_mask

    size = (1, TRANSFORMERS[family.name].get("in_channels", 12 if family.name == "mochi" else 16), 2, 4, 4)
    noisy, states = (
        torch.randn(size, generator=generator),
        torch.randn((1, 8, TEXT_WIDTH), generator=generator),
    )
    if family.name in ("ltx-video", "mochi"):
        return noisy, with_mask(states, torch.ones(1, 8))
    if family.name == "hunyuan-video":
        from spatialalign_core.models.families.hunyuan import _pack

        return noisy, _pack(states, torch.ones(1, 8), torch.randn((1, 24), generator=generator))
    return noisy, states


def _forward(family: Any, model: Any, noisy: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """ComfyUI's network at the family's noise level; what it predicts means the same as the family's `velocity`."""
    network, ones = model.diffusion_model, torch.ones(1, 8)
    sigma = torch.tensor([SIGMA])
    if family.name == "ltx-video":
        return network(noisy, sigma, text[..., :-1], ones, frame_rate=25)
    if family.name == "mochi":
        return network(noisy, sigma, text[..., :-1], ones.bool(), num_tokens=8)
    if family.name.startswith("cogvideox"):
        return network(noisy, sigma * 1000 - 1, text)
    if family.name == "hunyuan-video":
        from spatialalign_core.models.families.hunyuan import _unpack

        states, _, pooled = _unpack(text, 24)
        return network(noisy, sigma * 1000, states, y=pooled, guidance=torch.ones(1))
    return network(noisy, sigma * 1000, text)


class _Collect(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(record.getMessage())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
