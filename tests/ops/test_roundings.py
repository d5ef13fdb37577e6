"""The count of roundings is the longest path's, and there is none where something is not known."""

from __future__ import annotations

import onnx
import pytest

from onnx_triangulate.ops.roundings import longest_roundings

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def count(text: str, head: str = HEAD) -> int | None:
    return longest_roundings(onnx.parser.parse_model(f"{head} {text}"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g (float[2,3] x) => (float[3,2] y) { y = Transpose (x) }", 0),
        ("g (float[2,3] x) => (float[2,3] y) { a = Relu (x) y = Add (a, x) }", 1),
        ("g (float[1,2,6,6] x, float[3,2,3,3] w) => (float[1,3,A,B] y) { y = Conv (x, w) }", 2 * 3 * 3 + 1),
        ("g (float[1,4,6,6] x, float[4,1,3,3] w) => (float[1,4,A,B] y) { y = Conv <group = 4> (x, w) }", 9 + 1),
        ("g (float[1,4,6] x, float[4,3,5] w) => (float[1,3,A] y) { y = ConvTranspose (x, w) }", 4 * 5 + 1),
        ("g (float[1,4,6] x, float[4,3,5] w) => (float[1,6,A] y) { y = ConvTranspose <group = 2> (x, w) }", 2 * 5 + 1),
        ("g (float[2,7] x, float[7,3] w) => (float[2,3] y) { y = MatMul (x, w) }", 8),
        ("g (float[2,7] x, float[3,7] w, float[3] b) => (float[2,3] y) { y = Gemm <transB = 1> (x, w, b) }", 8),
        ("g (float[2,7] x, float[7,3] w) => (float[2,3] y) { y = Gemm <alpha = 0.3> (x, w) }", 9),
        ("g (float[2,7,8] x) => (float[2,1,1] y) <int64[2] a = {1, 2}> { y = ReduceMean (x, a) }", 57),
        ("g (float[2,7,8] x) => (float[1,1,1] y) { y = ReduceSum (x) }", 113),
        ("g (float[2,7] x) => (float[2,7] y) { y = ReduceSum <noop_with_empty_axes = 1> (x) }", 2),
        ("g (float[2,7] x) => (float[2,7] y) { y = Softmax (x) }", 13),
        (
            'g (float[1,1,2] x) => (float[1,1,4] y) <float[3] s = {1,1,2}> { y = Resize <mode = "cubic"> (x, , s) }',
            2 * 4 + 1 + 3 * 2 * 2,  # the taps, and a coordinate of an axis of 2, which a cubic weight moves by twice
        ),
        ('g (float[2,3] x, float[3,4] w) => (float[2,4] y) { y = Einsum <equation = "bi,ij->bj"> (x, w) }', 3 + 2),
        (
            "g (float[5,1,3] x, float[1,8,3] w, float[1,8,2] r) => (float[5,1,1,2] y) "
            "{ y = LSTM <hidden_size = 2> (x, w, r) }",
            5 * (3 + 2 + 2 + 16),
        ),
        ("g (float[1,2,6] x) => (float[1,2,A] y) { y = AveragePool <kernel_shape = [3]> (x) }", 4),
        ("g (float[1,2,6,7] x) => (float[1,2,1,1] y) { y = GlobalAveragePool (x) }", 43),
        ("g (float[2,7] x) => (float[2,7] y) { a = Exp (x) b = Log (a) y = Mul (b, b) }", 9),
        ("g (float[2,7] x, float[7] s) => (float[2,7] y) { y = LayerNormalization (x, s) }", 15),
        ("g (float[2,7] x) => (float[2,7] y) { s = SequenceConstruct (x, x) y = SequenceAt (s, i) }", 0),
        ("g (float[2,7] x, float[7,3] w) => (float[2,3] y) { y = com.microsoft.FusedMatMul <alpha = 0.5> (x, w) }", 9),
        ("g (float[2,7] x, float[7] s) => (float[2,7] y) { y = com.microsoft.SkipLayerNormalization (x, x, s) }", 17),
        ("g (float[2,7] x) => (float[2,7] y) { y = elsewhere.MatMul (x, x) }", None),
    ],
)
def test_counts(text: str, expected: int | None) -> None:
    assert count(text) == expected


def test_the_longest_path_counts_and_dead_ends_do_not() -> None:
    text = """g (float[2,7] x, float[7,7] w) => (float[2,7] y) {
        short = Add (x, x)
        long = MatMul (x, w)
        longer = MatMul (long, w)
        nowhere = Nonsense (longer)
        y = Add (short, longer)
    }"""
    assert count(text) == 8 + 8 + 1


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2,7] x) => (float[2,7] y) { y = Nonsense (x) }",
        "g (float[2,K] x, float[L,3] w) => (float[2,3] y) { y = MatMul (x, w) }",
        "g (float[2,7] x, int64[1] a) => (float[2,1] y) { y = ReduceSum (x, a) }",
        "g (float[2,7] x) => (float16[2,7] y) { y = Cast <to = 10> (x) }",
        'g (float[1,1,K] x) => (float[1,1,L] y) <float[3] s = {1,1,2}> { y = Resize <mode = "cubic"> (x, , s) }',
        'g (float[2,3] x, float[3,4] w) => (float[2,4] y) { y = Einsum <equation = "...i,ij"> (x, w) }',
        "g (float[S,1,3] x, float[1,8,3] w, float[1,8,2] r) => (float[S,1,1,2] y) { y = LSTM (x, w, r) }",
    ],
)
def test_no_count_where_something_is_not_known(text: str) -> None:
    assert count(text) is None


def test_a_softmax_before_opset_13_takes_the_rest_together() -> None:
    text = "g (float[2,3,7] x) => (float[2,3,7] y) { y = Softmax <axis = 1> (x) }"
    assert count(text, '<ir_version: 6, opset_import: ["" : 11]>') == 3 * 7 + 6
    assert count(text) == 3 + 6


def test_local_functions_are_inlined() -> None:
    text = """g (float[2,7] x) => (float[2,7] y) { y = local.F (x) }
        <domain: "local", opset_import: ["" : 18]> F (a) => (b) { c = Exp (a) b = Mul (c, c) }"""
    assert count(text, '<ir_version: 8, opset_import: ["" : 18, "local" : 1]>') == 5


def test_a_batch_norm_in_training_counts_its_reduction() -> None:
    text = "g (float[2,3,7] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float[2,3,7] y) { "
    assert count(text + "y = BatchNormalization (x, s, b, m, v) }") == 6
    training = text + "y, rm, rv = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"
    assert count(training) == 2 * 7 + 8
