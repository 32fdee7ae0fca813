"""Export Pairs: a good and a bad video of the same prompt, as training data."""

from __future__ import annotations

from comfy_api.latest import io

from ..spatialalign_core.pairs import PairSettings
from . import widgets
from .aliases import schema
from .driving import drive
from .pictures import shown
from .places import working_in
from .sockets import CATEGORY, LoadedModel, RunSocket, RunSoFar, VideoModelSocket

_MODES = {"all": "all", "best and worst": "best_worst"}


class ExportPairs(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_ExportPairs",
            display_name="Export Pairs",
            category=CATEGORY,
            description="Pairs videos that obey their prompt with videos of the same prompt that do not, "
            "and writes these pairs as training data.",
            inputs=[
                RunSocket.Input("run", tooltip="From Score."),
                VideoModelSocket.Input("video_model", tooltip="The model that made the videos."),
                io.Float.Input(
                    "threshold",
                    default=0.7,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Videos with at least this score that start and end where their prompt says are "
                    "winners; all others that can be scored are losers.",
                ),
                io.Float.Input(
                    "min_margin",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="Leaves out pairs in which the winner's score exceeds the loser's by less than "
                    "this.",
                ),
                io.Combo.Input(
                    "pairs",
                    options=list(_MODES),
                    default="all",
                    tooltip="Every winner with every loser, or only the best with the worst of each prompt.",
                ),
                io.Int.Input(
                    "max_pairs_per_prompt",
                    default=0,
                    min=0,
                    max=10_000,
                    tooltip="Keeps this many pairs per prompt, those whose scores differ most; 'all' (0) keeps all.",
                    extra_dict=widgets.instead_of_zero("all"),
                ),
                io.Boolean.Input(
                    "retell",
                    default=True,
                    tooltip="Hindsight relabelling: videos are also compared under the other relations. A "
                    "video that goes right although its prompt says left is a winner for the prompt that "
                    "says right. This gives more pairs from the same videos.",
                ),
            ],
            outputs=[RunSocket.Output("run_out", display_name="run", tooltip="For Train Spatial LoRA.")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        run: RunSoFar,
        video_model: LoadedModel,
        threshold: float,
        min_margin: float,
        pairs: str,
        max_pairs_per_prompt: int,
        retell: bool,
    ) -> io.NodeOutput:
        settings = PairSettings(threshold, min_margin, _MODES[pairs], max_pairs_per_prompt or None, retell)  # type: ignore[arg-type]
        with working_in(run.run.folder), video_model.in_use() as model:
            outcome = drive(run.run.export_pairs(model, settings, run.split), cls.hidden.unique_id)
        return io.NodeOutput(run, ui=shown(cls, f"{outcome.message}\n{outcome.warnings}"))
