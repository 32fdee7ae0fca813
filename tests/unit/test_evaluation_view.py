"""An evaluation for its panel, and its report for a browser: whatever wrote the run, and nothing from elsewhere."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.run import Run
from spatialalign_core.run.evaluation_view import evaluation_view
from tests.made_runs import HALF_WAY, make_run

ROOT = Path(__file__).resolve().parents[2]
SETS = {
    "base": {"hill": [0.1, 0.9], "meadow": [0.2, 0.9], "beach": [HALF_WAY, None]},
    "aligned": {"hill": [0.9, 0.95], "meadow": [0.3, 0.1], "beach": [0.8, 0.2]},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = make_run(tmp_path / "runs" / "first", SETS, held_out=["hill", "meadow", "beach"])
    list(made.evaluate(bootstrap=50, settings={"LoRA": "fox", "strength": 0.8}))
    return made


def test_what_changed_and_what_did_not(run: Run) -> None:
    view = evaluation_view(run)
    assert (view["tau"], view["prompts"], view["videos"], view["verdict"]) == (0.7, 3, 6, "unclear")
    assert (view["lora"], view["strength"], view["page"]) == ("fox", 0.8, True)
    assert [round(view["obey"][side]["value"], 3) for side in ("base", "lora", "difference")] == [
        0.333,
        0.5,
        0.167,
    ]
    assert view["invalid"]["base"]["value"] == pytest.approx(1 / 6, abs=1e-5)
    assert set(view["texts"]) == {"hill", "meadow", "beach"}
    found = {
        (pair["prompt"], pair["seed"]): (pair["outcome"], round(pair["gain"], 2)) for pair in view["pairs"]
    }
    assert found == {
        ("hill", 0): ("improved", 0.8),
        ("hill", 1): ("kept", 0.05),
        ("meadow", 0): ("missed", 0.1),
        ("meadow", 1): ("lost", -0.8),
        ("beach", 0): ("improved", 0.05),  # its score was high enough before, its end was not
        ("beach", 1): ("missed", 0.2),
    }
    beach = {pair["seed"]: pair["base"] for pair in view["pairs"] if pair["prompt"] == "beach"}
    assert beach[0] == {
        "set": "base", "prompt": "beach", "seed": 0, "dsr": 0.75, "obeys": False,
        "reason": "it does not end on top of the box",
    }  # fmt: skip
    assert (beach[1]["dsr"], beach[1]["reason"]) == (None, "the fox is in no frame")
    assert json.loads(json.dumps(view, allow_nan=False)) == view


def _of_version_0_1(report: dict[str, Any]) -> None:
    for name in ("obey", "obey_by_change", "obey_base", "obey_aligned"):
        del report[name]
    for sample in report["samples"]:
        del sample["base_obeys"], sample["aligned_obeys"]


def _without_settings(report: dict[str, Any]) -> None:
    del report["settings"]


def _one_prompt(report: dict[str, Any]) -> None:
    report["obey"]["difference"] |= {"low": None, "high": None}


def _scored_since(report: dict[str, Any]) -> None:
    report["samples"][0]["base"] = 0.33


@pytest.mark.parametrize("change", [_of_version_0_1, _without_settings, _one_prompt, _scored_since])
def test_reports_of_all_kinds_open(run: Run, change: Any) -> None:
    report = json.loads(run.report_json.read_text("utf-8"))
    change(report)
    run.report_json.write_text(json.dumps(report), "utf-8")
    view = evaluation_view(run)
    assert len(view["pairs"]) == 6
    assert (view["obey"] is None) == (change is _of_version_0_1)
    assert (view["lora"] is None) == (change is _without_settings)
    if change is _scored_since:  # what is known of today's video is not said of the one that was evaluated
        assert view["pairs"][0]["base"]["reason"] is None


@pytest.mark.parametrize("lost", ["prompts_file", "scores_file"])
def test_a_report_outlives_what_it_was_made_from(run: Run, lost: str) -> None:
    getattr(run, lost).unlink()
    assert len(evaluation_view(run)["pairs"]) == 6


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"tau": 0.7}', '{"tau": "x"}', '{"tau": 0.7, "samples": [1]}']
)
def test_a_damaged_report_is_said_to_be_so(run: Run, text: str) -> None:
    run.report_json.write_text(text, "utf-8")
    with pytest.raises(SpatialAlignError, match=r"is damaged .*evaluate the run again"):
        evaluation_view(run)


@pytest.fixture(scope="module")
def routes() -> Iterator[Any]:
    """The package nodes.routes, whose own parents only ComfyUI can import."""
    for name, folder in (("pack_of_reports", ROOT), ("pack_of_reports.nodes", ROOT / "nodes")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    yield importlib.import_module("pack_of_reports.nodes.routes")
    for name in [each for each in sys.modules if each.split(".")[0] == "pack_of_reports"]:
        del sys.modules[name]


def ask(routes: Any, root: Path, path: str, guarded: bool = False, **query: str) -> tuple[int, Any, bytes]:
    """Status, headers and body. guarded: by a middleware like that of ComfyUI's --disable-api-nodes."""
    web = pytest.importorskip("aiohttp.web")
    utils = pytest.importorskip("aiohttp.test_utils")

    @web.middleware
    async def guard(request: Any, handler: Any) -> Any:
        response = await handler(request)
        response.headers["Content-Security-Policy"] = "default-src 'self'"
        return response

    async def talk() -> tuple[int, Any, bytes]:
        table = web.RouteTableDef()
        routes.add_routes(table, routes.Places(lambda: root, lambda name: root / name))
        app = web.Application(middlewares=[guard] if guarded else [])
        app.add_routes(table)
        async with utils.TestClient(utils.TestServer(app)) as client:
            answer = await client.get(f"/spatialalign/{path}", params=query)
            return answer.status, answer.headers, await answer.read()

    return asyncio.run(talk())


@pytest.mark.parametrize("guarded", [False, True])
def test_the_report_is_served_so_that_it_can_only_play_its_videos(
    routes: Any, run: Run, guarded: bool
) -> None:
    status, headers, body = ask(routes, run.folder.parent, "report", guarded, run="first")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body == run.report_html.read_bytes() and b"data:video/mp4;base64," in body
    policy = dict(re.findall(r"([\w-]+) ?([^;]*)(?:; |$)", headers["Content-Security-Policy"]))
    assert (
        policy["sandbox"] == "allow-scripts"
    )  # an origin of its own: ComfyUI's routes are those of another site
    assert (
        policy["default-src"] == "'none'" and policy["media-src"] == "data:" and "connect-src" not in policy
    )


def test_the_values_are_served(routes: Any, run: Run) -> None:
    status, _, body = ask(routes, run.folder.parent, "evaluation", run="first")
    assert status == 200 and json.loads(body) == evaluation_view(run)


@pytest.mark.parametrize("path", ["report", "evaluation"])
@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({}, 400, "names no 'run'"),
        ({"run": "gone"}, 404, "no run 'gone' any more"),
        ({"run": "bare"}, 404, "The run 'bare' has no report yet; evaluate it first."),
    ],
)
def test_what_is_not_there_is_said(
    routes: Any, run: Run, path: str, query: dict[str, str], status: int, words: str
) -> None:
    (run.folder.parent / "bare").mkdir()
    answered, _, body = ask(routes, run.folder.parent, path, **query)
    assert answered == status and words in json.loads(body)["error"]


def test_a_report_that_is_a_link_out_of_the_run_is_refused(routes: Any, run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("secret")
    run.report_html.unlink()
    try:
        run.report_html.symlink_to(tmp_path / "secret.html")
    except OSError:
        pytest.skip("no links here")
    status, _, body = ask(routes, run.folder.parent, "report", run="first")
    assert status == 400 and b"secret" not in body and b"leads outside" in body
