"""Who turns texts and collected videos into what training needs: a model, or what it has left in the last export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ..errors import SpatialAlignError
from ..models.base import VideoModel
from ..pairs import NEGATIVE, PairData, load_pairs
from ..placement import at_work
from .collecting import complete_sample, is_complete


class Encoder(Protocol):
    """name, fingerprint: of the model."""

    name: str
    fingerprint: str

    def knows(self, video: Path) -> bool:
        """Whether the sample has latents of this model, or is none that could be given them."""
        ...

    def encode_video(self, video: Path) -> str | None:
        """Give a collected sample its latents; what is worth a warning, or None."""
        ...

    def encode_texts(self, texts: Mapping[str, str]) -> dict[str, Tensor]:
        """Text id -> embedding (L, D), and the negative prompt's under "" where there is one."""
        ...


class ModelEncoder:
    """The model itself."""

    def __init__(self, model: VideoModel) -> None:
        self.name, self.fingerprint, self._model = model.folder.name, model.fingerprint, model

    def knows(self, video: Path) -> bool:
        return is_complete(video, self.fingerprint)

    def encode_video(self, video: Path) -> str | None:
        with at_work(self._model, "vae"):
            return complete_sample(video, self._model)

    def encode_texts(self, texts: Mapping[str, str]) -> dict[str, Tensor]:
        wanted = {**texts, NEGATIVE: self._model.defaults.negative_prompt}
        with at_work(self._model, "text_encoder"):
            return {text_id: self._model.encode_text([text])[0].cpu() for text_id, text in wanted.items()}


class LastExport:
    """What was encoded for the pairs that are there: enough to export others of the same texts and videos.

    settings, prompts: how those pairs were chosen, and the ids of the prompts that were looked at.
    """

    def __init__(self, pairs: PairData) -> None:
        self.name, self.fingerprint, self._pairs = "that of the last export", pairs.model, pairs
        self.settings, self.prompts = pairs.settings, pairs.prompts

    def knows(self, video: Path) -> bool:
        return is_complete(video, self.fingerprint)

    def encode_video(self, video: Path) -> str | None:
        raise SpatialAlignError(f"{video} has not been encoded yet; {_QUEUE}")

    def encode_texts(self, texts: Mapping[str, str]) -> dict[str, Tensor]:
        pairs = self._pairs
        for text_id, text in texts.items():
            if pairs.texts.get(text_id) != text:
                raise SpatialAlignError(f"The sentence {text!r} has not been encoded yet; {_QUEUE}")
        negative = pairs.negative_text
        known = {text_id: pairs.text(text_id) for text_id in texts}
        return known if negative is None else {**known, NEGATIVE: negative}


def last_export(folder: Path) -> LastExport:
    """The encoder of a pairs folder. SpatialAlignError when it is missing, damaged or too old."""
    if not folder.exists():
        raise SpatialAlignError(f"There are no pairs in {folder.parent} yet; {_QUEUE}")
    pairs = load_pairs(folder)
    if not pairs.model:
        raise SpatialAlignError(f"{folder} does not say of which model it is; {_QUEUE}")
    return LastExport(pairs)


_QUEUE = "that takes the model: queue Export Pairs once more, or run `pairs`."
