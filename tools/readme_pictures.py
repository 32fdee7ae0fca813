"""Makes pictures/ for the README in a real ComfyUI: `python tools/readme_pictures.py --run FOLDER`.

FOLDER is what quickstart.py has left; its template is run to the end with it. The icon, screenshots of the finished
loop with the training panel and of the run browser, and a short clip: a video is scored, then its sentence is changed
and the score falls.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
sys.path.insert(0, str(Path(__file__).parent))

from browsing import PACK, Seen
from running import running, without_place
from server import Server

PICTURES = PACK / "pictures"
_SIZE = (1440, 860)
_WIDTH = 560  # of the clip
_MARGIN = 14
_NODE = (442, 790)  # with the margin, at the scale of the clip
_FRAMES = 17  # between the first and the last of the sprite clip
_QUIET = {"Comfy.Minimap.Visible": False, "Comfy.Graph.CanvasInfo": False}
_SCORER = "SpatialAlign_ScoreVideo"
_OTHER = "In a meadow, a fox is on the right of a box, then the fox jumps on top of the box."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="a finished run folder of quickstart.py")
    run = parser.parse_args().run
    with running(run) as (browser, server):
        make(browser, server)


def make(browser: Any, server: Server) -> None:
    """The icon, the screenshots and the clip."""
    PICTURES.mkdir(exist_ok=True)
    icon().save(PICTURES / "icon.png", optimize=True)
    seen = Seen.open_in(browser, server, "vue", "dark", _SIZE, _QUIET)
    _loop(seen)
    _clip_of_a_score(seen)
    seen.close()


def _loop(seen: Seen) -> None:
    """The quickstart's graph after its run with the training panel beside it, and its videos."""
    seen.open("Quickstart")
    seen.run(timeout=1800)
    seen.settle(2500)
    _fit(seen)
    seen.page.locator("button[aria-label^='SpatialAlign']").first.click()
    seen.page.locator(".sa-training video").first.wait_for()
    seen.settle(2500)
    _save(_shot(seen), "training")
    seen.page.locator(".sa-tab").get_by_role("button", name="Browse videos and pairs").click()
    dialog = seen.page.locator("dialog.sa-browser")
    dialog.locator(".sa-tile").first.click()
    seen.settle(3500)
    _save(_shot(seen), "browser")
    dialog.get_by_role("button", name="Close").click()
    seen.page.locator("button[aria-label^='SpatialAlign']").first.click()


def _clip_of_a_score(seen: Seen) -> None:
    """Score a video and play it, change its sentence, score it again and play it again."""
    seen.open("Score a video")
    seen.centre_on(_SCORER, 0.9)
    frames = [(_node(seen), 1200)]
    for sentence in (None, _OTHER):
        if sentence:
            seen.set(_SCORER, {"sentence": sentence})
            seen.settle(600)
            frames.append((_node(seen), 1800))
        seen.run(timeout=600)
        seen.settle(2500)
        frames.append((_node(seen), 1800))
        slider = seen.page.locator(".sa-score").get_by_role("slider")
        slider.focus()
        seen.page.keyboard.press("Home")
        for _ in range(_FRAMES):
            seen.settle(250)
            frames.append((_node(seen), 160))
            seen.page.keyboard.press("ArrowRight")
        frames.append((_node(seen), 2200))
    clip(frames, PICTURES / "score.webp")


def _node(seen: Seen) -> Image.Image:
    """The scorer alone, always the same part of the page."""
    number = seen.page.evaluate(
        "(kind) => window.app.graph._nodes.find((each) => each.type === kind).id", _SCORER
    )
    box = seen.page.locator(f"[data-node-id='{number}']").bounding_box()
    if box is None:
        raise SystemExit(f"The node {_SCORER} is not on the page.")
    left, top = round(box["x"]) - _MARGIN, round(box["y"]) - _MARGIN
    return _shot(seen).crop((left, top, left + _NODE[0], top + _NODE[1]))


def clip(frames: list[tuple[Image.Image, int]], target: Path) -> None:
    """An animated picture; frames with their milliseconds. Pictures that say the same are shown once, for longer."""
    kept: list[tuple[Image.Image, int]] = []
    for picture, milliseconds in frames:
        small = picture.resize(
            (_WIDTH, round(picture.height * _WIDTH / picture.width)), Image.Resampling.LANCZOS
        )
        if kept and np.array_equal(np.asarray(small), np.asarray(kept[-1][0])):
            kept[-1] = (kept[-1][0], kept[-1][1] + milliseconds)
        else:
            kept.append((small, milliseconds))
    first, *others = [picture for picture, _ in kept]
    durations = [milliseconds for _, milliseconds in kept]
    first.save(target, save_all=True, append_images=others, duration=durations, loop=0, quality=70, method=6)


def icon(size: int = 400) -> Image.Image:
    """The sprite world in one picture: a fox beside a box, and where it should go."""
    from spatialalign_core.pocket.world import render
    from spatialalign_core.relations import RelationChange

    frame = render("fox", "box", "in a meadow", RelationChange.parse("LR"), 0).frames[1]
    height = frame.shape[0]
    square = Image.fromarray(frame[:, 8 : 8 + height]).resize((size, size), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(square)
    draw.arc((0.2 * size, 0.16 * size, 0.82 * size, 0.84 * size), 200, 340, (255, 255, 255), size // 28)
    tip = (0.82 * size, 0.41 * size)
    wing = 0.07 * size
    draw.polygon(
        [(tip[0] - wing, tip[1] - wing), (tip[0] + wing, tip[1] - wing), (tip[0], tip[1] + wing)],
        (255, 255, 255),
    )
    return square


def _fit(seen: Seen) -> None:
    """The whole workflow in view."""
    seen.page.evaluate("() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    seen.settle(1500)


def _shot(seen: Seen) -> Image.Image:
    without_place(seen)
    return Image.open(io.BytesIO(seen.page.screenshot())).convert("RGB")


def _save(picture: Image.Image, name: str) -> None:
    few = picture.quantize(160, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
