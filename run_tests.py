"""All checks in one command: `python3 run_tests.py [pytest arguments]`.

Makes the same environment as quickstart.py with the test tools added, then runs ruff, the type checker and pytest: the
unit tests, the tests that start a real ComfyUI and those that look at it in a browser. Everything runs even when
something before it failed; the exit code is 0 only when all of it passed.

All tests together are shared out between a few processes; a part that is named runs in one, unless `-n 2` says so.
"""

import os
import sys

import bootstrap

CHECKS = (
    ("ruff check", ("-m", "ruff", "check", ".")),
    ("ruff format", ("-m", "ruff", "format", "--check", ".")),
    ("mypy", ("-m", "mypy")),
)
REQUIREMENTS = (
    "requirements.txt",
    "tests/requirements.txt",
    "tests/requirements-comfyui.txt",
    "tests/requirements-no-deps.txt",
)


def everything() -> list:
    """pytest's arguments for all tests: a process for each core, four at most, since each makes what it needs anew."""
    cores = min(os.cpu_count() or 1, 4)
    shared = ["-n", str(cores), "--dist", "loadfile", "--no-loadscope-reorder"] if cores > 1 else []
    if shared:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    return [*shared, "tests"]


def body() -> int:
    python = bootstrap.prepare(*REQUIREMENTS)
    failed = []
    for name, arguments in CHECKS:
        print("== " + name, flush=True)
        if bootstrap.run(python, *arguments):
            failed.append(name)
    print("== pytest" + (" (failed so far: {})".format(", ".join(failed)) if failed else ""), flush=True)
    # Last, so that the output ends with pytest's own closing line.
    code = bootstrap.run(python, "-m", "pytest", *(sys.argv[1:] or everything()))
    return code or (1 if failed else 0)


if __name__ == "__main__":
    bootstrap.main(body)
