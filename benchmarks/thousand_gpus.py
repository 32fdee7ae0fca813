"""Arithmetic for a LoRA on many cards, from shapes alone: `python benchmarks/thousand_gpus.py` prints the tables of
THOUSAND_GPUS.md. Nothing is measured here; what is assumed stands in `Assumed`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.train.settings import DEFAULT

TEXT_TOKENS = 512
BYTES = 4  # latents, noise and text states are kept in float32


@dataclass(frozen=True)
class Model:
    """A Wan2.1 transformer: width, inner width of the feed-forward layer, blocks."""

    name: str
    width: int
    inner: int
    blocks: int

    def forward(self, tokens: int) -> float:
        """Operations of one pass of one video: linear layers and both attentions of every block."""
        d, n, t = self.width, tokens, TEXT_TOKENS
        own = 8 * n * d * d + 4 * n * n * d
        text = 4 * n * d * d + 4 * t * d * d + 4 * n * t * d
        return self.blocks * float(own + text + 4 * n * d * self.inner)

    @property
    def block_weights(self) -> int:
        """Numbers in the matrices of one block."""
        return 8 * self.width**2 + 2 * self.width * self.inner

    def lora(self, rank: int) -> int:
        """Numbers in a LoRA on all of these matrices."""
        return self.blocks * rank * (8 * 2 * self.width + 2 * (self.width + self.inner))


@dataclass(frozen=True)
class Assumed:
    """What is not arithmetic.

    speed: operations a second that a card really does (45 % of 989e12, an H100's bf16 peak). overhead: VAE, text
    encoder and waiting, as a share of denoising. detect: seconds a clip (81 frames, every one looked at and tracked).
    clip_file: bytes of an mp4. network: bytes a second and card between machines, and inside one.
    """

    speed: float = 0.45 * 989e12
    overhead: float = 0.10
    detect: float = 6.0
    clip_file: float = 3e6
    price: float = 2.0
    network: tuple[float, float] = (25e9, 450e9)


@dataclass(frozen=True)
class Work:
    """One LoRA. Videos of 480 x 832 and 81 frames; guidance doubles the passes of a denoising step."""

    latents: tuple[int, int, int, int] = (16, 21, 60, 104)
    denoising: int = 50
    prompts: int = 1000
    seeds: int = 10
    held_out: int = 120 * 5 * 2  # videos, before and after
    steps: int = 260  # more than the preset takes: a large model learns at a lower rate
    pairs: int = DEFAULT.pairs_per_step  # a step

    @property
    def tokens(self) -> int:
        _, frames, height, width = self.latents
        return frames * (height // 2) * (width // 2)

    @property
    def clips(self) -> int:
        return self.prompts * self.seeds + self.held_out

    @property
    def latent_bytes(self) -> int:
        channels, frames, height, width = self.latents
        return channels * frames * height * width * BYTES


SMALL = Model("Wan2.1 1.3B", 1536, 8960, 30)
LARGE = Model("Wan2.1 14B", 5120, 13824, 40)
PASSES = 10  # a pair: two videos, each once as reference, once as policy, once more recomputed, and twice backwards


def generation(model: Model, work: Work, assumed: Assumed) -> float:
    """Seconds a clip."""
    return 2 * work.denoising * model.forward(work.tokens) / assumed.speed * (1 + assumed.overhead)


def training(model: Model, work: Work, assumed: Assumed) -> float:
    """Seconds a pair."""
    return PASSES * model.forward(work.tokens) / assumed.speed


def cost_table(models: tuple[Model, ...], work: Work, assumed: Assumed) -> str:
    """What one LoRA takes, in hours of one card."""
    lines = ["| | " + " | ".join(model.name for model in models) + " |", "|---|" + "---|" * len(models)]

    def row(name: str, cells: list[str]) -> None:
        lines.append(f"| {name} | " + " | ".join(cells) + " |")

    clip = [generation(model, work, assumed) for model in models]
    pair = [training(model, work, assumed) for model in models]
    pairs = work.steps * work.pairs
    hours = [
        [work.clips * c / 3600, work.clips * assumed.detect / 3600, pairs * p / 3600]
        for c, p in zip(clip, pair, strict=True)
    ]
    row("one pass of one video", [f"{m.forward(work.tokens) / 1e12:,.0f} TFLOP" for m in models])
    row("one clip, 50 steps with guidance", [f"{c:,.0f} s" for c in clip])
    row("one pair", [f"{p:.1f} s" for p in pair])
    row(f"generate {work.clips:,} clips", [f"{h[0]:,.0f} h" for h in hours])
    row("find and score", [f"{h[1]:,.0f} h" for h in hours])
    row(f"train, {work.steps} steps of {work.pairs} pairs", [f"{h[2]:,.0f} h" for h in hours])
    row("**all of it**", [f"**{sum(h):,.0f} h**" for h in hours])
    row(f"at {assumed.price:g} a card and hour", [f"{sum(h) * assumed.price:,.0f}" for h in hours])
    return "\n".join(lines)


def time_table(models: tuple[Model, ...], work: Work, assumed: Assumed) -> str:
    """How long it takes on so many cards."""
    lines = [
        "| cards | " + " | ".join(f"{m.name}: generate, find | train | all" for m in models) + " |",
        "|---|" + "---|" * 3 * len(models),
    ]
    for cards in (1, 8, 64, 256, 1000):
        cells = []
        for model in models:
            turns = -(-work.clips // cards)  # whole clips: the last turn is not full
            videos = turns * (generation(model, work, assumed) + assumed.detect) / 3600
            share = -(-work.pairs // min(cards, work.pairs))
            learn = work.steps * share * training(model, work, assumed) / 3600
            cells += [f"{videos:,.1f} h", f"{learn:,.1f} h", f"{videos + learn:,.1f} h"]
        lines.append(f"| {cards:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def volume_table(work: Work, assumed: Assumed) -> str:
    """What lies on the disk."""
    sample = 2 * work.latent_bytes + assumed.clip_file
    text = TEXT_TOKENS * 4096 * BYTES
    used = work.prompts * work.seeds * 2 * work.latent_bytes
    rows = [
        ("latents of a video, and as much again for its noise", work.latent_bytes / 1e6, "MB"),
        ("a video with all that belongs to it", sample / 1e6, "MB"),
        (f"`samples/`, {work.clips:,} videos", work.clips * sample / 1e9, "GB"),
        ("`pairs/`: latents and noise again, at most", used / 1e9, "GB"),
        (f"text states of {work.prompts:,} prompts", work.prompts * text / 1e9, "GB"),
    ]
    return "\n".join(["| what | how much |", "|---|---|", *(f"| {n} | {v:,.1f} {u} |" for n, v, u in rows)])


def traffic_table(models: tuple[Model, ...], work: Work, assumed: Assumed) -> str:
    """What travels in training, beside how long the work of a step takes."""
    between, inside = assumed.network
    lines = ["| | " + " | ".join(model.name for model in models) + " |", "|---|" + "---|" * len(models)]
    lora = [4 * model.lora(16) for model in models]
    # The parts of the seven others, for each of six passes of a pair through all blocks.
    whole = [2 * model.block_weights * model.blocks for model in models]
    gathered = [6 * w * 7 / 8 for w in whole]
    pair = [training(model, work, assumed) for model in models]
    rows = [
        ("LoRA of rank 16 on all matrices", [f"{b / 1e6:,.0f} MB" for b in lora]),
        ("its sum over all cards, at 25 GB/s", [f"{2000 * b / between:,.0f} ms" for b in lora]),
        ("one pair on each card", [f"{p:,.1f} s" for p in pair]),
        ("frozen weights of the blocks in bf16", [f"{w / 1e9:,.1f} GB" for w in whole]),
        ("plan `sharded` over 8 cards: on each", [f"{w / 8e9:,.1f} GB" for w in whole]),
        (
            "... put together for a pair, inside a machine (450 GB/s)",
            [f"{g / inside:,.2f} s" for g in gathered],
        ),
        ("... between machines (25 GB/s)", [f"{g / between:,.1f} s" for g in gathered]),
    ]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows)])


def tables() -> list[str]:
    """Those of THOUSAND_GPUS.md, in order."""
    models, work, assumed = (SMALL, LARGE), Work(), Assumed()
    return [
        cost_table(models, work, assumed),
        time_table(models, work, assumed),
        volume_table(work, assumed),
        traffic_table(models, work, assumed),
    ]


if __name__ == "__main__":
    print("\n\n".join(tables()))
