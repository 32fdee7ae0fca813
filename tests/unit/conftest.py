"""What several unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums in one order, and no fight with worker processes for the cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket pipeline before its training: the real architecture and file format, noise for pictures."""
    from spatialalign_core.pocket.train import build_pipeline

    folder = tmp_path_factory.mktemp("model") / "wan-untrained"
    build_pipeline(0).save_pretrained(folder)
    (folder / "spatialalign.json").write_text(
        '{"height": 64, "width": 96, "num_frames": 5, "fps": 8, "steps": 2, "guidance_scale": 1.0}'
    )
    return folder
