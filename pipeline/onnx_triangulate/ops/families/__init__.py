"""Rounding bounds, one file per family of operators: what a node should have produced, and how far off rounding may be.

Design note.  A module in this package holds a tuple of :class:`Rule` named ``RULES``; finding it is a matter of being
here, there is no list to edit.  A module whose name begins with an underscore holds none.  An operator without a rule
is uncompared, never given a small default.  Elementary functions are judged by constants measured per runtime
(``elementary.json``, written by ``scripts/measure_transcendentals.py``), nothing else is measured: it is derived.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from onnx_triangulate.ops.near import FLOATS, Format, Near
from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule
from onnx_triangulate.records.arrays import Array

__all__ = [
    "FLOATS",
    "Answer",
    "Array",
    "Asked",
    "Example",
    "Format",
    "Near",
    "NoRule",
    "Rule",
    "collect",
    "elementary",
    "measured",
    "rules",
]


def collect(modules: Iterable[ModuleType]) -> Mapping[str, Rule]:
    """The rules of some modules by operator.

    Raises ``RuntimeError`` for a module without ``RULES``, for two rules about one operator, for a rule without an
    example for each of its operators, and where there are none at all.
    """
    found: dict[str, Rule] = {}
    for module in modules:
        held = getattr(module, "RULES", None)
        if not isinstance(held, tuple) or not held or not all(isinstance(rule, Rule) for rule in held):
            raise RuntimeError(f"{module.__name__}: expected a tuple of rules named RULES")
        for rule in held:
            shown = {example.node.partition("(")[0].partition("<")[0].strip() for example in rule.examples}
            lacking = sorted(set(rule.ops) - shown)
            if lacking or not rule.ops:
                raise RuntimeError(f"{module.__name__}: {rule.name} has no example for {', '.join(lacking) or 'any'}")
            for op in rule.ops:
                if op in found:
                    raise RuntimeError(f"{module.__name__}: a second rule for {op}; {found[op].name} is the first")
                found[op] = rule
    if not found:
        raise RuntimeError("no rules found: the package is incomplete")
    return found


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule of this package by operator (of ONNX's own domain)."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    return collect(importlib.import_module(f"{__name__}.{name}") for name in names)


@cache
def measured() -> Mapping[str, Any]:
    """What was measured of elementary functions, with versions and date; see ``scripts/measure_transcendentals.py``."""
    found: Mapping[str, Any] = json.loads((Path(__file__).parent / "elementary.json").read_text(encoding="utf-8"))
    return found


@cache
def elementary(runtime: str) -> Mapping[str, tuple[float, float]]:
    """c and floor per elementary function of a runtime.  Raises ``KeyError`` for a runtime that nobody measured."""
    return {op: (float(c), float(floor)) for op, (c, floor) in measured()["runtimes"][runtime]["constants"].items()}
