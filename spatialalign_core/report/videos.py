"""The videos on the report: which pairs are shown, and how a pair looks."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape

from ..evaluate import Evaluation, ScoredSample
from ..score import obeys
from ..score_words import score_digits
from . import text as words

MOST_PAIRS = 24
MOST_BYTES = 60_000_000  # of all videos together: a page that any browser still opens at once
NAMES = "base", "with LoRA"  # of the two sides, for people
SamplePair = tuple[ScoredSample, ScoredSample]


def choose_shown(pairs: Sequence[SamplePair], tau: float, most: int = MOST_PAIRS) -> list[SamplePair]:
    """At most `most` pairs: each kind of outcome as often as it occurred, and at least once, evenly over prompts."""
    kinds: dict[str, list[SamplePair]] = {kind: [] for kind in words.OUTCOMES}
    for pair in sorted(pairs, key=lambda p: (p[0].seed, p[0].prompt.id)):
        kinds[words.outcome(pair[0].score, pair[1].score, tau)].append(pair)
    total = len(pairs)
    if total <= most:
        return [pair for kind in kinds.values() for pair in kind]
    counts = {k: max(1, math.floor(most * len(found) / total)) for k, found in kinds.items() if found}
    by_remainder = sorted(counts, key=lambda k: -(most * len(kinds[k]) / total % 1))
    for kind in by_remainder * 2:
        if sum(counts.values()) < most and counts[kind] < len(kinds[kind]):
            counts[kind] += 1
    while sum(counts.values()) > most:
        counts[max(counts, key=counts.__getitem__)] -= 1
    return [
        kinds[kind][i * len(kinds[kind]) // count] for kind, count in counts.items() for i in range(count)
    ]


def hero(evaluation: Evaluation, pairs: Sequence[SamplePair], room: list[int]) -> str:
    """The video pair that gained most of those that obey now and did not before; only when the model did get better,
    for one lucky pair proves nothing."""
    if evaluation.verdict != "better":
        return ""
    gains = [(a.score.dsr - b.score.dsr, (b, a)) for b, a in pairs
             if b.score.dsr is not None and a.score.dsr is not None and b.video and a.video
             and words.outcome(b.score, a.score, evaluation.tau) == "improved"]  # fmt: skip
    if not gains:
        return ""
    _, (base, aligned) = max(gains, key=lambda gain: gain[0])
    return _pair(base, aligned, evaluation.tau, room, "The largest gain of all. ", "pair hero")


def side_by_side(
    evaluation: Evaluation, pairs: Sequence[SamplePair], shown: Sequence[SamplePair], room: list[int]
) -> str:
    tau = evaluation.tau
    kinds = [words.outcome(b.score, a.score, tau) for b, a in pairs]
    groups = []
    for kind, name in words.OUTCOMES.items():
        cards = [_pair(b, a, tau, room) for b, a in shown if words.outcome(b.score, a.score, tau) == kind]
        if cards:
            count = f"{kinds.count(kind)} of {len(kinds)} pairs"
            groups.append(f'<h3>{name}<small>{count}</small></h3><div class="pairs">{"".join(cards)}</div>')
    some = len(shown) < len(pairs)
    choice = (
        "Not hand-picked: each outcome is shown about as often as it occurred."
        if some
        else "All pairs are shown."
    )
    return (
        '<section><div class="head"><h2>Side by side</h2><button id="all" type="button" aria-pressed="false" hidden>'
        "Play all</button></div><p>Left the base, right with LoRA: same prompt, same seed. Click to play "
        f"both together; the arrow keys step through the frames. {choice}</p>{''.join(groups)}</section>"
    )


def _pair(
    base: ScoredSample,
    aligned: ScoredSample,
    tau: float,
    room: list[int],
    before: str = "",
    kind: str = "pair",
) -> str:
    clips = [_video(sample, name, room) for sample, name in zip((base, aligned), NAMES, strict=True)]
    play = '<button class="play" type="button" aria-pressed="false" aria-label="Play both videos"></button>'
    sides = "".join(
        f"<div>{name} <b{' class=yes' if obeys(s.score, tau) else ''}>{_number(s, tau)}</b><br>"
        f"{escape(words.verdict(s.score, s.prompt.change, tau))}</div>"
        for s, name in zip((base, aligned), NAMES, strict=True)
    )
    return (
        f'<figure class="{kind}"><div class="stage">{"".join(clips)}{play if "<video" in "".join(clips) else ""}</div>'
        f'<figcaption><div class="sides">{sides}</div><p>{escape(base.prompt.text)}</p>'
        f'<p class="note">{before}{words.change_words(base.prompt.change)} · seed {base.seed}</p></figcaption></figure>'
    )


def _number(sample: ScoredSample, tau: float) -> str:
    return words.score_number(None) if sample.score.dsr is None else score_digits(sample.score.dsr, tau)


def _video(sample: ScoredSample, name: str, room: list[int]) -> str:
    try:
        data = sample.video.read_bytes() if sample.video else b""
    except OSError:
        data = b""
    if not data:
        return f'<div class="none">no video: {name}</div>'
    if len(data) > room[0]:
        return '<div class="none">left out: the page would be too large</div>'
    room[0] -= len(data)
    label = escape(f"{name}, seed {sample.seed}: {sample.prompt.text}")
    return (
        f'<video muted playsinline preload="auto" aria-label="{label}" '
        f'src="data:video/mp4;base64,{base64.b64encode(data).decode()}"></video>'
    )
