"""scores.csv: what is written reads back, and tables of older versions open."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.run.scores import ScoreRow, read_scores, write_scores
from spatialalign_core.score import End, Score, missed_ends


@pytest.mark.parametrize("missed", [None, (), ("initial_ssr",), ("initial_ssr", "final_ssr")])
def test_missed_ends_read_back(tmp_path: Path, missed: tuple[End, ...] | None) -> None:
    rows = [
        ScoreRow("base", "a", 0, Score(True, None, 0.75, 0.9, 0.1, 0.5, 0.5, 20, missed), "x"),
        ScoreRow("base", "a", 1, Score(False, "why", None, None, None, None, None, 0), "y"),
    ]
    write_scores(tmp_path / "scores.csv", rows)
    assert read_scores(tmp_path / "scores.csv") == rows


def test_tables_without_that_column_go_by_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    write_scores(path, [ScoreRow("base", "a", 0, Score(True, None, 0.75, 0.9, 0.1, 0.5, 0.5, 20, ()), "x")])
    old = "\n".join(line.rpartition(",")[0] for line in path.read_text().splitlines())
    path.write_text(old + "\n")
    (row,) = read_scores(path)
    assert row.score.missed is None and missed_ends(row.score) == ("final_ssr",)
    path.write_text(old.replace("video", "video,missed").replace(",x", ",x,somewhere"))
    with pytest.raises(SpatialAlignError, match="'somewhere' is no end"):
        read_scores(path)
