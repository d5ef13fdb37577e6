"""The check of the localization itself: it is asked once per process where the answer is known.

A localizer that is broken names nodes as confidently as one that is not.  So before it judges a graph, both of its
views are given a graph of three nodes, once healthy and once with one node that computes something else: the first must
come out without a faulty node, the second with that one and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import onnx
import onnx.parser

from onnx_triangulate.locate import export_nodes, kernels
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import BrokenCheck
from onnx_triangulate.records.faults import SourceValues

_KNOWN = """<ir_version: 8, opset_import: ["" : 17]>
known (float[2,3] x, float[3,4] w, float[4,2] v) => (float[2,2] y) {
    [first] a = MatMul (x, w)
    [second] b = Tanh (a)
    [third] y = MatMul (b, v)
}"""
_NODES = {"a": "first", "b": "second", "y": "third"}


def require_sound() -> None:
    """Raise ``records.errors.BrokenCheck`` if the localization is wrong where the answer is known."""
    problem = _problem()
    if problem is not None:
        raise BrokenCheck(f"the localization is wrong where the answer is known: {problem}")


@cache
def _problem() -> str | None:
    model = onnx.parser.parse_model(_KNOWN)
    random = np.random.default_rng(0)
    feeds = {
        value.name: random.uniform(-1, 1, [d.dim_value for d in value.type.tensor_type.shape.dim]).astype(np.float32)
        for value in model.graph.input
    }
    for wrong in (None, *_NODES):
        due = () if wrong is None else (_NODES[wrong],)
        single = _values(feeds, np.float32, wrong)
        ran = kernels.kernels(model, feeds, single, graph="known", party="known>known", blame="kernel")
        double = _values({name: array.astype(np.float64) for name, array in feeds.items()}, np.float64, wrong)
        source = SourceValues("known")
        export = export_nodes.Export.of(model, feeds, source, party="known")
        sent = export_nodes.exported(export, double.get, double=True)
        for view, found in (("a run", ran), ("an export", sent)):
            named = tuple(error.node for error in found.faults)
            if named != due or found.judged != len(_NODES):
                seen = f"{', '.join(named) or 'nobody'} named, {found.judged} of {len(_NODES)} nodes judged"
                return f"in {view} {', '.join(due) or 'nobody'} is faulty; {seen}"
    return None


def _values(feeds: Mapping[str, Array], dtype: type[np.floating], wrong: str | None) -> dict[str, Array]:
    """What each node makes of what it consumes; the ``wrong`` value is one percent off, and passed on like that."""
    made: dict[str, Array] = {}

    def keep(name: str, value: Array) -> Array:
        made[name] = (value * (1.01 if name == wrong else 1.0)).astype(dtype)
        return made[name].astype(np.float64)  # so that each value is rounded once, whatever numpy's kernels do

    x, w, v = (feeds[name].astype(np.float64) for name in ("x", "w", "v"))
    keep("y", keep("b", np.tanh(keep("a", x @ w))) @ v)
    return made
