"""What the command line understands."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import Any, NoReturn

from ..errors import SpatialAlignError
from . import paths
from .help import ABOUT, COMMAND, HELP
from .keeping import add_runs


class _Parser(argparse.ArgumentParser):
    """Speaks of its errors as everything else here does."""

    def error(self, message: str) -> NoReturn:
        raise SpatialAlignError(f"{message[0].upper()}{message[1:].rstrip('.')}. See `{self.prog} --help`.")


def build_parser(verbs: Mapping[str, Callable[[argparse.Namespace], Any]]) -> argparse.ArgumentParser:
    """The parser; parsed options carry the chosen function as `verb`."""
    parser = _Parser(
        prog=COMMAND, description=dedent(ABOUT), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)
    for name, verb in verbs.items():
        summary, lesson = HELP[name]
        child = choices.add_parser(
            name,
            help=summary,
            description=dedent(lesson),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _ADD[name](child)
        child.set_defaults(verb=verb)
    return parser


def _prompts(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    add = parser.add_argument
    add(
        "--file",
        type=paths.existing,
        metavar="FILE",
        help="your own prompts instead: a .txt with one sentence a line, or a table with a column prompt",
    )
    add("--count", type=int, metavar="N", help="training prompts (default: every combination once)")
    add(
        "--held-out",
        type=int,
        metavar="N",
        help="held-out prompts, for evaluation only (default: 0; a quarter of your own prompts)",
    )
    for name in ("subjects", "objects", "scenes", "verbs"):
        add(f"--{name}", metavar="WORDS", help="comma-separated; default: those of the sprite world")
    add("--changes", metavar="CODES", help="comma-separated, of LR RL LT TL RT TR (default: all)")
    add("--seed", type=int, default=0, help="selects which combinations are used (default 0)")


def _generate(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _set(parser)
    _split(parser)
    add = parser.add_argument
    add("--seeds", type=int, default=5, metavar="N", help="videos of each prompt (default 5)")
    add(
        "--lora",
        type=paths.existing,
        metavar="FILE",
        help="LoRA to apply (default for the set aligned: the run's own)",
    )
    add("--strength", type=float, default=1.0, help="strength of the LoRA (default 1)")
    add(
        "--batch", type=int, default=8, metavar="N", help="videos at once; fewer need less memory (default 8)"
    )
    add(
        "--workers",
        metavar="N|ray",
        help="CPU processes (default: chosen by the amount of work); ray, or ray:16: workers of a Ray cluster",
    )
    add(
        "--memory",
        default="auto",
        help="card: the whole model in GPU memory; parts: only the part in use; auto: what fits (default auto)",
    )
    add(
        "--compile",
        action="store_true",
        help="compile the model first (torch.compile): takes a minute or two, then each step is faster",
    )
    _videos(parser, "--steps")


def _videos(parser: argparse.ArgumentParser, steps: str) -> None:
    """How videos are made. steps: what the number of denoising steps is called."""
    add = parser.add_argument
    add(steps, type=int, dest="steps", metavar="N", help="denoising steps (default: the model's)")
    add(
        "--guidance",
        type=float,
        dest="guidance_scale",
        metavar="X",
        help="guidance scale (default: the model's)",
    )
    for name in ("height", "width"):
        add(f"--{name}", type=int, metavar="PIXELS", help="(default: the model's)")
    add("--frames", type=int, dest="num_frames", metavar="N", help="frames per video (default: the model's)")
    add("--fps", type=float, help="frames per second (default: the model's)")
    add("--negative-prompt", metavar="TEXT", help="negative prompt (default: the model's)")


def _collect(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    add = parser.add_argument
    add("videos", nargs="+", type=paths.written, metavar="VIDEO", help="files, folders, or patterns")
    add("--sentence", required=True, metavar="TEXT", help="the prompt that the videos were made from")
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the first video; the others are numbered from there (default 0)",
    )
    add(
        "--start",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="skip this much at the beginning (default 0)",
    )
    add("--duration", type=float, default=0.0, metavar="SECONDS", help="length to read (default: all)")
    add(
        "--short-side",
        type=int,
        metavar="PIXELS",
        help="scale larger videos down to this (default: original size)",
    )


def _detect(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _set(parser)
    _split(parser)
    _finding(parser)
    parser.add_argument("--masks", action="store_true", help="save the masks too")
    parser.add_argument(
        "--workers",
        metavar="ray",
        help="ray, or ray:16: workers of a Ray cluster (default: this process only)",
    )


def _finding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--detector",
        type=paths.name_or_place,
        default="pocket",
        metavar="NAME",
        help="a GroundingDINO's folder or .pth file (default pocket, for the sprite world)",
    )
    parser.add_argument(
        "--rule",
        default="published",
        help="which frames and videos are valid: published, as in the paper, or default, which tolerates short gaps "
        "and extra detections but not things that jump or vanish (default published)",
    )


def _read(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=paths.written, metavar="FILE", help="sentences: JSON list, CSV table or one per line"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def _score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", type=paths.written, metavar="RUN|FILE", help="a run folder, or a JSON file of boxes"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.add_argument(
        "--rule",
        help="which frames of a FILE are valid: published or default, see `detect --help` (default: "
        "published for cases, default for clips)",
    )
    _set(parser)
    _split(parser)


def _pairs(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _split(parser, "train")
    add = parser.add_argument
    add("--threshold", type=float, default=0.7, help="least score of a winner (default 0.7)")
    add(
        "--min-margin",
        type=float,
        default=0.0,
        metavar="X",
        help="least difference between the scores of winner and loser (default 0)",
    )
    add("--mode", default="all", help="all, or best_worst for one pair per prompt (default all)")
    add("--max-pairs", type=int, metavar="N", help="most pairs per prompt text (default: no limit)")
    add(
        "--retell",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="hindsight relabelling: pair the videos under the other relation changes too (default)",
    )
    for name, what in (
        ("keep", "always use this pair"),
        ("drop", "never use this pair"),
        ("forget", "use the scores again for this pair"),
    ):
        add(
            f"--{name}",
            nargs=3,
            action="append",
            default=[],
            metavar=("PROMPT", "WINNER", "LOSER"),
            help=f"{what}, named by its two seeds; can be repeated",
        )


def _train(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _training(parser)
    add = parser.add_argument
    add("--name", default="spatialalign", help="name of the LoRA file (default spatialalign)")
    add(
        "--lr",
        type=float,
        dest="train_learning_rate",
        metavar="X",
        help="learning rate (default: the preset's)",
    )
    add("--loss", dest="train_loss", help="dpo, dpo+zo, sft, dpo+sft or dpo+zo+sft (default: the preset's)")
    _lora(parser)
    add("--seed", type=int, dest="train_seed", metavar="N", help="order of pairs and noise")
    add(
        "--checkpoint-every",
        type=int,
        dest="train_checkpoint_every",
        metavar="N",
        help="steps between checkpoints",
    )
    add("--plan", default="auto", metavar="NAME", help="memory plan (default auto: the fastest that fits)")
    add("--memory", type=float, metavar="GIB", help="most memory to use (default: the free memory)")
    add("--plans", action="store_true", help="list the memory that each plan needs, and stop")
    add(
        "--compile",
        action="store_true",
        help="compile the model first (torch.compile): takes a minute or two, then each step is faster",
    )
    add("--optimizer", dest="train_optimizer", help="adamw, adamw_fused or adamw_8bit (default adamw)")
    add(
        "--average",
        type=float,
        dest="train_average",
        metavar="X",
        help="save a moving average of the weights with this decay, such as 0.99",
    )
    add(
        "--check-every",
        type=int,
        default=0,
        metavar="N",
        help="steps between checks of held-out videos (default 0: no checks)",
    )
    add("--check-prompts", type=int, default=8, metavar="N", help="held-out videos per check (default 8)")
    add(
        "--patience",
        type=int,
        default=0,
        metavar="N",
        help="stop after N checks without improvement (default 0: never)",
    )
    add(
        "--detector",
        type=paths.name_or_place,
        metavar="NAME",
        help="object detector for held-out videos (default pocket, for the sprite world)",
    )
    add(
        "--continue-from",
        type=paths.existing,
        metavar="FILE",
        help="start from this LoRA instead of a new one",
    )
    add("--tensorboard", action="store_true", help="also write a TensorBoard log to RUN/tensorboard")


def _rounds(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _training(parser)
    add = parser.add_argument
    add("--rounds", type=int, default=5, metavar="N", help="most rounds (default 5)")
    add(
        "--patience",
        type=int,
        default=1,
        metavar="N",
        help="stop after N rounds without improvement (default 1)",
    )
    add(
        "--seeds",
        type=int,
        default=4,
        metavar="N",
        help="new videos per training prompt in each round (default 4)",
    )
    add("--held-out-seeds", type=int, default=3, metavar="N", help="videos per held-out prompt (default 3)")
    add("--name", default="spatialalign", help="name of the LoRA file (default spatialalign)")
    add(
        "--lr",
        type=float,
        dest="train_learning_rate",
        metavar="X",
        help="learning rate (default: the preset's)",
    )
    _lora(parser)
    add("--seed", type=int, dest="train_seed", metavar="N", help="seed of the training")
    add("--plan", default="auto", metavar="NAME", help="memory plan (default auto: the fastest that fits)")
    add("--batch", type=int, default=8, metavar="N", help="videos at once (default 8)")
    add("--workers", metavar="N|ray", help="as in generate; ray is used for detection too")
    _finding(parser)
    _videos(parser, "--sampling-steps")


def _lora(parser: argparse.ArgumentParser) -> None:
    """What is trained, and how it is held."""
    add = parser.add_argument
    add("--rank", type=int, dest="train_rank", metavar="N", help="rank of the LoRA (default: the preset's)")
    add("--targets", dest="train_targets", help="layers: published or wide (default: the preset's)")
    add(
        "--pairs-per-step", type=int, dest="train_pairs_per_step", metavar="N", help="pairs per training step"
    )
    add(
        "--beta",
        type=float,
        dest="train_beta",
        metavar="X",
        help="DPO beta: strength of the preference term (default: the preset's)",
    )
    add("--warmup", type=int, dest="train_warmup", metavar="N", help="steps until the full learning rate")
    add(
        "--regularisation",
        type=float,
        dest="train_zo_weight",
        metavar="X",
        help="weight of the term that keeps the model as it was (lambda; default: the preset's)",
    )


def _control(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("action", metavar="ACTION", help="pause, resume, save, sample or stop")


def _training(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    parser.add_argument("--preset", default="default", help="default or published (default: default)")
    parser.add_argument(
        f"--{prefix}steps",
        type=int,
        dest="train_steps",
        metavar="N",
        help="training steps (default: the preset's)",
    )


def _estimate(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _training(parser, "train-")
    add = parser.add_argument
    add("--seeds", type=int, default=5, metavar="N", help="videos of each training prompt (default 5)")
    add("--held-out-seeds", type=int, default=5, metavar="N", help="of each held-out prompt (default 5)")
    add("--pairs-per-step", type=int, dest="train_pairs_per_step", metavar="N")
    add("--check-every", type=int, default=0, metavar="N", help="steps between looks (default 0: none)")
    add("--tflops", type=float, metavar="X", help="speed of another machine (default: this one's, measured)")
    _videos(parser, "--steps")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _split(parser, "held_out")
    add = parser.add_argument
    add("--tau", type=float, default=0.7, help="score that a video needs to obey (default 0.7)")
    add("--seeds", type=int, metavar="N", help="only seeds below N (default: all)")
    add(
        "--bootstrap",
        type=int,
        default=2000,
        metavar="N",
        help="bootstrap resamples per interval (default 2000)",
    )


def _compare(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _split(parser, "held_out")
    add = parser.add_argument
    for side in "ab":
        add(
            f"--lora-{side}", type=paths.existing, metavar="FILE", help=f"LoRA of side {side} (default: none)"
        )
        add(f"--strength-{side}", type=float, default=1.0, metavar="X", help="its strength (default 1)")
    add("--seeds", type=int, default=2, metavar="N", help="videos per prompt on each side (default 2)")
    add("--tau", type=float, default=0.7, help="score that a video needs to obey (default 0.7)")
    add("--batch", type=int, default=8, metavar="N", help="videos at once (default 8)")
    add("--workers", type=int, metavar="N", help="CPU processes (default: chosen by the amount of work)")
    _finding(parser)


def _quickstart(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        type=paths.run_folder,
        default="runs/quickstart",
        metavar="FOLDER",
        help="default: runs/quickstart",
    )
    _model(parser)
    add = parser.add_argument
    add("--train-prompts", type=int, metavar="N", help="training prompts")
    add("--held-out", type=int, metavar="N", help="held-out prompts")
    add("--train-seeds", type=int, metavar="N", help="videos of each training prompt")
    add("--seeds", type=int, metavar="N", help="videos of each held-out prompt, before and after")
    add("--workers", type=int, metavar="N", help="CPU processes (default: chosen by the amount of work)")
    _training(parser, "train-")


_ADD: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "prompts": _prompts,
    "generate": _generate,
    "collect": _collect,
    "detect": _detect,
    "read": _read,
    "score": _score,
    "pairs": _pairs,
    "train": _train,
    "rounds": _rounds,
    "control": _control,
    "estimate": _estimate,
    "evaluate": _evaluate,
    "compare": _compare,
    "quickstart": _quickstart,
    "runs": add_runs,
}


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=paths.run_folder, metavar="RUN", help="the run folder")


def _model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--model",
        type=paths.name_or_place,
        default="pocket",
        help="pocket, or a folder in diffusers layout (default pocket)",
    )
    add(
        "--expert",
        help="which network of a two-network model to train: 'high noise' (default) or 'low noise'",
    )
    add("--device", help="cpu, cuda, cuda:1 ... (default: cuda if available)")


def _set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", default="base", help="base or aligned (default base)")


def _split(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    shown = default or "all"
    parser.add_argument(
        "--split", default=default, help=f"only these prompts: train or held_out (default {shown})"
    )
