"""What parts on a feed of a special kind, asked of float64: a matter of the graphs, or of kernels and overflow?"""

from __future__ import annotations

import numpy as np

from onnx_triangulate.locate.feeds import Feed
from onnx_triangulate.locate.float64_comparison import float64_outputs
from onnx_triangulate.locate.graph_pair import GraphPair
from onnx_triangulate.locate.sweep import APART, Row, Rule, at_element
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array


def confirmed(pair: GraphPair, row: Row, rule: Rule) -> str:
    """Where what parts on a special feed is a matter of the graphs, in words; empty where it is not.

    NaN and infinities: the float64 values of the two part in the same way.  Huge numbers: one graph's run is finite
    where its float64 value is, and the other's is not where its own is.  Exact: what parts is what each side gives in
    float64, so that no rounding made one of them jump.
    """
    assert row.arrays is not None
    given = npz.load(row.arrays)
    exact = float64_outputs(pair.left, given), float64_outputs(pair.right, pair.for_b(given))
    for name, (source, way) in pair.outputs.items():
        if source not in exact[0] or name not in exact[1] or source not in row.outputs[0] or name not in row.outputs[1]:
            continue
        a, b = way.apply(exact[0][source]), exact[1][name]
        one = way.apply(np.load(row.outputs[0][source], allow_pickle=False))
        two = np.load(row.outputs[1][name], allow_pickle=False)
        if len({x.shape for x in (a, b, one, two)}) > 1:
            return f"{name}: {row.message.partition(': ')[2]}"
        where = _meant((one, two), (a, b), rule)
        if where.any():
            return f"{name}: {at_element(one, two, where)}"
    return ""


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
    given = pair.draw(feed)
    one, two = float64_outputs(pair.left, given), float64_outputs(pair.right, pair.for_b(given))
    for name, (source, way) in pair.outputs.items():
        if source in one and name in two and one[source].dtype.kind == two[name].dtype.kind == "f":
            a, b = way.apply(one[source]), two[name]
            odd = np.isfinite(a) != np.isfinite(b) if a.shape == b.shape else np.zeros((), bool)
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
