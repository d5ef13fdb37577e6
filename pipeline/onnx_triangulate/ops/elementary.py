"""Constants of elementary functions, measured per runtime: the only thing about rounding that is not derived.

``elementary.json`` is written by ``scripts/measure_transcendentals.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


@cache
def measured() -> Mapping[str, Any]:
    """What was measured, with versions and date."""
    found: Mapping[str, Any] = json.loads((Path(__file__).parent / "elementary.json").read_text(encoding="utf-8"))
    return found


@cache
def elementary(runtime: str) -> Mapping[str, tuple[float, float]]:
    """c and floor per elementary function of a runtime.  Raises ``KeyError`` for a runtime that nobody measured."""
    return {op: (float(c), float(floor)) for op, (c, floor) in measured()["runtimes"][runtime]["constants"].items()}
