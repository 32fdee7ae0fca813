"""The command line: one verb a stage, with the names the nodes have. `python -m spatialalign_core VERB --help` teaches.

Results go to standard output, progress and warnings to standard error. Exit codes: 0 done, 2 something to put right
(`Error: <sentence>`), 130 stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SpatialAlignError, StopRequested, full_memory_sentence, is_out_of_memory, speak_of
from ..files import why_not
from .arguments import build_parser
from .chosen import generate_settings, load_model, train_settings, workers_of_options
from .collecting import collect
from .console import TERMINAL, Console, Stopped, drive, stopped
from .estimating import estimate
from .keeping import runs
from .reading import read
from .training import control, rounds, train

if TYPE_CHECKING:
    from ..prompts import DsrPrompt
    from ..run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    door = speak_of("options")
    try:
        code = _run(arguments)
    finally:
        speak_of(door)
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python itself would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has left, as `| head` does
            return code
        why = why_not(error) or error.strerror or str(error)
        return code or _fail(f"The results could not be printed: {why}. What is done is kept.")
    return code


def _run(arguments: Sequence[str] | None) -> int:
    options = argparse.Namespace()
    try:
        options = build_parser(VERBS).parse_args(arguments)
        return options.verb(options) or 0
    except StopRequested as request:
        print(request, file=TERMINAL)
        return 130
    except SpatialAlignError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return stopped()
    except BrokenPipeError:
        return 0
    except Exception as error:
        if is_out_of_memory(error):
            known = vars(options).keys() - (
                {"workers"} if getattr(options, "verb", None) is detect else set()
            )  # Ray's alone
            return _fail(full_memory_sentence(error, known))
        if not isinstance(error, OSError):
            raise
        why = why_not(error) or error.strerror or str(error)
        return _fail(f"{error.filename or 'A file'}: {why}. What is done is kept.")


def prompts(options: argparse.Namespace) -> None:
    """Make or import the prompt set of a run."""
    from ..run import Run

    made = _own_prompts(options) if options.file else _built_prompts(options)
    run = Run(options.run)
    run.write_prompts(made)
    counts = {split: sum(p.split == split for p in made) for split in dict.fromkeys(p.split for p in made)}
    print(f"{run.prompts_file}: " + ", ".join(f"{count} {split}" for split, count in counts.items()))
    for prompt in made[:3]:
        print(f"  {prompt.text}")


def _own_prompts(options: argparse.Namespace) -> list[DsrPrompt]:
    from ..prompt_list import held_out, read_prompt_file, set_aside_words, usable

    found = read_prompt_file(options.file)
    made, note = usable(found, str(options.file)), ""
    if not found.divided or options.held_out is not None:
        made, note = held_out(made, options.held_out, options.seed)
    if found.set_aside:
        print(f"{options.file}: {len(found.entries)} read, {len(found.set_aside)} set aside")
    for line in (*found.notes, *([note] if note else []), *set_aside_words(found)):
        print(f"  {line}")
    return made


def _built_prompts(options: argparse.Namespace) -> list[DsrPrompt]:
    from ..pocket import captions
    from ..prompts import build_prompts, split_words
    from ..relations import CHANGES, RelationChange

    def words(given: str | None, usual: Sequence[str]) -> list[str]:
        return list(usual) if given is None else split_words(given)

    try:
        changes = [RelationChange.parse(code) for code in words(options.changes, [c.code for c in CHANGES])]
    except ValueError as error:
        raise SpatialAlignError(str(error)) from error
    return build_prompts(
        words(options.subjects, captions.SUBJECTS),
        words(options.objects, captions.OBJECTS),
        words(options.scenes, captions.SCENES),
        words(options.verbs, captions.VERBS),
        changes=changes,
        count=options.count,
        held_out_count=options.held_out or 0,
        seed=options.seed,
    )


def generate(options: argparse.Namespace) -> int:
    """Make videos."""
    from ..plan import GenerateOptions
    from ..run import Run

    run = Run(options.run)
    run.prompts(options.split)  # a missing prompt set and a read-only place are told before a model loads
    run.check_places("samples")
    model = load_model(options)
    stage = run.generate(
        model,
        options.seeds,
        options.split,
        options.set,
        generate_settings(model, options),
        options.batch,
        Path(options.lora) if options.lora else None,
        options.strength,
        workers_of_options(options),
        GenerateOptions(options.memory, compile=options.compile),
    )
    return drive(stage, run.folder / "samples" / options.set)


def detect(options: argparse.Namespace) -> int:
    """Find subject and object in every video."""
    from ..detect.loading import load_detector
    from ..detect.validity import find_rule
    from ..run import Run
    from ..run.ray_workers import RayWorkers

    run = Run(options.run)
    rule = find_rule(options.rule)
    workers = workers_of_options(options)
    if workers is not None:
        if not isinstance(workers, RayWorkers):
            raise SpatialAlignError("Detection takes no number of workers; write ray, or ray:16.")
        workers = replace(workers, detector=options.detector)
    run.check_places("tracks")
    detector = load_detector(options.detector)
    stage = run.detect(detector, options.set, options.split, rule, keep_masks=options.masks, workers=workers)
    return drive(stage, run.folder / "tracks" / options.set)


def score(options: argparse.Namespace) -> int:
    """Score a run's tracks, or a file of boxes."""
    from ..detect.validity import find_rule

    rule = None if options.rule is None else find_rule(options.rule)
    if Path(options.target).is_dir():
        if rule is not None:
            raise SpatialAlignError(
                "--rule is for a file of boxes; what counts in a run is chosen by `detect --rule`."
            )
        return _score_run(options)
    from ..score_file import score_file

    scores = score_file(options.target, rule)
    if options.json:
        print(json.dumps(scores))
        return 0
    for entry in scores:
        _print_score(entry)
    return 0


def _score_run(options: argparse.Namespace) -> int:
    from ..run import Run
    from ..score import obeys

    run = Run(options.target)
    code = drive(run.score(options.set, options.split), None)
    if code:
        return code
    rows = [
        {"id": f"{prompt_id}/{seed}"} | asdict(score) | {"obeys": obeys(score)}
        for (prompt_id, seed), score in sorted(run.scores(options.set, options.split).items())
    ]
    if options.json:
        print(json.dumps(rows))
        return 0
    for entry in rows:
        _print_score(entry)
    print(run.scores_file)
    return 0


def _print_score(entry: dict[str, Any]) -> None:
    verdict = "obeys" if entry["obeys"] else "does not obey"
    text = f"{entry['dsr']:.3f}\t{verdict}" if entry["valid"] else f"INVALID: {entry['reason']}"
    print(f"{entry['id']}\t{text}")


def pairs(options: argparse.Namespace) -> int:
    """Choose winners and losers and export them for training."""
    from ..pairs import PairSettings
    from ..run import Run

    run = Run(options.run)
    settings = PairSettings(
        options.threshold, options.min_margin, options.mode, options.max_pairs, options.retell
    )
    for rulings, keep in ((options.keep, True), (options.drop, False), (options.forget, None)):
        for name, winner, loser in rulings:
            _rule_pair(run, name, winner, loser, keep)
    run.choose_pairs(settings, options.split)  # a missing score table is told before a model loads
    run.check_places("pairs")
    code = drive(run.export_pairs(load_model(options), settings, options.split), run.pairs_folder)
    if code == 0:
        print(run.choose_pairs(settings, options.split).explanation)
    return code


def _rule_pair(run: Run, name: str, winner: str, loser: str, keep: bool | None) -> None:
    """name: of the prompt, or with the change that its text is told of after a "~"."""
    from ..relations import CHANGES

    prompt, _, told = name.rpartition("~")
    if told not in {change.code for change in CHANGES}:
        prompt, told = name, ""
    for seed in (winner, loser):
        if not seed.isdecimal():
            raise SpatialAlignError(f"{seed!r} is no seed; name a pair as PROMPT WINNER LOSER, two seeds.")
    run.rule_pair(prompt, int(winner), int(loser), keep, told)


def evaluate(options: argparse.Namespace) -> int:
    """Compare before and after and write the report."""
    from ..run import Run

    run = Run(options.run)
    run.prompts(options.split)
    run.check_places()
    code = drive(run.evaluate(options.tau, options.split, options.seeds, options.bootstrap), run.report_html)
    if code == 0:
        print(json.dumps(_result(run.report_json)))
    return code


def compare(options: argparse.Namespace) -> int:
    """Compare two LoRAs, or two strengths."""
    from ..compare import ComparePlan
    from ..compare import compare as comparison
    from ..detect.loading import load_detector
    from ..detect.validity import find_rule
    from ..run import Run, Side
    from ..run.comparing import check_sides, comparison_folder, read_comparison

    def side(lora: str | None, strength: float) -> Side:
        return Side(Path(lora).expanduser().resolve() if lora else None, strength if lora else 1.0)

    run = Run(options.run)
    a, b = side(options.lora_a, options.strength_a), side(options.lora_b, options.strength_b)
    check_sides(a, b)  # mistakes are told before a model loads
    run.prompts(options.split)
    run.check_places("samples", "tracks", "comparisons")
    plan = ComparePlan(options.split, options.seeds, options.tau, options.batch, rule=find_rule(options.rule))
    detector = load_detector(options.detector)
    console = Console()
    try:
        with console.stoppable():
            for part, stage in comparison(
                run, load_model(options), detector, a, b, plan, workers=options.workers
            ):
                console.show(stage, part)
    except Stopped:
        return stopped()
    folder = comparison_folder(run, a, b)
    data = read_comparison(folder)
    print(folder / "picture.png")
    print(json.dumps({key: data[key] for key in ("a", "b", "tau", "verdict", "accuracy", "obey")}))
    return 0


def quickstart(options: argparse.Namespace) -> int:
    """The whole loop on the pocket model."""
    from ..detect.loading import load_detector
    from ..models.loading import recognise_family
    from ..quickstart import QuickstartPlan, prepare
    from ..quickstart import quickstart as loop
    from ..run import Run

    started = time.monotonic()
    chosen = {
        "train_prompts": options.train_prompts,
        "held_out_prompts": options.held_out,
        "train_seeds": options.train_seeds,
        "held_out_seeds": options.seeds,
    }
    plan = replace(QuickstartPlan(), **{name: value for name, value in chosen.items() if value is not None})
    plan = replace(plan, training=train_settings(options))
    run = Run(options.run)
    print(f"Run folder: {run.folder}", file=TERMINAL)
    recognise_family(options.model)  # mistakes are told before anything is written or loaded
    prepare(run, plan)
    model = load_model(options)
    console = Console()
    try:
        with console.stoppable():
            for label, stage in loop(run, model, load_detector("pocket"), plan, options.workers):
                console.show(stage, label)
    except Stopped:
        return stopped()
    print(f"Report: {run.report_html}")
    print(json.dumps(_result(run.report_json) | {"seconds": round(time.monotonic() - started, 1)}))
    return 0


VERBS = {
    verb.__name__: verb
    for verb in (
        *(read, prompts, generate, collect, detect, score, pairs, train, rounds, control),
        *(estimate, evaluate, compare, quickstart, runs),
    )
}


def _result(report: Path) -> dict[str, Any]:
    data = json.loads(report.read_text(encoding="utf-8"))
    names = ("base", "aligned", "tau", "valid_base", "valid_aligned", "obey_base", "obey_aligned")
    return {name: data[name] for name in names}


def _fail(sentence: str) -> int:
    print(f"Error: {sentence}", file=TERMINAL)
    return 2
