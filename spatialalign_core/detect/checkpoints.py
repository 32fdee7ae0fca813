"""Which detector or segmenter a weight file of its authors holds, told by its keys and shapes."""

from __future__ import annotations

from dataclasses import dataclass

from ..weight_files import Shapes, count


@dataclass(frozen=True)
class FileKind:
    """What a weight file is: "sam", "sam2" or "grounding-dino" under its authors' key names, and which size of it."""

    family: str
    variant: str


def recognise_shapes(shapes: Shapes) -> FileKind | None:
    """What the weights are, by key names and shapes; None when they are nothing we know."""
    if "image_encoder.trunk.patch_embed.proj.weight" in shapes:
        width = shapes["image_encoder.trunk.patch_embed.proj.weight"][0]
        blocks = count(shapes, r"image_encoder\.trunk\.blocks\.(\d+)\.")
        sizes = {(96, 12): "tiny", (96, 16): "small", (112, 24): "base_plus", (144, 48): "large"}
        version = "2.1" if "no_obj_embed_spatial" in shapes else "2"
        return FileKind("sam2", f"{version} {sizes.get((width, blocks), f'{width} wide, {blocks} blocks')}")
    if "image_encoder.patch_embed.proj.weight" in shapes and "mask_decoder.mask_tokens.weight" in shapes:
        width = shapes["image_encoder.patch_embed.proj.weight"][0]
        blocks = count(shapes, r"image_encoder\.blocks\.(\d+)\.")
        sizes = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
        return FileKind("sam", sizes.get((width, blocks), f"{width} wide, {blocks} blocks"))
    if "transformer.tgt_embed.weight" in shapes and "feat_map.weight" in shapes:
        width = shapes.get("backbone.0.patch_embed.proj.weight", (0,))[0]
        return FileKind("grounding-dino", {96: "Swin-T", 128: "Swin-B"}.get(width, f"{width} wide"))
    return None
