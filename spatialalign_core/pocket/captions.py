"""What the pocket model reads: its vocabulary, its tokenizer, and the captions it is trained on."""

from __future__ import annotations

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ..relations import RelationChange
from .sprites import OBJECT_COLOURS, SCENE_COLOURS, SUBJECT_COLOURS

SUBJECTS: tuple[str, ...] = tuple(SUBJECT_COLOURS)
OBJECTS: tuple[str, ...] = tuple(OBJECT_COLOURS)
SCENES: tuple[str, ...] = tuple(SCENE_COLOURS)
VERBS: tuple[str, ...] = ("jumps", "hops", "leaps", "runs", "moves", "goes")
MAX_TOKENS = 40

_TEMPLATES: tuple[str, ...] = (
    "{scene}, a {subject} is {place} a {object}, then the {subject} {verb} {goal} the {object}.",
    "{scene}, a {subject} is {place} a {object}, then it {verb} {goal} the {object}.",
    "a {subject} is {place} a {object} {scene}, then it {verb} {goal} it.",
)
_TEMPLATE_SHARES = (0.7, 0.15, 0.15)
_OTHER_WORDS = "the a an is are and then it to of on in by at top left right over onto side . , ; - ' that"


def caption(
    subject: str, object: str, scene: str, change: RelationChange, truth: float, rng: np.random.Generator
) -> str:
    """One caption; with probability 1 - `truth` it tells the change backwards, its end first."""
    told = change if rng.random() < truth else RelationChange(change.final, change.initial)
    template = _TEMPLATES[rng.choice(len(_TEMPLATES), p=_TEMPLATE_SHARES)]
    return template.format(
        scene=scene,
        subject=subject,
        object=object,
        place=told.initial.place,
        goal=told.final.goal,
        verb=rng.choice(VERBS),
    )


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A lower-case word-level tokenizer over the world's words; other words become <unk>."""
    phrases = (*SUBJECTS, *OBJECTS, *SCENES, *VERBS, _OTHER_WORDS)
    words = dict.fromkeys(word for phrase in phrases for word in phrase.split())
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
    )
