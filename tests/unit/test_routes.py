"""The routes without a ComfyUI: what they answer, what they refuse, and that they stay in the run folders."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

PACK = Path(__file__).resolve().parents[2]
NAME = "spatialalign_pack_of_routes"


@pytest.fixture(scope="module")
def pack() -> Iterator[Any]:
    """nodes/routes as ComfyUI would import it, without the nodes beside it, which need ComfyUI."""
    for name, folder in ((NAME, PACK), (f"{NAME}.nodes", PACK / "nodes")):
        module = ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module
    yield importlib.import_module
    for name in [each for each in sys.modules if each.split(".")[0] == NAME]:
        del sys.modules[name]


class Answers:
    """Asks the routes one question after the other."""

    def __init__(self, pack: Any, root: Path) -> None:
        routes = pack(f"{NAME}.nodes.routes")
        files = pack(f"{NAME}.spatialalign_core.files")
        self.root = root
        self.layout = pack(f"{NAME}.spatialalign_core.run.layout").RunLayout
        self.locked = pack(f"{NAME}.spatialalign_core.run.lock").locked
        self.table = web.RouteTableDef()
        places = routes.Places(
            lambda: root,
            lambda name: files.linked(root, name),
            input_file=lambda name: files.linked(root.parent, name),
        )
        routes.add_routes(self.table, places)

    def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status, and the JSON or the bytes of the answer."""

        async def talk() -> tuple[int, Any]:
            app = web.Application()
            app.add_routes(self.table)
            async with TestClient(TestServer(app)) as client:
                answer = await client.request(method, path, **options)
                known = answer.content_type == "application/json"
                return answer.status, await (answer.json() if known else answer.read())

        return asyncio.run(talk())


@pytest.fixture
def answers(pack: Any, tmp_path: Path) -> Answers:
    run = tmp_path / "runs" / "first run"
    run.mkdir(parents=True)
    (run / "training.csv").write_text("step,total,loss\n1,2,0.5\n")
    made = Answers(pack, tmp_path / "runs")
    video = made.layout(run).video_path("step-000001", "a prompt", 7)
    video.parent.mkdir(parents=True)
    video.write_bytes(b"0123456789")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return made


VIDEO = {"run": "first run", "set": "step-000001", "prompt": "a prompt", "seed": "7"}


def test_runs(answers: Answers) -> None:
    status, found = answers.ask("GET", "/spatialalign/runs")
    assert status == 200
    assert [(run["name"], run["state"]) for run in found["runs"]] == [("first run", "stopped")]


def test_training_and_looks(answers: Answers) -> None:
    status, view = answers.ask("GET", "/spatialalign/training", params={"run": "first run", "points": "30"})
    assert (status, view["run"], view["step"]) == (200, "first run", 1)
    status, looks = answers.ask("GET", "/spatialalign/looks", params={"run": "first run"})
    assert (status, looks["rows"]) == (200, [])  # its prompts are not known


@pytest.mark.parametrize(
    ("scores", "best"), [((), None), ((0.5,), None), ((0.5, 0.6, 0.55), 1), ((0.5, 0.4), 1)]
)
def test_rounds(answers: Answers, pack: Any, scores: tuple[float, ...], best: int | None) -> None:
    log = pack(f"{NAME}.spatialalign_core.run.round_log")
    rounds = [
        log.Round(number, score, 0.5, 1.0, pairs=7, origin="made up") for number, score in enumerate(scores)
    ]
    if rounds:
        log.write_rounds(answers.layout(answers.root / "first run").rounds_file, rounds)
    status, found = answers.ask("GET", "/spatialalign/rounds", params={"run": "first run"})
    assert (status, found["best"]) == (200, best)
    assert [each["held_out_score"] for each in found["rounds"]] == list(scores)
    assert all(each["pairs"] == 7 and "origin" not in each for each in found["rounds"])


@pytest.mark.parametrize("route", ["training", "looks", "rounds", "video"])
def test_a_deleted_run_is_said_to_be_gone(answers: Answers, route: str) -> None:
    shutil.rmtree(answers.root / "first run")
    status, answer = answers.ask("GET", f"/spatialalign/{route}", params=VIDEO)
    assert status == 404
    assert answer["error"].startswith("There is no run 'first run' any more")


@pytest.mark.parametrize(
    ("route", "params", "words"),
    [
        ("training", {}, "names no 'run'"),
        ("training", {"run": ""}, "names no 'run'"),
        ("training", {"run": "../.."}, "leads outside"),
        ("training", {"run": "/etc"}, "leads outside"),
        ("training", {"run": "a\x00b"}, "leads outside"),
        ("training", {"run": "first run", "points": "many"}, "must be a whole number"),
        ("video", VIDEO | {"set": "../.."}, "cannot name a set"),
        ("video", VIDEO | {"set": ""}, "names no 'set'"),
        ("video", VIDEO | {"seed": "x"}, "must be a whole number"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    answers: Answers, route: str, params: dict[str, str], words: str
) -> None:
    status, answer = answers.ask("GET", f"/spatialalign/{route}", params=params)
    assert status == 400
    assert words in answer["error"]


def test_a_video_and_a_part_of_it(answers: Answers) -> None:
    assert answers.ask("GET", "/spatialalign/video", params=VIDEO) == (200, b"0123456789")
    part = answers.ask("GET", "/spatialalign/video", params=VIDEO, headers={"Range": "bytes=2-4"})
    assert part == (206, b"234")


@pytest.mark.parametrize("prompt", ["../../../../secret", "..", "another"])
def test_no_video_from_elsewhere(answers: Answers, prompt: str) -> None:
    status, answer = answers.ask("GET", "/spatialalign/video", params=VIDEO | {"prompt": prompt})
    assert status == 404 and "any more" in answer["error"]


def test_a_link_out_of_the_run_is_refused(answers: Answers) -> None:
    video = answers.layout(answers.root / "first run").video_path("step-000001", "a prompt", 8)
    try:
        video.symlink_to(answers.root.parent / "secret.mp4")
    except OSError:
        pytest.skip("no links here")
    status, answer = answers.ask("GET", "/spatialalign/video", params=VIDEO | {"seed": "8"})
    assert status == 400 and "leads outside" in answer["error"]


def test_a_linked_run_folder_is_followed(answers: Answers) -> None:
    moved = answers.root.parent / "another disk"
    (answers.root / "first run").rename(moved)
    try:
        (answers.root / "first run").symlink_to(moved, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert answers.ask("GET", "/spatialalign/video", params=VIDEO)[0] == 200
    assert answers.layout(answers.root / "first run").folder.name == "first run"  # the LoRA is named after it


@pytest.mark.parametrize("action", ["pause", "resume", "save", "sample", "stop"])
def test_requests_to_a_training_that_works(answers: Answers, action: str) -> None:
    layout = answers.layout(answers.root / "first run")
    layout.control.tell("training", 1, 2, "fast")
    with answers.locked(layout.folder):
        status, view = answers.ask(
            "POST", "/spatialalign/training", json={"run": "first run", "action": action}
        )
    assert (status, view["asked"]) == (200, [] if action == "resume" else [action])


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"json": {"run": "first run", "action": "pause"}}, 400, "No training works in the run 'first run'"),
        ({"json": {"run": "gone", "action": "pause"}}, 404, "There is no run 'gone'"),
        ({"json": {"run": "first run"}}, 400, "names no 'action'"),
        ({"json": ["first run"]}, 400, "one JSON object"),
        ({"data": "{", "headers": {"Content-Type": "application/json"}}, 400, "one JSON object"),
        ({"data": "{}", "headers": {"Content-Type": "text/plain"}}, 400, "sent as JSON"),
    ],
)
def test_requests_that_are_refused(answers: Answers, body: dict[str, Any], status: int, words: str) -> None:
    answered, answer = answers.ask("POST", "/spatialalign/training", **body)
    assert answered == status
    assert words in answer["error"]


def test_an_unknown_action_is_named(answers: Answers) -> None:
    layout = answers.layout(answers.root / "first run")
    layout.control.tell("training", 1, 2, "fast")
    with answers.locked(layout.folder):
        status, answer = answers.ask(
            "POST", "/spatialalign/training", json={"run": "first run", "action": "dance"}
        )
    assert status == 400 and "Cannot 'dance' a training" in answer["error"]


def test_looking_changes_nothing(answers: Answers) -> None:
    """A change needs a POST."""
    assert answers.ask("POST", "/spatialalign/runs")[0] == 405
    assert answers.ask("PUT", "/spatialalign/training")[0] == 405


CAT = "A cat is on the left of a box, then it jumps to the right of the box."
READ = [
    ({"text": CAT}, 200, {"subject": "cat", "object": "box", "initial": "L", "final": "R", "understood": True}),
    ({"text": CAT, "change": {"final": "T"}}, 200, {"final": "T", "text": CAT.replace("to the right", "on top")}),
    ({"text": CAT.replace("cat", "cow"), "world": "sprites"}, 200, {"in_doubt": ["subject"], "rewritable": False}),
    ({"text": ""}, 200, {"understood": False, "subject": ""}),
    ({"text": f"{CAT}\n# no\na cat\n{CAT}", "lines": True}, 200,
     {"read": 3, "understood": 1, "not_understood": 1, "repeated": 1, "held_out": 0, "unit": "line"}),
    ({"text": "", "lines": True}, 200, {"read": 0, "train": 0, "entries": []}),
    ({"file": "own.txt", "held_out": 1}, 200, {"read": 2, "train": 1, "held_out": 1}),
    ({"file": "../secret.txt"}, 400, "outside the folder"),
    ({"file": "gone.txt"}, 400, "gone.txt"),
    ({}, 400, "names no 'text'"),
    ({"text": 7}, 400, "names no 'text'"),
    ({"text": CAT, "change": {"final": 7, "subject": ["x"]}}, 200, {"text": CAT}),
    ({"text": "a cat", "change": {"object": "box"}}, 400, "Choose the subject"),
    ({"text": "x" * 20_001}, 400, "20001 characters"),
    ({"text": "x" * 1_000_001, "lines": True}, 400, "1000001 characters"),
]  # fmt: skip


@pytest.mark.parametrize(("posted", "status", "wanted"), READ)
def test_what_is_understood_of_a_text(
    answers: Answers, tmp_path: Path, posted: dict[str, Any], status: int, wanted: Any
) -> None:
    (tmp_path / "own.txt").write_text(f"{CAT}\n{CAT.replace('left', 'top')}\n")
    found, answer = answers.ask("POST", "/spatialalign/read", json=posted)
    assert found == status, answer
    if status == 400:
        assert wanted in answer["error"]
    else:
        assert {name: answer[name] for name in wanted} == wanted
