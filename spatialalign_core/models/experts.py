"""Which of a model's two networks a file holds, read from its name.

Wan2.2 A14B has a network for high noise and one for low noise. Both have the keys and shapes of Wan2.1 14B, so the name
is all there is. Names are taken as "folder/file" or as the file's alone; the folder counts where the file says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

HIGH, LOW = "high", "low"

_PARTNERS = {"high": "low", "low": "high", "hn": "ln", "ln": "hn", "h": "l", "l": "h", "高": "低", "低": "高"}
_MEANINGS = {"high": HIGH, "hn": HIGH, "h": HIGH, "高": HIGH, "low": LOW, "ln": LOW, "l": LOW, "低": LOW}
# Words, numbers and runs of capitals, as in t2vHighNoise and WAN22HIGH.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[高低]")
# Glued to what stands before, as in t2vhigh, but not flow or slow.
_GLUED = re.compile(r"(?:.*?(?:vid|video|model|wan|noise)|[tiv]*v)?(high|low|hn|ln)(?:noises?|model)?", re.I)
# A letter of its own, as in wan22_t2v_h, but not in Q4_K_L, which is a number format.
_LETTER = re.compile(r"(?<![^\W_])(?<!K[_-])(?<!k[_-])[HhLl](?![^\W_])")
# high_quality and low_vram speak of something else.
_OTHER_SENSE = re.compile(
    "q|qual|quality|res|resolution|vram|ram|mem|memory|fps|fidelity|motions?|movement|ranks?|lights?|lighting|key|"
    "contrast|cfg|steps?|poly|end|def|definition|precision|details?|detailed|angle|speed|dynamics?|dim|size|bits?|"
    "freq|frequency|saturation|temperature|level|shot|view"
)
_FAST = re.compile("lights?|lighting|ranks?")  # of a distilled expert: "high_lighting" is lightning, misspelt
_NEWER = re.compile(r"wan[ ._-]*(?:v|video)?[ ._-]*2[ ._-]?2(?!\d)|a14b", re.I)
_OLDER = re.compile(r"wan[ ._-]*(?:v|video)?[ ._-]*2[ ._-]?1(?!\d)", re.I)
_ONE = re.compile(r"aio|all[ ._-]*in[ ._-]*one|rapid|(?<![a-z])merged?", re.I)
# What may differ between two files of one pair: precision, packer, version.
_PACKING = frozenset({"fp", "bf", "e", "m", "fn", "fnuz", "scaled", "kj", "v", "comfy", "comfyui"})


def experts_in(name: str) -> set[str]:
    """HIGH, LOW, both, or none: what the name says."""
    file, folder = _parts(name)
    return {_MEANINGS[word] for _, _, word in _found(file)} or _of_folder(folder)


def says_pair(name: str) -> bool:
    """Whether the name speaks of Wan2.2 A14B."""
    return _speaks_of(_NEWER, name, unless=_OLDER)


def says_older(name: str) -> bool:
    """Whether the name speaks of Wan2.1, which has one network for all noise."""
    return _speaks_of(_OLDER, name, unless=_NEWER)


def says_merged(name: str) -> bool:
    """Whether the name speaks of both networks made into one."""
    return bool(_ONE.search(_parts(name)[0]))


def partner_name(path: Path) -> str:
    """The name that the other network's file should have, with its folder where only that tells."""
    if _found(path.name):
        return _swapped(path.name)
    return f"{_swapped(path.parent.name)}/{path.name}"


def find_partner(path: Path, others: Sequence[Path]) -> Path | None:
    """Of files of the other network the one named like `path`: but for the word, else but for precision and version.

    None where there is none.
    """
    for ignored in (frozenset(), _PACKING):
        mine = _rest(path, ignored)
        alike = [file for file in others if _rest(file, ignored) == mine]
        if alike:
            return min(alike, key=lambda file: (_distance(file, path), file.name))
    return None


def is_named_as_partner(path: Path, other: Path) -> bool:
    """Whether the names differ in nothing but the word."""
    return _rest(path, frozenset()) == _rest(other, frozenset())


def _distance(file: Path, path: Path) -> tuple[int, int]:
    """Files of the same folder and of the same packing come first."""
    packing = set(_words(file.stem)) ^ set(_words(path.stem))
    return file.parent != path.parent, len(packing)


def _speaks_of(pattern: re.Pattern[str], name: str, unless: re.Pattern[str]) -> bool:
    """The file's word counts before the folder's."""
    file, folder = _parts(name)
    return bool(pattern.search(file)) or (bool(pattern.search(folder)) and not unless.search(file))


def _parts(name: str) -> tuple[str, str]:
    folder, _, file = name.rpartition("/")
    return re.sub(r"\.\w+(\.index\.json)?$", "", file), folder.rpartition("/")[2]


def _found(name: str) -> list[tuple[int, int, str]]:
    """(start, end, word) of each word that names a network."""
    words = [*_WORD.finditer(name)]
    newer = bool(_NEWER.search(name))
    found = []
    for index, match in enumerate(words):
        glued = _GLUED.fullmatch(match[0].lower())
        word = match[0] if match[0] in "高低" else (glued[1] if glued else None)
        if newer and _LETTER.match(name, match.start()):
            word = match[0]
        after = words[index + 1][0].lower() if index + 1 < len(words) else ""
        if word is None or (_OTHER_SENSE.fullmatch(after) and not (newer and _FAST.fullmatch(after))):
            continue
        start = match.start() + (glued.start(1) if glued else 0)
        found.append((start, start + len(word), word.lower()))
    return found


def _of_folder(folder: str) -> set[str]:
    """A folder counts where it says it with "noise", or says nothing else."""
    words = [_MEANINGS[word] for _, _, word in _found(folder)]
    plain = re.sub(r"[\W_\d]", "", folder.lower())
    return set(words) if "noise" in plain or plain in ("high", "low", "hn", "ln", "高", "低") else set()


def _swapped(name: str) -> str:
    for start, end, word in sorted(_found(name), reverse=True):
        other, old = _PARTNERS[word], name[start:end]
        other = other.upper() if old.isupper() else other.title() if old[0].isupper() else other
        name = name[:start] + other + name[end:]
    return name


def _rest(path: Path, ignored: frozenset[str]) -> list[str]:
    """The words of the name without those that name the network, and without numbers where packing is ignored."""
    name = path.stem if _found(path.stem) else f"{path.parent.name}/{path.stem}"
    for start, end, _ in sorted(_found(name), reverse=True):
        name = name[:start] + name[end:]
    words = [word.lower() for word in _words(name) if word.lower() not in ("noise", "noises")]
    return [word for word in words if word not in ignored and not (ignored and word.isdigit())]


def _words(name: str) -> list[str]:
    return _WORD.findall(name)
