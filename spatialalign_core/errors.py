"""The one error an artist sees."""

from __future__ import annotations


class SpatialAlignError(Exception):
    """Something the person in front of the screen can put right.

    The message is one clear sentence (or two): what happened, to which file, prompt or widget, and what to do. The
    command line prints it without a traceback; a node shows it as it is.
    """


class StopRequested(SpatialAlignError):
    """Somebody asked the work to end here. What is done is saved."""
