"""Self-improvement rounds: each LoRA makes the videos that the next one learns from.

A round makes videos of the training prompts with the LoRA of the round before (the first one with none), scores them,
adds them to the videos of all rounds so far, chooses pairs among them all, trains on from the LoRA of the round before,
and scores videos of the held-out prompts with the new one. The reference of the training is the untouched model in
every round, so that the regulariser holds all of them to the same place.

What a round makes in the run folder:
samples/base/, samples/round-01/ ...   videos by the LoRA that made them; each round has seeds of its own
lora/round-01.safetensors              the LoRA of the round
rounds/01/                             its pairs and its training.csv
rounds.json                            what each reached; a round that stands there is not done again
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..detect.base import Detector, MaskTracker, origin
from ..detect.validity import PUBLISHED, DetectionRule
from ..errors import SpatialAlignError
from ..files import fingerprint
from ..models.base import GenerateSettings, VideoModel
from ..pairs import PairSettings, load_pairs
from ..progress import Progress
from ..prompts import Combination, DsrPrompt
from ..score import Score, obey_share
from ..train.lora import lora_digest, read_lora, save_lora
from ..train.settings import DEFAULT, TrainSettings
from .checks import check_words
from .encoders import ModelEncoder
from .held_out import held_out_numbers, held_out_words, without_gradients
from .layout import BASE, RunLayout
from .pairing import pairs_stage
from .planning import AUTO
from .ray_workers import RayWorkers
from .round_log import Round, best_round, read_rounds, stopped_rising, write_rounds
from .stages import detect_stage, generate_stage, score_stage
from .training import train_lora


@dataclass(frozen=True)
class RoundSettings:
    """How many rounds at most, and what each does.

    patience: rounds without a better held-out score after which it ends. seeds: new videos of each training prompt a
    round. held_out_seeds: videos of each held-out prompt. training: one round's; its seed moves on by one a round.
    generation: how videos are made, None for the model's own.
    """

    rounds: int = 5
    patience: int = 1
    seeds: int = 4
    held_out_seeds: int = 3
    training: TrainSettings = DEFAULT
    pairs: PairSettings = field(default_factory=PairSettings)
    rule: DetectionRule = PUBLISHED
    generation: GenerateSettings | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        for name in ("rounds", "patience", "seeds", "held_out_seeds", "batch_size"):
            if getattr(self, name) < 1:
                raise SpatialAlignError(f"{name} must be at least 1, not {getattr(self, name)}; raise it.")


@dataclass(frozen=True)
class Tools:
    """What the rounds work with. workers, plan: see `Run.generate` and `Run.train`."""

    model: VideoModel
    detector: Detector
    mask_tracker: MaskTracker | None = None
    workers: int | RayWorkers | None = None
    plan: str = AUTO


def rounds_stage(
    layout: RunLayout, tools: Tools, settings: RoundSettings, lora: Path, kept_apart: Collection[Combination]
) -> Iterator[Progress]:
    """The rounds, and the best of their LoRAs as `lora`; see `Run.rounds`. kept_apart: see `pairs_stage`."""
    if settings.seeds < 2:
        raise SpatialAlignError(
            "Rounds needs at least 2 videos of every training prompt in a round, since a pair takes two; raise seeds."
        )
    work = _Rounds(layout, tools, settings, kept_apart)
    check_words(tools.detector, [*work.train, *work.held_out])
    written = read_rounds(layout.rounds_file)
    known = {each.number: each for each in written}
    done: list[Round] = []
    for number in range(settings.rounds + 1):
        if stopped_rising(done, settings.patience):
            break
        before = known.get(number)
        if before is not None and work.is_finished(before, done):
            done.append(before)
            text = "is done already"
        else:
            done.append((yield from work.round(number, done)))
            text = f"held out: {held_out_words(asdict(done[-1]))}"
        if len(done) > len(written) or done != written[: len(done)]:
            written = list(done)
            write_rounds(layout.rounds_file, written)
        values = {"held_out_score": done[-1].held_out_score}
        yield Progress("rounds", number, settings.rounds, f"round {number}: {text}", values=values)
    yield from _leave_best(layout, done, settings.rounds, lora)


class _Rounds:
    """One round after the other."""

    def __init__(
        self,
        layout: RunLayout,
        tools: Tools,
        settings: RoundSettings,
        kept_apart: Collection[Combination],
    ) -> None:
        self.layout, self.tools, self.settings, self.kept_apart = layout, tools, settings, kept_apart
        self.train, self.held_out = layout.prompts("train"), layout.prompts("held_out")
        self.generation = settings.generation or tools.model.defaults
        unlimited = replace(settings, rounds=1, patience=1, generation=self.generation)
        self._origin = [
            *(unlimited, self.train, self.held_out, tools.model.fingerprint),
            *(origin(tools.detector), origin(tools.mask_tracker)),
        ]

    def is_finished(self, known: Round, before: Sequence[Round]) -> bool:
        """Whether the round was done with these settings after these rounds, and its LoRA is still what it was."""
        if known.origin != self._origin_after(before):
            return False
        return known.number == 0 or _is(round_lora(self.layout, known.number), known.lora)

    def round(self, number: int, before: Sequence[Round]) -> Generator[Progress, None, Round]:
        """Do what is missing of a round."""
        obeyed, pairs, digest = None, 0, None
        if number > 0:
            count = self.settings.seeds
            yield from self._videos(number, number - 1, self.train, (number - 1) * count, count)
            obeyed = obey_share(
                self._scores(number - 1, "train", range((number - 1) * count, number * count))
            )
            pairs = yield from self._learn(number)
            digest = lora_digest(round_lora(self.layout, number))
        seeds = self.settings.held_out_seeds
        yield from self._videos(number, number, self.held_out, 0, seeds)
        numbers = held_out_numbers(self._scores(number, "held_out", range(seeds)))
        return Round(
            number, **numbers, obeyed=obeyed, pairs=pairs, lora=digest, origin=self._origin_after(before)
        )

    def _videos(
        self, number: int, maker: int, prompts: Sequence[DsrPrompt], first: int, count: int
    ) -> Iterator[Progress]:
        """Videos made with the LoRA of round `maker`, with tracks and scores."""
        layout, tools, settings = self.layout, self.tools, self.settings
        set, split, by_id = _set(maker), prompts[0].split, {prompt.id: prompt for prompt in prompts}
        lora = round_lora(layout, maker) if maker else None
        seeds = first + count
        for stage in (
            generate_stage(
                *(layout, tools.model, prompts, count, set, self.generation, settings.batch_size),
                *(lora, 1.0, tools.workers),
                first=first,
            ),
            detect_stage(
                *(layout, tools.detector, by_id, set, split, settings.rule, seeds, False, tools.mask_tracker),
                tools.workers if isinstance(tools.workers, RayWorkers) else None,
            ),
            score_stage(layout, by_id, set, split, seeds),
        ):
            yield from _named(number, without_gradients(stage))

    def _learn(self, number: int) -> Generator[Progress, None, int]:
        """Pairs of all videos so far, and the LoRA of the round; returns how many pairs."""
        layout, tools, settings = self.layout, self.tools, self.settings
        folder = layout.folder / "rounds" / f"{number:02d}"
        count = settings.seeds
        sources = {_set(maker): range(maker * count, (maker + 1) * count) for maker in range(number)}
        stage = pairs_stage(
            layout,
            ModelEncoder(tools.model),
            self.train,
            settings.pairs,
            self.kept_apart,
            sources,
            folder / "pairs",
        )
        yield from _named(number, without_gradients(stage))
        pairs = load_pairs(folder / "pairs")
        training = replace(settings.training, seed=settings.training.seed + number - 1)
        yield from _named(
            number,
            train_lora(
                *(tools.model, pairs, training, round_lora(layout, number), folder / "training.csv"),
                layout.control,
                plan=tools.plan,
                continue_from=round_lora(layout, number - 1) if number > 1 else None,
            ),
        )
        return len(pairs)

    def _scores(self, maker: int, split: str, seeds: range) -> list[Score]:
        return [score for (_, seed), score in self.layout.scores(_set(maker), split).items() if seed in seeds]

    def _origin_after(self, before: Sequence[Round]) -> str:
        return fingerprint([*self._origin, len(before), before[-1].lora if before else None])


def round_lora(layout: RunLayout, number: int) -> Path:
    """The LoRA of a round."""
    return layout.lora_path(f"round-{number:02d}")


def _set(maker: int) -> str:
    """Videos made with the LoRA of round `maker`."""
    return f"round-{maker:02d}" if maker else BASE


def _named(number: int, stage: Iterator[Progress]) -> Iterator[Progress]:
    for item in stage:
        text = f"round {number}, {item.stage}"
        yield replace(item, message=f"{text}: {item.message}" if item.message else text)


def _leave_best(layout: RunLayout, done: Sequence[Round], total: int, lora: Path) -> Iterator[Progress]:
    """The LoRA of the best round under the name that was asked for."""
    best, base = best_round(done[1:]), done[0]
    if best.held_out_score <= base.held_out_score:
        text = (
            f"No round scored above the model without a LoRA ({base.held_out_score:.3f}); the best of them is kept all "
            "the same. More seeds or more prompts for each round may help."
        )
        yield Progress("rounds", total, total, text, warning=True)
    if not _is(lora, best.lora):
        tensors, metadata = read_lora(round_lora(layout, best.number))
        save_lora(lora, tensors, metadata | {"round": str(best.number)})
    text = (
        f"saved {lora.name}, of round {best.number} of {len(done) - 1}: held-out score {base.held_out_score:.3f} -> "
        f"{best.held_out_score:.3f}"
    )
    yield Progress("rounds", total, total, text, path=lora)


def _is(lora: Path, digest: str | None) -> bool:
    with contextlib.suppress(SpatialAlignError):  # missing or damaged
        return lora_digest(lora) == digest
    return False
