"""Where a TensorFlow program rounds: counted and moved in its own trace of operators.

Design note.  TensorFlow calls back for every operator that it puts into a graph and takes other tensors in place of the
operator's results (``op_callbacks``, private, seen in :data:`SEEN_IN`; without it nobody sees the roundings).  So the
case is traced once, and behind every float result stands the same result times ``1 + way * sign``, where ``way`` is an
element of a vector that is fed, a ``place`` for each result, zero for a plain run.  Constants that float32 cannot hold
are results like any other.  A loop's body is traced once and moved in every pass, so it counts once for each pass of a
plain run.  The table of counts is of TensorFlow's operators; one that is not in it is counted as if it
took up every number that it reads, and is named.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onnx_triangulate.ops.rounding_counts import COARSEST, TRANSCENDENTAL, interpolated
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Jitter

SEEN_IN = "2.21.0"

_NONE = frozenset(
    "Abs All Any ArgMax ArgMin Assert Assign AssignVariableOp BatchToSpaceND Bitcast BroadcastArgs "
    "BroadcastGradientArgs BroadcastTo Case Ceil CheckNumerics ClipByValue Concat ConcatV2 DepthToSpace "
    "DynamicStitch Empty EnsureShape Equal ExpandDims Fill Floor FloorDiv Gather GatherNd GatherV2 Greater "
    "GreaterEqual Identity IdentityN If InTopKV2 InvertPermutation IsFinite IsInf IsNan Less LessEqual LogicalAnd "
    "LogicalNot LogicalOr MatrixBandPart MatrixDiagV3 MatrixDiagPartV3 MatrixSetDiagV3 Max MaxPool MaxPool3D "
    "MaxPoolV2 Maximum Min Minimum MirrorPad Neg NextAfter NoOp NotEqual OneHot OnesLike Pack Pad PadV2 "
    "PartitionedCall Placeholder PlaceholderWithDefault PreventGradient RandomStandardNormal RandomUniform Rank "
    "ReadVariableOp Relu Relu6 Reshape ResizeNearestNeighbor ResourceGather ResourceGatherNd Reverse "
    "ReverseSequence ReverseV2 Rint Roll Round ScatterNd SegmentMax SegmentMin Select SelectV2 Shape ShapeN Sign "
    "Size Slice Snapshot SpaceToBatchND SpaceToDepth Split SplitV Squeeze StatefulPartitionedCall StatelessIf "
    "StatelessRandomNormalV2 StatelessRandomUniformV2 StopGradient StridedSlice StridedSliceGrad Switch "
    "TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack Tile TopKV2 "
    "Transpose TruncateDiv Unique UniqueV2 Unpack UnravelIndex UnsortedSegmentMax Where ZerosLike VarHandleOp Merge "
    "Enter Exit NextIteration LoopCond".split()
)
# What calls another graph, and where that one's name is said: it rounds as often as that one does.  TensorFlow does not
# call back for these, only for what they call, and for that only where it is traced for the first time.
_CALLS: Mapping[str, tuple[str, ...]] = {
    "PartitionedCall": ("f",),
    "StatefulPartitionedCall": ("f",),
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
}
_LOOPS = frozenset("While StatelessWhile".split())
_CORRECT = frozenset("Add AddV2 Sub Mul RealDiv Div DivNoNan MulNoNan Sqrt Square LeakyRelu FloorMod".split())
_ELEMENTARY = frozenset(
    "Acos Acosh Asin Asinh Atan Atan2 Atanh Cos Cosh Digamma Erf Erfc Erfinv Exp Expm1 Lgamma Log Log1p Ndtri Pow "
    "Rsqrt Sigmoid Sin Sinh Tan Tanh Xdivy Xlog1py Xlogy".split()
)
_FIXED: Mapping[str, int] = {
    name: count
    for count, names in (
        (0, (*_NONE, "ReluGrad")),
        (1, (*_CORRECT, "BiasAdd", "Const", "LeakyReluGrad")),
        (2, "Range Softsign SquaredDifference".split()),
        (3, "LinSpace SigmoidGrad TanhGrad".split()),
        (3, "Inv Reciprocal".split()),  # Eigen does not divide: 1.47 ulp off at most, of all floats
        (TRANSCENDENTAL, _ELEMENTARY),
        (TRANSCENDENTAL + 2, ("Elu",)),
        (TRANSCENDENTAL + 3, ("Selu",)),
        (2 * TRANSCENDENTAL + 1, ("Softplus",)),
    )
    for name in names
}
# exp(x) - 1, log(1 + exp x), x - max - log sum exp(x - max)
_CANCELS: Mapping[str, float] = {"Elu": 0.5, "Selu": 0.5, "Softplus": 0.5, "LogSoftmax": 1.0}
_CROSS_ENTROPIES = frozenset("SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits".split())
_BATCH_NORMS = frozenset("FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3".split())


class _Unknown(Exception):
    """A size that the table needs is not known."""


def _dims(tensor: Any) -> list[int]:
    if tensor.shape.rank is None or any(d is None for d in tensor.shape):
        raise _Unknown
    return [int(d) for d in tensor.shape]


def _numel(tensor: Any) -> int:
    return math.prod(_dims(tensor))


def _reduced(inputs: Sequence[Any], outputs: Sequence[Any], _: Any) -> int:
    return max(1, _numel(inputs[0]) // max(1, _numel(outputs[0]))) + 1


def _matmul(inputs: Sequence[Any], _: Any, attributes: Mapping[str, Any]) -> int:
    turned = attributes.get("transpose_a") or attributes.get("adj_x")
    return _dims(inputs[0])[-2 if turned else -1] + 1


def _einsum(inputs: Sequence[Any], outputs: Sequence[Any], attributes: Mapping[str, Any]) -> int:
    equation = attributes["equation"].decode() if isinstance(attributes["equation"], bytes) else attributes["equation"]
    left, _, result = str(equation).partition("->")
    sizes: dict[str, int] = {}
    for letters, tensor in zip(left.split(","), inputs, strict=True):
        if "." in letters:
            raise _Unknown
        sizes |= dict(zip(letters, _dims(tensor), strict=True))
    return math.prod(size for letter, size in sizes.items() if letter not in result) + len(inputs)


def _conv(inputs: Sequence[Any], _: Any, __: Any) -> int:
    return math.prod(_dims(inputs[1])[:-1]) + 1


def _conv_backward(inputs: Sequence[Any], _: Any, __: Any) -> int:
    kernel = _dims(inputs[1])
    return math.prod([*kernel[:-2], kernel[-1]]) + 1


def _pool(_: Any, __: Any, attributes: Mapping[str, Any]) -> int:
    return math.prod(int(k) for k in attributes["ksize"]) + 1


def _batch_norm(inputs: Sequence[Any], _: Any, attributes: Mapping[str, Any]) -> int:
    training = attributes.get("is_training", True)
    return (_numel(inputs[0]) // max(1, _numel(inputs[1])) if training else 0) + 8


def _resized(taps: int) -> Callable[[Sequence[Any], Any, Any], int]:
    return lambda inputs, _, __: sum(interpolated(taps, d) for d in _dims(inputs[0])[1:-1])


_Count = Callable[[Sequence[Any], Sequence[Any], Mapping[str, Any]], int]
_COUNTS: Mapping[str, _Count] = {  # by the operators that it is the count of
    "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3": _matmul,
    "Einsum": _einsum,
    "Conv2D Conv3D": _conv,
    "DepthwiseConv2dNative": lambda i, _, __: math.prod(_dims(i[1])[:2]) + 1,
    "Conv2DBackpropInput Conv3DBackpropInputV2": _conv_backward,
    "AvgPool AvgPool3D": _pool,
    "Sum Mean Prod EuclideanNorm": _reduced,
    "AddN": lambda i, _, __: len(i) - 1,
    "Cumsum Cumprod": lambda i, _, __: max(_dims(i[0]), default=1),
    "Softmax": lambda i, _, __: _dims(i[0])[-1] + 6,
    "LogSoftmax SparseSoftmaxCrossEntropyWithLogits": lambda i, _, __: _dims(i[0])[-1] + 6 + TRANSCENDENTAL,
    "SoftmaxCrossEntropyWithLogits": lambda i, _, __: 2 * _dims(i[0])[-1] + 6 + TRANSCENDENTAL,
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3": _batch_norm,
    "L2Loss": lambda i, _, __: _numel(i[0]) + 2,
    "LRN": lambda i, _, a: 2 * int(a.get("depth_radius", 5)) + TRANSCENDENTAL + 6,
    "ResizeBilinear": _resized(2),
    "ResizeBicubic": _resized(4),
    "ScaleAndTranslate": lambda i, _, __: sum(3 * d + 10 for d in _dims(i[0])[1:-1]),
}
_COUNTED: Mapping[str, _Count] = {name: count for names, count in _COUNTS.items() for name in names.split()}
_SUMS = frozenset("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum Conv2D Sum Mean BiasAdd".split())


@dataclass
class RoundingTrace:
    """What is known of a trace: by place, how often its operator rounds and whether anything fed reaches it.

    ``double``: traced in float64, whatever is fed; ``exact``: what float32 holds there is what it is."""

    exact: bool = True
    double: bool = False
    places: list[tuple[int, bool]] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)
    passed: dict[Any, tuple[int, bool]] = field(default_factory=dict)
    inner: dict[str, int] = field(default_factory=dict)  # by the name of a graph that is called, its longest path
    loops: list[tuple[Any, int]] = field(default_factory=list)  # what counts a loop's passes, and its body's roundings
    graph: Any = None
    longest: int = 0

    def begin(self, graph: Any, fed: Sequence[Any]) -> None:
        """Forget everything: TensorFlow may trace a function again, to see whether it makes variables a second time."""
        self.graph = graph
        for known in (self.places, self.passed, self.inner, self.loops, self.unknown):
            known.clear()
        self.passed.update({tensor.ref(): (0, True) for tensor in fed})

    def count(self, results: Sequence[Any]) -> int:
        """The roundings on the longest path to any of some results."""
        return max((self.reached(t, inside=False)[0] for t in results), default=0)

    def reached(self, tensor: Any, inside: bool) -> tuple[int, bool]:
        """The roundings on the longest path to a tensor, and whether anything fed lies on a path to it."""
        if tensor.ref() in self.passed:
            return self.passed[tensor.ref()]
        operation = getattr(tensor, "op", None)
        if operation is None or operation.type not in _CALLS:
            return 0, inside
        before = [self.reached(each, inside) for each in operation.inputs]
        rounds = _called(self, operation) if tensor.dtype.is_floating else 0
        found = max((count for count, _ in before), default=0) + rounds, any(fed for _, fed in before)
        self.passed[tensor.ref()] = found
        return found

    @property
    def unseen(self) -> bool:
        """Whether something is called that was traced before this, so that nobody saw its operators."""
        return bool(self.unknown.keys() & _CALLS.keys())

    def counters(self) -> list[Any]:
        """What counts the passes of each loop, as results of the trace."""
        return [counter for counter, _ in self.loops]

    def passes(self, counted: Sequence[int]) -> None:
        """Let every loop count as often as it was run: on the longest path lie all of them, one after the other."""
        self.longest += sum((passes - 1) * body for passes, (_, body) in zip(counted, self.loops, strict=True))

    def ways(self, jitter: Jitter | None, step: float) -> Array:
        """What to feed for a jitter: by place, how far and which way its result is moved."""
        moved = np.zeros(len(self.places))
        for place, (own, fed) in enumerate(self.places):
            if jitter is not None and jitter.moves(fed):
                moved[place] = own * step * jitter.way(place + 1)
        return moved


@contextlib.contextmanager
def moving(traced: RoundingTrace, ways: Any, seed: Any, fed: Sequence[Any]) -> Iterator[None]:
    """While a graph is traced: let every float result be moved by its place in ``ways``, with signs drawn by ``seed``.

    Raises ``NotImplementedError`` where TensorFlow does not call back.
    """
    try:
        from tensorflow.python.framework import op_callbacks

        add, remove = op_callbacks.add_op_callback, op_callbacks.remove_op_callback
    except (ImportError, AttributeError) as error:
        raise NotImplementedError("TensorFlow does not tell of its operators") from error
    traced.begin(ways.graph, fed)
    callback = _Callback(traced, ways, seed).seen
    add(callback)
    try:
        yield
    finally:
        remove(callback)


@dataclass(frozen=True)
class _Operator:
    """One operator as it is put into a graph."""

    kind: str
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    attributes: Mapping[str, Any]

    @property
    def widens(self) -> bool:
        """Whether it casts a float to one that is no narrower."""
        if self.kind != "Cast":
            return False
        before, after = self.inputs[0].dtype, self.outputs[0].dtype
        return before in _floats() and bool(after.size >= before.size)

    @property
    def narrow(self) -> bool:
        """Whether it has a float attribute: kept in float32 whatever is computed, a constant, unless it is as short as
        0.25."""
        floats = [np.asarray(value, np.float32) for value in self.attributes.values() if isinstance(value, float)]
        return any(not _short(value).all() for value in floats)


def _floats() -> tuple[Any, ...]:
    import tensorflow as tf

    return (tf.float64, tf.float32, tf.float16, tf.bfloat16)


@dataclass(frozen=True)
class _Callback:
    """What TensorFlow calls with every operator: it counts the roundings, and gives moved results in their place."""

    traced: RoundingTrace
    ways: Any
    seed: Any

    def seen(
        self,
        kind: str,
        inputs: Sequence[Any],
        attributes: Any,
        outputs: Sequence[Any],
        op_name: Any = None,
        graph: Any = None,
    ) -> Any:
        import tensorflow as tf

        del op_name
        traced, inside = self.traced, graph is not self.traced.graph
        operator = _Operator(kind, inputs, outputs, _attributes(attributes))
        before = [traced.reached(tensor, inside) for tensor in inputs]
        fed = any(each for _, each in before) or (inside and kind == "Placeholder")
        body = _body(traced, operator, inside)
        own = self._own(operator) if body is None else 0
        narrow = operator.narrow
        if kind == "RealDiv" and not traced.exact:  # by a constant: when it freezes, a product with 1 / constant
            narrow = not before[1][1]
        total = max((count for count, _ in before), default=0) + own + (body or 0)
        if inside:
            traced.inner[graph.name] = max(traced.inner.get(graph.name, 0), total)
        results = []
        for index, tensor in enumerate(outputs):
            moves = own and tensor.dtype in _floats()
            new = self._moved(operator, index, own, fed and not narrow) if moves else tensor
            counts = tensor.dtype in (*_floats(), tf.variant)  # a list of tensors holds what was put into it
            traced.passed[new.ref()] = (total if counts else 0, fed)
            results.append(new)
        if body is not None:
            traced.loops.append((results[0], body))
        return results

    def _own(self, operator: _Operator) -> int:
        """How often an operator rounds."""
        if not any(tensor.dtype in _floats() for tensor in operator.outputs) or operator.widens:
            return 0
        if operator.kind == "Const" and _held(operator.attributes.get("value"), self.traced.exact):
            return 0
        return _own(self.traced, operator)

    def _moved(self, operator: _Operator, index: int, own: int, fed: bool) -> Any:
        """A result moved by its own roundings, at a place of its own."""
        import tensorflow as tf

        kind, tensor = operator.kind, operator.outputs[index]
        place = len(self.traced.places)
        self.traced.places.append((own, fed))
        coarser = {tf.float16: 2.0**14, tf.bfloat16: 2.0**17}.get(tensor.dtype, 1.0)  # its eps, in steps of 2^-24
        way = tf.cast(self.ways[place] * coarser, tensor.dtype)
        drawn = tf.random.stateless_uniform(tf.shape(tensor), tf.stack([self.seed, place]), 0, 2, tf.int32)
        signs = tf.cast(2 * drawn - 1, tensor.dtype)
        size = tf.abs(tensor)
        rounded = _rounded_inside(operator, index, tf.abs(way))
        if rounded is not None:
            rounded = tf.cast(rounded, tensor.dtype)
            size = tf.maximum(size, tf.where(tf.math.is_finite(rounded), rounded, tf.zeros_like(rounded)))
        if kind == "Sigmoid":
            size = tf.minimum(size * COARSEST, tf.ones_like(size))
        if self.traced.exact and tensor.dtype == tf.float64 and (kind in _CORRECT or kind in ("Const", *_SUMS)):
            held = tf.equal(tf.cast(tf.cast(tensor, tf.float32), tf.float64), tensor)
            if kind in _SUMS:
                held = held & _whole([t for t in operator.inputs if t.dtype == tf.float64])
            size = tf.where(held, tf.zeros_like(size), size)
        if kind == "Cast" and operator.inputs[0].dtype.is_integer:
            back = tf.cast(tf.cast(tensor, tf.float32), operator.inputs[0].dtype)
            size = tf.where(tf.equal(back, operator.inputs[0]), tf.zeros_like(size), size)
        change = signs * size * way
        moved = tensor + tf.where(tf.math.is_finite(change), change, tf.zeros_like(change))
        moved.set_shape(tensor.shape)
        return moved


def _rounded_inside(operator: _Operator, index: int, reach: Any) -> Any:
    """The size of the numbers that an operator of several steps rounds for a result; None where it is the result's own.

    The logarithm of a sum of powers is off by units of 1, and a cross entropy's derivative by units of its labels
    (Blanchard, Higham and Higham, IMA J. Numer. Anal. 41, 2021).  Moments over a batch, in two passes: what rounding
    leaves of the mean stays in ``x - m``, and its square in the variance (Chan, Golub and LeVeque, The American
    Statistician 37, 1983, table 1; Higham, Accuracy and Stability, 2nd ed., 1.9).
    """
    import tensorflow as tf

    kind, inputs, outputs, attributes = operator.kind, operator.inputs, operator.outputs, operator.attributes
    if kind in _CANCELS:
        return tf.constant(_CANCELS[kind], outputs[index].dtype)
    if kind in _CROSS_ENTROPIES:
        if index == 0:
            return tf.constant(1.0, outputs[0].dtype)
        sparse = kind.startswith("Sparse")
        return tf.one_hot(inputs[1], tf.shape(outputs[1])[-1]) if sparse else tf.abs(inputs[1])
    if kind in _BATCH_NORMS and attributes.get("is_training", True) and index < 3:
        x, scale = inputs[0], inputs[1]
        channels_first = attributes.get("data_format") in (b"NCHW", "NCHW")
        axes, shape = ([0, 2, 3], [1, -1, 1, 1]) if channels_first else ([0, 1, 2], [1, 1, 1, -1])
        away = tf.reduce_mean(tf.abs(x), axes)
        if index:
            return tf.cast(away, outputs[index].dtype) ** index * (1.0 if index == 1 else tf.cast(reach, away.dtype))
        variance = tf.reduce_mean((x - tf.reduce_mean(x, axes, keepdims=True)) ** 2, axes)
        lost = away * tf.abs(scale) * tf.math.rsqrt(variance + tf.cast(attributes.get("epsilon", 1e-4), x.dtype))
        return tf.broadcast_to(tf.reshape(lost, shape), tf.shape(x))
    return None


def _whole(floats: Sequence[Any]) -> Any:
    """Whether all are whole numbers so small that sums of their products are exact."""
    import tensorflow as tf

    return tf.reduce_all([tf.reduce_all((t == tf.round(t)) & (tf.abs(t) <= 256.0)) for t in floats])


def _held(value: Any, exact: bool) -> bool:
    """Whether float32 holds all numbers of a constant.

    One in float32 is what is left of a number; where the trace is not ``exact``, it may have been any longer one.
    """
    import tensorflow as tf

    if value is None:
        return False
    array = np.asarray(tf.make_ndarray(value))
    if array.dtype == np.float32 and not exact:
        return bool(_short(array).all())
    if array.dtype != np.float64:
        return True
    with np.errstate(over="ignore"):
        return bool(np.all((array.astype(np.float32) == array) | ~np.isfinite(array)))


def _short(array: Array) -> Array:
    """Where a float32 has so few digits that it has been written down as it is, as 0.25 has."""
    return np.asarray((array.view(np.uint32) & 0x3FF) == 0)


def _attributes(attributes: Any) -> dict[str, Any]:
    """The attributes of an operator as TensorFlow hands them to a callback: protocol buffers, or a flat list."""
    if isinstance(attributes, Mapping):
        return {name: _plain(value) for name, value in attributes.items()}
    pairs = list(attributes or ())
    return {name: _plain(value) for name, value in zip(pairs[::2], pairs[1::2], strict=False)}


def _plain(value: Any) -> Any:
    which = value.WhichOneof("value") if hasattr(value, "WhichOneof") else None
    if which is None:
        return value
    if which == "list":
        return list(value.list.i) or list(value.list.f)
    return getattr(value, which)


def _body(traced: RoundingTrace, operator: _Operator, inside: bool) -> int | None:
    """The roundings of one pass of a loop; None for what is none, and for one whose passes nobody counts."""
    inputs = operator.inputs
    if operator.kind not in _LOOPS or inside or not inputs or "loop_counter" not in inputs[0].name:
        return None
    body = getattr(operator.attributes.get("body"), "name", None)
    found = [longest for graph, longest in traced.inner.items() if body is not None and graph in (body, f"{body}_")]
    return found[0] if found else None


def _called(traced: RoundingTrace, operation: Any) -> int:
    """How often what is called rounds.  A function that was traced before this is not seen again: nobody counts it."""
    found: list[int] = []
    for where in _CALLS[operation.type]:
        called = operation.get_attr(where)
        for each in called if isinstance(called, list) else [called]:  # a name as __inference_NAME_23
            found += [longest for graph, longest in traced.inner.items() if f"_{graph}_" in each.name][:1] or [-1]
    if min(found, default=-1) < 0:
        traced.unknown[operation.type] = None
        return 0
    return max(found)


def _own(traced: RoundingTrace, operator: _Operator) -> int:
    kind, inputs = operator.kind, operator.inputs
    if kind == "Cast":
        return 1
    try:
        if kind in _COUNTED:
            return _COUNTED[kind](inputs, operator.outputs, operator.attributes)
        if kind in _FIXED:
            return _FIXED[kind]
        read = sum(_numel(t) for t in inputs if t.dtype.is_floating)
    except (_Unknown, IndexError, KeyError, TypeError, ValueError):
        read = 1
    traced.unknown[kind] = None
    return read + TRANSCENDENTAL
