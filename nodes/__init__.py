"""The nodes: each is a schema, a call into the core and a NodeOutput. One file a stage."""

from __future__ import annotations

from comfy_api.latest import ComfyAPI, ComfyExtension, io
from server import PromptServer

from ..spatialalign_core.errors import speak_of
from . import failures, queue_checks, renamed, video_files
from .collect_sample import CollectSample
from .compare import Compare
from .detect import Detect
from .detect_track import DetectTrack
from .draw_tracks import DrawTracks
from .evaluate import Evaluate
from .events import expected_run
from .export_pairs import ExportPairs
from .generate import Generate
from .load_detector import LoadDetector
from .load_video_model import LoadVideoModel
from .pick_best import PickBest
from .places import lora_lists, prompt_file, run_folder, runs_folder
from .prompt_sentence import PromptFromSentence
from .prompt_set import PromptSet
from .rounds import Rounds
from .routes import Places, add_routes
from .score import Score
from .score_video import ScoreVideo
from .sprite_clip import SpriteClip
from .template_order import sort_templates
from .train_lora import TrainLora

NODES: tuple[type[io.ComfyNode], ...] = (
    LoadVideoModel,
    LoadDetector,
    PromptSet,
    PromptFromSentence,
    Generate,
    CollectSample,
    Detect,
    Score,
    ExportPairs,
    TrainLora,
    Rounds,
    Evaluate,
    Compare,
    ScoreVideo,
    PickBest,
    DetectTrack,
    DrawTracks,
    SpriteClip,
)


class SpatialAlignExtension(ComfyExtension):
    """What ComfyUI asks for the pack's nodes."""

    def __init__(self) -> None:
        speak_of("widgets")
        # Not in `on_load`, which ComfyUI 0.8.0 does not call.
        for node in NODES:
            failures.speak_plainly(node)
            node.validate_inputs = queue_checks.Verdict()  # type: ignore[assignment,method-assign]
        PromptServer.instance.add_on_prompt_handler(queue_checks.look)
        places = Places(runs_folder, run_folder, prompt_file, video_files.place, expected_run, lora_lists)
        add_routes(PromptServer.instance.routes, places)
        sort_templates(PromptServer.instance.app)

    async def on_load(self) -> None:
        await renamed.register(ComfyAPI(), io)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
