"""Which of torch's attention kernels to try, and in which order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Literal

Attention = Literal["auto", "cudnn", "flash", "efficient", "math"]


def attention_order(wish: Attention, capability: tuple[int, int]) -> tuple[str, ...]:
    """Kernels in the order to try them; none leaves the choice to torch.

    On data-centre cards of compute capability 9 and 10 cuDNN's are by far the fastest of torch's own, which older torch
    does not know; on consumers' Blackwell cards (12) they are the slower ones.
    """
    if wish == "auto":
        return ("cudnn", "flash", "efficient", "math") if capability[0] in (9, 10) else ()
    return (wish, *(each for each in ("flash", "efficient", "math") if each != wish))


@contextlib.contextmanager
def attention_kernels(names: Sequence[str]) -> Iterator[None]:
    """Within the block attention takes the first of these kernels that can; none of them leaves the choice to torch."""
    if not names:
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    known = {
        "cudnn": SDPBackend.CUDNN_ATTENTION,
        "flash": SDPBackend.FLASH_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "math": SDPBackend.MATH,
    }
    with sdpa_kernel([known[name] for name in names], set_priority=True):
        yield
