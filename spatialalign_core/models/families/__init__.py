"""The model families: each file of this folder is found by being here, and offers FAMILIES, a tuple of objects."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ..base import Family


@cache
def families() -> tuple[Family, ...]:
    """Every family, in the order of their files' names; within a file the special ones come first."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [importlib.import_module(f"{__name__}.{name}").FAMILIES for name in modules]
    return tuple(family for each in found for family in each)
