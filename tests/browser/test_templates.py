"""Every template in both of ComfyUI's front ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import MODES, PACK, THEMES, Seen

TEMPLATES = sorted(file.stem for file in (PACK / "workflows").glob("*.json"))


@pytest.mark.parametrize("mode", MODES)
def test_every_template_opens_without_a_red_node(look: Callable[..., Seen], mode: str) -> None:
    seen = look(mode)
    for name in TEMPLATES:
        seen.open(name)
        seen.picture(f"template {name} {mode}")
        assert seen.red_nodes() == [], name
        assert seen.overlaps() == [], name


@pytest.mark.parametrize(("mode", "theme"), list(zip(MODES, THEMES, strict=True)))
def test_a_template_runs_and_the_node_says_how_it_went(
    look: Callable[..., Seen], mode: str, theme: str
) -> None:
    seen = look(mode, theme)
    seen.open("Score a video")
    seen.run()
    seen.page.get_by_text("DSR-Score 0.").first.wait_for()
    seen.centre_on("SpatialAlign_ScoreVideo")
    seen.picture(f"score video {mode} {theme}")
