"""Generation side by side with plain diffusers, whose pipeline is called once for every prompt and seed.

`python benchmarks/generate.py` measures the pocket model on the CPU; `--device cuda --shape wan1.3b` a model of
Wan2.1-1.3B's sizes with random weights at 480 x 832 x 81 (about 15 GB of weights in bfloat16, UMT5-XXL included).
`--card-gb 12` holds both sides to the memory of a smaller card. Each side runs in a process of its own, in turns, and
starts from the same noise; loading, and the first videos on a GPU, are not counted. On a CPU both are one process with
as many threads as torch takes (OMP_NUM_THREADS); with `--workers` the pack runs in processes as a run does, and their
start and the writing of files count. On a machine that others use too, `--cpu-time` and OMP_NUM_THREADS=1 give what an
idle one would. Writes benchmarks/results/generate.json (of another shape generate-SHAPE.json), after every turn with
what is measured by then. The last line is one JSON object, the pack over plain diffusers: speed_ratio (videos an hour),
memory_ratio (peak).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from spatialalign_core.files import atomic_write
from spatialalign_core.generate import Job, generate, initial_noise
from spatialalign_core.models.base import GenerateSettings, VideoModel
from spatialalign_core.plan import GenerateOptions, plan_generation

RESULTS = Path(__file__).resolve().parent / "results" / "generate.json"
SCENES = ("In a meadow", "On a beach", "In a park", "In a desert")
SUBJECTS = ("fox", "cat", "dog", "bear")
SHAPES = ("pocket", "wan1.3b", "tiny")
DIFFERENT = 24
"""Levels of 255 from which a pixel counts as different; rounding in another order stays below."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cpu", help="cpu or cuda (default cpu)")
    add("--shape", default="pocket", choices=SHAPES, help="default: pocket")
    add("--prompts", type=int, help="default 16; 1 for wan1.3b")
    add("--seeds", type=int, help="videos of each (default 8; 2 for wan1.3b)")
    add("--steps", type=int, help="sampling steps (default: the model's, 50 for wan1.3b)")
    add("--batch", type=int, default=8, help="the pack's batch size (default 8)")
    add("--repeats", type=int, help="turns of each side, median taken (default 3; 1 for wan1.3b)")
    add("--memory", default="auto", help="auto, card or parts")
    add("--attention", default="auto", help="auto, cudnn, flash, efficient or math")
    add("--compile", action="store_true", help="the pack compiles the model; compiling itself is not counted")
    add("--cpu-time", action="store_true", help="speed in videos an hour of processor time, not of the clock")
    add("--card-gb", type=float, help="hold CUDA to a card of so many GiB")
    add("--workers", action="store_true", help="the pack in worker processes, as a run on a CPU has it")
    add("--save", type=Path, help="default: in benchmarks/results, named by the shape")
    add("--side", choices=("plain", "pack"), help=argparse.SUPPRESS)
    add("--frames", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    big = options.shape == "wan1.3b"
    options.prompts = options.prompts or (1 if big else 16)
    options.seeds = options.seeds or (2 if big else 8)
    options.repeats = options.repeats or (1 if big else 3)
    if options.save is None:
        pocket = options.shape == "pocket"
        options.save = RESULTS if pocket else RESULTS.with_stem(f"generate-{options.shape}")
    if options.side:
        print(json.dumps(_side(options)))
        return
    _compare(options)


def _compare(options: argparse.Namespace) -> None:
    turns: dict[str, list[dict[str, Any]]] = {"plain": [], "pack": []}
    with tempfile.TemporaryDirectory() as folder:
        files = {side: Path(folder) / f"{side}.npy" for side in turns}
        for _ in range(options.repeats):
            for side in turns:
                turns[side].append(_run(side, files[side]))
                print(f"{side:5} {turns[side][-1]}", file=sys.stderr, flush=True)
                # Turns of a large model take minutes each: what ends a later one leaves these.
                result = _result(options, turns)
                atomic_write(options.save, json.dumps(result, indent=1) + "\n")
        frames = {side: np.load(file).astype(np.int16) for side, file in files.items()}
    difference = np.abs(frames["plain"] - frames["pack"])
    result |= {
        "frames_shape": list(frames["plain"].shape),
        "frames_mean_difference": float(difference.mean()),
        "frames_largest_difference": int(difference.max()),
        "pixels_different": float((difference >= DIFFERENT).mean()),
    }
    atomic_write(options.save, json.dumps(result, indent=1) + "\n")
    rates, cpu = result["videos_an_hour"], result["cpu_seconds_a_video"]
    print(f"{rates['plain']:.0f} videos an hour with plain diffusers, {rates['pack']:.0f} with the pack")
    print(f"{cpu['plain']:.3f} CPU seconds a video with plain diffusers, {cpu['pack']:.3f} with the pack")
    print(f"frames differ by {difference.mean():.4f} of 255 on average, {difference.max()} at most")
    print(json.dumps({name: result[name] for name in ("speed_ratio", "memory_ratio")}))


def _result(options: argparse.Namespace, turns: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the turns so far say; ratios from the first turn of each side on."""
    measured = {side: news for side, news in turns.items() if news}
    clock = "cpu_seconds" if options.cpu_time else "seconds"
    rates = {
        side: median(turn["videos"] / turn[clock] * 3600 for turn in news) for side, news in measured.items()
    }
    peaks = {side: max(turn["peak_bytes"] for turn in news) for side, news in measured.items()}
    cpu = {
        side: median(turn["cpu_seconds"] / turn["videos"] for turn in news) for side, news in measured.items()
    }
    result = {
        "device": _device(options),
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "threads": int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))),
        "options": {
            name: value
            for name, value in vars(options).items()
            if name not in ("save", "side", "frames") and value is not None
        },
        "videos_an_hour": {side: round(rate, 1) for side, rate in rates.items()},
        "cpu_seconds_a_video": {side: round(seconds, 4) for side, seconds in cpu.items()},
        "peak_gib": {side: round(peak / 2**30, 3) for side, peak in peaks.items()},
        "turns": turns,
    }
    if len(measured) == len(turns):
        result |= {
            "plan": turns["pack"][-1]["plan"],
            "speed_ratio": round(rates["pack"] / rates["plain"], 3),
            "memory_ratio": round(peaks["pack"] / peaks["plain"], 3),
        }
    return result


def _run(side: str, frames: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--frames", str(frames)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _side(options: argparse.Namespace) -> dict[str, Any]:
    from spatialalign_core.models.quiet import quiet_libraries

    quiet_libraries()
    if options.card_gb:
        import torch

        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, options.card_gb * 2**30 / total))
    model = build(options.shape, "cpu" if options.card_gb else options.device)
    if options.card_gb and options.side == "pack":
        model.transformer.to(options.device)  # the other parts follow when it is their turn
    settings = model.defaults if options.steps is None else replace(model.defaults, steps=options.steps)
    jobs = [
        Job(f"p{index}", text, seed)
        for index, text in enumerate(_texts(options))
        for seed in range(options.seeds)
    ]
    wishes = GenerateOptions(options.memory, options.attention, options.compile)
    if options.device != "cpu":  # kernels are chosen and compiled at the first video
        warm = replace(settings, steps=2)
        list(_one_side(model, jobs[: options.batch], warm, options, wishes))
        _reset_peak()
    started, before = time.perf_counter(), sum(os.times()[:4])
    if options.side == "pack" and options.device == "cpu" and options.workers:
        frames, seconds, workers = _with_workers(model, jobs, settings, options, wishes)
    else:
        workers = 0
        frames = list(_one_side(model, jobs, settings, options, wishes))
        seconds = time.perf_counter() - started
    np.save(options.frames, np.stack(frames))
    plan = asdict(plan_generation(model, settings, options.batch, wishes))
    return {
        "videos": len(jobs),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(sum(os.times()[:4]) - before, 3),
        "peak_bytes": _peak(options.device, workers),
        "plan": plan,
    }


def _plain(
    model: VideoModel, jobs: list[Job], settings: GenerateSettings, options: argparse.Namespace
) -> Iterator[np.ndarray]:
    """As a script with diffusers does it: one call a prompt and seed, text and picture included."""
    pipeline = model.pipeline
    pipeline.set_progress_bar_config(disable=True)
    if options.card_gb:
        pipeline.enable_model_cpu_offload()
    shape = model.family.latent_shape(pipeline, settings)
    for job in jobs:
        video = pipeline(
            prompt=job.text,
            negative_prompt=settings.negative_prompt,
            height=settings.height,
            width=settings.width,
            num_frames=settings.num_frames,
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            max_sequence_length=min(512, pipeline.tokenizer.model_max_length),
            latents=initial_noise(job, shape)[None].to(options.device),
            output_type="np",
        ).frames[0]
        yield (video * 255).round().clip(0, 255).astype(np.uint8)


def _one_side(
    model: VideoModel,
    jobs: list[Job],
    settings: GenerateSettings,
    options: argparse.Namespace,
    wishes: GenerateOptions,
) -> Iterator[np.ndarray]:
    if options.side == "plain":
        yield from _plain(model, jobs, settings, options)
        return
    for sample in generate(model, jobs, settings, options.batch, wishes):
        yield sample.frames


def _with_workers(
    model: VideoModel,
    jobs: list[Job],
    settings: GenerateSettings,
    options: argparse.Namespace,
    wishes: GenerateOptions,
) -> tuple[list[np.ndarray], float, int]:
    """The way `Run.generate` goes on a CPU: frames, seconds and processes.

    Frames come back out of the latents that it saves.
    """
    from spatialalign_core.run.samples import load_latents
    from spatialalign_core.run.worker import Wanted, generate_in_workers, make_batches, spare_workers

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        wanted = [
            Wanted(job, Path(folder) / job.prompt_id / f"{job.seed}.mp4", "-", make=True) for job in jobs
        ]
        batches = [wanted[start : start + options.batch] for start in range(0, len(wanted), options.batch)]
        workers = min(spare_workers(model), len(batches))
        if workers > 1:
            done: Iterator[Wanted | None] = generate_in_workers(
                model, batches, settings, None, 1.0, workers, wishes
            )
        else:
            done = make_batches(model, batches, settings, wishes)
        for _ in done:
            pass
        seconds = time.perf_counter() - started
        latents = [load_latents(item.video)["latents"] for item in wanted]
        return [model.decode(each[None])[0] for each in latents], seconds, workers if workers > 1 else 0


def build(shape: str, device: str) -> VideoModel:
    """The bundled pocket model, or random weights in Wan's architecture, on the device."""
    from spatialalign_core.models.loading import POCKET_FOLDER, load_video_model, recognise_family

    if shape == "pocket":
        return load_video_model("pocket", device)
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
    from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

    big = shape == "wan1.3b"
    text_dim = 4096 if big else 32
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if big else torch.float32)
    try:
        with torch.device(device):
            transformer = WanTransformer3DModel(
                num_attention_heads=12 if big else 2,
                attention_head_dim=128 if big else 12,
                ffn_dim=8960 if big else 32,
                num_layers=30 if big else 2,
                text_dim=text_dim,
                freq_dim=256 if big else 32,
            )
            vae = AutoencoderKLWan() if big else AutoencoderKLWan(base_dim=8, num_res_blocks=1)
            sizes = (64, 10240, 24, 64) if big else (8, 64, 2, 4)
            encoder = UMT5EncoderModel(
                UMT5Config(
                    vocab_size=256384 if big else 1024,
                    d_model=text_dim,
                    d_kv=sizes[0],
                    d_ff=sizes[1],
                    num_layers=sizes[2],
                    num_heads=sizes[3],
                    feed_forward_proj="gated-gelu",
                )
            )
    finally:
        torch.set_default_dtype(torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(POCKET_FOLDER / "tokenizer", local_files_only=True)
    tokenizer.model_max_length = 512 if big else 32
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    pipeline = WanPipeline(
        tokenizer=tokenizer, text_encoder=encoder, transformer=transformer, vae=vae, scheduler=scheduler
    )
    for part in (transformer, vae, encoder):
        part.requires_grad_(False).eval()
    family = recognise_family(POCKET_FOLDER)
    defaults = replace(family.defaults, negative_prompt="blurred, static")
    if not big:
        defaults = replace(defaults, height=64, width=96, num_frames=5, steps=2)
    return VideoModel(Path(shape), family, pipeline, defaults, shape)


def _texts(options: argparse.Namespace) -> list[str]:
    return [
        f"{scene}, a {subject} is on the left of a box, then the {subject} jumps to the right of the box."
        for scene, subject in islice(product(SCENES, SUBJECTS), options.prompts)
    ]


def _peak(device: str, workers: int) -> int:
    """Most bytes held: on the card; on a CPU resident, with those of the largest worker for each of them."""
    if device != "cpu":
        import torch

        return int(torch.cuda.max_memory_allocated())
    import resource

    own, largest = (
        resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own + largest * workers


def _reset_peak() -> None:
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()


def _device(options: argparse.Namespace) -> str:
    if options.device != "cpu":
        import torch

        return str(torch.cuda.get_device_name())
    return f"{platform.machine()} CPU, {len(os.sched_getaffinity(0))} cores"


if __name__ == "__main__":
    main()
