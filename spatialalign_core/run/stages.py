"""The stages on a run folder: each makes what is missing, outdated or damaged, and yields `Progress` as it goes.

They expect that nobody else writes into the folder; `run.Run` sees to that.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from ..detect.base import Detector, MaskTracker, origin
from ..detect.validity import DetectionRule
from ..errors import SpatialAlignError
from ..evaluate import Evaluation, evaluate
from ..files import check_folder, fingerprint, last_step
from ..generate import Job
from ..models.base import GenerateSettings, VideoModel
from ..plan import USUAL, GenerateOptions, plan_generation
from ..progress import SECONDS_LEFT, Progress
from ..prompts import DsrPrompt
from ..report import write_report
from ..score import GOOD, Score, accuracy_at, obey_share, score_tracks
from ..tracks import Track, read_track, track_fingerprint
from ..train.lora import apply_lora, lora_digest, lora_doubt, remove_lora
from .checks import check_videos, check_words
from .estimate import duration, gibibytes, machine_speed, videos_cost
from .finding import Finding, find
from .layout import ALIGNED, BASE, RunLayout
from .ray_workers import RayWorkers, detect_with_ray, generate_with_ray
from .samples import is_collected, sample_state, video_digest
from .scores import ScoreRow, read_scores, write_scores
from .worker import Wanted, generate_in_workers, make_batches, spare_workers, worth_workers


def generate_stage(
    layout: RunLayout,
    model: VideoModel,
    prompts: Sequence[DsrPrompt],
    seeds: int,
    set: str,
    settings: GenerateSettings,
    batch_size: int,
    lora: Path | None,
    strength: float,
    workers: int | RayWorkers | None,
    options: GenerateOptions = USUAL,
    first: int = 0,
) -> Iterator[Progress]:
    """Samples of `seeds` seeds from `first` on; see `Run.generate`."""
    if seeds < 1 or batch_size < 1:
        raise SpatialAlignError(f"seeds and batch size must be at least 1, got {seeds} and {batch_size}.")
    if lora is not None and not lora.is_file():
        raise SpatialAlignError(f"There is no LoRA {lora} yet; train one first, or choose another.")
    adapter = None if lora is None else [lora_digest(lora), strength]
    origin = fingerprint([model.fingerprint, settings, adapter])
    wanted: list[Wanted] = []
    damaged: list[Path] = []
    outdated = 0
    for prompt in prompts:
        for seed in range(first, first + seeds):
            job = Job(prompt.id, prompt.text, seed)
            video = layout.video_path(set, prompt.id, seed)
            print_ = fingerprint([origin, job])
            state = sample_state(video, print_)
            if state == "other" and is_collected(video):
                raise SpatialAlignError(
                    f"{video} was collected from another workflow and is not overwritten; choose another run_folder."
                )
            wanted.append(Wanted(job, video, print_, make=state != "whole"))
            outdated += state == "other"
            if state == "damaged":
                damaged.append(video)
    total = len(wanted)
    missing = sum(item.make for item in wanted)
    done = total - missing
    check_videos(layout.folder / "samples", model, [item.job for item in wanted], settings, missing, lora)
    at_once = batch_size
    if done < total and not isinstance(workers, RayWorkers):
        # a card that is too small for a batch makes fewer at once
        at_once = plan_generation(model, settings, batch_size, options).batch_size
    if lora is not None and (doubt := lora_doubt(lora)):
        yield Progress("generate", done, total, doubt, warning=True)
    for video in damaged:
        text = f"{video} or its latents are damaged or incomplete; the video is made again."
        yield Progress("generate", done, total, text, warning=True)
    if outdated:
        text = f"{outdated} videos were made with other settings, another LoRA or model; they are made again."
        yield Progress("generate", done, total, text, warning=True)
    yield Progress("generate", done, total, f"{done} of {total} videos are there already" if done else "")
    if missing:
        cost = videos_cost(model, settings, missing, machine_speed(model.device, model.dtype))
        text = f"{missing} videos, about {duration(cost.seconds)} and {gibibytes(cost.files)} on disk (estimated)"
        yield Progress("generate", done, total, text, values={SECONDS_LEFT: cost.seconds})
    # Whole batches even where only a part is missing, so that a video never depends on when it was made.
    batches = [wanted[start : start + batch_size] for start in range(0, total, batch_size)]
    batches = [batch for batch in batches if any(item.make for item in batch)]
    for item in _generated(model, batches, settings, lora, strength, workers, options):
        if item is None:
            yield Progress("generate", done, total, at_once=at_once)
        else:
            done += 1
            text = f"{item.job.prompt_id}, seed {item.job.seed}"
            yield Progress("generate", done, total, text, path=item.video, at_once=at_once)


def _generated(
    model: VideoModel,
    batches: Sequence[Sequence[Wanted]],
    settings: GenerateSettings,
    lora: Path | None,
    strength: float,
    workers: int | RayWorkers | None,
    options: GenerateOptions,
) -> Iterator[Wanted | None]:
    if not batches:
        return
    if isinstance(workers, RayWorkers):
        yield from generate_with_ray(model, batches, settings, lora, strength, workers, options)
        return
    how = (settings, lora, strength, options)
    count = min(len(batches), workers or spare_workers(model)) if model.device.type == "cpu" else 1
    if count > 1 and not workers:
        begun = time.monotonic()
        yield from _generated_here(model, batches[:1], *how)
        batches = batches[1:]
        left = (time.monotonic() - begun) * len(batches)
        count = min(len(batches), count) if worth_workers(left, count) else 1
    if count > 1:
        yield from generate_in_workers(model, batches, settings, lora, strength, count, options)
    else:
        yield from _generated_here(model, batches, *how)


def _generated_here(
    model: VideoModel,
    batches: Sequence[Sequence[Wanted]],
    settings: GenerateSettings,
    lora: Path | None,
    strength: float,
    options: GenerateOptions,
) -> Iterator[Wanted | None]:
    remove_lora(model)
    try:
        if lora is not None:
            apply_lora(model, lora, strength)
        yield from make_batches(model, batches, settings, options)
    finally:
        remove_lora(model)


def detect_stage(
    layout: RunLayout,
    detector: Detector,
    prompts: Mapping[str, DsrPrompt],
    set: str,
    split: str | None,
    rule: DetectionRule,
    seeds: int | None,
    keep_masks: bool,
    mask_tracker: MaskTracker | None,
    workers: RayWorkers | None = None,
) -> Iterator[Progress]:
    """Tracks of all videos of the set; see `Run.detect`."""
    keys = layout.samples(set, split, seeds)
    if not keys:
        raise SpatialAlignError(f"There are no {set} videos in {layout.folder} yet; generate them first.")
    check_words(detector, [prompts[key.prompt_id] for key in keys])
    check_folder(layout.folder / "tracks", "the tracks")
    how = fingerprint([origin(detector), rule, keep_masks, origin(mask_tracker)])
    jobs: list[Finding] = []
    done = 0
    for key in keys:
        prompt = prompts[key.prompt_id]
        video = layout.video_path(set, key.prompt_id, key.seed)
        path = layout.track_path(set, key.prompt_id, key.seed)
        print_ = f"{_origin(video, prompt)}-{how}"
        readable = track_fingerprint(path) is not None and _reads(path)
        if readable and track_fingerprint(path) == print_:
            done += 1
            yield Progress("detect", done, len(keys))
            continue
        if path.exists() and not readable:
            yield Progress("detect", done, len(keys), f"{path} is damaged; it is made again.", warning=True)
        label = f"{key.prompt_id}, seed {key.seed}"
        jobs.append(Finding(video, path, prompt.subject, prompt.object, print_, label))
    if workers is None:
        outcomes: Iterator[tuple[Finding, str | None] | None] = (
            (job, find(job, detector, rule, keep_masks, mask_tracker)) for job in jobs
        )
    else:
        outcomes = detect_with_ray(jobs, detector, rule, keep_masks, mask_tracker, workers)
    for outcome in outcomes:
        if outcome is None:
            yield Progress("detect", done, len(keys))
            continue
        job, warning = outcome
        if warning:
            yield Progress("detect", done, len(keys), warning, warning=True)
        done += 1
        yield Progress("detect", done, len(keys), job.label, path=job.path)


def score_stage(
    layout: RunLayout, prompts: Mapping[str, DsrPrompt], set: str, split: str | None, seeds: int | None
) -> Iterator[Progress]:
    """Rows of scores.csv for the set and these prompts; see `Run.score`."""
    keys = layout.samples(set, split, seeds)
    videos = [layout.video_path(set, key.prompt_id, key.seed) for key in keys]
    tracks: list[Track | None] = []
    for done, (key, video) in enumerate(zip(keys, videos, strict=True)):
        path = layout.track_path(set, key.prompt_id, key.seed)
        known = track_fingerprint(path) or ""
        fresh = known.split("-")[0] == _origin(video, prompts[key.prompt_id]) and _reads(path)
        tracks.append(read_track(path) if fresh else None)
        yield Progress("score", done, len(keys))
    rows = [
        (key, video, track)
        for key, video, track in zip(keys, videos, tracks, strict=True)
        if track is not None
    ]
    if not rows:
        raise SpatialAlignError(f"There are no up-to-date {set} tracks in {layout.folder}; run detect first.")
    if len(rows) < len(keys):
        text = f"{len(keys) - len(rows)} videos have no up-to-date track and are left out; run detect again."
        yield Progress("score", len(rows), len(keys), text, warning=True)
    scores = score_tracks(
        [track for _, _, track in rows], [prompts[key.prompt_id].change for key, _, _ in rows]
    )
    scored = [
        ScoreRow(set, key.prompt_id, key.seed, score, video_digest(video) or "")
        for (key, video, _), score in zip(rows, scores, strict=True)
    ]
    before: list[ScoreRow] = []
    if layout.scores_file.exists():
        try:
            before = read_scores(layout.scores_file)
        except SpatialAlignError:
            text = f"{layout.scores_file} is damaged and is made again; score the other sets again too."
            yield Progress("score", len(rows), len(keys), text, warning=True)
    kept = [row for row in before if row.set != set or row.prompt_id not in prompts]
    write_scores(layout.scores_file, kept + scored)
    yield Progress("score", len(keys), len(keys), _summary(scores), path=layout.scores_file)


def evaluate_stage(
    layout: RunLayout,
    tau: float,
    split: str | None,
    seeds: int | None,
    bootstrap: int,
    settings: Mapping[str, object],
) -> Iterator[Progress]:
    """report.html and report.json; see `Run.evaluate`."""
    base, aligned = (layout.scored_samples(set, split, seeds) for set in (BASE, ALIGNED))
    yield Progress("evaluate", 0, 2, f"{len(base)} base videos and {len(aligned)} with LoRA")
    evaluation = evaluate(base, aligned, tau, bootstrap)
    gone = [each.video for each in (*base, *aligned) if each.video and not each.video.exists()]
    if gone:
        text = (
            f"Videos are gone ({len(gone)}, first {gone[0]}); their scores count, and the report shows what is left. "
            "Generate them again to see them."
        )
        yield Progress("evaluate", 0, 2, text, warning=True)
    yield Progress("evaluate", 1, 2, "writing the report")
    log = layout.training_log() or None
    rounds = [asdict(each) for each in layout.finished_rounds()]
    with last_step(f"The result: {_verdict(evaluation)}. The scores are kept in {layout.scores_file}."):
        write_report(
            layout.report_html, layout.report_json, evaluation, base, aligned, log, dict(settings), rounds
        )
    yield Progress("evaluate", 2, 2, _verdict(evaluation), path=layout.report_html)


def _origin(video: Path, prompt: DsrPrompt) -> str:
    """What a track is made from: the video's content, so that a track never outlives its video, and the nouns."""
    return fingerprint([video_digest(video), prompt.subject, prompt.object])


def _reads(path: Path) -> bool:
    with contextlib.suppress(SpatialAlignError):
        read_track(path)
        return True
    return False


def _summary(scores: Sequence[Score]) -> str:
    invalid = sum(not score.valid for score in scores)
    return (
        f"{len(scores)} videos, {invalid} INVALID, accuracy@0.7 {accuracy_at(scores, GOOD):.3f}, share that obeys "
        f"{obey_share(scores):.3f}"
    )


def _verdict(evaluation: Evaluation) -> str:
    accuracy, obey = evaluation.accuracy, evaluation.obey
    change = obey.difference
    return (
        f"share that obeys: {obey.base.value:.3f} base, {obey.aligned.value:.3f} with LoRA "
        f"({change.value:+.3f}, 95 % interval {change.low:+.3f} to {change.high:+.3f}); accuracy@{evaluation.tau:g}: "
        f"{accuracy.base.value:.3f} base, {accuracy.aligned.value:.3f} with LoRA"
    )
