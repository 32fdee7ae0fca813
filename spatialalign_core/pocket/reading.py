"""Teach the pocket text encoder to read, before it ever sees a picture.

Real video models stand on a text encoder that has read a great deal and is then left alone. Trained through the
picture's loss only, a small one learns which words occur and never their order: "left, then right" and "right, then
left" come out the same. So the encoder reads captions first, until every token's state tells the whole sentence: who,
beside what, where, from which relation to which.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase, UMT5EncoderModel

from ..relations import Relation, RelationChange
from .captions import MAX_TOKENS, OBJECTS, SCENES, SUBJECTS, caption

_RELATIONS = tuple(Relation)
_PART_SIZES = (len(SUBJECTS), len(OBJECTS), len(SCENES), len(_RELATIONS), len(_RELATIONS))


def teach_reading(
    text_encoder: UMT5EncoderModel,
    tokenizer: PreTrainedTokenizerBase,
    combinations: Sequence[tuple[str, str, RelationChange]],
    seed: int,
    steps: int = 600,
    batch: int = 64,
    learning_rate: float = 3e-3,
) -> float:
    """Train in place on true captions of `combinations`, then freeze; returns the last step's loss, in nats a part."""
    torch.manual_seed(seed)
    heads = nn.Linear(text_encoder.config.d_model, sum(_PART_SIZES))
    parameters = [*text_encoder.train().parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for step in range(steps):
        captions, parts = draw(combinations, batch, np.random.default_rng((seed, step)))
        loss = reading_loss(heads, *states(text_encoder, tokenizer, captions), parts)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
    text_encoder.eval().requires_grad_(False)
    return loss.item()


def draw(
    combinations: Sequence[tuple[str, str, RelationChange]], count: int, rng: np.random.Generator
) -> tuple[list[str], Tensor]:
    """`count` captions and what they tell: int64 (count, 5), the indices of subject, object, scene, first relation
    and last relation."""
    captions: list[str] = []
    parts: list[list[int]] = []
    for _ in range(count):
        subject, object, change = combinations[int(rng.integers(len(combinations)))]
        scene = SCENES[rng.integers(len(SCENES))]
        captions.append(caption(subject, object, scene, change, 1.0, rng))
        parts.append(
            [
                SUBJECTS.index(subject),
                OBJECTS.index(object),
                SCENES.index(scene),
                _RELATIONS.index(change.initial),
                _RELATIONS.index(change.final),
            ]
        )
    return captions, torch.tensor(parts)


def states(
    text_encoder: UMT5EncoderModel, tokenizer: PreTrainedTokenizerBase, captions: list[str]
) -> tuple[Tensor, Tensor]:
    """Token states (B, MAX_TOKENS, width) and mask (B, MAX_TOKENS), 1 for tokens and 0 for padding."""
    tokens = tokenizer(
        captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt"
    )
    return text_encoder(tokens.input_ids, tokens.attention_mask).last_hidden_state, tokens.attention_mask


def reading_loss(heads: nn.Linear, states: Tensor, mask: Tensor, parts: Tensor) -> Tensor:
    """Cross-entropy of every part of the sentence, told from every single token's state."""
    logits = heads(states[mask.bool()]).split(_PART_SIZES, dim=-1)
    wanted = parts.repeat_interleave(mask.sum(1), dim=0)
    return torch.stack(
        [nn.functional.cross_entropy(part, wanted[:, index]) for index, part in enumerate(logits)]
    ).mean()
