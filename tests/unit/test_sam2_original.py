"""SAM 2 in its authors' format: every published name finds its place in transformers' model.

The names come from the authors' package (`benchmarks/sam2_parity.py` writes them, and compares what is computed).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from spatialalign_core.detect import sam2_original
from spatialalign_core.detect.checkpoints import recognise_shapes
from spatialalign_core.detect.loading import load_mask_tracker
from spatialalign_core.detect.sam2_original import convert_key, sam2_config
from spatialalign_core.errors import SpatialAlignError

NAMES = json.loads(gzip.decompress((Path(__file__).parents[1] / "data" / "sam2_names.json.gz").read_bytes()))


def published(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in NAMES[name].items()}


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("sam2/sam2_hiera_t.yaml", "2 tiny"),
        ("sam2.1/sam2.1_hiera_t.yaml", "2.1 tiny"),
        ("sam2.1/sam2.1_hiera_s.yaml", "2.1 small"),
        ("sam2.1/sam2.1_hiera_b+.yaml", "2.1 base_plus"),
        ("sam2.1/sam2.1_hiera_l.yaml", "2.1 large"),
    ],
)
def test_every_name_and_shape(name: str, variant: str) -> None:
    from transformers import Sam2VideoModel

    shapes = published(name)
    kind = recognise_shapes(shapes)
    assert kind is not None
    assert (kind.family, kind.variant) == ("sam2", variant)
    with torch.device("meta"):
        model = Sam2VideoModel(sam2_config(shapes))
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    expected.pop("shared_image_embedding.positional_embedding")
    points = expected.pop("prompt_encoder.point_embed.weight")
    found = {convert_key(key): shape for key, shape in shapes.items()}
    four = [found.pop(f"prompt_encoder.point_embeddings.{index}.weight") for index in range(4)]
    assert found == expected
    assert [(1, points[1])] * points[0] == four


def test_a_file_through_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures, so that it is quick; the weights are all the same little number."""
    plain = sam2_config
    monkeypatch.setattr(sam2_original, "sam2_config", lambda shapes: plain(shapes, 64))
    shapes = published("sam2.1/sam2.1_hiera_t.yaml")
    torch.save(
        {"model": {key: torch.full(shape, 0.01) for key, shape in shapes.items()}}, tmp_path / "sam2.1_t.pt"
    )
    tracker = load_mask_tracker(tmp_path / "sam2.1_t.pt", "cpu")
    assert tracker.name == "sam2.1_t"
    weights = tracker.model.state_dict()
    assert all((value == 0.01).all() for value in weights.values())
    shapes.pop("memory_encoder.pix_feat_proj.bias")
    torch.save({key: torch.full(shape, 0.01) for key, shape in shapes.items()}, tmp_path / "less.pt")
    with pytest.raises(SpatialAlignError, match=r"less\.pt is a SAM 2 \(2\.1 tiny\) that does not fit"):
        load_mask_tracker(tmp_path / "less.pt", "cpu")
    odd = {key: shape for key, shape in shapes.items() if ".blocks.11." not in key}
    torch.save({key: torch.zeros(shape) for key, shape in odd.items()}, tmp_path / "odd.pt")
    with pytest.raises(SpatialAlignError, match="does not fit the published sizes"):
        load_mask_tracker(tmp_path / "odd.pt", "cpu")
