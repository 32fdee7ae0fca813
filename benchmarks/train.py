"""One training step: the published procedure and ours, same weights, same pairs, in one run.

`python benchmarks/train.py [--device cpu] [--shape pocket] [--plan NAME] [--repeats N] [--memory GIB]`; on a GPU
`--device cuda --shape wan1.3b`, which measures every memory plan that fits, the likeliest first and some with
torch.compile, until --minutes have passed. Random weights. Writes benchmarks/results/train.json, anew after each plan;
the last line is one JSON object: speed_ratio (pairs a second, ours over published), memory_ratio (peak memory, ours
over published), loss_difference. Ours is the fastest plan that takes at most 60 % of the published step's memory, the
leanest when none does. gradient_difference, of each plan: distance of its gradient's direction from the published one.

training_step.py has the two steps. Operations are those that the procedure needs (a recomputed block counts once), so
that plans compare by time alone.
`--preflight PLAN ...` instead compares the preflight's estimate with the peak of this very process.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from training_step import SHAPES, Shape, build_model, our_step, published_step, settings_for

from spatialalign_core.errors import SpatialAlignError
from spatialalign_core.files import atomic_write
from spatialalign_core.models.base import VideoModel
from spatialalign_core.models.families.wan import Wan21
from spatialalign_core.train.draws import Draw
from spatialalign_core.train.lora import add_lora
from spatialalign_core.train.memory import free_memory, is_out_of_memory, tidy
from spatialalign_core.train.plans import FAST, PLANS, MemoryPlan
from spatialalign_core.train.preflight import (
    Estimate,
    StepShape,
    choose_plan,
    estimate,
)
from spatialalign_core.train.settings import PUBLISHED
from spatialalign_core.train.step import pair_loss

RESULTS = Path(__file__).resolve().parent / "results" / "train.json"
_MEMORY_SHARE = 0.6  # of the published step's, within which ours is to be the faster


def operations(shape: Shape, dtype: torch.dtype) -> float:
    """Of one pair: what the forwards and the backward pass multiply and add, attention included."""
    meta = torch.device("meta")
    model = build_model(shape, meta, dtype)
    add_lora(model, PUBLISHED.targets, PUBLISHED.rank, PUBLISHED.alpha, 0)
    model.pipeline.transformer.to(meta)
    video, text = torch.empty(shape.latents), torch.empty(shape.text)
    draw = Draw(video, video, video, video, 0.5, text, False)
    with FlopCounterMode(display=False) as counter:
        pair_loss(model, [draw], replace(settings_for(shape), pairs_per_step=1), FAST, meta).total.backward()
    return float(counter.get_total_flops())


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of the best matrix product."""
    size = 8192 if device.type == "cuda" else 1024
    first, second = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(12):
        best = min(best, _timed(lambda: first @ second, device)[1])
    return 2 * size**3 / best


def _timed(work: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - started


class PeakMemory:
    """Most bytes taken within the block, beyond `base`: of the device, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            tidy(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not serve this measurement
            Path("/proc/self/clear_refs").write_text("5")
            self._base = _status("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        else:
            self.bytes = _status("VmHWM") - self._base


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def _warm_up(device: torch.device, dtype: torch.dtype) -> None:
    """Loads what a first step loads, so that it is not taken for the step's own memory."""
    small = replace(SHAPES["memory"], latents=(16, 1, 8, 8), pairs=1)
    step, trainer = our_step(build_model(small, device, dtype), small, FAST)
    step()
    trainer.close()


def measure_memory(shape: Shape, device: torch.device, dtype: torch.dtype, plan: MemoryPlan | None) -> int:
    """Peak of two steps, weights and all; plan None for the published step.

    On a card of the second alone, since there the model is built in float32 first, which takes more than a lean plan.
    """
    _warm_up(device, dtype)
    with PeakMemory(device) as peak:
        model = build_model(shape, device, dtype)
        step, trainer = published_step(model, shape) if plan is None else our_step(model, shape, plan)
        step()
        with PeakMemory(device) if device.type == "cuda" else contextlib.nullcontext(peak) as second:
            step()
    trainer.close()
    return second.bytes


def preflight(shape: Shape, device: torch.device, dtype: torch.dtype, plan: MemoryPlan) -> dict[str, Any]:
    """The estimate beside the measured peak."""
    estimated = _estimate(shape, device, dtype, plan).peak
    measured = measure_memory(shape, device, dtype, plan)
    ratio = round(estimated / measured, 3)
    print(f"{plan.name}: estimated {estimated / 2**30:.3f} GiB, measured {measured / 2**30:.3f}", flush=True)
    return {"plan": plan.name, "estimated": estimated, "measured": measured, "ratio": ratio}


def compare(options: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    shape, started, longest = SHAPES[options.shape], time.monotonic(), 0.0
    result = _about(options, shape, device, dtype)
    model = build_model(shape, device, dtype)
    sides: dict[str, Side] = {}
    ways: dict[str, Way | None] = {"published": None, **_ways(options, shape, device, dtype)}
    for name, way in ways.items():
        begun = time.monotonic()
        side: Side | str = f"it would end after {options.minutes:g} minutes (--minutes)"
        if not sides or begun - started + longest <= 60 * options.minutes:
            side = _measure(options, model, shape, device, way)
            longest = max(longest, time.monotonic() - begun)
        if isinstance(side, str):
            result["left_out"] |= {name: side}
            print(f"{name}: left out, {side}", flush=True)
        else:
            sides[name] = side
            result |= _summary(result, sides, way)
            print(_line(name, result["plans"].get(name) or result["published"]), flush=True)
        path = RESULTS if options.shape == "pocket" else RESULTS.with_stem(f"train-{options.shape}")
        atomic_write(path, json.dumps(result, indent=1) + "\n")
    return result


@dataclass(frozen=True)
class Way:
    """One way to make our step."""

    estimate: Estimate
    compile: bool = False


@dataclass(frozen=True)
class Side:
    """What one way to make a step took. gradient: of the first step, scaled to length 1."""

    loss: float
    seconds_a_pair: float
    first_step_seconds: float
    peak_bytes: int
    gradient: Tensor


def _about(
    options: argparse.Namespace, shape: Shape, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    on_card = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_card else platform.processor() or "CPU",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "shape": options.shape,
        "dtype": str(dtype),
        "pairs": shape.pairs,
        "operations_a_pair": operations(shape, dtype),
        "matrix_peak_tflops": round(matrix_peak(device, dtype) / 1e12, 4),
        "left_out": {},
        "plans": {},
    }


def _summary(result: dict[str, Any], sides: dict[str, Side], last: Way | None) -> dict[str, Any]:
    """The result with the newest side in it, and what is best so far."""
    (*_, name), (*_, side) = sides, sides.values()
    rate = result["operations_a_pair"] / side.seconds_a_pair / 1e12
    row = {
        "loss": side.loss,
        "seconds_a_pair": side.seconds_a_pair,
        "first_step_seconds": round(side.first_step_seconds, 3),
        "peak_bytes": side.peak_bytes,
        "tflops_a_second": round(rate, 4),
        "share_of_matrix_peak": round(rate / result["matrix_peak_tflops"], 4),
    }
    if last is None:
        return {"published": row}
    row["estimated_bytes"] = last.estimate.peak
    if "published" not in sides:  # out of memory
        return {"plans": result["plans"] | {name: row}}
    published = sides["published"]
    row["gradient_difference"] = round((published.gradient - side.gradient).norm().item(), 6)
    plans = result["plans"] | {name: row}
    chosen = _best(plans, _MEMORY_SHARE * published.peak_bytes)
    ours = plans[chosen]
    return {
        "plans": plans,
        "plan": chosen,
        "speed_ratio": round(published.seconds_a_pair / ours["seconds_a_pair"], 3),
        "memory_ratio": round(ours["peak_bytes"] / published.peak_bytes, 3),
        "loss_difference": abs(ours["loss"] - published.loss),
    }


def _measure(
    options: argparse.Namespace,
    model: VideoModel,
    shape: Shape,
    device: torch.device,
    way: Way | None,
) -> Side | str:
    """One side; way None for the published step. Why not, where that does not work here."""
    base = copy.deepcopy(model) if device.type == "cpu" else model
    transformer = base.pipeline.transformer
    try:
        if way is None:
            step, trainer = published_step(base, shape)
        else:
            step, trainer = our_step(base, shape, way.estimate.plan, way.compile)
        try:
            loss, first = _timed(step, device)  # the first one also warms up
            moments = [
                trainer.optimizer.state[each]["exp_avg"].flatten() for each in trainer.parameters.values()
            ]
            gradient = torch.nn.functional.normalize(torch.cat(moments).float(), dim=0).cpu()
            del moments
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            seconds = sorted(_timed(step, device)[1] for _ in range(options.repeats))
            peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
        finally:
            trainer.close()
            transformer.disable_gradient_checkpointing()
            del step, trainer
    except SpatialAlignError as error:  # torch cannot compile here
        return str(error)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return "out of memory"
    finally:
        tidy(device)
    if device.type != "cuda":
        peak = _in_child(options, "published" if way is None else way.estimate.plan.name)
    return Side(loss, seconds[len(seconds) // 2] / shape.pairs, first, peak, gradient)


def _line(name: str, found: dict[str, Any]) -> str:
    return (
        f"{name}: {found['seconds_a_pair']:.4g} s a pair, {found['peak_bytes'] / 2**30:.3f} GiB, "
        f"{found['tflops_a_second']:.4g} TFLOP/s, {found['share_of_matrix_peak']:.1%} of the matrix peak, "
        f"loss {found['loss']:.6f}"
    )


_FIRST = ("parked", "attention", "recompute", "offload")
"""Plans likely to matter on a card, measured before the others; the first two with torch.compile as well."""


def _ways(
    options: argparse.Namespace, shape: Shape, device: torch.device, dtype: torch.dtype
) -> dict[str, Way]:
    """What to measure, by name, in order."""
    found = {name: Way(each) for name, each in _estimates(options, shape, device, dtype).items()}
    some = _FIRST[:2] if device.type == "cuda" and options.plan == "all" else ()
    compiled = {
        f"{name}, compiled": Way(way.estimate, compile=True)
        for name, way in found.items()
        if options.compile or name in some
    }
    order = [name for name in _FIRST if name in found] if options.plan == "all" else []
    return (
        {name: found[name] for name in order[:1]} | compiled | {name: found[name] for name in order} | found
    )


def _estimates(
    options: argparse.Namespace, shape: Shape, device: torch.device, dtype: torch.dtype
) -> dict[str, Estimate]:
    """Of the plans to measure: one by name, the first that fits, or all that could."""
    room = free_memory(device) if options.memory is None else int(options.memory * 2**30)
    if options.plan == "auto":
        step_shape, settings = _step_shape(shape, device, dtype), settings_for(shape)
        found = [choose_plan(Wan21(), shape.config, step_shape, settings, room)]
    elif options.plan == "all":
        every = (_estimate(shape, device, dtype, plan) for plan in PLANS.values())
        found = [each for each in every if each.peak < room]
    else:
        found = [_estimate(shape, device, dtype, PLANS[options.plan])]
    return {each.plan.name: each for each in found}


def _estimate(shape: Shape, device: torch.device, dtype: torch.dtype, plan: MemoryPlan) -> Estimate:
    step_shape = _step_shape(shape, device, dtype)
    return estimate(Wan21(), shape.config, step_shape, settings_for(shape), plan)


def _step_shape(shape: Shape, device: torch.device, dtype: torch.dtype) -> StepShape:
    return StepShape(shape.latents, shape.text, dtype, device.type == "cpu")


def _best(sides: dict[str, dict[str, Any]], room: float) -> str:
    """The fastest plan within `room` bytes; the leanest when none is."""
    within = {name: side for name, side in sides.items() if side["peak_bytes"] <= room}
    if within:
        return min(within, key=lambda name: within[name]["seconds_a_pair"])
    return min(sides, key=lambda name: sides[name]["peak_bytes"])


def _in_child(options: argparse.Namespace, what: str) -> int:
    """Peak memory of one side in a process of its own: a process never gives all of it back."""
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    command = [sys.executable, __file__, "--shape", options.shape, "--measure", what]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return int(output.strip().splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--device", default="cpu")
    add("--shape", default="pocket", choices=list(SHAPES))
    add("--plan", choices=["auto", "all", *PLANS], help="default: all on a GPU, else auto")
    add("--memory", type=float, metavar="GIB", help="for --plan auto and all: most memory to use")
    add("--repeats", type=int, help="default: 2 on a GPU, else 5")
    add("--compile", action="store_true", help="each plan with torch.compile, block by block, as well")
    add(
        "--minutes",
        type=float,
        help="begin no further plan after so many (default: 8 on a GPU, else no limit)",
    )
    add(
        "--preflight",
        choices=list(PLANS),
        nargs="+",
        help="compare the estimate with the measured peak and stop",
    )
    add("--measure", choices=["published", *PLANS], help="print the peak memory of one side and stop")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    on_card = device.type == "cuda"
    options.plan = options.plan or ("all" if on_card else "auto")
    options.repeats = options.repeats or (2 if on_card else 5)
    options.minutes = options.minutes or (8 if on_card else float("inf"))
    dtype = torch.bfloat16 if on_card else torch.float32
    if not on_card:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if options.measure:
        print(measure_memory(SHAPES[options.shape], device, dtype, PLANS.get(options.measure)))
        return
    if options.preflight:
        plans = [PLANS[name] for name in options.preflight]
        print(json.dumps([preflight(SHAPES[options.shape], device, dtype, plan) for plan in plans]))
        return
    result = compare(options, device, dtype)
    print(json.dumps({name: result.get(name) for name in ("speed_ratio", "memory_ratio", "loss_difference")}))


if __name__ == "__main__":
    main()
