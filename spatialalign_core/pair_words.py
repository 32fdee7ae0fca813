"""The words that go with chosen pairs: how they came about, and what to do where there are none."""

from __future__ import annotations

from collections.abc import Mapping

from .pair_settings import PairSettings, PromptCount


def explain(counts: Mapping[str, PromptCount], settings: PairSettings) -> str:
    """How many pairs there are, why there are no more, and what was decided by hand."""
    pairs = sum(count.pairs for count in counts.values())
    retold = sum(count.retold for count in counts.values())
    if not counts:
        return (
            "No pairs: no video has been scored yet. Generate, detect and score the training prompts first."
        )
    both = sum(c.winners > 0 and c.losers > 0 for c in counts.values())
    only_winners = sum(c.winners > 0 and not c.losers for c in counts.values())
    only_losers = sum(c.losers > 0 and not c.winners for c in counts.values())
    nothing = sum(not c.winners and not c.losers for c in counts.values())
    unpaired = [c for c in counts.values() if c.winners > 0 and c.losers > 0 and not c.pairs]
    dropped = sum(c.dropped > 0 for c in unpaired)
    too_close = len(unpaired) - dropped
    rest = "; ".join(
        words
        for number, words in (
            (only_winners, f"{_prompts(only_winners)} had only winners (every valid video obeys from "
                           f"{settings.threshold:g} on)"),
            (only_losers, f"{_prompts(only_losers)} had only losers (no valid video obeys from "
                          f"{settings.threshold:g} on)"),
            (nothing, f"{_prompts(nothing)} had no valid video"),
            (too_close, f"{_prompts(too_close)} had no winner that scores {settings.min_margin:g} above a loser"),
            (dropped, f"{_prompts(dropped)} had their pairs dropped by hand"),
        )
        if number
    )  # fmt: skip
    if pairs or retold:
        used = sum(c.pairs > 0 for c in counts.values())
        text = f"{_pairs(pairs)} from {used} of {_prompts(len(counts))}."
        if retold:
            text += f" {_extra(retold)} from videos that match a different prompt."
        return (
            text + (f" Not used: {rest}." if rest else "") + _wrong_ends(counts, settings) + _by_hand(counts)
        )
    start = (
        "No pairs: none of the videos can be paired"
        if both
        else "No pairs: no prompt has a winner and a loser"
    )
    lower = any(c.losers > c.wrong_end for c in counts.values() if not c.winners)
    advice = _advice(only_winners, only_losers, lower, nothing, too_close, dropped)
    ends = _wrong_ends(counts, settings)
    return f"{start}. Of {_prompts(len(counts))}, {rest}.{ends} {advice}{_by_hand(counts)}"


def _wrong_ends(counts: Mapping[str, PromptCount], settings: PairSettings) -> str:
    """Why videos with a high score lost."""
    number = sum(c.wrong_end for c in counts.values())
    if not number:
        return ""
    words = "1 video scores" if number == 1 else f"{number} videos score"
    lose = "does not start or end where its prompt says, and loses" if number == 1 else (
        "do not start or end where their prompts say, and lose"
    )  # fmt: skip
    return f" {words} {settings.threshold:g} or more but {lose}."


def _by_hand(counts: Mapping[str, PromptCount]) -> str:
    kept = sum(c.kept for c in counts.values())
    dropped = sum(c.dropped for c in counts.values())
    words = [f"{number} {what}" for number, what in ((kept, "kept"), (dropped, "dropped")) if number]
    return f" By hand: {', '.join(words)}." if words else ""


def _advice(
    only_winners: int, only_losers: int, lower: bool, nothing: int, too_close: int, dropped: int
) -> str:
    """lower: whether a lower threshold would make winners of losers."""
    steps = []
    if only_winners or only_losers:
        steps.append("generate more seeds for each prompt")
    if lower:
        steps.append("lower the threshold")
    if only_winners:
        steps.append(
            "raise the threshold" if not only_losers else "or raise it for the prompts that always win"
        )
    if too_close:
        steps.append("lower the smallest margin (min_margin)")
    if dropped:
        steps.append("keep some of the pairs that were dropped by hand")
    if nothing:
        steps.append("look at the videos without a valid one: the detector must find both nouns in them")
    return f"What helps: {', '.join(steps)}."


def _pairs(number: int) -> str:
    return "1 pair" if number == 1 else f"{number} pairs"


def _extra(number: int) -> str:
    return "1 extra pair" if number == 1 else f"{number} extra pairs"


def _prompts(number: int) -> str:
    return "1 prompt" if number == 1 else f"{number} prompts"
