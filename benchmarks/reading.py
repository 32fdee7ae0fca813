"""How often the sentence reader is right, in doubt, or silently wrong.

On texts made by a grammar (people, animals and things; places, verbs, joins, surroundings, and sentences about camera,
light and others in front or behind), on the sentences in tests/data, and with --table on a CSV with the columns prompt,
subject (or animal), object and type (or initial and final). The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.language.reader import Reading, read_text
from spatialalign_core.tables import read_table

ROOT = Path(__file__).resolve().parent.parent
Case = tuple[str, str, str, str]  # text, subject, object, motion; no motion where only a doubt is right

SUBJECTS = (
    "cat",
    "dog",
    "red fox",
    "fluffy white rabbit",
    "robot",
    "old man",
    "young woman",
    "brown bear",
    "small green parrot",
    "goldfish",
    "drone",
    "toy car",
    "paper boat",
    "seagull",
    "lion cub",
    "chimpanzee",
    "hedgehog",
    "snowman",
    "skateboarder",
    "kangaroo",
    "beetle",
    "german shepherd",
    "ice skater",
    "hot air balloon",
    "baby elephant",
    "tabby cat",
    "horse",
    "balloon",
    "ghost",
    "dragon",
    "ballerina",
    "crab",
    "marble",
    "frisbee",
    "bluebird",
    "pony",
    "panther",
    "ladybird",
    "mouse",
    "waiter",
)

OBJECTS = (
    "box",
    "wooden chair",
    "park bench",
    "tree stump",
    "traffic cone",
    "fire hydrant",
    "red car",
    "mailbox",
    "coffee table",
    "stone wall",
    "street lamp",
    "bicycle",
    "sand castle",
    "flower pot",
    "bookshelf",
    "piano",
    "tall lighthouse",
    "trash can",
    "weathered rock",
    "birdhouse",
    "laptop",
    "water bottle",
    "statue",
    "fountain",
    "suitcase",
    "barrel",
    "rusty old bucket",
    "picture frame",
    "television",
    "snow-covered log",
    "doghouse",
    "vending machine",
    "tent",
    "bush",
    "teapot",
    "oak tree",
    "garden gate",
    "hay bale",
    "shopping cart",
    "cactus",
)

PLACES = {
    "L": [
        "on the left of {o}",
        "to the left of {o}",
        "left of {o}",
        "on the left side of {o}",
        "on the left-hand side of {o}",
        "at the left of {o}",
    ],
    "R": [
        "on the right of {o}",
        "to the right of {o}",
        "right of {o}",
        "on the right side of {o}",
        "on the right-hand side of {o}",
    ],
    "T": ["on top of {o}", "on the top of {o}", "atop {o}"],
}

GOALS = {
    "L": ["to the left of {o}", "over to the left side of {o}", "to the left-hand side of {o}"],
    "R": ["to the right of {o}", "over to the right side of {o}", "to the right-hand side of {o}"],
    "T": ["onto the top of {o}", "to the top of {o}", "on top of {o}", "onto {o}"],
}

STANCES = (
    "is",
    "sits",
    "stands",
    "waits",
    "rests",
    "is standing",
    "is sitting quietly",
    "lies",
    "can be seen",
    "is positioned",
    "hovers",
)

VERBS = (
    "jumps",
    "moves",
    "goes",
    "runs",
    "hops",
    "leaps",
    "walks slowly",
    "quickly scurries",
    "drifts",
    "slides",
    "trots",
    "wanders",
    "makes its way",
    "climbs",
    "dashes",
    "glides",
    "strolls",
    "bounds",
    "tumbles",
    "creeps",
)

JOINS = (
    ", then it {v} {g}",
    ". Then it {v} {g}",
    ", then the {h} {v} {g}",
    ". The {h} then {v} {g}",
    " and then {v} {g}",
    "; after a moment it {v} {g}",
    " before it {v} {g}",
    ". Suddenly, the {h} {v} {g}",
    ", and then it {v} {g}",
    ". A few seconds later the {h} {v} {g}",
    " until it {v} {g}",
    ". After that, the {h} {v} {g}",
    " but soon {v} {g}",
    ". Next, it {v} {g}",
    ". Eventually it {v} {g}",
)

OPENINGS = (
    "",
    "",
    "In a sunny park, ",
    "In a dark forest ",
    "On a beach at sunset, ",
    "Inside a cozy cabin with a fire on the left, ",
    "At night, ",
    "Under a bridge, ",
    "In front of a brick wall, ",
    "Wide shot: ",
    "Cinematic, 8k, ",
    "masterpiece, best quality, ",
    "A video of ",
    "Close-up of ",
    "On the top of a hill, ",
    "Behind a school, ",
    "In the middle of a field, ",
    "Photorealistic footage of ",
    "We see ",
    "There is ",
)

OTHERS = (
    "",
    "",
    " The camera pans right.",
    " Soft light comes from the left.",
    " A bird flies to the right in the background.",
    " The wind blows to the left.",
    " In the background, a train moves from left to right.",
    " The camera slowly tracks to the left, following the {h}.",
    " Its tail points to the right.",
    " On the right, children are playing.",
    " Clouds drift left.",
    " 35mm, f/1.8, bokeh, film grain.",
    " The {h} looks to the left.",
    " Shadows fall to the right.",
    " The {h} has a bow on the left ear.",
    " A dog barks somewhere.",
    " The sun sets on the left.",
    " A man on the right watches.",
    " People walk by on the left of the street.",
    " The view then pans left to reveal a lake.",
    " The {o2} is on the right of a door.",
    " Meanwhile, a cat sleeps on top of a roof.",
    " Text on the top: hello.",
    " The scene ends with a slow zoom to the right.",
)


def grammar(count: int, seed: int) -> Iterable[Case]:
    """Texts with a known reading; the same seed gives the same texts."""
    draw = random.Random(seed)
    for _ in range(count):
        subject, thing = draw.choice(SUBJECTS), draw.choice(OBJECTS)
        first, last = draw.sample("LRT", 2)
        opening, stance = draw.choice(OPENINGS), draw.choice(STANCES)
        head, of = subject.split()[-1], draw.choice((f"the {thing}", f"the {thing.split()[-1]}", "it"))
        if opening.strip() in ("We see", "There is"):
            stance = ""
        elif opening.strip().endswith("of"):
            stance = "" if draw.random() < 0.7 else f"that {stance}"
        goal = draw.choice(GOALS[last]).format(o=of)
        join = draw.choice(JOINS).format(v=draw.choice(VERBS), g=goal, h=head)
        place = draw.choice(PLACES[first]).format(o=_with_article(thing))
        body = " ".join(f"{opening}{_with_article(subject)} {stance} {place}{join}".split())
        other = draw.choice(OTHERS).format(h=head, o2=thing).strip()
        text = f"{other} {body}." if draw.random() < 0.15 else f"{body}. {other}"
        yield text.strip(), subject, thing, first + last


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def table(path: Path) -> Iterable[Case]:
    for row in read_table(path, ("prompt", "object")):
        motion = row.get("type") or row["initial"] + row["final"]
        yield row["prompt"], row.get("subject") or row["animal"], row["object"], motion


def sentences() -> Iterable[Case]:
    data = json.loads((ROOT / "tests" / "data" / "sentences.json").read_text(encoding="utf-8"))
    for entry in data["sentences"]:
        yield entry["text"], entry["subject"], entry["object"], entry["motion"]


def count(cases: Iterable[Case], show: bool) -> dict[str, int]:
    """right: read as it is, or a doubt where only that is right. unscored: right, but not scored yet."""
    result = {"texts": 0, "right": 0, "unscored": 0, "doubt": 0, "silently_wrong": 0}
    for text, subject, thing, motion in cases:
        reading = read_text(text)
        outcome = _outcome(reading, subject, thing, motion)
        result["texts"] += 1
        result[outcome] += 1
        if show and outcome in ("doubt", "silently_wrong"):
            print(
                f"{outcome}: {text}\n    {reading.subject} {reading.object} {reading.motion} {reading.doubts}"
            )
    return result


def _outcome(reading: Reading, subject: str, thing: str, motion: str) -> str:
    same = (
        "".join(reading.motion) == motion
        and _head(reading.subject) == _head(subject)
        and _head(reading.object) == _head(thing)
    )
    if not reading.doubts:
        return "right" if same else "silently_wrong"
    if not motion:
        return "right"
    return "unscored" if same and set(motion) - set("LRT") else "doubt"


def _head(noun: str) -> str:
    return noun.lower().split(" ")[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", type=Path, action="append", default=[], metavar="CSV")
    parser.add_argument("--show", action="store_true", help="print every text that is not read rightly")
    options = parser.parse_args()
    figures = {
        f"grammar {seed}": count(grammar(options.count, seed), options.show) for seed in range(options.seeds)
    }
    figures["sentences"] = count(sentences(), options.show)
    figures |= {path.name: count(table(path), options.show) for path in options.table}
    for name, each in figures.items():
        print(f"{name}: {each}")
    print(
        json.dumps(
            {
                "machine": platform.machine(),
                "lemminflect": version("lemminflect"),
                "python": platform.python_version(),
            }
            | {"figures": figures}
        )
    )


if __name__ == "__main__":
    main()
