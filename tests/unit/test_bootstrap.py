"""The two commands' way from a bare Python to an environment."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import bootstrap


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with an empty list of requirements."""
    (tmp_path / "requirements.txt").write_text("")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "ENVIRONMENT", tmp_path / ".venv")
    return tmp_path


def test_second_time_installs_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And packages of a list that says so in its name come without what they ask for."""
    wheel = make_wheel(root, asks_for="a-package-that-nobody-has")
    (root / "requirements-no-deps.txt").write_text(f"{wheel}\n")
    lists = ("requirements.txt", "requirements-no-deps.txt")
    python = bootstrap.prepare(*lists, "not-there.txt")
    assert python.exists() and root in python.parents
    assert subprocess.run([python, "-c", "import lonely"]).returncode == 0
    monkeypatch.setattr(bootstrap, "_install", lambda *_: pytest.fail("installed again"))
    assert bootstrap.prepare(*lists) == python


def make_wheel(folder: Path, asks_for: str) -> Path:
    """The smallest package that pip installs."""
    path, about = folder / "lonely-1.0-py3-none-any.whl", "lonely-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("lonely.py", "")
        wheel.writestr(
            f"{about}/METADATA",
            f"Metadata-Version: 2.1\nName: lonely\nVersion: 1.0\nRequires-Dist: {asks_for}\n",
        )
        wheel.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{about}/RECORD", "")
    return path


def test_changed_requirements_are_installed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[list[Path]] = []
    monkeypatch.setattr(bootstrap, "_works", lambda _: True)
    monkeypatch.setattr(bootstrap, "_install", lambda _, files: installed.append(files))
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/python").touch()
    for text in ("a", "a", "b"):
        (root / "requirements.txt").write_text(text)
        bootstrap.prepare("requirements.txt")
    assert installed == [[root / "requirements.txt"]] * 2


def test_old_python_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 8, 1))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _: None)
    with pytest.raises(
        bootstrap.SetupError, match=r"This is Python 3\.8, and SpatialAlign needs Python 3\.11"
    ):
        bootstrap.prepare("requirements.txt")


def test_failing_pip_is_told(root: Path) -> None:
    (root / "requirements.txt").write_text("./no-such-folder\n")
    with pytest.raises(bootstrap.SetupError, match="pip could not install"):
        bootstrap.prepare("requirements.txt")


def test_error_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        raise bootstrap.SetupError("Something is missing.")

    with pytest.raises(SystemExit) as caught:
        bootstrap.main(body)
    assert caught.value.code == 2
    assert capsys.readouterr().err == "Error: Something is missing.\n"
