"""One command from nothing to a report: `python3 quickstart.py`.

Makes a Python environment beside this file, installs what is needed, then runs the whole loop on the pocket model. What
is written behind the command goes to `python -m spatialalign_core quickstart`: try `python3 quickstart.py --help`.
"""

import sys

import bootstrap


def body() -> int:
    python = bootstrap.prepare("requirements.txt")
    return bootstrap.become(python, "-m", "spatialalign_core", "quickstart", *sys.argv[1:])


if __name__ == "__main__":
    bootstrap.main(body)
