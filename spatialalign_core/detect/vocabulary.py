"""What a detector on disk has words for, without loading it: enough to refuse a prompt before anything works."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .loading import BUNDLED_DETECTORS
from .phrases import check_nouns


def check_words(place: str | Path, nouns: Iterable[str]) -> None:
    """SpatialAlignError that names the nouns for which the detector of that name or folder has no word.

    Only of a folder in transformers' layout, whose words stand in its tokenizer.json; of others nothing is said here.
    """
    folder = BUNDLED_DETECTORS.get(str(place), Path(place))
    file = folder / "tokenizer.json"
    if file.is_file():
        check_nouns(_Tokenizer(file), nouns)


class _Tokenizer:
    """The little of transformers' tokenizer that `check_nouns` asks for, without its import of some seconds."""

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file))
        self.unk_token_id = self._tokenizer.token_to_id("[UNK]")

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": self._tokenizer.encode(text).ids}

    def get_vocab(self) -> dict[str, Any]:
        return dict(self._tokenizer.get_vocab())
