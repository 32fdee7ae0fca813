"""What `quickstart.py` and `run_tests.py` share: a virtual environment beside them, with the requirements installed.

Standard library only, and old syntax only: a Python that is too old must still get as far as saying so.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
OLDEST = (3, 11)
# Ends the name of a list whose packages come without what they ask for, so that their pins move nothing.
ALONE = "-no-deps.txt"
_NEWER = ("python3.13", "python3.12", "python3.11", "python3.14")


class SetupError(Exception):
    """One sentence for the person at the keyboard."""


def prepare(*requirements: str) -> Path:
    """The environment's Python, with these requirement files (relative to the root) installed.

    The first time this takes minutes and pip shows its progress. A stamp keyed by the files' contents makes every
    later call instant. Raises SetupError.
    """
    files = [ROOT / name for name in requirements if (ROOT / name).is_file()]
    stamp = ENVIRONMENT / ("installed-" + _digest(files))
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if stamp.is_file() and python.exists():
        return python
    try:
        if not _works(python):
            base = _suitable_python()
            _say("Making a Python environment in " + str(ENVIRONMENT))
            _make(base)
        _say("Installing the requirements. The first time this downloads some gigabytes, most of it PyTorch.")
        _install(python, files)
        stamp.write_text("\n".join(file.name for file in files) + "\n")
    except OSError as error:
        raise SetupError(
            "Could not write the Python environment in {} ({}). Check that the folder can be written to and that the "
            "disk has about 10 GB free, then run this again.".format(ENVIRONMENT, error.strerror or error)
        ) from error
    return python


def run(python: Path, *arguments: str) -> int:
    """Run the environment's Python in the repository root and return its exit code; Ctrl-C goes to the child alone."""
    process = subprocess.Popen([str(python), *arguments], cwd=str(ROOT), env=_environment())
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            # The terminal sent it to the child too, which keeps its work and says how to go on.
            continue


def become(python: Path, *arguments: str) -> int:
    """End this process in favour of the environment's Python, in the same folder, so that one kill ends all of it.

    On Windows, which knows no such thing, run it as a child and return its exit code.
    """
    if os.name == "nt":
        return subprocess.call([str(python), *arguments], env=_environment())
    sys.stdout.flush()
    os.execve(str(python), [str(python), *arguments], _environment())


def _environment() -> dict:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return dict(os.environ, PYTHONPATH=path, PYTHONUNBUFFERED="1", TOKENIZERS_PARALLELISM="false")


def main(body) -> None:
    """Call body() and exit with its code; a SetupError becomes `Error: <sentence>` and exit code 2."""
    try:
        code = body()
    except SetupError as error:
        print("Error: {}".format(error), file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on.", file=sys.stderr)
        code = 130
    sys.exit(code)


def _suitable_python() -> str:
    """This Python, or a new enough one on the PATH."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for name in _NEWER:
        found = shutil.which(name)
        if found and _version(found) >= OLDEST:
            _say(
                "This is Python {}.{}; using {} instead.".format(
                    sys.version_info[0], sys.version_info[1], found
                )
            )
            return found
    raise SetupError(
        "This is Python {}.{}, and SpatialAlign needs Python {}.{} or newer. Install one from python.org or your "
        "system's packages, then run this again with it.".format(
            sys.version_info[0], sys.version_info[1], *OLDEST
        )
    )


def _version(python: str) -> tuple:
    try:
        text = subprocess.run(
            [python, "-c", "import sys; print(*sys.version_info[:2])"], stdout=subprocess.PIPE, timeout=60
        ).stdout
        return tuple(int(part) for part in text.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def _works(python: Path) -> bool:
    """Whether the environment is whole: killed while being made, it may have no pip."""
    if not python.exists() or _version(str(python)) < OLDEST:
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], stdout=subprocess.DEVNULL).returncode == 0


def _make(python: str) -> None:
    if subprocess.run([python, "-m", "venv", "--clear", str(ENVIRONMENT)]).returncode:
        raise SetupError(
            "Python could not make a virtual environment in {}. On Debian and Ubuntu, `sudo apt install python3-venv` "
            "adds the missing part; then run this again.".format(ENVIRONMENT)
        )


def _install(python: Path, files: list) -> None:
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    alone = [file for file in files if file.name.endswith(ALONE)]
    for options, listed in (([], [file for file in files if file not in alone]), (["--no-deps"], alone)):
        named = [part for file in listed for part in ("-r", str(file))]
        if named and subprocess.run(command + options + named).returncode:
            raise SetupError(
                "pip could not install the requirements; its own message is above. Most often the network is away or "
                "the disk is full (about 10 GB are needed). Run this again when that is solved: what is downloaded is "
                "kept."
            )


def _digest(files: list) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _say(text: str) -> None:
    print(text, flush=True)
