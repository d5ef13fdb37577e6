"""Data movement: what is only moved, copied, counted or chosen by position keeps its bits: no arithmetic is done."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops import rounding_counts as counts
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered, exact
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.operator import bounded
from onnx_triangulate.records.arrays import Array


def _moved(call: NodeCall) -> Sequence[Array | None]:
    found = iter(call.reference(double=False))
    return [next(found) if name else None for name in call.node.output]


def _integers_or_none(call: NodeCall) -> Sequence[Array | None]:
    """Range: exact for integers; for floats start + i * delta, which some runtimes add up step by step."""
    start = call.array(0)
    if start.dtype.kind in "iu":
        return [call.reference_output()]
    raise NotCovered("Range of floats, which may be multiplied or added up")


def _dropout(call: NodeCall) -> Sequence[ExpectedOutput]:
    """In inference a copy and a mask that is all true."""
    if call.has_input(2) and bool(call.array(2)) and not (call.has_input(1) and float(call.x(1)) == 0):
        raise NotCovered("Dropout in training mode, which is random")
    x = call.array(0)
    mask = np.ones(x.shape, dtype=bool) if call.opset >= 10 else np.ones(x.shape, dtype=x.dtype)
    return [exact(x, signed_zeros=True), exact(mask)]


def _elements_gathered(call: NodeCall) -> Sequence[Array]:
    """Along the other axes the indices may be shorter than the data."""
    data, whole = call.array(0), call.array(1).astype(np.int64)
    axis = int(call.attribute("axis", 0)) % data.ndim
    wanted = tuple(slice(None) if i == axis else slice(size) for i, size in enumerate(whole.shape))
    size = data.shape[axis]
    if whole.size and not bool(((whole >= -size) & (whole < size)).all()):
        raise ValueError(f"an index is outside of an axis of {size}")
    return [np.take_along_axis(data[wanted], np.where(whole < 0, whole + size, whole), axis)]


def _padded(call: NodeCall) -> Sequence[Array]:
    """A negative amount is cut off, and what is left is padded."""
    data, old = call.array(0), "paddings" in call.attributes or "pads" in call.attributes
    amounts = call.attribute("pads", call.attribute("paddings")) if old else call.integers(1) or ()
    fill = call.attribute("value", 0) if old or not call.has_input(2) else call.array(2).reshape(())
    axes = call.integers(3)
    chosen = range(data.ndim) if axes is None else [axis % data.ndim for axis in axes]
    count = len(chosen)
    if len(amounts) != 2 * count:
        raise ValueError(f"{len(amounts)} amounts for {count} axes")
    cut, widths = [slice(None)] * data.ndim, [(0, 0)] * data.ndim
    for axis, before, after in zip(chosen, amounts[:count], amounts[count:], strict=True):
        cut[axis] = slice(max(-before, 0), data.shape[axis] - max(-after, 0))
        widths[axis] = max(before, 0), max(after, 0)
    kept, mode = data[tuple(cut)], call.attribute("mode", "constant")
    if mode != "constant":
        return [np.pad(kept, widths, mode=mode)]
    return [np.pad(kept, widths, constant_values=fill).astype(data.dtype)]


def _unique(call: NodeCall) -> Sequence[Array]:
    """Values in order, or in that of their first occurrences; where each occurs first, which each is, how often."""
    x, axis = call.array(0), call.attribute("axis")
    along = 0 if axis is None else axis % x.ndim
    values, first, which, found = np.unique(x.reshape(-1) if axis is None else x, True, True, True, axis=along)
    order = np.arange(first.size) if call.attribute("sorted", 1) else np.argsort(first)
    places = np.empty_like(order)
    places[order] = np.arange(order.size)
    whole = [a.astype(np.int64) for a in (first[order], places[which.reshape(-1)], found[order])]
    return [np.take(values, order, axis=along), *whole]


def _one_hot(call: NodeCall) -> Sequence[Array]:
    """values[1] where an index points, values[0] elsewhere; indices out of range point nowhere."""
    index, depth, values = call.array(0), int(call.array(1).ravel()[0]), call.array(2)
    axis = int(call.attribute("axis", -1)) % (index.ndim + 1)
    turned = np.where(index < 0, index + depth, index)
    shape = [1] * (index.ndim + 1)
    shape[axis] = depth
    on = np.expand_dims(turned, axis) == np.arange(depth).reshape(shape)
    return [np.where(on, values[1], values[0]).astype(values.dtype)]


_X = {"x": "float[2,3,7]"}
_IMAGE = {"x": "float[1,8,3,5]"}

_moving = partial(bounded, "data movement", _moved, roundings=0)

OPERATORS = (
    _moving(Example("CenterCropPad<axes=[1,2]>(x, s)", _X | {"s": [5, 3]}, "CenterCropPad<axes=[2,1]>(x, s)")),
    _moving(Example("Compress<axis=1>(x, c)", _X | {"c": [True, False, True]}, "Compress<axis=2>(x, c)")),
    _moving(Example("Concat<axis=1>(x, z)", _X | {"z": "float[2,3,7]"}, "Concat<axis=2>(x, z)"), axes=links.concat),
    _moving(Example("Constant<value=float[2] {1.5, 2.5}>()", {}, "Constant<value=float[2] {1.5, 2.6}>()")),
    _moving(
        Example("ConstantOfShape<value=float[1] {2.5}>(s)", {"s": [2, 3]}, "ConstantOfShape<value=float[1] {2.6}>(s)")
    ),
    _moving(
        Example('DepthToSpace<blocksize=2,mode="DCR">(x)', _IMAGE, 'DepthToSpace<blocksize=2,mode="CRD">(x)'),
        images=(0,),
    ),
    _moving(Example("Expand(x, s)", {"x": "float[3,1]", "s": [2, 3, 5]}, {"x": 1.01}), axes=links.expand),
    _moving(Example("EyeLike<k=1>(x)", {"x": "float[3,5]"}, "EyeLike<k=0>(x)"), result_type="dtype"),
    _moving(Example("Flatten<axis=2>(x)", _X, "Flatten<axis=1>(x)"), axes=links.flatten, moves=True),
    _moving(Example("Gather<axis=2>(x, i)", _X | {"i": [2, 0, -1]}, "Gather<axis=1>(x, i)"), axes=links.gather),
    _moving(
        Example("GatherElements<axis=1>(x, i)", {"x": "float[2,3]", "i": [[2, 0, 1], [0, 0, 2]]}, {"x": 1.01}),
        value=_elements_gathered,
        stock="wrong",
    ),
    _moving(Example("GatherND(x, i)", _X | {"i": [[1, 2], [0, 1]]}, "GatherND<batch_dims=1>(x, i)")),
    _moving(Example("Identity(x)", _X, {"x": 1.01}), axes=links.same, moves=True),
    _moving(Example("NonZero(x)", {"x": "float[3,5]"}, {"x": 0.0}), jumps="at places"),
    _moving(
        Example('Pad<mode="reflect">(x, p)', {"x": "float[4,5]", "p": [1, 2, 0, 3]}, 'Pad<mode="edge">(x, p)'),
        value=_padded,
        stock="wrong",
        axes=links.pad,
    ),
    _moving(Example("Reshape(x, s)", _X | {"s": [0, -1]}, {"x": 1.01}), axes=links.reshape, moves=True),
    _moving(
        Example("ReverseSequence<batch_axis=0,time_axis=1>(x, n)", {"x": "float[3,4]", "n": [1, 2, 4]}, "Identity(x)"),
        axes=links.same_order,
    ),
    _moving(Example("Shape<start=1>(x)", _X, "Shape<start=0>(x)")),
    _moving(Example("Size(x)", _X, "Shape<start=2>(x)")),
    _moving(
        Example("Slice(x, b, e, a)", _X | {"b": [1], "e": [3], "a": [2]}, {"x": 1.01}), axes=links.slice_, limits=(1, 2)
    ),
    _moving(Example("SpaceToDepth<blocksize=2>(x)", {"x": "float[1,2,4,6]"}, {"x": 1.01}), images=(0,)),
    _moving(
        Example("Split<axis=1,num_outputs=3>(x)", {"x": "float[2,6]"}, {"x": 1.01}, outputs="y, y2, y3"),
        axes=links.split,
    ),
    _moving(Example("Squeeze(x, a)", {"x": "float[1,3,1]", "a": [0]}, "Identity(x)"), axes=links.squeeze, moves=True),
    _moving(
        Example(
            "TensorScatter(x, z, i)",
            {"x": "float[2,1,6,3]", "z": "float[2,1,2,3]", "i": [1, 3]},
            'TensorScatter<mode="circular">(x, x, i)',
            opset=24,
        )
    ),
    _moving(Example("Tile(x, n)", {"x": "float[2,3]", "n": [2, 2]}, {"x": 1.01}), axes=links.pad),
    _moving(Example("Transpose<perm=[2,0,1]>(x)", _X, "Transpose<perm=[2,1,0]>(x)"), axes=links.transpose, moves=True),
    _moving(Example("Trilu<upper=0>(x)", _X, "Trilu<upper=1>(x)"), axes=links.same_order, limits=(1,)),
    _moving(
        Example("Unique<sorted=1>(x)", {"x": "float[9]"}, {"x": 1.01}),
        value=_unique,
        stock="wrong",
        jumps="at places",
        picks=True,
    ),
    _moving(Example("Unsqueeze(x, a)", _X | {"a": [1]}, "Identity(x)"), axes=links.unsqueeze, moves=True),
    _moving(
        Example("Where(c, x, z)", {"c": "bool[3,5]", "x": "float[3,5]", "z": "float[5]"}, "Where(c, x, x)"),
        axes=links.elementwise,
        jumps="at places",
    ),
    bounded("data movement", _moved, Example("BitCast<to=6>(x)", _X, {"x": 1.01}, opset=26)),
    bounded(
        "one-hot",
        _one_hot,
        Example(
            "OneHot<axis=1>(i, n, v)",
            {"i": [1, 2, 0], "n": [3], "v": np.array([0.5, 2.0], np.float32)},
            "OneHot<axis=0>(i, n, v)",
        ),
        stock="wrong",
        roundings=0,
    ),
    bounded(
        "ranges",
        _integers_or_none,
        Example("Range(a, b, d)", {"a": np.int64(1), "b": np.int64(9), "d": np.int64(2)}, "Range(a, b, a)"),
        roundings=2,
        limits=(0, 1),
    ),
    bounded(
        "dropout in inference",
        _dropout,
        Example("Dropout(x)", _X, {"x": 1.01}),
        roundings=counts.dropout,
        axes=links.dropout,
        draws=True,
    ),
)
