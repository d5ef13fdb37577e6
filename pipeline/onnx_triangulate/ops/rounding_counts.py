"""How often an operator rounds at most, counted from a node's shapes and attributes.

Design note.  Counts are those of Higham's standard model: a sum of n products rounds n times in any order, and once
more for the bias; moving data rounds never; what IEEE 754 rounds correctly rounds once.  For elementary functions the
count is an allowance, not a theorem.  A count is ``None`` where a size is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import TensorProto

from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.ops.graph_node import GraphNode

Count = Callable[[GraphNode], int | None]

SUBNORMAL = 2.0**-149  # what a number below the normal ones of float32 may be off by, whatever its size
TRANSCENDENTAL = 4  # an allowance: implementations are within 2 ulp, one ulp is two roundings
# A function that is written out ((1 + tanh(x / 2)) / 2 for a sigmoid) errs by units of 1 where its result is small.
# It may, as long as the result keeps the 8 bits of bfloat16, for 2^-8 is COARSEST times 4 units of float32.  What is
# coarser is no float32 function any more.
COARSEST = 2.0**14


def interpolated(taps: int, length: int) -> int:
    """A sum over the taps of an axis, whose weights are made of a coordinate.

    The coordinate is no larger than the axis and rounded three times; where it moves, a linear weight moves as far and
    a cubic one up to twice as far.
    """
    return 2 * taps + 1 + 3 * length * (taps // 2)


def _product(dims: Dims | None) -> int | None:
    if dims is None or any(d is None for d in dims):
        return None
    return math.prod(d for d in dims if d is not None)


def _plus(count: int | None, more: int) -> int | None:
    return None if count is None else count + more


def conv(node: GraphNode) -> int | None:
    weight = node.shape(1)
    return _plus(_product(weight[1:] if weight is not None else None), 1)


def conv_transpose(node: GraphNode) -> int | None:
    weight = node.shape(1)
    count = _product((weight[0], *weight[2:]) if weight is not None and len(weight) > 2 else None)
    group = int(node.held.get("group", 1))
    return None if count is None or group < 1 else -(-count // group) + 1


def contraction(node: GraphNode) -> int | None:
    """K of MatMul and Gemm, from whichever operand tells it."""
    held = node.held
    left, right = node.shape(0), node.shape(1)
    candidates = []
    if left:
        candidates.append(left[0] if held.get("transA") else left[-1])
    if right:
        candidates.append(right[-1] if held.get("transB") or len(right) == 1 else right[-2])
    length = next((c for c in candidates if c is not None), None)
    scales = sum(held.get(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    return _plus(length, 1 + scales)


def pool(node: GraphNode) -> int | None:
    kernel = node.held.get("kernel_shape")
    return math.prod(kernel) + 1 if kernel else None


def global_pool(node: GraphNode) -> int | None:
    shape = node.shape(0)
    return _plus(_product(shape[2:] if shape is not None else None), 1)


def _reduced(node: GraphNode) -> int | None:
    """How many elements a Reduce* operator takes together; 1 where it reduces nothing."""
    shape = node.shape(0)
    held = node.held
    axes = held.get("axes")
    if axes is None and len(node.place.inputs) > 1 and node.place.inputs[1]:
        axes = node.place.graph.integers(node.place.inputs[1])
        if axes is None:
            return None
    if not axes:
        return 1 if held.get("noop_with_empty_axes") else _product(shape)
    if shape is None or any(not -len(shape) <= a < len(shape) for a in axes):
        return None
    return _product(tuple(shape[a] for a in axes))


def reduction(roundings: int) -> Count:
    return lambda node: _plus(_reduced(node), roundings)


def along_axis(roundings: int, default_axis: int = -1) -> Count:
    def count(node: GraphNode) -> int | None:
        shape = node.shape(0)
        axis = int(node.held.get("axis", default_axis))
        if shape is None or not -len(shape) <= axis < len(shape):
            return None
        return _plus(shape[axis], roundings)

    return count


def from_axis(roundings: int, default_axis: int = -1) -> Count:
    def count(node: GraphNode) -> int | None:
        shape = node.shape(0)
        axis = int(node.held.get("axis", default_axis))
        return _plus(_product(shape[axis:] if shape is not None else None), roundings)

    return count


def instance_normalization(node: GraphNode) -> int | None:
    shape = node.shape(0)
    return _plus(_product(shape[2:] if shape is not None else None), 8)


def batch_normalization(node: GraphNode) -> int | None:
    if not node.held.get("training_mode"):
        return 6
    shape = node.shape(0)
    return _plus(_product((shape[0], *shape[2:]) if shape is not None and len(shape) > 1 else None), 8)


def operands(node: GraphNode) -> int | None:
    return len(node.place.inputs)


def operands_but_one(node: GraphNode) -> int | None:
    return max(0, len(node.place.inputs) - 1)


def more(count: Count, roundings: int) -> Count:
    """So many roundings more than another count."""
    return lambda node: _plus(count(node), roundings)


def softmax(roundings: int) -> Count:
    """Along its axis; before opset 13 a softmax took everything from its axis on together."""
    own, rest = along_axis(roundings, -1), from_axis(roundings, 1)
    return lambda node: own(node) if node.version >= 13 else rest(node)


def cast(node: GraphNode) -> int | None:
    return 1 if node.held.get("to") in (TensorProto.FLOAT, TensorProto.DOUBLE) else _to_whole(node)


def _to_whole(node: GraphNode) -> int | None:
    narrow = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.STRING)
    kind = node.held.get("to")
    return None if kind is None or kind in narrow or kind > TensorProto.BFLOAT16 else 0


def dropout(node: GraphNode) -> int | None:
    return 0 if len(node.place.inputs) < 3 or not node.place.inputs[2] else None


def scatter(node: GraphNode) -> int | None:
    """Whatever is added to one place, of all the updates at most."""
    return 0 if node.held.get("reduction", "none") in ("none", "max", "min") else _product(node.shape(2))


def resize(node: GraphNode) -> int | None:
    """Linear or cubic: per axis :func:`interpolated`."""
    mode = node.held.get("mode", "nearest")
    if mode == "nearest":
        return 0
    taps = {"linear": 2, "cubic": 4}.get(str(mode))
    dims = node.shape(0)
    if taps is None or dims is None or any(dim is None for dim in dims):
        return None
    return sum(interpolated(taps, dim) for dim in dims[2:] if dim is not None)


def recurrent(node: GraphNode) -> int | None:
    """Each step sums over its input and its state, adds biases and passes gates of elementary functions."""
    x, r = node.shape(0), node.shape(2)
    if x is None or r is None or len(x) != 3 or len(r) != 3 or x[0] is None or x[2] is None or r[2] is None:
        return None
    return x[0] * (x[2] + r[2] + 2 + 4 * TRANSCENDENTAL)


def einsum(node: GraphNode) -> int | None:
    """As many products are added as the letters that are not in the result run over, each of one factor per operand."""
    equation = str(node.held.get("equation", "")).replace(" ", "")
    left, arrow, result = equation.partition("->")
    if not arrow or "." in equation:
        return None
    sizes: dict[str, int] = {}
    for slot, letters in enumerate(left.split(",")):
        dims = node.shape(slot)
        if dims is None or len(dims) != len(letters):
            return None
        for letter, dim in zip(letters, dims, strict=True):
            if dim is None:
                return None
            sizes[letter] = dim
    return math.prod(size for letter, size in sizes.items() if letter not in result) + len(left.split(","))


def of_all(roundings: int = 0) -> Count:
    """As many roundings as the first input has elements, at most."""
    return lambda node: _plus(_product(node.shape(0)), roundings)


def channels(node: GraphNode) -> int | None:
    """A running sum over neighbouring channels rounds as if it held them all; then a power and a division."""
    shape = node.shape(0)
    return None if shape is None or len(shape) < 2 or shape[1] is None else 2 * shape[1] + TRANSCENDENTAL + 6


def grid_sample(node: GraphNode) -> int | None:
    """Corners, or four taps an axis, whose weights carry the rounding of a coordinate as large as the axis."""
    shape = node.shape(0)
    if shape is None or len(shape) < 3 or any(dim is None for dim in shape[2:]):
        return None
    if str(node.held.get("mode", "linear")) == "nearest":
        return 0
    cubic = "cubic" in str(node.held.get("mode", ""))
    taps = int((4 if cubic else 2) ** (len(shape) - 2))
    return 3 * taps + sum(4 * (2 if cubic else 1) * (dim + 2) for dim in shape[2:] if dim is not None)


def attention(node: GraphNode) -> int | None:
    """Products over the head, a softmax over the keys, products over the keys."""
    query, keys = node.shape(0), node.shape(1)
    if not query or not keys or query[-1] is None or keys[-2] is None:
        return None
    return query[-1] + 2 * keys[-2] + 8 + TRANSCENDENTAL


def fourier(node: GraphNode) -> int | None:
    """A discrete Fourier transform along the longest axis."""
    shape = node.shape(0)
    length = max((dim for dim in shape if dim is not None), default=1) if shape is not None else None
    return None if shape is None or None in shape or length is None else of_fourier(length)


def of_fourier(length: int) -> int:
    """A transform of so many numbers, summed directly (a fast one rounds less): two products a term, a sine and a
    cosine, and their angle, which is at most 2 pi times the length and is rounded."""
    return 2 * length + 2 * TRANSCENDENTAL + 7 * length
