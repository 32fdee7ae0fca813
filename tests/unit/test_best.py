"""Best of N: which one is chosen, and how a batch comes apart."""

from __future__ import annotations

import numpy as np
import pytest

from spatialalign_core.best import best_words, pick_best, score_table, split_clips
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import RelationChange
from spatialalign_core.score import Score


def valid(dsr: float, start: float = 0.5, end: float = 0.5) -> Score:
    return Score(True, None, dsr, start, end, 0.0, 0.0, 18)


def invalid(frames: int = 0) -> Score:
    return Score(False, "the box was not found", None, None, None, None, None, frames)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([valid(0.2)], 0),
        ([valid(0.2), valid(0.9), valid(0.5)], 1),
        ([valid(0.9), valid(0.9)], 0),
        ([invalid(18), valid(0.0)], 1),
        ([valid(0.0), invalid(18)], 0),
        ([invalid(2), invalid(7), invalid(7)], 1),
        ([invalid()], 0),
        ([valid(float("nan")), valid(0.1)], 1),
        ([valid(0.9, end=0.1), valid(0.72)], 1),  # one that obeys before one that only scores more
        ([valid(0.9, start=0.1), valid(0.69)], 0),
        ([valid(0.9, end=0.1), invalid(18)], 0),
        ([valid(0.72, 0.2, 0.2), valid(0.75, 0.2, 0.19)], 0),
    ],
)
def test_best_is_the_highest_and_invalid_never_before_valid(scores: list[Score], best: int) -> None:
    assert pick_best(scores) == best


PROMPT = DsrPrompt("p", "text", "cat", "box", RelationChange.parse("LT"), "a field", "train")


def test_table_has_a_line_for_every_video_and_says_why_a_higher_score_lost() -> None:
    table = score_table([invalid(), valid(0.834), valid(0.86, end=0.0)], 1, PROMPT)
    assert table.splitlines() == [
        "1: INVALID, the box was not found",
        "2: 0.83  <- best",
        "3: 0.86, but it does not end on top of the box",
    ]


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (valid(0.75), "The best of 1 scores 0.75, it obeys the sentence."),
        (valid(0.6), "The best of 1 scores 0.60, below the threshold of 0.7."),
        (valid(0.6, end=0.0), "The best of 1 scores 0.60, below the threshold of 0.7."),
        (valid(0.6999), "The best of 1 scores 0.6999, below the threshold of 0.7."),
        (
            valid(0.75, end=0.1),
            "The best of 1 scores 0.75, but it does not end on top of the box: it does not obey the sentence.",
        ),
        (invalid(), "No video could be scored; the one with the most valid frames is output."),
    ],
)
def test_what_is_said_of_the_best(score: Score, words: str) -> None:
    assert best_words([score], 0, PROMPT) == words


@pytest.mark.parametrize(("frames", "clips", "lengths"), [(6, 1, [6]), (6, 3, [2, 2, 2]), (6, 6, [1] * 6)])
def test_batch_comes_apart_in_order(frames: int, clips: int, lengths: list[int]) -> None:
    batch = np.arange(frames, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 2, 3), np.uint8)
    parts = split_clips(batch, clips)
    assert [len(part) for part in parts] == lengths
    assert np.array_equal(np.concatenate(parts), batch)


@pytest.mark.parametrize(
    ("frames", "clips", "message"), [(7, 2, "not 2 clips of equal length"), (4, 0, "at least 1")]
)
def test_batch_that_does_not_divide_says_so(frames: int, clips: int, message: str) -> None:
    with pytest.raises(SpatialAlignError, match=message):
        split_clips(np.zeros((frames, 2, 2, 3), np.uint8), clips)


def test_nothing_to_choose_from_says_so() -> None:
    with pytest.raises(SpatialAlignError, match="no video"):
        pick_best([])
