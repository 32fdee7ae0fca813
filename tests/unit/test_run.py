"""The run folder: the whole loop on the untrained pocket pipeline, repeated, damaged, interrupted and killed."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from spatialalign_core.detect.base import Detection
from spatialalign_core.detect.validity import DEFAULT as DEFAULT_RULE
from spatialalign_core.detect.validity import PUBLISHED
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.pairs import PairSettings, load_pairs
from spatialalign_core.pocket.captions import OBJECTS, SCENES, SUBJECTS, VERBS
from spatialalign_core.prompts import DsrPrompt, build_prompts, retell
from spatialalign_core.relations import RelationChange
from spatialalign_core.run import ALIGNED, BASE, Progress, Run
from spatialalign_core.run.lock import locked
from spatialalign_core.run.slimming import slim_parts, slim_run
from spatialalign_core.run.worker import make_batches, spare_workers, worth_workers
from spatialalign_core.train.settings import DEFAULT

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 4
TRAINING = replace(DEFAULT, steps=4, rank=2, alpha=2.0, pairs_per_step=2, warmup=0, checkpoint_every=2)


class RednessDetector:
    """Sees the subject walk from left to right in reddish clips, the other way in the rest: both kinds in any noise."""

    name = "redness"

    def detect(self, frames: np.ndarray, nouns: Sequence[str]) -> Iterator[list[Detection]]:
        subject, object = nouns
        means = frames.reshape(-1, 3).mean(0)
        way = 1 if means[0] >= means[1] else -1
        for place in np.linspace(-way, way, len(frames)):
            box = np.array([40 + 30 * place, 40, 50 + 30 * place, 50.0])
            yield [Detection(subject, box, 0.9), Detection(object, np.array([40, 40, 50, 50.0]), 0.9)]


def work(stage: Iterator[Progress]) -> list[Progress]:
    return list(stage)


def warnings_of(news: Sequence[Progress]) -> list[str]:
    return [item.message for item in news if item.warning]


def loop(run: Run, model: VideoModel, workers: int = 1) -> list[Progress]:
    """Every stage once, in order."""
    news = work(run.generate(model, SEEDS, batch_size=3, workers=workers))
    news += work(run.detect(RednessDetector()))
    news += work(run.score())
    news += work(run.export_pairs(model, PairSettings(threshold=0.5)))
    news += work(run.train(model, TRAINING))
    news += work(run.generate(model, SEEDS, "held_out", ALIGNED, batch_size=3, workers=workers))
    news += work(run.detect(RednessDetector(), ALIGNED, "held_out"))
    news += work(run.score(ALIGNED, "held_out"))
    return news + work(run.evaluate(bootstrap=50))


def prompts() -> list[DsrPrompt]:
    return build_prompts(SUBJECTS, OBJECTS, SCENES, VERBS, count=3, held_out_count=2)


def contents(folder: Path) -> dict[str, Any]:
    """Files by name: bytes, but tensors and metadata of safetensors, whose metadata has no fixed order in the file."""
    return {
        str(p.relative_to(folder)): _content(p)
        for p in folder.rglob("*")
        if p.is_file() and p.name not in (".lock", "work.json")
    }


def _content(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return path.read_bytes()
    with safe_open(path, framework="np") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def model(model_folder: Path) -> VideoModel:
    return load_video_model(model_folder, "cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: VideoModel) -> Path:
    """A run folder after the whole loop."""
    run = Run(tmp_path_factory.mktemp("run") / "finished")
    run.write_prompts(prompts())
    assert warnings_of(loop(run, model, workers=2)) == []
    return run.folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Run:
    """A copy of the finished run, to damage."""
    return Run(shutil.copytree(finished, tmp_path / "run"))


def test_loop_makes_every_artefact(finished: Path) -> None:
    run = Run(finished)
    assert len(run.samples(BASE)) == 5 * SEEDS
    assert len(run.samples(ALIGNED)) == 2 * SEEDS
    assert len(run.scores(BASE, "train")) == 3 * SEEDS
    assert [row["step"] for row in run.training_log()] == [1, 2, 3, 4]
    assert run.lora_path().is_file()
    assert "<html" in run.report_html.read_text(encoding="utf-8")
    summary = {"base", "aligned", "tau", "valid_base", "valid_aligned", "obey_base", "obey_aligned"}
    assert summary <= json.loads(run.report_json.read_text()).keys()


def test_same_noise_before_and_after(finished: Path) -> None:
    run = Run(finished)
    for key in run.samples(ALIGNED):
        before, after = (
            load_file(run.video_path(set, key.prompt_id, key.seed).with_suffix(".safetensors"))
            for set in (BASE, ALIGNED)
        )
        assert before["noise"].equal(after["noise"])
        assert not before["latents"].equal(after["latents"])


def test_second_time_makes_nothing(run: Run, model: VideoModel) -> None:
    made = {
        p: p.stat().st_mtime_ns
        for part in ("samples", "tracks", "pairs", "lora")
        for p in (run.folder / part).rglob("*.*")
    }
    assert warnings_of(loop(run, model)) == []
    assert {p: p.stat().st_mtime_ns for p in made} == made


@pytest.mark.parametrize("parts", [["unused"], ["unused", "training", "checkpoints"], ["training"]])
def test_freeing_room_leaves_everything_up_to_date(run: Run, model: VideoModel, parts: list[str]) -> None:
    """What is trained on has a copy in the pairs, the rest is never trained on."""
    freed = {part.name: part.bytes for part in slim_parts(run.folder)}
    assert all(freed.values())
    kept = {p: p.stat().st_mtime_ns for part in ("pairs", "lora") for p in (run.folder / part).glob("*.*")}
    assert slim_run(run.folder, parts) == pytest.approx(sum(freed[part] for part in parts), rel=0.2)
    assert [part.bytes for part in slim_parts(run.folder) if part.name in parts] == [0] * len(parts)
    assert warnings_of(loop(run, model)) == []
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    list(run.export_again())
    run.rule_pair(next(p.id for p in run.prompts("train")), 0, 1, True)
    if "training" in parts:
        with contextlib.suppress(SpatialAlignError):  # a pair whose latents are nowhere is refused by name
            list(run.export_again())
    list(run.export_pairs(model, PairSettings(threshold=0.5)))
    load_pairs(run.pairs_folder).check()


def test_latents_that_are_gone_are_encoded_again_and_the_noise_is_the_same(
    run: Run, model: VideoModel
) -> None:
    before = load_pairs(run.pairs_folder)
    pair = before.pairs[0]
    [training] = [part for part in slim_parts(run.folder) if part.name == "training"]
    assert training.copies > 0 and training.videos + training.copies == 3 * SEEDS and training.seconds is None
    slim_run(run.folder, ["training", "pairs"])
    [training] = [part for part in slim_parts(run.folder) if part.name == "training"]
    news = work(run.export_pairs(model, PairSettings(threshold=0.5)))
    [warning] = warnings_of(news)
    assert "had been deleted to free room; their pictures were encoded again" in warning
    after = load_pairs(run.pairs_folder)
    assert after.pairs == before.pairs and after.fingerprint != before.fingerprint
    assert after.noise(pair.prompt_id, pair.winner_seed).equal(before.noise(pair.prompt_id, pair.winner_seed))
    assert (
        after.latents(pair.prompt_id, pair.winner_seed).shape
        == before.latents(pair.prompt_id, pair.winner_seed).shape
    )
    assert warnings_of(work(run.export_pairs(model, PairSettings(threshold=0.5)))) == []
    work(run.train(model, TRAINING))
    [training] = [part for part in slim_parts(run.folder) if part.name == "training"]
    assert training.seconds is not None


def test_result_does_not_depend_on_workers(finished: Path, model: VideoModel, tmp_path: Path) -> None:
    run = Run(tmp_path / "one")
    run.write_prompts(prompts())
    work(run.generate(model, SEEDS, batch_size=3, workers=1))
    for key in run.samples():
        own, other = (
            load_file(each.video_path(*_parts(key)).with_suffix(".safetensors"))
            for each in (run, Run(finished))
        )
        assert own["latents"].equal(other["latents"])


def _parts(key: object) -> tuple[str, str, int]:
    return key.set, key.prompt_id, key.seed  # type: ignore[attr-defined]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _garble(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _garble, _empty, Path.unlink])
@pytest.mark.parametrize(
    "where",
    [
        "samples/base/*/1.mp4",
        "samples/base/*/1.safetensors",
        "tracks/base/*/1.json",
        "pairs/latents/*/*.safetensors",
        "pairs/text.safetensors",
        "pairs/train.jsonl",
        "lora/spatialalign.safetensors",
        "samples/aligned/*/0.mp4",
    ],
)
def test_damage_is_repaired(run: Run, model: VideoModel, where: str, damage: Callable[[Path], None]) -> None:
    before = contents(run.folder)
    path = sorted(run.folder.glob(where))[0]
    damage(path)
    loop(run, model)
    after = contents(run.folder)
    assert after[str(path.relative_to(run.folder))] == before[str(path.relative_to(run.folder))]
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed <= {"report.html", "report.json", "training.csv", "control/state.json"}, changed


def test_damage_is_told(run: Run, model: VideoModel) -> None:
    video = run.video_path(BASE, run.prompts()[0].id, 1)
    _cut(video.with_suffix(".safetensors"))
    [warning] = warnings_of(work(run.generate(model, SEEDS, batch_size=3, workers=1)))
    assert str(video) in warning and "made again" in warning


def test_unreadable_video_is_set_aside(run: Run) -> None:
    prompt = run.prompts()[0]
    video = run.video_path(BASE, prompt.id, 1)
    video.write_bytes(b"no video")
    [warning] = warnings_of(work(run.detect(RednessDetector())))
    assert str(video) in warning
    work(run.score())
    scores = run.scores()
    assert not scores[prompt.id, 1].valid and str(video) in (scores[prompt.id, 1].reason or "")
    assert len(scores) == 5 * SEEDS and sum(score.valid for score in scores.values()) == 5 * SEEDS - 1


def test_an_emptied_score_table_is_damage(run: Run) -> None:
    run.scores_file.write_bytes(b"")
    with pytest.raises(SpatialAlignError, match=r"is damaged \(it is empty\); delete it"):
        run.choose_pairs(PairSettings())
    [warning] = warnings_of(work(run.score()))
    assert "score the other sets again too" in warning and len(run.scores()) == 5 * SEEDS


@pytest.mark.parametrize(
    ("stage", "target", "words"),
    [
        (
            lambda run, model: run.evaluate(bootstrap=50),
            "report.html",
            "The result: share that obeys: 0.*scores.csv",
        ),
        (
            lambda run, model: run.export_pairs(model, PairSettings(threshold=0.4, min_margin=0.01)),
            "pairs",
            "Videos and scores are kept in",
        ),
    ],
)
def test_a_last_step_that_fails_says_what_is_done(
    run: Run, model: VideoModel, stage: Any, target: str, words: str
) -> None:
    """A folder of the artist's own stands where the last files should go."""
    place = run.folder / target
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.mkdir()
    (place / "mine.txt").write_text("mine")
    with pytest.raises(SpatialAlignError, match=f"{target}.*choose an.*{words}"):
        work(stage(run, model))
    assert (place / "mine.txt").read_text() == "mine"


def test_other_weights_or_another_rule_make_the_tracks_again(run: Run) -> None:
    other = RednessDetector()
    other.fingerprint = "redness, trained longer"  # type: ignore[attr-defined]
    for detector, rule, made in (
        (RednessDetector(), PUBLISHED, 0),
        (other, PUBLISHED, 5 * SEEDS),
        (other, DEFAULT_RULE, 5 * SEEDS),
        (other, DEFAULT_RULE, 0),
    ):
        news = work(run.detect(detector, rule=rule))
        assert sum("seed" in item.message for item in news) == made


def test_new_settings_make_the_videos_again(run: Run, model: VideoModel) -> None:
    news = work(
        run.generate(model, 1, "held_out", settings=replace(model.defaults, steps=3), batch_size=3, workers=1)
    )
    assert any("other settings" in text for text in warnings_of(news))
    news = work(run.score())
    assert any("no up-to-date track" in text for text in warnings_of(news))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda run, model: run.generate(model, 0), "at least 1"),
        (lambda run, model: run.generate(model, 1, "elsewhere"), "no prompts in the split 'elsewhere'"),
        (lambda run, model: run.generate(model, 1, set="../base"), "'../base' cannot name a set"),
        (
            lambda run, model: run.generate(model, 1, lora=Path("nowhere.safetensors")),
            "There is no LoRA nowhere",
        ),
        (lambda run, model: run.train(model, TRAINING, "../../evil"), "'../../evil' cannot name a LoRA"),
        (lambda run, model: run.detect(RednessDetector(), "unmade"), "There are no unmade videos"),
        (lambda run, model: run.score("unmade"), "run detect first"),
        (lambda run, model: run.evaluate(split="train"), "aligned"),
        (lambda run, model: run.evaluate(tau=2.0), "tau"),
    ],
)
def test_mistakes_get_one_sentence(
    run: Run, model: VideoModel, call: Callable[[Run, VideoModel], Iterator[Progress]], words: str
) -> None:
    before = contents(run.folder)
    with pytest.raises(SpatialAlignError, match=r".") as caught:
        work(call(run, model))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert contents(run.folder) == before


def test_retold_sentences_never_tell_of_held_out_prompts(run: Run, model: VideoModel) -> None:
    """The redness detector sees left to right or back in every video, so each prompt has winners under LR and RL."""

    def texts() -> dict[str, str]:
        work(run.export_pairs(model, PairSettings(threshold=0.5)))
        data = load_pairs(run.pairs_folder)
        assert all(data.text(pair.text_id).ndim == 2 for pair in data.pairs)
        return {pair.text_id: data.texts[pair.text_id] for pair in data.pairs}

    before = texts()
    told = [text_id for text_id in before if "~" in text_id]
    prompt_id, code = told[0].split("~")
    (prompt,) = [p for p in run.prompts("train") if p.id == prompt_id]
    assert before[told[0]] == retell(prompt, RelationChange.parse(code)).text
    held_out = replace(retell(prompt, RelationChange.parse(code)), id="judge", split="held_out")
    run.write_prompts([*run.prompts(), held_out])
    assert texts().keys() == before.keys() - {told[0]}


def test_no_pairs_is_explained(run: Run, model: VideoModel) -> None:
    news = work(run.export_pairs(model, PairSettings(threshold=1.0)))
    assert news[-1].message.startswith("No pairs")
    with pytest.raises(SpatialAlignError, match=r"There are no pairs to train on\. No pairs"):
        work(run.train(model, TRAINING))


def test_prompts_must_be_some_and_differ(tmp_path: Path) -> None:
    run = Run(tmp_path)
    with pytest.raises(SpatialAlignError, match="at least one prompt"):
        run.write_prompts([])
    with pytest.raises(SpatialAlignError, match="Two prompts have the id"):
        run.write_prompts(prompts()[:1] * 2)
    with pytest.raises(SpatialAlignError, match="no prompts in"):
        run.prompts()


def test_every_path_stays_inside(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for prompt_id in ("../../evil", "/etc/passwd", "..", "a/b", "con"):
        assert run.folder in run.video_path(BASE, prompt_id, 0).resolve().parents


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpatialAlignError, match="Cannot write into the run folder"):
        Run(tmp_path / "file" / "run").write_prompts(prompts())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(SpatialAlignError, match="Cannot write into the run folder"):
        Run(tmp_path).write_prompts(prompts())


def test_one_writer_at_a_time(run: Run) -> None:
    with locked(run.folder), pytest.raises(SpatialAlignError, match=rf"number {os.getpid()}.*is working"):
        work(run.score())
    (run.folder / ".lock").write_text("999999999")  # a process that is no more
    work(run.score())


def test_a_full_disk_locks_all_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("spatialalign_core.run.lock.os.write", full)
    with locked(run.folder), pytest.raises(SpatialAlignError, match="is working in the run folder"):
        work(run.score())


def test_closing_training_keeps_every_step(run: Run, model: VideoModel) -> None:
    expected = _content(run.lora_path())
    run.lora_path().unlink()
    shutil.rmtree(run.lora_path().parent)
    stage = run.train(model, TRAINING)
    for news in stage:
        if news.done == 3:  # no checkpoint of its own is due here
            break
    stage.close()  # type: ignore[attr-defined]
    news = work(run.train(model, TRAINING))
    assert "going on after step 3" in news[0].message
    assert _content(run.lora_path()) == expected
    assert [row["step"] for row in run.training_log()] == [1, 2, 3, 4]


def _start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "spatialalign_core", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _kill_when(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_generation_goes_on(finished: Path, model: VideoModel, tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_prompts(prompts())
    command = ["generate", str(run.folder), "--model", str(model.folder), "--seeds", "4", "--batch", "3"]
    _kill_when(_start([*command, "--workers", "2"]), lambda: any(run.folder.rglob("*.mp4")))
    work(run.generate(model, SEEDS, batch_size=3, workers=1))
    made, expected = contents(run.folder / "samples"), contents(finished / "samples")
    assert made == {name: data for name, data in expected.items() if name.startswith("base")}


@pytest.mark.parametrize(("free", "workers"), [(64 * 2**30, 4), (2 * 2**30, 2), (2**30, 1), (0, 1)])
def test_no_more_workers_than_the_memory_has_room_for(
    model: VideoModel, monkeypatch: pytest.MonkeyPatch, free: int, workers: int
) -> None:
    monkeypatch.setattr("spatialalign_core.run.worker.free_memory", lambda _: free)
    monkeypatch.setattr("spatialalign_core.run.worker._cores", lambda: 4)
    assert spare_workers(model) == workers


@pytest.mark.parametrize(("start", "batches"), [(float("inf"), []), (0, [2])])
def test_little_work_starts_no_workers(
    finished: Path,
    model: VideoModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: float,
    batches: list[int],
) -> None:
    """One batch is made here first; only when the rest takes longer than a process needs to start do they get it."""
    handed: list[int] = []

    def here(model: VideoModel, batches: Any, settings: Any, lora: Any, strength: Any, *others: Any) -> Any:
        handed.append(len(batches))
        return make_batches(model, batches, settings)

    monkeypatch.setattr("spatialalign_core.run.worker._START_SECONDS", start)
    monkeypatch.setattr("spatialalign_core.run.stages.spare_workers", lambda _: 2)
    monkeypatch.setattr("spatialalign_core.run.stages.generate_in_workers", here)
    run = Run(tmp_path)
    run.write_prompts(prompts())
    work(run.generate(model, 1, batch_size=2))
    assert handed == batches
    names = {str(video.relative_to(tmp_path)) for video in tmp_path.rglob("*.mp4")}
    assert len(names) == 5
    assert all((tmp_path / each).read_bytes() == (finished / each).read_bytes() for each in names)


@pytest.mark.parametrize(
    ("seconds", "workers", "worth"), [(10, 2, False), (30, 2, True), (30, 1, False), (14, 8, True)]
)
def test_when_workers_are_worth_their_start(seconds: float, workers: int, worth: bool) -> None:
    assert worth_workers(seconds, workers) == worth


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_training_goes_on(run: Run, model: VideoModel) -> None:
    settings = replace(DEFAULT, steps=40, rank=2, pairs_per_step=2, checkpoint_every=2)
    options = ["--steps", "40", "--rank", "2", "--pairs-per-step", "2", "--checkpoint-every", "2"]
    process = _start(["train", str(run.folder), "--model", str(model.folder), *options, "--name", "killed"])
    _kill_when(process, lambda: any((run.folder / "lora/checkpoints").glob("killed-*/step-*.safetensors")))
    assert any("going on after step" in item.message for item in work(run.train(model, settings, "killed")))
    with run.training_file.open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, settings.steps + 1))
    work(run.train(model, settings, "whole"))
    assert _content(run.lora_path("killed")) == _content(run.lora_path("whole"))
