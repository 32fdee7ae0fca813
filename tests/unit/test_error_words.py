"""Translated errors: each pattern is a sentence that the code still says, and the languages have the same ones."""

from __future__ import annotations

import ast
import errno
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spatialalign_core.detect.loading import load_detector
from spatialalign_core.detect.vocabulary import check_words
from spatialalign_core.errors import SpatialAlignError, full_memory_sentence
from spatialalign_core.files import check_folder, last_step, name_fault
from spatialalign_core.run import checks
from spatialalign_core.tables import read_table
from spatialalign_core.train.lora import read_lora
from spatialalign_core.video_file import open_clip

sys.path.insert(0, str(Path(__file__).parent))

from test_server_words import Retelling, by_words

PACK = Path(__file__).resolve().parents[2]
TABLES = {
    file.name.split(".")[0]: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((PACK / "tools" / "words").glob("*.errors.json"))
}


def _said() -> list[str]:
    """Every string of the code, with {} for what is filled in."""
    texts = []
    for file in [*(PACK / "spatialalign_core").rglob("*.py"), *(PACK / "nodes").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


SAID = _said()


@pytest.mark.parametrize("pattern", sorted({each for table in TABLES.values() for each in table}))
def test_the_code_says_it(pattern: str) -> None:
    assert re.sub(r"\{\d\}", "{}", pattern) in SAID


@pytest.mark.parametrize("language", sorted(TABLES))
def test_languages_say_the_same(language: str) -> None:
    assert TABLES[language].keys() == TABLES["zh"].keys()
    for english, other in TABLES[language].items():
        given = set(re.findall(r"\{\d\}", english))
        assert set(re.findall(r"\{\d\}", other)) <= given, english


# Nobody meets these in a node: the command line alone says them, or a developer.
_NOT_IN_NODES = (
    *(
        "cli/",
        "pocket/",
        "score_file",
        "clips_file",
        "language/texts",
        "video_sources",
        "ray_workers",
        "quickstart",
    ),
    *(
        "train/follow",
        "train/ranks",
        "bert_shim",
        "routes/",
        "rulings",
        "run/control",
        "run/encoders",
        "run/hollow",
    ),
)
# What is in them says it all, or no node has such a training.
_BARE = {
    *("{} holds {}.", "{}{} {}", "{}{} is damaged ({}). {}", "{} cannot be read: {}."),
    "The seed must lie between 0 and {}, not {}.",
    "The plan {} needs several processes that share the pairs of a step equally; start them by a launcher, a divisor "
    "of {} in number.",
}


def _raised() -> Iterator[str]:
    """Every sentence of an error that a node can meet, with {} for what is filled in."""
    for file in sorted([*(PACK / "spatialalign_core").rglob("*.py"), *(PACK / "nodes").rglob("*.py")]):
        if any(part in str(file.relative_to(PACK)) for part in _NOT_IN_NODES):
            continue
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (
                isinstance(call, ast.Call)
                and getattr(call.func, "id", "") == "SpatialAlignError"
                and call.args
            ):
                continue
            said = call.args[0]
            for each in [said.body, said.orelse] if isinstance(said, ast.IfExp) else [said]:
                if isinstance(each, ast.JoinedStr):
                    yield "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in each.values)
                elif isinstance(each, ast.Constant):
                    yield str(each.value)


@pytest.mark.parametrize("language", sorted(TABLES))
def test_every_error_of_a_node_is_translated(language: str) -> None:
    known = {re.sub(r"\{\d\}", "{}", english) for english in TABLES[language]}
    assert sorted({each for each in _raised() if re.search("[a-z] [a-z]", each)} - known - _BARE) == []


# What the pocket detector knows, and what is offered by name.
_NAMES = {"bird", "bucket", "frog", "hydrant", "rabbit", "stone", "stump", "pocket", "path", "model"}


class _Translated(Retelling):
    """With the errors too, as the page has them."""

    def __init__(self, language: str) -> None:
        super().__init__(language)
        for english, other in TABLES[language].items():
            looks = "(.*?)".join(map(re.escape, re.split(r"\{\d\}", english)))
            self.patterns.append((english, re.compile(looks, re.DOTALL), other))
        self.patterns.sort(key=by_words)


def _a_full_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> str:
    monkeypatch.setattr(checks, "free_disk", lambda _: 10**6)
    return _sentence(lambda: checks.check_room(folder, 10**9, "144 videos"))


def _sentence(work: object) -> str:
    with pytest.raises(SpatialAlignError) as caught:
        work()  # type: ignore[operator]
    return str(caught.value)


def _with_a_cause() -> None:
    with last_step("Videos and scores are kept in X. Export the pairs again to go on."):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("language", sorted(TABLES))
def test_causes_within_errors_are_translated_too(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes(b"no lora")
    (tmp_path / "a.csv").write_text("prompt_id\n")
    (tmp_path / "v.mp4").write_bytes(b"")
    said = [
        _sentence(lambda: check_folder(tmp_path / "f" / "x", "the videos")),
        _a_full_disk(monkeypatch, tmp_path),
        _sentence(lambda: check_words("pocket", ["elephant"])),
        _sentence(lambda: load_detector("nothing")),
        _sentence(lambda: read_lora(tmp_path / "gone.safetensors")),
        _sentence(lambda: open_clip(tmp_path / "v.mp4").__enter__()),
        _sentence(lambda: read_table(tmp_path / "gone.csv", ("prompt",))),
        f"{'x' * 300!r} cannot name the run_folder, because {name_fault('x' * 300)}; choose another name.",
        full_memory_sentence(MemoryError(), ()),
    ]
    retell = _Translated(language)
    for sentence in said:
        told = retell(sentence)
        assert told is not None, sentence
        plain = re.sub(
            rf"{re.escape(str(tmp_path))}\S*|'[^']*'|GiB|MiB|GroundingDINO|LoRA|[a-z]+_[a-z_]+", "", told
        )
        left = [word for word in re.findall(r"[A-Za-z]{4,}", plain) if word not in _NAMES]
        assert left == [], told
