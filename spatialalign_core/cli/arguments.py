"""What the command line understands, and the help that teaches it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from textwrap import dedent
from typing import Any, NoReturn

from ..errors import SpatialAlignError

_COMMAND = "python -m spatialalign_core"

_ABOUT = f"""
    Teach a video model where things go: "left of, then right of".

    The loop, one verb a stage. Everything lies in one run folder; each verb goes on where it stopped,
    and does nothing that is done already.

        prompts -> generate -> detect -> score -> pairs -> train -> generate, detect, score -> evaluate
                   (base)                                           (aligned)

    Two LoRAs or strengths against each other: compare.

    See the whole loop on the small bundled model:   {_COMMAND} quickstart
    Read about one stage:                            {_COMMAND} train --help
"""

_HELP: dict[str, tuple[str, str]] = {
    "prompts": (
        "make or import the prompt set of a run",
        """
        Write prompts.csv: sentences that say where the subject is first and where it goes.

        Without word lists the words of the pocket model's sprite world are used. Held-out prompts are for judging:
        no combination of subject, object and relation change is in both parts. L is left of, R right of, T on top of;
        LR means "left of, then right of".

        Examples:
          prompts runs/first --count 24 --held-out 12
          prompts runs/cats --subjects "cat,dog" --objects "box,chair" --changes LR,RL --verbs "jumps,walks" --count 8
          prompts runs/eval --file eval120.csv         a table with the published columns
        """,
    ),
    "generate": (
        "make videos of every prompt",
        """
        Make the videos of seeds 0 .. N-1 of every prompt, with latents and noise, into samples/<set>/.

        The set "base" is the model as it is; "aligned" is made with the LoRA that `train` has made (or --lora FILE).
        The same prompt and seed start from the same noise in both. Finished videos are not made again.

        Examples:
          generate runs/first --seeds 8
          generate runs/first --seeds 5 --split held_out --set aligned
          generate runs/big --model models/Wan2.1-T2V-1.3B-Diffusers --seeds 4 --batch 1
        """,
    ),
    "collect": (
        "take videos of another program into a run",
        """
        Put videos that were made elsewhere, all of one sentence, where `generate` would have put its own, so that
        `detect`, `score`, `pairs` and `train` go on from them. Their latents are encoded by `pairs`, with the model
        that is to learn; all videos of a run must be of one size and length.

        Examples:
          collect runs/own clip1.mp4 clip2.mp4 --sentence "a cat is on the left of a box, then it jumps on top of it"
          collect runs/own clip9.mp4 --seed 9 --sentence "..."
        """,
    ),
    "detect": (
        "find subject and object in every frame",
        """
        Look for subject and object in every frame of the videos, into tracks/<set>/. A video that cannot be read is
        set aside with its reason, the others go on.

        Examples:
          detect runs/first
          detect runs/first --set aligned
        """,
    ),
    "score": (
        "score how well videos obey their prompts",
        """
        The published DSR-Score, 0 to 1: is the subject at the first relation at the start, at the last one at the end,
        and did both change. From 0.7 on a video counts as obeying. A video in which too little was found is INVALID.

        RUN scores the tracks of a run folder into scores.csv. FILE scores boxes that were detected elsewhere, by the
        published rule of 20 counted frames:
          {"cases": [{"id": "a", "relation": "LR", "subject": "cat", "object": "box",
                      "frames": [{"frame": 0, "boxes": {"cat": [x0, y0, x1, y1], "box": [...]}}, ...]}, ...]}
        --json prints [{id, valid, reason, dsr, initial_ssr, final_ssr, initial_gap, final_gap, scored_frames}, ...].

        Examples:
          score runs/first
          score boxes.json --json
        """,
    ),
    "pairs": (
        "choose winners and losers to learn from",
        """
        For each training prompt, pair videos that obey (winners) with videos that do not (losers), into pairs/: a
        folder that Hugging Face `datasets` loads, with latents and text embeddings. A video that obeys another
        change than it was asked for wins under the sentence that tells of that one (--no-retell: not so), but no
        sentence is told of what a held-out prompt asks for. When nothing can be paired, the explanation says what
        helps.

        Examples:
          pairs runs/first
          pairs runs/first --min-margin 0.2 --mode best_worst
          pairs runs/first --drop cat_box_LR 3 5          never seed 3 over seed 5 of that prompt, whatever they score
          pairs runs/first --keep cat_box_LR~RL 2 0       always, under the sentence that tells of RL
        """,
    ),
    "train": (
        "train a LoRA on the pairs",
        """
        Preference training (DPO with zeroth-order regularisation) of a LoRA that ComfyUI's own Load LoRA takes, into
        lora/<name>.safetensors. Stop it whenever you like: it goes on from the last checkpoint, with the same result.

        The preset "default" is what works best here; "published" is the recipe of the SpatialAlign paper.

        Memory: the fastest plan that fits is found before the model is loaded; when the memory is full all the same,
        the training goes on from the last step with the next plan. --plans shows what each plan needs.
        Watching: --check-every makes and scores the same few held-out videos now and then, notes their score in
        training.csv beside the loss, and leaves the LoRA with the best score. `control` talks to it while it runs.

        Examples:
          train runs/first
          train runs/first --preset published --steps 600 --name published
          train runs/first --check-every 50 --patience 4
          train runs/big --model models/Wan2.1-T2V-1.3B-Diffusers --memory 16
        """,
    ),
    "control": (
        "pause, resume, save, sample or stop a training that runs",
        """
        Ask the training that works in this run folder, from another terminal, to rest between two steps with everything
        saved (pause), to go on (resume), to save a checkpoint and its LoRA now (save), or to make and score its
        held-out videos now (sample; for a training started with --check-every or --detector), or to end here with
        everything saved (stop). Prints what the training said last.

        Examples:
          control runs/first pause
          control runs/first resume
        """,
    ),
    "evaluate": (
        "compare before and after, write the report",
        """
        Compare base and aligned videos of the held-out prompts, same seeds: accuracy with 95 % intervals, per relation
        change, videos side by side. Writes report.html (one file, opens anywhere) and report.json, prints a summary.

        Examples:
          evaluate runs/first
          evaluate runs/first --tau 0.6
        """,
    ),
    "compare": (
        "compare two LoRAs, or two strengths, side by side",
        """
        Make, find and score videos of the same prompts and noise with LoRA A and with LoRA B, or without any, and write
        comparisons/<a>--<b>/: comparison.json with accuracies and their 95 % intervals, and picture.png to share.
        Leave a LoRA out to compare with the model as it is. Finished videos are not made again.

        Examples:
          compare runs/first --lora-b runs/first/lora/spatialalign.safetensors
          compare runs/first --lora-a my.safetensors --strength-a 0.5 --lora-b my.safetensors --strength-b 1
        """,
    ),
    "quickstart": (
        "the whole loop on the pocket model",
        """
        Everything in one go, on the small model that comes with the pack; some minutes on two CPU cores. Ends with the
        path of the report and one line of JSON. Stop it whenever you like: the same command goes on where it stopped.

        Examples:
          quickstart
          quickstart --run runs/tiny --train-prompts 12 --held-out 6 --train-seeds 4 --seeds 2 --train-steps 20
        """,
    ),
}  # fmt: skip


class _Parser(argparse.ArgumentParser):
    """Speaks of its errors as everything else here does."""

    def error(self, message: str) -> NoReturn:
        raise SpatialAlignError(f"{message[0].upper()}{message[1:].rstrip('.')}. See `{self.prog} --help`.")


def build_parser(verbs: Mapping[str, Callable[[argparse.Namespace], Any]]) -> argparse.ArgumentParser:
    """The parser; parsed options carry the chosen function as `verb`."""
    parser = _Parser(
        prog=_COMMAND, description=dedent(_ABOUT), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)
    for name, verb in verbs.items():
        summary, lesson = _HELP[name]
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
    add("--file", metavar="CSV", help="import this table instead of making prompts")
    add("--count", type=int, metavar="N", help="training prompts (default: every combination once)")
    add("--held-out", type=int, default=0, metavar="N", help="prompts kept for judging (default 0)")
    for name in ("subjects", "objects", "scenes", "verbs"):
        add(f"--{name}", metavar="WORDS", help="comma-separated; default: those of the sprite world")
    add("--changes", metavar="CODES", help="comma-separated, of LR RL LT TL RT TR (default: all)")
    add("--seed", type=int, default=0, help="another seed draws other combinations (default 0)")


def _generate(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _set(parser)
    _split(parser)
    add = parser.add_argument
    add("--seeds", type=int, default=5, metavar="N", help="videos of each prompt (default 5)")
    add("--lora", metavar="FILE", help="make them with this LoRA (the set aligned: default the run's own)")
    add("--strength", type=float, default=1.0, help="strength of the LoRA (default 1)")
    add(
        "--batch", type=int, default=8, metavar="N", help="videos at once; fewer need less memory (default 8)"
    )
    add("--workers", type=int, metavar="N", help="processes on a CPU (default: as many as suit)")
    add(
        "--memory",
        default="auto",
        help="card: the whole model on the card; parts: only the part at work; auto: what fits (default auto)",
    )
    add("--compile", action="store_true", help="compile the model first: a minute of waiting, then faster")
    add("--steps", type=int, metavar="N", help="denoising steps (default: the model's)")
    add(
        "--guidance",
        type=float,
        dest="guidance_scale",
        metavar="X",
        help="guidance scale (default: the model's)",
    )
    for name in ("height", "width"):
        add(f"--{name}", type=int, metavar="PIXELS", help="(default: the model's)")
    add("--frames", type=int, dest="num_frames", metavar="N", help="frames a video (default: the model's)")
    add("--fps", type=float, help="frames a second (default: the model's)")
    add("--negative-prompt", metavar="TEXT", help="what not to show (default: the model's)")


def _collect(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    add = parser.add_argument
    add("videos", nargs="+", metavar="VIDEO", help="video files")
    add("--sentence", required=True, metavar="TEXT", help="what they were asked to show")
    add("--seed", type=int, default=0, metavar="N", help="number of the first; the others follow (default 0)")


def _detect(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _set(parser)
    _split(parser)
    parser.add_argument(
        "--detector", default="sprites", metavar="NAME", help="default: sprites, for the sprite world"
    )
    parser.add_argument(
        "--rule",
        default="published",
        help="what counts: published, as in the paper, or default, which forgives short gaps and extra finds but "
        "not things that jump or vanish (default published)",
    )
    parser.add_argument("--masks", action="store_true", help="keep the masks too")


def _score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="RUN|FILE", help="a run folder, or a JSON file of boxes")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    _set(parser)
    _split(parser)


def _pairs(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _split(parser, "train")
    add = parser.add_argument
    add("--threshold", type=float, default=0.7, help="winners score at least this (default 0.7)")
    add(
        "--min-margin",
        type=float,
        default=0.0,
        metavar="X",
        help="winner minus loser at least this (default 0)",
    )
    add("--mode", default="all", help="all, or best_worst for one pair a prompt (default all)")
    add("--max-pairs", type=int, metavar="N", help="most pairs of one text (default: no limit)")
    add(
        "--retell",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="pair the videos under the other relation changes too (default)",
    )
    for name, what in (
        ("keep", "always use this pair"),
        ("drop", "never use this pair"),
        ("forget", "as scored"),
    ):
        add(
            f"--{name}",
            nargs=3,
            action="append",
            default=[],
            metavar=("PROMPT", "WINNER", "LOSER"),
            help=f"{what}; two seeds. May be given many times",
        )


def _train(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _training(parser)
    add = parser.add_argument
    add("--name", default="spatialalign", help="of the LoRA file (default spatialalign)")
    add("--lr", type=float, dest="train_learning_rate", metavar="X", help="learning rate")
    add("--beta", type=float, dest="train_beta", metavar="X", help="how hard preferences pull")
    add("--loss", dest="train_loss", help="dpo, dpo+zo, sft or dpo+sft")
    add("--rank", type=int, dest="train_rank", metavar="N", help="rank of the LoRA")
    add("--pairs-per-step", type=int, dest="train_pairs_per_step", metavar="N")
    add("--seed", type=int, dest="train_seed", metavar="N")
    add(
        "--checkpoint-every",
        type=int,
        dest="train_checkpoint_every",
        metavar="N",
        help="steps between checkpoints",
    )
    add("--plan", default="auto", metavar="NAME", help="memory plan (default auto: the fastest that fits)")
    add("--memory", type=float, metavar="GIB", help="most memory to use (default: what is free)")
    add("--plans", action="store_true", help="show what each plan needs and stop")
    add("--optimizer", dest="train_optimizer", help="adamw, adamw_fused or adamw_8bit (default adamw)")
    add("--average", type=float, dest="train_average", metavar="X", help="leave an average, such as 0.99")
    add("--check-every", type=int, default=0, metavar="N", help="steps between looks (default 0: none)")
    add("--check-prompts", type=int, default=8, metavar="N", help="held-out videos a look (default 8)")
    add("--patience", type=int, default=0, metavar="N", help="stop after N looks without a better score")
    add(
        "--detector",
        metavar="NAME",
        help="finds things in held-out videos (default sprites, for the sprite world)",
    )
    add("--tensorboard", action="store_true", help="a log for TensorBoard too, in RUN/tensorboard")


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


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _split(parser, "held_out")
    add = parser.add_argument
    add("--tau", type=float, default=0.7, help="a video obeys from this score on (default 0.7)")
    add("--seeds", type=int, metavar="N", help="only seeds below N (default: all)")
    add(
        "--bootstrap",
        type=int,
        default=2000,
        metavar="N",
        help="resamples behind each interval (default 2000)",
    )


def _compare(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    _model(parser)
    _split(parser, "held_out")
    add = parser.add_argument
    for side in "ab":
        add(f"--lora-{side}", metavar="FILE", help=f"LoRA of side {side} (default: none)")
        add(f"--strength-{side}", type=float, default=1.0, metavar="X", help="its strength (default 1)")
    add("--seeds", type=int, default=2, metavar="N", help="videos of each prompt, each way (default 2)")
    add("--tau", type=float, default=0.7, help="a video obeys from this score on (default 0.7)")
    add("--batch", type=int, default=8, metavar="N", help="videos at once (default 8)")
    add("--workers", type=int, metavar="N", help="processes on a CPU (default: as many as suit)")
    add("--detector", default="sprites", metavar="NAME", help="default: sprites, for the sprite world")
    add("--rule", default="published", help="what counts: published or default (default published)")


def _quickstart(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", default="runs/quickstart", metavar="FOLDER", help="default: runs/quickstart")
    _model(parser)
    add = parser.add_argument
    add("--train-prompts", type=int, metavar="N", help="prompts to learn from")
    add("--held-out", type=int, metavar="N", help="prompts to judge with")
    add("--train-seeds", type=int, metavar="N", help="videos of each training prompt")
    add("--seeds", type=int, metavar="N", help="videos of each held-out prompt, before and after")
    add("--workers", type=int, metavar="N", help="processes on a CPU (default: as many as suit)")
    _training(parser, "train-")


_ADD: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "prompts": _prompts,
    "generate": _generate,
    "collect": _collect,
    "detect": _detect,
    "score": _score,
    "pairs": _pairs,
    "train": _train,
    "control": _control,
    "evaluate": _evaluate,
    "compare": _compare,
    "quickstart": _quickstart,
}


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the run folder")


def _model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", default="pocket", help="pocket, or a folder in diffusers layout (default pocket)")
    add("--device", help="cpu, cuda, cuda:1 ... (default: cuda where there is one)")


def _set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", default="base", help="base or aligned (default base)")


def _split(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    shown = default or "all"
    parser.add_argument(
        "--split", default=default, help=f"only these prompts: train or held_out (default {shown})"
    )
