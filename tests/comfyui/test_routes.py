"""The pack's routes and charts inside ComfyUI; tests/unit/test_routes.py asks them more."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from prompts import template
from server import PACK, Server


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_routes_are_there(server: Server, prefix: str) -> None:
    assert isinstance(server.get(f"{prefix}/spatialalign/runs")["runs"], list)


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_template_browser_lists_the_quickstart_first(server: Server, prefix: str) -> None:
    """ComfyUI itself lists them as the file system does: no order that anybody would choose."""
    names = server.get(f"{prefix}/workflow_templates")["spatialalign"]
    assert names[:3] == ["Quickstart", "Score a video", "Detect a video"]
    assert sorted(names) == sorted(file.stem for file in (PACK / "workflows").glob("*.json"))


@pytest.mark.parametrize(
    ("run", "status", "words"),
    [
        ("..", 400, "must be a plain name"),
        ("a/b", 400, "must be a plain name"),
        ("nowhere", 404, "There is no run"),
    ],
)
def test_runs_stay_in_the_output_folder(server: Server, run: str, status: int, words: str) -> None:
    query = urllib.parse.urlencode({"run": run})
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.get(f"/spatialalign/training?{query}")
    assert refused.value.code == status
    assert words in json.loads(refused.value.read())["error"]
    answer = server.post("/spatialalign/training", {"run": run, "action": "pause"})
    assert answer[0] == status and words in answer[1]["error"]


def test_a_score_brings_its_chart_and_a_video_of_it(server: Server) -> None:
    prompt = template(server, "Score a video")
    entry = server.run(prompt)
    scorer = next(n for n, node in prompt.items() if node["class_type"] == "SpatialAlign_ScoreVideo")
    [chart] = entry["outputs"][scorer]["spatialalign_score"]
    assert chart["good"] is True and len(chart["lines"][0]["values"]) == chart["frames"]
    assert [part["answer"] for part in chart["parts"]] == ["yes"] * 4
    video = chart["video"]
    query = urllib.parse.urlencode({name: video[name] for name in ("filename", "subfolder", "type")})
    with urllib.request.urlopen(f"{server.url}/view?{query}") as answer:
        assert answer.headers["Content-Type"] == "video/mp4"
