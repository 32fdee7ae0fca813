"""The report: what it says, that it says no more than the numbers, and that nothing in it can reach out."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from spatialalign_core.evaluate import ScoredSample, evaluate
from spatialalign_core.prompts import DsrPrompt
from spatialalign_core.relations import CHANGES, RelationChange
from spatialalign_core.report import write_report
from spatialalign_core.report.text import headline, lede, outcome, percent, points, verdict
from spatialalign_core.report.videos import choose_shown
from spatialalign_core.score import Score

EVIL = "<img src=x onerror=alert(1)>\"'&</style></script><script>alert(2)</script>"


def score(dsr, initial=0.5, final=0.5, reason="nothing was found"):
    if isinstance(dsr, Score):
        return dsr
    if dsr is None:
        return Score(False, reason, None, None, None, None, None, 0)
    return Score(True, None, dsr, initial, final, 0.0, 0.0, 20)


def samples(rows, text="A cat.", subject="cat", split="held_out", video=None, reason="nothing was found"):
    return [
        ScoredSample(
            DsrPrompt(f"p{i:02}", text, subject, "box", CHANGES[i % 6], "a field", split),
            seed, score(dsr, reason=reason), video,
        )
        for i, row in enumerate(rows) for seed, dsr in enumerate(row)
    ]  # fmt: skip


HALF_WAY = score(0.75, 0.9, 0.1)
GOOD, BAD = [[0.9, 0.2]] * 30, [[0.2, 0.2]] * 30


class Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def written(tmp_path, base, aligned, log=None, settings=None):
    evaluation = evaluate(base, aligned, bootstrap=200)
    write_report(tmp_path / "r.html", tmp_path / "r.json", evaluation, base, aligned, log, settings or {})
    return (tmp_path / "r.html").read_text("utf-8"), json.loads((tmp_path / "r.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("base", "aligned", "words", "sure"),
    [
        (BAD, GOOD, "now puts the cat where the prompt says in 50 % of videos, up from 0 %", "+50.0 points"),
        (GOOD, BAD, "the model got worse: it puts the cat where the prompt says in 0 %", "−50.0 points"),
        (GOOD, GOOD, "training made no clear difference: the model puts the cat", "includes 0"),
        (BAD[:1], GOOD[:1], "On 1 prompt it had never seen, training made no clear difference", "too few"),
    ],
    ids=["better", "worse", "the same", "a single prompt"],
)
def test_the_headline_is_honest(base, aligned, words, sure):
    evaluation = evaluate(samples(base), samples(aligned), bootstrap=200)
    prompts = [sample.prompt for sample in samples(base)]
    assert words in headline(evaluation, prompts).replace("\u202f", " ")
    assert sure in lede(evaluation)


@pytest.mark.parametrize(
    ("subject", "split", "words"),
    [("cat", "train", "On 30 prompts, the model now puts the cat"), ("robot", "held_out", "puts the robot")],
)
def test_the_headline_claims_no_unseen_prompts(subject, split, words):
    base, aligned = (samples(rows, subject=subject, split=split) for rows in (BAD, GOOD))
    assert words in headline(evaluate(base, aligned, bootstrap=50), [s.prompt for s in base])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.29, "+29 points"), (0.01, "+1 point"), (-0.3, "−30 points"), (0.0, "±0 points")],
)
def test_points(value, expected):
    assert points(value) == expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0.685, "69"), (0.415, "42"), (0.0, "0"), (1.0, "100"), (0.2849, "28")]
)
def test_percent_rounds_halves_up(share, expected):
    assert percent(share) == f"{expected}\u202f%"


def test_what_is_not_known_is_a_dash():
    assert (percent(float("nan")), points(float("nan"))) == ("–", "–")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (score(0.7), "does what the prompt says"),
        (score(None), "cannot be scored: nothing was found"),
        (score(0.6, 0.9, 0.0), "starts on the left, does not end on top"),
        (score(0.6, 0.0, 0.9), "ends on top, does not start on the left"),
        (score(0.6, 0.9, 0.9), "left and top are there, but not clearly enough"),
        (score(0.3, 0.0, 0.0), "neither starts on the left nor ends on top"),
        (score(0.75, 0.9, 0.1), "starts on the left, does not end on top"),
        (score(0.75, 0.3, 0.1), "starts on the left, does not end on top"),
        (score(0.75, 0.1, 0.9), "ends on top, does not start on the left"),
        (score(0.72, 0.3, 0.3), "does what the prompt says"),
    ],
)
def test_the_verdict_on_a_video(given, words):
    assert verdict(given, RelationChange.parse("LT"), 0.7) == words


@pytest.mark.parametrize(
    ("base", "aligned", "kind"),
    [
        (0.1, 0.9, "improved"),
        (0.9, 0.8, "kept"),
        (None, 0.2, "missed"),
        (0.7, None, "lost"),
        (0.69, 0.7, "improved"),
        (HALF_WAY, 0.7, "improved"),
        (0.9, HALF_WAY, "lost"),
    ],
)
def test_outcome(base, aligned, kind):
    assert outcome(score(base), score(aligned), 0.7) == kind


@pytest.mark.parametrize(
    ("kinds", "most", "expected"),
    [
        ({"improved": 100, "kept": 60, "missed": 30, "lost": 10}, 20, (10, 6, 3, 1)),
        ({"improved": 500, "lost": 1}, 24, (23, 0, 0, 1)),
        ({"improved": 500, "kept": 1, "missed": 1, "lost": 1}, 24, (21, 1, 1, 1)),
        ({"missed": 50}, 24, (0, 0, 24, 0)),
        ({"improved": 2, "kept": 1}, 24, (2, 1, 0, 0)),
    ],
)
def test_shown_pairs_are_in_proportion(kinds, most, expected):
    scores = {"improved": (0.1, 0.9), "kept": (0.9, 0.9), "missed": (0.1, 0.1), "lost": (0.9, 0.1)}
    rows = [scores[kind] for kind, count in kinds.items() for _ in range(count)]
    pairs = list(zip(samples([[b] for b, _ in rows]), samples([[a] for _, a in rows]), strict=True))
    shown = choose_shown(pairs, 0.7, most)
    found = [outcome(b.score, a.score, 0.7) for b, a in shown]
    assert tuple(found.count(kind) for kind in scores) == expected
    assert len({b.prompt.id for b, _ in shown}) == len(shown)


def test_nothing_from_outside_becomes_a_tag(tmp_path):
    rows = [*BAD[:20], [None, None]]
    base = samples(rows, text=EVIL, subject=EVIL, reason=EVIL)
    aligned = samples([*GOOD[:20], [None, 0.9]], text=EVIL, subject=EVIL, reason=EVIL)
    log = [{"step": EVIL, "loss": EVIL}, {"step": 1, "loss": 0.5, "accuracy": 0.5}]
    page, _ = written(tmp_path, base, aligned, log, {EVIL: EVIL, "nested": {EVIL: [EVIL]}})
    tags = Page(page).tags
    names = [tag for tag, _ in tags]
    assert "img" not in names and names.count("script") == 1 and names.count("style") == 1
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "&lt;img src=x" in page


def test_the_page_asks_the_network_for_nothing(tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"not really a video")
    page, _ = written(tmp_path, samples(BAD, video=video), samples(GOOD, video=video))
    tags = Page(page).tags
    policy = next(a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "http" not in policy
    for kind in ("style", "script"):
        body = re.search(f"<{kind}>(.*?)</{kind}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert "url(" not in body and "@import" not in body and "fetch(" not in body
    links = [a[name] for _, a in tags for name in ("src", "href", "poster") if name in a]
    assert links and all(link.startswith("data:") for link in links)
    assert not any("style" in attributes for _, attributes in tags)  # the policy would drop them


def test_videos_are_inside_and_missing_ones_are_named(tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"not really a video")
    page, _ = written(tmp_path, samples([[0.2]], video=video), samples([[0.9]], video=tmp_path / "gone.mp4"))
    assert base64.b64encode(b"not really a video").decode() in page
    assert "no video: with LoRA" in page


@pytest.mark.parametrize("right", [0, 15, 27, 29, 30], ids=lambda right: f"{right} of 30")
def test_the_value_at_tau_does_not_lie_on_its_curve(tmp_path, right):
    rows = [[0.8]] * right + [[0.2]] * (30 - right)
    page, _ = written(tmp_path, samples([[0.2]] * 30), samples(rows))
    for kind in ("base", "aligned"):
        mark = float(re.search(rf'class="dot {kind}" cx="[^"]*" cy="([^"]*)"', page)[1])
        foot = float(re.search(rf'class="value {kind}" x="[^"]*" y="([^"]*)"', page)[1])
        assert foot < mark or foot - 14 > mark  # figures stand 14 high on their foot


def test_a_large_run_does_not_make_an_endless_page(tmp_path, monkeypatch):
    video = tmp_path / "v.mp4"
    video.write_bytes(bytes(1000))
    monkeypatch.setattr("spatialalign_core.report.page.MOST_BYTES", 5500)
    page, _ = written(tmp_path, samples(BAD, video=video), samples(GOOD, video=video))
    assert page.count("<video") == 5 and "the page would be too large" in page


@pytest.mark.parametrize(
    ("log", "there"),
    [(None, False), ([], False), ([{"step": "1", "loss": "nan"}], False), ([{"step": "1", "loss": "0.5"}], True),
     ([{"step": i, "loss": 0.0, "accuracy": 1.0} for i in range(1000)], True)],
)  # fmt: skip
def test_training(tmp_path, log, there):
    page, _ = written(tmp_path, samples(BAD), samples(GOOD), log)
    assert ("<h2>Training</h2>" in page) is there
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", page, re.S))


def test_the_json_twin(tmp_path):
    settings = {"train": {"beta": float("inf"), "targets": ("q", "k")}, "fps": 8}
    page, report = written(tmp_path, samples(BAD), samples(GOOD), settings=settings)
    assert (report["base"], report["aligned"], report["tau"], report["verdict"]) == (0.0, 0.5, 0.7, "better")
    assert report["settings"] == {"train beta": None, "train targets": "q, k", "fps": 8}
    assert len(report["samples"]) == 60
    assert report["samples"][0] == {"prompt": "p00", "seed": 0, "base": 0.2, "aligned": 0.9,
                                    "base_obeys": False, "aligned_obeys": True}  # fmt: skip
    assert 'data-frame="0.12500"' in page


def test_the_page_tells_the_share_that_obeys_from_the_published_accuracy(tmp_path):
    """Everything scores 0.7 or more before and after; only after training do the videos end where they should."""
    page, report = written(tmp_path, samples([[HALF_WAY]] * 30), samples([[0.9]] * 30))
    said = re.sub("<[^>]*>|\\s+", " ", page.replace("\u202f", " "))
    assert "now puts the cat where the prompt says in 100 % of videos, up from 0 %" in said
    assert "Videos that obey the prompt 0 % → 100 %" in re.sub(" +", " ", said)
    assert "Videos that score at least 0.7 100 % → 100 %" in re.sub(" +", " ", said)
    assert "the published accuracy@0.7" in said and "Share of videos that obey, for each movement" in said
    assert report["accuracy"]["difference"]["value"] == 0.0 and report["obey"]["difference"]["value"] == 1.0


def test_nothing_valid_at_all(tmp_path):
    rows = [[None], [None]]
    page, report = written(tmp_path, samples(rows), samples(rows))
    assert report["valid_base"] == 0.0 and report["mean_dsr_of_valid"]["base"]["value"] is None
    assert "nan" not in page
