"""The verb that says how long a night will be, before it begins."""

from __future__ import annotations

import argparse

from ..errors import SpatialAlignError
from .chosen import generate_settings, train_settings


def estimate(options: argparse.Namespace) -> None:
    """How long the loop takes and how much room it needs."""
    import torch

    from ..run import Run
    from ..run.estimate import Cost, LoopPlan, duration, free_disk, gibibytes, loop_costs, machine_speed
    from ..run.hollow import hollow_model
    from ..run.planning import usual_dtype

    run = Run(options.run)
    counts = {split: sum(p.split == split for p in run.prompts()) for split in ("train", "held_out")}
    for name in ("seeds", "held_out_seeds", "check_every"):
        least = 0 if name == "check_every" else 1
        if getattr(options, name) < least:
            raise SpatialAlignError(f"--{name.replace('_', '-')} must be at least {least}; raise it.")
    if options.tflops is not None and options.tflops <= 0:
        raise SpatialAlignError(
            f"--tflops must be above 0, not {options.tflops:g}; an RTX 4090 does about 80."
        )
    model = hollow_model(options.model)
    settings, training = generate_settings(model, options), train_settings(options)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    speed = options.tflops * 1e12 if options.tflops else machine_speed(device, usual_dtype(device))
    plan = LoopPlan(
        *(counts["train"], counts["held_out"], options.seeds, options.held_out_seeds),
        *(training.steps, training.pairs_per_step, options.check_every),
    )
    costs = loop_costs(model, settings, plan, speed)
    print(
        f"{model.folder.name}: {settings.num_frames} frames of {settings.width} x {settings.height}, {settings.steps} "
        f"denoising steps, at {speed / 1e12:.3g} TFLOP/s (estimated)"
    )
    whole = sum(costs.values(), Cost(0))
    for name, cost in (costs | {"all of it": whole}).items():
        files = gibibytes(cost.files) if cost.files else ""
        print(f"{name:36}{duration(cost.seconds) if cost.seconds else '':>14}{files:>12}")
    free = free_disk(run.folder)
    if free is not None and free < whole.files:
        print(f"Only {gibibytes(free)} are free on the disk of {run.folder}.")
