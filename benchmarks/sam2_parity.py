"""Does an authors' SAM 2 checkpoint compute the same through `detect/sam2_original.py` as in its authors' own code?

    python benchmarks/sam2_parity.py FOLDER_OF_THE_UNPACKED_SAM2_SOURCES [KEYS.json.gz]

Random weights in the published tiny size, pictures of 256 pixels so that a CPU does it in seconds, a box in the
first of three frames. With a second argument the names and shapes of all published sizes are written there. The last
line is one line of JSON.
"""

from __future__ import annotations

import gzip
import importlib
import json
import sys
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import yaml
from transformers import Sam2VideoModel
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from spatialalign_core.detect.sam2_original import convert, sam2_config

SIZE = 256
# What the authors' build_sam2_video_predictor sets on top of the configuration.
FOR_VIDEOS = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}


def use_sources(folder: str) -> None:
    """Make `sam2` importable without hydra and iopath, which only its file handling needs."""
    sys.path.insert(0, folder)
    package = types.ModuleType("sam2")
    package.__path__ = [str(Path(folder) / "sam2")]
    sys.modules["sam2"] = package
    for name in ("iopath", "iopath.common", "iopath.common.file_io"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["iopath.common.file_io"].g_pathmgr = None  # type: ignore[attr-defined]


def instantiate(node: Any, size: int) -> Any:
    """Build what a configuration of the authors describes, for pictures of `size` pixels."""
    if isinstance(node, list):
        return [instantiate(each, size) for each in node]
    if node == "1e-6":  # YAML takes it for text
        return 1e-6
    if not isinstance(node, dict):
        return node
    values = {key: instantiate(value, size) for key, value in node.items() if key != "_target_"}
    if "feat_sizes" in values:
        values["feat_sizes"] = [size // 16, size // 16]
    if "image_size" in values:
        values["image_size"] = size
    if "_target_" not in node:
        return values
    module, name = node["_target_"].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**values)


def published(folder: str, config: str, size: int) -> Any:
    text = (Path(folder) / "sam2" / "configs" / config).read_text()
    return instantiate(yaml.safe_load(text)["model"] | FOR_VIDEOS, size).eval()


def follow(model: Any, pictures: torch.Tensor, box: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The authors' tracking step, frame by frame: low-resolution masks and object scores."""
    outputs: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    found = []
    for index, picture in enumerate(pictures):
        features = model.forward_image(picture[None])
        _, vision, positions, sizes = model._prepare_backbone_features(features)
        first = index == 0
        points = {
            "point_coords": box.reshape(1, 2, 2),
            "point_labels": torch.tensor([[2, 3]], dtype=torch.int32),
        }
        output = model.track_step(
            frame_idx=index,
            is_init_cond_frame=first,
            current_vision_feats=vision,
            current_vision_pos_embeds=positions,
            feat_sizes=sizes,
            point_inputs=points if first else None,
            mask_inputs=None,
            output_dict=outputs,
            num_frames=len(pictures),
        )
        output["maskmem_features"] = output[
            "maskmem_features"
        ].bfloat16()  # as their video predictor keeps it
        outputs["cond_frame_outputs" if first else "non_cond_frame_outputs"][index] = output
        found.append((output["pred_masks"], output["object_score_logits"]))
    return found


@torch.no_grad()
def main(folder: str, keys: str | None = None) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    use_sources(folder)
    if keys:
        names = {
            file: {
                key: list(value.shape) for key, value in published(folder, file, 1024).state_dict().items()
            }
            for file in (
                "sam2/sam2_hiera_t.yaml",
                *(f"sam2.1/sam2.1_hiera_{size}.yaml" for size in ("t", "s", "b+", "l")),
            )
        }
        Path(keys).write_bytes(gzip.compress(json.dumps(names, separators=(",", ":")).encode(), mtime=0))
    theirs = published(folder, "sam2.1/sam2.1_hiera_t.yaml", SIZE)
    for parameter in theirs.parameters():  # zeros and ones would hide a weight in the wrong place
        parameter.data += 0.02 * torch.randn_like(parameter)
    theirs.sam_mask_decoder.pred_obj_score_head.layers[
        -1
    ].bias += 20  # else nothing is seen and every mask is empty
    weights = theirs.state_dict()
    ours = Sam2VideoModel(
        sam2_config({key: tuple(value.shape) for key, value in weights.items()}, SIZE)
    ).eval()
    ours.load_state_dict(convert(weights))
    pictures = torch.randn(3, 3, SIZE, SIZE)
    box = torch.tensor([40.0, 60.0, 170.0, 200.0])
    worst = {"masks": 0.0, "scores": 0.0}
    spread = 0.0
    session = Sam2VideoInferenceSession(pictures, SIZE, SIZE, dtype=torch.float32)
    session.add_point_inputs(
        session.obj_id_to_idx(1),
        0,
        {
            "point_coords": box.reshape(1, 1, 2, 2),
            "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32),
        },
    )
    session.obj_with_new_inputs = [1]
    for index, (masks, score) in enumerate(follow(theirs, pictures, box)):
        output = ours(session, frame_idx=index)
        print(index, float((output.pred_masks - masks).abs().max()), float(masks.std()))
        worst["masks"] = max(worst["masks"], float((output.pred_masks - masks).abs().max()))
        worst["scores"] = max(worst["scores"], float((output.object_score_logits - score).abs().max()))
        spread = max(spread, float(masks.std()))
    print(json.dumps(worst | {"masks_spread": spread}))


if __name__ == "__main__":
    main(*sys.argv[1:])
