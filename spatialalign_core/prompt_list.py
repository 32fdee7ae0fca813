"""One's own prompts: sentences from a text or a file, each read; what cannot be used is set aside with its reason."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import SpatialAlignError
from .language.texts import LINE, ROW_OF_TABLE, Text, Texts, texts_of_file, texts_of_lines
from .prompts import COLUMNS, SPLITS, DsrPrompt, read_prompts
from .sentence import parse_sentence

UNDERSTOOD, DOUBT, NOT_UNDERSTOOD, REPEATED = "understood", "doubt", "not_understood", "repeated"
STATES = (UNDERSTOOD, DOUBT, NOT_UNDERSTOOD, REPEATED)
_SAID = {DOUBT: "in doubt", NOT_UNDERSTOOD: "not understood", REPEATED: "repeated"}
SHARE = 0.25
"""Of a list without a wish of its own, so much is held out."""


@dataclass(frozen=True)
class ListedPrompt:
    """One sentence of a list. number: its line, row or entry. prompt: None where it is set aside.

    state: one of `STATES`. reasons: full sentences; why it is set aside, or what plays no part in its score.
    """

    number: int
    text: str
    prompt: DsrPrompt | None
    state: str = UNDERSTOOD
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class PromptList:
    """The sentences of a text or a file. unit: what their numbers count, "line", "row" or "entry". notes: full
    sentences about the whole. divided: whether the file says which prompts are held out."""

    entries: tuple[ListedPrompt, ...]
    unit: str = LINE
    notes: tuple[str, ...] = ()
    divided: bool = False

    @property
    def prompts(self) -> list[DsrPrompt]:
        """Those that can be used, in order."""
        return [entry.prompt for entry in self.entries if entry.prompt is not None]

    @property
    def set_aside(self) -> list[ListedPrompt]:
        """The others."""
        return [entry for entry in self.entries if entry.prompt is None]

    def counts(self) -> dict[str, int]:
        """How many are in each of `STATES`."""
        found = Counter(entry.state for entry in self.entries)
        return {state: found[state] for state in STATES}


def read_prompt_text(text: str) -> PromptList:
    """The prompts of a text with one sentence a line; see `texts_of_lines` for what is no sentence."""
    return _read(texts_of_lines(text))


def read_prompt_file(path: str | Path) -> PromptList:
    """The prompts of a .txt with one sentence a line, or of a table or JSON list with a column `prompt`.

    A table may also name `prompt_id`, `split` and `group`. One with all published columns is taken as it is, see
    `read_prompts`. SpatialAlignError that names the file for what is no such list.
    """
    path = Path(path)
    texts = texts_of_file(path)
    columns = {name for each in texts.texts for name, _ in each.cells}
    published = [name for name in COLUMNS if name.lower() in columns]
    if texts.unit == ROW_OF_TABLE and len(published) == len(COLUMNS) - 1:  # the last one holds the texts
        prompts = read_prompts(path)
        entries = (
            ListedPrompt(each.number, prompt.text, prompt)
            for each, prompt in zip(texts.texts, prompts, strict=True)
        )
        return PromptList(tuple(entries), ROW_OF_TABLE, divided=True)
    if not texts.texts:
        raise SpatialAlignError(f"{path} holds no sentences; write one sentence a line.")
    unused = [name for name in published if name != "prompt_id"]
    found = _read(texts)
    if unused:
        note = f"The columns {', '.join(unused)} are not used; the sentence says what they do."
        found = replace(found, notes=(*found.notes, note))
    return found


def held_out(prompts: Sequence[DsrPrompt], wanted: int | None, seed: int = 0) -> tuple[list[DsrPrompt], str]:
    """The prompts in their order, some of them held out, and a sentence where these are not as many as wanted, else "".

    Prompts of the same subject, object and relation change stay together, so that no such combination is both trained
    and judged; every change gives its share. wanted: how many; None, or more than half of the prompts, takes a quarter.
    The same prompts and seed give the same division.
    """
    count = len(prompts)
    half = wanted is not None and wanted > count / 2
    aim = max(1, round(SHARE * count)) if wanted is None or half else wanted
    groups: dict[tuple[str, str, str], list[int]] = {}
    for index, prompt in enumerate(prompts):
        key = prompt.subject.casefold(), prompt.object.casefold(), prompt.change.code
        groups.setdefault(key, []).append(index)
    if aim <= 0:
        return [replace(prompt, split="train") for prompt in prompts], ""
    if count == 1:
        return [replace(prompt, split="train") for prompt in prompts], (
            "There is one prompt alone, so none is held out and Evaluate has nothing to measure on; add prompts with "
            "another subject, object or movement."
        )
    if len(groups) < 2:
        return [replace(prompt, split="train") for prompt in prompts], (
            "All prompts have the same subject, object and movement, so none is held out and Evaluate has nothing to "
            "measure on; add prompts with another subject, object or movement."
        )
    chosen = _chosen(groups, aim, seed)
    divided = [
        replace(prompt, split=SPLITS[1] if index in chosen else SPLITS[0])
        for index, prompt in enumerate(prompts)
    ]
    note = ""
    if half:
        note = (
            f"{wanted} held-out prompts are more than half of {count}, so a quarter is held out; ask for at most "
            f"{count // 2}."
        )
    elif len(chosen) != aim and wanted is not None:
        note = (
            f"Prompts with the same subject, object and movement stay together, so {len(chosen)} are held out and not "
            f"{aim}."
        )
    return divided, note


def _chosen(groups: dict[tuple[str, str, str], list[int]], aim: int, seed: int) -> set[int]:
    """Indices of whole groups, `aim` of them or as near as they allow; at least one group stays out."""
    turns: dict[str, list[list[int]]] = {}
    ordered = sorted(groups.items(), key=lambda each: hashlib.sha256(f"{seed}|{each[0]}".encode()).digest())
    for (_, _, change), members in ordered:
        turns.setdefault(change, []).append(members)
    most = max(map(len, turns.values()))
    in_turn = [turn[round_] for round_ in range(most) for turn in turns.values() if round_ < len(turn)]
    chosen: set[int] = set()
    left = len(groups)
    for members in in_turn:
        if len(chosen) + len(members) <= aim and left > 1:
            chosen |= set(members)
            left -= 1
    smallest: list[int] = min(in_turn, key=len)
    return chosen or set(smallest)


def set_aside_words(found: PromptList, most: int = 20) -> list[str]:
    """A line of text for each sentence that is set aside, at most so many."""
    lines = [
        f"{found.unit} {entry.number}, {_SAID[entry.state]}: {' '.join(entry.reasons)}"
        for entry in found.set_aside
    ]
    rest = len(lines) - most
    return lines[:most] + ([f"and {rest} more"] if rest > 0 else [])


def usable(found: PromptList, source: str) -> list[DsrPrompt]:
    """The prompts of a list. SpatialAlignError with the first reasons where there is none. source: its name."""
    prompts = found.prompts
    if prompts:
        return prompts
    if not found.entries:
        raise SpatialAlignError(f"There is no sentence in {source}; write one sentence a line.")
    first = " ".join(
        f"{found.unit.capitalize()} {each.number}: {each.reasons[0]}" for each in found.set_aside[:3]
    )
    raise SpatialAlignError(f"None of the {len(found.entries)} sentences in {source} can be used. {first}")


def _read(texts: Texts) -> PromptList:
    notes = (
        ("Numbers, bullets or quotes around every line are left out of the prompts.",)
        if texts.stripped
        else ()
    )
    entries: list[ListedPrompt] = []
    texts_seen: dict[str, int] = {}
    ids_seen: dict[str, int] = {}
    for each in texts.texts:
        entry = _entry(each)
        known = texts_seen.setdefault(" ".join(each.text.split()).casefold(), each.number)
        if known != each.number:
            entry = _repeated(entry, f"It is the same sentence as in {texts.unit} {known}.")
        elif entry.prompt is not None:
            known = ids_seen.setdefault(entry.prompt.id.casefold(), each.number)
            if known != each.number:
                reason = (
                    f"The prompt_id {entry.prompt.id!r} is already used in {texts.unit} {known}; rename one."
                )
                entry = _repeated(entry, reason)
        entries.append(entry)
    divided = any(_cell(each, "split") for each in texts.texts)
    return PromptList(tuple(entries), texts.unit, notes, divided)


def _repeated(entry: ListedPrompt, reason: str) -> ListedPrompt:
    return ListedPrompt(entry.number, entry.text, None, REPEATED, (reason,))


def _entry(text: Text) -> ListedPrompt:
    if not text.text:
        return ListedPrompt(text.number, "", None, NOT_UNDERSTOOD, ("The cell 'prompt' is empty.",))
    parsed = parse_sentence(text.text)
    if parsed.prompt is None:
        reading = parsed.reading
        state = DOUBT if reading.subject or reading.object or reading.motion else NOT_UNDERSTOOD
        return ListedPrompt(text.number, text.text, None, state, parsed.not_understood)
    split = _cell(text, "split") or "train"
    if split not in SPLITS:
        reason = f"The split {split!r} is unknown; write one of {', '.join(SPLITS)}."
        return ListedPrompt(text.number, text.text, None, DOUBT, (reason,))
    name = str(text.id).strip() if text.id is not None else ""
    prompt = replace(
        parsed.prompt, id=name or parsed.prompt.id, split=split, group=_cell(text, "group"), text=text.text
    )
    return ListedPrompt(text.number, text.text, prompt, UNDERSTOOD, parsed.not_understood)


def _cell(text: Text, name: str) -> str:
    return next((cell.strip() for column, cell in text.cells if column == name), "")


def changes_in(prompts: Iterable[DsrPrompt]) -> str:
    """ "LR 3, RL 2": how many prompts there are of each relation change."""
    return ", ".join(f"{code} {count}" for code, count in Counter(p.change.code for p in prompts).items())
