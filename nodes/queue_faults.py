"""What can be wrong with a workflow and is seen from its widgets and wires alone.

Each check is a generator of faults in one place. It says only what is certain: what comes through wires of other packs
is checked when it is there, by the stages themselves.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..spatialalign_core.detect.vocabulary import check_words
from ..spatialalign_core.errors import SpatialAlignError
from ..spatialalign_core.files import check_folder
from ..spatialalign_core.models.file_kinds import recognise_file
from ..spatialalign_core.prompts import DsrPrompt, split_words
from ..spatialalign_core.run import Run
from ..spatialalign_core.run.comparing import same_sides
from ..spatialalign_core.weight_files import read_shapes
from . import places, video_files
from .compare import SPLITS as COMPARED
from .compare import no_own_lora
from .detect_track import no_words
from .evaluate import NO_LORA
from .external_detections import needs_both, nothing_to_find_with
from .failures import outright
from .generate import SPLITS as GENERATED
from .pictures import either
from .prompt_set import PromptSet
from .sentences import understood
from .sprite_clip import sprite_prompt
from .train_lora import NO_DETECTOR
from .workflow import Workflow, is_link

TITLES = {"ScoreVideo": "Score Video", "PickBest": "Pick Best", "DetectTrack": "Detect & Track"}
_LOOKING = (*TITLES, "DrawTracks", "CollectSample")
_EXTERNAL = ("subject_mask", "object_mask", "subject_boxes", "object_boxes")
_BY_RUN = ("Detect", "Evaluate", "Rounds", "Compare", "TrainLora")
_JUDGES = {"Evaluate": "Evaluate", "Rounds": "Rounds", "Compare": "Compare", "TrainLora": "check_every"}
CHECKED_HERE = {"LoadDetector": ("detector", "masks"), "LoadVideoModel": ("model",)}
"""Inputs whose values may not be on their lists: a model that is damaged or gone says so in words of its own."""
_LEARNED = ("TrainLora", "Rounds")
# Of a stage: its name, the stage before it, by name and class, and what that leaves in the run folder.
_STAGES = {
    "Score": ("Score", "Detect", ("Detect",), "tracks"),
    "ExportPairs": ("Export Pairs", "Score", ("Score",), "scores.csv"),
    "TrainLora": ("Train Spatial LoRA", "Export Pairs", ("ExportPairs",), "pairs"),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a node of a class; input: the one to blame, "" for the node as a whole."""

    node: str
    kind: str
    input: str
    sentence: str


def faults(workflow: Workflow) -> list[Fault]:
    """All faults, at most one of an input. A check that fails itself says nothing: the nodes are still to come."""
    found: dict[tuple[str, str], Fault] = {}
    for check in CHECKS:
        try:
            for node, input, sentence in check(workflow):
                fault = Fault(node, workflow.kind(node), input, sentence)
                found.setdefault((node, input), fault)
        except Exception:
            logging.exception("SpatialAlign: a check of the queued workflow failed")
    return list(found.values())


_Found = Iterator[tuple[str, str, str]]  # node, input, sentence


def _models(workflow: Workflow) -> _Found:
    for id in workflow.of("LoadDetector"):
        for name, find in (("detector", places.detector_place), ("masks", places.mask_model)):
            value = workflow.value(id, name)
            if isinstance(value, str):
                yield from _raised(id, name, find, value)
    for id in workflow.of("LoadVideoModel"):
        value = workflow.value(id, "model")
        if isinstance(value, str):
            yield from _raised(id, "model", _video_model, value)


def _video_model(name: str) -> None:
    found = video_files.place(name)
    if isinstance(found, Path) and found.is_file():
        recognise_file(found)


def _sentences(workflow: Workflow) -> _Found:
    for id in workflow.of("PromptFromSentence", "SpriteClip", *_LOOKING):
        sentence, kind = workflow.value(id, "sentence"), workflow.kind(id)
        if not isinstance(sentence, str) or (kind == "CollectSample" and workflow.source(id, "prompts")):
            continue
        if kind == "DetectTrack" and not sentence.strip():
            for name in ("subject", "object"):
                word = workflow.value(id, name)
                if isinstance(word, str) and not word.strip():
                    yield id, name, no_words()
        if sentence.strip() or kind not in ("DetectTrack", "DrawTracks"):
            read = sprite_prompt if kind == "SpriteClip" else understood
            yield from _raised(id, "sentence", read, sentence)


def _wires(workflow: Workflow) -> _Found:
    for id in workflow.of(*_LOOKING):
        inputs, kind = workflow.inputs(id), workflow.kind(id)
        title = TITLES.get(kind) or {"DrawTracks": "Draw Tracks"}.get(kind, "Collect Sample")
        pictures = [name for name in ("images", "video") if is_link(inputs.get(name))]
        masks = kind == "DetectTrack" and is_link(inputs.get("subject_mask"))
        if len(pictures) == 2 or (not pictures and not masks):
            yield id, "", either(title)
        given = any(is_link(inputs.get(name)) for name in ("detector", *_EXTERNAL))
        if kind in TITLES and not given:
            yield id, "", nothing_to_find_with(title)
        for what in ("mask", "boxes"):
            there = [is_link(inputs.get(f"{thing}_{what}")) for thing in ("subject", "object")]
            if any(there) and not all(there):
                yield id, "", needs_both(title, "object" if there[0] else "subject", what)
    for id in workflow.of("TrainLora"):
        every = workflow.value(id, "check_every")
        if isinstance(every, int) and every > 0 and not workflow.source(id, "detector"):
            yield id, "check_every", NO_DETECTOR


def _prompt_sets(workflow: Workflow) -> _Found:
    for id in workflow.of("PromptSet"):
        made = _made(workflow, id)
        if isinstance(made, SpatialAlignError):
            yield id, _blamed(workflow, id, str(made)), str(made)


def _made(workflow: Workflow, id: str) -> list[DsrPrompt] | SpatialAlignError | None:
    """The prompts of a node, or what is wrong with its widgets; None where they are not known yet."""
    if id not in workflow.known:
        inputs, made = workflow.inputs(id), None
        with contextlib.suppress(TypeError, KeyError, ValueError):  # an input is missing: ComfyUI says so
            try:
                if any(map(is_link, inputs.values())):
                    made = None
                elif workflow.kind(id) == "PromptSet":
                    made = list(outright(PromptSet, inputs).args[0])
                elif workflow.kind(id) == "PromptFromSentence":
                    made = [understood(str(inputs["sentence"]))]
            except SpatialAlignError as error:
                made = error
        workflow.known[id] = made
    return workflow.known[id]


def _blamed(workflow: Workflow, id: str, sentence: str) -> str:
    """The one input of a Prompt Set that the sentence names; else the one that its prompts are written in."""
    inputs = workflow.inputs(id)
    named = [name for name in inputs if re.search(rf"(?<![\w.]){name}(?!\w)", sentence)]
    return named[0] if named else _written_in(workflow, id)


def _words(workflow: Workflow) -> _Found:
    """Nouns that a bundled detector, or one in a folder, does not know."""
    for id in workflow.of(*TITLES, *_BY_RUN):
        loader = workflow.source(id, "detector")
        name = workflow.value(loader, "detector") if loader in workflow.of("LoadDetector") else None
        if loader is None or not isinstance(name, str):
            continue
        with contextlib.suppress(SpatialAlignError):  # `_models` says so
            place = places.detector_place(name)
            for owner, input, nouns in _nouns(workflow, id):
                yield from _raised(owner, input, check_words, place, nouns)


def _nouns(workflow: Workflow, id: str) -> Iterator[tuple[str, str, list[str]]]:
    """Where nouns are written that a node looks for: node, input, nouns."""
    kind = workflow.kind(id)
    if kind in TITLES:
        if any(is_link(workflow.inputs(id).get(name)) for name in _EXTERNAL):
            return
        sentence = workflow.value(id, "sentence")
        if isinstance(sentence, str) and sentence.strip():
            with contextlib.suppress(SpatialAlignError):
                prompt = understood(sentence)
                yield id, "sentence", [prompt.subject, prompt.object]
        elif kind == "DetectTrack":
            for name in ("subject", "object"):
                word = workflow.value(id, name)
                if isinstance(word, str) and word.strip():
                    yield id, name, [word.strip()]
        return
    if kind == "TrainLora" and not workflow.value(id, "check_every"):
        return
    for source, prompts in _prompts_of(workflow, id):
        judged = [
            each for each in prompts if kind not in ("Evaluate", "TrainLora") or each.split == "held_out"
        ]
        if workflow.kind(source) != "PromptSet":
            yield source, "sentence", [noun for each in judged for noun in (each.subject, each.object)]
            continue
        written = _written_in(workflow, source)
        if written:
            yield source, written, [noun for each in judged for noun in (each.subject, each.object)]
            continue
        for name, nouns in (
            ("subjects", {each.subject for each in prompts}),
            ("objects", {each.object for each in prompts}),
        ):
            words = split_words(str(workflow.value(source, name)))
            yield source, name, [word for word in words if word in nouns]


def _written_in(workflow: Workflow, prompt_set: str) -> str:
    """The widget of a Prompt Set that holds its prompts; "" where they are made of the word lists."""
    if str(workflow.value(prompt_set, "own_prompts") or "").strip():
        return "own_prompts"
    return "" if workflow.value(prompt_set, "csv_file") in (None, places.NO_FILE) else "csv_file"


def _prompts_of(workflow: Workflow, id: str) -> Iterator[tuple[str, list[DsrPrompt]]]:
    """Prompts that the run of a node has: the nodes they are written in, and those that Generate makes videos of."""
    for maker in workflow.chain(id, "run"):
        source = workflow.source(maker, "prompts")
        if source is None:
            continue
        found = _made(workflow, source)
        if isinstance(found, list) and workflow.kind(maker) == "Generate":
            split = GENERATED.get(workflow.value(maker, "split")) if workflow.kind(id) == "Detect" else None
            yield source, [each for each in found if split is None or each.split == split]


def _order(workflow: Workflow) -> _Found:
    """A stage whose run does not come through the stage before it, nor has what that makes from earlier."""
    for id in workflow.of(*_STAGES):
        title, before, needed, there = _STAGES[workflow.kind(id)]
        chain = list(workflow.chain(id, "run"))
        if not chain or not all(map(workflow.is_ours, chain)):
            continue
        folder = _run_name(workflow, id)
        if folder is None or (places.runs_folder() / folder / there).exists():
            continue
        if not any(workflow.kind(each) in (*needed, "Rounds") for each in chain):
            sentence = f"The run of {title} has not been through {before}; connect the run that comes out of {before}."
            yield id, "", sentence


def _loras(workflow: Workflow) -> _Found:
    for id in workflow.of("Evaluate", "Compare"):
        chain = list(workflow.chain(id, "run"))
        if not chain or not all(map(workflow.is_ours, chain)):
            continue
        if any(workflow.kind(each) in _LEARNED for each in chain):
            continue
        if workflow.kind(id) == "Evaluate":
            yield id, "run", NO_LORA
        for name in ("lora_a", "lora_b"):
            if workflow.value(id, name) == places.OWN_LORA:
                yield id, name, no_own_lora()


def _lora_files(workflow: Workflow) -> _Found:
    for id in workflow.of("TrainLora", "Compare"):
        for name in ("continue_from", "lora_a", "lora_b"):
            value = workflow.value(id, name)
            if isinstance(value, str) and value in places.lora_names():
                yield from _raised(id, name, _lora_file, value)


def _sides(workflow: Workflow) -> _Found:
    for id in workflow.of("Compare"):
        names = [workflow.value(id, name) for name in ("lora_a", "lora_b")]
        strengths = [workflow.value(id, name) for name in ("strength_a", "strength_b")]
        if names[0] is not None and names[0] == names[1]:
            if names[0] == places.NO_LORA:
                yield id, "lora_b", same_sides("no LoRA")
            elif strengths[0] is not None and strengths[0] == strengths[1]:
                yield id, "strength_b", same_sides(f"{names[0]} at {strengths[0]:g}")


def _lora_file(name: str) -> None:
    file = places.lora_file(name)
    if file is not None:
        read_shapes(file)


def _held_out(workflow: Workflow) -> _Found:
    for id in workflow.of(*_JUDGES):
        kind = workflow.kind(id)
        if kind == "Compare" and COMPARED.get(workflow.value(id, "split")) != "held_out":
            continue
        if kind == "TrainLora" and not workflow.value(id, "check_every"):
            continue
        for source, prompts in _prompts_of(workflow, id):
            if not any(each.split == "held_out" for each in prompts):
                yield (
                    source,
                    "held_out_prompts" if workflow.kind(source) == "PromptSet" else "",
                    f"{_JUDGES[kind]} needs held-out prompts, and there are none; raise held_out_prompts in Prompt "
                    "Set, or choose a CSV file that has some.",
                )


def _names(workflow: Workflow) -> _Found:
    for id in workflow.of("Generate", "CollectSample"):
        name = workflow.value(id, "run_folder")
        if isinstance(name, str):
            yield from _raised(id, "run_folder", _run_folder, name)
    for id in workflow.of(*_LEARNED):
        name, run = workflow.value(id, "lora_name"), _run_name(workflow, id)
        if isinstance(name, str) and run is not None:
            yield from _raised(id, "lora_name", _lora_name, run, name)


def _run_folder(name: str) -> None:
    check_folder(places.run_folder(name), "the run")


def _lora_name(run: str, name: str) -> None:
    Run(places.runs_folder()).lora_path(name)
    places.check_list(f"{run}-{name}.safetensors")


def _run_name(workflow: Workflow, id: str) -> str | None:
    names = [workflow.value(each, "run_folder") for each in workflow.chain(id, "run")]
    with contextlib.suppress(SpatialAlignError):  # that check says so
        for name in names:
            if isinstance(name, str):
                return places.run_folder(name).name
    return None


def _pairs(workflow: Workflow) -> _Found:
    for id in workflow.of("ExportPairs", "Rounds"):
        own = workflow.value(id, "seeds") if workflow.kind(id) == "Rounds" else 0
        if own == 1:
            yield id, "seeds", _TOO_FEW
        for maker in workflow.chain(id, "run"):
            few = workflow.kind(maker) == "Generate" and workflow.value(maker, "seeds") == 1
            if few and own == 0 and not _has_scores(workflow.value(maker, "run_folder")):
                yield maker, "seeds", _TOO_FEW


_TOO_FEW = (
    "A pair takes a better and a worse video of the same prompt; set seeds to 2 or more, best to 4 or more."
)


def _has_scores(name: object) -> bool:
    """Whether a run may have more videos than this workflow makes."""
    try:
        return Run(places.run_folder(str(name))).scores_file.exists()
    except SpatialAlignError:
        return True


def _raised(node: str, input: str, check: Callable[..., object], *values: object) -> _Found:
    try:
        check(*values)
    except SpatialAlignError as error:
        yield node, input, str(error)


CHECKS: tuple[Callable[[Workflow], _Found], ...] = (
    *(_models, _sentences, _wires, _prompt_sets, _words, _order),
    *(_loras, _lora_files, _sides, _held_out, _names, _pairs),
)
