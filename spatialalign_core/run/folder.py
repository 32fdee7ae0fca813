"""One run: its folder, and the stages on it.

Each stage is a generator of `Progress` and does its work while it is iterated; stop iterating (and close it) to cancel.
Every file carries the fingerprint of what it was made from: what is up to date is not made again, what is damaged is
made again with a warning. So a stage can be stopped or killed at any instant, and calling it again finishes the work.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..detect.base import Detector, MaskTracker
from ..detect.validity import PUBLISHED, DetectionRule
from ..errors import SpatialAlignError
from ..files import check_folder
from ..generate import Job
from ..models.base import GenerateSettings, VideoModel
from ..pairs import PairSelection, PairSettings, load_pairs
from ..plan import USUAL, GenerateOptions
from ..progress import Progress
from ..prompts import Combination, DsrPrompt, write_prompts
from ..train.ranks import ALONE, Ranks
from ..train.settings import TrainSettings
from ..video_file import WHOLE, Part
from .checks import check_videos, check_words
from .choosing import choose, rule
from .collecting import Collected, collect_file, collect_sample, with_prompt
from .comparing import Side, compare_stage
from .encoders import ModelEncoder, last_export
from .held_out import HeldOutCheck, look
from .layout import ALIGNED, BASE, DEFAULT_LORA, SETS, RunLayout, SampleKey
from .lock import locked
from .pairing import pairs_stage
from .planning import AUTO
from .ray_workers import RayWorkers
from .rounds import RoundSettings, Tools, rounds_stage
from .samples import is_collected
from .session import Watching
from .stages import detect_stage, evaluate_stage, generate_stage, score_stage
from .training import follow_training, train_lora
from .work import followed, step_of

__all__ = ["ALIGNED", "BASE", "DEFAULT_BATCH", "DEFAULT_LORA", "SETS", "Progress", "Run", "SampleKey"]

DEFAULT_BATCH = 8


class Run(RunLayout):
    """One run folder, made when the first stage writes. Paths and what is there already: see `RunLayout`.

    Only one stage works on a folder at a time; a second one, of any process, gets a SpatialAlignError at once.
    """

    _step: str | None = None

    def part_of(self, step: str) -> Run:
        """The same run, whose stages are told to be part of a step of the loop, one of `work.STEPS`."""
        part = copy.copy(self)
        part._step = step
        return part

    def write_prompts(self, prompts: Sequence[DsrPrompt]) -> None:
        """Set the run's prompts; those of collected videos stay. SpatialAlignError for none, or for two with one id."""
        if not prompts:
            raise SpatialAlignError("A run needs at least one prompt; the prompt set is empty.")
        ids = [prompt.id for prompt in prompts]
        twice = next((i for i in ids if ids.count(i) > 1), None)
        if twice is not None:
            raise SpatialAlignError(f"Two prompts have the id {twice!r}; give every prompt its own.")
        with self._writing():
            kept = [
                p for p in self._collected_prompts() if p.id.casefold() not in {i.casefold() for i in ids}
            ]
            write_prompts(self.prompts_file, [*prompts, *kept])

    def collect(
        self, prompt: DsrPrompt, seed: int, frames: np.ndarray, fps: float, latents: Tensor | None = None
    ) -> Collected:
        """Take a video that was made elsewhere into the set "base", and its prompt into the run's.

        frames: uint8 (F, H, W, 3). latents: (C, F', H', W') in the numbers of the VAE that decoded them, as ComfyUI's
        LATENT; without them the exporting model's VAE makes them of the frames. A collected video of the same prompt
        and seed is replaced. SpatialAlignError for one that Generate made, and as `video.write_video`.
        """
        with self._writing():
            return self._with_its_prompt(
                prompt, lambda: collect_sample(self, prompt, seed, frames, fps, latents)
            )

    def collect_file(self, prompt: DsrPrompt, seed: int, file: str | Path, part: Part = WHOLE) -> Collected:
        """The same with a video file, as it is shown, or a part of it. Needs the memory of a few frames only.

        Errors as `collect` and `video_file.open_clip`, also for a file with one frame.
        """
        with self._writing():
            return self._with_its_prompt(prompt, lambda: collect_file(self, prompt, seed, Path(file), part))

    def generate(
        self,
        model: VideoModel,
        seeds: int,
        split: str | None = None,
        set: str = BASE,
        settings: GenerateSettings | None = None,
        batch_size: int = DEFAULT_BATCH,
        lora: Path | None = None,
        strength: float = 1.0,
        workers: int | RayWorkers | None = None,
        options: GenerateOptions = USUAL,
    ) -> Iterator[Progress]:
        """Make the videos of seeds 0 .. seeds - 1 of every prompt of the split.

        The set "aligned" is made with the run's own LoRA where `lora` names no other. workers: processes to use on a
        CPU, None for as many as suit, or workers on many machines; the videos do not depend on it. options: how memory
        is used. Leaves the model without any LoRA.
        """
        with self._writing():
            adapter = self.lora_path() if set == ALIGNED and lora is None else lora
            work = generate_stage(
                self,
                model,
                self.prompts(split),
                seeds,
                set,
                settings or model.defaults,
                batch_size,
                adapter,
                strength,
                workers,
                options,
            )
            yield from self._followed("generate", work, set, split)

    def detect(
        self,
        detector: Detector,
        set: str = BASE,
        split: str | None = None,
        rule: DetectionRule = PUBLISHED,
        seeds: int | None = None,
        keep_masks: bool = False,
        mask_tracker: MaskTracker | None = None,
        workers: RayWorkers | None = None,
    ) -> Iterator[Progress]:
        """Find subject and object in the videos that are there; one that cannot be read is INVALID, with its reason.

        rule, mask_tracker: see `detect_track`. workers: on many machines, None for here. Tracks made otherwise, or
        by other weights, are made again.
        """
        with self._writing():
            prompts = {prompt.id: prompt for prompt in self.prompts(split)}
            work = detect_stage(
                self, detector, prompts, set, split, rule, seeds, keep_masks, mask_tracker, workers
            )
            yield from self._followed("detect", work, set, split)

    def score(
        self, set: str = BASE, split: str | None = None, seeds: int | None = None
    ) -> Iterator[Progress]:
        """Score the tracks into scores.csv; rows of other sets and prompts stay."""
        with self._writing():
            work = score_stage(self, {p.id: p for p in self.prompts(split)}, set, split, seeds)
            yield from self._followed("score", work, set, split)

    def choose_pairs(self, settings: PairSettings, split: str | None = "train") -> PairSelection:
        """Which pairs the base videos of a split give. Writes nothing."""
        return choose(self, self.prompts(split), settings, self._held_out()).selection

    def rule_pair(
        self, prompt_id: str, winner_seed: int, loser_seed: int, keep: bool | None, told: str = ""
    ) -> None:
        """Keep or drop a pair by hand, over what scores and settings say; None forgets what was decided.

        told: as in `Pair`. Takes effect when the pairs are exported again; needs no lock. SpatialAlignError for a
        prompt that is not there, and for a video without a score.
        """
        prompt = next((prompt for prompt in self.prompts() if prompt.id == prompt_id), None)
        if prompt is None:
            raise SpatialAlignError(f"There is no prompt {prompt_id!r} in {self.folder}; choose another one.")
        rule(self, prompt, winner_seed, loser_seed, keep, told, self._held_out())

    def export_pairs(
        self, model: VideoModel, settings: PairSettings | None = None, split: str | None = "train"
    ) -> Iterator[Progress]:
        """Choose pairs and write pairs/, with latents and text embeddings. The last message explains the choice.

        No text is told of a (subject, object, change) that a held-out prompt has.
        """
        with self._writing():
            chosen = settings or PairSettings()
            work = pairs_stage(self, ModelEncoder(model), self.prompts(split), chosen, self._held_out())
            yield from self._followed("pairs", work)

    def export_again(self) -> Iterator[Progress]:
        """The last `export_pairs` once more, without a model: enough after pairs were kept or dropped by hand.

        SpatialAlignError where something was never encoded, and where nothing was exported before.
        """
        with self._writing():
            last = last_export(self.pairs_folder)
            splits = {prompt.split for prompt in self.prompts() if prompt.id in last.prompts}
            prompts = self.prompts(splits.pop() if len(splits) == 1 else None)
            work = pairs_stage(self, last, prompts, last.settings, self._held_out())
            yield from self._followed("pairs", work)

    def train(
        self,
        model: VideoModel,
        settings: TrainSettings,
        name: str = DEFAULT_LORA,
        check: HeldOutCheck | None = None,
        plan: str = AUTO,
        room: int | None = None,
        device: torch.device | None = None,
        tensorboard: bool = False,
        continue_from: Path | None = None,
        ranks: Ranks = ALONE,
        compile: bool = False,
    ) -> Iterator[Progress]:
        """Train lora/<name>.safetensors on pairs/, going on from the last checkpoint; see `VideoModel.lora_name`.

        Closing it between two steps saves a checkpoint. Leaves the model without any LoRA. check: held-out videos to
        make and score meanwhile. plan: how to fit into memory, "auto" for the fastest that does; room: bytes it may
        use, None for what is free. device: where to compute, None for where the model is. continue_from: a LoRA file
        of any style to begin with. ranks: this process among those that train together; only the leading one writes.
        compile: the model's blocks with torch.compile, a minute or two of waiting before faster steps.
        `control` says how to talk to it while it runs. SpatialAlignError when there is nothing to train on, or no plan
        fits.
        """
        if not ranks.leads:
            pairs = load_pairs(self.pairs_folder)
            yield from follow_training(model, pairs, settings, device, continue_from, ranks, compile)
            return
        try:
            with self._writing():
                pairs, lora = load_pairs(self.pairs_folder), self.lora_path(model.lora_name(name))
                watching = None
                check_folder(lora.parent, "the LoRA")
                if check is not None:
                    # What is wrong is told now rather than at the first look.
                    check_words(check.detector, self.prompts("held_out"))
                    watching = Watching(check, lambda lora, step: look(self, model, check, lora, step))
                work = train_lora(
                    model,
                    pairs,
                    settings,
                    lora,
                    self.training_file,
                    self.control,
                    watching,
                    plan,
                    room,
                    device,
                    self.folder / "tensorboard" if tensorboard else None,
                    continue_from,
                    ranks,
                    compile,
                )
                yield from self._followed("train", work)
        finally:
            ranks.dismiss()

    def rounds(
        self,
        model: VideoModel,
        detector: Detector,
        settings: RoundSettings | None = None,
        name: str = DEFAULT_LORA,
        mask_tracker: MaskTracker | None = None,
        workers: int | RayWorkers | None = None,
        plan: str = AUTO,
    ) -> Iterator[Progress]:
        """Let the model learn from its own better and worse videos again and again, until it gets no better.

        Each round makes videos with the LoRA so far, scores them, and trains on from it; see `rounds`. Leaves the LoRA
        of the round with the best held-out score as lora/<name>.safetensors. `finished_rounds` has the numbers. A round
        that is finished is not done again. SpatialAlignError when a round finds nothing to pair.
        """
        with self._writing():
            lora, tools = (
                self.lora_path(model.lora_name(name)),
                Tools(model, detector, mask_tracker, workers, plan),
            )
            work = rounds_stage(self, tools, settings or RoundSettings(), lora, self._held_out())
            yield from self._followed("rounds", work)

    def evaluate(
        self,
        tau: float = 0.7,
        split: str | None = "held_out",
        seeds: int | None = None,
        bootstrap: int = 2000,
        settings: Mapping[str, object] | None = None,
    ) -> Iterator[Progress]:
        """Compare the scores of both sets; write report.html and report.json. settings: what the report lists."""
        with self._writing():
            work = evaluate_stage(self, tau, split, seeds, bootstrap, settings or {})
            yield from self._followed("evaluate", work)

    def compare(
        self,
        a: Side,
        b: Side,
        tau: float = 0.7,
        split: str | None = "held_out",
        seeds: int | None = None,
        bootstrap: int = 2000,
        settings: Mapping[str, object] | None = None,
    ) -> Iterator[Progress]:
        """Compare the scores of two sides; write comparison.json and picture.png, the path of the last item.

        The videos must be there and scored; `compare.compare` makes them too. settings: what comparison.json lists.
        """
        with self._writing():
            work = compare_stage(self, a, b, tau, split, seeds, bootstrap, settings or {})
            yield from self._followed("compare", work)

    def check_evaluation(
        self,
        model: VideoModel,
        detector: Detector,
        lora: Path,
        seeds: int,
        settings: GenerateSettings | None = None,
        split: str | None = "held_out",
    ) -> None:
        """SpatialAlignError for what would end an evaluation only after its first videos: no prompts, a LoRA that is
        missing or does not fit the model, nouns that the detector does not know, a full or read-only disk."""
        prompts = self.prompts(split)
        jobs = [Job(prompt.id, prompt.text, seed) for prompt in prompts for seed in range(seeds)]
        there = sum(len(self.samples(set, split, seeds)) for set in SETS)
        missing = max(0, len(SETS) * len(jobs) - there)
        check_videos(self.folder / "samples", model, jobs, settings or model.defaults, missing, lora)
        check_words(detector, prompts)
        self.check_places("tracks")

    def check_places(self, *names: str) -> None:
        """SpatialAlignError when one of these folders of the run ("samples", "lora" ...) cannot be written, before a
        model loads."""
        for name in ("", *names):
            check_folder(self.folder / name, name or "the run")

    def _with_its_prompt(self, prompt: DsrPrompt, work: Callable[[], Collected]) -> Collected:
        known = self.prompts() if self.prompts_file.exists() else []
        prompts = with_prompt(known, prompt)
        outcome = work()
        if len(prompts) > len(known):
            write_prompts(self.prompts_file, prompts)
        return outcome

    def _collected_prompts(self) -> list[DsrPrompt]:
        if not self.prompts_file.exists():
            return []
        with contextlib.suppress(SpatialAlignError):  # a damaged file is there to be replaced
            return [p for p in self.prompts() if any(map(is_collected, self._videos(BASE, p.id)))]
        return []

    def _held_out(self) -> set[Combination]:
        return {(p.subject, p.object, p.change) for p in self.prompts() if p.split == "held_out"}

    def _followed(
        self, stage: str, work: Iterator[Progress], set: str = BASE, split: str | None = None
    ) -> Iterator[Progress]:
        return followed(self.folder, self._step or step_of(stage, set, split), stage, work)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with locked(self.folder):
            for leftover in self.folder.rglob(".*.part*"):  # of a process that was killed while it wrote
                with contextlib.suppress(OSError):
                    if leftover.is_file():
                        leftover.unlink()
            yield
