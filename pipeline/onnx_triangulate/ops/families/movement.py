"""Data movement: what is only moved, copied, counted or chosen by position keeps its bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnx_triangulate.ops.registry import Answer, Asked, Example, NoRule, Rule, exact
from onnx_triangulate.records.arrays import Array

_BOUNDARY = "bits must agree: no arithmetic is done"


def _moved(asked: Asked) -> Sequence[Array | None]:
    found = iter(asked.reference(double=False))
    return [next(found) if name else None for name in asked.node.output]


def _integers_or_none(asked: Asked) -> Sequence[Array | None]:
    """Range: exact for integers; for floats start + i * delta, which some runtimes add up step by step."""
    start = asked.array(0)
    if start.dtype.kind in "iu":
        return [asked.as_is()]
    raise NoRule("Range of floats, which may be multiplied or added up")


def _dropout(asked: Asked) -> Sequence[Answer]:
    """In inference a copy and a mask that is all true."""
    if asked.given(2) and bool(asked.array(2)) and not (asked.given(1) and float(asked.x(1)) == 0):
        raise NoRule("Dropout in training mode, which is random")
    x = asked.array(0)
    mask = np.ones(x.shape, dtype=bool) if asked.opset >= 10 else np.ones(x.shape, dtype=x.dtype)
    return [exact(x, signed_zeros=True), exact(mask)]


def _one_hot(asked: Asked) -> Sequence[Array]:
    """values[1] where an index points, values[0] elsewhere; indices out of range point nowhere."""
    index, depth, values = asked.array(0), int(asked.array(1).ravel()[0]), asked.array(2)
    axis = int(asked.attribute("axis", -1)) % (index.ndim + 1)
    turned = np.where(index < 0, index + depth, index)
    shape = [1] * (index.ndim + 1)
    shape[axis] = depth
    on = np.expand_dims(turned, axis) == np.arange(depth).reshape(shape)
    return [np.where(on, values[1], values[0]).astype(values.dtype)]


_X = {"x": "float[2,3,7]"}
_IMAGE = {"x": "float[1,8,3,5]"}

MOVED = Rule(
    "data movement",
    tuple(
        "BitCast CenterCropPad Compress Concat Constant ConstantOfShape DepthToSpace Expand EyeLike Flatten Gather "
        "GatherElements GatherND Identity NonZero Pad Reshape ReverseSequence Shape Size Slice "
        "SpaceToDepth Split Squeeze TensorScatter Tile Transpose Trilu Unique Unsqueeze Where".split()
    ),
    _moved,
    about="elements keep their bits; only where they stand is decided",
    source=_BOUNDARY,
    examples=(
        Example("BitCast<to=6>(x)", _X, {"x": 1.01}, opset=26),
        Example("CenterCropPad<axes=[1,2]>(x, s)", _X | {"s": [5, 3]}, "CenterCropPad<axes=[2,1]>(x, s)"),
        Example("Compress<axis=1>(x, c)", _X | {"c": [True, False, True]}, "Compress<axis=2>(x, c)"),
        Example("Concat<axis=1>(x, z)", _X | {"z": "float[2,3,7]"}, "Concat<axis=2>(x, z)"),
        Example("ConstantOfShape<value=float[1] {2.5}>(s)", {"s": [2, 3]}, "ConstantOfShape<value=float[1] {2.6}>(s)"),
        Example('DepthToSpace<blocksize=2,mode="DCR">(x)', _IMAGE, 'DepthToSpace<blocksize=2,mode="CRD">(x)'),
        Example("Expand(x, s)", {"x": "float[3,1]", "s": [2, 3, 5]}, {"x": 1.01}),
        Example("EyeLike<k=1>(x)", {"x": "float[3,5]"}, "EyeLike<k=0>(x)"),
        Example("Flatten<axis=2>(x)", _X, "Flatten<axis=1>(x)"),
        Example("Gather<axis=2>(x, i)", _X | {"i": [2, 0, -1]}, "Gather<axis=1>(x, i)"),
        Example(
            "GatherElements<axis=1>(x, i)",
            {"x": "float[2,3]", "i": [[2, 0, 1], [0, 0, 2]]},
            {"x": 1.01},
        ),
        Example("GatherND(x, i)", _X | {"i": [[1, 2], [0, 1]]}, "GatherND<batch_dims=1>(x, i)"),
        Example("Identity(x)", _X, {"x": 1.01}),
        Example("NonZero(x)", {"x": "float[3,5]"}, {"x": 0.0}),
        Example('Pad<mode="reflect">(x, p)', {"x": "float[4,5]", "p": [1, 2, 0, 3]}, 'Pad<mode="edge">(x, p)'),
        Example("Reshape(x, s)", _X | {"s": [0, -1]}, {"x": 1.01}),
        Example(
            "ReverseSequence<batch_axis=0,time_axis=1>(x, n)",
            {"x": "float[3,4]", "n": [1, 2, 4]},
            "Identity(x)",
        ),
        Example("Shape<start=1>(x)", _X, "Shape<start=0>(x)"),
        Example("Size(x)", _X, "Shape<start=2>(x)"),
        Example("Slice(x, b, e, a)", _X | {"b": [1], "e": [3], "a": [2]}, {"x": 1.01}),
        Example("SpaceToDepth<blocksize=2>(x)", {"x": "float[1,2,4,6]"}, {"x": 1.01}),
        Example("Squeeze(x, a)", {"x": "float[1,3,1]", "a": [0]}, "Identity(x)"),
        Example(
            "TensorScatter(x, z, i)",
            {"x": "float[2,1,6,3]", "z": "float[2,1,2,3]", "i": [1, 3]},
            'TensorScatter<mode="circular">(x, x, i)',
            opset=24,
        ),
        Example("Tile(x, n)", {"x": "float[2,3]", "n": [2, 2]}, {"x": 1.01}),
        Example("Transpose<perm=[2,0,1]>(x)", _X, "Transpose<perm=[2,1,0]>(x)"),
        Example("Trilu<upper=0>(x)", _X, "Trilu<upper=1>(x)"),
        Example("Unsqueeze(x, a)", _X | {"a": [1]}, "Identity(x)"),
        Example("Constant<value=float[2] {1.5, 2.5}>()", {}, "Constant<value=float[2] {1.5, 2.6}>()"),
        Example("Split<axis=1,num_outputs=3>(x)", {"x": "float[2,6]"}, {"x": 1.01}, outputs="y, y2, y3"),
        Example("Unique<sorted=1>(x)", {"x": "float[9]"}, {"x": 1.01}),
        Example("Where(c, x, z)", {"c": "bool[3,5]", "x": "float[3,5]", "z": "float[5]"}, "Where(c, x, x)"),
    ),
)

RULES = (
    MOVED,
    Rule(
        "one-hot",
        ("OneHot",),
        _one_hot,
        about="one of two values by position",
        source=_BOUNDARY,
        examples=(
            Example(
                "OneHot<axis=1>(i, n, v)",
                {"i": [1, 2, 0], "n": [3], "v": np.array([0.5, 2.0], np.float32)},
                "OneHot<axis=0>(i, n, v)",
            ),
        ),
    ),
    Rule(
        "ranges",
        ("Range",),
        _integers_or_none,
        about="integers count exactly; floats are multiplied or added up, which ONNX leaves open",
        source=_BOUNDARY,
        examples=(Example("Range(a, b, d)", {"a": np.int64(1), "b": np.int64(9), "d": np.int64(2)}, "Range(a, b, a)"),),
    ),
    Rule(
        "dropout in inference",
        ("Dropout",),
        _dropout,
        about="a copy",
        source=_BOUNDARY,
        examples=(Example("Dropout(x)", _X, {"x": 1.01}),),
    ),
)
