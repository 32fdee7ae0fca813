"""The pocket GroundingDINO, untrained: configuration, tokenizer, processor, and weights that start in a good place."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    PreTrainedTokenizerFast,
    ResNetConfig,
)

from ..world import HEIGHT
from .pictures import NOUNS

SHORT_SIDE, LONG_SIDE = HEIGHT, 3 * HEIGHT
# GroundingDINO finds the ends of phrases by BERT's own numbers for these; ours must be the same.
_SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
_FIRST_WORD = 1030
_PLURALS = {"fox": "foxes", "box": "boxes"}
_OTHER_WORDS = ("a", "an", "the")
_VOCABULARY_SIZE = 1088
_LONGEST_TEXT = 64  # tokens
_BACKGROUND_LOGIT = -4.0


def plural(noun: str) -> str:
    """The plural that the tokenizer knows of one of the world's nouns."""
    return _PLURALS.get(noun, noun + "s")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-case tokenizer with one token for each noun and plural of the world; other words become [UNK]."""
    words = [f"[unused{index}]" for index in range(_VOCABULARY_SIZE)]
    for index, word in _SPECIAL.items():
        words[index] = word
    own = (*NOUNS, *(plural(noun) for noun in NOUNS), *_OTHER_WORDS)
    words[_FIRST_WORD : _FIRST_WORD + len(own)] = own
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=_LONGEST_TEXT,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def build_processor() -> GroundingDinoProcessor:
    """Pictures go in at the world's own height, text through the tokenizer above."""
    pictures = GroundingDinoImageProcessor(size={"shortest_edge": SHORT_SIDE, "longest_edge": LONG_SIDE})
    return GroundingDinoProcessor(image_processor=pictures, tokenizer=build_tokenizer())


def build_config() -> GroundingDinoConfig:
    """One feature level of stride 8, one encoder and two decoder layers, 16 queries: about 0.45 million weights."""
    return GroundingDinoConfig(
        backbone_config=ResNetConfig(
            embedding_size=24, hidden_sizes=[32, 64], depths=[1, 2], layer_type="basic", out_features=["stage2"]
        ),
        text_config=BertConfig(
            vocab_size=_VOCABULARY_SIZE, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=_LONGEST_TEXT, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0, pad_token_id=0,
        ),
        num_queries=16, num_feature_levels=1, d_model=64, max_text_len=_LONGEST_TEXT,
        encoder_layers=1, encoder_ffn_dim=128, encoder_attention_heads=4, encoder_n_points=4,
        decoder_layers=2, decoder_ffn_dim=128, decoder_attention_heads=4, decoder_n_points=4,
        dropout=0.0, fusion_droppath=0.0, two_stage=True,
    )  # fmt: skip


def build_model(seed: int) -> GroundingDinoForObjectDetection:
    """The untrained model. Its backbone's batch norms are live ones, for training; saved, they load as frozen ones."""
    torch.manual_seed(seed)
    model = GroundingDinoForObjectDetection(build_config())
    model.requires_grad_(True)
    _thaw(model.model.backbone.conv_encoder.model)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and "text_backbone" not in name and module.weight.abs().max() > 0:
            nn.init.xavier_uniform_(module.weight)
    inner = model.model
    # Logits are plain dot products of normalised vectors: without this they start at tens, and nothing is learned for
    # long. Opposite biases make "nothing here" the starting point.
    shift = (abs(_BACKGROUND_LOGIT) / inner.config.d_model) ** 0.5
    text_norm = inner.encoder.layers[-1].text_enhancer_layer.layer_norm_after
    nn.init.constant_(text_norm.weight, 0.25)
    nn.init.constant_(text_norm.bias, shift)
    for norm in (inner.enc_output_norm, inner.decoder.layer_norm):
        nn.init.constant_(norm.bias, -shift)
    # The first guess of a box is 0.05 of the picture; sprites are a fifth to a third.
    inner.encoder_output_bbox_embed.layers[-1].bias.data = torch.tensor([0.0, 0.0, 1.6, 2.2])
    return model


def _thaw(module: nn.Module) -> None:
    """Frozen batch norms become trainable ones."""
    for name, child in module.named_children():
        if type(child).__name__.endswith("FrozenBatchNorm2d"):
            setattr(module, name, nn.BatchNorm2d(child.weight.shape[0]))
        else:
            _thaw(child)
