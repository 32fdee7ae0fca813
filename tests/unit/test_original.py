"""Checkpoints in their authors' format, against the authors' own code where it is installed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spatialalign_core.detect import Detection
from spatialalign_core.detect.bert_shim import give_back_methods
from spatialalign_core.detect.checkpoints import FileKind, recognise_shapes
from spatialalign_core.detect.original import OriginalGroundingDino, _picture, build, find_bert, settings
from spatialalign_core.detect.sam import SamSegmenter, WithMasks
from spatialalign_core.detect.sam_original import OriginalSam, build_sam
from spatialalign_core.errors import SpatialAlignError

FRAMES = np.random.default_rng(5).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
BOXES = [np.array([[5.0, 4, 30, 33], [31, 8, 58, 39]]), np.zeros((0, 4)), np.array([[2.0, 3, 50, 20]])]


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


# -- SAM ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["vit_b", "vit_l", "vit_h"])
def test_published_sam_sizes(variant: str) -> None:
    """The names and shapes of the authors' own models are recognised, and the model we build has the same."""
    segment_anything = pytest.importorskip("segment_anything")
    with torch.device("meta"):
        shapes = shapes_of(segment_anything.sam_model_registry[variant]())
        assert recognise_shapes(shapes) == FileKind("sam", variant)
        ours = build_sam(shapes)
    assert shapes_of(ours) == shapes
    theirs = segment_anything.sam_model_registry[variant]  # the numbers that shapes do not show
    assert theirs.__name__ in (f"build_sam_{variant}", "build_sam")
    heads = {"vit_b": 12, "vit_l": 16, "vit_h": 16}[variant]
    assert {block.attn.num_heads for block in ours.image_encoder.blocks} == {heads}
    windows = [index for index, block in enumerate(ours.image_encoder.blocks) if block.window_size == 0]
    assert windows == {"vit_b": [2, 5, 8, 11], "vit_l": [5, 11, 17, 23], "vit_h": [7, 15, 23, 31]}[variant]


@pytest.fixture(scope="module")
def tiny_sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    modeling = pytest.importorskip("segment_anything.modeling")
    torch.manual_seed(0)
    model = modeling.Sam(
        modeling.ImageEncoderViT(
            img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=32, use_rel_pos=True,
            window_size=2, global_attn_indexes=(1,), norm_layer=lambda n: torch.nn.LayerNorm(n, eps=1e-6),
        ),
        modeling.PromptEncoder(embed_dim=32, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16),
        modeling.MaskDecoder(
            transformer_dim=32, transformer=modeling.TwoWayTransformer(2, 32, 8, 64), iou_head_hidden_dim=32
        ),
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    file = tmp_path_factory.mktemp("sams") / "sam_tiny.pth"
    torch.save(model.state_dict(), file)
    return file


def test_sam_equals_the_published_predictor(tiny_sam: Path) -> None:
    from segment_anything import SamPredictor

    ours = OriginalSam.load(tiny_sam)
    found = ours.segment(FRAMES, BOXES)
    predictor = SamPredictor(ours.model)
    for frame, boxes, masks in zip(FRAMES, BOXES, found, strict=True):
        assert masks.shape == (len(boxes), 40, 60)
        predictor.set_image(frame)
        for box, mask in zip(boxes, masks, strict=True):
            assert np.array_equal(mask, predictor.predict(box=box, multimask_output=False)[0][0])
    assert 0 < np.concatenate(found).mean() < 1


def test_a_sam_with_missing_weights(tiny_sam: Path, tmp_path: Path) -> None:
    weights = torch.load(tiny_sam, weights_only=True)
    del weights["mask_decoder.iou_token.weight"]
    torch.save(weights, tmp_path / "less.pth")
    with pytest.raises(SpatialAlignError, match=r"less\.pth lacks weights of a SAM"):
        OriginalSam.load(tmp_path / "less.pth")


def test_a_model_made_from_sam(tiny_sam: Path, tmp_path: Path) -> None:
    weights = torch.load(tiny_sam, weights_only=True)
    for more, words in (
        ("mask_decoder.hf_token.weight", "holds SAM-HQ"),
        ("image_encoder.adapter.weight", r"1 weights that a SAM does not have, image_encoder\.adapter"),
    ):
        torch.save(weights | {more: torch.zeros(1, 32)}, tmp_path / "more.pth")
        with pytest.raises(SpatialAlignError, match=words):
            OriginalSam.load(tmp_path / "more.pth")


def test_without_segment_anything(tiny_sam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(SpatialAlignError, match="pip install segment-anything"):
        OriginalSam.load(tiny_sam)


class Fixed:
    name = "fixed"

    def detect(self, frames, nouns):
        for boxes in BOXES:
            yield [Detection("fox", box, 0.9) for box in boxes]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_masks_for_another_detectors_boxes(tiny_sam: Path, batch_size: int) -> None:
    segmenter = OriginalSam.load(tiny_sam)
    expected = segmenter.segment(FRAMES, BOXES)
    detector = WithMasks(Fixed(), segmenter, batch_size)
    found = list(detector.detect(FRAMES, ["fox"]))
    assert [len(frame) for frame in found] == [2, 0, 1]
    for frame, masks, boxes in zip(found, expected, BOXES, strict=True):
        for each, mask, box in zip(frame, masks, boxes, strict=True):
            assert np.array_equal(each.mask, mask)
            assert np.array_equal(each.box, box)
    tight = next(iter(WithMasks(Fixed(), segmenter, boxes_from_masks=True).detect(FRAMES, ["fox"])))
    rows, columns = np.nonzero(tight[0].mask)
    assert tight[0].box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_transformers_sam_in_batches(tmp_path: Path) -> None:
    """A frame's masks do not hang on which other frames and boxes it is looked at with."""
    from transformers import (
        SamConfig,
        SamImageProcessor,
        SamMaskDecoderConfig,
        SamModel,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32, output_channels=32, num_hidden_layers=2, num_attention_heads=2, image_size=64,
            window_size=2, global_attn_indexes=[1], mlp_dim=32, num_pos_feats=16,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=64),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=32, mlp_dim=32, iou_head_hidden_dim=32),
    )  # fmt: skip
    model = SamModel(config)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path)
    size = {"height": 64, "width": 64}
    SamImageProcessor(size={"longest_edge": 64}, pad_size=size).save_pretrained(tmp_path)
    segmenter = SamSegmenter.load(tmp_path)
    together = segmenter.segment(FRAMES, BOXES)
    assert [masks.shape for masks in together] == [(2, 40, 60), (0, 40, 60), (1, 40, 60)]
    for index in (0, 2):
        for place, box in enumerate(BOXES[index]):
            alone = segmenter.segment(FRAMES[index : index + 1], [box[None]])[0][0]
            assert (alone != together[index][place]).mean() < 0.01  # sums in another order


# -- GroundingDINO -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers; the special tokens stand where GroundingDINO expects them."""
    vocabulary = [f"[unused{index}]" for index in range(1040)] + ["red", "fox", "wooden", "box", "cone"]
    for place, token in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}.items():
        vocabulary[place] = token
    vocabulary[1012], vocabulary[1029] = ".", "?"
    folder = tmp_path_factory.mktemp("models") / "bert-base-uncased"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = {
        "model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 32,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tiny(args: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        **vars(args) | {"enc_layers": 1, "dec_layers": 1, "num_queries": 30, "dim_feedforward": 32}
    )


@pytest.fixture(scope="module")
def dino(bert: Path):
    pytest.importorskip("groundingdino")
    torch.manual_seed(0)
    model = build(tiny(settings(FileKind("grounding-dino", "Swin-T"), Path("x"))), bert)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


# As in groundingdino_swint_ogc.pth, by the script that converts it for transformers.
PUBLISHED = [
    "backbone.0.patch_embed.norm.bias",
    "backbone.0.layers.2.blocks.5.attn.relative_position_bias_table",
    "backbone.0.layers.0.downsample.reduction.weight",
    "backbone.0.norm3.weight",
    "input_proj.3.1.weight",
    "feat_map.bias",
    "transformer.encoder.layers.0.self_attn.sampling_offsets.weight",
    "transformer.encoder.text_layers.0.self_attn.in_proj_weight",
    "transformer.encoder.fusion_layers.0.gamma_v",
    "transformer.encoder.fusion_layers.0.attn.values_l_proj.weight",
    "transformer.decoder.layers.0.ca_text.in_proj_weight",
    "transformer.decoder.layers.0.catext_norm.bias",
    "transformer.decoder.ref_point_head.layers.1.bias",
    "transformer.decoder.bbox_embed.0.layers.2.weight",
    "transformer.enc_output_norm.weight",
    "transformer.enc_out_bbox_embed.layers.0.weight",
    "transformer.level_embed",
    "transformer.decoder.norm.weight",
    "transformer.tgt_embed.weight",
    "bert.embeddings.word_embeddings.weight",
    "bert.encoder.layer.1.attention.self.query.weight",
    "bert.encoder.layer.1.output.LayerNorm.bias",
    "bert.pooler.dense.weight",
]


def test_grounding_dino_names(dino) -> None:
    shapes = shapes_of(dino)
    assert [name for name in PUBLISHED if name not in shapes] == []
    assert recognise_shapes(shapes) == FileKind("grounding-dino", "Swin-T")


def test_grounding_dino_file(dino, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As published: under "model", names with "module.", and two weights that nobody needs."""
    from spatialalign_core.detect import original

    plain = settings
    monkeypatch.setattr(original, "settings", lambda kind, file: tiny(plain(kind, file)))
    weights = {f"module.{key}": value for key, value in dino.state_dict().items()}
    extra = {
        "module.label_enc.weight": torch.zeros(3, 4),
        "module.bert.embeddings.position_ids": torch.zeros(1, 512),
    }
    torch.save({"model": weights | extra}, tmp_path / "groundingdino_swint_ogc.pth")
    file = tmp_path / "groundingdino_swint_ogc.pth"
    with pytest.raises(SpatialAlignError, match=r"put a folder bert-base-uncased that holds vocab\.txt"):
        OriginalGroundingDino.load(file)
    detector = OriginalGroundingDino.load(
        file, bert_places=[bert.parent], box_threshold=0.0, text_threshold=0.0
    )
    detector.short_side = 64
    found = list(detector.detect(FRAMES, ["red fox", "Box"]))
    assert len(found) == 3
    assert {each.noun for frame in found for each in frame} <= {"red fox", "Box"}
    assert all(0 <= each.confidence <= 1 for frame in found for each in frame)
    assert sum(map(len, found)) > 0
    detector.batch_size = 2
    for one, other in zip(found, detector.detect(FRAMES, ["red fox", "Box"]), strict=True):
        for a, b in zip(one, other, strict=True):
            assert np.abs(a.box - b.box).max() < 0.05
    del weights["module.feat_map.bias"]
    torch.save({"model": weights}, file)
    with pytest.raises(SpatialAlignError, match=r"lacks 1 of the model's weights, feat_map\.bias first"):
        OriginalGroundingDino.load(file, bert_places=[bert.parent])


def test_the_shim_does_not_leak(dino) -> None:
    from groundingdino.util import get_tokenlizer
    from transformers import BertConfig, BertModel

    assert get_tokenlizer.get_tokenlizer.__module__ == "groundingdino.util.get_tokenlizer"
    assert get_tokenlizer.get_pretrained_language_model.__module__ == "groundingdino.util.get_tokenlizer"
    assert "get_head_mask" not in vars(BertModel)
    small = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    before = set(dir(BertModel(small)))
    assert {"get_head_mask", "get_extended_attention_mask"} <= set(dir(give_back_methods(BertModel(small))))
    assert set(dir(BertModel(small))) == before


def test_the_wrapped_bert_says_what_transformers_own_says() -> None:
    warper = pytest.importorskip("groundingdino.models.GroundingDINO.bertwarper")
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=50
    )
    torch.manual_seed(0)
    bert = BertModel(config).eval()
    words, allowed = torch.randint(1, 50, (2, 6)), torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    with torch.no_grad():
        expected = bert(words, attention_mask=allowed).last_hidden_state
        found = warper.BertModelWarper(give_back_methods(bert))(words, attention_mask=allowed)
    assert (found["last_hidden_state"] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)])
def test_the_shims_mask(shape: tuple[int, ...]) -> None:
    """0 where it may look, the least number of the type where not, with a place for the heads."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    bert = give_back_methods(BertModel(config))
    allowed = torch.rand(shape) > 0.5
    mask = bert.get_extended_attention_mask(allowed, shape[:2])
    assert mask.shape == ((2, 1, 3, 3) if len(shape) == 3 else (2, 1, 1, 3))
    expected = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)
    assert torch.equal(mask.reshape(shape), expected)
    assert bert.get_head_mask(None, 4) == [None] * 4


@pytest.mark.parametrize("size", [(480, 832), (832, 480), (64, 96), (300, 1200), (800, 800)])
def test_pictures_are_prepared_as_published(size: tuple[int, int]) -> None:
    transforms = pytest.importorskip("groundingdino.datasets.transforms")
    from PIL import Image

    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    published = transforms.Compose(
        [
            transforms.RandomResize([800], max_size=1333),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    expected, _ = published(Image.fromarray(frame), None)
    ours = _picture(frame, 800)
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() < 1e-6


def test_without_groundingdino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "groundingdino.models", None)
    with pytest.raises(SpatialAlignError, match="pip install groundingdino-py"):
        settings(FileKind("grounding-dino", "Swin-T"), Path("x.pth"))


def test_where_the_vocabulary_is_looked_for(bert: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "models" / "grounding-dino" / "g.pth"
    checkpoint.parent.mkdir(parents=True)
    assert find_bert(checkpoint, [bert.parent]) == bert
    for place in (tmp_path / "models", tmp_path / "models" / "grounding-dino"):
        (place / "bert-base-uncased").mkdir()
        (place / "bert-base-uncased" / "vocab.txt").write_text("[PAD]\n")
        assert find_bert(checkpoint) == place / "bert-base-uncased"
