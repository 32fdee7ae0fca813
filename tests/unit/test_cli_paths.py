"""Paths as people type and paste them."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialalign_core.cli import main, paths
from spatialalign_core.cli.verbs import VERBS
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.run import Run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a/b.mp4", "a/b.mp4"),
        ("~/x", "HOME/x"),
        ("'/a b/c.mp4'", "/a b/c.mp4"),
        ('  "/a b/c.mp4" ', "/a b/c.mp4"),
        ("file:///a%20b/c.mp4", "/a b/c.mp4"),
        ("file://localhost/a", "/a"),
        ("'~/x'", "HOME/x"),
    ],
)
def test_what_is_meant(tmp_path: Path, text: str, meant: str) -> None:
    assert paths.written(text) == Path(meant.replace("HOME", str(tmp_path / "home")))


def test_a_name_that_exists_stays(tmp_path: Path) -> None:
    (tmp_path / "'q' $HOME").mkdir()
    assert paths.run_folder("'q' $HOME") == Path("'q' $HOME")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("", "path is empty"),
        ("  ", "path is empty"),
        ("''", "path is empty"),
        ("CON", "keeps that name for a device"),
        ("runs/nul.txt", "keeps that name for a device"),
        ("aux/first", "keeps that name for a device"),
        ("first.", "ends with"),
        ("a:b", "the character ':'"),
        ("what?", "the character '?'"),
        ("a\nb", "control character"),
        ("a\0b", "control character"),
        ("x" * 256, "too long"),
        ("y/" * 2500, "too long"),
        ("猫" * 90, "too long"),
        ("$HOME/x", "holds $HOME"),
        ("${NO}/x", "holds ${NO}"),
        ("%USERPROFILE%/x", "holds %USERPROFILE%"),
        ("~nobody-of-that-name/x", "user that is not known"),
        ("file://server/x", "another computer"),
        ("file", "is a file"),
        ("file/run", "is a file"),
    ],
)
@pytest.mark.parametrize("verb", ["prompts", "generate", "pairs"])
def test_refused_run_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, run: str, words: str
) -> None:
    (tmp_path / "file").write_text("")
    assert main([verb, run]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ") and words in told
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "options",
    [
        ["generate", "run", "--lora=~/x"],
        ["train", "run", "--continue-from=~/x"],
        ["compare", "run", "--lora-a=~/x"],
        ["prompts", "run", "--file", "~/x"],
        ["score", "~/x"],
    ],
)
def test_every_option_knows_home(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(options) == 2
    assert str(tmp_path / "home" / "x") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "meant"), [("pocket", "pocket"), ("org/name", "org/name"), ("~/m", "HOME/m")]
)
def test_names_or_places(tmp_path: Path, text: str, meant: str) -> None:
    assert paths.name_or_place(text) == meant.replace("HOME", str(tmp_path / "home"))


def test_a_file_to_read_must_exist() -> None:
    with pytest.raises(SpatialAlignError, match="no file at"):
        paths.existing("nothing.csv")


EVERY_VERB = {
    "prompts": [""],
    "generate": [""],
    "collect": ["", "a cat is on the left of a box, then it jumps to the right of the box", "a.mp4"],
    "detect": [""],
    "score": [""],
    "pairs": [""],
    "train": [""],
    "rounds": [""],
    "control": ["", "pause"],
    "evaluate": [""],
    "compare": [""],
    "estimate": [""],
    "quickstart": ["--run", ""],
}


@pytest.mark.parametrize("verb", EVERY_VERB)
def test_no_verb_works_in_a_run_without_a_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main([verb, *EVERY_VERB[verb]]) == 2
    assert "The path is empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_verb_that_takes_a_run_is_tried() -> None:
    assert set(VERBS) - set(EVERY_VERB) == {"read", "runs"}  # of a file, and of all runs


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_the_core_takes_no_run_without_a_name(name: str) -> None:
    with pytest.raises(SpatialAlignError, match="run folder has no name"):
        Run(name)


@pytest.mark.parametrize(
    ("blocked", "command"),
    [
        ("samples", "generate run"),
        ("lora", "rounds run"),
        ("samples", "rounds run"),
        ("tracks", "compare run --lora-a lora.safetensors"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_a_model_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], blocked: str, command: str
) -> None:
    """A file stands where the folder is needed, which stops root too; the model is not there either."""
    assert main(["prompts", "run", "--count", "2", "--held-out", "1"]) == 0
    (tmp_path / "run" / blocked).write_text("mine")
    (tmp_path / "lora.safetensors").write_bytes(b"")
    assert main([*command.split(), "--model", "./nowhere"]) == 2
    told = capsys.readouterr().err
    assert f"{blocked}" in told and "a part of the path is a file" in told and "nowhere" not in told
    assert (tmp_path / "run" / blocked).read_text() == "mine"
