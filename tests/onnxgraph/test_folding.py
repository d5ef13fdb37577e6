"""What is folded is what ONNX's own evaluator gives, to the bit; what runtimes may not agree on is not folded."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.onnxgraph.folding import FOLDS, fold
from onnx_triangulate.onnxgraph.nodes import attributes

Array = np.ndarray[Any, Any]

FLOATS, INTS = ("float16", "float32", "float64"), ("int8", "uint8", "int32", "int64")
SIGNED = ("int8", "int32", "int64")
NUMBERS = (*FLOATS, *INTS)
ONE: dict[str, tuple[str, ...]] = {
    "Neg": (*FLOATS, *SIGNED),
    "Abs": NUMBERS,
    "Sqrt": FLOATS,
    "Floor": FLOATS,
    "Ceil": FLOATS,
    "Reciprocal": FLOATS,
    "Not": ("bool",),
    "Transpose": NUMBERS,
    "Trilu": NUMBERS,
    **dict.fromkeys(("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin"), (*FLOATS, "int32", "int64")),
}
TWO: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "Greater"), NUMBERS),
    **dict.fromkeys(("LessOrEqual", "GreaterOrEqual"), NUMBERS),
    "Equal": (*NUMBERS, "bool"),
    "And": ("bool",),
    "Or": ("bool",),
    "Concat": NUMBERS,
    "Where": NUMBERS,
}
ATTRIBUTES = {"Concat": {"axis": 0}}


def evaluated(op: str, held: dict[str, Any], given: list[Array | None], opset: int = 18) -> Array:
    names = [f"i{place}" if value is not None else "" for place, value in enumerate(given)]
    feeds = {name: value for name, value in zip(names, given, strict=True) if value is not None}
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in feeds.items()
    ]
    node = helper.make_node(op, names, ["y"], **held)
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])


def folded(op: str, held: dict[str, Any], *given: Array | None) -> Array | None:
    return fold(op, attributes(helper.make_node(op, [], [], **held)), list(given))


def same(left: Array, right: Array) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


def values(dtype: str) -> list[Array]:
    """Small ones, and such as overflow, round, are no number, or are zero with a sign."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return [np.array([[True, False], [True, True]]), np.array([[False, False], [True, False]])]
    small = [[[1, 2], [3, 4]], [[7, 5], [2, 3]]]
    if kind.kind == "f":
        odd = [[[0.1, -2.5], [np.nan, 0.0]], [[-0.0, 7.0], [1.0, -np.inf]], [[3e4, 1e-7], [65504, 0.3]]]
        return [np.array(v, kind) for v in (*small, *odd, [[-0.7, -7], [-8, 9]])]
    known = np.iinfo(kind)
    extreme = [[known.min, known.max], [known.max - 1, 1]]
    signed = [[[-7, 7], [-8, 9]], [[2, -2], [-3, -1]]] if kind.kind == "i" else []
    return [np.array(v, kind) for v in (*small, *signed, extreme)]


CASES = [(op, dtype, 1) for op, types in ONE.items() for dtype in types]
CASES += [(op, dtype, 2) for op, types in TWO.items() for dtype in types]


@pytest.mark.parametrize(("op", "dtype", "count"), CASES, ids=[f"{op}-{dtype}" for op, dtype, _ in CASES])
def test_what_is_folded_is_what_onnx_says(op: str, dtype: str, count: int) -> None:
    at_all = 0
    for left in values(dtype):
        for right in values(dtype) if count == 2 else [None]:
            given = [v for v in (left, right) if v is not None]
            if op == "Where":
                given.insert(0, np.array([[True, False], [False, True]]))
            made = folded(op, ATTRIBUTES.get(op, {}), *given)
            if made is not None:
                at_all += 1
                with np.errstate(all="ignore"):
                    expected = evaluated(op, ATTRIBUTES.get(op, {}), list(given))
                if op == "Div" and left.dtype.kind == "i":  # the evaluator rounds down where the operator truncates
                    assert right is not None
                    expected = np.array(
                        [
                            abs(int(a)) // abs(int(b)) * (1 if (a < 0) == (b < 0) else -1)
                            for a, b in zip(left.flat, right.flat, strict=True)
                        ],
                        dtype,
                    ).reshape(left.shape)
                assert same(made, expected), (given, made, expected)
    assert at_all


MOVED: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("Slice", {}, [[1, 2, 3], [0], [-1]]),
    ("Slice", {}, [[1, 2, 3], [-1], [-9], [0], [-2]]),
    ("Slice", {}, [[1, 2, 3], [-9], [9], [0], [2]]),
    ("Slice", {}, [[[1, 2], [3, 4]], [1], [2**63 - 1], [-1]]),
    ("Slice", {}, [[1, 2, 3], [5], [-(2**63)], [0], [-1]]),
    ("Unsqueeze", {}, [[1, 2], [-1, 0]]),
    ("Squeeze", {}, [[[1], [2]], [-1]]),
    ("Squeeze", {}, [[[1]]]),
    ("Reshape", {}, [[[1, 2], [3, 4]], [0, -1]]),
    ("Reshape", {"allowzero": 1}, [[[1, 2], [3, 4]], [-1]]),
    ("Expand", {}, [[[1], [2]], [2, 1, 3]]),
    ("ConstantOfShape", {"value": numpy_helper.from_array(np.array([3], np.int8))}, [[2, 2]]),
    ("ConstantOfShape", {}, [[2]]),
    ("Gather", {"axis": 1}, [[[1, 2], [3, 4]], [-1]]),
    ("Gather", {}, [[1, 2], -2]),
    ("Concat", {"axis": -1}, [[[1, 2]], [[3, 4]]]),
    ("Trilu", {"upper": 0}, [[[1, 2], [3, 4]], -1]),
    ("Transpose", {"perm": [1, 0]}, [[[1, 2], [3, 4]]]),
    ("ReduceSum", {"keepdims": 0}, [[[1, 2], [3, 4]], [1]]),
    ("Range", {}, [1, 8, 3]),
    ("Range", {}, [8, 1, -3]),
    ("Range", {}, [1, 1, 3]),
]


@pytest.mark.parametrize(("op", "held", "given"), MOVED)
def test_what_is_moved_is_where_onnx_puts_it(op: str, held: dict[str, Any], given: list[Any]) -> None:
    arrays = [np.array(v, np.int64) for v in given]
    made = folded(op, held, *arrays)
    assert made is not None
    assert same(np.ascontiguousarray(made).reshape(made.shape), evaluated(op, held, list(arrays)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("given", [(0, 9, 2), (0, 2.5, 1), (3, -2.5, -1), (0.25, 3, 0.5), (1, 0, 1), (-2, 2, 0.75)])
def test_a_range_of_floats_is_folded_where_it_is_exact(given: tuple[float, ...], dtype: str) -> None:
    arrays = [np.array(v, dtype) for v in given]
    made = folded("Range", {}, *arrays)
    if made is None:
        assert (dtype, given[2] % 1 != 0) == ("float16", True)
        return
    assert same(made, evaluated("Range", {}, list(arrays)))


def test_every_operator_that_is_folded_is_tried_here() -> None:
    assert set(FOLDS) == {*ONE, *TWO, *(op for op, *_ in MOVED), "Cast"}


CAST = ["bool", *INTS, "uint64", *FLOATS, "bfloat16"]


@pytest.mark.parametrize("to", CAST)
@pytest.mark.parametrize("dtype", CAST)
def test_a_cast_that_is_folded_is_what_onnx_says(dtype: str, to: str) -> None:
    kind = TensorProto.DataType.Value({"float32": "FLOAT", "float64": "DOUBLE"}.get(to, to.upper()))
    at_all = 0
    for value in values("float32" if dtype == "bfloat16" else dtype):
        if dtype == "bfloat16":
            value = value.astype(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))
        made = folded("Cast", {"to": kind}, value)
        if made is not None:
            at_all += 1
            assert same(made, evaluated("Cast", {"to": kind}, [value]))
    assert at_all or {dtype, to} == {"float16", "bfloat16"}


F8 = TensorProto.FLOAT8E4M3FN
A = np.array


@pytest.mark.parametrize(
    ("op", "held", "given"),
    [
        ("Cast", {"to": F8}, [A([1000.0], np.float32)]),
        ("Cast", {"to": F8, "saturate": 0}, [A([1000.0], np.float32)]),
        ("Cast", {"to": TensorProto.INT32}, [A([3e9], np.float32)]),
        ("Cast", {"to": TensorProto.INT64}, [A([2.0**63])]),
        ("Cast", {"to": TensorProto.INT8}, [A([np.nan], np.float32)]),
        ("Cast", {"to": TensorProto.UINT8}, [A([-1.0], np.float32)]),
        ("Cast", {"to": TensorProto.FLOAT16}, [A([1 + 2.0**-11 + 2.0**-40])]),
        ("Cast", {"to": TensorProto.FLOAT16}, [A([2049], np.int64)]),
        ("Div", {}, [A([1], np.int64), A([0], np.int64)]),
        ("Div", {}, [A([-(2**63)], np.int64), A([-1], np.int64)]),
        ("Add", {}, [A([2**63 - 1], np.int64), A([1], np.int64)]),
        ("Add", {}, [A([1], np.int64), A([1], np.int32)]),
        ("Add", {"broadcast": 1, "axis": 0}, [A([[1, 2], [3, 4]]), A([1, 2])]),
        ("Add", {}, [A([True]), A([True])]),
        ("Sub", {}, [A([1], np.uint8), A([2], np.uint8)]),
        ("Sub", {}, [A([2**60], np.uint64), A([2**60 + 1], np.uint64)]),
        ("Mul", {}, [A([2**40], np.int64), A([2**40], np.int64)]),
        ("Neg", {}, [A([-128], np.int8)]),
        ("Abs", {}, [A([-128], np.int8)]),
        ("Reciprocal", {}, [A([3], np.int64)]),
        ("And", {}, [A([1]), A([2])]),
        ("Where", {}, [A([1]), A([1.0]), A([2.0])]),
        ("Where", {}, [A([True]), A([1.0], np.float32), A([2.0])]),
        ("Concat", {"axis": 0}, [A([1], np.int32), A([2], np.int64)]),
        ("Range", {}, [A(0.0, np.float32), A(1.0, np.float32), A(0.1, np.float32)]),
        ("Range", {}, [A(0.0, np.float32), A(1e9, np.float32), A(5e8, np.float32)]),
        ("Max", {}, [A([0.0]), A([-0.0])]),
        ("Max", {}, [A([1.0]), A([np.nan])]),
        ("ReduceMin", {}, [A([1.0, np.nan])]),
        ("ReduceSum", {}, [A([0.1, 0.2], np.float32)]),
        ("ReduceSum", {}, [A([2.0**24, 1.0], np.float32)]),
        ("ReduceProd", {}, [A([2**40, 2**40], np.int64)]),
        ("ReduceSum", {"noop_with_empty_axes": 1}, [A([1, 2]), A([], np.int64)]),
        ("Trilu", {}, [A([1, 2])]),
        ("Unsqueeze", {}, [A([1, 2]), A([5])]),
        ("Squeeze", {}, [A([[1]]), A([], np.int64)]),
        ("Reshape", {}, [A([[1, 2]]), A([-2])]),
        ("Slice", {}, [A([[1, 2], [3, 4]]), A([0, 1]), A([1, 2]), A([0, -2])]),
    ],
)
def test_what_runtimes_may_not_agree_on_is_not_folded(op: str, held: dict[str, Any], given: list[Array]) -> None:
    assert folded(op, held, *given) is None


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceProd", "ReduceMax", "ReduceMin"])
def test_no_axes_are_all_of_them(op: str) -> None:
    value = np.array([[1, 2], [3, 4]], np.int64)
    made = folded(op, {"noop_with_empty_axes": 0}, value, np.array([], np.int64))
    expected = folded(op, {}, value)
    assert made is not None
    assert expected is not None
    assert same(made, expected)
    assert made.size == 1


def test_integers_of_more_than_53_bits_are_divided_as_integers() -> None:
    big = np.array([2**62 + 1, -(2**62) - 1], np.int64)
    made = folded("Div", {}, big, np.array([1, 2], np.int64))
    assert made is not None
    assert made.tolist() == [2**62 + 1, -(2**61)]
