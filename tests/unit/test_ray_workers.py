"""Work handed out to many workers: what is asked of Ray, and, where Ray is installed, the same with Ray itself."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spatialalign_core.detect.loading import load_detector
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from spatialalign_core.prompts import build_prompts
from spatialalign_core.run import Run
from spatialalign_core.run.ray_workers import RayWorkers, environment, handed_out, workers_of
from tests.fragile import Fragile, Gone


class StandIn:
    """As much of Ray as is used, in this process; answers come in the reverse order of the questions."""

    def __init__(self, cards: int = 0) -> None:
        self.cards = cards
        self.alive: list[Any] = []
        self.started = 0
        self.answers: deque[Any] = deque()
        self.exceptions = SimpleNamespace(RayError=Gone, RayTaskError=SpatialAlignError)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 3.0, "GPU": float(self.cards)}

    def remote(self, **needs: Any) -> Any:
        assert needs["num_gpus"] == (1 if self.cards else 0)

        def class_of(kind: type) -> Any:
            def make(*start: Any) -> Any:
                self.started += 1
                inner = kind(*start)
                worker = SimpleNamespace(work=SimpleNamespace(remote=lambda job: (inner, job)))
                self.alive.append(worker)
                return worker

            return SimpleNamespace(remote=make)

        return class_of

    def wait(self, asked: list[Any], num_returns: int, timeout: float) -> tuple[list[Any], list[Any]]:
        return [asked[-1]], asked[:-1]

    def get(self, answer: Any) -> Any:
        inner, job = answer
        return inner.work(job)

    def kill(self, worker: Any) -> None:
        self.alive.remove(worker)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr("spatialalign_core.run.ray_workers._connected", lambda: stand_in)
    return stand_in


def done(
    jobs: list[int], marks: Path, workers: RayWorkers | None = None, real: bool = False
) -> dict[int, int]:
    answers = handed_out(Fragile, (marks, real), jobs, workers or RayWorkers())
    return dict(answer for answer in answers if answer is not None)


@pytest.mark.parametrize(
    ("cards", "workers", "jobs", "started"),
    [
        (0, RayWorkers(), [1, 2, 3, 4, 5], 3),
        (2, RayWorkers(), [1, 2, 3, 4, 5], 2),
        (2, RayWorkers(4), [1, 2, 3, 4, 5], 4),
        (0, RayWorkers(4), [1], 1),
        (0, RayWorkers(), [], 0),
        (0, RayWorkers(1), [6, 7, 8], 2),
    ],
)
def test_every_job_is_done_once(
    ray: StandIn, tmp_path: Path, cards: int, workers: RayWorkers, jobs: list[int], started: int
) -> None:
    ray.cards = cards
    assert done(jobs, tmp_path, workers) == {job: 2 * job for job in jobs}
    assert ray.started == started


@pytest.mark.parametrize(
    ("jobs", "words"),
    [([1, 13, 2], "Workers have died over the same work 3 times"), ([-1], "Negative numbers")],
)
def test_what_cannot_be_done_is_told(ray: StandIn, tmp_path: Path, jobs: list[int], words: str) -> None:
    with pytest.raises(SpatialAlignError, match=words):
        done(jobs, tmp_path)


def test_closing_ends_the_workers(ray: StandIn, tmp_path: Path) -> None:
    work = handed_out(Fragile, (tmp_path,), [1, 2, 3], RayWorkers())
    next(work)
    work.close()  # type: ignore[attr-defined]
    assert ray.alive == []


@pytest.mark.parametrize(("text", "meaning"), [("4", 4), ("ray", RayWorkers()), ("ray:16", RayWorkers(16))])
def test_what_workers_means(text: str, meaning: object) -> None:
    assert workers_of(text) == meaning


@pytest.mark.parametrize("text", ["", "many", "ray:", "ray:x", "ray:-1", "rays", "-3", "ray:0"])
def test_what_workers_does_not_mean(text: str) -> None:
    with pytest.raises(SpatialAlignError):
        workers_of(text)


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SpatialAlignError, match="pip install ray"):
        done([1], tmp_path)


@pytest.fixture(scope="module")
def real() -> Iterator[Any]:
    ray = pytest.importorskip(
        "ray", reason="Ray is not installed; these tests hand work to its real workers."
    )
    try:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            log_to_driver=False,
            logging_level="error",
            runtime_env=environment(),
        )
    except (
        Exception
    ) as error:  # it waits half a minute for its own processes, which a very busy machine may miss
        pytest.skip(f"Ray did not start here: {error}")
    yield ray
    ray.shutdown()


def test_a_killed_worker_loses_nothing(real: Any, tmp_path: Path) -> None:
    assert done([6, 7, 8], tmp_path, RayWorkers(2), real=True) == {6: 12, 7: 14, 8: 16}
    assert (tmp_path / "died").exists()


def test_work_that_always_kills_is_given_up(real: Any, tmp_path: Path) -> None:
    with pytest.raises(SpatialAlignError, match="died over the same work"):
        done([13], tmp_path, RayWorkers(1), real=True)


def test_videos_and_tracks_are_those_of_one_process(real: Any, tmp_path: Path, model_folder: Path) -> None:
    model, detector = load_video_model(model_folder, "cpu"), load_detector("sprites")
    runs = [Run(tmp_path / name) for name in ("one", "ray")]
    for run, workers in zip(runs, (None, RayWorkers(2, detector="sprites")), strict=True):
        run.write_prompts(build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=2, held_out_count=0))
        list(run.generate(model, 2, batch_size=2, workers=workers or 1))
        list(run.detect(detector, workers=workers))
        list(run.score())
    for kind in ("samples/**/*.mp4", "tracks/**/*.json", "scores.csv"):
        one, other = ({p.relative_to(r.folder): p.read_bytes() for p in r.folder.glob(kind)} for r in runs)
        assert one == other and one


def test_a_worker_with_another_detector_says_so(real: Any, tmp_path: Path, model_folder: Path) -> None:
    """It was told as a worker that died of too little memory."""
    model, run = load_video_model(model_folder, "cpu"), Run(tmp_path)
    run.write_prompts(build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=1, held_out_count=0))
    list(run.generate(model, 1, workers=1))
    with pytest.raises(SpatialAlignError, match="'pocket' on this machine is another one"):
        list(run.detect(load_detector("sprites"), workers=RayWorkers(1, detector="pocket")))
