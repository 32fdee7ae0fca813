"""The run folder: where everything lies in it, and what is there already.

prompts.csv
samples/<set>/<prompt>/<seed>.mp4 and .safetensors      <set>: "base", "aligned", or a LoRA's, see `comparing`
tracks/<set>/<prompt>/<seed>.json
scores.csv
rulings.json                                            pairs kept or dropped by hand
pairs/
lora/<name>.safetensors, lora/checkpoints/, training.csv
rounds.json, rounds/                                    self-improvement rounds, see `rounds`
control/                                                requests to a training that runs, see `control`;
                                                        what is being done, see `work`
report.html, report.json
note.txt, workflow.json                                 what somebody wrote about it, and the workflow that made it
comparisons/<set>--<set>/                               two LoRAs or strengths side by side, see `comparing`
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import SpatialAlignError
from ..evaluate import ScoredSample
from ..files import safe_name
from ..prompts import DsrPrompt, read_prompts
from ..score import Score
from ..tracks import Track, read_track
from .control import TrainControl
from .round_log import Round, read_rounds
from .scores import read_scores
from .training_log import read_training_log
from .work import WorkFile

BASE, ALIGNED = "base", "aligned"
SETS = (BASE, ALIGNED)
DEFAULT_LORA = "spatialalign"


@dataclass(frozen=True)
class SampleKey:
    """Which video: set, prompt, seed."""

    set: str
    prompt_id: str
    seed: int


class RunLayout:
    """Paths and contents of one run folder, to read. `run.Run` adds the stages that write."""

    def __init__(self, folder: str | Path) -> None:
        """SpatialAlignError for an empty name, which would be the current folder."""
        if not str(folder).strip():
            raise SpatialAlignError("The run folder has no name; write the path of a folder.")
        place = Path(folder).expanduser().absolute()
        # A linked run keeps the name that it is listed under; only ".." needs the disk.
        self.folder = place.resolve() if ".." in place.parts else place
        self.prompts_file = self.folder / "prompts.csv"
        self.scores_file = self.folder / "scores.csv"
        self.rulings_file = self.folder / "rulings.json"
        self.pairs_folder = self.folder / "pairs"
        self.training_file = self.folder / "training.csv"
        self.rounds_file = self.folder / "rounds.json"
        self.control = TrainControl(self.folder)
        self.work = WorkFile(self.folder)
        self.comparisons_folder = self.folder / "comparisons"
        self.report_html = self.folder / "report.html"
        self.report_json = self.folder / "report.json"

    def video_path(self, set: str, prompt_id: str, seed: int) -> Path:
        """The mp4 of a sample; its latents lie beside it. SpatialAlignError for a set that is no plain name."""
        return self.folder / "samples" / _plain(set, "set") / safe_name(prompt_id) / f"{int(seed)}.mp4"

    def track_path(self, set: str, prompt_id: str, seed: int) -> Path:
        """The JSON file of a track. Errors as `video_path`."""
        return self.folder / "tracks" / _plain(set, "set") / safe_name(prompt_id) / f"{int(seed)}.json"

    def lora_path(self, name: str = DEFAULT_LORA) -> Path:
        """The LoRA file of that name. SpatialAlignError for a name that is not plain, such as one with ".."."""
        return self.folder / "lora" / f"{_plain(name, 'LoRA', 'lora_name')}.safetensors"

    def prompts(self, split: str | None = None) -> list[DsrPrompt]:
        """The prompts, or those of one split ("train", "held_out"). SpatialAlignError when there are none."""
        if not self.prompts_file.exists():
            raise SpatialAlignError(
                f"There are no prompts in {self.folder} yet; make or import a prompt set first."
            )
        chosen = [p for p in read_prompts(self.prompts_file) if split is None or p.split == split]
        if not chosen:
            raise SpatialAlignError(f"{self.prompts_file} has no prompts in the split {split or 'any'!r}.")
        return chosen

    def samples(self, set: str = BASE, split: str | None = None, seeds: int | None = None) -> list[SampleKey]:
        """The videos that are there, in order of prompt and seed; with `seeds` only the seeds below that number."""
        keys = []
        for prompt in self.prompts(split):
            numbers = sorted(int(video.stem) for video in self._videos(set, prompt.id))
            keys += [SampleKey(set, prompt.id, n) for n in numbers if seeds is None or n < seeds]
        return keys

    def _videos(self, set: str, prompt_id: str) -> list[Path]:
        videos = self.video_path(set, prompt_id, 0).parent.glob("*.mp4")
        return [video for video in videos if video.stem.isdecimal()]

    def track(self, set: str, prompt_id: str, seed: int) -> Track:
        """Read one track. SpatialAlignError when it is missing or damaged."""
        return read_track(self.track_path(set, prompt_id, seed))

    def scores(self, set: str = BASE, split: str | None = None) -> dict[tuple[str, int], Score]:
        """Scores by (prompt id, seed). SpatialAlignError when nothing has been scored yet."""
        ids = {prompt.id for prompt in self.prompts(split)}
        rows = read_scores(self.scores_file)
        return {(r.prompt_id, r.seed): r.score for r in rows if r.set == set and r.prompt_id in ids}

    def scored_samples(
        self, set: str = BASE, split: str | None = "held_out", seeds: int | None = None
    ) -> list[ScoredSample]:
        """Prompt, seed, score and mp4 of every scored video."""
        prompts = {prompt.id: prompt for prompt in self.prompts(split)}
        return [
            ScoredSample(prompts[prompt_id], seed, score, self.video_path(set, prompt_id, seed))
            for (prompt_id, seed), score in sorted(self.scores(set, split).items())
            if seeds is None or seed < seeds
        ]

    def training_log(self) -> list[dict[str, float]]:
        """Rows of training.csv, one a step; empty before the first."""
        return read_training_log(self.training_file)

    def finished_rounds(self) -> list[Round]:
        """Self-improvement rounds in order, from the model before any; empty where there were none."""
        return read_rounds(self.rounds_file)


def _plain(name: str, what: str, setting: str = "") -> str:
    if not name or safe_name(name) != name:
        where = f" for {setting}" if setting else ""
        raise SpatialAlignError(
            f"{name!r} cannot name a {what}; use only letters, digits, '-' and '_'{where}."
        )
    return name
