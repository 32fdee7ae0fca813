"""Runs kept in order: sizes, names, notes, the bin, copies, and the zip."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from spatialalign_core.cli import main
from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.run import Run
from spatialalign_core.run.at_rest import check_free
from spatialalign_core.run.bin import delete_run, empty_bin, list_bin, restore_run
from spatialalign_core.run.duplicating import duplicate_run
from spatialalign_core.run.listing import list_runs
from spatialalign_core.run.lock import locked
from spatialalign_core.run.note import read_note, write_note
from spatialalign_core.run.renaming import rename_run
from spatialalign_core.run.sharing import PARTS, share_sizes, share_zip
from spatialalign_core.run.sizes import kind_of, run_sizes
from spatialalign_core.run.uses import Use, run_uses
from spatialalign_core.run.workflow_file import keep_workflow, models_in, read_workflow, with_run
from tests.made_runs import export_made, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs "cats" with pairs and a LoRA that is on the list, and "dogs" that goes on from it and compares with it."""
    output = tmp_path_factory.mktemp("made")
    root = output / "spatialalign"
    cats = make_run(
        root / "cats",
        {"base": {"a meadow": [0.9, 0.1], "a lake": [0.5]}, "aligned": {"a lake": [0.9]}},
        ["a lake"],
    )
    export_made(cats)
    dogs = make_run(root / "dogs", {"base": {"a park": [0.9]}})
    _lora(cats.lora_path("small"), {"base_model_name": "wan-1.3B"})
    _lora(dogs.lora_path("big"), {"continued_from": "cats-small.safetensors"})
    lists = output / "loras"
    lists.mkdir()
    (lists / "cats-small.safetensors").write_bytes(cats.lora_path("small").read_bytes())
    compared = dogs.comparisons_folder / "base--lora" / "comparison.json"
    compared.parent.mkdir(parents=True)
    compared.write_text(json.dumps({"a": {"lora": None}, "b": {"lora": "cats-small.safetensors"}}))
    return output


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """The folder of all runs, of a copy."""
    return Path(shutil.copytree(made, tmp_path / "output")) / "spatialalign"


def _lora(path: Path, metadata: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"a": torch.ones(8)}, path, metadata)


def _lists(root: Path) -> list[Path]:
    return [root.parent / "loras"]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name != ".lock"
    }


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("samples/base/a/0.mp4", "videos"),
        ("samples/base/a/0.safetensors", "latents"),
        ("pairs/latents/a/0.safetensors", "latents"),
        ("rounds/01/pairs/text.safetensors", "latents"),
        ("lora/spatialalign.safetensors", "lora"),
        ("lora/checkpoints/a-1/3.safetensors", "checkpoints"),
        ("tracks/base/a/0.json", "other"),
        ("report.html", "other"),
    ],
)
def test_what_a_file_counts_as(file: str, kind: str) -> None:
    assert kind_of(Path(file)) == kind


def test_sizes_are_those_of_the_files_and_follow_changes(root: Path) -> None:
    folder = root / "cats"
    for place in (folder, *folder.rglob("*")):
        os.utime(place, (1, 1))  # long settled, so that what is known is believed
    for _ in range(2):
        assert run_sizes(folder).total == sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    (folder / "samples/base/a_meadow-x.mp4").write_bytes(b"1234")
    (folder / "link").symlink_to(root / "dogs")
    before = run_sizes(folder).total
    assert before == sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "it is empty"),
        ("a/b", "holds the character '/'"),
        ("..", "ends with a dot"),
        (".hidden", "begins with a dot"),
        ("con", "Windows keeps"),
        ("x" * 300, "longer than"),
        ("dogs", "There is a run 'dogs' already"),
        ("DOGS", "do not tell the two apart"),
        ("a\nb", "holds the character"),
    ],
)
def test_names_that_are_refused(root: Path, name: str, why: str) -> None:
    before = _files(root)
    with pytest.raises(SpatialAlignError, match=why):
        rename_run(root / "cats", name)
    with pytest.raises(SpatialAlignError, match=why):
        duplicate_run(root / "cats", name)
    assert _files(root) == before


def test_accents_written_in_two_ways_are_one_name(root: Path) -> None:
    (root / "caf\u00e9").mkdir()
    with pytest.raises(SpatialAlignError, match="do not tell"):
        check_free(root, "cafe\u0301")


@pytest.mark.parametrize("loras", [True, False])
def test_a_run_gets_another_name(root: Path, loras: bool) -> None:
    files = _files(root / "cats")
    renamed = rename_run(root / "cats", " Cats at night ", _lists(root), loras)
    assert renamed.folder == root / "Cats at night" and _files(renamed.folder) == files
    assert not (root / "cats").exists()
    new = "Cats at night-small.safetensors"
    assert renamed.loras == ({"cats-small.safetensors": new} if loras else {})
    assert [file.name for file in _lists(root)[0].iterdir()] == [new if loras else "cats-small.safetensors"]


def test_a_name_may_change_its_case_alone(root: Path) -> None:
    assert rename_run(root / "cats", "CATS").folder.name == "CATS"
    assert {each.name for each in root.iterdir()} == {"CATS", "dogs"}


def test_a_rename_overwrites_no_lora_of_the_list(root: Path) -> None:
    (_lists(root)[0] / "birds-small.safetensors").write_bytes(b"another")
    with pytest.raises(SpatialAlignError, match="on Load LoRA's list already"):
        rename_run(root / "cats", "birds", _lists(root), True)
    assert (root / "cats").is_dir()


@pytest.mark.parametrize("work", [delete_run, lambda f: rename_run(f, "x"), lambda f: duplicate_run(f, "x")])
def test_a_run_at_work_is_left_alone(root: Path, work: object) -> None:
    before = _files(root)
    with locked(root / "cats"), pytest.raises(SpatialAlignError, match="'cats' is at work"):
        work(root / "cats")  # type: ignore[operator]
    assert _files(root) == before


def test_what_uses_a_run_is_told(root: Path) -> None:
    assert run_uses(root / "cats", _lists(root)) == [
        Use("list", "cats-small.safetensors"),
        Use("continued", "big", "dogs"),
        Use("compared", "base--lora", "dogs"),
    ]
    (root / "cats/lora/small.safetensors").chmod(0o600)
    entry = _lists(root)[0] / "cats-small.safetensors"
    entry.unlink()
    entry.symlink_to(root / "cats/lora/small.safetensors")
    assert run_uses(root / "cats", _lists(root))[0].kind == "link"
    assert run_uses(root / "dogs", _lists(root)) == []


def test_another_runs_lora_of_the_same_list_name_is_not_taken(root: Path) -> None:
    _lora(root / "cats/lora/a-b.safetensors", {"one": "1"})
    (_lists(root)[0] / "cats-a-b.safetensors").write_bytes(b"of the run cats-a, called b")
    delete_run(root / "cats", _lists(root), True)
    assert [file.name for file in _lists(root)[0].iterdir()] == ["cats-a-b.safetensors"]


@pytest.mark.parametrize("loras", [True, False])
def test_a_deleted_run_comes_back_as_it_was(root: Path, loras: bool) -> None:
    files, listed = _files(root), _files(_lists(root)[0])
    deleted = delete_run(root / "cats", _lists(root), loras)
    assert [run["name"] for run in list_runs(root)] == ["dogs"]
    assert list_bin(root) == [deleted] and deleted.name == "cats" and deleted.bytes > 1000
    assert bool(_files(_lists(root)[0])) != loras
    assert restore_run(root, deleted.number) == root / "cats"
    assert list_bin(root) == [] and (_files(root), _files(_lists(root)[0])) == (files, listed)


def test_the_same_name_twice_in_the_bin_and_taken_meanwhile(root: Path) -> None:
    first = delete_run(root / "cats")
    make_run(root / "cats", {"base": {"a hill": [0.5]}})
    second = delete_run(root / "cats")
    assert [each.number for each in list_bin(root)] == [second.number, first.number]
    make_run(root / "Cats", {"base": {"a hill": [0.5]}})
    assert restore_run(root, first.number).name == "cats 2"
    with pytest.raises(SpatialAlignError, match="not in the bin any more"):
        restore_run(root, first.number)


@pytest.mark.parametrize("name", ["run", "loras", "deleted.json"])
def test_runs_that_are_called_like_parts_of_the_bin(root: Path, name: str) -> None:
    rename_run(root / "cats", name)
    deleted = delete_run(root / name)
    assert deleted.name == name and restore_run(root, deleted.number) == root / name


def test_emptying_the_bin_frees_what_it_says(root: Path) -> None:
    size = run_sizes(root / "cats").total
    delete_run(root / "cats")
    dogs = delete_run(root / "dogs")
    assert empty_bin(root, dogs.number) == dogs.bytes
    assert [each.name for each in list_bin(root)] == ["cats"]
    assert empty_bin(root) == size and not (root / ".bin").exists() and empty_bin(root) == 0


def test_only_the_link_of_a_linked_run_is_deleted(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "disk2" / "far"
    (root / "cats").rename(elsewhere.parent.mkdir() or elsewhere)
    (root / "cats").symlink_to(elsewhere)
    files = _files(elsewhere)
    deleted = delete_run(root / "cats")
    assert deleted.bytes == 0 and restore_run(root, deleted.number) == root / "cats"
    assert (root / "cats").is_symlink() and _files(root / "cats") == files
    delete_run(root / "cats")
    empty_bin(root)
    assert _files(elsewhere) == files and not (root / "cats").exists()


def test_a_file_that_the_system_holds_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _files(root)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr("spatialalign_core.run.at_rest.os.rename", refuse)
    with pytest.raises(SpatialAlignError, match="open in another program"):
        delete_run(root / "cats")
    assert _files(root) == before and list_bin(root) == []


def test_a_note_is_kept_and_found(root: Path) -> None:
    write_note(root / "cats", "  Größer!\n<b>second try</b> ")
    assert read_note(root / "cats") == "Größer!\n<b>second try</b>"
    assert next(run for run in list_runs(root) if run["name"] == "cats")["note"].startswith("Größer!")
    write_note(root / "cats", " ")
    assert read_note(root / "cats") == "" and not (root / "cats/note.txt").exists()
    (root / "cats/note.txt").write_bytes(b"\xff\xfe broken")
    assert "broken" in read_note(root / "cats")
    with pytest.raises(SpatialAlignError, match="make it shorter"):
        write_note(root / "cats", "x" * 20_000)


@pytest.mark.parametrize(
    ("find", "found"),
    [
        ("", ["cats", "dogs"]),
        ("CAT", ["cats"]),
        ("fox", ["cats", "dogs"]),
        ("fox meadow", ["cats"]),
        ("night", ["dogs"]),
        ("wan-1.3b", ["cats"]),
        ("meadow night", []),
        ("pocket", ["dogs"]),
    ],
)
def test_runs_are_found_by_name_note_prompt_and_model(root: Path, find: str, found: list[str]) -> None:
    write_note(root / "dogs", "for the Night")
    node = {"type": "SpatialAlign_LoadVideoModel", "widgets_values": ["pocket", "automatic"]}
    keep_workflow(root / "dogs", {"nodes": [node]})
    assert sorted(run["name"] for run in list_runs(root, find=find)) == found


@pytest.mark.parametrize(
    ("report", "result"),
    [
        ({"base": 0.5, "aligned": 0.9, "obey_base": 0.44, "obey_aligned": 0.98}, (0.44, 0.98)),
        ({"base": 0.5, "aligned": 0.9}, (0.5, 0.9)),  # of version 0.1
        ({"base": "?"}, None),
        ([], None),
    ],
)
def test_the_result_of_a_run(root: Path, report: object, result: tuple[float, float] | None) -> None:
    (root / "cats/report.json").write_text(json.dumps(report))
    [cats] = [run for run in list_runs(root) if run["name"] == "cats"]
    assert cats["result"] == (result and dict(zip(("before", "after"), result, strict=True)))


@pytest.mark.parametrize("videos", [True, False])
def test_a_duplicate_has_the_settings_and_shares_the_videos(root: Path, videos: bool) -> None:
    node = {"type": "SpatialAlign_Generate", "widgets_values": ["cats", "all prompts", 4]}
    train = {"type": "SpatialAlign_TrainLora", "widgets_values": ["default", "cats"]}
    other = {"type": "CLIPTextEncode", "widgets_values": ["cats"]}
    keep_workflow(root / "cats", {"nodes": [node, train, other]})
    before = _files(root / "cats")
    copy = Run(duplicate_run(root / "cats", "cats again", videos))
    assert copy.prompts() == Run(root / "cats").prompts() and not (copy.folder / "lora").exists()
    values = [each["widgets_values"] for each in read_workflow(copy.folder)["nodes"]]
    assert values == [["cats again", "all prompts", 4], ["default", "cats"], ["cats"]]
    assert len(copy.samples()) == (3 if videos else 0)
    if videos:
        key = copy.samples()[0]
        assert copy.scores() == Run(root / "cats").scores()
        assert copy.video_path(key.set, key.prompt_id, key.seed).stat().st_nlink > 1
        assert run_sizes(copy.folder).shared > 0
    empty_bin(root, delete_run(copy.folder).number)
    assert _files(root / "cats") == before


def test_workflows_that_are_no_help_are_not_kept(root: Path) -> None:
    for workflow in (None, {}, "text", {"nodes": ["x" * 9_000_000]}, {"a": "\ud800"}):
        keep_workflow(root / "dogs", workflow)
    with pytest.raises(SpatialAlignError, match="keeps no workflow"):
        read_workflow(root / "dogs")
    api = {"3": {"class_type": "SpatialAlign_Generate", "inputs": {"run_folder": "a", "split": "a"}}}
    assert with_run(api, "a", "b")["3"]["inputs"] == {"run_folder": "b", "split": "a"}
    loader = {"class_type": "SpatialAlign_LoadVideoModel", "inputs": {"model": "pocket"}}
    assert models_in({"1": loader}) == ["pocket"]


def test_a_zip_holds_what_was_chosen(root: Path) -> None:
    folder = root / "cats"
    (folder / "report.html").write_text("<html>" * 500)
    (folder / "samples/base/out.mp4").symlink_to("/etc/passwd")
    os.utime(folder / "report.html", (1, 1))  # before zip files knew time
    sizes = share_sizes(folder)
    assert [part for part in PARTS if not sizes[part]] == ["comparisons", "workflow"]
    with zipfile.ZipFile(io.BytesIO(b"".join(share_zip(folder, ["report", "lora", "videos"])))) as pack:
        assert pack.testzip() is None
        names = pack.namelist()
        assert pack.read("cats/report.html") == (folder / "report.html").read_bytes()
    assert {name.split("/")[1] for name in names} == {"report.html", "lora", "samples"}
    assert not any(name.endswith((".safetensors",)) and "samples" in name for name in names)
    assert not any("out.mp4" in name for name in names)
    for parts, why in ((["latents"], "choose among"), (["workflow"], "nothing of what was chosen")):
        with pytest.raises(SpatialAlignError, match=why):
            share_zip(folder, parts)


def test_the_verb_does_the_same(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: object, code: int = 0) -> str:
        assert main(["runs", *map(str, words)]) == code
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    run("note", root / "cats", "at night")
    assert run("note", root / "cats") == "at night\n"
    assert run("list", root, "--find", "NIGHT").startswith("cats\t")
    assert "cats-small.safetensors is night-small.safetensors" in run(
        "rename", root / "cats", "night", "--loras"
    )
    assert run("slim", root / "night").splitlines()[2].startswith("pairs\t")
    assert "free now" in run("slim", root / "night", "--free", "pairs,training")
    assert run("duplicate", root / "night", "day", "--videos") == f"{root / 'day'}\n"
    run("share", root / "night", tmp_path / "night.zip", "--with", "videos")
    assert zipfile.is_zipfile(tmp_path / "night.zip")
    assert "stays usable" in run("delete", root / "night")
    assert run("bin", root).startswith("1\tnight\t")
    assert "Add --yes" in run("empty", root) and run("restore", root) == f"{root / 'night'}\n"
    run("delete", root / "day")
    assert "free now" in run("empty", root, "--yes")
    assert run("restore", root, code=2).startswith("Error: The bin of")
    assert "choose among" in run("slim", root / "night", "--free", "lora", code=2)
