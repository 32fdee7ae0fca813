"""Makes locales/ from the nodes' schemas, the panels and the phrase tables: `python tools/locales.py [--url URL]`.

English is what the schemas and the panels in web/ say. The other languages say the same through
tools/words/<language>.json and <language>.words.json, where every English phrase has its translation; the script says
which are missing and which nothing uses any more. So a changed tooltip shows up as a missing phrase and never as an old
translation of something else. <language>.labels.json names widgets and outputs by their ids; where an id means another
thing on one node, `SpatialAlign_Node.id` has its own label. <language>.errors.json and <language>.sentences.json
translate what the server says, the first on nodes, the second to panels. Reads the schemas from a ComfyUI that runs
(--url) or starts one as the tests do. <language>.notes.json translates the templates' notes and titles.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from panel_words import panel_phrases
from template_words import template_phrases

PACK = Path(__file__).resolve().parents[1]
LOCALES = PACK / "locales"
WORDS = PACK / "tools" / "words"
LANGUAGES = ("en", "ja", "zh")
TABLES = ("errors", "words", "sentences", "notes")
"""What web/shared/language.js reads."""
_PREFIX = "SpatialAlign_"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a ComfyUI with the pack that runs already, as http://127.0.0.1:8188")
    url = parser.parse_args().url
    schemas = _schemas(url) if url else _of_a_new_server()
    wrong = 0
    for language in LANGUAGES:
        found = (differences(schemas, language), panel_differences(language), note_differences(language))
        missing, stale = (set().union(*each) for each in zip(*found, strict=True))
        for word, phrases in (("missing", missing), ("no longer used", stale)):
            for phrase in sorted(phrases):
                print(f"{language}: {word}: {json.dumps(phrase, ensure_ascii=False)}")
        wrong += len(missing) + len(stale)
        for name, content in locale(schemas, language).items():
            target = LOCALES / language / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(as_text(content), encoding="utf-8")
    raise SystemExit(1 if wrong else 0)


def locale(schemas: dict[str, Any], language: str) -> dict[str, Any]:
    """The files of one language, by name, in the format that ComfyUI's `app/custom_node_manager.py` reads.

    schemas: /object_info. A phrase without a translation stays English.
    """
    table, labels = phrases(language), phrases(f"{language}.labels")
    say = lambda phrase: table.get(phrase, phrase)  # noqa: E731
    ours = {name: each for name, each in sorted(schemas.items()) if name.startswith(_PREFIX)}
    nodes = {name: _node(each, say, labels) for name, each in ours.items()}
    categories = {part: say(part) for each in ours.values() for part in each["category"].split("/")}
    main = {
        "nodeCategories": categories,
        "spatialalign": {table: phrases(f"{language}.{table}") for table in TABLES},
    }
    return {"nodeDefs.json": nodes, "main.json": main}


def differences(schemas: dict[str, Any], language: str) -> tuple[set[str], set[str]]:
    """Phrases that have no translation, and translations of phrases that nothing says."""
    if language == "en":
        return set(), set()
    said: set[str] = set()
    labels = _Asked(phrases(f"{language}.labels"))
    for each in (each for name, each in schemas.items() if name.startswith(_PREFIX)):
        _node(each, lambda phrase: said.add(phrase) or phrase, labels)  # type: ignore[func-returns-value]
    known = set(phrases(language))
    return said - known | labels.missing, known - said | (labels.keys() - labels.used)


def panel_differences(language: str) -> tuple[set[str], set[str]]:
    """The same of what the panels say."""
    return _differences(panel_phrases(), f"{language}.words")


def note_differences(language: str) -> tuple[set[str], set[str]]:
    """The same of what the templates' notes and titles say."""
    return _differences(template_phrases(), f"{language}.notes")


def _differences(said: set[str], name: str) -> tuple[set[str], set[str]]:
    known = set(phrases(name))
    return (set(), set()) if name.startswith("en.") else (said - known, known - said)


def phrases(name: str) -> dict[str, str]:
    """English phrase -> its translation; {0}, {1} stand for what changes."""
    file = WORDS / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def as_text(content: dict[str, Any]) -> str:
    """How the files are written."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


class _Asked(dict[str, str]):
    """Labels that remember which of them were asked for. used: those that are there. missing: ids without one."""

    def __init__(self, labels: dict[str, str]) -> None:
        super().__init__(labels)
        self.used, self.missing = set[str](), set[str]()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        if key in self:
            self.used.add(key)
        elif not key.startswith(_PREFIX):
            self.missing.add(key)
        return super().get(key, default)


def _node(info: dict[str, Any], say: Callable[[str], str], labels: dict[str, str]) -> dict[str, Any]:
    """One node's entry. English shows ids, or a display name where the schema has one."""

    def label(name: str, english: str) -> str:
        return labels.get(f"{info['name']}.{name}") or labels.get(name) or english

    inputs = {
        # a dot would be a path to the front end, which asks for an underscore in its place
        name.replace(".", "_"): {
            "name": label(name, spec[1].get("display_name") or name),
            "tooltip": say(spec[1]["tooltip"]),
        }
        for section in ("required", "optional")
        for name, spec in info["input"].get(section, {}).items()
    }
    outputs = {
        str(number): {"name": label(name, name), "tooltip": say(tooltip)}
        for number, (name, tooltip) in enumerate(
            zip(info["output_name"], info["output_tooltips"], strict=True)
        )
    }
    return {
        "display_name": say(info["display_name"]),
        "description": say(info["description"]),
        "inputs": inputs,
        "outputs": outputs,
    }


def _schemas(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/object_info", timeout=120) as answer:
        return dict(json.loads(answer.read()))


def _of_a_new_server() -> dict[str, Any]:
    sys.path.insert(0, str(PACK / "tests" / "comfyui"))
    from server import Server, find_comfyui

    with tempfile.TemporaryDirectory(prefix="spatialalign-locales-") as base:
        comfyui = find_comfyui(Path(base) / "ComfyUI")
        if isinstance(comfyui, str):
            raise SystemExit(f"Cannot read the schemas: {comfyui}.")
        server = Server(comfyui, Path(base))
        server.start()
        try:
            return _schemas(server.url)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
