"""Causes: one file per mechanism that makes the paths of a case part.

Design note.  A module in this package holds one :class:`Cause` named ``CAUSE``; finding it is a matter of being here,
there is no list to edit.  A cause reads evidence and graphs and proposes an edit; it runs nothing.  What it says is a
suspicion (``proved`` is false) until somebody has applied the edit and seen the divergence vanish.  A module whose name
begins with an underscore is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from onnx_triangulate.causes._registry import Cause, Example, Load, Suspect
from onnx_triangulate.records import plugins
from onnx_triangulate.records.verdict import Evidence, Finding

__all__ = ["Cause", "Example", "Load", "Suspect", "causes", "collect", "find_causes"]


def collect(modules: Iterable[Any]) -> Mapping[str, Cause]:
    """The causes of some modules by name.

    Raises ``BrokenPlugin`` for a module without a ``CAUSE``, for two of one name, for one without examples on which
    it fires and stays quiet, and where there are none at all.
    """
    found = plugins.collect("causes", modules, "CAUSE", Cause)
    for cause in found.values():
        if not cause.fires or not cause.quiet:
            raise plugins.BrokenPlugin(f"{cause.name}: needs an example on which it fires and one on which it is quiet")
    return found


@cache
def causes() -> Mapping[str, Cause]:
    """Every cause, of this package and of users' packages, by name."""
    return collect(plugins.modules("causes", __name__))


def find_causes(evidence: Evidence, load_graph: Load) -> tuple[Finding, ...]:
    """What may be behind each blame of a case, in the order of the blames; no finding is said twice.

    ``load_graph("torch:raw")`` gives an exported graph, or ``None`` where there is none.
    """
    found: list[Finding] = []
    for blamed in evidence.blames:
        for cause in causes().values():
            finding = cause.suspect(evidence, blamed, load_graph)
            if finding is not None and finding not in found:
                found.append(finding)
    return tuple(found)
