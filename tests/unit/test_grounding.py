"""GroundingDINO at toy size with random weights: the same numbers as transformers' own way, only in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    PreTrainedTokenizerFast,
    SwinConfig,
)

from spatialalign_core.detect.base import origin
from spatialalign_core.detect.folders import DETECTOR, recognise
from spatialalign_core.detect.grounding import GroundingDinoDetector
from spatialalign_core.detect.loading import load_detector
from spatialalign_core.detect.phrases import noun_scores, plain, read_phrases
from spatialalign_core.errors import SpatialAlignError

WORDS = ("fox", "cat", "dog", "box", "traffic", "cone", "wooden", "jack", "-", "##s", "##es")


def make_tokenizer() -> PreTrainedTokenizerFast:
    names = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}
    names |= {1040 + index: word for index, word in enumerate(WORDS)}
    vocabulary = {names.get(index, f"[unused{index}]"): index for index in range(1060)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 102), ("[CLS]", 101))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def make_model(
    seed: int = 0, config_class: Any = GroundingDinoConfig, model_class: Any = GroundingDinoForObjectDetection
) -> Any:
    config = config_class(
        backbone_config=SwinConfig(
            image_size=64,
            embed_dim=8,
            depths=[1, 1, 1, 1],
            num_heads=[1, 2, 2, 4],
            window_size=4,
            drop_path_rate=0.0,
            out_features=["stage2", "stage3", "stage4"],
        ),
        text_config=BertConfig(
            vocab_size=1060,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        ),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=10,
        num_feature_levels=4,
        max_text_len=32,
    )
    torch.manual_seed(seed)
    model = model_class(config)
    for parameter in model.parameters():  # away from zero, so that something is found
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def make_processor(**size: int) -> GroundingDinoProcessor:
    size = size or {"shortest_edge": 64, "longest_edge": 100}
    return GroundingDinoProcessor(GroundingDinoImageProcessor(size=size), make_tokenizer())


@pytest.fixture(scope="module")
def detector() -> GroundingDinoDetector:
    return GroundingDinoDetector(make_model(), make_processor(), "cpu", batch_size=2)


def pictures(count: int = 3, height: int = 48, width: int = 72, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "size", [(48, 72), (64, 96), (64, 64), (65, 99), (33, 200), (200, 33), (480, 832), (7, 9)]
)
def test_pixels_are_those_of_the_image_processor(
    detector: GroundingDinoDetector, size: tuple[int, int]
) -> None:
    frames = pictures(2, *size)
    expected = detector.processor.image_processor(images=list(frames), return_tensors="pt")["pixel_values"]
    assert torch.equal(detector.pixels(frames), expected) or torch.allclose(
        detector.pixels(frames), expected, atol=1e-5
    )


def test_same_as_transformers_on_single_frames(detector: GroundingDinoDetector) -> None:
    frames, nouns = pictures(5), ("fox", "traffic cone")
    fresh, processor = make_model(), detector.processor
    found = list(detector.detect(frames, nouns))
    again = list(detector.detect(frames, nouns))
    assert len(found) == 5
    for frame, ours, repeated in zip(frames, found, again, strict=True):
        inputs = processor(images=frame, text="fox. traffic cone.", return_tensors="pt")
        with torch.no_grad():
            output = fresh(**inputs)
        [expected] = processor.post_process_grounded_object_detection(
            output, inputs["input_ids"], threshold=0.4, text_threshold=0.3, target_sizes=[frame.shape[:2]]
        )
        assert len(ours) == len(repeated) == len(expected["boxes"]) > 0
        for one, box, words in zip(ours, expected["boxes"], expected["text_labels"], strict=True):
            np.testing.assert_allclose(one.box, box.numpy(), atol=1e-3)
            assert (one.noun if one.label is None else one.label) == words


def test_the_variant_of_mmdetection_from_its_folder(tmp_path: Path) -> None:
    """The same boxes, scores and words as transformers' own way with the class of MMDetection's weights."""
    fresh = make_model(0, MMGroundingDinoConfig, MMGroundingDinoForObjectDetection)
    for name, parameter in fresh.named_parameters():
        if "class_embed" in name and name.endswith(".bias"):
            parameter.data.zero_()  # untrained, it makes every score 0.01
    fresh.save_pretrained(tmp_path)
    make_processor().save_pretrained(tmp_path)
    assert recognise(tmp_path, DETECTOR).title == "MM GroundingDINO"
    detector = load_detector(tmp_path, "cpu", 0.2, 0.1)
    assert isinstance(detector, GroundingDinoDetector) and type(detector.model) is type(fresh)
    frames, count = pictures(3), 0
    for frame, ours in zip(frames, detector.detect(frames, ("fox", "traffic cone")), strict=True):
        inputs = make_processor()(images=frame, text="fox. traffic cone.", return_tensors="pt")
        with torch.no_grad():
            output = fresh(**inputs)
        [expected] = make_processor().post_process_grounded_object_detection(
            output, inputs["input_ids"], threshold=0.2, text_threshold=0.1, target_sizes=[frame.shape[:2]]
        )
        assert len(ours) == len(expected["boxes"])
        count += len(ours)
        for one, box, words in zip(ours, expected["boxes"], expected["text_labels"], strict=True):
            np.testing.assert_allclose(one.box, box.numpy(), atol=1e-3)
            assert (one.noun if one.label is None else one.label) == words
    assert count > 0


def test_text_is_encoded_once(detector: GroundingDinoDetector) -> None:
    calls = []
    hook = detector.model.model.text_backbone.encoder.register_forward_hook(lambda *_: calls.append(1))
    list(detector.detect(pictures(5), ("cat", "dog")))
    list(detector.detect(pictures(2, seed=1), ("cat", "dog")))
    hook.remove()
    assert len(calls) == 1


def test_batches_do_not_matter(detector: GroundingDinoDetector) -> None:
    phrases = read_phrases(detector.processor.tokenizer, ("fox", "box"))
    whole = detector.scores(pictures(4), phrases)
    single = [detector.scores(frame[None], phrases) for frame in pictures(4)]
    for index in range(2):
        np.testing.assert_allclose(whole[index], np.concatenate([one[index] for one in single]), atol=1e-4)


def test_frames_are_looked_at_as_they_are_asked_for(detector: GroundingDinoDetector) -> None:
    seen = []
    hook = detector.model.register_forward_hook(lambda *_: seen.append(1))
    found = detector.detect(pictures(9), ("fox", "box"))
    next(found)
    hook.remove()
    assert len(seen) == 1


def test_weights_of_another_model_are_not_taken_for_noise(tmp_path: Path) -> None:
    """transformers only warns, and draws what is missing at random."""
    make_model().save_pretrained(tmp_path)
    make_processor().save_pretrained(tmp_path)
    save_file({"diffusion_model.blocks.0.weight": torch.zeros(4, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(SpatialAlignError, match=r"is of another model.*weights are missing"):
        GroundingDinoDetector.from_folder(tmp_path, "cpu")


def test_folder_and_fingerprint(tmp_path: Path, detector: GroundingDinoDetector) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        make_model(seed).save_pretrained(tmp_path / name)
        make_processor().save_pretrained(tmp_path / name)
    one, again, other = (
        GroundingDinoDetector.from_folder(tmp_path / name, "cpu") for name in ("one", "one", "two")
    )
    stricter = GroundingDinoDetector.from_folder(tmp_path / "one", "cpu", box_threshold=0.5)
    assert origin(one) == origin(again)
    assert len({origin(each) for each in (one, other, stricter)}) == 3
    for ours, saved in zip(
        detector.detect(pictures(), ("fox", "box")), one.detect(pictures(), ("fox", "box")), strict=True
    ):
        assert [each.noun for each in ours] == [each.noun for each in saved]
    (tmp_path / "one" / "model.safetensors").write_bytes(b"none")
    with pytest.raises(SpatialAlignError, match="could not be loaded"):
        GroundingDinoDetector.from_folder(tmp_path / "one", "cpu")
    (tmp_path / "two" / "config.json").write_text('{"model_type": "sam"}')
    with pytest.raises(SpatialAlignError, match="holds a 'sam' model"):
        GroundingDinoDetector.from_folder(tmp_path / "two", "cpu")
    with pytest.raises(SpatialAlignError, match="no readable config"):
        GroundingDinoDetector.from_folder(tmp_path, "cpu")
    with pytest.raises(SpatialAlignError, match="There is no detector folder"):
        GroundingDinoDetector.from_folder(tmp_path / "none", "cpu")


@pytest.mark.parametrize(
    ("nouns", "own"),
    [
        (("fox", "box"), [[1], [3]]),
        (("traffic cone", "wooden boxes"), [[1, 2], [4, 5, 6]]),
        (("Traffic  Cones", "jack-box"), [[1, 2, 3], [5, 6, 7]]),
        (("fox", "fox", "box"), [[1], [3]]),
    ],
)
def test_which_tokens_are_whose(nouns: tuple[str, ...], own: list[list[int]]) -> None:
    phrases = read_phrases(make_tokenizer(), nouns)
    assert [np.flatnonzero(mask).tolist() for mask in phrases.own] == own


@pytest.mark.parametrize(
    ("scores", "noun"),
    [
        pytest.param([0, 0.6, 0, 0.5, 0.1, 0, 0], 0, id="both words at once: the surer"),
        pytest.param([0, 0.5, 0, 0.1, 0.6, 0, 0], 1, id="the last word alone"),
        pytest.param([0, 0.5, 0.9, 0.6, 0.1, 0.9, 0], 1, id="stops are nobody's"),
        pytest.param([0, 0.6, 0, 0.6, 0.2, 0, 0], 0, id="a tie: the noun with more of its words"),
        pytest.param([0, 0.6, 0, 0.6, 0.6, 0, 0], 0, id="a full tie: the first"),
    ],
)
def test_scores_of_nouns(scores: list[float], noun: int) -> None:
    phrases = read_phrases(make_tokenizer(), ("cat", "traffic cone"))
    values = noun_scores(np.array([scores], np.float32), phrases)
    assert values.shape == (1, 2) and values[0].argmax() == noun


@pytest.mark.parametrize(
    ("noun", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("fox.", "cannot be looked for"),
        ("fox? box", "cannot be looked for"),
        ("[SEP]", "cannot be looked for"),
        ("fox\x00", "cannot be looked for"),
        ("fox " * 40, "cannot be looked for"),
        ("🦊", "cannot be looked for"),
        ("dragon", "no word for 'dragon'; it knows only "),
    ],
)
def test_nouns_that_cannot_be_looked_for(detector: GroundingDinoDetector, noun: str, words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        detector.detect(pictures(1), (noun, "box"))


def test_plain() -> None:
    assert plain(" Traffic\n CONE ") == "traffic cone"
    assert plain("child’s jack-in-the-box") == "child’s jack-in-the-box"


def test_out_of_memory_takes_smaller_batches(detector: GroundingDinoDetector, monkeypatch) -> None:
    real, sizes = GroundingDinoDetector.scores, []

    def scores(self, frames, phrases):
        sizes.append(len(frames))
        if len(frames) > 1:
            raise torch.OutOfMemoryError("too big")
        return real(self, frames, phrases)

    monkeypatch.setattr(GroundingDinoDetector, "scores", scores)
    assert len(list(detector.detect(pictures(3), ("fox", "box")))) == 3
    assert sizes == [2, 1, 1, 1]


def test_half_precision_sums() -> None:
    whole, half = (
        GroundingDinoDetector(make_model(), make_processor(), "cpu", dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )
    phrases = read_phrases(make_tokenizer(), ("fox", "box"))
    (scores, _), (rough, boxes) = (each.scores(pictures(), phrases) for each in (whole, half))
    # The queries come in another order where two are nearly as good, so only their scores are compared.
    assert rough.dtype == np.float32 and boxes.dtype == np.float64 and np.isfinite(boxes).all()
    assert np.median(np.abs(np.sort(rough.max(-1)) - np.sort(scores.max(-1)))) < 0.02
