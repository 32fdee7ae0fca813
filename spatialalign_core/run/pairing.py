"""The pairs stage: the pairs that were chosen, written with what training needs."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ..errors import SpatialAlignError
from ..files import fingerprint, last_step
from ..pairs import PairSelection, PairSettings, export_pairs, load_pairs
from ..progress import Progress
from ..prompts import Combination, DsrPrompt
from .choosing import BASE_VIDEOS, Sources, choose
from .encoders import Encoder
from .kept_latents import kept_latents
from .layout import RunLayout
from .samples import COLLECTED, DROPPED, ENCODED, latent_shape, load_latents, sample_metadata


def pairs_stage(
    layout: RunLayout,
    encoder: Encoder,
    prompts: Sequence[DsrPrompt],
    settings: PairSettings,
    kept_apart: Collection[Combination],
    sources: Sources = BASE_VIDEOS,
    folder: Path | None = None,
) -> Iterator[Progress]:
    """The folder pairs/, or another; see `Run.export_pairs`.

    kept_apart: what no text may tell of unless its prompt does. sources: whose videos.
    """
    folder = folder or layout.pairs_folder
    choice = choose(layout, prompts, settings, kept_apart, sources)
    selection = choice.selection
    used = sorted(
        {(pair.prompt_id, seed) for pair in selection.pairs for seed in (pair.winner_seed, pair.loser_seed)}
    )
    total = len(selection.pairs)
    videos = {key: layout.video_path(choice.rows[key].set, *key) for key in used}
    for key, video in videos.items():  # all of it before the first text or video is encoded
        _check_scored(video, choice.rows[key].video)
    # What was decided by hand is part of what the pairs are, also where it changes none of them.
    by_hand = [choice.rulings] if choice.rulings else []

    def made_from() -> str:
        origins = [(*key, _checked_origin(layout, encoder, video)) for key, video in videos.items()]
        return fingerprint([settings, selection.pairs, origins, prompts, *by_hand])

    print_ = made_from()
    if not _are_exported(folder, selection, print_):
        again = 0
        for key, video in videos.items():
            if encoder.knows(video) or _kept(layout, encoder, video):
                continue
            yield Progress("pairs", 0, total, f"latents of {key[0]}, seed {key[1]}")
            warning = encoder.encode_video(video)
            again += ENCODED in sample_metadata(video)
            if warning:
                yield Progress("pairs", 0, total, warning, warning=True)
        if again:
            text = (
                f"The latents of {again} videos had been deleted to free room; their pictures were encoded again, "
                "which comes close to the latents that they were made of."
            )
            yield Progress("pairs", 0, total, text, warning=True)
        print_ = made_from()

        def latents_of(prompt_id: str, seed: int) -> Mapping[str, Tensor]:
            video = videos[prompt_id, seed]
            return _kept(layout, encoder, video) or load_latents(video)

        _check_sizes({video: _shape(layout, encoder, video) for video in videos.values()})
        yield Progress("pairs", 0, total, "encoding the prompts and copying the latents")
        ids = {pair.text_id for pair in selection.pairs}
        encoded = encoder.encode_texts({text.id: text.text for text in choice.texts if text.id in ids})
        with last_step(f"Videos and scores are kept in {layout.folder}. Export the pairs again to go on."):
            export_pairs(
                folder,
                selection,
                choice.texts,
                latents_of,
                encoded,
                print_,
                encoder.fingerprint,
            )
    yield Progress("pairs", total, total, selection.explanation, path=folder)


def _check_scored(video: Path, scored: str) -> None:
    if sample_metadata(video).get("video") != scored:
        raise SpatialAlignError(
            f"{video} has changed since it was scored; generate, detect and score again, only what changed is made."
        )


def _checked_origin(layout: RunLayout, encoder: Encoder, video: Path) -> str | None:
    """What stands for the latents that the pairs get of a sample."""
    metadata = sample_metadata(video)
    encoded = f"-{ENCODED}" if ENCODED in metadata else ""
    if metadata.get("origin") == COLLECTED:
        # The videos stay what they are when another model learns from them; their latents do not.
        return f"{metadata.get('fingerprint')}-{encoder.fingerprint}{encoded}"
    if metadata.get("model") != encoder.fingerprint:
        raise SpatialAlignError(
            f"The videos in {layout.folder} were made by another model than {encoder.name}; choose the model "
            "they were made with, or generate them again."
        )
    print_ = metadata.get("fingerprint")
    return f"{print_}{encoded}" if encoded else print_


def _kept(layout: RunLayout, encoder: Encoder, video: Path) -> dict[str, Tensor] | None:
    """Latents of the model that were deleted beside the video, where an export still has them."""
    metadata = sample_metadata(video)
    if not metadata.get(DROPPED) or metadata.get("model") != encoder.fingerprint:
        return None
    return kept_latents(layout, video)


def _shape(layout: RunLayout, encoder: Encoder, video: Path) -> tuple[int, ...]:
    kept = _kept(layout, encoder, video)
    return tuple(kept["latents"].shape) if kept else latent_shape(video)


def _check_sizes(shapes: Mapping[Path, tuple[int, ...]]) -> None:
    """Training takes videos of one size. SpatialAlignError that names two of different ones."""
    first: tuple[Path, tuple[int, ...]] | None = None
    for video, shape in shapes.items():
        if first is None:
            first = video, shape
        elif shape != first[1]:
            raise SpatialAlignError(
                f"{first[0]} and {video} differ in size or length, and training takes videos of one size; delete those "
                "of the other size, or collect them into another run_folder."
            )


def _are_exported(folder: Path, selection: PairSelection, print_: str) -> bool:
    with contextlib.suppress(SpatialAlignError):
        pairs = load_pairs(folder)
        pairs.check()
        return pairs.fingerprint == print_ and tuple(pairs.pairs) == tuple(selection.pairs)
    return False
