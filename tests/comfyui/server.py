"""A real ComfyUI, started headless with the pack linked in, and the few requests the tests make to it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

PACK = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
HOME = "https://github.com/comfyanonymous/ComfyUI"
VERSION = "v0.33.0"
_PR_SET_PDEATHSIG = 1


def clone_place(temporary: Path) -> Path:
    """Where tests may clone ComfyUI to, the same for all processes of a run and for the next. temporary: pytest's
    folder for this process."""
    return (
        temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary
    ).parent / "ComfyUI-for-tests"


def find_comfyui(clone_into: Path) -> Path | str:
    """ComfyUI's folder, or one sentence why there is none.

    Looks at COMFYUI_PATH, then at ~/comfy/ComfyUI; outside CI it may be cloned from its home.
    """
    named = os.environ.get("COMFYUI_PATH")
    if named:
        return (
            Path(named) if (Path(named) / "main.py").is_file() else f"COMFYUI_PATH={named} holds no main.py"
        )
    usual = Path.home() / "comfy" / "ComfyUI"
    if (usual / "main.py").is_file():
        return usual
    if os.environ.get("CI"):
        return "no ComfyUI: set COMFYUI_PATH to a checkout, or put one at ~/comfy/ComfyUI"
    with FileLock(f"{clone_into}.lock"):
        if not (clone_into / "main.py").is_file():
            shutil.rmtree(clone_into, ignore_errors=True)
            command = ["git", "clone", "--quiet", "--depth", "1", "--branch", VERSION, HOME, str(clone_into)]
            try:
                subprocess.run(command, check=True, timeout=300, capture_output=True)
            except (OSError, subprocess.SubprocessError) as error:
                return (
                    f"no ComfyUI at ~/comfy/ComfyUI or COMFYUI_PATH, and cloning {HOME} failed "
                    f"({type(error).__name__})"
                )
    return clone_into


def environment() -> dict[str, str]:
    """Variables for a ComfyUI process: no downloads, one thread, and a stand-in where torchaudio cannot be imported."""
    values = {"HF_HUB_OFFLINE": "1", **os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2")}
    works = subprocess.run([sys.executable, "-c", "import torchaudio"], capture_output=True).returncode == 0
    if not works:
        values["PYTHONPATH"] = os.pathsep.join(filter(None, [str(STAND_INS), values.get("PYTHONPATH")]))
    return values


@dataclass
class Server:
    """One ComfyUI process on a free port, its files below `base`."""

    comfyui: Path
    base: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=Path)
    variables: dict[str, str] = field(default_factory=dict)
    """Of the process, over the usual ones."""

    def start(self, timeout: float = 180) -> None:
        """Links the pack into custom_nodes and waits until the server answers; RuntimeError with its log if not."""
        for name in ("custom_nodes", "user/default", "input", "output", "models"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        link = self.base / "custom_nodes" / "spatialalign"
        if not link.exists():
            link.symlink_to(PACK, target_is_directory=True)
        # A fresh profile opens the template browser over the canvas otherwise.
        settings = self.base / "user/default/comfy.settings.json"
        settings.write_text(json.dumps({"Comfy.TutorialCompleted": True}), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = self.base / "server.log"
        command = [
            sys.executable,
            "main.py",
            "--cpu",
            "--base-directory",
            str(self.base),
            "--port",
            str(self.port),
        ]
        command += ["--database-url", "sqlite:///:memory:", "--disable-auto-launch"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.comfyui,
                env=environment() | self.variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with_parent(),
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
        self.stop()
        raise RuntimeError(f"ComfyUI did not start:\n{self.log_tail()}")

    def stop(self) -> None:
        """Ends the process, kindly first."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.process = None

    def log_tail(self, lines: int = 60) -> str:
        """The end of the server's log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:
        """JSON of a GET request."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path: str, data: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of a POST request; refused requests answer too."""
        body = json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queue an API prompt that ComfyUI must accept whole; the prompt's id."""
        status, answer = self.post("/prompt", {"prompt": prompt, "client_id": uuid.uuid4().hex})
        assert status == 200, json.dumps(answer, indent=1)
        # A refused output node is dropped in silence while others run: 200 alone says little.
        assert answer["node_errors"] == {}, json.dumps(answer["node_errors"], indent=1)
        return str(answer["prompt_id"])

    def refused(self, prompt: dict[str, Any]) -> list[tuple[str, str, str]]:
        """Queue an API prompt that ComfyUI must refuse whole; what it blames: node class, input ("" for the node as a
        whole), what is wrong."""
        status, answer = self.post("/prompt", {"prompt": prompt, "client_id": uuid.uuid4().hex})
        assert status == 400, f"it was not refused whole: {json.dumps(answer, indent=1)}"
        found = []
        for node in answer["node_errors"].values():
            for error in node["errors"]:
                blamed = error["extra_info"].get("input_name", "") if "exception" not in error["type"] else ""
                sentence = error["details"].removeprefix(f"{blamed} - ")
                found.append((node["class_type"].removeprefix("SpatialAlign_"), blamed, sentence))
        return found

    def complaint(self, prompt: dict[str, Any]) -> str:
        """What is said of a wrong API prompt, when it is queued or when it runs."""
        status, answer = self.post("/prompt", {"prompt": prompt, "client_id": uuid.uuid4().hex})
        if status != 200:
            errors = [error for node in answer["node_errors"].values() for error in node["errors"]]
            return "\n".join(error["details"] for error in errors)
        return error_of(self.wait(str(answer["prompt_id"])))

    def wait(self, prompt_id: str, timeout: float = 600) -> dict[str, Any]:
        """The finished prompt's history entry, whatever its outcome."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history and history[prompt_id]["status"].get("completed") is not None:
                return dict(history[prompt_id])
            assert self.process is not None and self.process.poll() is None, self.log_tail()
            time.sleep(0.3)
        raise AssertionError(f"not finished within {timeout} s:\n{self.log_tail()}")

    def run(self, prompt: dict[str, Any], timeout: float = 600) -> dict[str, Any]:
        """Queue, wait, and insist on success; the history entry."""
        entry = self.wait(self.queue(prompt), timeout)
        assert entry["status"]["status_str"] == "success", (
            json.dumps(entry["status"], indent=1) + self.log_tail()
        )
        return entry


def _die_with_parent() -> Callable[[], None] | None:
    """What a process does at its start so that it ends with the one that started it, however that ends. Linux alone
    can; the thread that starts it must live as long, as pytest's main thread does."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def promise() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return promise


def error_of(entry: dict[str, Any]) -> str:
    """The message of the node that failed in a history entry, "" when none did."""
    for kind, data in entry["status"]["messages"]:
        if kind == "execution_error":
            return str(data["exception_message"]).strip()
    return ""
