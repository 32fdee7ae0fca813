"""What people type into the node search when they do not know a node's name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from comfy_api.latest import io

_BOXES = ("bounding box", "bbox", "object detection")
_TRAINING = ("dpo", "preference optimization", "finetune", "fine-tuning", "alignment")
_SIDES = ("left", "right", "spatial relation", "prompt adherence")

ALIASES: dict[str, tuple[str, ...]] = {
    "SpatialAlign_LoadVideoModel": (
        *("video model loader", "wan loader", "cogvideox loader", "ltx loader", "hunyuan video loader"),
        *("mochi loader", "diffusers loader", "text to video model"),
    ),
    "SpatialAlign_LoadDetector": (
        *("grounding", "groundingdino loader", "grounding dino", "sam loader", "sam2 loader"),
        *("segment anything", "detector loader", *_BOXES),
    ),
    "SpatialAlign_PromptSet": (
        *("prompt list", "prompts from csv", "batch prompts", "prompt generator", "dataset prompts"),
        *("held-out prompts", *_SIDES),
    ),
    "SpatialAlign_PromptFromSentence": ("prompt parser", "my own prompt", "own sentence", *_SIDES),
    "SpatialAlign_Generate": (
        *("text to video", "t2v", "video sampler", "batch videos", "make videos", "sample videos"),
    ),
    "SpatialAlign_CollectSample": (
        *("import video", "save sample", "add video to run", "collect videos", "own sampler", "dataset video"),
    ),
    "SpatialAlign_Detect": (
        *("detect run", "grounding", "groundingdino", "object tracking", "tracking", *_BOXES),
    ),
    "SpatialAlign_Score": ("score run", "score videos", "dsr score", "spatial score", "prompt adherence"),
    "SpatialAlign_ExportPairs": (
        *("preference pairs", "preference dataset", "winner loser", "chosen rejected", "dpo pairs", "dpo dataset"),
    ),
    "SpatialAlign_TrainLora": (
        *("train lora", "lora trainer", "video lora training", "spatial lora", "dpo trainer", *_TRAINING),
    ),
    "SpatialAlign_Rounds": (
        *("iterative training", "self-improvement", "self training", "iterative dpo", "online dpo", "train lora"),
        *_TRAINING,
    ),
    "SpatialAlign_Evaluate": (
        *("evaluate lora", "lora evaluation", "test lora", "benchmark lora", "before and after", "report"),
        *("prompt adherence", "accuracy", "validation"),
    ),
    "SpatialAlign_Compare": (
        *("compare loras", "lora comparison", "side by side", "a/b test", "ab test", "lora strength", "xy plot"),
    ),
    "SpatialAlign_ScoreVideo": (
        *("video score", "evaluate video", "check video", "video quality", "metric", "dsr score", "motion"),
        *("spatial score", "spatial motion", *_SIDES),
    ),
    "SpatialAlign_PickBest": (
        *("best of n", "rank videos", "choose best video", "select best", "best seed", "rerank", "filter videos"),
        *("prompt adherence", "best of batch"),
    ),
    "SpatialAlign_DetectTrack": (
        *("object tracking", "tracking", "track objects", "motion tracking", "grounding", "groundingdino"),
        *("sam", "sam2", "segment video", "motion", *_BOXES),
    ),
    "SpatialAlign_DrawTracks": (
        *("draw boxes", "draw bounding boxes", "draw masks", "annotate video", "overlay", "visualize tracking"),
        *("motion path", "trajectory", "tracking"),
    ),
    "SpatialAlign_SpriteClip": (
        *("test video", "synthetic video", "example video", "animation", "toy video", "sprite animation"),
    ),
}  # fmt: skip

_FIELDS = {each.name for each in fields(io.Schema)}


def schema(node_id: str, **values: Any) -> io.Schema:
    """A node's schema with its aliases, where ComfyUI knows them: 0.8.0 does not."""
    if "search_aliases" in _FIELDS:
        values["search_aliases"] = list(ALIASES[node_id])
    return io.Schema(node_id=node_id, **values)
