"""SIGKILL at many moments of a run, each resumed and compared with the run that nothing happened to.

`python benchmarks/kills.py [--verb train|rounds] [--kills 50]`. A small run (the pocket model on short clips, a few
steps; `train` learns from pairs of noise) goes through the real verbs. A tenth of the moments lie in the start of a
fresh Python: its imports. Half of the others lie evenly over the processor time of the verb: loading, steps, held-out
videos, the LoRA's export. The rest lie evenly over its writes: right before a file is opened to write, renamed or
removed, or in the middle of writing it. Processes of those kinds are forked from one that has the imports done. Each
killed run is started again by the same command, to its end. Equal: the same bytes in every LoRA, video, latents, track,
pair and score, the same training log but for the seconds a step took, and nothing half-written left.

Writes benchmarks/results/kills.json. The last line is one JSON object: kills, died (before their end), equal, unequal.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Before torch: one thread, so that a fork finds no others, and sums are in one order.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.cli import verbs
from spatialalign_core.models.loading import load_video_model
from tests.noise_run import noise_run

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results" / "kills.json"
MODEL = ROOT / "spatialalign_core" / "pocket" / "weights" / "wan-pocket"
COLD = 4.0  # seconds of processor time that the imports of a fresh Python take
CLIPS = {"height": 64, "width": 96, "num_frames": 5, "fps": 8, "steps": 2, "guidance_scale": 1.5}
TRAIN = (
    "--steps 6 --checkpoint-every 2 --check-every 3 --check-prompts 1 --lr 0.002 --pairs-per-step 2 --rank 4 "
    "--detector sprites --plan single"
)
ROUNDS = (
    "--rounds 2 --patience 2 --seeds 4 --held-out-seeds 1 --steps 4 --lr 0.002 --pairs-per-step 2 --rank 4 "
    "--detector sprites --plan single --workers 1 --sampling-steps 10"
)
DELAYS = (0.0, 0.001, 0.0, 0.004)
"""Seconds after a write began; 0: right before it."""


@dataclass(frozen=True)
class Kill:
    """moment: what it was aimed at. found: what lay in the run folder. died: False where the run was over by then."""

    number: int
    moment: str
    found: str
    died: bool
    differs: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--verb", choices=("train", "rounds"), default="train")
    add("--kills", type=int, default=50)
    add(
        "--only",
        type=int,
        nargs="*",
        help="only these of the moments, by number from 0, beside those that are known",
    )
    add("--work", type=Path, help="where the runs lie (default: a folder that is removed in the end)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.verb, options.work or Path(folder))
        if options.only is None:
            save(bench, [])
        summary = {}
        for kill in bench.kills(options.kills, options.only or range(options.kills)):
            print(kill, flush=True)
            summary = save(bench, [*known(options.verb), kill])
    print(json.dumps({"verb": options.verb} | summary))
    return 1 if summary["unequal"] else 0


def save(bench: Bench, kills: Sequence[Kill]) -> dict[str, int]:
    """Put the kills of a verb into the file of results, the last of each number; returns the summary."""
    each = sorted({kill.number: kill for kill in kills}.values(), key=lambda kill: kill.number)
    equal = sum(kill.died and not kill.differs for kill in each)
    summary = {"kills": len(each), "died": sum(kill.died for kill in each), "equal": equal}
    summary["unequal"] = sum(bool(kill.differs) for kill in each)
    about = {"seconds": bench.seconds, "writes": len(bench.writes), "arguments": bench.arguments}
    data = results() | {bench.verb: summary | about | {"each": [asdict(kill) for kill in each]}}
    RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return summary


def known(verb: str) -> list[Kill]:
    """The kills of a verb in the file of results."""
    return [Kill(**each) for each in results().get(verb, {}).get("each", [])]


def results() -> dict[str, Any]:
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else {}


class Bench:
    """The run that nothing happened to, and copies of its beginning to kill."""

    def __init__(self, verb: str, work: Path) -> None:
        self.verb, self.work = verb, work.resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.model, self.start = self.work / "model", self.work / "start"
        self.arguments = (TRAIN if verb == "train" else ROUNDS).split()
        self.errors = self.work / f"errors-{os.getpid()}.txt"
        self._prepare()
        about = self.work / "undisturbed.json"
        if not about.exists():
            log = self.work / "writes.txt"
            before = os.times()
            self._to_the_end(self._copy("undisturbed"), log)
            after = os.times()
            # Processor time of the processes waited for.
            seconds = round(sum(after[2:4]) - sum(before[2:4]), 2)
            writes = log.read_text(encoding="utf-8").splitlines()
            about.write_text(json.dumps({"seconds": seconds, "writes": writes}), encoding="utf-8")
        found = json.loads(about.read_text(encoding="utf-8"))
        self.seconds, self.writes = float(found["seconds"]), list(found["writes"])
        self.expected = outcome(self.work / "undisturbed")

    def kills(self, count: int, numbers: Iterable[int]) -> Iterator[Kill]:
        """Die and go on. numbers: which of the moments, of 0 .. count - 1."""
        cold = count // 10
        by_time = (count - cold) // 2
        for number in numbers:
            place = number - cold - by_time
            if number < cold:
                seconds = COLD * (number + 0.5) / cold
                yield self._kill(
                    number, f"start of Python, {seconds:.2f} s of processor time", seconds, cold=True
                )
            elif place < 0:
                seconds = self.seconds * (number - cold + 0.5) / by_time
                yield self._kill(number, f"{seconds:.2f} s of processor time", seconds)
            else:
                write = 1 + (len(self.writes) - 1) * place // max(1, count - cold - by_time - 1)
                delay = DELAYS[place % len(DELAYS)]
                text = f"write {write}: {self.writes[write - 1]}" + (f", {delay} s in" if delay else "")
                yield self._kill(number, text, at=(write, delay))

    def _kill(
        self,
        number: int,
        moment: str,
        seconds: float | None = None,
        at: tuple[int, float] = (0, 0.0),
        cold: bool = False,
    ) -> Kill:
        run = self._copy(f"killed-{os.getpid()}")
        process = self._start_cold(run) if cold else self._start(run, at=at)
        if seconds is not None:
            while not is_over(process) and processor_time(process) < seconds:
                time.sleep(0.005)
            os.kill(process, signal.SIGKILL)
        died = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
        found = state(run)
        self._to_the_end(run)
        return Kill(number, moment, found, died, differences(self.expected, outcome(run)))

    def _prepare(self) -> None:
        if not self.model.exists():
            shutil.copytree(MODEL, self.model)
            (self.model / "spatialalign.json").write_text(json.dumps(CLIPS), encoding="utf-8")
        load_video_model(self.model, "cpu")  # what it imports, before the forks
        if self.start.exists():
            return
        if self.verb == "train":
            noise_run(self.start)
        elif verbs.main(["prompts", str(self.start), "--count", "4", "--held-out", "2"]):
            raise SystemExit("There are no prompts.")

    def _copy(self, name: str) -> Path:
        run = self.work / name
        shutil.rmtree(run, ignore_errors=True)
        return shutil.copytree(self.start, run)

    def _words(self, run: Path) -> list[str]:
        return [self.verb, str(run), "--model", str(self.model), *self.arguments]

    def _start_cold(self, run: Path) -> int:
        words = [sys.executable, "-m", "spatialalign_core", *self._words(run)]
        with self.errors.open("wb") as errors:
            return subprocess.Popen(words, cwd=ROOT, stdout=errors, stderr=errors).pid

    def _start(self, run: Path, log: Path | None = None, at: tuple[int, float] = (0, 0.0)) -> int:
        process = os.fork()
        if process:
            return process
        code = 1
        try:
            with self.errors.open("wb") as errors:
                os.dup2(errors.fileno(), 1)
                os.dup2(errors.fileno(), 2)
            if log or at[0]:
                sys.addaudithook(Writes(run, log, *at))
            code = verbs.main(self._words(run))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _to_the_end(self, run: Path, log: Path | None = None) -> None:
        if code := os.waitstatus_to_exitcode(os.waitpid(self._start(run, log), 0)[1]):
            text = self.errors.read_text(encoding="utf-8", errors="replace")
            raise SystemExit(f"{self.verb} ended with {code}:\n{text[-4000:]}")


class Writes:
    """Hears of every file that is opened to write, renamed or removed in the run folder; notes it, or dies at it."""

    def __init__(self, run: Path, log: Path | None, moment: int, delay: float) -> None:
        """moment: number of the write to die at, from 1. delay: so many seconds after, 0 for right before it."""
        self.run, self.log, self.moment, self.delay, self.number = str(run), log, moment, delay, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int) or mode == "rb+" or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return  # "rb+" is the flush of what is written already
        elif event not in ("os.rename", "os.remove"):
            return
        name = os.fsdecode(arguments[0])
        if not name.startswith(self.run + "/") or "/control/" in name or name.endswith("/.lock"):
            return  # the clock decides when control/ is written
        self.number += 1
        if self.log:
            target = os.fsdecode(arguments[1]) if event == "os.rename" else name
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{event} {os.path.relpath(target, self.run)}\n")
        if self.number == self.moment:
            self._die()

    def _die(self) -> None:
        victim = os.getpid()
        if self.delay and os.fork():
            return
        time.sleep(self.delay)
        os.kill(victim, signal.SIGKILL)
        os._exit(0)


def is_over(process: int) -> bool:
    """Whether a child has ended, which is not yet waited for."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def processor_time(pid: int) -> float:
    """Seconds of processor time a process has had; infinity when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return float("inf")


def state(run: Path) -> str:
    """In a few words how far a killed run had come."""
    half = sorted(str(path.relative_to(run).parent) for path in run.rglob(".*.part*"))
    newest = max(
        (
            path
            for path in run.rglob("*")
            if path.is_file() and ".part" not in path.name and path.name != ".lock"
        ),
        key=lambda path: path.stat().st_mtime_ns,
    )
    return f"newest {newest.relative_to(run)}" + (f", half-written in {', '.join(half)}" if half else "")


def outcome(run: Path) -> dict[str, str]:
    """What must not depend on how often the work was interrupted: file -> digest."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if not path.is_file() or name.startswith("control") or name == ".lock":
            continue
        data = path.read_bytes()
        if path.name == "training.csv":
            rows = list(csv.DictReader(data.decode().splitlines()))
            data = json.dumps([{k: v for k, v in row.items() if k != "seconds"} for row in rows]).encode()
        found[name] = hashlib.sha256(data).hexdigest()[:16]
    return found


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of files that are other, missing or too many. Checkpoints may be those of other steps."""
    names = sorted(expected.keys() | found.keys())
    return [
        name
        for name in names
        if expected.get(name) != found.get(name) and not name.startswith("lora/checkpoints")
    ]


if __name__ == "__main__":
    sys.exit(main())
