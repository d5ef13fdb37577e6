"""Pairs that ordinary feeds do not tell apart, each with its healthy twin: a graph A, one that means something else
where few feeds look, and one that is written another way and means the same.

Each entry is ``kind: {name: (border, A, other, twin)}``, or with the sizes to begin at behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

RANDOM = np.random.default_rng(7)
WEIGHTS = {
    "w": RANDOM.normal(size=(8, 5)) / 5,
    "v": RANDOM.normal(size=(8, 5)) / 5,
    "w1": RANDOM.normal(size=(8, 1)),
    "w2": RANDOM.normal(size=(5, 4)),
    "table": RANDOM.normal(size=(64, 4)),
    "rows": RANDOM.normal(size=(500, 4)),
    "few": RANDOM.normal(size=(8, 4)),
    "tri": np.where(np.tril(np.ones((8, 8))), 0.0, -1e9),
    "g": RANDOM.normal(size=5),
    "h": RANDOM.normal(size=5),
}
WEIGHTS["w1b"] = WEIGHTS["w1"] * (1 + 0.004 * np.sign(RANDOM.normal(size=(8, 1))))
WEIGHTS["few"] = WEIGHTS["table"][:8]
WEIGHTS["rows2"] = WEIGHTS["rows"].copy()
WEIGHTS["rows2"][417, 2] += 1.0
WEIGHTS["w2b"] = WEIGHTS["w2"] * 1.5
WEIGHTS["wt"] = WEIGHTS["w"].T
WEIGHTS["w2t"] = WEIGHTS["w2"].T
WEIGHTS["two_w"] = WEIGHTS["w"] * 2
WEIGHTS["eye"] = np.eye(4)
WEIGHTS["square"] = np.tril(np.ones((1024, 1024)))


@dataclass(frozen=True)
class Made:
    """Three graphs: the first, one that is another function, one that is the same."""

    kind: str
    name: str
    a: onnx.ModelProto
    other: onnx.ModelProto
    twin: onnx.ModelProto
    dims: dict[str, int]


def graph(border: str, nodes: str, opset: int = 18) -> onnx.ModelProto:
    """Constants that the nodes read, by name, are of :data:`WEIGHTS`; those in the border are the border's."""
    made = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}]> g {border} {{ {nodes} }}')
    held = {t.name for t in made.graph.initializer} | {i.name for i in made.graph.input}
    held |= {name for node in made.graph.node for name in node.output}
    used = {name for node in made.graph.node for name in node.input}
    for name, value in WEIGHTS.items():
        if name in used - held:
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    read = {t.name for t in made.graph.initializer} & used_anywhere(made.graph)
    for tensor in [t for t in made.graph.initializer if t.name not in read]:
        made.graph.initializer.remove(tensor)
    return made


def used_anywhere(held: onnx.GraphProto) -> set[str]:
    names = {name for node in held.node for name in node.input} | {o.name for o in held.output}
    for node in held.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                names |= used_anywhere(attribute.g)
    return names


LINE = "(float[6] x) => (float[6] y)"
ROWS = "(float[2,8] x) => (float[2,5] y)"
FLAT = "(float[n,8] x) => (float[n,m] y)"
SEQ = "(float[b,t,4] x) => (float[b,t,4] y)"
IDS = "(int64[6] x) => (int64[6] y)"
SMALL = "(int32[6] x) => (int32[6] y)"
BYTES = "(uint8[6] x) => (uint8[6] y)"
IMAGE = "(float[1,2,h,w] x) => (float[1,2,p,q] y)"
TOKENS = "(int64[1,4] x) => (float[1,4,4] y)"
T8 = {"b": 1, "t": 8}
N2 = {"n": 2}
HW8 = {"h": 8, "w": 8}

FLAGS = "({}) => (bool y)".format(", ".join(f"bool x{i}" for i in range(12)))
ASKED = "".join(f"n{i} = {'Not' if i % 3 else 'Identity'} (x{i}) " for i in range(12))
CHAIN = "c1 = And (n0, n1) " + "".join(f"c{i} = And (c{i - 1}, n{i}) " for i in range(2, 12))
ALONE = "".join(f"n{i} = {'Not' if i != 4 else 'Identity'} (x{i}) " for i in range(12))
NONE = "o1 = Or (x0, x1) o2 = Or (o1, x2) o3 = Or (o2, x3) o5 = Or (o3, x5) " + "".join(
    f"o{i} = Or (o{i - 1}, x{i}) " for i in range(6, 12)
)
HALF, DOUBLE = "(float16[n,4] x) => (float16[n,4] y)", "(double[n,4] x) => (double[n,4] y)"
COUNTED = "(float[7,11] x, int64 k) => (float[7,11] y)"

PAIRS: dict[str, dict[str, tuple]] = {  # type: ignore[type-arg]  # entries of four or five, as said at the top
    "sizes": {
        "a Reshape": (
            FLAT + " <int64[2] s = {0,8}, int64[2] z = {2,8}, int64[2] o = {-1,8}>",
            "r = Relu (x) y = Reshape (r, s)", "r = Relu (x) y = Reshape (r, z)", "r = Relu (x) y = Reshape (r, o)", N2),
        "an Expand": (
            "(float[n,1] x) => (float[n,4] y) <int64[2] s = {1,4}, int64[2] z = {2,4}, float[4] o = {0,0,0,0}>",
            "y = Expand (x, s)", "y = Expand (x, z)", "y = Add (x, o)", N2),
        "a Tile": (
            "(float[n,3] x) => (float[n,6] y) <int64[2] r = {1,2}, int64[2] s = {2,6}>",
            "y = Tile (x, r)", "t = Tile (x, r) y = Reshape (t, s)", "y = Concat <axis = 1> (x, x)", N2),
        "an end of a Slice": (
            SEQ + " <int64[1] z = {0}, int64[1] e = {100000}, int64[1] f = {8}, int64[1] a = {1}>",
            "r = Relu (x) y = Slice (r, z, e, a)", "r = Relu (x) y = Slice (r, z, f, a)", "r = Relu (x) y = Identity (r)",
            T8),
        "positions": (
            SEQ + " <int64[1] z = {0}, int64[1] a = {0}, int64 o = {0}, int64 l = {1}>",
            "s = Shape <start = 1, end = 2> (x) p = Slice (table, z, s, a) y = Add (x, p)", "y = Add (x, few)",
            "s = Shape <start = 1, end = 2> (x) q = Squeeze (s) r = Range (o, q, l) p = Gather (table, r) y = Add (p, x)",
            T8),
        "a causal mask": (
            "(float[b,t,t] x) => (float[b,t,t] y) <float k = {-1e9}, float o = {1}>",
            "s = Shape <start = 1> (x) c = ConstantOfShape <value = float[1] {1}> (s) m = Trilu <upper = 0> (c) "
            "i = Sub (o, m) n = Mul (i, k) a = Add (x, n) y = Softmax <axis = 2> (a)",
            "a = Add (x, tri) y = Softmax <axis = 2> (a)",
            "s = Shape <start = 1> (x) c = ConstantOfShape <value = float[1] {1}> (s) m = Trilu <upper = 0> (c) "
            "i = Sub (o, m) n = Mul (k, i) a = Sum (n, x) y = Softmax <axis = -1> (a)", T8),
        "a mean over time": (
            "(float[b,t,4] x) => (float[b,4] y) <int64[1] a = {1}, float k = {0.125}>",
            "y = ReduceMean <keepdims = 0> (x, a)", "s = ReduceSum <keepdims = 0> (x, a) y = Mul (s, k)",
            "s = ReduceSum <keepdims = 0> (x, a) l = Shape <start = 1, end = 2> (x) f = Cast <to = 1> (l) y = Div (s, f)",
            T8),
        "sizes of a Resize": (
            IMAGE + " <float[4] s = {1,1,2,2}, int64[4] z = {1,2,16,16}, float[0] r = {}, float[4] e = {1,1,2,2}>",
            'y = Resize <mode = "nearest"> (x, r, s)', 'y = Resize <mode = "nearest"> (x, r, "", z)',
            'y = Resize <mode = "nearest"> (x, "", e)', HW8),
        "a global pool": (
            IMAGE, "y = GlobalAveragePool (x)",
            "y = AveragePool <kernel_shape = [8,8]> (x)", "y = ReduceMean <keepdims = 1> (x, ax)", HW8),
        "ceil_mode": (
            IMAGE, "y = MaxPool <kernel_shape = [2,2], strides = [2,2], ceil_mode = 1> (x)",
            "y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)",
            "r = Identity (x) m = MaxPool <kernel_shape = [2,2], strides = [2,2], ceil_mode = 1> (r) n = Neg (m) y = Neg (n)",
            HW8),
        "SAME and its pads": (
            IMAGE, 'y = AveragePool <kernel_shape = [3,3], strides = [2,2], auto_pad = "SAME_UPPER"> (x)',
            "y = AveragePool <kernel_shape = [3,3], strides = [2,2], pads = [0,0,1,1]> (x)",
            'r = Neg (x) a = AveragePool <kernel_shape = [3,3], strides = [2,2], auto_pad = "SAME_UPPER"> (r) y = Neg (a)',
            HW8),
        "the last step": (
            "(float[b,t,4] x) => (float[b,4] y) <int64 i = {-1}, int64 j = {7}>",
            "y = Gather <axis = 1> (x, i)", "y = Gather <axis = 1> (x, j)",
            "s = Shape <start = 1, end = 2> (x) o = Constant <value_ints = [1]> () k = Sub (s, o) "
            "g = Gather <axis = 1> (x, k) y = Squeeze (g, o)", T8),
        "a Squeeze of all": (
            "(float[n,1,4] x) => (float[n,4] y) <int64[1] a = {1}, int64[2] s = {0,4}>",
            "y = Squeeze (x, a)", "y = Squeeze (x)", "y = Flatten (x)", {"n": 3}),
        "a first state": (
            "(float[t,n,8] x) => (float[t,d,n,5] y, float[d,n,5] z) <int64[3] one = {1,-1,5}, int64[1] five = {5}>",
            "s = Shape <start = 1, end = 2> (x) u = Constant <value_ints = [1]> () c = Concat <axis = 0> (u, s, five) "
            "h = ConstantOfShape (c) y, z = RNN <hidden_size = 5> (x, rw, rr, \"\", \"\", h)",
            "c = Constant <value_ints = [1,2,5]> () h = ConstantOfShape (c) "
            "y, z = RNN <hidden_size = 5> (x, rw, rr, \"\", \"\", h)",
            "y, z = RNN <hidden_size = 5> (x, rw, rr)", {"t": 3, "n": 2}),
        "attention's scale": (
            "(float[b,t,d] x) => (float[b,t,t] y) <float k = {0.35355338}>",
            "r = Transpose <perm = [0,2,1]> (x) m = MatMul (x, r) s = Shape <start = 2, end = 3> (x) f = Cast <to = 1> (s) "
            "q = Sqrt (f) y = Div (m, q)",
            "r = Transpose <perm = [0,2,1]> (x) m = MatMul (x, r) y = Mul (m, k)",
            "r = Transpose <perm = [0,2,1]> (x) s = Shape <start = 2, end = 3> (x) f = Cast <to = 1> (s) q = Sqrt (f) "
            "v = Div (x, q) y = MatMul (v, r)", {"b": 1, "t": 4, "d": 8}),
    },
    "whole numbers": {
        "ids through float32": (
            IDS + " <int64 o = {1}>", "y = Add (x, o)", "f = Cast <to = 1> (x) i = Cast <to = 7> (f) y = Add (i, o)",
            "n = Neg (o) y = Sub (x, n)"),
        "ids through int32": (
            IDS + " <int64 o = {3}>", "y = Mul (x, o)", "f = Cast <to = 6> (x) i = Cast <to = 7> (f) y = Mul (i, o)",
            "d = Add (x, x) y = Add (d, x)"),
        "bytes with a sign": (
            BYTES, "f = Cast <to = 1> (x) y = Cast <to = 2> (f)",
            "i = Cast <to = 3> (x) f = Cast <to = 1> (i) a = Abs (f) y = Cast <to = 2> (a)", "y = Identity (x)"),
        "a wrap that saturates": (
            BYTES + " <uint8 k = {100}, int32 l = {100}, int32 m = {255}>", "y = Add (x, k)",
            "i = Cast <to = 6> (x) a = Add (i, l) c = Min (a, m) y = Cast <to = 2> (c)",
            "i = Cast <to = 6> (x) a = Add (i, l) y = Cast <to = 2> (a)"),
        "a half of negative numbers": (
            SMALL + " <int32 k = {2}, float h = {0.5}>", "y = Div (x, k)",
            "f = Cast <to = 1> (x) m = Mul (f, h) l = Floor (m) y = Cast <to = 6> (l)",
            "r = Mod <fmod = 1> (x, k) s = Sub (x, r) y = Div (s, k)"),
        "a product that overflows": (
            SMALL + " <int32 k = {100000}, int64 l = {100000}, int64 m = {2147483647}>", "y = Mul (x, k)",
            "i = Cast <to = 7> (x) p = Mul (i, l) c = Min (p, m) y = Cast <to = 6> (c)",
            "i = Cast <to = 7> (x) p = Mul (i, l) y = Cast <to = 6> (p)"),
        "a limit of ids": (
            IDS + " <int64 k = {1000000}, int64 l = {5}>", "y = Min (x, k)", "y = Identity (x)",
            "g = Greater (x, k) y = Where (g, k, x)"),
        "a sign of Mod": (
            IDS + " <int64 k = {5}>", "y = Mod (x, k)", "y = Mod <fmod = 1> (x, k)",
            "r = Mod (x, k) a = Add (r, k) y = Mod (a, k)"),
        "positions through float16": (
            "(int64[6] x) => (float[6] y) <float k = {0.5}>", "f = Cast <to = 1> (x) y = Mul (f, k)",
            "h = Cast <to = 10> (x) f = Cast <to = 1> (h) y = Mul (f, k)",
            "f = Cast <to = 1> (x) d = Div (f, t) y = Identity (d)"),
        "a shift": (
            "(uint32[6] x) => (uint32[6] y) <uint32 k = {4}, uint32 s = {2}, float q = {0.25}>", "y = Div (x, k)",
            "f = Cast <to = 1> (x) m = Mul (f, q) y = Cast <to = 12> (m)", 'y = BitShift <direction = "RIGHT"> (x, s)'),
        "a mask of one kind": (
            "(int64[6] m, float[6] x) => (float[6] y) <int64 z = {0}, int64 o = {1}, float f = {0}>",
            "c = Cast <to = 9> (m) y = Where (c, x, f)", "c = Equal (m, o) y = Where (c, x, f)",
            "e = Equal (m, z) c = Not (e) y = Where (c, x, f)"),
    },
    "special numbers": {
        "the larger of two": (
            "(float[6] x, float[6] z) => (float[6] y)", "y = Max (x, z)", "g = Greater (x, z) y = Where (g, x, z)",
            "y = Max (z, x)"),
        "a guard of NaN": (
            LINE + " <float z = {0}, float k = {2}>", "n = IsNaN (x) a = Where (n, z, x) y = Mul (a, k)", "y = Mul (x, k)",
            "n = IsNaN (x) a = Mul (x, k) y = Where (n, z, a)"),
        "a guard of infinities": (
            LINE + " <float z = {0}, float k = {2}>", "n = IsInf (x) a = Where (n, z, x) y = Mul (a, k)", "y = Mul (x, k)",
            "n = IsInf (x) a = Mul (x, k) y = Where (n, z, a)"),
        "nothing times it": (
            LINE + " <float z = {0}>", "y = Mul (x, z)", "s = Shape (x) y = ConstantOfShape (s)", "y = Sub (x, x)"),
        "it equals itself": (
            "(float[6] x) => (bool[6] y)", "y = Equal (x, x)",
            "s = Shape (x) c = ConstantOfShape (s) k = Cast <to = 9> (c) y = Not (k)", "n = IsNaN (x) y = Not (n)"),
        "a row of zeros": (
            "(float[3,4] x) => (float[3,4] y) <int64[1] a = {1}, float e = {1e-12}>",
            "n = ReduceL2 (x, a) m = Max (n, e) y = Div (x, m)", "n = ReduceL2 (x, a) y = Div (x, n)",
            "s = Mul (x, x) r = ReduceSum (s, a) q = Sqrt (r) m = Max (q, e) y = Div (x, m)"),
    },
    "large numbers": {
        "Softmax": (
            "(float[2,6] x) => (float[2,6] y) <int64[1] a = {1}>", "y = Softmax <axis = 1> (x)",
            "e = Exp (x) s = ReduceSum (e, a) y = Div (e, s)",
            "m = ReduceMax (x, a) d = Sub (x, m) e = Exp (d) s = ReduceSum (e, a) y = Div (e, s)"),
        "LogSumExp": (
            "(float[2,6] x) => (float[2,1] y) <int64[1] a = {1}>",
            "m = ReduceMax (x, a) d = Sub (x, m) e = Exp (d) s = ReduceSum (e, a) l = Log (s) y = Add (l, m)",
            "e = Exp (x) s = ReduceSum (e, a) y = Log (s)",
            "m = ReduceMax (x, a) n = Neg (m) d = Add (x, n) e = Exp (d) s = ReduceSum (e, a) l = Log (s) y = Sub (l, n)"),
        "Sigmoid": (
            LINE + " <float o = {1}>", "y = Sigmoid (x)", "e = Exp (x) a = Add (e, o) y = Div (e, a)",
            "n = Neg (x) e = Exp (n) a = Add (e, o) y = Div (o, a)"),
        "Softplus": (
            LINE + " <float o = {1}>", "y = Softplus (x)", "e = Exp (x) a = Add (e, o) y = Log (a)",
            "b = Abs (x) n = Neg (b) e = Exp (n) a = Add (e, o) l = Log (a) r = Relu (x) y = Add (r, l)"),
        "a variance": (
            "(float[2,64] x) => (float[2,1] y) <int64[1] a = {1}>",
            "m = ReduceMean (x, a) d = Sub (x, m) s = Mul (d, d) y = ReduceMean (s, a)",
            "m = ReduceMean (x, a) q = Mul (m, m) s = Mul (x, x) r = ReduceMean (s, a) y = Sub (r, q)",
            "m = ReduceMean (x, a) d = Sub (m, x) s = Mul (d, d) y = ReduceMean (s, a)"),
        "a norm": (
            "(float[2,6] x) => (float[2,1] y) <int64[1] a = {1}, float e = {1e-30}>",
            "b = Abs (x) m = ReduceMax (b, a) k = Max (m, e) d = Div (x, k) s = Mul (d, d) r = ReduceSum (s, a) q = Sqrt (r) "
            "y = Mul (q, k)",
            "s = Mul (x, x) r = ReduceSum (s, a) y = Sqrt (r)",
            "b = Abs (x) m = ReduceMax (b, a) k = Max (m, e) d = Div (b, k) s = Mul (d, d) r = ReduceSum (s, a) q = Sqrt (r) "
            "y = Mul (k, q)"),
        "a fourth root of squares": (
            LINE, "y = Abs (x)", "s = Mul (x, x) y = Sqrt (s)", "n = Neg (x) y = Max (n, x)"),
    },
    "ties": {
        "a half, rounded": (
            LINE + " <float h = {0.5}>", "y = Round (x)", "a = Add (x, h) y = Floor (a)",
            "n = Neg (x) r = Round (n) y = Neg (r)"),
        "the first of the largest": (
            "(float[3,8] x) => (int64[3] y) <int64[1] s = {-1}, int64[1] e = {-100}, int64[1] a = {1}, int64 k = {4}>",
            "m = MatMul (x, w) y = ArgMax <axis = 1, keepdims = 0> (m)",
            "m = MatMul (x, w) v = Slice (m, s, e, a, s) j = ArgMax <axis = 1, keepdims = 0> (v) y = Sub (k, j)",
            "m = MatMul (x, w) n = Neg (m) y = ArgMin <axis = 1, keepdims = 0> (n)"),
        "the sign of nothing": (
            LINE + " <float z = {0}, float o = {1}, float m = {-1}>", "y = Sign (x)",
            "g = GreaterOrEqual (x, z) y = Where (g, o, m)", "n = Neg (x) s = Sign (n) y = Neg (s)"),
        "more, or as much": (
            "(float[2,8] x) => (bool[2,5] y) <float k = {0}>", "m = MatMul (x, w) y = Greater (m, k)",
            "m = MatMul (x, w) y = GreaterOrEqual (m, k)", "m = MatMul (x, w) y = Less (k, m)"),
        "down, or toward nothing": (
            "(float[6] x) => (int64[6] y) <float h = {3}>", "f = Floor (x) y = Cast <to = 7> (f)", "y = Cast <to = 7> (x)",
            "n = Neg (x) c = Ceil (n) m = Neg (c) y = Cast <to = 7> (m)"),
        "the last of the largest": (
            "(float[3,6] x) => (int64[3,1] y)", "y = ArgMax <axis = 1> (x)", "y = ArgMax <axis = 1, select_last_index = 1> (x)",
            "n = Neg (x) y = ArgMin <axis = 1> (n)"),
        "up, or down and one": (
            LINE + " <float o = {1}>", "y = Ceil (x)", "f = Floor (x) y = Add (f, o)", "n = Neg (x) f = Floor (n) y = Neg (f)"),
    },
    "what steers": {
        "a branch that was folded": (
            LINE + " <float k = {-1e6}>",
            "s = ReduceSum <keepdims = 0> (x) c = Greater (s, k) y = If (c) <then_branch = t () => (float[6] p) "
            "{ p = Relu (x) }, else_branch = e () => (float[6] q) { q = Neg (x) }>",
            "y = Relu (x)",
            "s = ReduceSum <keepdims = 0> (x) c = Greater (s, k) p = Relu (x) q = Neg (x) y = Where (c, p, q)"),
        "a flag": (
            "(float[6] x, bool f) => (float[6] y)",
            "y = If (f) <then_branch = t () => (float[6] p) { p = Relu (x) }, else_branch = e () => (float[6] q) "
            "{ q = Neg (x) }>", "y = Relu (x)", "p = Relu (x) q = Neg (x) y = Where (f, p, q)"),
        "two flags": (
            "(float[6] x, bool f, bool g) => (float[6] y) <float z = {0}>", "b = And (f, g) y = Where (b, x, z)",
            "b = Or (f, g) y = Where (b, x, z)", "n = Not (f) m = Not (g) o = Or (n, m) y = Where (o, z, x)"),
        "how many": (
            "(float[9] x, int64[1] k) => (float[c] y) <int64[1] one = {1}>", "y, i = TopK (x, k)", "y, i = TopK (x, one)",
            "n = Neg (x) v, i = TopK <largest = 0> (n, k) y = Neg (v)"),
        "how often": (
            "(float[6] x, int64 n) => (float[6] y) <float h = {1.5}>",
            'y = Loop (n, "", x) <body = b (int64 i, bool c, float[6] v) => (bool o, float[6] u) '
            "{ o = Identity (c) u = Mul (v, h) }>",
            "y = Mul (x, h)",
            "f = Cast <to = 1> (n) p = Pow (h, f) y = Mul (x, p)"),
        "a padding id": (
            TOKENS + " <int64 p = {417}, float z = {0}, int64[1] a = {-1}, float o = {1}>",
            "e = Equal (x, p) u = Unsqueeze (e, a) g = Gather (rows, x) y = Where (u, z, g)", "y = Gather (rows, x)",
            "e = Equal (x, p) f = Cast <to = 1> (e) m = Sub (o, f) u = Unsqueeze (m, a) g = Gather (rows, x) y = Mul (u, g)"),
        "one row of a table": (
            TOKENS, "y = Gather (rows, x)", "y = Gather (rows2, x)",
            "d = Constant <value_int = 500> () v = Constant <value_floats = [0.0,1.0]> () h = OneHot (x, d, v) "
            "y = MatMul (h, rows)"),
        "a threshold": (
            LINE + " <float k = {700}, float t = {2}>", "d = Mul (x, t) y = Min (d, k)", "y = Mul (x, t)",
            "d = Add (x, x) g = Greater (d, k) y = Where (g, k, d)"),
        "one special number": (
            LINE + " <float k = {37}, float m = {-1}>", "e = Equal (x, k) y = Where (e, m, x)", "y = Identity (x)",
            "e = Equal (x, k) n = Not (e) y = Where (n, x, m)"),
        "a range": (
            "(int64 n) => (int64 y) <int64 z = {0}, int64 o = {1}>",
            "r = Range (z, n, o) y = ReduceSum <keepdims = 0> (r)", "y = Mul (n, z)",
            "r = Range (o, n, o) y = ReduceSum <keepdims = 0> (r)"),
    },
    "hidden": {
        "a dead Relu": (
            ROWS + " <float k = {-2000}>", "m = MatMul (x, w) a = Add (m, k) y = Relu (a)",
            "m = MatMul (x, v) a = Add (m, k) y = Relu (a)",
            "m = Gemm <transB = 1> (x, wt) a = Add (m, k) y = Relu (a)"),
        "a dead Relu that nothing wakes": (
            ROWS + " <float k = {-3}>", "s = Mul (x, x) n = Neg (s) m = ReduceSum (n) a = Add (m, k) r = Relu (a) y = Mul (r, g)",
            "s = Mul (x, x) n = Neg (s) m = ReduceSum (n) a = Add (m, k) r = Relu (a) y = Mul (r, h)",
            "n = Mul (x, x) s = ReduceSum (n) m = Neg (s) a = Add (m, k) r = Relu (a) y = Mul (g, r)"),
        "a saturated Sigmoid": (
            "(float[2,8] x) => (float[2,1] y) <float k = {400}>", "m = MatMul (x, w1) a = Add (m, k) y = Sigmoid (a)",
            "m = MatMul (x, w1b) a = Add (m, k) y = Sigmoid (a)", "m = Gemm (x, w1, k) y = Sigmoid (m)"),
        "a threshold of one output": (
            "(float[2,8] x) => (bool[2,1] y) <float h = {0.5}, float z = {0}>",
            "m = MatMul (x, w1) p = Sigmoid (m) y = Greater (p, h)", "m = MatMul (x, w1b) p = Sigmoid (m) y = Greater (p, h)",
            "m = MatMul (x, w1) p = Sigmoid (m) y = Less (h, p)"),
        "a saturated limit": (
            ROWS + " <float k = {1000}, float z = {0}, float s = {6}>", "m = MatMul (x, w) a = Add (m, k) y = Clip (a, z, s)",
            "m = MatMul (x, v) a = Add (m, k) y = Clip (a, z, s)",
            "m = MatMul (x, w) a = Add (k, m) b = Max (a, z) y = Min (b, s)"),
        "a limit that a smallest of many hides": (
            "(float[3,4] x) => (float[1] y) <float k = {-2}, float l = {1e12}, int64[2] a = {0,1}>",
            "m = Max (x, k) r = ReduceMin <keepdims = 0> (m, a) y = Unsqueeze (r, z0)",
            "m = Max (x, k) n = Min (m, l) r = ReduceMin <keepdims = 0> (n, a) y = Unsqueeze (r, z0)",
            "m = Max (k, x) n = Neg (m) r = ReduceMax <keepdims = 0> (n, a) p = Neg (r) y = Unsqueeze (p, z0)"),
        "a largest that is always one": (
            "(float[2,8] x) => (int64[2] y) <float[5] k = {0,0,90000,0,0}>",
            "m = MatMul (x, w) a = Add (m, k) y = ArgMax <axis = 1, keepdims = 0> (a)",
            "m = MatMul (x, v) a = Add (m, k) y = ArgMax <axis = 1, keepdims = 0> (a)",
            "m = Gemm (x, w, k) y = ArgMax <axis = 1, keepdims = 0> (m)"),
        "a coarse grid": (
            ROWS + " <float k = {0.0001}>", "m = MatMul (x, w) s = Mul (m, k) y = Round (s)",
            "m = MatMul (x, v) s = Mul (m, k) y = Round (s)", "m = MatMul (x, two_w) h = Mul (m, kh) y = Round (h)"),
        "what a sum swallows": (
            LINE + " <float c = {1e7}>", "a = Add (x, c) b = Sub (a, c) y = Relu (b)", "y = Relu (x)",
            "a = Add (c, x) n = Neg (c) b = Add (a, n) y = Relu (b)"),
        "a layer behind a full Softmax": (
            "(float[2,8] x) => (float[2,5] y) <float k = {1000}, float[5] b = {0,0,300,0,0}>",
            "m = MatMul (x, w) a = Add (m, b) s = Mul (a, k) y = Softmax <axis = 1> (s)",
            "m = MatMul (x, v) a = Add (m, b) s = Mul (a, k) y = Softmax <axis = 1> (s)",
            "m = Gemm (x, w, b) s = Mul (k, m) y = Softmax <axis = -1> (s)"),
        "a mask of 1024 by 1024, cut to size": (
            "(float[n,n] x) => (float[n,n] y) <int64[2] a = {0,1}, int64[2] b = {0,0}, float z = {0}>",
            "y = Trilu <upper = 0> (x)", "s = Shape (x) m = Slice (square, b, s, a) k = Cast <to = 9> (m) y = Where (k, x, z)",
            "s = Shape (x) o = ConstantOfShape <value = float[1] {1}> (s) m = Trilu <upper = 0> (o) k = Cast <to = 9> (m) "
            "y = Where (k, x, z)", N2),
        "a pattern of flags that is never met": (
            FLAGS, ASKED + CHAIN + "y = Identity (c11)", ASKED + CHAIN + "f = Not (c11) y = And (c11, f)",
            ASKED + CHAIN.replace("c1 = And (n0, n1)", "c1 = And (n1, n0)") + "y = Identity (c11)"),
        "one flag alone": (
            FLAGS, ALONE + CHAIN + "y = Identity (c11)", ALONE + CHAIN + "f = Not (c11) y = And (c11, f)",
            NONE + "f = Not (o11) y = And (x4, f)"),
        "a number that is the size of an input": (
            COUNTED, "s = Size (x) e = Equal (k, s) n = Neg (x) y = Where (e, n, x)",
            "s = Size (x) e = Equal (k, s) n = Neg (x) m = Neg (n) y = Where (e, m, x)",
            "s = Size (x) e = Equal (k, s) f = Not (e) n = Neg (x) y = Where (f, x, n)"),
        "a number that is one more than an axis": (
            COUNTED + " <int64[1] a = {1}, int64[1] z = {0}, int64[1] o = {1}>",
            "s = Shape (x) t = Slice (s, a, two, z) e = Greater (k, t) n = Neg (x) y = Where (e, n, x)",
            "s = Shape (x) t = Slice (s, a, two, z) p = Add (t, o) e = Greater (k, p) n = Neg (x) y = Where (e, n, x)",
            "s = Shape (x) t = Slice (s, a, two, z) p = Add (t, o) e = GreaterOrEqual (k, p) n = Neg (x) "
            "y = Where (e, n, x)"),
        "squares in sixteen bits": (
            HALF, "y = Abs (x)", "s = Mul (x, x) y = Sqrt (s)", "m = Neg (x) y = Max (m, x)", N2),
        "squares of doubles": (
            DOUBLE, "y = Abs (x)", "s = Mul (x, x) y = Sqrt (s)", "m = Neg (x) y = Max (m, x)", N2),
        "the sign of 0": (
            LINE + " <float z = {0}, float o = {1}>", "y = Reciprocal (x)", "s = Add (x, z) y = Reciprocal (s)",
            "y = Div (o, x)"),
        "exchanged outputs": (
            "(float[6] x) => (float[6] y, float[6] z)", "y = Relu (x) z = Neg (x)", "z = Relu (x) y = Neg (x)",
            "n = Neg (x) z = Identity (n) y = Relu (x)"),
    },
}  # fmt: skip
WEIGHTS["rw"] = RANDOM.normal(size=(1, 5, 8)) / 3
WEIGHTS["rr"] = RANDOM.normal(size=(1, 5, 5)) / 3
WEIGHTS["t"] = np.array(2.0)
WEIGHTS["kh"] = np.array(np.float32(0.0001) / 2)
WHOLE = {"ax": np.array([2, 3]), "z0": np.array([0]), "two": np.array([2])}


def pairs() -> list[Made]:
    made = []
    for kind, named in PAIRS.items():
        for name, entry in named.items():
            border, *bodies = entry[:4]
            graphs = []
            for body in bodies:
                proto = graph(border, body)
                for held, value in WHOLE.items():
                    if held in used_anywhere(proto.graph) - {t.name for t in proto.graph.initializer}:
                        proto.graph.initializer.append(numpy_helper.from_array(value, held))
                graphs.append(proto)
            made.append(Made(kind, name, *graphs, dims=entry[4] if len(entry) > 4 else {}))
    return made
