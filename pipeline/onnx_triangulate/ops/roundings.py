"""How many float roundings a result passes on its way through a graph, at most.

Design note.  For a user's model without a truth, gamma_k * scale needs a k.  It is the largest sum of per-node counts
along any path, with the counts of Higham's standard model: a sum of n products rounds n times in any order, and once
more for the bias; moving data rounds never; what IEEE 754 rounds correctly rounds once.  For elementwise transcendental
functions the count is an allowance of 4 (implementations are within 2 ulp, one ulp is two roundings), not a theorem.
It is a count of roundings, not a bound by itself: cancellation is what the scale is for.  An operator that is not in
the table, or a size that is not known, never gets a small default: it is counted as if it took up every number that
the model holds or is fed, one rounding each, and it is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import ModelProto, TensorProto

from onnx_triangulate.onnxgraph.graph import Place, places
from onnx_triangulate.onnxgraph.inlining import inlined
from onnx_triangulate.onnxgraph.nodes import Dims, constant_tensor, elements, opset
from onnx_triangulate.onnxgraph.shapes import with_inferred_shapes
from onnx_triangulate.ops.rounding_counts import TRANSCENDENTAL, interpolated
from onnx_triangulate.records.runs import Roundings

_NONE = (
    "And ArgMax ArgMin BitShift CastLike Ceil Clip Compress Concat Constant ConstantOfShape DepthToSpace Equal Expand "
    "EyeLike Flatten Floor Gather GatherElements GatherND GlobalMaxPool Greater GreaterOrEqual Hardmax Identity IsInf "
    "IsNaN Less LessOrEqual Max MaxPool Min Neg NonZero Not OneHot Or Pad ReduceMax ReduceMin Relu Reshape "
    "ReverseSequence Round Shape Sign Size Slice SpaceToDepth Split Squeeze ThresholdedRelu Tile TopK Transpose Trilu "
    "Abs Unsqueeze Where Xor ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty SequenceErase "
    "SequenceInsert SequenceLength SplitToSequence BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad MaxUnpool "
    "MaxRoiPool TensorScatter Unique"
)
_FIXED: dict[str, int] = {
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys("Add Sub Mul Div LeakyRelu PRelu Reciprocal Sqrt".split(), 1),
    **dict.fromkeys(
        "Exp Log Tanh Sigmoid Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Pow".split(), TRANSCENDENTAL
    ),
    "HardSigmoid": 2,
    "Shrink": 1,
    "Mod": 3,
    "DequantizeLinear": 2,
    "RotaryEmbedding": 3,
    "Range": 2,
    "HardSwish": 3,
    "Softsign": 2,
    "Elu": TRANSCENDENTAL + 2,
    "Selu": TRANSCENDENTAL + 3,
    "Celu": TRANSCENDENTAL + 3,
    "Softplus": 2 * TRANSCENDENTAL + 1,
    "Swish": TRANSCENDENTAL + 2,
    "Gelu": TRANSCENDENTAL + 8,
    "Mish": 3 * TRANSCENDENTAL + 2,
}


def _product(dims: Dims | None) -> int | None:
    if dims is None or any(d is None for d in dims):
        return None
    return math.prod(d for d in dims if d is not None)


def _shape(place: Place, slot: int) -> Dims | None:
    if len(place.inputs) <= slot or not place.inputs[slot]:
        return None
    return place.graph.shape(place.inputs[slot])


def _plus(count: int | None, more: int) -> int | None:
    return None if count is None else count + more


def _conv(place: Place) -> int | None:
    weight = _shape(place, 1)
    return _plus(_product(weight[1:] if weight is not None else None), 1)


def _conv_transpose(place: Place) -> int | None:
    weight = _shape(place, 1)
    count = _product((weight[0], *weight[2:]) if weight is not None and len(weight) > 2 else None)
    group = int(place.attributes.get("group", 1))
    return None if count is None or group < 1 else -(-count // group) + 1


def _contraction(place: Place) -> int | None:
    """K of MatMul and Gemm, from whichever operand tells it."""
    held = place.attributes
    left, right = _shape(place, 0), _shape(place, 1)
    candidates = []
    if left:
        candidates.append(left[0] if held.get("transA") else left[-1])
    if right:
        candidates.append(right[-1] if held.get("transB") or len(right) == 1 else right[-2])
    length = next((c for c in candidates if c is not None), None)
    scales = sum(held.get(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    return _plus(length, 1 + scales)


def _pool(place: Place) -> int | None:
    kernel = place.attributes.get("kernel_shape")
    return math.prod(kernel) + 1 if kernel else None


def _global_pool(place: Place) -> int | None:
    shape = _shape(place, 0)
    return _plus(_product(shape[2:] if shape is not None else None), 1)


def _reduced(place: Place) -> int | None:
    """How many elements a Reduce* operator takes together; 1 where it reduces nothing."""
    shape = _shape(place, 0)
    held = place.attributes
    axes = held.get("axes")
    if axes is None and len(place.inputs) > 1 and place.inputs[1]:
        axes = place.graph.integers(place.inputs[1])
        if axes is None:
            return None
    if not axes:
        return 1 if held.get("noop_with_empty_axes") else _product(shape)
    if shape is None or any(not -len(shape) <= a < len(shape) for a in axes):
        return None
    return _product(tuple(shape[a] for a in axes))


def _reduction(more: int) -> Callable[[Place], int | None]:
    return lambda place: _plus(_reduced(place), more)


def _along(more: int, default_axis: int) -> Callable[[Place], int | None]:
    def count(place: Place) -> int | None:
        shape = _shape(place, 0)
        axis = int(place.attributes.get("axis", default_axis))
        if shape is None or not -len(shape) <= axis < len(shape):
            return None
        return _plus(shape[axis], more)

    return count


def _from_axis(more: int, default_axis: int = -1) -> Callable[[Place], int | None]:
    def count(place: Place) -> int | None:
        shape = _shape(place, 0)
        axis = int(place.attributes.get("axis", default_axis))
        return _plus(_product(shape[axis:] if shape is not None else None), more)

    return count


def _instance(place: Place) -> int | None:
    shape = _shape(place, 0)
    return _plus(_product(shape[2:] if shape is not None else None), 8)


def _batch_norm(place: Place) -> int | None:
    if not place.attributes.get("training_mode"):
        return 6
    shape = _shape(place, 0)
    return _plus(_product((shape[0], *shape[2:]) if shape is not None and len(shape) > 1 else None), 8)


def _sum(place: Place) -> int | None:
    return max(0, len(place.inputs) - 1)


def _cast(place: Place) -> int | None:
    return 1 if place.attributes.get("to") in (TensorProto.FLOAT, TensorProto.DOUBLE) else _to_whole(place)


def _to_whole(place: Place) -> int | None:
    narrow = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.STRING)
    kind = place.attributes.get("to")
    return None if kind is None or kind in narrow or kind > TensorProto.BFLOAT16 else 0


def _dropout(place: Place) -> int | None:
    return 0 if len(place.inputs) < 3 or not place.inputs[2] else None


def _scatter(place: Place) -> int | None:
    """Whatever is added to one place, of all the updates at most."""
    return 0 if place.attributes.get("reduction", "none") in ("none", "max", "min") else _product(_shape(place, 2))


def _resize(place: Place) -> int | None:
    """Linear or cubic: per axis :func:`interpolated`."""
    mode = place.attributes.get("mode", "nearest")
    if mode == "nearest":
        return 0
    taps = {"linear": 2, "cubic": 4}.get(str(mode))
    dims = _shape(place, 0)
    if taps is None or dims is None or any(dim is None for dim in dims):
        return None
    return sum(interpolated(taps, dim) for dim in dims[2:] if dim is not None)


def _recurrent(place: Place) -> int | None:
    """Each step sums over its input and its state, adds biases and passes gates of elementary functions."""
    x, r = _shape(place, 0), _shape(place, 2)
    if x is None or r is None or len(x) != 3 or len(r) != 3 or x[0] is None or x[2] is None or r[2] is None:
        return None
    return x[0] * (x[2] + r[2] + 2 + 4 * TRANSCENDENTAL)


def _einsum(place: Place) -> int | None:
    """As many products are added as the letters that are not in the result run over, each of one factor per operand."""
    equation = str(place.attributes.get("equation", "")).replace(" ", "")
    left, arrow, result = equation.partition("->")
    if not arrow or "." in equation:
        return None
    sizes: dict[str, int] = {}
    for slot, letters in enumerate(left.split(",")):
        dims = _shape(place, slot)
        if dims is None or len(dims) != len(letters):
            return None
        for letter, dim in zip(letters, dims, strict=True):
            if dim is None:
                return None
            sizes[letter] = dim
    return math.prod(size for letter, size in sizes.items() if letter not in result) + len(left.split(","))


def _whole_shape(more: int) -> Callable[[Place], int | None]:
    """As many roundings as the first input has elements, at most."""
    return lambda place: _plus(_product(_shape(place, 0)), more)


def _channels(place: Place) -> int | None:
    """A running sum over neighbouring channels rounds as if it held them all; then a power and a division."""
    shape = _shape(place, 0)
    return None if shape is None or len(shape) < 2 or shape[1] is None else 2 * shape[1] + TRANSCENDENTAL + 6


def _grid_sample(place: Place) -> int | None:
    """Corners, or four taps an axis, whose weights carry the rounding of a coordinate as large as the axis."""
    shape = _shape(place, 0)
    if shape is None or len(shape) < 3 or any(dim is None for dim in shape[2:]):
        return None
    if str(place.attributes.get("mode", "linear")) == "nearest":
        return 0
    cubic = "cubic" in str(place.attributes.get("mode", ""))
    taps = int((4 if cubic else 2) ** (len(shape) - 2))
    return 3 * taps + sum(4 * (2 if cubic else 1) * (dim + 2) for dim in shape[2:] if dim is not None)


def _attention(place: Place) -> int | None:
    """Products over the head, a softmax over the keys, products over the keys."""
    query, keys = _shape(place, 0), _shape(place, 1)
    if not query or not keys or query[-1] is None or keys[-2] is None:
        return None
    return query[-1] + 2 * keys[-2] + 8 + TRANSCENDENTAL


def _transformed(place: Place) -> int | None:
    """A discrete Fourier transform, summed directly; a fast one rounds less."""
    shape = _shape(place, 0)
    length = max((dim for dim in shape if dim is not None), default=1) if shape is not None else None
    return None if shape is None or None in shape or length is None else 2 * length + 2 * TRANSCENDENTAL


# Functions that one kernel computes where their formula has several steps, with their counts.
FUSED = {op: _FIXED[op] for op in ("Celu", "Elu", "Gelu", "Mish", "Selu", "Sigmoid", "Softplus", "Swish")}


def moves_only(op: str) -> bool:
    """Whether an operator of ONNX moves or chooses numbers and rounds none."""
    return _FIXED.get(op) == 0


_COUNTED: dict[str, Callable[[Place], int | None]] = {
    "AffineGrid": lambda place: 8,
    "Attention": _attention,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Col2Im": _whole_shape(0),
    "CumProd": _whole_shape(0),
    "DFT": _transformed,
    "DeformConv": lambda place: _plus(_conv(place), 20),
    "Det": _whole_shape(1),
    "CumSum": lambda place: _product(_shape(place, 0)),
    "Dropout": _dropout,
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _contraction,
    "GlobalAveragePool": _global_pool,
    "GlobalLpPool": lambda place: _plus(_global_pool(place), 2 * TRANSCENDENTAL),
    "GridSample": _grid_sample,
    "GroupNormalization": _whole_shape(8),
    "InstanceNormalization": _instance,
    "LRN": _channels,
    "LSTM": _recurrent,
    "LayerNormalization": _from_axis(8),
    "LogSoftmax": _along(6 + TRANSCENDENTAL, -1),
    "LpNormalization": _along(3, -1),
    "LpPool": lambda place: _plus(_pool(place), 2 * TRANSCENDENTAL),
    "MatMul": _contraction,
    "MeanVarianceNormalization": _whole_shape(8),
    "NegativeLogLikelihoodLoss": _whole_shape(3),
    "Mean": lambda place: len(place.inputs),
    "RMSNormalization": _from_axis(8),
    "RNN": _recurrent,
    "ReduceL1": _reduction(1),
    "ReduceL2": _reduction(2),
    "ReduceLogSum": _reduction(1 + TRANSCENDENTAL),
    "ReduceLogSumExp": _reduction(2 + 2 * TRANSCENDENTAL),
    "ReduceMean": _reduction(1),
    "ReduceProd": _reduction(1),
    "ReduceSum": _reduction(1),
    "ReduceSumSquare": _reduction(1),
    "Resize": _resize,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Scatter": _scatter,
    "Softmax": _along(6, -1),
    "SoftmaxCrossEntropyLoss": _whole_shape(9 + TRANSCENDENTAL),
    "Sum": _sum,
    "Upsample": _resize,
}
# What ONNX Runtime's optimizer writes: the operators that were fused, one after another.
_MICROSOFT: dict[str, Callable[[Place], int | None]] = {
    "BiasGelu": lambda place: _FIXED["Gelu"] + 1,
    "FastGelu": lambda place: _FIXED["Gelu"] + 1,
    "FusedConv": lambda place: _plus(_conv(place), TRANSCENDENTAL + 1),
    "FusedGemm": lambda place: _plus(_contraction(place), TRANSCENDENTAL),
    "FusedMatMul": _contraction,
    "Gelu": lambda place: _FIXED["Gelu"],
    "QuickGelu": lambda place: TRANSCENDENTAL + 3,
    "SkipLayerNormalization": _from_axis(10),
}
# Before opset 13 a softmax took everything from its axis on together.
_BEFORE_13 = {"Softmax": _from_axis(6, 1), "LogSoftmax": _from_axis(6 + TRANSCENDENTAL, 1)}


def _count(place: Place, version: int) -> int | None:
    if place.subgraphs:
        return None
    if place.op in _FIXED:
        return _FIXED[place.op]
    table = {**_COUNTED, **_BEFORE_13} if version < 13 else _COUNTED
    domain, _, name = place.op.rpartition(".")
    counter = table.get(name) if not domain else _MICROSOFT.get(name) if domain == "com.microsoft" else None
    try:
        return None if counter is None else counter(place)
    except (TypeError, ValueError, IndexError):
        return None  # an attribute of another type, or an axis that is not there: nothing is known


def longest_roundings(model: ModelProto) -> int | None:
    """The largest number of float roundings on any path from an input to an output of the graph.

    ``None`` ("no count") where a node's operator is not in the table, holds a subgraph, or has a size that is not
    known.  Only nodes that an output depends on are asked.  Local functions are inlined first.
    """
    found = roundings(model)
    return None if found is None or found.unknown else found.count


def roundings(model: ModelProto) -> Roundings | None:
    """As :func:`longest_roundings`, with a count for every operator: see this module's design note.

    ``None`` where the graph has no opset, its functions cannot be inlined, or its inputs have no known size.
    """
    version = opset(model)
    if version is None:
        return None
    held = _everything(model)
    unknown: list[str] = []
    try:
        model = inlined(model)
    except ValueError:  # then nothing is known
        return None
    inferred = with_inferred_shapes(model)
    by_output: dict[str, tuple[int, Place]] = {}
    order = places(inferred if inferred is not None else model)
    for index, place in enumerate(order):
        for output in place.outputs:
            by_output[output] = (index, place)
    needed: set[int] = set()
    waiting = [o.name for o in model.graph.output]
    while waiting:
        name = waiting.pop()
        if name in by_output and by_output[name][0] not in needed:
            index, place = by_output[name]
            needed.add(index)
            waiting += [n for n in place.inputs if n]
    passed: dict[str, int] = {}
    for index in sorted(needed):
        place = order[index]
        own = 0 if _whole(place) else _count(place, version)
        if own is None:
            if held is None:
                return None
            unknown.append(place.op)
            own = held
        total = own + max((passed.get(n, 0) for n in place.inputs), default=0)
        for output in place.outputs:
            passed[output] = total
    count = max((passed.get(o.name, 0) for o in model.graph.output), default=0)
    return Roundings(count, tuple(dict.fromkeys(unknown)))


_FLOATS = frozenset(
    number for name, number in TensorProto.DataType.items() if "FLOAT" in name or name in ("DOUBLE", "UNDEFINED")
)


def _whole(place: Place) -> bool:
    """Whether all that a node gives are whole numbers or truth values, which no arithmetic rounds."""
    kinds = [place.graph.types.get(name) for name in place.outputs if name]
    return bool(kinds) and not place.subgraphs and all(kind is not None and kind not in _FLOATS for kind in kinds)


def _everything(model: ModelProto) -> int | None:
    """How many numbers the model holds and is fed; None where an input's size is not known."""
    total = sum(elements(tensor) for tensor in model.graph.initializer)
    weights = {tensor.name for tensor in model.graph.initializer}
    for place in places(model):
        tensor = constant_tensor(place.node)
        total += elements(tensor) if tensor is not None else 0
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name in weights:
            continue
        if not value.type.tensor_type.HasField("shape") or any(not dim.HasField("dim_value") for dim in dims):
            return None
        total += math.prod(dim.dim_value for dim in dims)
    return total
