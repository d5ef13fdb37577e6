"""Operations on bits, and shifts: of negative numbers, of small types."""

from __future__ import annotations

from typing import Any

from onnx_triangulate import Array, Case, Expected, Tensor
from onnx_triangulate.cases.refusals import left_by_tf2onnx, refused_by_torchscript

TAGS = ("bitwise",)


def case(name: str, dtype: str, torch: str, tensorflow: str, truth: Any, b: Any = (3, 10, 0, 7), **rest: Any) -> Case:
    a = [12, 10, 77, 100] if dtype.startswith("u") else [12, -10, -77, 100]
    return Case(
        name,
        {"a": Tensor("n", values=a, dtype=dtype), "b": Tensor("n", values=list(b), dtype=dtype)},
        {
            "torch": lambda module: getattr(module, torch),
            "tensorflow": lambda tf: getattr(tf.bitwise, tensorflow),
        },
        {"y": Tensor("n", dtype=dtype)},
        truth=truth,
        tags=TAGS,
        **rest,
    )


def left(a: Array, b: Array) -> Array:
    return a << b


def right(a: Array, b: Array) -> Array:
    return a >> b


POWERS = {
    ("torch", "torch:script>*"): Expected(
        "export", reason="the TorchScript exporter divides by a power of two, which rounds towards zero and not down"
    )
}
SIGNED = {
    ("torch", "torch>*"): Expected("export", op="Where", reason="the dynamo exporter shifts uint8 as int8"),
    ("torch", "torch:raw>*"): Expected(
        "export-failed", op="Where", reason="the dynamo exporter shifts uint8 as int8, in a graph that says uint8"
    ),
}

CASES = (
    case(
        "and",
        "int32",
        "bitwise_and",
        "bitwise_and",
        lambda a, b: a & b,
        expect=left_by_tf2onnx("BitwiseAnd"),
    ),
    case(
        "or",
        "int64",
        "bitwise_or",
        "bitwise_or",
        lambda a, b: a | b,
        expect=left_by_tf2onnx("BitwiseOr") | refused_by_torchscript("aten::bitwise_or"),
    ),
    case(
        "xor",
        "uint8",
        "bitwise_xor",
        "bitwise_xor",
        lambda a, b: a ^ b,
        expect=left_by_tf2onnx("BitwiseXor") | refused_by_torchscript("aten::bitwise_xor"),
    ),
    case("shift_left", "int32", "bitwise_left_shift", "left_shift", left, (1, 2, 0, 3)),
    case(
        "shift_right",
        "int32",
        "bitwise_right_shift",
        "right_shift",
        right,
        (1, 2, 0, 3),
        expect=POWERS,
    ),
    case(
        "shift_right_unsigned",
        "uint8",
        "bitwise_right_shift",
        "right_shift",
        right,
        (1, 2, 0, 3),
        expect=SIGNED,
    ),
    Case(
        "not",
        {"x": Tensor("n", values=[0, -1, 12, 127], dtype="int8")},
        {"torch": lambda torch: torch.bitwise_not, "tensorflow": lambda tf: tf.bitwise.invert},
        {"y": Tensor("n", dtype="int8")},
        truth=lambda x: ~x,
        tags=TAGS,
        expect=left_by_tf2onnx("Invert") | refused_by_torchscript("aten::bitwise_not"),
    ),
)
