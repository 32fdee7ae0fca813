"""SAM 2 for video: equal to transformers' own session, in bounded memory, both ways."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spatialalign_core.detect import sam2
from spatialalign_core.detect.sam import SamSegmenter
from spatialalign_core.detect.sam2 import Sam2VideoTracker
from spatialalign_core.errors import SpatialAlignError

SIZE = 64


def tiny_parts():
    """A SAM 2 with random weights that are far enough from zero for memory to matter."""
    from transformers import (
        Sam2HieraDetConfig,
        Sam2ImageProcessor,
        Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig,
        Sam2VideoModel,
        Sam2VideoProcessor,
        Sam2VideoPromptEncoderConfig,
        Sam2VideoVideoProcessor,
        Sam2VisionConfig,
    )

    torch.manual_seed(0)
    hidden = 128  # with a memory of 64: transformers ties them
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[SIZE, SIZE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 2],
        window_positional_embedding_background_size=[7, 7],
        global_attention_blocks=[3],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[SIZE // 4] * 2, [SIZE // 8] * 2, [SIZE // 16] * 2],
        fpn_hidden_size=hidden,
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(hidden_size=hidden, image_size=SIZE),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=hidden, mlp_dim=32, iou_head_hidden_dim=32
        ),
        image_size=SIZE,
        memory_attention_hidden_size=hidden,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[SIZE // 16] * 2,
        memory_encoder_hidden_size=hidden,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=hidden,
        memory_fuser_embed_dim=hidden,
        memory_fuser_intermediate_dim=32,
    )
    model = Sam2VideoModel(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    size = {"height": SIZE, "width": SIZE}
    processor = Sam2VideoProcessor(
        image_processor=Sam2ImageProcessor(size=size), video_processor=Sam2VideoVideoProcessor(size=size)
    )
    return model, processor


@pytest.fixture(scope="module")
def parts():
    return tiny_parts()


def noise(frames: int, height: int = 48, width: int = 80) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


BOXES = np.array([[5.0, 6.0, 30.0, 40.0], [40.0, 2.0, 76.0, 30.0]])


def whole_session(model, processor, frames: np.ndarray, seed: int, boxes: np.ndarray):
    """What transformers itself finds with the whole clip in its session."""
    session = processor.init_video_session(video=frames)
    processor.add_inputs_to_inference_session(
        inference_session=session, frame_idx=seed, obj_ids=[1, 2], input_boxes=[boxes.tolist()]
    )
    found = {}
    for reverse in (False, True):
        for output in model.propagate_in_video_iterator(session, start_frame_idx=seed, reverse=reverse):
            masks = torch.nn.functional.interpolate(
                output.pred_masks, size=frames.shape[1:3], mode="bilinear"
            )
            found.setdefault(
                output.frame_idx, (masks[:, 0] > 0, output.object_score_logits.double().sigmoid())
            )
    return found


@pytest.mark.parametrize(
    ("frames", "seed", "together"), [(40, 18, 64), (20, 0, 1), (20, 19, 3), (6, 3, 4), (1, 0, 64)]
)
def test_equals_the_whole_session(
    parts, monkeypatch: pytest.MonkeyPatch, frames: int, seed: int, together: int
) -> None:
    monkeypatch.setitem(sam2._PIXELS, "cpu", together * SIZE * SIZE)
    model, processor = parts
    clip = noise(frames)
    expected = whole_session(model, processor, clip, seed, BOXES)
    order = []
    for index, masks, confidences in Sam2VideoTracker(model, processor).track(clip, seed, BOXES):
        order.append(index)
        assert masks.dtype == bool
        assert masks.shape == (2, 48, 80)
        # Several pictures at once are summed up in another order.
        assert (masks != expected[index][0].numpy()).mean() < 1e-3, f"frame {index}"
        assert np.allclose(confidences, expected[index][1].flatten().numpy(), atol=1e-4), f"frame {index}"
    assert order == [*range(seed, frames), *range(seed - 1, -1, -1)]


def test_the_memory_matters(parts) -> None:
    """Else the test above would not see a memory that was dropped too early."""
    model, processor = parts
    clip = noise(20)
    changed = clip.copy()
    changed[6:9] = 255 - changed[6:9]
    for seed, later in ((0, 12), (19, 2)):
        one, other = (
            {
                index: confidences
                for index, _, confidences in Sam2VideoTracker(model, processor).track(c, seed, BOXES)
            }
            for c in (clip, changed)
        )
        assert (one[later] != other[later]).any()


@pytest.mark.parametrize(
    ("seed", "boxes"),
    [
        pytest.param(9, BOXES, id="seed behind the end"),
        pytest.param(-1, BOXES, id="seed before the start"),
        pytest.param(0, np.zeros((0, 4)), id="no boxes"),
        pytest.param(0, np.zeros((2, 3)), id="three numbers a box"),
        pytest.param(0, np.full((1, 4), np.nan), id="no numbers"),
    ],
)
def test_wrong_seeds(parts, seed: int, boxes: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"seed frame|Boxes must be"):
        Sam2VideoTracker(*parts).track(noise(9), seed, boxes)


def test_folder_round_trip(parts, tmp_path: Path) -> None:
    model, processor = parts
    model.save_pretrained(tmp_path / "sam2-tiny")
    processor.save_pretrained(tmp_path / "sam2-tiny")
    loaded = Sam2VideoTracker.load(tmp_path / "sam2-tiny")
    assert loaded.name == "sam2-tiny"
    clip = noise(3)
    for ours, theirs in zip(
        Sam2VideoTracker(model, processor).track(clip, 1, BOXES), loaded.track(clip, 1, BOXES), strict=True
    ):
        assert np.array_equal(ours[1], theirs[1])
    save_file({"blocks.0.weight": torch.zeros(4, 4)}, tmp_path / "sam2-tiny" / "model.safetensors")
    for load in (Sam2VideoTracker.load, SamSegmenter.load):
        with pytest.raises(SpatialAlignError, match="is of another model"):
            load(tmp_path / "sam2-tiny")
    (tmp_path / "sam2-tiny" / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SpatialAlignError, match="sam2-tiny could not be loaded"):
        Sam2VideoTracker.load(tmp_path / "sam2-tiny")


def test_memory_does_not_grow_with_the_clip(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers that live in tensors are as many after 45 frames as after 85, and on the way back not more."""
    monkeypatch.setitem(sam2._PIXELS, "cpu", 4 * SIZE * SIZE)
    model, processor = parts
    alive = {}
    for count, _ in enumerate(Sam2VideoTracker(model, processor).track(noise(120), 30, BOXES)):
        if count in (45, 85, 100, 119):
            gc.collect()
            tensors = (each for each in gc.get_objects() if type(each) is torch.Tensor)
            alive[count] = sum(each.numel() for each in tensors)
    assert alive[85] == alive[45]
    assert max(alive[100], alive[119]) <= alive[85]
