"""Generation and detection by many workers on many machines, through Ray.

One worker a card (or a core, without cards), each with its own copy of the model. Workers get whole batches and write
what they make into the run folder, which must lie on storage that all machines see under the same path; nothing but
file names travels. Batches are fixed before they are handed out, so what is made does not depend on who makes it. When
a worker dies, its batch goes to another.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ..detect.base import Detector, MaskTracker, origin
from ..detect.loading import load_detector, load_mask_tracker
from ..detect.validity import DetectionRule
from ..errors import SpatialAlignError
from ..models.base import GenerateSettings, VideoModel
from ..plan import USUAL, GenerateOptions
from .finding import Finding, find
from .worker import Wanted, make_batches, prepare, recipe

_ROOT = Path(__file__).resolve().parents[2]
_HEARTBEAT = 0.5  # seconds without news after which the driver may look whether it should stop
_ATTEMPTS = 3
_Job = TypeVar("_Job")


@dataclass(frozen=True)
class RayWorkers:
    """Work is handed to Ray.

    count: how many workers, None for one a card of the cluster, or one a core where there are no cards. detector,
    mask_tracker: what each worker loads by that name, the same that detection was asked for with.
    """

    count: int | None = None
    detector: str = "pocket"
    mask_tracker: str | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise SpatialAlignError(f"At least 1 worker is needed, not {self.count}.")


def workers_of(text: str) -> int | RayWorkers:
    """What "4", "ray" and "ray:16" mean. SpatialAlignError for anything else."""
    kind, _, number = text.partition(":")
    if kind == "ray" and (number.isdecimal() or text == "ray"):
        return RayWorkers(int(number) if number else None)
    if text.isdecimal():
        return int(text)
    raise SpatialAlignError(f"{text!r} says no number of workers; write a number, ray, or ray:16.")


def generate_with_ray(
    model: VideoModel,
    batches: Sequence[Sequence[Wanted]],
    settings: GenerateSettings,
    lora: Path | None,
    strength: float,
    workers: RayWorkers,
    options: GenerateOptions = USUAL,
) -> Iterator[Wanted | None]:
    """As `worker.generate_in_workers`. SpatialAlignError when a batch fails again and again, or Ray is missing."""
    plan = recipe(model, settings, lora, strength, options)
    waiting = {str(wanted.video): wanted for batch in batches for wanted in batch if wanted.make}
    for outcome in handed_out(GenerateWorker, (plan, model.fingerprint), list(batches), workers):
        if outcome is None:
            yield None
        else:
            yield from (waiting.pop(video) for video in outcome[1])


def detect_with_ray(
    jobs: Sequence[Finding],
    detector: Detector,
    rule: DetectionRule,
    keep_masks: bool,
    mask_tracker: MaskTracker | None,
    workers: RayWorkers,
) -> Iterator[tuple[Finding, str | None] | None]:
    """Each job with its warning, as `finding.find` gives it; None now and then. Errors as `generate_with_ray`."""
    names = workers.detector, workers.mask_tracker
    start = (names, rule, keep_masks, [origin(detector), origin(mask_tracker)])
    yield from handed_out(DetectWorker, start, jobs, workers)


class GenerateWorker:
    """Makes batches of videos, in a process of its own."""

    def __init__(self, plan: Mapping[str, Any], model: str) -> None:
        self.model, self.settings, self.options = prepare(plan, None)
        if self.model.fingerprint != model:
            raise SpatialAlignError(
                f"The model in {self.model.folder} on this machine is another one; copy the same to all machines."
            )
        self.states: dict[str, Tensor] = {}

    def work(self, batch: Sequence[Wanted]) -> list[str]:
        """The videos that were made."""
        made = make_batches(self.model, [batch], self.settings, self.options, self.states)
        return [str(wanted.video) for wanted in made if wanted is not None]


class DetectWorker:
    """Finds things in videos, in a process of its own."""

    def __init__(
        self,
        names: tuple[str, str | None],
        rule: DetectionRule,
        keep_masks: bool,
        expected: Sequence[str | None],
    ) -> None:
        detector, tracker = load_detector(names[0]), load_mask_tracker(names[1]) if names[1] else None
        if [origin(detector), origin(tracker)] != list(expected):
            raise SpatialAlignError(
                f"The detector {names[0]!r} on this machine is another one; copy the same to all machines."
            )
        self.how = (detector, rule, keep_masks, tracker)

    def work(self, job: Finding) -> str | None:
        """See `find`."""
        return find(job, *self.how)


def handed_out(
    kind: type, start: Sequence[Any], jobs: Sequence[_Job], workers: RayWorkers
) -> Iterator[tuple[_Job, Any] | None]:
    """Jobs with their results, in the order in which they are done; None where there is no news.

    kind: class of the workers, made with `start`; their `work` takes one job. A job whose worker dies goes to another,
    a few times. Closing the iterator ends the workers.
    """
    if not jobs:
        return
    ray = _connected()
    cards = int(ray.cluster_resources().get("GPU", 0))
    count = min(len(jobs), workers.count or cards or int(ray.cluster_resources().get("CPU", 1)))
    make = ray.remote(num_cpus=1, num_gpus=1 if cards else 0)(kind).remote
    waiting, tries = deque(enumerate(jobs)), [0] * len(jobs)
    idle = [make(*start) for _ in range(count)]
    busy: dict[Any, tuple[Any, int, _Job]] = {}
    try:
        while waiting or busy:
            while waiting and idle:
                worker, (number, job) = idle.pop(), waiting.popleft()
                busy[worker.work.remote(job)] = (worker, number, job)
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=_HEARTBEAT)
            if not ready:
                yield None
            for answer in ready:
                worker, number, job = busy.pop(answer)
                try:
                    result = ray.get(answer)
                except ray.exceptions.RayTaskError as error:
                    raise _told(error) from None
                except ray.exceptions.RayError as error:  # the worker, or its machine, is gone
                    refusal = _refusal(error)
                    if refusal is not None:
                        raise refusal from None
                    tries[number] += 1
                    if tries[number] == _ATTEMPTS:
                        raise SpatialAlignError(
                            f"Workers have died over the same work {_ATTEMPTS} times ({_first_line(error)}); most "
                            "often the memory is full. What is done is kept: run it again with a smaller batch."
                        ) from None
                    waiting.appendleft((number, job))
                    idle.append(make(*start))
                else:
                    idle.append(worker)
                    yield job, result
    finally:
        for worker in (*idle, *(worker for worker, _, _ in busy.values())):
            ray.kill(worker)


def _connected() -> Any:
    """Ray, on the cluster that RAY_ADDRESS or `ray start` has told of, or else on this machine alone."""
    try:
        import ray
    except ImportError:
        raise SpatialAlignError(
            "Workers on other machines need the package ray; install it with `python -m pip install ray`, or leave "
            "--workers ray out."
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(runtime_env=environment(), log_to_driver=False, logging_level="error")
        except Exception as error:  # Ray raises plain ones
            raise SpatialAlignError(
                f"Ray did not start, or its cluster does not answer: {_first_line(error)} Check RAY_ADDRESS and "
                "`ray status`, or leave --workers ray out."
            ) from error
    return ray


def environment() -> dict[str, Any]:
    """Ray's runtime environment: workers find the pack where it lies here; it need not be installed."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {"env_vars": {"PYTHONPATH": path}}


def _told(error: Exception) -> SpatialAlignError:
    """What a worker said, without Ray's traceback around it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, SpatialAlignError):
        return SpatialAlignError(str(cause))
    return SpatialAlignError(f"A worker failed: {_first_line(cause or error)}. What is done is kept.")


def _refusal(error: Exception) -> SpatialAlignError | None:
    """What a worker said that would not even begin; Ray tells it only as the last line of a traceback."""
    _, found, sentence = str(error).rpartition(f"{SpatialAlignError.__name__}: ")
    return SpatialAlignError(sentence.strip().splitlines()[0]) if found and sentence.strip() else None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
