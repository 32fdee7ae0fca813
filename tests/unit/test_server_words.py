"""What the server says to panels has a translation: its sentences with 7, 8 and 9 for what is filled in."""

from __future__ import annotations

import ast
import functools
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spatialalign_core.pair_settings import PairSettings, PromptCount
from spatialalign_core.pair_words import explain
from spatialalign_core.relations import CHANGES
from spatialalign_core.run.comparing import Side
from spatialalign_core.run.training_view import _ABOUT
from spatialalign_core.score import Score, score_track
from spatialalign_core.score_view import score_view
from spatialalign_core.score_words import missed_words, verdict_words
from spatialalign_core.tracks import Track
from spatialalign_core.train.plans import PLANS, SHARDED

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from locales import PACK, phrases

CORE = PACK / "spatialalign_core"
LANGUAGES = ("ja", "zh")


def by_words(pattern: tuple[str, re.Pattern[str], str]) -> int:
    """Patterns that say more come first: "Cannot write {0} into {1}" before "Cannot write {0}"."""
    return -len(re.sub(r"\{\d\}", "", pattern[0]))


class Retelling:
    """What `retell` in web/shared/language.js does. used: the patterns that it has met."""

    def __init__(self, language: str) -> None:
        self.joints, self.used = phrases(f"{language}.words"), set[str]()
        self.patterns = [
            (
                english,
                re.compile("(.*?)".join(map(re.escape, re.split(r"\{\d\}", english))), re.DOTALL),
                other,
            )
            for english, other in phrases(f"{language}.sentences").items()
        ]
        self.patterns.sort(key=by_words)

    def __call__(self, sentence: str) -> str | None:
        """None where it would leave the sentence as it is."""
        return (
            self._in_parts(sentence, r"(?<=\.) ", " ")
            or self._in_parts(sentence, "; ", "; ")
            or self._whole(sentence)
            or self._in_parts(sentence, ", ", ", ")
        )

    def _whole(self, sentence: str) -> str | None:
        for english, looks, other in self.patterns:
            match = looks.fullmatch(sentence)
            if match:
                self.used.add(english)
                inner = [self(each) or each for each in match.groups()]
                filled = dict(zip(re.findall(r"\{\d\}", english), inner, strict=True))
                return re.sub(r"\{\d\}", lambda hole, filled=filled: filled[hole[0]], other)  # type: ignore[misc]
        return None

    def _in_parts(self, sentence: str, between: str, joint: str) -> str | None:
        parts = re.split(between, sentence)
        told = [self(each) for each in parts] if len(parts) > 1 else [None]
        return None if None in told else self.joints[joint].join(each for each in told if each is not None)


def _strings(file: str, errors: bool = False) -> Iterator[str]:
    """The sentences in a file of the core, 7 for what is filled in; those of errors only where asked for."""
    tree = ast.parse((CORE / file).read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        raised = isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ERRORS and not errors
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) or raised:
            skipped |= set(ast.walk(node))
        if isinstance(node, ast.JoinedStr):
            skipped |= set(ast.walk(node)) - {node}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(each.value) if isinstance(each, ast.Constant) else "7" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        if re.search(r"[a-z] |\d [a-z]", text):
            yield text


_ERRORS = ("SpatialAlignError", "StopRequested", "ValueError", "TrainingStopped", "NotThere")
_BETWEEN = " between frame 7 and frame 8"
# Parts of sentences, and what they are parts of.
_WHOLE = {
    "7 between frame 7 and frame 7": [],
    "the 7 and the 7 change places": [f"the 7 and the 8 change places{_BETWEEN}"],
    "the 7 jumps": [f"the 7 jumps{_BETWEEN}"],
    "the 7 7 of 7 frames do not show both; at most 7 may be missing": [
        f"the {end} 7 of 8 frames do not show both; at most 9 may be missing" for end in ("first", "last")
    ],
    "7 the 7 (should fall)": [],
    "7 the 7 (should rise)": [],
    ", of step 7": ["saved 7, of step 8"],
    "held-out videos: 7 7 of 7": [
        f"held-out videos: {stage} 7 of 8" for stage in ("generate", "detect", "score")
    ],
    "memory plan 7": [
        f"memory plan {plan.name} ({plan.about}): 1.25 GiB{besides}"
        for plan in (*PLANS.values(), SHARDED)
        for besides in ("", ", 2.50 GiB RAM")
    ],
    "round 7, 7": [
        f"round 7, {stage}"
        for stage in ("generate", "detect", "score", "pairs", "train: going on after step 8")
    ],
    "round 7: 7": ["round 7: is done already", "round 7: held out: score 7, accuracy 8, share that obeys 9"],
    "held out: 7": [],
    "step 7, held out: 7": ["step 7, held out: score 8, accuracy 9, share that obeys 7"],
    # not of panels
    "share that obeys: 7 base, 7 with LoRA (7, 95 % interval 7 to 7); accuracy@7: 7 base, 7 with LoRA": [],
    "7 base videos and 7 with LoRA": [],
    "writing the report": [],
    "the text of 7": [],
}
_FILES = (
    "detect/validity.py",
    "detect/repair.py",
    "score.py",
    "score_view.py",
    "run/held_out.py",
    "run/session.py",
    "run/training.py",
    "run/pair_view.py",
    "run/pairing.py",
    "run/stages.py",
    "run/finding.py",
    "run/rounds.py",
    "train/draws.py",
)
_PICTURES = ("A video needs", "Pictures must")  # said of frames that are written, not of a video that is read


def _of_scores() -> Iterator[str]:
    """All that a score's chart says, of tracks through all kinds of places."""
    corners = [
        (40, 100),
        (86, 100),
        (100, 100),
        (114, 100),
        (160, 100),
        (100, 40),
        (100, 86),
        (100, 95),
        (100, 160),
    ]
    places = [*([x, y, x + 40, y + 40] for x, y in corners), [110, 110, 130, 130]]
    object = np.array([[100, 100, 140, 140]] * 8, dtype=np.float64)
    sure = np.full(8, 0.9)
    for change, start, end in itertools.product(CHANGES, places, places):
        boxes = np.array([start] * 4 + [end] * 4, dtype=np.float64)
        track = Track("8", "7", 240, 240, boxes, object, sure, sure, (None,) * 8)
        view = score_view(track, change, score_track(track, change))
        yield view["title"]
        yield from (part["text"] for part in view["parts"])
        for ends in ((0.1, 0.9), (0.9, 0.1), (0.1, 0.1)):
            half_way = Score(True, None, 0.75, *ends, 0.5, 0.5, 8)
            yield missed_words(half_way, change, "7")
            yield verdict_words(half_way, change, "7")
        for line in view["lines"]:
            yield line["words"]
            yield re.sub(r" \(.*\)$", "", line["words"])


def _of_exports() -> Iterator[str]:
    """All that an export of pairs says."""
    kinds = [
        PromptCount(2, 1, 0, 2, 1, 1, 1),
        PromptCount(2, 1, 0, 1, 0, 1, 0),
        PromptCount(2, 0, 0, 0),
        PromptCount(0, 2, 0, 0),
        PromptCount(0, 0, 2, 0),
        PromptCount(1, 1, 0, 0),
        PromptCount(1, 1, 0, 0, 0, 0, 1),
        PromptCount(0, 2, 0, 0, wrong_end=1),
    ]
    for some in (
        [],
        *([kind] * number for kind in kinds for number in (1, 2)),
        kinds[1:],
        kinds * 2,
        kinds[2:] * 2,
    ):
        yield explain({str(index): count for index, count in enumerate(some)}, PairSettings())


@functools.cache
def _sentences() -> set[str]:
    written = [text for file in _FILES for text in _strings(file)]
    for file in ("video.py", "video_file.py"):
        written += [text for text in _strings(file, errors=True) if not text.startswith(_PICTURES)]
    mostly = [
        text[:-1] + " (mostly: the 8 was not found)"
        for text in written
        if text.endswith(("so7", "needed7", "both7"))
    ]
    states = [*_ABOUT, *_ABOUT.values()]
    sides = [Side().name]
    parts = itertools.chain.from_iterable(_WHOLE.get(text, [text]) for text in written)
    return {*parts, *mostly, *states, *sides, *_of_scores(), *_of_exports()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_of_the_server_is_translated_whole_and_no_pattern_is_stale(language: str) -> None:
    retell = Retelling(language)
    told = {each: retell(each) for each in _sentences()}
    assert [each for each, other in told.items() if other is None] == []
    # Nothing is left of the English but names and settings.
    names = r"LoRA|Latent|DSR|NaN|GiB|PC|min_margin|threshold|recompute|mp4|`collect`|--[a-z-]+|" + "|".join(
        PLANS | {SHARDED.name: SHARDED}
    )
    left = {
        each: other
        for each, other in told.items()
        if re.search("[A-Za-z]{2}", re.sub(names, "", other or ""))
    }
    assert left == {}
    assert phrases(f"{language}.sentences").keys() - retell.used == set(), "nothing says these any more"


@pytest.mark.parametrize(
    ("sentence", "other"),
    [
        ("ends right: no, it stops in front of the stump", "右で終わる: いいえ、終わりは stump の手前"),
        ("There is no such sentence, yes.", None),
        ("In a meadow, a fox, yes", None),
    ],
)
def test_only_what_is_known_is_translated(sentence: str, other: str | None) -> None:
    assert Retelling("ja")(sentence) == other
