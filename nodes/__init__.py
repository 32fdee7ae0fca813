"""The nodes: each is a schema, a call into the core and a NodeOutput. One file a stage."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from .collect_sample import CollectSample
from .detect import Detect
from .detect_track import DetectTrack
from .draw_tracks import DrawTracks
from .evaluate import Evaluate
from .export_pairs import ExportPairs
from .generate import Generate
from .load_detector import LoadDetector
from .load_video_model import LoadVideoModel
from .pick_best import PickBest
from .prompt_sentence import PromptFromSentence
from .prompt_set import PromptSet
from .rounds import Rounds
from .score import Score
from .score_video import ScoreVideo
from .sprite_clip import SpriteClip
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
    ScoreVideo,
    PickBest,
    DetectTrack,
    DrawTracks,
    SpriteClip,
)


class SpatialAlignExtension(ComfyExtension):
    """What ComfyUI asks for the pack's nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODES)
