"""Comparisons, rounding to whole numbers, places of extremes: exact, or another value altogether.

On the inputs as they were consumed nothing is rounded and the answer is exact.  Where an input is itself uncertain (its
own bound is given), the other answer is compatible with rounding only where the boundary lies inside that bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, exact
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import Operator, alike, bounded
from onnx_triangulate.records.arrays import Array


def _logic(call: NodeCall) -> Sequence[Array]:
    return call.reference(double=False)


def _compared(function: Callable[[Array, Array], Array]) -> Callable[[NodeCall], Sequence[ExpectedOutput]]:
    def bound(call: NodeCall) -> Sequence[ExpectedOutput]:
        a, b = call.array(0), call.array(1)
        value = np.asarray(function(a, b))
        if a.dtype.kind not in "fiu":
            return [exact(value)]
        margin = call.input_error(0) + call.input_error(1)
        flips = np.abs(a.astype(np.float64) - b.astype(np.float64)) <= margin if np.any(margin) else None
        return [ExpectedOutput(value, "bool", flips=flips)]

    return bound


def _to_whole(function: Callable[[Array], Array], half: float) -> Callable[[NodeCall], Sequence[ExpectedOutput]]:
    def bound(call: NodeCall) -> Sequence[ExpectedOutput]:
        x, margin = call.array(0), call.input_error(0)
        value = np.asarray(function(x), dtype=x.dtype)
        flips = None
        if np.any(margin) and len(call.produced) and call.produced[0] is not None:
            wide, seen = x.astype(np.float64), call.produced[0]
            boundary = np.abs(wide - half - np.round(wide - half)) <= margin
            flips = boundary & (np.abs(seen.astype(np.float64) - value) <= 1) if seen.shape == value.shape else None
        return [ExpectedOutput(value, x.dtype.name, flips=flips)]

    return bound


def _sign(call: NodeCall) -> Sequence[ExpectedOutput]:
    x, margin = call.array(0), call.input_error(0)
    return [
        ExpectedOutput(
            np.sign(x), x.dtype.name, flips=np.abs(x.astype(np.float64)) <= margin if np.any(margin) else None
        )
    ]


def _place(call: NodeCall) -> Sequence[ExpectedOutput]:
    """The first (or last) place of the extreme.  Another place is compatible where its value is as extreme."""
    (value,) = call.reference(double=False)
    x, margin = call.x(0), call.input_error(0)
    axis = int(call.attribute("axis", 0)) % x.ndim
    unsaid = np.asarray(np.isnan(x).any(axis=axis, keepdims=bool(call.attribute("keepdims", 1))))
    seen = call.produced[0] if call.produced else None
    flips = None
    if np.any(margin) and seen is not None and seen.shape == value.shape:
        sign = 1 if call.node.op_type == "ArgMax" else -1
        keep = bool(call.attribute("keepdims", 1))
        spot = np.clip(seen if keep else np.expand_dims(seen, axis), 0, x.shape[axis] - 1)
        wide = np.broadcast_to(margin, x.shape)
        reached = np.take_along_axis(sign * x + wide, spot, axis)
        least = (sign * x - wide).max(axis=axis, keepdims=True)
        flips = reached >= least
        flips = flips if keep else np.squeeze(flips, axis)
    return [ExpectedOutput(value, "int64", flips=flips, unsaid=unsaid)]


def _top(call: NodeCall) -> Sequence[ExpectedOutput]:
    """Values are exact; of equal values the lower place comes first, so places are exact too.

    With uncertain inputs an order may flip between values within each other's bounds: a place is compatible where the
    value that stands there is within twice the bound of the one that should.
    """
    values, places = call.reference(double=False)
    x = call.array(0)
    axis = int(call.attribute("axis", -1)) % x.ndim
    margin = call.input_error(0)
    seen_places = call.produced[1] if len(call.produced) > 1 else None
    flips = None
    if seen_places is not None and seen_places.shape == places.shape:
        spot = np.clip(seen_places, 0, x.shape[axis] - 1)
        apart = np.abs(np.take_along_axis(x, spot, axis).astype(np.float64) - values.astype(np.float64))
        allowed = 2 * float(np.max(margin)) if np.any(margin) else 0.0
        loose = not call.attribute("sorted", 1)
        flips = (apart <= allowed) & (bool(allowed) | loose) & (spot == seen_places)
    unsaid = np.broadcast_to(np.isnan(x.astype(np.float64)).any(axis=axis, keepdims=True), values.shape)
    if not call.attribute("sorted", 1):
        return _unsorted(call, x, values, places, axis, unsaid)
    return [
        ExpectedOutput(values, values.dtype.name, flips=flips if np.any(margin) else None, unsaid=unsaid),
        ExpectedOutput(places, "int64", flips=flips, unsaid=unsaid),
    ]


def _unsorted(
    call: NodeCall, x: Array, values: Array, places: Array, axis: int, unsaid: Array
) -> Sequence[ExpectedOutput]:
    """In any order: each place once, and its value with it, and the same multiset of values."""
    got, at = call.produced[0], call.produced[1] if len(call.produced) > 1 else None
    if got is None or at is None or got.shape != values.shape or at.shape != places.shape:
        return [exact(values, unsaid=unsaid), exact(places, unsaid=unsaid)]
    same = np.sort(got, axis) == np.sort(values, axis)
    right = np.take_along_axis(x, np.clip(at, 0, x.shape[axis] - 1), axis) == got
    fine = same.all(axis=axis, keepdims=True) & right
    return [exact(np.where(fine, got, values), unsaid=unsaid), exact(np.where(fine, at, places), unsaid=unsaid)]


_PAIR = {"x": "float[2,3,7]", "z": "float[3,1]"}
_X = {"x": "float[2,3,7]"}
_BOOLS = {"x": "bool[3,7]", "z": "bool[7]"}
_WHOLE = {"x": "int32[3,7]", "z": "int32[7]"}


OPERATORS = (
    *alike(
        Operator("And", examples=(Example("And(x, z)", _BOOLS, "Or(x, z)"),)),
        Operator("Or", examples=(Example("Or(x, z)", _BOOLS, "Xor(x, z)"),)),
        Operator("Xor", examples=(Example("Xor(x, z)", _BOOLS, "And(x, z)"),)),
        Operator("BitwiseAnd", examples=(Example("BitwiseAnd(x, z)", _WHOLE, "BitwiseOr(x, z)"),)),
        Operator("BitwiseOr", examples=(Example("BitwiseOr(x, z)", _WHOLE, "BitwiseXor(x, z)"),)),
        Operator("BitwiseXor", examples=(Example("BitwiseXor(x, z)", _WHOLE, "BitwiseAnd(x, z)"),)),
        rule="logic and bits",
        bound=_logic,
        roundings=0,
        axes=links.elementwise,
        commutes=True,
    ),
    *alike(
        bounded("floor", _to_whole(np.floor, 0.0), Example("Floor(x)", _X, "Ceil(x)")),
        bounded("ceiling", _to_whole(np.ceil, 0.0), Example("Ceil(x)", _X, "Floor(x)")),
        bounded("nearest whole number", _to_whole(np.round, 0.5), Example("Round(x)", _X, "Floor(x)")),
        bounded("sign", _sign, Example("Sign(x)", _X, {"x": -1.0})),
        roundings=0,
        axes=links.same,
        jumps="to steps",
    ),
    *alike(
        Operator("Not", examples=(Example("Not(x)", {"x": "bool[3,7]"}, "Identity(x)"),), jumps="at places"),
        Operator("BitwiseNot", examples=(Example("BitwiseNot(x)", {"x": "int32[3,7]"}, "Identity(x)"),)),
        Operator("IsNaN", examples=(Example("IsNaN(x)", {"x": np.array([0.0, np.nan, 1.0])}, "IsInf(x)"),)),
        Operator(
            "IsInf",
            examples=(Example("IsInf<detect_negative=0>(x)", {"x": np.array([0.0, np.inf, -np.inf])}, "IsInf(x)"),),
        ),
        rule="logic and bits",
        bound=_logic,
        roundings=0,
        axes=links.same,
    ),
    *alike(
        bounded("greater", _compared(np.greater), Example("Greater(x, z)", _PAIR, "Less(x, z)")),
        bounded(
            "greater or equal", _compared(np.greater_equal), Example("GreaterOrEqual(x, x)", _PAIR, "Greater(x, x)")
        ),
        bounded("less", _compared(np.less), Example("Less(x, z)", _PAIR, "Greater(x, z)")),
        bounded("less or equal", _compared(np.less_equal), Example("LessOrEqual(x, x)", _PAIR, "Less(x, x)")),
        roundings=0,
        axes=links.elementwise,
        jumps="at places",
        limits=(0, 1),
    ),
    *alike(
        Operator("ArgMax", examples=(Example("ArgMax<axis=1,keepdims=0>(x)", _X, "ArgMin<axis=1,keepdims=0>(x)"),)),
        Operator("ArgMin", examples=(Example("ArgMin<axis=2>(x)", _X, "ArgMax<axis=2>(x)"),)),
        rule="place of an extreme",
        bound=_place,
        roundings=0,
        axes=links.arg,
        jumps="at places",
        picks=True,
        nan_open=True,
    ),
    bounded(
        "equality",
        _compared(np.equal),
        Example("Equal(x, x)", _PAIR, "Equal(x, z)"),
        roundings=0,
        axes=links.elementwise,
        commutes=True,
        jumps="at places",
    ),
    bounded(
        "largest k",
        _top,
        Example("TopK<axis=1>(x, k)", _X | {"k": [2]}, "TopK<axis=1,largest=0>(x, k)", outputs="y, i"),
        roundings=0,
        axes=links.along_axis,
        jumps="at places",
        picks=True,
        nan_open=True,
        limits=(1,),
    ),
    bounded(
        "logic and bits",
        _logic,
        Example(
            'BitShift<direction="LEFT">(x, z)',
            {"x": np.array([1, 6, 9], np.uint32), "z": np.array([1, 2, 3], np.uint32)},
            'BitShift<direction="RIGHT">(x, z)',
        ),
        roundings=0,
        axes=links.elementwise,
    ),
)
