"""Every template in both of ComfyUI's front ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browsing import MODES, PACK, Seen
from prompts import SMALL

TEMPLATES = sorted(file.stem for file in (PACK / "workflows").glob("*.json"))


# Below this ComfyUI's classic front end leaves out labels and notes.
READABLE = 0.6


@pytest.mark.parametrize("mode", MODES)
def test_every_template_opens_readable_without_a_red_node_and_with_nothing_on_anything_else(
    look: Callable[..., Seen], mode: str
) -> None:
    seen = look(mode, size=(1440, 900))
    for name in TEMPLATES:
        seen.open(name)
        seen.picture(f"template {name} {mode}")
        assert seen.red_nodes() == [], name
        assert seen.overlaps() == [], name
        assert seen.page.evaluate("window.app.canvas.ds.scale") >= READABLE, name
        assert seen.cut_notes() == [], name


def test_the_quickstart_is_followed_from_its_first_video_also_when_the_page_is_reloaded(
    look: Callable[..., Seen],
) -> None:
    """In one front end, since it takes minutes; the panels themselves are looked at in both."""
    steps, seen = 12, look(MODES[0])
    changes = {
        "SpatialAlign_Generate": {"run_folder": "seen"},
        "SpatialAlign_TrainLora": {"steps": steps},
    }
    seen.open("Quickstart", {kind: values | changes.get(kind, {}) for kind, values in SMALL.items()})
    tab = _tab(seen)
    state, step = tab.locator(".sa-state"), tab.locator(".sa-step[aria-current]")
    number = seen.start()
    state.filter(has_text="Generating videos").wait_for()
    assert tab.locator("select").first.input_value() == "seen"
    step.filter(has_text="Videos").wait_for()
    tab.locator(".sa-clip").first.wait_for()
    seen.picture("quickstart generates")
    log = seen.server.base / "output" / "spatialalign" / "seen" / "training.csv"
    for _ in range(600):
        if log.is_file() and log.read_text(encoding="utf-8").count(f",{steps},") > 1:
            break
        seen.page.wait_for_timeout(500)
    seen.reload()
    _tab(seen)
    state.filter(has_text="Training").or_(state.filter(has_text="Evaluating")).first.wait_for()
    assert tab.locator("select").first.input_value() == "seen"
    seen.server.wait(number, 900)
    state.filter(has_text="Finished").wait_for()
    tab.locator(".sa-step[data-state='done']").filter(has_text="Evaluation").wait_for()
    assert step.count() == 0
    seen.picture("quickstart done")
    seen.centre_on("SpatialAlign_TrainLora", 0.7)
    trainer = seen.page.locator(".sa-training").last  # on its node
    trainer.get_by_text("Finished", exact=True).wait_for()
    trainer.get_by_text(f"step {steps} of {steps}").wait_for()
    assert trainer.locator("path.sa-line").count() >= 3  # loss, margin, implicit accuracy
    trainer.get_by_text("6 pairs, newest first").wait_for()  # they came after the training had ended
    seen.page.get_by_text("with LoRA").first.wait_for()
    seen.picture("quickstart trainer")


def _tab(seen: Seen) -> Any:
    """The pack's tab in the sidebar, which a reload may have left open."""
    tab = seen.page.locator(".sa-tab")
    if not tab.count():
        seen.page.locator("button[aria-label^='SpatialAlign']").first.click()
    tab.wait_for()
    return tab
