"""What is understood of sentences, while they are typed.

POST /spatialalign/read {"text"}                          one sentence; see `sentence_view`. "world": "sprites" where
                                                          only the sprite world's nouns are known
POST /spatialalign/read {"text", "change": {part: value}} the same of the sentence with these parts changed, and its
                                                          "text"; see `edit_sentence`
POST /spatialalign/read {"text", "lines": true}           a list, one sentence a line; see `list_view`. "held_out" and
                                                          "seed" as in Prompt Set
POST /spatialalign/read {"file"}                          a list in ComfyUI's input folder, in the same way
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ...spatialalign_core.errors import SpatialAlignError
from ...spatialalign_core.prompt_list import read_prompt_file, read_prompt_text
from ...spatialalign_core.reading_view import list_view, parts_to_change, sentence_view
from ...spatialalign_core.sentence_edit import edit_sentence
from .answers import Places, changing, text, whole

_LONGEST = 20_000  # characters of a sentence, as many as the reader reads
_LONGEST_LIST = 1_000_000


def add(table: web.RouteTableDef, places: Places) -> None:
    """The route of this file."""

    def read(values: Any) -> Any:
        if values.get("file"):
            return _list_view(read_prompt_file(places.input_file(text(values, "file"))), values)
        said = values.get("text")
        if not isinstance(said, str):
            raise SpatialAlignError("The request names no 'text'; reload the page and try again.")
        longest = _LONGEST_LIST if values.get("lines") else _LONGEST
        if len(said) > longest:
            raise SpatialAlignError(
                f"The text has {len(said)} characters, and at most {longest} can be read while it is typed; make it "
                "shorter."
            )
        if values.get("lines"):
            return _list_view(read_prompt_text(said), values)
        world = values.get("world", "")
        change = values.get("change")
        if isinstance(change, Mapping):
            changed = edit_sentence(said, **parts_to_change(change))
            return {"text": changed, **sentence_view(changed, world)}
        return sentence_view(said, world)

    table.post("/spatialalign/read")(changing(read))


def _list_view(found: Any, values: Mapping[str, Any]) -> Any:
    wanted = whole(values, "held_out", 0, 0, 100_000) if "held_out" in values else None
    return list_view(found, wanted, whole(values, "seed", 0, 0, 2**32 - 1))
