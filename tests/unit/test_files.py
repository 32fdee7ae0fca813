"""Files appear whole or not at all; paths stay inside; equal values have equal fingerprints."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from safetensors import SafetensorError

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.files import (
    atomic_path,
    atomic_write,
    check_folder,
    check_writable,
    contained,
    fingerprint,
    last_step,
    linked,
    name_fault,
    safe_name,
)
from spatialalign_core.relations import Relation, RelationChange


@pytest.mark.parametrize("data", [b"\x00\xff", "plain", "ünï\ncode\r\n", b"", ""])
def test_atomic_write_writes_exactly_that(tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "new folder" / "file.bin"
    atomic_write(path, b"older and longer than what follows")
    atomic_write(path, data)
    assert path.read_bytes() == (data if isinstance(data, bytes) else data.encode())
    assert os.listdir(path.parent) == ["file.bin"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    atomic_write(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".mp4")
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.mp4"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "read-only"),
        (errno.EPERM, "read-only"),
        (errno.EFBIG, "larger than the disk or your limit"),
    ],
)
def test_disk_errors_speak_plainly(tmp_path: Path, code: int, words: str) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(SpatialAlignError, match=words) as caught, atomic_path(path):
        raise OSError(code, os.strerror(code))
    assert str(path) in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"), [(28, "disk is full"), (27, "larger than"), (5, "output error")]
)
def test_safetensors_errors_speak_plainly(tmp_path: Path, number: int, words: str) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(SpatialAlignError, match=f"Cannot write .*{words}"), atomic_path(path):
        raise SafetensorError(f"Error while serializing: I/O error: what it says (os error {number})")


def test_an_error_about_another_file_is_not_blamed_on_this_one(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), atomic_path(tmp_path / "file.txt"):
        raise PermissionError(errno.EACCES, "denied", "/somewhere/else/source.txt")


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "block").write_text("")
    with pytest.raises(SpatialAlignError, match="file"):
        atomic_write(tmp_path / "block" / "x.txt", "")


def test_a_folder_where_the_file_should_go(tmp_path: Path) -> None:
    (tmp_path / "x.txt").mkdir()
    with pytest.raises(SpatialAlignError, match="folder stands"):
        atomic_write(tmp_path / "x.txt", "")
    assert os.listdir(tmp_path) == ["x.txt"]


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder_is_told_before_the_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SpatialAlignError, match="read-only"), atomic_path(tmp_path / "x"):
            pytest.fail("the block must not run")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("parts", [("a",), ("a", "b.txt"), ("a/../b",), (".",), (), ("..b",)])
def test_contained_accepts(tmp_path: Path, parts: tuple[str, ...]) -> None:
    assert contained(tmp_path, *parts).is_relative_to(tmp_path.resolve())


@pytest.mark.parametrize(
    "parts", [("..",), ("a", "../../x"), ("/etc/passwd",), ("a", "/etc"), ("a\0b",), ("link",)]
)
def test_contained_refuses(tmp_path: Path, parts: tuple[str, ...]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    if parts == ("link",):
        (root / "link").symlink_to(tmp_path)
    with pytest.raises(SpatialAlignError, match="outside the folder"):
        contained(root, *parts)


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    with pytest.raises(SpatialAlignError):
        contained(tmp_path / "run", "../run2/x")


def test_links_that_stand_in_a_folder_are_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "loras").symlink_to(tmp_path / "disk", target_is_directory=True)
    place = linked(tmp_path / "loras", "a name.safetensors")
    check_writable(place, "the LoRA")
    atomic_write(place, "x")
    assert os.listdir(tmp_path / "disk") == ["a name.safetensors"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../../b", "/etc", "a/b", "a\\b", "\\\\host\\x", "C:x", "c:\\x", "a\0b"]
)
def test_names_that_leave(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpatialAlignError, match="leads outside"):
        linked(tmp_path, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "CON",
        "nul.txt",
        "aux",
        "Com1.x",
        "a.",
        "a ",
        " a",
        "a:b",
        "a|b",
        "what?",
        "a*",
        "a\nb",
        "x" * 201,
    ],
)
def test_names_that_some_system_forbids(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize("name", ["my run", "猫", "🐈 1", "console", "v1.2", "a'b", "x" * 200])
def test_good_names(name: str) -> None:
    assert name_fault(name) is None


@pytest.mark.parametrize("kind", ["folder", "under a file", "link to nowhere"])
def test_a_place_that_cannot_be_written_is_told_before(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "loras" / "x"
    if kind == "folder":
        place.mkdir(parents=True)
    elif kind == "under a file":
        place.parent.write_text("")
    else:
        place.parent.symlink_to(tmp_path / "unplugged")
    with pytest.raises(SpatialAlignError, match="Cannot write"):
        check_writable(place, "the LoRA")


@pytest.mark.parametrize("text", ["1043_TL", "testLRFBT_LR_0", "a-b.c"])
def test_safe_names_stay(text: str) -> None:
    assert safe_name(text) == text


UNSAFE = [
    "",
    ".",
    "..",
    "a/b",
    "a\\b",
    "a b",
    "a_b ",
    "con",
    "NUL.txt",
    "é",
    "猫",
    "犬",
    "x" * 300,
    "x" * 301,
    ".a",
    "a\0",
]


def test_unsafe_names_become_safe_and_stay_different() -> None:
    names = [safe_name(text) for text in UNSAFE]
    assert len({name.casefold() for name in names}) == len(UNSAFE)
    for name in names:
        assert 0 < len(name) < 100 and not name.startswith(".") and not set(name) & set('/\\ :*?"<>|\0')


@dataclass(frozen=True)
class Example:
    x: int
    change: RelationChange


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), [1, 2]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Relation.LEFT, "L"),
        (PurePosixPath("a/b"), "a/b"),
        (np.float64(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        ({3, 1, 2}, {2, 1, 3}),
        ({("p", 1): 0, ("o", 2): 1}, {("o", 2): 1, ("p", 1): 0}),
        (Example(1, RelationChange.parse("LR")), {"x": 1, "change": {"initial": "L", "final": "R"}}),
    ],
)
def test_equal_values_have_equal_fingerprints(one: object, other: object) -> None:
    assert fingerprint(one) == fingerprint(other)


def test_different_values_have_different_fingerprints() -> None:
    values = [
        None,
        0,
        1,
        1.5,
        True,
        "1",
        "",
        [],
        {},
        [1],
        [[1]],
        b"1",
        {"a": 1},
        {"a": 2},
        float("nan"),
        float("inf"),
    ]
    assert len({fingerprint(value) for value in values}) == len(values)


def test_a_fingerprint_is_the_same_on_every_machine() -> None:
    assert fingerprint({"a": (1, 2)}) == "01530d164d479cf0"


def test_things_without_a_fingerprint() -> None:
    with pytest.raises(TypeError):
        fingerprint(object())


def test_a_folder_is_checked_without_making_it(tmp_path: Path) -> None:
    check_folder(tmp_path / "run" / "lora", "the LoRA")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").write_text("")
    with pytest.raises(
        SpatialAlignError, match=r"Cannot write the LoRA into .*run/lora: a part of the path is a file"
    ):
        check_folder(tmp_path / "run" / "lora", "the LoRA")


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "no space"), SpatialAlignError("the disk is full; free some space.")]
)
def test_a_last_step_says_what_is_done(error: Exception) -> None:
    with (
        pytest.raises(
            SpatialAlignError, match=r"the disk is full; free some space.*\. The LoRA lies in here\.$"
        ),
        last_step("The LoRA lies in here."),
    ):
        raise error
