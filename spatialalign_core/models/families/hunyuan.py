"""HunyuanVideo text-to-video, through diffusers' HunyuanVideoPipeline: flow matching, text from Llama and CLIP,
guidance built into the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...weight_files import Shapes, count
from ..base import Family, GenerateSettings, known_size, to_frames, with_mask, without_mask
from ..names import Fused, KeyNames
from ..weights import require

_DOUBLE, _SINGLE = "transformer_blocks.{}.", "single_transformer_blocks.{}."
_REFINER, _NATIVE_REFINER = (
    "context_embedder.token_refiner.refiner_blocks.{}.",
    "txt_in.individual_token_refiner.blocks.{}.",
)
_EMBEDDERS = {
    "time_text_embed.timestep_embedder": "time_in.mlp",
    "time_text_embed.guidance_embedder": "guidance_in.mlp",
    "context_embedder.time_text_embed.timestep_embedder": "txt_in.t_embedder.mlp",
}
_STREAM = {  # of pictures, then of text
    "img": {
        "norm1.linear": "mod.linear",
        "attn.norm_q": "attn_q_norm",
        "attn.norm_k": "attn_k_norm",
        "attn.to_out.0": "attn_proj",
        "ff.net.0.proj": "mlp.fc1",
        "ff.net.2": "mlp.fc2",
    },
    "txt": {
        "norm1_context.linear": "mod.linear",
        "attn.norm_added_q": "attn_q_norm",
        "attn.norm_added_k": "attn_k_norm",
        "attn.to_add_out": "attn_proj",
        "ff_context.net.0.proj": "mlp.fc1",
        "ff_context.net.2": "mlp.fc2",
    },
}
_RENAMES = {
    "x_embedder.proj": "img_in.proj",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "context_embedder.proj_in": "txt_in.input_embedder",
    **{
        f"context_embedder.time_text_embed.text_embedder.linear_{n}": f"txt_in.c_embedder.linear_{n}"
        for n in (1, 2)
    },
    **{f"{ours}.linear_{n}": f"{native}.{2 * n - 2}" for ours, native in _EMBEDDERS.items() for n in (1, 2)},
    **{
        f"{_DOUBLE}{ours}": f"double_blocks.{{}}.{stream}_{native}"
        for stream, names in _STREAM.items()
        for ours, native in names.items()
    },
    f"{_SINGLE}attn.norm_q": "single_blocks.{}.q_norm",
    f"{_SINGLE}attn.norm_k": "single_blocks.{}.k_norm",
    f"{_SINGLE}norm.linear": "single_blocks.{}.modulation.linear",
    f"{_SINGLE}proj_out": "single_blocks.{}.linear2",
    f"{_REFINER}norm1": f"{_NATIVE_REFINER}norm1",
    f"{_REFINER}norm2": f"{_NATIVE_REFINER}norm2",
    f"{_REFINER}attn.to_out.0": f"{_NATIVE_REFINER}self_attn_proj",
    f"{_REFINER}ff.net.0.proj": f"{_NATIVE_REFINER}mlp.fc1",
    f"{_REFINER}ff.net.2": f"{_NATIVE_REFINER}mlp.fc2",
    f"{_REFINER}norm_out.linear": f"{_NATIVE_REFINER}adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
_FUSED = (
    Fused("double_blocks.{}.img_attn_qkv", tuple(f"{_DOUBLE}attn.to_{part}" for part in "qkv")),
    Fused("double_blocks.{}.txt_attn_qkv", tuple(f"{_DOUBLE}attn.add_{part}_proj" for part in "qkv")),
    Fused(
        "single_blocks.{}.linear1", (*(f"{_SINGLE}attn.to_{part}" for part in "qkv"), f"{_SINGLE}proj_mlp")
    ),
    Fused(f"{_NATIVE_REFINER}self_attn_qkv", tuple(f"{_REFINER}attn.to_{part}" for part in "qkv")),
    # diffusers takes scale and shift in the other order.
    Fused("final_layer.adaLN_modulation.1", ("norm_out.linear",), halves_swapped=True),
)
# ComfyUI's own names, which repackaged files and some LoRAs have -> the authors'.
_SPELLINGS = {
    **{
        f"{start}.{layer}_layer": f"{start}.mlp.{n}"
        for start in ("time_in", "guidance_in", "txt_in.t_embedder")
        for layer, n in (("in", 0), ("out", 2))
    },
    "txt_in.c_embedder.in_layer": "txt_in.c_embedder.linear_1",
    "txt_in.c_embedder.out_layer": "txt_in.c_embedder.linear_2",
    **{
        f"double_blocks.{{}}.{stream}_{comfy}": f"double_blocks.{{}}.{stream}_{native}"
        for stream in ("img", "txt")
        for comfy, native in (
            ("mod.lin", "mod.linear"),
            ("attn.qkv", "attn_qkv"),
            ("attn.proj", "attn_proj"),
            ("attn.norm.query_norm", "attn_q_norm"),
            ("attn.norm.key_norm", "attn_k_norm"),
            ("mlp.0", "mlp.fc1"),
            ("mlp.2", "mlp.fc2"),
        )
    },
    "single_blocks.{}.modulation.lin": "single_blocks.{}.modulation.linear",
    "single_blocks.{}.norm.query_norm": "single_blocks.{}.q_norm",
    "single_blocks.{}.norm.key_norm": "single_blocks.{}.k_norm",
    f"{_NATIVE_REFINER}self_attn.qkv": f"{_NATIVE_REFINER}self_attn_qkv",
    f"{_NATIVE_REFINER}self_attn.proj": f"{_NATIVE_REFINER}self_attn_proj",
    f"{_NATIVE_REFINER}mlp.0": f"{_NATIVE_REFINER}mlp.fc1",
    f"{_NATIVE_REFINER}mlp.2": f"{_NATIVE_REFINER}mlp.fc2",
}
_OTHER_KINDS = ("vision_in.", "byt5_in.", "cond_type_embedding.", "time_r_in.")  # HunyuanVideo 1.5
_HEAD = 128
_AXES = (16, 56, 56)  # of a head, for positions in time, height and width
_TRAINING_GUIDANCE = 1.0  # the network then predicts what flow matching means, not a guided mixture


def _vae_names() -> KeyNames:
    renames = {}
    for side, way, resnets in (("encoder", "down", 2), ("decoder", "up", 3)):
        attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        for ours, native in attention.items():
            renames[f"{side}.mid_block.attentions.0.{ours}"] = f"{side}.mid.attn_1.{native}"
        renames[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        blocks = {f"{side}.mid_block.resnets.{n}": f"{side}.mid.block_{n + 1}" for n in range(2)}
        for block in range(4):
            ours, native = (
                f"{side}.{way}_blocks.{block}",
                f"{side}.{way}.{block if way == 'down' else 3 - block}",
            )
            blocks |= {f"{ours}.resnets.{n}": f"{native}.block.{n}" for n in range(resnets)}
            renames[f"{ours}.{way}samplers.0.conv.conv"] = f"{native}.{way}sample.conv.conv"
        for ours, native in blocks.items():
            for part in ("norm1", "norm2", "conv1.conv", "conv2.conv"):
                renames[f"{ours}.{part}"] = f"{native}.{part}"
            renames[f"{ours}.conv_shortcut.conv"] = f"{native}.nin_shortcut.conv"
    return KeyNames(renames)


class Hunyuan(Family):
    name = "hunyuan-video"
    title = "HunyuanVideo"
    pipeline_class = "HunyuanVideoPipeline"
    transformer_class = "HunyuanVideoTransformer3DModel"
    vae_class = "AutoencoderKLHunyuanVideo"
    masked_attention = True
    training_shift = 7.0
    defaults = GenerateSettings(height=544, width=960, num_frames=129, fps=24, steps=50, guidance_scale=6.0)
    names = KeyNames(_RENAMES, _FUSED, _SPELLINGS.items())
    # diffusers knows the authors' names only so, and ComfyUI knows both.
    lora_prefix = "transformer."
    lora_left_alone = ("context_embedder.token_refiner.",)  # diffusers misreads LoRAs on its fused layers
    text_kinds = ("llama", "clip-l")
    lora_targets: ClassVar[dict[str, tuple[str, ...]]] = {
        # Text and picture share their attention, and later blocks do not tell them apart.
        "published": (
            "context_embedder.proj_in",
            *(f"attn.{part}" for part in ("to_k", "to_v", "add_k_proj", "add_v_proj")),
        ),
        "wide": (
            "context_embedder.proj_in",
            *(f"attn.{part}" for part in ("to_q", "to_k", "to_v", "to_out.0", "to_add_out")),
            *(f"attn.add_{part}_proj" for part in "qkv"),
            "ff.net.0.proj",
            "ff.net.2",
            "ff_context.net.0.proj",
            "ff_context.net.2",
            "proj_mlp",
            ".proj_out",
        ),
    }

    def recognise(self, shapes: Shapes, name: str) -> str | None:
        wanted = ("img_in.proj.weight", "txt_in.input_embedder.weight", "vector_in.in_layer.weight")
        if not require(shapes, *wanted) or any(key.startswith(_OTHER_KINDS) for key in shapes):
            return None
        width, channels = shapes["img_in.proj.weight"][:2]
        if len(shapes["img_in.proj.weight"]) != 5 or channels != 16:  # 32 and 33 start from images
            return None
        layers = count(shapes, r"double_blocks\.(\d+)\.")
        size = known_size({(3072, 20): "13B"}, (width, layers), f"of {layers} double layers, {width} wide")
        return f"{self.title} T2V {size}"

    def transformer_config(self, shapes: Shapes) -> dict[str, Any]:
        width, channels, *patch = shapes["img_in.proj.weight"]
        first = "double_blocks.0.img_mlp."
        inner = shapes.get(f"{first}fc1.weight") or shapes[f"{first}0.weight"]
        return {
            "in_channels": channels,
            "out_channels": shapes["final_layer.linear.weight"][0] // math.prod(patch),
            "num_attention_heads": max(1, width // _HEAD),
            "attention_head_dim": width // max(1, width // _HEAD),
            "num_layers": count(shapes, r"double_blocks\.(\d+)\."),
            "num_single_layers": count(shapes, r"single_blocks\.(\d+)\."),
            "num_refiner_layers": count(shapes, r"txt_in\.individual_token_refiner\.blocks\.(\d+)\."),
            "mlp_ratio": inner[0] / width,
            "patch_size": patch[1],
            "patch_size_t": patch[0],
            "guidance_embeds": any(key.startswith("guidance_in.") for key in shapes),
            "text_embed_dim": shapes["txt_in.input_embedder.weight"][1],
            "pooled_projection_dim": shapes["vector_in.in_layer.weight"][1],
            "rope_axes_dim": _AXES,
        }

    def recognise_vae(self, shapes: Shapes) -> str | None:
        attention = ("decoder.mid_block.attentions.0.to_q.weight", "decoder.mid.attn_1.q.weight")
        wanted = ("decoder.conv_in.conv.weight", "encoder.conv_in.conv.weight", "quant_conv.weight")
        found = require(shapes, *wanted) and any(each in shapes for each in attention)
        return "HunyuanVideo VAE" if found and len(shapes["quant_conv.weight"]) == 5 else None

    def vae_config(self, shapes: Shapes) -> dict[str, Any]:
        first = shapes["encoder.conv_in.conv.weight"][0]
        widths = [first, first * 2, first * 4, first * 4]
        return {"block_out_channels": widths, "norm_num_groups": min(32, first)}

    def vae_weights(self, state: dict[str, Tensor], rows: Mapping[str, int]) -> dict[str, Tensor]:
        # The authors' names are diffusers'; repackaged files can have those of Stable Diffusion's VAE, with matrices as
        # convolutions of one point.
        ours = _vae_names().to_ours(state, rows)
        return {key: v.flatten(1) if ".attentions." in key and v.ndim > 2 else v for key, v in ours.items()}

    def encode_text(self, pipeline: Any, texts: list[str]) -> Tensor:
        states, pooled, mask = pipeline.encode_prompt(texts, device=pipeline.text_encoder.device)
        return _pack(states, mask, pooled)

    def latent_shape(self, pipeline: Any, settings: GenerateSettings) -> tuple[int, int, int, int]:
        spatial, patch = pipeline.vae_scale_factor_spatial, pipeline.transformer.config.patch_size
        return (
            pipeline.transformer.config.in_channels,
            (settings.num_frames - 1) // pipeline.vae_scale_factor_temporal + 1,
            settings.height // (spatial * patch) * patch,
            settings.width // (spatial * patch) * patch,
        )

    def size_steps(self, pipeline: Any) -> tuple[int, int]:
        pixels = pipeline.vae_scale_factor_spatial * pipeline.transformer.config.patch_size
        return pixels, pipeline.vae_scale_factor_temporal

    def velocity(self, transformer: torch.nn.Module, noisy: Tensor, sigma: Tensor, text: Tensor) -> Tensor:
        states, mask, pooled = _unpack(text, transformer.config.pooled_projection_dim)
        guidance = torch.full_like(sigma, _TRAINING_GUIDANCE * 1000).to(noisy.dtype)
        return transformer(
            hidden_states=noisy,
            timestep=(sigma * 1000).to(noisy.dtype),
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            pooled_projections=pooled,
            guidance=guidance if transformer.config.guidance_embeds else None,
            return_dict=False,
        )[0]

    def sample(
        self, pipeline: Any, text: Tensor, negative: Tensor | None, noise: Tensor, settings: GenerateSettings
    ) -> Tensor:
        pipeline.set_progress_bar_config(disable=True)
        states, mask, pooled = _unpack(text, pipeline.transformer.config.pooled_projection_dim)
        spatial, temporal = pipeline.vae_scale_factor_spatial, pipeline.vae_scale_factor_temporal
        # Guidance is an input of the network; a negative prompt has no place.
        return pipeline(
            height=noise.shape[3] * spatial,
            width=noise.shape[4] * spatial,
            num_frames=(noise.shape[2] - 1) * temporal + 1,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            prompt_embeds=states,
            pooled_prompt_embeds=pooled,
            prompt_attention_mask=mask,
            latents=noise,
            output_type="latent",
        ).frames

    def decode(self, pipeline: Any, latents: Tensor) -> np.ndarray:
        vae = pipeline.vae
        scaled = latents.to(vae.device, vae.dtype) / vae.config.scaling_factor
        return to_frames(vae.decode(scaled, return_dict=False)[0])


def _pack(states: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
    """States with their mask (B, L, D + 1), below as many rows as the pooled state (B, P) fills."""
    body = with_mask(states, mask)
    width = body.shape[-1]
    rows = math.ceil(pooled.shape[1] / width)
    head = torch.nn.functional.pad(pooled.to(body), (0, rows * width - pooled.shape[1]))
    return torch.cat([head.view(-1, rows, width), body], dim=1)


def _unpack(text: Tensor, pooled_size: int) -> tuple[Tensor, Tensor, Tensor]:
    rows = math.ceil(pooled_size / text.shape[-1])
    states, mask = without_mask(text[:, rows:])
    return states, mask.to(states.dtype), text[:, :rows].flatten(1)[:, :pooled_size]


FAMILIES = (Hunyuan(),)
