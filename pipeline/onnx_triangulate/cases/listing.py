"""The cases of the catalogue or of a target as rows: ``triangulate list`` before it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx_triangulate.cases import catalogue


def rows(targets: Sequence[str] = ()) -> list[Mapping[str, Any]]:
    """By case its ``name``, its ``frameworks``, its ``note``.  Runs the case files in this very process.

    Raises :class:`UnusableInput` for a target that names nothing or a file that declares no cases.
    """
    return [
        {"name": ref.name, "frameworks": tuple(sorted(case.builders)), "note": case.note}
        for ref in catalogue.find(targets)
        for case in [catalogue.declared(ref)]
    ]
