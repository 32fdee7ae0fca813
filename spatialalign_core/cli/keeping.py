"""The verb `runs`: looking after run folders."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import SpatialAlignError
from . import paths


def add_runs(parser: argparse.ArgumentParser) -> None:
    """The verbs below `runs`."""
    choices = parser.add_subparsers(
        title="what to do", metavar="DO", required=True, parser_class=type(parser)
    )
    folder = {"type": paths.run_folder, "help": "the folder in which the runs lie (default: runs)"}

    def verb(
        name: str, about: str, work: Callable[[argparse.Namespace], None], run: bool = True
    ) -> argparse.ArgumentParser:
        child = choices.add_parser(name, help=about, description=about)
        if run:
            child.add_argument("run", type=paths.run_folder, metavar="RUN", help="the run folder")
        else:
            child.add_argument("folder", nargs="?", default="runs", metavar="FOLDER", **folder)  # type: ignore[arg-type]
        child.set_defaults(work=work)
        return child

    verb("list", "the runs of a folder, with their size, result and note", _list, run=False).add_argument(
        "--find",
        default="",
        metavar="WORDS",
        help="only those with these words in name, note, prompts or model",
    )
    verb("note", "write a note into a run; without one, print it", _note).add_argument(
        "text", nargs="?", metavar="TEXT", help='the note; "" takes it away'
    )
    child = verb("rename", "give a run another name", _rename)
    child.add_argument("name", metavar="NAME", help="a plain name")
    child.add_argument("--loras", action="store_true", help="rename its LoRAs on ComfyUI's list too")
    child = verb("duplicate", "a new run with the same prompts, note and workflow", _duplicate)
    child.add_argument("name", metavar="NAME", help="a plain name")
    child.add_argument(
        "--videos", action="store_true", help="with the videos without LoRA, their tracks and scores"
    )
    child = verb("delete", "move a run to the bin beside it, and say what else uses it", _delete)
    child.add_argument("--loras", action="store_true", help="its LoRAs on ComfyUI's list too")
    verb("bin", "the deleted runs of a folder", _bin, run=False)
    child = verb("restore", "put a deleted run back", _restore, run=False)
    child.add_argument(
        "--number", type=int, metavar="N", help="of the run in the bin (default: the last one)"
    )
    child = verb("empty", "delete for good what lies in the bin", _empty, run=False)
    child.add_argument("--number", type=int, metavar="N", help="only this run of the bin")
    child.add_argument("--yes", action="store_true", help="do it; without, only what would be freed is shown")
    child = verb("share", "pack a run into a zip file", _share)
    child.add_argument("file", type=paths.written, metavar="ZIP", help="the file to write")
    child.add_argument(
        "--with",
        dest="parts",
        metavar="PARTS",
        help="comma-separated, of report, lora, scores, comparisons, workflow, videos (default: all but videos)",
    )
    child = verb("slim", "free room: without --free, what can go and what that costs", _slim)
    child.add_argument(
        "--free", metavar="PARTS", help="comma-separated, of unused, training, pairs, checkpoints"
    )


def runs(options: argparse.Namespace) -> None:
    """Look after run folders."""
    options.work(options)


def _list(options: argparse.Namespace) -> None:
    from ..run.listing import list_runs
    from ..run.sizes import run_sizes

    root = Path(options.folder)
    for run in list_runs(root, find=options.find):
        words = [run["name"], _bytes(run_sizes(root / run["name"]).total), run["state"], _day(run["changed"])]
        if run["result"]:
            words.append(f"{run['result']['before']:.0%} to {run['result']['after']:.0%}".replace("%", " %"))
        print("\t".join([*words, *([" ".join(run["note"].split())] if run["note"] else [])]))


def _note(options: argparse.Namespace) -> None:
    from ..run.note import read_note, write_note

    if options.text is not None:
        write_note(_existing(options), options.text)
    elif note := read_note(_existing(options)):
        print(note)


def _rename(options: argparse.Namespace) -> None:
    from ..run.renaming import rename_run

    renamed = rename_run(_existing(options), options.name, _lists(options.run), options.loras)
    print(renamed.folder)
    for before, after in renamed.loras.items():
        print(f"{before} is {after} on Load LoRA's list now.")


def _duplicate(options: argparse.Namespace) -> None:
    from ..run.duplicating import duplicate_run

    print(duplicate_run(_existing(options), options.name, options.videos))


def _delete(options: argparse.Namespace) -> None:
    from ..run.bin import delete_run
    from ..run.uses import run_uses

    said = {
        "list": "{name} is a copy on Load LoRA's list and stays usable.",
        "link": "{name} on Load LoRA's list is a link into the run and does not work without it.",
        "continued": "The LoRA {name} of the run {where} was trained on from it, and is whole without it.",
        "compared": "The comparison {name} of the run {where} names its LoRA, and can still be opened.",
    }
    folder = _existing(options)
    uses = [
        use
        for use in run_uses(folder, _lists(folder))
        if not (options.loras and use.kind in ("list", "link"))
    ]
    deleted = delete_run(folder, _lists(folder), options.loras)
    print(f"{deleted.name} is number {deleted.number} of the bin, {_bytes(deleted.bytes)}.")
    for use in uses:
        print(said[use.kind].format(name=use.name, where=use.where))


def _bin(options: argparse.Namespace) -> None:
    from ..run.bin import list_bin

    for each in list_bin(Path(options.folder)):
        print("\t".join([str(each.number), each.name, _bytes(each.bytes), _day(each.deleted)]))


def _restore(options: argparse.Namespace) -> None:
    from ..run.bin import list_bin, restore_run

    root, number = Path(options.folder), options.number
    if number is None:
        thrown = list_bin(root)
        if not thrown:
            raise SpatialAlignError(f"The bin of {root} is empty.")
        number = thrown[0].number
    print(restore_run(root, number))


def _empty(options: argparse.Namespace) -> None:
    from ..run.bin import empty_bin, list_bin

    root = Path(options.folder)
    if options.yes:
        print(f"{_bytes(empty_bin(root, options.number))} are free now.")
        return
    chosen = [each for each in list_bin(root) if options.number in (None, each.number)]
    print(
        f"{len(chosen)} runs, {_bytes(sum(each.bytes for each in chosen))}. Add --yes to delete them for good."
    )


def _share(options: argparse.Namespace) -> None:
    from ..files import atomic_path
    from ..run.sharing import USUAL, share_zip

    parts = USUAL if options.parts is None else [part.strip() for part in options.parts.split(",")]
    pieces = share_zip(_existing(options), parts)
    with atomic_path(options.file) as temporary, temporary.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    print(options.file)


def _slim(options: argparse.Namespace) -> None:
    from ..run.slimming import slim_parts, slim_run

    folder = _existing(options)
    if options.free is not None:
        print(f"{_bytes(slim_run(folder, [part.strip() for part in options.free.split(',')]))} are free now.")
        return
    for part in slim_parts(folder):
        costs = {
            "unused": "costs nothing: these latents are never trained on",
            "training": f"training on other pairs takes encoding {part.videos} videos again",
            "pairs": "training again takes exporting the pairs again",
            "checkpoints": "a longer training begins at step 1"
            if part.step is None
            else f"the training that stopped after step {part.step} begins again",
        }
        seconds = f", about {part.seconds / 60:.0f} min" if part.seconds else ""
        copies = f"; {part.copies} more have a copy in the pairs" if part.copies else ""
        print(f"{part.name}\t{_bytes(part.bytes)}\t{costs[part.name]}{seconds}{copies}")


def _existing(options: argparse.Namespace) -> Path:
    folder = Path(options.run).expanduser().absolute()
    if not folder.is_dir():
        raise SpatialAlignError(f"There is no run folder {folder}; check its name.")
    return folder


def _lists(run: Path) -> list[Path]:
    """Load LoRA's list, where the run lies in ComfyUI's output folder."""
    root = Path(run).expanduser().absolute().parent
    return [root.parent / "loras"] if root.name == "spatialalign" else []


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
