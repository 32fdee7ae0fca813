"""What was understood of typed sentences, as values and sentences that a panel shows while they are typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .language.doubts import parts_in_doubt
from .pocket.sprites import OBJECT_COLOURS, SCENE_COLOURS, SUBJECT_COLOURS, unknown_sprite
from .prompt_list import PromptList, held_out
from .relations import Relation
from .sentence import parse_sentence

SPRITES = "sprites"
_MOST_SHOWN = 200


def sentence_view(text: str, world: str = "") -> dict[str, Any]:
    """What one sentence says.

    Returns subject, object (nouns, "" when unknown), initial and final (relation codes: L, R, T; F, B, U, I are read
    and not scored; "" when unknown), scene, understood (whether nodes and verbs take it), doubts and remarks (full
    sentences), in_doubt (the parts that the doubts are about), rewritable (whether another sentence could say the same
    parts without a doubt), and choices (nouns to offer for subject and object).
    world: "sprites" where only the sprite world's nouns are known.
    """
    parsed = parse_sentence(text)
    reading, prompt = parsed.reading, parsed.prompt
    motion = reading.motion
    doubts = [] if prompt else list(parsed.not_understood)
    remarks = list(parsed.not_understood) if prompt else list(reading.remarks)
    parts = {
        "subject": reading.subject,
        "object": reading.object,
        "initial": motion[0] if motion else "",
        "final": motion[-1] if len(motion) > 1 else "",
    }
    codes = {relation.value for relation in Relation}
    in_doubt = [name for name, value in parts.items() if not value]
    for doubt in doubts:
        in_doubt += parts_in_doubt(doubt, reading.subject, reading.object)
    in_doubt += [name for name in ("initial", "final") if parts[name] not in codes]
    scored = {parts["initial"], parts["final"]} <= codes and parts["initial"] != parts["final"]
    rewritable = prompt is None and all(parts.values()) and scored
    if world == SPRITES and prompt is not None:
        fault = unknown_sprite(prompt.subject, prompt.object)
        if fault:
            doubts.append(fault)
            in_doubt.append("object" if prompt.subject in SUBJECT_COLOURS else "subject")
        if prompt.scene and prompt.scene.lower() not in SCENE_COLOURS:
            scenes = list(SCENE_COLOURS)
            remarks.append(
                f"The sprite world has no scene {prompt.scene!r} and draws {scenes[0]!r}; it knows: "
                f"{', '.join(scenes)}."
            )
    return {
        **parts,
        "scene": reading.scene,
        "understood": not doubts,
        "doubts": doubts,
        "remarks": remarks,
        "in_doubt": sorted(set(in_doubt)),
        "rewritable": rewritable,
        "choices": {"subject": list(SUBJECT_COLOURS), "object": list(OBJECT_COLOURS)},
    }


def list_view(found: PromptList, wanted: int | None, seed: int = 0) -> dict[str, Any]:
    """What a list of sentences says: how many of it are understood, in doubt, not understood or repeated.

    Returns unit ("line", "row" or "entry"), read, counts by state, train and held_out (how many there are of each
    after the division, see `held_out`), changes (how many of each relation change), notes (full sentences), entries
    (those that are set aside, then those with remarks: number, state, text, reasons) and more (how many entries are
    not in the answer).
    """
    prompts, note = found.prompts, ""
    if not found.divided and prompts:
        prompts, note = held_out(prompts, wanted, seed)
    remarked = [each for each in found.entries if each.prompt is not None and each.reasons]
    told = found.set_aside + remarked
    changes: dict[str, int] = {}
    for prompt in prompts:
        changes[prompt.change.code] = changes.get(prompt.change.code, 0) + 1
    held = sum(prompt.split == "held_out" for prompt in prompts)
    return {
        "unit": found.unit,
        "read": len(found.entries),
        **found.counts(),
        "train": len(prompts) - held,
        "held_out": held,
        "changes": changes,
        "notes": [*found.notes, *([note] if note else [])],
        "entries": [
            {
                "number": each.number,
                "state": each.state,
                "text": each.text[:300],
                "reasons": list(each.reasons),
            }
            for each in told[:_MOST_SHOWN]
        ],
        "more": max(0, len(told) - _MOST_SHOWN),
    }


def parts_to_change(values: Mapping[str, Any]) -> dict[str, str]:
    """The parts that a request names, for `edit_sentence`."""
    return {
        name: value
        for name, value in values.items()
        if name in ("subject", "object", "initial", "final") and isinstance(value, str)
    }
