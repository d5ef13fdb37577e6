"""What parts on a feed of a special kind, asked of float64: a matter of the graphs, or of kernels and overflow?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnx_triangulate.locate.feeds import Feed
from onnx_triangulate.locate.float64_comparison import float64_outputs
from onnx_triangulate.locate.graph_pair import GraphPair
from onnx_triangulate.locate.sweep import APART, Row, Rule, at_element, both
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array


def confirmed(pair: GraphPair, row: Row, rule: Rule) -> str:
    """Where what parts on a special feed is a matter of the graphs, in words; empty where it is not.

    NaN and infinities: the float64 values of the two part in the same way.  Huge numbers: one graph's run is finite
    where its float64 value is, and the other's is not where its own is.  Exact: what parts is what each side gives in
    float64, so that no rounding made one of them jump.
    """
    assert row.arrays is not None
    runs = row.outputs
    for name, source, way, a, b in _in_float64(pair, npz.load(row.arrays)):
        if source not in runs[0] or name not in runs[1]:
            continue
        one = way.apply(np.load(runs[0][source], allow_pickle=False))
        two = np.load(runs[1][name], allow_pickle=False)
        if len({x.shape for x in (a, b, one, two)}) > 1:
            return f"{name}: {row.message.partition(': ')[2]}"
        where = _meant((one, two), (a, b), rule)
        if where.any():
            return f"{name}: {at_element(one, two, where)}"
    return ""


def _in_float64(pair: GraphPair, given: Mapping[str, Array]) -> Iterator[tuple[str, str, Orientation, Array, Array]]:
    """The outputs that both graphs have in float64: B's name, A's, the way between them, and the values as in B."""
    one, two = float64_outputs(pair.left, given), float64_outputs(pair.right, pair.for_b(given))
    return ((name, source, way, way.apply(one[source]), two[name]) for name, source, way in both(pair, one, two))


def _meant(runs: tuple[Array, Array], exact: tuple[Array, Array], rule: Rule) -> Array:
    """Where two runs part and float64 says that the graphs do, by the rule of the kind of feed."""
    (one, two), (a, b) = runs, exact
    if rule != "huge":
        where = _odd(one, two, rule)
        if rule == "exact":
            return np.asarray(where & ~_odd(one, a, rule) & ~_odd(two, b, rule))
        return np.asarray(where & _odd(a, b, rule))
    if one.dtype.kind != "f":
        return np.zeros((), bool)
    where = np.isfinite(one) != np.isfinite(two)
    if one.dtype == np.float64:  # nothing longer says whose doing it is, so either's counts
        return np.asarray(where)
    with np.errstate(all="ignore"):
        held = [np.isfinite(v) == np.isfinite(w.astype(v.dtype)) for v, w in ((one, a), (two, b))]
    return np.asarray(where & (held[0] != held[1]))


def overflowed(pair: GraphPair, feed: Feed) -> str:
    """Where one graph's values are finite and the other's are not if every node rounds to its own type, in words."""
    for name, _, _, a, b in _in_float64(pair, pair.draw(feed)):
        if a.dtype.kind == b.dtype.kind == "f" and a.shape == b.shape:
            odd = np.isfinite(a) != np.isfinite(b)
            if odd.any():
                return f"{name}: {at_element(a, b, odd)}"
    return ""


def _odd(a: Array, b: Array, rule: str) -> Array:
    """Where two arrays part by more than any rounding; where infinities went in, an infinity less another is open."""
    if a.dtype.kind != "f":
        return np.asarray(a != b)
    size = np.abs(a[np.isfinite(a)]).max(initial=0.0)
    nans = np.isnan(a) | np.isnan(b)
    with np.errstate(all="ignore"):
        far = ~nans & (a != b) & ~(np.abs(a - b) <= APART * size)
    return np.asarray(far | (np.isnan(a) != np.isnan(b)) if rule != "inf" else far)
