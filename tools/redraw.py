"""Makes anew all that shows the pack: `python tools/redraw.py --run FOLDER [step ...]`.

In this order: templates, blueprints, thumbnails, help (the picture of each node), readme. FOLDER is what quickstart.py
has left; without it the Quickstart's thumbnail and the README's pictures stay as they are. One ComfyUI and one browser
for all. What has been finished when this ends early is left out the next time; --again starts from the beginning.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))

import blueprints
import help_pictures
import readme_pictures
import templates
import thumbnails
from browsing import PACK
from running import running

STEPS = ("templates", "blueprints", "thumbnails", "help", "readme")
_FINISHED = PACK / "output" / "redraw.txt"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="a finished run folder of quickstart.py")
    parser.add_argument("--again", action="store_true", help="also what was finished the last time")
    parser.add_argument("steps", nargs="*", help=f"some of {', '.join(STEPS)}; all without")
    options = parser.parse_args()
    unknown = set(options.steps) - set(STEPS)
    if unknown:
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    if options.again:
        _FINISHED.unlink(missing_ok=True)
    redraw(options.run, options.steps or STEPS)


def redraw(run: Path | None, steps: tuple[str, ...] | list[str]) -> None:
    """The steps named, in their order; one that fails ends it, and the next call goes on there."""
    _FINISHED.parent.mkdir(exist_ok=True)
    finished = _FINISHED.read_text(encoding="utf-8").splitlines() if _FINISHED.is_file() else []
    with running(run) as (browser, server):
        schemas = server.get("/object_info")
        work: dict[str, Callable[[], None]] = {
            "templates": partial(templates.write, schemas),
            "blueprints": partial(blueprints.write, schemas),
            "thumbnails": partial(thumbnails.make, run),
        }
        page = cache(lambda: help_pictures.open_page(browser, server))
        for node in help_pictures.graphs(help_pictures.SMALL):
            work[f"help {node}"] = lambda node=node: help_pictures.draw(page(), node, run)
        if run:
            work["readme"] = partial(readme_pictures.make, browser, server)
        for name, draw in work.items():
            if name.split()[0] in steps and name not in finished:
                start = time.monotonic()
                draw()
                print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
                finished.append(name)
                _FINISHED.write_text("\n".join(finished) + "\n", encoding="utf-8")
    _FINISHED.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
