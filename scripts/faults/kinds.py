"""All kinds of edit: every module beside this one that registers any."""

from __future__ import annotations

import importlib
import pkgutil

import faults
from faults.site import KINDS

for _found in pkgutil.iter_modules(faults.__path__):
    if _found.name not in ("kinds", "site", "graphs", "trial", "report"):
        importlib.import_module(f"faults.{_found.name}")

if not KINDS:
    raise ImportError("no kind of edit is registered")

__all__ = ["KINDS"]
