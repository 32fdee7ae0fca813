"""The run browser's routes, on a server without ComfyUI: what they answer, what they change, what they refuse."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import shutil
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spatialalign_core.pairs import load_pairs
from spatialalign_core.run import Run, Side
from tests.made_runs import HALF_WAY, export_made, make_run

web = pytest.importorskip("aiohttp.web")
test_utils = pytest.importorskip("aiohttp.test_utils")

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<img src=x onerror=alert(1)>"
SETS = {
    "base": {EVIL: [0.9, 0.1, 0.8, None], "meadow": [0.9, 0.2], "hill": [0.3, 0.4]},
    "aligned": {"hill": [0.9]},
}


@pytest.fixture(scope="module")
def routes() -> Iterator[Any]:
    """The package nodes.routes, whose own parents only ComfyUI can import."""
    names = {"pack": ROOT, "pack.nodes": ROOT / "nodes"}
    before = set(sys.modules)
    for name, folder in names.items():
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    yield importlib.import_module("pack.nodes.routes")
    for name in set(sys.modules) - before:
        if name.split(".")[0] == "pack":
            del sys.modules[name]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs: "first" with pairs and a comparison, "bare" with prompts alone."""
    root = tmp_path_factory.mktemp("output") / "spatialalign"
    run = make_run(root / "first", SETS, held_out=["hill"], steps=20)
    export_made(run)
    lora = root / "style.safetensors"
    lora.write_bytes(b"")
    side = Side(lora)
    shutil.copytree(run.folder / "samples/aligned", run.folder / "samples" / side.set)
    rows = run.scores_file.read_text()
    more = [row.replace("aligned", side.set) for row in rows.splitlines() if row.startswith("aligned")]
    run.scores_file.write_text(rows + "\n".join(more) + "\n")
    list(run.compare(Side(), side, seeds=1, bootstrap=5))
    Run(root / "bare").write_prompts(run.prompts())
    return root


@pytest.fixture
def ask(routes: Any, made: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """ask(path, posted=None, **query) -> (status, JSON or bytes); the runs are a copy of `made`."""
    root = Path(shutil.copytree(made, tmp_path / "spatialalign"))
    table = web.RouteTableDef()

    def folder(name: str) -> Path:
        assert "/" not in name and name not in ("..", ".")  # ComfyUI's half is tested with ComfyUI
        return root / name

    routes.add_routes(table, routes.Places(lambda: root, folder))
    app = web.Application()
    app.add_routes(table)
    loop = asyncio.new_event_loop()
    client = test_utils.TestClient(test_utils.TestServer(app, loop=loop), loop=loop)
    loop.run_until_complete(client.start_server())

    async def answer(path: str, posted: Any, query: dict[str, Any]) -> Any:
        address = f"/spatialalign/{path}"
        sent = client.get(address, params=query) if posted is None else client.post(address, json=posted)
        async with sent as given:
            body = await given.read()
            is_json = given.content_type == "application/json"
            return given.status, json.loads(body) if is_json else body

    ask = lambda path, posted=None, **query: loop.run_until_complete(answer(path, posted, query))  # noqa: E731
    ask.root = root  # type: ignore[attr-defined]
    yield ask
    loop.run_until_complete(client.close())
    loop.close()


def test_videos_by_prompt_the_best_first(ask: Callable[..., Any]) -> None:
    status, view = ask("samples", run="first")
    assert (
        status == 200
        and view["sets"] == ["base", "aligned", "lora-style-1-e3b0c442"]
        and view["stale"] is False
    )
    assert view["export"]["pairs"] == 3 and view["threshold"] == 0.7
    evil = next(prompt for prompt in view["prompts"] if prompt["id"] == EVIL)
    assert [(each["seed"], each["dsr"], each["role"]) for each in evil["samples"]] == [
        (0, 0.9, "winner"), (2, 0.8, "winner"), (1, 0.1, "loser"), (3, None, ""),
    ]  # fmt: skip
    assert evil["samples"][3]["reason"] == "the fox is in no frame"
    hill = next(prompt for prompt in view["prompts"] if prompt["id"] == "hill")
    assert (hill["split"], hill["pairs"], {each["role"] for each in hill["samples"]}) == ("held_out", 0, {""})


def test_a_video_that_stops_half_way_is_a_loser_in_spite_of_its_score(routes: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", {"base": {"beach": [0.9, HALF_WAY, 0.1]}})
    views = importlib.import_module("pack.spatialalign_core.run.pair_view")
    [prompt] = views.samples_view(run)["prompts"]
    assert [(each["seed"], each["obeys"], each["reason"], each["role"]) for each in prompt["samples"]] == [
        (0, True, None, "winner"),
        (1, False, "it does not end right of the box", "loser"),
        (2, False, None, "loser"),
    ]
    pairs = views.pairs_view(run, "beach")["pairs"]
    assert [(each["winner"], each["loser"], each["winner_obeys"], each["loser_obeys"]) for each in pairs] == [
        (0, 2, True, False),
        (0, 1, True, False),
    ]


def test_a_run_before_its_first_video(ask: Callable[..., Any]) -> None:
    status, view = ask("samples", run="bare")
    assert status == 200 and view["export"] is None and view["sets"] == []
    assert all(prompt["samples"] == [] for prompt in view["prompts"])


def test_another_set(ask: Callable[..., Any]) -> None:
    _, view = ask("samples", run="first", set="aligned")
    shown = {prompt["id"]: prompt["samples"] for prompt in view["prompts"] if prompt["samples"]}
    assert list(shown) == ["hill"] and shown["hill"][0]["role"] == ""


def test_a_strip_is_a_picture(ask: Callable[..., Any]) -> None:
    status, body = ask("strip", run="first", set="base", prompt=EVIL, seed=0)
    assert status == 200
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.format == "JPEG" and picture.size == (3 * 144, 96)


def _pairs(ask: Callable[..., Any], **query: Any) -> list[tuple[int, int, str]]:
    status, view = ask("pairs", run="first", prompt=EVIL, **query)
    assert status == 200, view
    return [(pair["winner"], pair["loser"], pair["ruling"]) for pair in view["pairs"]]


def test_pairs_are_kept_dropped_and_forgotten(ask: Callable[..., Any]) -> None:
    assert _pairs(ask) == [(0, 1, ""), (2, 1, "")] and _pairs(ask, seed=2) == [(2, 1, "")]
    wish = {"run": "first", "prompt": EVIL, "winner": 0, "loser": 1, "told": "", "ruling": "drop"}
    status, view = ask("pairs", wish)
    assert status == 200 and [pair["ruling"] for pair in view["pairs"]] == ["drop", ""]
    _, samples = ask("samples", run="first")
    evil = next(prompt for prompt in samples["prompts"] if prompt["id"] == EVIL)
    assert (evil["pairs"], evil["dropped"], samples["stale"]) == (1, 1, True)
    ask("pairs", wish | {"winner": 0, "loser": 2, "ruling": "keep"})
    assert (0, 2, "keep") in _pairs(ask)
    ask("pairs", wish | {"ruling": ""})
    assert _pairs(ask) == [(0, 1, ""), (2, 1, ""), (0, 2, "keep")]


def test_the_pairs_are_exported_again(ask: Callable[..., Any]) -> None:
    ask("pairs", {"run": "first", "prompt": EVIL, "winner": 0, "loser": 1, "told": "", "ruling": "drop"})
    status, said = ask("export", {"run": "first"})
    assert status == 200 and "2 pairs from 2 of 2 prompts" in said["message"]
    assert "By hand: 1 dropped." in said["message"]
    pairs = load_pairs(ask.root / "first/pairs")  # type: ignore[attr-defined]
    assert [(pair.prompt_id, pair.winner_seed) for pair in pairs.pairs] == [(EVIL, 2), ("meadow", 0)]
    pairs.check()
    assert ask("samples", run="first")[1]["stale"] is False


def test_comparisons(ask: Callable[..., Any]) -> None:
    [listed] = ask("comparisons", run="first")[1]["comparisons"]
    assert (listed["a"], listed["b"]) == ("no LoRA", "style at 1")
    status, data = ask("comparison", run="first", name=listed["name"])
    assert status == 200 and data["b"]["set"] == "lora-style-1-e3b0c442"
    status, body = ask("picture", run="first", name=listed["name"])
    assert status == 200 and body.startswith(b"\x89PNG")
    assert ask("comparisons", run="bare")[1] == {"comparisons": []}


WISH = {"run": "first", "prompt": EVIL, "winner": 0, "loser": 1, "told": "", "ruling": "drop"}


@pytest.mark.parametrize(
    ("path", "posted", "query", "status", "words"),
    [
        ("samples", None, {"run": "gone"}, 404, "no run 'gone' any more"),
        ("samples", None, {}, 400, "names no 'run'"),
        ("samples", None, {"run": "first", "set": "../base"}, 400, "cannot name a set"),
        ("strip", None, {"run": "first", "set": "base", "prompt": EVIL, "seed": 99}, 404, "no video"),
        ("strip", None, {"run": "first", "set": "..", "prompt": EVIL, "seed": 0}, 400, "cannot name a set"),
        ("pairs", None, {"run": "first", "prompt": "nobody"}, 400, "no prompt 'nobody'"),
        ("pairs", WISH | {"run": "gone"}, {}, 404, "any more"),
        ("pairs", WISH | {"ruling": "burn"}, {}, 400, "kept or dropped"),
        ("pairs", WISH | {"ruling": ["keep"]}, {}, 400, "kept or dropped"),
        ("pairs", WISH | {"told": 3}, {}, 400, "kept or dropped"),
        ("pairs", WISH | {"winner": 3}, {}, 400, "the fox is in no frame"),
        ("pairs", WISH | {"winner": "x"}, {}, 400, "whole number"),
        ("pairs", {"run": "first", "prompt": EVIL, "ruling": "keep"}, {}, 400, "names no 'winner'"),
        ("pairs", [], {}, 400, "one JSON object"),
        ("export", {"run": "bare"}, {}, 400, "takes the model"),
        ("comparison", None, {"run": "first", "name": "../../first"}, 400, ""),
        ("comparison", None, {"run": "first", "name": ".."}, 400, ""),
        ("comparison", None, {"run": "first", "name": "x"}, 404, "no comparison 'x'"),
        ("picture", None, {"run": "first", "name": "/etc/passwd"}, 400, "outside"),
    ],
)
def test_what_is_refused_is_said_in_one_sentence(
    ask: Callable[..., Any], path: str, posted: Any, query: dict[str, Any], status: int, words: str
) -> None:
    got, answer = ask(path, posted, **query)
    assert got == status, answer
    assert words in answer["error"] and answer["error"].endswith(".")


@pytest.mark.parametrize(("path", "posted"), [("export", None), ("samples", {}), ("comparison", {})])
def test_looking_and_changing_do_not_mix(ask: Callable[..., Any], path: str, posted: Any) -> None:
    assert ask(path, posted)[0] == 405


def test_a_run_is_looked_after(ask: Callable[..., Any]) -> None:
    sizes = ask("sizes")[1]["sizes"]
    assert sizes.keys() == {"first", "bare"} and sizes["first"]["videos"] > sizes["bare"]["total"] > 0
    assert ask("note", {"run": "first", "note": "for the <b>talk"}) == (200, {"note": "for the <b>talk"})
    assert [run["name"] for run in ask("runs", find="<B>talk first")[1]["runs"]] == ["first"]
    assert ask("rename", {"run": "first", "name": "second"}) == (200, {"name": "second", "loras": {}})
    assert ask("duplicate", {"run": "second", "name": "third", "videos": True}) == (200, {"name": "third"})
    assert ask("uses", run="second") == (200, {"uses": []})
    parts = {part["name"]: part for part in ask("slim", run="second")[1]["parts"]}
    assert parts["pairs"]["bytes"] > 0 and parts["training"]["copies"] > 0
    assert ask("slim", {"run": "second", "parts": ["pairs"]})[1]["bytes"] > 0
    status, deleted = ask("delete", {"run": "second"})
    assert status == 200 and ask("bin")[1]["runs"] == [deleted] and ask("samples", run="second")[0] == 404
    assert ask("restore", {"number": deleted["number"]}) == (200, {"name": "second"})
    number = ask("delete", {"run": "third"})[1]["number"]
    assert ask("empty", {"number": number})[0] == 200 and ask("empty", {}) == (200, {"bytes": 0})
    assert "videos" in ask("share", run="second")[1]["sizes"]
    status, body = ask("zip", run="second", parts="scores,videos")
    with zipfile.ZipFile(io.BytesIO(body)) as pack:
        assert status == 200 and {"second/prompts.csv", "second/note.txt"} <= set(pack.namelist())


@pytest.mark.parametrize(
    ("path", "posted", "query", "words"),
    [
        ("rename", {"run": "first", "name": "../out"}, {}, "cannot name a run"),
        ("rename", {"run": "first", "name": "bare"}, {}, "There is a run 'bare' already"),
        ("rename", {"run": "gone", "name": "x"}, {}, "There is no run 'gone' any more"),
        ("duplicate", {"run": "first", "name": ".bin"}, {}, "begins with a dot"),
        ("note", {"run": "first"}, {}, "names no 'note'"),
        ("delete", {"run": ""}, {}, "names no 'run'"),
        ("restore", {"number": "../1"}, {}, "must be that of a run in the bin"),
        ("restore", {"number": True}, {}, "must be that of a run in the bin"),
        ("restore", {"number": 7}, {}, "not in the bin any more"),
        ("empty", {"number": 7}, {}, "not in the bin any more"),
        ("slim", {"run": "first", "parts": "all"}, {}, "names no 'parts'"),
        ("slim", {"run": "first", "parts": ["lora"]}, {}, "choose among"),
        ("zip", None, {"run": "first", "parts": "../etc"}, "choose among"),
        ("zip", None, {"run": "first"}, "nothing of what was chosen"),
        ("workflow", None, {"run": "first"}, "keeps no workflow"),
    ],
)
def test_what_cannot_be_done_with_a_run_changes_nothing(
    ask: Callable[..., Any], path: str, posted: Any, query: dict[str, Any], words: str
) -> None:
    root = ask.root  # type: ignore[attr-defined]
    before = sorted(str(file) for file in root.rglob("*"))
    status, answer = ask(path, posted, **query)
    assert status in (400, 404) and words in answer["error"]
    assert sorted(str(file) for file in root.rglob("*") if file.name != ".lock") == [
        file for file in before if not file.endswith(".lock")
    ]
