"""How a step fits into memory. A plan changes how much is held at once, never what is learned (but for rounding)."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SpatialAlignError

WEIGHTS = ("resident", "host", "fp8", "sharded")


@dataclass(frozen=True)
class MemoryPlan:
    """One way to run a step.

    micro_batch: pairs whose gradients are made at once. one_video: winner and loser go through the model one after the
    other. recompute: share of the blocks, from the first on, whose inner values are made again in the backward pass
    instead of being kept; with keep_attention, all of them but what self-attention gave, which takes most of the time
    and little of the room. kept_on_host: what the backward pass of those blocks needs waits in the computer's memory.
    weights of the blocks, which are frozen: on the device ("resident"), in the computer's memory and on the device only
    while a block works ("host"), on the device in 8 bits ("fp8": rounds the base), or on the device a part in each
    process ("sharded").
    """

    name: str
    about: str
    micro_batch: int = 1
    one_video: bool = False
    recompute: float = 0.0
    keep_attention: bool = False
    kept_on_host: bool = False
    weights: str = "resident"


FAST = MemoryPlan("fast", "several pairs at once, all activations stored", micro_batch=16)
LADDER: tuple[MemoryPlan, ...] = (
    FAST,
    MemoryPlan("single", "one pair at a time"),
    MemoryPlan(
        "half", "one video at a time, half of the activations recomputed", one_video=True, recompute=0.5
    ),
    MemoryPlan(
        "attention",
        "one video at a time, activations recomputed except attention outputs",
        one_video=True,
        recompute=1.0,
        keep_attention=True,
    ),
    MemoryPlan("recompute", "one video at a time, all activations recomputed", one_video=True, recompute=1.0),
    MemoryPlan(
        "parked",
        "as attention, stored activations offloaded to RAM",
        one_video=True,
        recompute=1.0,
        keep_attention=True,
        kept_on_host=True,
    ),
    MemoryPlan(
        "offload",
        "as parked, weights offloaded to RAM too",
        one_video=True,
        recompute=1.0,
        keep_attention=True,
        kept_on_host=True,
        weights="host",
    ),
)
"""From fast to lean; results are the same but for rounding."""

FP8 = MemoryPlan("fp8", "as recompute, base weights in 8 bits", one_video=True, recompute=1.0, weights="fp8")
PLANS: dict[str, MemoryPlan] = {plan.name: plan for plan in (*LADDER, FP8)}

SHARDED = MemoryPlan(
    "sharded",
    "as recompute, weights sharded over the processes",
    one_video=True,
    recompute=1.0,
    weights="sharded",
)
"""Only for several processes that train together."""


def find_plan(name: str) -> MemoryPlan:
    """The plan of that name. SpatialAlignError for an unknown one."""
    known = PLANS | {SHARDED.name: SHARDED}
    if name not in known:
        raise SpatialAlignError(f"There is no memory plan {name!r}; choose one of: auto, {', '.join(known)}.")
    return known[name]


def leaner(plan: MemoryPlan) -> MemoryPlan | None:
    """The next plan that needs less memory; None after the last."""
    names = [each.name for each in LADDER]
    if plan.name == FP8.name:
        return LADDER[-1]
    if plan.name == SHARDED.name:
        return None
    following = names.index(plan.name) + 1 if plan.name in names else 0
    return LADDER[following] if following < len(LADDER) else None
