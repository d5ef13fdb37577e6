"""Reshapes that act as Transposes do so, and those that scramble mix what the border keeps together: both run."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.facts.reshapes import singleton_permutation
from onnx_triangulate.ops.axis_propagation import group
from onnx_triangulate.records.inspection import LayoutReshape

HEAD = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1]>'
TO, BACK = "Transpose <perm = [0, 3, 1, 2]>", "Transpose <perm = [0, 2, 3, 1]>"
NHWC, NCHW = "float[2,7,8,3] x, float[5,3,1,1] w", "float[2,3,7,8] x, float[5,3,1,1] w"
S = "int64[2] s = {2,-1}"


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def kinds(text: str) -> list[tuple[str, str]]:
    return [(r.node, r.kind) for r in ModelView(parse(text)).reshapes]


def test_a_reshape_that_moves_axes_of_size_one_is_that_transpose_and_no_other_is() -> None:
    """Every pair of shapes made of a few sizes: what numpy does is what is said."""
    acts = 0
    for rank in (2, 3, 4):
        for dims in itertools.product((1, 2, 3), repeat=rank):
            x = np.arange(np.prod(dims)).reshape(dims)
            for made in sorted(set(itertools.permutations(dims))):
                perm = singleton_permutation(dims, made)
                if perm is not None:
                    np.testing.assert_array_equal(x.reshape(made), x.transpose(perm))
                    acts += 1
                else:
                    there = [p for p in itertools.permutations(range(rank)) if x.transpose(p).shape == made]
                    same = [p for p in there if np.array_equal(x.reshape(made), x.transpose(p))]
                    assert made == dims or not same, (dims, made, same)
    assert acts > 100


def test_groups_hold_the_same_elements() -> None:
    """Axes are said to correspond only where their indices do, whatever sizes the unknown dims turn out to have."""
    random = np.random.default_rng(0)
    known = 0
    for _ in range(3000):
        dims = tuple(int(d) for d in random.choice([1, 2, 3, 4, 6], size=int(random.integers(1, 6))))
        cuts = [0, *sorted(random.choice(len(dims) + 1, size=int(random.integers(0, 4)))), len(dims)]
        made = tuple(int(np.prod(dims[a:b])) for a, b in itertools.pairwise(cuts))
        if random.random() < 0.5:
            dims, made = made, dims
        blind = [tuple(None if random.random() < 0.3 else d for d in side) for side in (dims, made)]
        groups = group(blind[0], blind[1])
        for old, new in groups or ():
            known += 1
            assert int(np.prod([dims[a] for a in old])) == int(np.prod([made[a] for a in new])), (blind, groups)
            index = np.arange(int(np.prod(dims))).reshape(dims)
            before = np.unravel_index(np.arange(index.size), dims)
            after = np.unravel_index(np.arange(index.size), made)
            flat = [
                np.ravel_multi_index([i[a] for a in axes], [d[a] for a in axes]) if axes else 0
                for i, d, axes in ((before, dims, old), (after, made, new))
            ]
            np.testing.assert_array_equal(flat[0], flat[1], err_msg=str((blind, groups)))
    assert known > 2000


@pytest.mark.parametrize(
    ("inputs", "constants", "body", "found"),
    [
        # the classic: a model of channels last, flattened as the convolution has it
        (NHWC, S, f"t = {TO} (x) c = Conv (t, w) r = Relu (c) [f] y = Flatten (r)", [("f", "scrambles")]),
        (NHWC, S, f"t = {TO} (x) c = Conv (t, w) [f] y = Reshape (c, s)", [("f", "scrambles")]),
        (NHWC, "int64[3] s = {2,-1,4}", f"t = {TO} (x) c = Conv (t, w) [f] y = Reshape (c, s)", [("f", "scrambles")]),
        # transposed back before, as tf2onnx does
        (NHWC, S, f"t = {TO} (x) c = Conv (t, w) u = {BACK} (c) [f] y = Flatten (u)", [("f", "keeps")]),
        # PyTorch's own order
        (NCHW, S, "c = Conv (x, w) [f] y = Flatten (c)", [("f", "keeps")]),
        # a detection head: the graph asks for it
        (NCHW, "int64[3] s = {2,-1,5}", f"c = Conv (x, w) t = {BACK} (c) [f] y = Reshape (t, s)",
         [("f", "keeps")]),
        (NCHW, "int64[3] s = {2,-1,1}", f"c = Conv (x, w) t = {BACK} (c) [f] y = Reshape (t, s)", [("f", "permuted")]),
        # after a global pool there is nothing to mix
        (NHWC, S, f"t = {TO} (x) c = Conv (t, w) p = GlobalMaxPool (c) [f] y = Flatten (p)", []),
        # height and width alone are in the same order everywhere
        (NHWC, "int64[3] s = {2,5,-1}", f"t = {TO} (x) c = Conv (t, w) [f] y = Reshape (c, s)", [("f", "keeps")]),
        # nothing known of the border, or of the value
        ("float[2,7,8,3] x, float[5,3,1,1] w", S, "[f] y = Flatten (x)", []),
        ("float[2,3] x, float[5,3,1,1] w", "int64[4] s = {2,3,1,1}", "[r] r = Reshape (x, s) y = Conv (r, w)", []),
        # one channel
        ("float[2,7,8,1] x, float[1,1,1,1] w", S, f"t = {TO} (x) c = Conv (t, w) [f] y = Flatten (c)",
         [("f", "keeps")]),
        # tf2onnx's way of a Transpose, with one channel, and the scrambling one that only has its shape
        (
            "float[2,7,8,1] x, float[5,1,1,1] w",
            "int64[4] s = {2,1,7,8}",
            "[f] r = Reshape (x, s) y = Conv (r, w)",
            [("f", "transposes")],
        ),
        ("float[2,7,8,3] x, float[5,3,1,1] w", "int64[4] s = {2,7,8,5}",
         f"t = {TO} (x) c = Conv (t, w) [f] y = Reshape (c, s)", [("f", "scrambles")]),
        ("float[2,3,7,8] x, float[5,3,1,1] w", "int64[4] s = {2,7,8,5}",
         "c = Conv (x, w) [f] y = Reshape (c, s)", [("f", "scrambles")]),
        # a decoder: split in the border's order and turned, or split as the convolution wants it
        ("float[2,168] x, float[3,5,1,1] w", "int64[4] s = {2,7,8,3}",
         f"[f] r = Reshape (x, s) t = {TO} (r) c = ConvTranspose (t, w) y = {BACK} (c)", [("f", "keeps")]),
        ("float[2,168] x, float[3,5,1,1] w", "int64[4] s = {2,3,7,8}",
         f"[f] t = Reshape (x, s) c = ConvTranspose (t, w) y = {BACK} (c)", [("f", "scrambles")]),
        # sizes that are not known may be one
        ("float[2,H,W,3] x, float[5,3,1,1] w", S, f"t = {TO} (x) c = Conv (t, w) [f] y = Flatten (c)", []),
        ("float[N,H,8,3] x, float[5,3,1,1] w", S, f"t = {TO} (x) c = Conv (t, w) [f] y = Flatten (c)",
         [("f", "scrambles")]),
        # squeezed here and unsqueezed there
        ("float[2,7,8,1] x, float[5,1,1,1] w", "int64[1] a = {-1}, int64[1] b = {1}",
         "q = Squeeze (x, a) [u] r = Unsqueeze (q, b) y = Conv (r, w)", [("u", "transposes")]),
        # an operator of channels last in a model of channels second
        ("float[2,3,7,8] x, float[5,3,1,1] w", "float[2,7,8,5] p",
         f"c = Conv (x, w) t = {BACK} (c) p = com.microsoft.NhwcMaxPool <kernel_shape = [1,1]> (t) [f] y = Flatten (p)",
         [("f", "scrambles")]),
    ],
)  # fmt: skip
def test_kinds(inputs: str, constants: str, body: str, found: list[tuple[str, str]]) -> None:
    assert kinds(f"g ({inputs}) => (y) <{constants}> {{ {body} }}") == found


def ran(text: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    made: np.ndarray = ReferenceEvaluator(parse(text)).run(None, {"x": x, "w": w})[0]
    return made


@pytest.mark.parametrize("back", [True, False])
def test_what_scrambles_is_not_what_the_border_would_flatten_and_what_keeps_is(back: bool) -> None:
    last = f"u = {BACK} (c) [f] y = Flatten (u)" if back else "[f] y = Flatten (c)"
    text = f"g (float[2,7,8,3] x, float[3,3,1,1] w) => (y) {{ t = {TO} (x) c = Conv (t, w) {last} }}"
    x = np.arange(2 * 7 * 8 * 3, dtype=np.float32).reshape(2, 7, 8, 3)
    w = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    kept = np.array_equal(ran(text, x, w), x.reshape(2, -1))
    assert kept == back
    assert kinds(text) == [("f", "keeps" if kept else "scrambles")]


def test_the_sentence_says_what_was_seen_and_what_cannot_be_known() -> None:
    text = f"g ({NHWC}) => (y) {{ t = {TO} (x) c = Conv (t, w) [f] y = Flatten (c) }}"
    (found,) = ModelView(parse(text)).reshapes
    assert "C·H·W, the order of Conv" in found.message
    assert "border's order is H·W·C" in found.message
    assert "cannot be seen" in found.message
    acts = (
        "g (float[2,7,8,1] x, float[5,1,1,1] w) => (y) <int64[4] s = {2,1,7,8}> { r = Reshape (x, s) y = Conv (r, w) }"
    )
    assert ModelView(parse(acts)).reshapes == (
        LayoutReshape(
            "Reshape_0",
            "transposes",
            (0, 3, 1, 2),
            "it moves axes of size one only, as a Transpose by 0 3 1 2 would, NHWC to NCHW",
        ),
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("g (float[2,3,7,8] x, float[5,3,1,1] w) => (y) { y = Conv (x, w) }", []),
        ("g (float[2,3,7,8] x) => (y) <float[1,3,1,1] w = {1,2,3}> { y = Conv (x, w) }", [("w", "OIHW")]),
        ("g (float[2,3,7,8] x) => (y) <float[3,1,1,1] w = {1,2,3}> { y = ConvTranspose (x, w) }", [("w", "IOHW")]),
        (
            "g (float[2,3,7,8] x) => (y) <float[1,1,3,1] w = {1,2,3}> "
            "{ t = Transpose <perm = [3, 2, 0, 1]> (w) y = Conv (x, t) }",
            [("w", "HWIO")],
        ),
        ("g (float[2,2] x) => (y) <float[2,2] w = {1,2,3,4}> { y = MatMul (x, w) }", [("w", "IO")]),
        ("g (float[2,2] x) => (y) <float[2,2] w = {1,2,3,4}> { y = MatMul (w, x) }", [("w", "OI")]),
        ("g (float[2,2] x) => (y) <float[2,2] w = {1,2,3,4}> { y = Gemm <transB = 1> (x, w) }", [("w", "OI")]),
        ("g (float[2,2] x) => (y) <float[2,2] w = {1,2,3,4}> { y = Gemm (x, w) }", [("w", "IO")]),
        (
            "g (float[2,2] x) => (y) <float[2,2] w = {1,2,3,4}> { t = Transpose (w) y = MatMul (x, t) }",
            [("w", "OI")],
        ),
        (
            "g (float[2,3,8] x) => (y) <int8[1,3,1,1] w = {1,2,3}, float s = {2}, int64[1] two = {2}> "
            "{ d = DequantizeLinear (w, s) u = Unsqueeze (x, two) y = Conv (u, d) }",
            [("w", "OIHW")],
        ),
        # the same numbers for two that read them differently: no name
        (
            "g (float[2,2] x) => (y, z) <float[2,2] w = {1,2,3,4}> { y = MatMul (x, w) z = Gemm <transB = 1> (x, w) }",
            [],
        ),
    ],
)
def test_how_weights_are_stored(text: str, found: list[tuple[str, str]]) -> None:
    assert [(w.name, w.layout) for w in ModelView(parse(text)).weights] == found


def test_what_is_said_of_weights() -> None:
    text = """g (float[2,2] x) => (y) <float[2,2] w = {1,2,3,4}> { [m] y = MatMul (x, w) }"""
    model = parse(text)
    assert ModelView(model).weights[0].message == "as MatMul reads it"
    model.producer_name = "pytorch"
    assert "if it is one, the exporter stored it transposed" in ModelView(model).weights[0].message
    kernel = """g (float[2,4,7,8] x) => (y) <float[1,1,2,2] w = {1,2,3,4}> {
        [turn] t = Transpose <perm = [3, 2, 0, 1]> (w) [c] y = Conv <group = 2> (x, t) }"""
    (weight,) = ModelView(parse(kernel)).weights
    assert (weight.name, weight.node, weight.layout) == ("w", "c", "HWIO")
    for part in ("(turn)", "TensorFlow's kernels", "one of 2 groups"):
        assert part in weight.message
