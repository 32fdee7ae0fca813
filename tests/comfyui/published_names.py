"""Names and shapes of the published files, as ComfyUI's own classes have them: `published_names.py COMFYUI SAVE`.

ComfyUI loads the published files into these classes without another name for any weight, so that its classes at the
published sizes, without memory for their weights, say what is in the files. Writes tests/data/published_names.json.gz,
which the unit tests read; a process of its own, because ComfyUI's modules take over the interpreter.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

PACK = Path(__file__).resolve().parents[2]


def main(comfyui: str, save: str) -> None:
    sys.path[:0] = [comfyui, str(PACK), str(PACK / "tests")]
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    names = {
        title: {key: list(value.shape) for key, value in module.state_dict().items()}
        for title, module in [*_transformers(), *_vaes()]
    }
    text = json.dumps(names, separators=(",", ":"), sort_keys=True).encode()
    Path(save).write_bytes(gzip.compress(text, mtime=0))


def _transformers() -> Iterator[tuple[str, torch.nn.Module]]:
    """Under "family: title"."""
    import comfy.supported_models
    import diffusers
    from lora_parity import _CONFIGS
    from tiny_models import PUBLISHED

    from spatialalign_core.models.families import families
    from spatialalign_core.models.weights import empty

    by_name = {family.name: family for family in families()}
    for name, sizes, title in PUBLISHED:
        family = by_name[name]
        ours = empty(lambda: getattr(diffusers, family.transformer_class)(**sizes))  # noqa: B023
        kind, config = _CONFIGS[name](ours.config)
        if not hasattr(comfy.supported_models, kind):
            continue
        if "use_learned_positional_embeddings" in config:  # CogVideoX's, none of which is learned
            config["use_learned_positional_embeddings"] = False
        made = getattr(comfy.supported_models, kind)(config)
        made.set_inference_dtype(torch.bfloat16, None)
        yield f"{name}: {title}", made.get_model({}, "", device="meta").diffusion_model


def _vaes() -> Iterator[tuple[str, torch.nn.Module]]:
    """Under the title that the pack gives them."""
    import comfy.ldm.cogvideo.vae
    import comfy.ldm.genmo.vae.model
    import comfy.ldm.lightricks.vae.causal_video_autoencoder as lightricks
    import comfy.ldm.models.autoencoder
    import comfy.ldm.wan.vae
    import comfy.ldm.wan.vae2_2

    wan: dict[str, Any] = {
        "dim_mult": [1, 2, 4, 4],
        "num_res_blocks": 2,
        "attn_scales": [],
        "temperal_downsample": [False, True, True],
        "dropout": 0.0,
    }
    hunyuan = {
        "double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
        "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0, "conv3d": True,
        "time_compress": 4,
    }  # fmt: skip
    with torch.device("meta"):
        yield "Wan2.1 VAE", comfy.ldm.wan.vae.WanVAE(dim=96, z_dim=16, **wan)
        yield "Wan2.2 VAE", comfy.ldm.wan.vae2_2.WanVAE(dim=160, z_dim=48, **wan)
        yield "HunyuanVideo VAE", comfy.ldm.models.autoencoder.AutoencoderKL(ddconfig=hunyuan, embed_dim=16)
        yield "CogVideoX VAE", comfy.ldm.cogvideo.vae.AutoencoderKLCogVideoX()
        yield "Mochi VAE", comfy.ldm.genmo.vae.model.VideoVAE()
        for number, version in enumerate(("0.9.0", "0.9.1", "0.9.5")):
            yield f"LTX-Video VAE {version}", lightricks.VideoVAE(version=number)


if __name__ == "__main__":
    main(*sys.argv[1:])
