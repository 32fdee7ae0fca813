"""Prompts that tell of a change of place: the value, its CSV file, and prompt sets built from word lists."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import SpatialAlignError
from .files import atomic_write, safe_name
from .language.reader import read_text
from .relations import CHANGES, Relation, RelationChange
from .tables import ROW, read_table

Combination = tuple[str, str, RelationChange]

COLUMNS = ("type", "prompt_id", "animal", "object", "scene", "initial_SR", "final_SR", "prompt")
"""The columns of the published evaluation prompts, in the order they are written."""

SPLITS = ("train", "held_out")
_RELATIONS = {relation.name.lower(): relation for relation in Relation}
_RELATION_CELL = re.compile(
    rf"(?:(?:on|to|at)\s+)?(?:the\s+)?({'|'.join(_RELATIONS)})(?:\s+side)?(?:\s+of)?", re.I
)


@dataclass(frozen=True)
class DsrPrompt:
    """One text to make a video from, and what the video has to show.

    id: unique in its set. text: what the video model reads. subject, object: the nouns a detector looks for.
    scene: the words about the surroundings, may be empty. split: "train" or "held_out". group: prompts that
    belong together in the published files, else empty.
    """

    id: str
    text: str
    subject: str
    object: str
    change: RelationChange
    scene: str
    split: str = "train"
    group: str = ""


def read_prompts(path: str | Path) -> list[DsrPrompt]:
    """The prompts of a CSV file with the published columns (and `group` and `split` where they are), in
    order.

    SpatialAlignError naming file and row (the header is row 1, as a spreadsheet counts) when the file is
    missing, is no UTF-8 text, lacks a column, holds no prompt, or a row has an empty cell, an unknown
    relation or an id used before.
    """
    path = Path(path)
    rows = read_table(path, COLUMNS)
    prompts: list[DsrPrompt] = []
    first_row: dict[str, int] = {}
    for row in rows:
        number = int(row[ROW])
        where = f"{path}, row {number}"
        prompt = _from_row(row, where)
        # folders are named after ids, and some disks do not tell capitals from small letters
        known = first_row.setdefault(prompt.id.casefold(), number)
        if known != number:
            raise SpatialAlignError(
                f"{where}: the prompt_id {prompt.id!r} is already used in row {known}; rename one."
            )
        prompts.append(prompt)
    if not prompts:
        raise SpatialAlignError(f"{path} holds no prompts, only a header; add at least one row.")
    return prompts


def write_prompts(path: str | Path, prompts: Sequence[DsrPrompt]) -> None:
    """Write the published columns, whole or not at all; `group` and `split` only when a prompt sets them."""
    columns = list(COLUMNS)
    columns += ["group"] if any(prompt.group for prompt in prompts) else []
    columns += ["split"] if any(prompt.split != "train" for prompt in prompts) else []
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for prompt in prompts:
        writer.writerow(
            {
                "type": prompt.change.code,
                "prompt_id": prompt.id,
                "animal": prompt.subject,
                "object": prompt.object,
                "scene": prompt.scene,
                "initial_SR": prompt.change.initial.place,
                "final_SR": prompt.change.final.goal,
                "prompt": prompt.text,
                "group": prompt.group,
                "split": prompt.split,
            }
        )
    atomic_write(path, text.getvalue())


def build_prompts(
    subjects: Sequence[str],
    objects: Sequence[str],
    scenes: Sequence[str],
    verbs: Sequence[str],
    changes: Sequence[RelationChange] = CHANGES,
    count: int | None = None,
    held_out_count: int = 0,
    held_out_share: float = 0.25,
    seed: int = 0,
) -> list[DsrPrompt]:
    """Prompts of the published shape from word lists: `count` to train on, then `held_out_count` to judge
    with.

    No (subject, object, change) is in both halves. Changes take turns, so each has the same number give or
    take one; a combination comes again, with another scene or verb, only when all others had their turn.
    count None: each training combination once. verbs are written as in "it jumps"; without scenes the texts
    begin with the subject. The same words and seed give the same prompts, and a larger count begins with the
    prompts of a smaller one. SpatialAlignError for an empty list, a word that is both subject and object, or
    more prompts than the words allow.
    """
    subjects, objects, verbs = (
        _words(subjects, "subjects"),
        _words(objects, "objects"),
        _words(verbs, "verbs"),
    )
    scenes = _words([scene.strip().rstrip(",") for scene in scenes], "scenes") if any(scenes) else [""]
    changes = list(dict.fromkeys(changes))
    both = {word.casefold() for word in subjects} & {word.casefold() for word in objects}
    if both:
        word = sorted(both)[0]
        raise SpatialAlignError(
            f"The word {word!r} is among the subjects and the objects; take it out of one of the two lists."
        )
    if not changes:
        raise SpatialAlignError(
            "There is no relation change to make prompts of; choose at least one, such as LR."
        )
    if not 0 <= held_out_share < 1:
        raise SpatialAlignError(
            f"The held-out share must be from 0 to below 1, got {held_out_share}; try 0.25."
        )
    train, held_out = split_combinations(subjects, objects, changes, held_out_share, seed)
    count = len(train) if count is None else count
    taken: set[str] = set()
    return [
        *_fill(train, changes, scenes, verbs, count, seed, "train", taken),
        *_fill(held_out, changes, scenes, verbs, held_out_count, seed, "held_out", taken),
    ]


def split_combinations(
    subjects: Sequence[str],
    objects: Sequence[str],
    changes: Sequence[RelationChange],
    held_out_share: float,
    seed: int,
) -> tuple[list[Combination], list[Combination]]:
    """All (subject, object, change) triples in two disjoint halves: (train, held out).

    Every change gives the same share to the held-out half. Which triples those are depends on the words and
    the seed alone, not on the order or length of the lists' other entries.
    """
    train: list[Combination] = []
    held_out: list[Combination] = []
    for change in changes:
        triples = [(subject, object, change) for subject in subjects for object in objects]
        triples.sort(key=lambda t: hashlib.sha256(f"{seed}|{t[0]}|{t[1]}|{t[2]}".encode()).digest())
        count = round(held_out_share * len(triples))
        held_out += triples[:count]
        train += triples[count:]
    return train, held_out


def prompt_text(subject: str, object: str, change: RelationChange, scene: str, verb: str) -> str:
    """The published shape: "In a park, a cat is on the left of a box, then the cat jumps to the right of the
    box."."""
    opening = f"{scene}, " if scene else ""
    beginning = f"{opening}{article(subject)} {subject} is {change.initial.place} {article(object)} {object}"
    text = f"{beginning}, then the {subject} {verb} {change.final.goal} the {object}."
    return text[0].upper() + text[1:]


def article(noun: str) -> str:
    """ "a" or "an", by the letter that the noun begins with; by its sound where the two differ."""
    lower = noun.lower()
    if re.match(r"(?:hour|honest|heir|[fhlmnrsx][A-Z])", noun) or re.match(r"(?:x-ray|mp3)", lower):
        return "an"
    vowel = lower[:1] in tuple("aeiou") and not re.match(
        r"(?:uni(?!n)|use|usu|eu|ewe|one\b|once|ufo|uk)", lower
    )
    return "an" if vowel else "a"


def retell(prompt: DsrPrompt, change: RelationChange) -> DsrPrompt | None:
    """The same sentence told of another relation change; None where its relation words are not the published ones.

    The id is the prompt's own: whoever keeps both gives one of them another.
    """
    place, goal = prompt.change.initial.place, prompt.change.final.goal
    start = prompt.text.find(place)
    end = prompt.text.rfind(goal)
    if start < 0 or end < start + len(place):
        return None
    text = (
        prompt.text[:start]
        + change.initial.place
        + prompt.text[start + len(place) : end]
        + change.final.goal
        + prompt.text[end + len(goal) :]
    )
    return replace(prompt, text=text, change=change)


def _fill(
    combinations: Sequence[Combination],
    changes: Sequence[RelationChange],
    scenes: Sequence[str],
    verbs: Sequence[str],
    count: int,
    seed: int,
    split: str,
    taken: set[str],
) -> list[DsrPrompt]:
    spoken = "held-out" if split == "held_out" else "training"
    if count < 0:
        raise SpatialAlignError(f"The number of {spoken} prompts must be 0 or more, got {count}.")
    variants = len(scenes) * len(verbs)
    most = len(combinations) * variants
    if count > most:
        raise SpatialAlignError(
            f"These words make at most {most} {spoken} prompts, not {count}; add words, change the held-out share or"
            f" ask for fewer ({'held_out_prompts' if split == 'held_out' else 'train_prompts'})."
        )
    turns = {change: [c for c in combinations if c[2] == change] for change in changes}
    prompts = []
    for index in range(count):
        change = changes[index % len(changes)]
        again, place = divmod(index // len(changes), len(turns[change]))
        subject, object, _ = turns[change][place]
        variant = _variant(f"{seed}|{subject}|{object}|{change}", again, variants)
        scene, verb = scenes[variant % len(scenes)], verbs[variant // len(scenes)]
        text = prompt_text(subject, object, change, scene, verb)
        prompts.append(
            DsrPrompt(_new_id(subject, object, change, taken), text, subject, object, change, scene, split)
        )
    return prompts


def _variant(key: str, again: int, count: int) -> int:
    """The `again`-th of `count` variants in an order drawn from the key that meets each once before any
    twice."""
    draw = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "big")
    strides = [step for step in range(1, count + 1) if math.gcd(step, count) == 1]
    start, which = draw % count, draw // count % len(strides)
    return (start + again * strides[which]) % count


def _new_id(subject: str, object: str, change: RelationChange, taken: set[str]) -> str:
    stem = safe_name("_".join(re.sub(r"\s+", "-", part) for part in (subject, object, change.code)))
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name.casefold())
    return name


def split_words(text: str) -> list[str]:
    """The words of a list as people type it: commas of any keyboard, semicolons and line breaks stand between them."""
    parts = re.split(r"[,;\n]", unicodedata.normalize("NFKC", text).replace("\N{IDEOGRAPHIC COMMA}", ","))
    return list(dict.fromkeys(filter(None, (" ".join(part.split()) for part in parts))))


_AROUND = " .,;:!?\"'()[]\N{IDEOGRAPHIC FULL STOP}\N{IDEOGRAPHIC COMMA}\u201c\u201d\u2018\u2019\u00ab\u00bb\u300c\u300d"


def bare_noun(text: str) -> str:
    """A noun as a detector looks for it: "The box." -> "box". What has no article keeps its capitals."""
    words = " ".join(unicodedata.normalize("NFKC", text).split()).strip(_AROUND)
    bare = re.sub(r"^(?:an?|the|this|that|some|one|my|your)(?:\s+|$)", "", words, flags=re.I)
    return words if bare == words else bare.lower()


def _words(words: Sequence[str], name: str) -> list[str]:
    plain = [" ".join(word.split()) for word in words]
    if name in ("subjects", "objects"):
        plain = [bare_noun(word) for word in plain]
    kept = list(dict.fromkeys(filter(None, plain)))
    if not kept:
        raise SpatialAlignError(f"The list of {name} is empty; write at least one word.")
    return kept


def _from_row(row: dict[str, str], where: str) -> DsrPrompt:
    for column in ("prompt_id", "prompt", "animal", "object"):
        if not row[column]:
            raise SpatialAlignError(f"{where}: the cell {column!r} is empty; fill it or delete the row.")
    initial, final = (_relation(row[column], column, where) for column in ("initial_SR", "final_SR"))
    if initial == final:
        raise SpatialAlignError(
            f"{where}: initial_SR and final_SR are both {row['initial_SR']!r}; they must differ."
        )
    change = RelationChange(initial, final)
    if row["type"].upper() != change.code:
        raise SpatialAlignError(
            f"{where}: the type {row['type']!r} does not match initial_SR and final_SR,"
            f" which say {change.code}; correct one."
        )
    split = row.get("split") or "train"
    if split not in SPLITS:
        raise SpatialAlignError(f"{where}: the split {split!r} is unknown; write one of {', '.join(SPLITS)}.")
    subject, object = bare_noun(row["animal"]), bare_noun(row["object"])
    for column, noun in (("animal", subject), ("object", object)):
        if not noun:
            raise SpatialAlignError(f"{where}: the cell {column!r} holds no word; write a noun, such as cat.")
    _check_text(row["prompt"], subject, object, change, where)
    return DsrPrompt(
        row["prompt_id"],
        row["prompt"],
        subject,
        object,
        change,
        row["scene"],
        split,
        row.get("group", ""),
    )


def _check_text(text: str, subject: str, object: str, change: RelationChange, where: str) -> None:
    """SpatialAlignError where the text plainly says something else than the columns; a text in doubt does not."""
    reading = read_text(text)
    if reading.doubts:
        return
    said = reading.motion[:1] + reading.motion[-1:]
    swapped = (
        reading.subject.split()[-1] == object.split()[-1]
        and reading.object.split()[-1] == subject.split()[-1]
    )
    if said != (change.initial.value, change.final.value) or (swapped and subject != object):
        raise SpatialAlignError(
            f"{where}: the columns say that the {subject} goes from {_NAMES[change.initial]} to "
            f"{_NAMES[change.final]} of the {object}, but the prompt says that the {reading.subject} "
            f"goes from {_NAMES[Relation(said[0])]} to {_NAMES[Relation(said[1])]} of the "
            f"{reading.object}. Correct one of them."
        )


_NAMES = {Relation.LEFT: "the left", Relation.RIGHT: "the right", Relation.TOP: "the top"}


def _relation(cell: str, column: str, where: str) -> Relation:
    match = _RELATION_CELL.fullmatch(cell)
    if match is None:
        known = ", ".join(f"'{relation.place}'" for relation in Relation)
        raise SpatialAlignError(
            f"{where}: the relation {cell!r} in {column!r} is unknown; write one of {known}."
        )
    return _RELATIONS[match[1].lower()]
