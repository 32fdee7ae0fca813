"""What stands beside "auto" is what the work then takes."""

from __future__ import annotations

import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.models.loading import load_video_model
from spatialalign_core.run.automatic import automatic_settings
from spatialalign_core.train.settings import DEFAULT, PUBLISHED


def test_a_model_and_a_preset() -> None:
    model = load_video_model("pocket", "cpu")
    known = automatic_settings("pocket", "default")
    assert known["video"] == {name: getattr(model.defaults, name) for name in known["video"]} != {}
    assert known["training"]["learning_rate"] == DEFAULT.learning_rate * DEFAULT.slowness(model.width)
    assert known["training"]["steps"] == DEFAULT.steps


@pytest.mark.parametrize(("preset", "rate"), [("default", None), ("published", PUBLISHED.learning_rate)])
def test_a_rate_that_depends_on_the_model_is_not_guessed(preset: str, rate: float | None) -> None:
    known = automatic_settings(None, preset)
    assert known["video"] == {} and known["training"].get("learning_rate") == rate


def test_what_is_unknown() -> None:
    assert automatic_settings(None, "no such preset") == {"video": {}, "training": {}}
    with pytest.raises(SpatialAlignError, match="There is no model folder"):
        automatic_settings("no such model", None)
