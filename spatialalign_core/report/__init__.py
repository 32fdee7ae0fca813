"""The page that shows before and after."""

from .page import write_report

__all__ = ["write_report"]
