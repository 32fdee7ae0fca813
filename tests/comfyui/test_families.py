"""LoRAs of every family on ComfyUI's own models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from server import environment

from spatialalign_core.models.families import families


@pytest.fixture(scope="module")
def results(comfyui: Path) -> list[dict[str, Any]]:
    script = Path(__file__).parent / "lora_parity.py"
    command = [sys.executable, "-O", str(script), str(comfyui)]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"family"')]


@pytest.mark.parametrize("name", [family.name for family in families()])
def test_every_key_patches_and_the_output_is_the_same(results: list[dict[str, Any]], name: str) -> None:
    found = [each for each in results if each["family"] == name]
    assert found
    for each in found:
        if "skipped" in each:
            pytest.skip(each["skipped"])
        assert each["modules_in_file"] == each["modules_patched"] > 0
        assert each["not_loaded"] == []
        assert each["bare_difference"] < 1e-5
        assert each["largest_difference"] < 1e-5
        assert each["file_difference"] < 1e-5
        assert each["diffusers_difference"] < 1e-5
        assert each["effect"] > 1e-3


def test_lora_files_of_every_kind_change_what_they_change_in_comfyui(comfyui: Path) -> None:
    script = Path(__file__).parent / "lora_kinds_parity.py"
    command = [sys.executable, "-O", str(script), str(comfyui)]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    found = [json.loads(line) for line in result.stdout.splitlines() if line.startswith('{"file"')]
    assert len(found) > 40
    for each in found:
        if "modulation" in each["file"]:
            # ComfyUI takes the key and leaves parameters that belong to no layer as they are; here they change.
            assert (each["changed_there"], each["changed_here"]) == (0, 1), each
            continue
        assert not each["complaints"], each
        assert each["changed_there"] == each["changed_here"] > 0, each
        assert each["difference"] < 1e-6 < each["effect"], each
