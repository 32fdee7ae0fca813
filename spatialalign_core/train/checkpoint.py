"""Training state on disk: one safetensors file a checkpoint, whole or not there."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..files import atomic_path
from ..weight_files import save_tensors
from .trainer import TrainState

KEEP = 2


def save_checkpoint(folder: Path, state: TrainState) -> Path:
    """Write `step-000123.safetensors` and delete all but the newest few. Returns the path."""
    path = folder / f"step-{state.step:06d}.safetensors"
    with atomic_path(path) as temporary:
        save_tensors(
            temporary,
            state.tensors,
            {
                "step": str(state.step),
                "fingerprint": state.settings_fingerprint,
                "plan": state.plan,
            },
        )
    for old in _newest_first(folder)[KEEP:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def load_checkpoint(folder: Path, fingerprint: str) -> tuple[TrainState | None, list[Path]]:
    """The newest state that is whole and belongs to `fingerprint`, and the files that were damaged."""
    damaged: list[Path] = []
    for path in _newest_first(folder):
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("fingerprint") != fingerprint:
                    continue
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return TrainState(int(metadata["step"]), tensors, fingerprint, metadata["plan"]), damaged
        except (SafetensorError, OSError, KeyError, ValueError):
            damaged.append(path)
    return None, damaged


def _newest_first(folder: Path) -> list[Path]:
    found = [
        p for p in folder.glob("step-*.safetensors") if re.fullmatch(r"step-\d{6,}\.safetensors", p.name)
    ]
    return sorted(found, key=lambda p: int(p.stem.split("-")[1]), reverse=True)
