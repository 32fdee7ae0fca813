"""A score in plain words."""

from __future__ import annotations

from collections import Counter

from .prompts import DsrPrompt
from .score import GOOD, Score
from .score_words import Part, score_parts, verdict_words
from .tracks import Track


def describe_score(prompt: DsrPrompt, track: Track, score: Score) -> str:
    """What was asked, what was seen and how that scores; some short lines."""
    change = prompt.change
    if score.dsr is None:
        return f"{asked_for(prompt)}\nNo score: {score.reason}.\n{_frames(track, score)}"
    lines = [
        asked_for(prompt),
        f"{verdict_words(score, change, prompt.object)} ({GOOD} or more is needed).",
        *(f"{part}." for part in map(_sentence, score_parts(track, change, score))),
        _frames(track, score),
    ]
    return "\n".join(lines)


def asked_for(prompt: DsrPrompt) -> str:
    """What was understood of the prompt, in one line."""
    change = prompt.change
    return (
        f"Asked for: the {prompt.subject} {change.initial.side} the {prompt.object}, "
        f"then {change.final.heading} the {prompt.object}."
    )


def describe_track(track: Track) -> str:
    """What was found and what was not; some short lines."""
    counts = sum(reason is None for reason in track.frame_reasons)
    lines = [
        f"The {track.subject} and the {track.object} were found together in {counts} of {track.frames} frames."
    ]
    if any(track.bridged):
        lines.append(
            f"{sum(track.bridged)} of them are interpolated: a box was filled in from the neighbouring frames."
        )
    if track.reason is not None:
        lines.append(f"The video is not valid: {track.reason}.")
    elif counts < track.frames:
        reason, times = Counter(each for each in track.frame_reasons if each is not None).most_common(1)[0]
        lines.append(f"{track.frames - counts} frames are not valid, {times} of them because {reason}.")
    return "\n".join(lines)


def _sentence(part: Part) -> str:
    words = str(part)
    return words[0].upper() + words[1:]


def _frames(track: Track, score: Score) -> str:
    if score.scored_frames == track.frames:
        return f"All {track.frames} frames are valid."
    return f"{score.scored_frames} of {track.frames} frames are valid."
