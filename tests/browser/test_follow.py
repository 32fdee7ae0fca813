"""A run is followed in the sidebar from its first video to its report, also by a page that is loaded in the middle."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browsing import MODES, Seen
from prompts import SMALL

# Slow enough to be seen, quick enough for a test.
CHANGES = {"SpatialAlign_PromptSet": {"train_prompts": 12, "held_out_prompts": 4}}


@pytest.mark.parametrize("mode", MODES)
def test_a_run_is_followed_from_its_first_video(look: Callable[..., Seen], mode: str) -> None:
    seen = look(mode)
    seen.open("Quickstart", {kind: values | CHANGES.get(kind, {}) for kind, values in SMALL.items()})
    name = f"followed {mode}"
    seen.set("SpatialAlign_Generate", {"run_folder": name, "steps": 24})
    seen.page.get_by_role("button", name="SpatialAlign").first.click()
    number = seen.start()
    tab = seen.page.locator(".sa-tab")
    state, steps = tab.locator(".sa-state"), tab.locator(".sa-step[aria-current]")
    state.filter(has_text="Generating videos").wait_for()
    assert tab.locator("select").first.input_value() == name
    assert "Videos" in steps.inner_text()
    tab.locator(".sa-clip").first.wait_for()
    seen.picture(f"followed videos {mode}")
    seen.reload()
    seen.page.get_by_role("button", name="SpatialAlign").first.click()
    state.filter(has_text="Training").or_(state.filter(has_text="Evaluating")).wait_for()
    assert tab.locator("select").first.input_value() == name
    seen.picture(f"followed training {mode}")
    seen.server.wait(number, 900)
    state.filter(has_text="Finished").wait_for()
    tab.locator(".sa-step[data-state='done']").filter(has_text="Evaluation").wait_for()
    assert steps.count() == 0
    seen.picture(f"followed done {mode}")
