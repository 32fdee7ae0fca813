"""GroundingDINO in its authors' format: a `.pth` file, through the optional package groundingdino-py.

The package holds the architecture and the settings of the two published sizes; which of them a file is, its shapes
tell. A vocabulary is needed beside it (see `find_bert`), because the package would otherwise ask the hub for one.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..weight_files import read_weights, weights_fingerprint
from .base import Detection
from .bert_shim import VOCABULARY_FILES, local_bert
from .checkpoints import FileKind, recognise_shapes

BERT = "bert-base-uncased"
_CONFIGS = {"Swin-T": "GroundingDINO_SwinT_OGC", "Swin-B": "GroundingDINO_SwinB_cfg"}
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_SHORT_SIDE, _LONG_SIDE = 800, 1333  # of the picture that the model sees, as published


class OriginalGroundingDino:
    """A Detector over groundingdino-py's model.

    box_threshold: least probability of a box's best word. text_threshold: least mean probability of the words of a
    noun.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        device: str | torch.device = "cpu",
        box_threshold: float = 0.4,
        text_threshold: float = 0.3,
        batch_size: int = 1,
        short_side: int = _SHORT_SIDE,
        weights: str = "",
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint([name, weights, box_threshold, text_threshold, short_side])
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.box_threshold = box_threshold
        self.text_threshold = text_threshold
        self.batch_size = batch_size
        self.short_side = short_side

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        box_threshold: float = 0.4,
        text_threshold: float = 0.3,
        batch_size: int = 1,
        bert_places: Sequence[str | Path] = (),
    ) -> OriginalGroundingDino:
        """From a published checkpoint. bert_places: further folders to look for the vocabulary in.

        SpatialAlignError without the package or the vocabulary, and for a file that is no GroundingDINO.
        """
        file = Path(path)
        weights = read_weights(file)
        kind = recognise_shapes({key: tuple(value.shape) for key, value in weights.items()})
        if kind is None or kind.family != "grounding-dino":
            raise SpatialAlignError(f"{file} is not a GroundingDINO checkpoint; choose one, or its folder.")
        model = build(settings(kind, file), find_bert(file, bert_places))
        missing, _ = model.load_state_dict(weights, strict=False)
        # Buffers that newer transformers make themselves; everything else must be in the file.
        missing = [key for key in missing if not key.startswith("bert.embeddings.")]
        if missing:
            raise SpatialAlignError(
                f"{file} lacks {len(missing)} of the model's weights, {missing[0]} first; download it again."
            )
        found = weights_fingerprint(file)
        return cls(model, file.stem, device, box_threshold, text_threshold, batch_size, weights=found)

    def check_nouns(self, nouns: Sequence[str]) -> None:
        """See `Detector`."""
        for noun in (noun.strip().lower() for noun in nouns):
            _spans(self.model, f"{noun} .", (noun,))

    def detect(self, frames: NDArray[np.uint8], nouns: Sequence[str]) -> Iterator[list[Detection]]:
        """See `Detector`: frames uint8 RGB (F, H, W, 3), any English nouns."""
        asked = tuple(dict.fromkeys(noun.strip().lower() for noun in nouns))
        words = {noun.strip().lower(): noun for noun in nouns}
        caption = " . ".join(asked) + " ."
        spans = _spans(self.model, caption, asked)
        for start in range(0, len(frames), self.batch_size):
            batch = frames[start : start + self.batch_size]
            pictures = torch.stack([_picture(frame, self.short_side) for frame in batch]).to(self.device)
            with torch.no_grad(), _without_notices():
                output = self.model(pictures, captions=[caption] * len(batch))
            height, width = frames.shape[1:3]
            scale = np.array([width, height, width, height], dtype=np.float64)
            for logits, boxes in zip(output["pred_logits"], output["pred_boxes"], strict=True):
                scores = logits.sigmoid().float().cpu().numpy()
                yield [
                    Detection(words[asked[noun]], box, confidence)
                    for noun, box, confidence in self._found(
                        scores, boxes.double().cpu().numpy() * scale, spans
                    )
                ]

    def _found(
        self, scores: NDArray[np.float32], boxes: NDArray[np.float64], spans: Sequence[list[int]]
    ) -> Iterator[tuple[int, NDArray[np.float64], float]]:
        """(noun, xyxy box, confidence) of each query above both thresholds, the most confident first."""
        best = scores.max(1)
        of_noun = np.stack([scores[:, span].mean(1) for span in spans], axis=1)
        for query in np.argsort(-best, kind="stable"):
            noun = int(of_noun[query].argmax())
            if best[query] > self.box_threshold and of_noun[query, noun] > self.text_threshold:
                x, y, w, h = boxes[query]
                yield noun, np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]), float(best[query])


def find_bert(checkpoint: Path, places: Sequence[str | Path] = ()) -> Path:
    """The folder with BERT's vocabulary, looked for beside the checkpoint, one floor up and in `places`.

    In each of these a folder `bert-base-uncased` counts, the place itself, and any folder in transformers'
    grounding-dino layout, which has the same vocabulary. SpatialAlignError that says where to put it.
    """
    rooms = [checkpoint.parent, checkpoint.parent.parent, *(Path(place) for place in places)]
    for room in rooms:
        for folder in (room / BERT, room, *sorted(room.glob("*ground*dino*"))):
            if folder.is_dir() and any((folder / name).is_file() for name in VOCABULARY_FILES):
                return folder
    raise SpatialAlignError(
        f"{checkpoint.name} needs the vocabulary of {BERT}: put a folder {BERT} that holds vocab.txt or tokenizer.json "
        f"into {checkpoint.parent}, or into ComfyUI's models folder."
    )


def settings(kind: FileKind, file: Path) -> SimpleNamespace:
    """The package's own settings for one of the published sizes."""
    _package()
    try:
        room = importlib.import_module(f"groundingdino.config.{_CONFIGS[kind.variant]}")
    except (KeyError, ImportError):
        known = " and ".join(_CONFIGS)
        raise SpatialAlignError(
            f"{file} is a GroundingDINO of a size that is not known ({kind.variant}); known are {known}."
        ) from None
    values = {key: value for key, value in vars(room).items() if not key.startswith("_")}
    return SimpleNamespace(**values | {"use_checkpoint": False, "use_transformer_ckpt": False})


def build(args: SimpleNamespace, bert: Path) -> Any:
    """An untrained model of these settings. bert: folder for its text encoder's vocabulary and size."""
    models = _package()
    with local_bert(bert), _without_notices():
        return models.build_model(args).eval()


def _package() -> Any:
    try:
        with _without_notices():
            return importlib.import_module("groundingdino.models")
    except ImportError as error:
        raise SpatialAlignError(
            "GroundingDINO .pth files need the package groundingdino-py, which is not there "
            f"({error}). Install it with `pip install groundingdino-py` in ComfyUI's environment, or use a "
            "grounding-dino folder in transformers' layout, which needs no package."
        ) from error


def _spans(model: Any, caption: str, nouns: Sequence[str]) -> list[list[int]]:
    """Token positions of each noun in the caption, in which a full stop ends each."""
    ids = model.tokenizer(caption)["input_ids"]
    start, stop, dot = (model.specical_tokens[index] for index in (0, 1, 2))
    spans: list[list[int]] = [[]]
    for place, token in enumerate(ids):
        if token == dot:
            spans.append([])
        elif token not in (start, stop):
            spans[-1].append(place)
    if len(spans) != len(nouns) + 1 or not all(spans[:-1]):
        raise SpatialAlignError(
            f"The nouns {', '.join(map(repr, nouns))} cannot be asked for together; use words without full stops."
        )
    return spans[:-1]


def _picture(frame: NDArray[np.uint8], short_side: int) -> torch.Tensor:
    """(H, W, 3) uint8 -> (3, h, w) as the published evaluation feeds it."""
    height, width = frame.shape[:2]
    short, long = min(height, width), max(height, width)
    side = short_side
    if long / short * side > _LONG_SIDE * short_side / _SHORT_SIDE:
        side = round(_LONG_SIDE * short_side / _SHORT_SIDE * short / long)
    size = (side, int(side * height / width)) if width < height else (int(side * width / height), side)
    picture = Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_DEVIATION)[:, None, None]


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """The package prints and warns about its own insides, which is no news to an artist."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
