"""The run folder: where things lie, what is done already, and what comes next."""

from ..progress import Progress
from .comparing import Side
from .folder import Run
from .layout import ALIGNED, BASE, SETS

__all__ = ["ALIGNED", "BASE", "SETS", "Progress", "Run", "Side"]
