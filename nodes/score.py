"""Score: how well every video of the run does what its prompt says."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io

from ..spatialalign_core.report.text import percent
from ..spatialalign_core.score import GOOD, accuracy_at, obey_share
from .aliases import schema
from .driving import drive
from .pictures import shown
from .places import working_in
from .sockets import CATEGORY, RunSocket, RunSoFar


class Score(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="SpatialAlign_Score",
            display_name="Score",
            category=CATEGORY,
            description="Gives every video of the run its DSR-Score, 0 to 1: does the subject start and end "
            "where the prompt says, and do both relations change in between?",
            inputs=[RunSocket.Input("run", tooltip="From Detect.")],
            outputs=[
                RunSocket.Output("run_out", display_name="run", tooltip="For Export Pairs."),
                io.Float.Output("accuracy", tooltip=f"Share of videos with a score of at least {GOOD}."),
                io.Float.Output(
                    "obey_share",
                    tooltip="Share of videos that obey: a score of at least 0.7, and the subject starts and "
                    "ends where the prompt says.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, run: RunSoFar) -> io.NodeOutput:
        with working_in(run.run.folder):
            outcome = drive(run.run.score("base", run.split, run.seeds), cls.hidden.unique_id)
        ids = {(key.prompt_id, key.seed) for key in run.run.samples("base", run.split, run.seeds)}
        scores = [score for key, score in run.run.scores("base", run.split).items() if key in ids]
        accuracy, share = accuracy_at(scores, GOOD), obey_share(scores)
        valid = [score.dsr for score in scores if score.dsr is not None]
        text = (
            f"{percent(share)} of {len(scores)} videos obey their prompt: a score of at least {GOOD}, which "
            f"{percent(accuracy)} reach, and right at both ends. {len(scores) - len(valid)} could not be scored."
        )
        if valid:
            text += f"\nMean score {np.mean(valid):.2f}, lowest {min(valid):.2f}, highest {max(valid):.2f}."
        return io.NodeOutput(run, accuracy, share, ui=shown(cls, f"{text}\n{outcome.warnings}"))
