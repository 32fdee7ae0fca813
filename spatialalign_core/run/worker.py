"""Generation in several processes: a small model gains little from a second thread and all from a second process.

`generate_in_workers` starts this module in a few processes of its own and hands out whole batches. Batches are
fixed before they are handed out, and noise comes from prompt id and seed, so the videos do not depend on the number of
workers. Plain subprocesses rather than multiprocessing: inside ComfyUI a spawned process would import ComfyUI again.

A worker reads its plan as one line of JSON and writes one line of JSON for every sample. Its standard input stays open
as a life line: when the parent is gone, however it went, the worker ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from ..errors import SpatialAlignError, full_memory_sentence, is_out_of_memory, setting
from ..generate import Job, encode_texts, generate
from ..models.base import GenerateSettings, VideoModel
from ..models.loading import BUNDLED
from ..placement import put_to_work
from ..plan import USUAL, GenerateOptions, plan_generation
from ..train.memory import free_memory
from ..weight_files import WEIGHT_FILES
from .samples import write_sample

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from spatialalign_core.run.worker import work; work()"
_SMALL = 200 * 2**20  # bytes of weights; every worker holds its own copy
_WORKER = 800 * 2**20  # bytes that one holds besides its weights: Python, libraries, a few small videos
_START_SECONDS = 10  # until one has imported its libraries and loaded a small model
_HEARTBEAT = 0.5  # seconds without news after which the driver may look whether it should stop


@dataclass(frozen=True)
class Wanted:
    """A job, the mp4 it becomes, and its fingerprint; `make` is False for one that only fills its batch."""

    job: Job
    video: Path
    fingerprint: str
    make: bool


def spare_workers(model: VideoModel) -> int:
    """How many processes suit the model on this machine: one a core for a small model on a CPU, as far as the memory
    goes, else this one alone."""
    if model.device.type != "cpu" or not model.folder.is_dir():
        return 1
    size = sum(file.stat().st_size for file in model.folder.rglob("*") if file.suffix in WEIGHT_FILES)
    room = free_memory(model.device) // (_WORKER + size)
    return max(1, min(_cores(), 8, room)) if size <= _SMALL else 1


def worth_workers(seconds: float, workers: int) -> bool:
    """Whether so many processes save more time than their start takes. seconds: of the work in this process alone."""
    return seconds * (1 - 1 / workers) > _START_SECONDS


def make_batches(
    model: VideoModel,
    batches: Sequence[Sequence[Wanted]],
    settings: GenerateSettings,
    options: GenerateOptions = USUAL,
    states: dict[str, Tensor] | None = None,
) -> Iterator[Wanted | None]:
    """Generate batches and write the samples that are wanted, yielding each when its files are there.

    All but the last are of one size. Texts are encoded first, once each, with a None after each. states: texts that are
    encoded already; those of these batches join them.
    """
    wanted = [item for batch in batches for item in batch]
    jobs, size, device = [item.job for item in wanted], len(batches[0]), model.device
    states = {} if states is None else states
    plan = plan_generation(model, settings, size, options)
    try:
        for _ in encode_texts(model, jobs, settings, states, plan, device):
            yield None
    finally:
        put_to_work(model, "transformer", plan, device)
    samples = generate(model, jobs, settings, size, options, states)
    with contextlib.closing(samples):  # now, not when it is collected: the model is put back then
        for item, sample in zip(wanted, samples, strict=True):
            if item.make:
                write_sample(item.video, sample, settings, item.fingerprint, model.fingerprint)
                yield item


def generate_in_workers(
    model: VideoModel,
    batches: Sequence[Sequence[Wanted]],
    settings: GenerateSettings,
    lora: Path | None,
    strength: float,
    workers: int,
    options: GenerateOptions = USUAL,
) -> Iterator[Wanted | None]:
    """As `make_batches`, in `workers` processes; None now and then, when there is no news.

    Closing the iterator ends the processes. SpatialAlignError when one of them fails.
    """
    news: queue.Queue[dict[str, Any]] = queue.Queue()
    waiting = {str(wanted.video): wanted for batch in batches for wanted in batch if wanted.make}
    processes: list[subprocess.Popen[str]] = []
    try:
        for index in range(workers):
            plan = recipe(model, settings, lora, strength, options) | {
                "threads": max(1, _cores() // workers),
                "batches": [[_to_json(wanted) for wanted in batch] for batch in batches[index::workers]],
            }
            processes.append(_start(plan, news))
        running = len(processes)
        while running:
            try:
                item = news.get(timeout=_HEARTBEAT)
            except queue.Empty:
                yield None
                continue
            if "error" in item:
                raise SpatialAlignError(item["error"])
            if "video" in item:
                yield waiting.pop(item["video"])
            if "code" in item:
                running -= 1
                if item["code"]:
                    raise SpatialAlignError(
                        f"A generation process ended too early (code {item['code']}); most often the memory is full. "
                        f"What is done is kept: run it again with a smaller {setting('batch_size')}."
                    )
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def recipe(
    model: VideoModel,
    settings: GenerateSettings,
    lora: Path | None,
    strength: float,
    options: GenerateOptions,
) -> dict[str, Any]:
    """What another process needs to know to generate alike; plain JSON values."""
    bundled = [name for name, folder in BUNDLED.items() if folder == model.folder]
    return {
        # By name where it comes with the pack, which may lie elsewhere on another machine.
        "model": bundled[0] if bundled else str(model.folder.resolve()),
        # Which of two networks the LoRA is for.
        "expert": model.expert,
        "settings": asdict(settings),
        "lora": str(lora.resolve()) if lora else None,
        "strength": strength,
        "options": asdict(options),
    }


def prepare(
    plan: Mapping[str, Any], device: str | None
) -> tuple[VideoModel, GenerateSettings, GenerateOptions]:
    """What a `recipe` says, loaded. device: None for a card where there is one."""
    from ..models.loading import load_video_model
    from ..models.quiet import quiet_libraries
    from ..train.lora import apply_lora

    quiet_libraries()
    model = load_video_model(plan["model"], device, expert=plan["expert"])
    if plan["lora"]:
        apply_lora(model, Path(plan["lora"]), plan["strength"])
    return model, GenerateSettings(**plan["settings"]), GenerateOptions(**plan["options"])


def _start(plan: Mapping[str, Any], news: queue.Queue[dict[str, Any]]) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": str(plan["threads"]), "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(
        # Not `-m`: the isolated Python of ComfyUI's portable build does not look into the working directory.
        [sys.executable, "-c", _START, str(_ROOT)],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        # Ctrl-C is for the parent to handle.
        start_new_session=os.name != "nt",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )

    def listen(stdout: IO[str]) -> None:
        try:
            for line in stdout:
                with contextlib.suppress(ValueError):  # a library's word that slipped through before `main`
                    news.put(json.loads(line))
        finally:
            news.put({"code": process.wait()})

    assert process.stdin is not None and process.stdout is not None

    def send(stdin: IO[str]) -> None:
        with contextlib.suppress(OSError):  # it died at once; its exit code tells
            stdin.write(json.dumps(plan) + "\n")
            stdin.flush()

    threading.Thread(target=listen, args=(process.stdout,), daemon=True).start()
    # A thread of its own: a plan can be longer than a pipe holds, and the worker reads it only after its imports.
    threading.Thread(target=send, args=(process.stdin,), daemon=True).start()
    return process


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _to_json(wanted: Wanted) -> dict[str, Any]:
    return asdict(wanted) | {"video": str(wanted.video)}


def _from_json(data: Mapping[str, Any]) -> Wanted:
    return Wanted(Job(**data["job"]), Path(data["video"]), data["fingerprint"], data["make"])


def _work(plan: Mapping[str, Any], tell: Any) -> None:
    import torch

    torch.set_num_threads(plan["threads"])
    model, settings, options = prepare(plan, "cpu")
    batches = [[_from_json(data) for data in batch] for batch in plan["batches"]]
    for wanted in make_batches(model, batches, settings, options):
        if wanted is not None:
            tell({"video": str(wanted.video)})


def main() -> int:
    # Libraries print; the protocol gets the real standard output, they get standard error.
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def tell(item: Mapping[str, Any]) -> None:
        protocol.write(json.dumps(item) + "\n")

    plan = json.loads(sys.stdin.readline())

    def watch() -> None:
        sys.stdin.read()
        os._exit(0)  # the parent is gone

    threading.Thread(target=watch, daemon=True).start()
    try:
        _work(plan, tell)
    except SpatialAlignError as error:
        tell({"error": str(error)})
        protocol.flush()
        return 0
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        tell({"error": full_memory_sentence(error)})
        protocol.flush()
        return 0
    protocol.flush()
    return 0


def work() -> None:
    """What a worker process runs; does not return."""
    code = main()
    sys.stdout.flush()
    # Not sys.exit: the watching thread holds standard input's lock, which the interpreter wants when it shuts down.
    os._exit(code)
