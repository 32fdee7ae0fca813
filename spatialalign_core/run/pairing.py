"""The pairs stage: which videos of the run make pairs, and under which texts, written with what training needs."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import SpatialAlignError
from ..files import fingerprint
from ..models.base import VideoModel
from ..pair_choice import retold_id
from ..pairs import PairSelection, PairSettings, choose_pairs, export_pairs, load_pairs
from ..placement import at_work
from ..progress import Progress
from ..prompts import Combination, DsrPrompt, retell
from ..relations import CHANGES, RelationChange
from ..score import Score, score_tracks
from ..tracks import Track, read_track
from .collecting import complete_sample, is_complete
from .layout import BASE, RunLayout
from .samples import COLLECTED, latent_shape, load_latents, sample_metadata, video_digest
from .scores import ScoreRow, read_scores

Sources = Mapping[str, range | None]
"""The sets whose videos make pairs, and which seeds of each, None for all. No seed may be in two of them."""

BASE_VIDEOS: Sources = {BASE: None}


def pairs_stage(
    layout: RunLayout,
    model: VideoModel,
    prompts: Sequence[DsrPrompt],
    settings: PairSettings,
    kept_apart: Collection[Combination],
    sources: Sources = BASE_VIDEOS,
    folder: Path | None = None,
) -> Iterator[Progress]:
    """The folder pairs/, or another; see `Run.export_pairs`.

    kept_apart: what no text may tell of unless its prompt does.
    """
    folder = folder or layout.pairs_folder
    rows = _scored(layout, prompts, sources)
    selection, texts = _choose(layout, rows, prompts, settings, kept_apart)
    used = sorted(
        {(pair.prompt_id, seed) for pair in selection.pairs for seed in (pair.winner_seed, pair.loser_seed)}
    )
    total = len(selection.pairs)
    videos = {key: layout.video_path(rows[key].set, *key) for key in used}
    for key, video in videos.items():
        _check_scored(video, rows[key].video)
        if not is_complete(video, model):
            yield Progress("pairs", 0, total, f"latents of {key[0]}, seed {key[1]}")
            with at_work(model, "vae"):
                warning = complete_sample(video, model)
            if warning:
                yield Progress("pairs", 0, total, warning, warning=True)
    origins = [(*key, _checked_origin(layout, model, video)) for key, video in videos.items()]
    _check_sizes(list(videos.values()))
    print_ = fingerprint([settings, selection.pairs, origins, prompts])
    if not _are_exported(folder, selection, print_):
        yield Progress("pairs", 0, total, "encoding the prompts and copying the latents")
        export_pairs(
            folder,
            selection,
            texts,
            lambda prompt_id, seed: load_latents(videos[prompt_id, seed]),
            _embeddings(model, texts, selection),
            print_,
        )
    yield Progress("pairs", total, total, selection.explanation, path=folder)


def select_pairs(
    layout: RunLayout,
    prompts: Sequence[DsrPrompt],
    settings: PairSettings,
    kept_apart: Collection[Combination],
) -> PairSelection:
    """The pairs that `pairs_stage` would write."""
    return _choose(layout, _scored(layout, prompts, BASE_VIDEOS), prompts, settings, kept_apart)[0]


def _scored(
    layout: RunLayout, prompts: Sequence[DsrPrompt], sources: Sources
) -> dict[tuple[str, int], ScoreRow]:
    ids = {prompt.id for prompt in prompts}

    def belongs(row: ScoreRow) -> bool:
        seeds = sources.get(row.set)
        return row.set in sources and row.prompt_id in ids and (seeds is None or row.seed in seeds)

    return {(row.prompt_id, row.seed): row for row in read_scores(layout.scores_file) if belongs(row)}


def _choose(
    layout: RunLayout,
    rows: Mapping[tuple[str, int], ScoreRow],
    prompts: Sequence[DsrPrompt],
    settings: PairSettings,
    kept_apart: Collection[Combination],
) -> tuple[PairSelection, list[DsrPrompt]]:
    """The pairs, and every text that they may name, by text id."""
    texts = list(prompts)
    retold: dict[tuple[str, str], dict[int, Score]] = {}
    if settings.retell:
        tracks = {key: track for key in rows if (track := _current_track(layout, rows[key]))}
        for prompt in prompts:
            others = _retellings(prompt, kept_apart)
            texts += [replace(other, id=retold_id(prompt.id, other.change.code)) for other in others]
            retold |= _scores_under(prompt.id, [other.change for other in others], tracks)
    return choose_pairs({key: row.score for key, row in rows.items()}, settings, retold), texts


def _retellings(prompt: DsrPrompt, kept_apart: Collection[Combination]) -> list[DsrPrompt]:
    """The prompt told of every other change that is not kept apart."""
    changes = [
        change
        for change in CHANGES
        if change != prompt.change and (prompt.subject, prompt.object, change) not in kept_apart
    ]
    return [other for change in changes if (other := retell(prompt, change)) is not None]


def _current_track(layout: RunLayout, row: ScoreRow) -> Track | None:
    """The track of the video that was scored; None when it is missing, damaged or of another video."""
    key = row.set, row.prompt_id, row.seed
    if video_digest(layout.video_path(*key)) != row.video:
        return None
    with contextlib.suppress(SpatialAlignError):
        return read_track(layout.track_path(*key))
    return None


def _scores_under(
    prompt_id: str, changes: Sequence[RelationChange], tracks: Mapping[tuple[str, int], Track]
) -> dict[tuple[str, str], dict[int, Score]]:
    """(prompt id, change code) -> seed -> score of that prompt's videos under each change."""
    seeds = [seed for other, seed in tracks if other == prompt_id]
    own = [tracks[prompt_id, seed] for seed in seeds]
    return {
        (prompt_id, change.code): dict(zip(seeds, score_tracks(own, [change] * len(own)), strict=True))
        for change in changes
    }


def _check_scored(video: Path, scored: str) -> None:
    if sample_metadata(video).get("video") != scored:
        raise SpatialAlignError(
            f"{video} has changed since it was scored; generate, detect and score again, only what changed is made."
        )


def _checked_origin(layout: RunLayout, model: VideoModel, video: Path) -> str | None:
    """The sample's fingerprint, when its latents are the model's."""
    metadata = sample_metadata(video)
    if metadata.get("model") != model.fingerprint:
        raise SpatialAlignError(
            f"The videos in {layout.folder} were made by another model than {model.folder.name}; choose the model "
            "they were made with, or generate them again."
        )
    print_ = metadata.get("fingerprint")
    # The videos stay what they are when another model learns from them; their latents do not.
    return f"{print_}-{model.fingerprint}" if metadata.get("origin") == COLLECTED else print_


def _check_sizes(videos: Sequence[Path]) -> None:
    """Training takes videos of one size. SpatialAlignError that names two of different ones."""
    first: tuple[Path, tuple[int, ...]] | None = None
    for video in videos:
        shape = latent_shape(video)
        if first is None:
            first = video, shape
        elif shape != first[1]:
            raise SpatialAlignError(
                f"{first[0]} and {video} differ in size or length, and training takes videos of one size; delete those "
                "of the other size, or collect them into another run folder."
            )


def _are_exported(folder: Path, selection: PairSelection, print_: str) -> bool:
    with contextlib.suppress(SpatialAlignError):
        pairs = load_pairs(folder)
        pairs.check()
        return pairs.fingerprint == print_ and tuple(pairs.pairs) == tuple(selection.pairs)
    return False


def _embeddings(
    model: VideoModel, prompts: Sequence[DsrPrompt], selection: PairSelection
) -> dict[str, torch.Tensor]:
    """By text id, and the negative prompt's under ""."""
    ids = {pair.text_id for pair in selection.pairs}
    texts = {prompt.id: prompt.text for prompt in prompts if prompt.id in ids}
    texts[""] = model.defaults.negative_prompt
    with at_work(model, "text_encoder"):
        return {text_id: model.encode_text([text])[0].cpu() for text_id, text in texts.items()}
