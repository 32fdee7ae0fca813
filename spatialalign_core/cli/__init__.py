"""The command line: one verb a stage."""

from .verbs import VERBS, main

__all__ = ["VERBS", "main"]
