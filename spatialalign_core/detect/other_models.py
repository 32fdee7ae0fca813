"""Models that people take for a SAM or a GroundingDINO: what each is, and what to use in its place."""

from __future__ import annotations

import re

from ..weight_files import Shapes

_SAM = "use SAM itself, such as sam_vit_b_01ec64.pth or the folder facebook/sam-vit-base"
_SAM2 = "use SAM 2 itself, such as sam2.1_hiera_tiny.pt or the folder facebook/sam2.1-hiera-tiny"
_DINO = (
    "use a GroundingDINO, such as groundingdino_swint_ogc.pth or the folder IDEA-Research/grounding-dino-tiny"
)

_SAM_HQ = f"SAM-HQ, which has more parts than SAM and is not supported; {_SAM}"

# A key -> what the file is. The first that matches counts.
_FILES = (
    (r"image_encoder\.patch_embed\.seq\.", f"MobileSAM or a light SAM-HQ, which is not supported; {_SAM}"),
    (r"image_encoder\.trunk\.body\.|spatial_perceiver\.", f"EdgeTAM, which is not supported; {_SAM2}"),
    (r"sam_mask_decoder\.(hf_|embedding_|compress_)", f"SAM-HQ 2, which is not supported; {_SAM2}"),
    (r"mask_decoder\.(hf_|embedding_(encoder|maskfeature)|compress_)", _SAM_HQ),
    (r"(detector|tracker)\.(backbone|vision_encoder|transformer|maskmem)", f"SAM 3, which is not supported; {_SAM2}"),
    (r"image_encoder\.backbone\.(stages|input_stem)\.", f"EfficientViT-SAM, which is not supported; {_SAM}"),
    (
        r"language_model\.language_backbone\.|bbox_head\.cls_branches\.",
        "MM GroundingDINO as MMDetection saves it; use it as a folder in transformers' layout, such as "
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg",
    ),
    (r"model\.\d+\.(conv|cv\d|m\.0)\.", f"a YOLO model, which finds only a fixed list of things; {_DINO}"),
)  # fmt: skip

_FIXED = ("yolos", "detr", "rt_detr", "rt_detr_v2", "d_fine", "conditional_detr", "deformable_detr")
OTHER_FOLDERS = {
    "sam_hq": _SAM_HQ,
    "sam_hq_vision_model": _SAM_HQ,
    "edgetam": f"EdgeTAM, which is not supported; {_SAM2}",
    "edgetam_video": f"EdgeTAM, which is not supported; {_SAM2}",
    "sam3": f"SAM 3, which is not supported; {_SAM2}",
    "sam3_video": f"SAM 3, which is not supported; {_SAM2}",
    "sam3_tracker": f"SAM 3, which is not supported; {_SAM2}",
    "sam3_tracker_video": f"SAM 3, which is not supported; {_SAM2}",
    "owlvit": f"OWL-ViT, which is not supported; {_DINO}",
    "owlv2": f"OWLv2, which is not supported; {_DINO}",
    "omdet-turbo": f"OmDet-Turbo, which is not supported; {_DINO}",
    **{kind: f"a detector ({kind}) that finds only a fixed list of things; {_DINO}" for kind in _FIXED},
    "florence2": f"Florence-2, which gives no scores and is not supported; {_DINO}",
}  # fmt: skip
"""config.json's model_type -> what the folder holds."""


def other_model(shapes: Shapes) -> str | None:
    """What a weight file is if it is one of these, and what to use; None for anything else."""
    for pattern, words in _FILES:
        if any(re.match(pattern, key) for key in shapes):
            return words
    return None
