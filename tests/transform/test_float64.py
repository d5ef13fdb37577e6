"""The float64 graph is float64 everywhere, and the constants that float32 rounded are all found and can be moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.records.errors import Unsupported
from onnx_triangulate.transform.float64 import computed_initializers, float_constants, nudged, to_float64

HEAD = '<ir_version: 8, opset_import: ["" : 21]>'


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def narrow_values(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[str]:
    """The values of a float64 graph that come out in float32 (or narrower): where the conversion forgot something."""
    with np.errstate(all="ignore"):
        values = ReferenceEvaluator(model).run(None, feeds, intermediate=True)
    return sorted(n for n, v in values.items() if isinstance(v, np.ndarray) and v.dtype in (np.float32, np.float16))


def run64(model: onnx.ModelProto, **feeds: Any) -> Any:
    wide = to_float64(model)
    feeds = {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feeds.items()}
    assert narrow_values(wide, feeds) == []
    out = ReferenceEvaluator(wide).run(None, feeds)
    assert all(np.asarray(v).dtype == np.float64 for v in out)
    return out[0] if len(out) == 1 else out


X = np.linspace(-3, 3, 7)

CASES: dict[str, tuple[str, Any]] = {
    "initializer": ("<float c = {0.1}> { y = Mul (x, c) }", lambda x: x * float(np.float32(0.1))),
    "constant tensor": (
        "{ c = Constant <value = float {0.1}> () y = Mul (x, c) }",
        lambda x: x * float(np.float32(0.1)),
    ),
    "constant value_float": (
        "{ c = Constant <value_float = 0.1> () y = Mul (x, c) }",
        lambda x: x * float(np.float32(0.1)),
    ),
    "constant value_floats": (
        "{ c = Constant <value_floats = [0.1]> () y = Mul (x, c) }",
        lambda x: x * float(np.float32(0.1)),
    ),
    "cast": ("<int64 i = {3}> { c = Cast <to = 1> (i) y = Div (x, c) }", lambda x: x / 3),
    "cast back and forth": ("{ c = Cast <to = 11> (x) y = Cast <to = 1> (c) }", lambda x: x),
    "constant of shape": (
        "<int64[1] s = {7}> { c = ConstantOfShape <value = float[1] {0.1}> (s) y = Add (x, c) }",
        lambda x: x + float(np.float32(0.1)),
    ),
    "constant of shape, default": ("<int64[1] s = {7}> { c = ConstantOfShape (s) y = Add (x, c) }", lambda x: x),
    "leaky relu": (
        "{ y = LeakyRelu <alpha = 0.2> (x) }",
        lambda x: np.where(x < 0, float(np.float32(0.2)) * x, x),
    ),
    "transcendental": ("{ s = Sigmoid (x) y = Log (s) }", lambda x: -np.log1p(np.exp(-x))),
    "softplus": ("{ y = Softplus (x) }", lambda x: np.log1p(np.exp(x))),
    "celu": ("{ y = Celu <alpha = 2.0> (x) }", lambda x: np.maximum(0, x) + np.minimum(0, 2 * np.expm1(x / 2))),
    "softmax": ("{ y = Softmax <axis = 0> (x) }", lambda x: np.exp(x) / np.exp(x).sum()),
    "window": (
        "<int64 n = {7}> { w = HannWindow (n) y = Mul (x, w) }",
        lambda x: x * np.sin(np.pi * np.arange(7) / 7) ** 2,
    ),
    "if": (
        "<bool c = {1}> { y = If (c) < then_branch = a () => (float[7] t) "
        "{ k = Constant <value_float = 0.1> () t = Mul (x, k) }, "
        "else_branch = b () => (float[7] e) { e = Neg (x) } > }",
        lambda x: x * float(np.float32(0.1)),
    ),
    "loop": (
        "<int64 n = {3}, bool c = {1}> { y = Loop (n, c, x) < body = b (int64 i, bool k, float[7] h) => "
        "(bool k2, float[7] h2) <float t = {0.1}> { k2 = Identity (k) h2 = Mul (h, t) } > }",
        lambda x: x * float(np.float32(0.1)) ** 3,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_float64_is_within_1e13_of_numpy(name: str) -> None:
    text, definition = CASES[name]
    found = run64(parse(f"g (float[7] x) => (float[7] y) {text}"), x=X)
    np.testing.assert_allclose(found, definition(X), rtol=1e-13, atol=1e-13)


def test_batch_and_group_and_layer_normalization() -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 4, 3))
    eps = float(np.float32(1e-5))

    def standard(v: Any, axes: tuple[int, ...]) -> Any:
        return (v - v.mean(axes, keepdims=True)) / np.sqrt(v.var(axes, keepdims=True) + eps)

    group = run64(
        parse(
            "g (float[2,4,3] x) => (float[2,4,3] y) <float[4] s = {1,1,1,1}, float[4] b = {0,0,0,0}> "
            "{ y = GroupNormalization <num_groups = 2> (x, s, b) }"
        ),
        x=x,
    )
    np.testing.assert_allclose(group, standard(x.reshape(2, 2, 6), (2,)).reshape(x.shape), rtol=1e-12, atol=1e-13)
    layer = run64(
        parse("g (float[2,4,3] x) => (float[2,4,3] y) <float[3] s = {1,1,1}> { y = LayerNormalization (x, s) }"), x=x
    )
    np.testing.assert_allclose(layer, standard(x, (2,)), rtol=1e-12, atol=1e-13)
    batch = run64(
        parse(
            "g (float[2,4,3] x, float[4] s, float[4] b, float[4] m, float[4] v) => (float[2,4,3] y) "
            "{ y = BatchNormalization (x, s, b, m, v) }"
        ),
        x=x, s=np.ones(4), b=np.zeros(4), m=x.mean((0, 2)), v=x.var((0, 2)),
    )  # fmt: skip
    np.testing.assert_allclose(batch, standard(x, (0, 2)), rtol=1e-12, atol=1e-13)


def test_the_check_sees_a_cast_to_float_left_behind() -> None:
    wide = to_float64(parse("g (float[7] x) => (float[7] y) { c = Cast <to = 1> (x) y = Neg (c) }"))
    assert narrow_values(wide, {"x": X}) == []
    wide.graph.node[0].attribute[0].i = TensorProto.FLOAT
    assert narrow_values(wide, {"x": X}) == ["c", "y"]


def test_the_model_itself_is_left_as_it_is() -> None:
    model = parse("g (float[7] x) => (float[7] y) <float c = {0.1}> { y = Mul (x, c) }")
    before = model.SerializeToString()
    wide = to_float64(model)
    assert model.SerializeToString() == before
    ref = float_constants(wide)[0]
    after = wide.SerializeToString()
    nudged(wide, ref, 1)
    assert wide.SerializeToString() == after


def test_value_info_is_dropped_and_the_result_is_a_valid_model() -> None:
    model = onnx.shape_inference.infer_shapes(
        parse("g (float[7] x) => (float[7] y) <float c = {0.1}> { t = Mul (x, c) y = Cast <to = 1> (t) }")
    )
    assert model.graph.value_info
    wide = to_float64(model)
    assert not wide.graph.value_info
    onnx.checker.check_model(wide, full_check=True)


def test_half_precision_stays() -> None:
    wide = to_float64(parse("g (float[7] x) => (float16[7] y) { y = Cast <to = 10> (x) }"))
    assert wide.graph.node[0].attribute[0].i == TensorProto.FLOAT16
    assert wide.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT16


def test_resize_scales_stay_float32_constant_or_computed() -> None:
    head = "g (float[1,1,2,2] x, float[4] s) => (float[A,B,C,D] y)"
    held = '<mode = "linear">'
    constant = to_float64(
        parse(f"g (float[1,1,2,2] x) => (float[A,B,C,D] y) <float[4] s = {{1,1,2,2}}> {{ y = Resize {held} (x, , s) }}")
    )
    assert [n.op_type for n in constant.graph.node] == ["Resize"]
    assert constant.graph.initializer[0].data_type == TensorProto.FLOAT
    computed = to_float64(parse(f"{head} {{ t = Mul (s, s) y = Resize {held} (x, , t) }}"))
    assert [n.op_type for n in computed.graph.node] == ["Mul", "Cast", "Resize"]
    for wide, more in ((constant, {}), (computed, {"s": np.array([1, 1, 2, 2.0]) ** 0.5})):
        onnx.checker.check_model(wide, full_check=True)
        (y,) = ReferenceEvaluator(wide).run(None, {"x": np.arange(4.0).reshape(1, 1, 2, 2) / 3, **more})
        assert y.dtype == np.float64


def test_a_scale_that_is_used_elsewhere_too_is_converted_and_cast() -> None:
    wide = to_float64(
        parse(
            "g (float[1,1,2,2] x) => (float[A,B,C,D] y, float[4] t) <float[4] s = {1,1,2,2}> "
            "{ y = Resize (x, , s) t = Neg (s) }"
        )
    )
    assert [n.op_type for n in wide.graph.node] == ["Cast", "Resize", "Neg"]
    onnx.checker.check_model(wide, full_check=True)


def test_quantization_computes_in_float32_behind_casts() -> None:
    model = parse(
        "g (float[7] x) => (float[7] y) <float s = {0.1}, uint8 z = {128}> "
        "{ [q] i = QuantizeLinear (x, s, z) [d] y = DequantizeLinear (i, s, z) }"
    )
    wide = to_float64(model)
    onnx.checker.check_model(wide, full_check=True)
    assert [n.op_type for n in wide.graph.node] == ["Cast", "QuantizeLinear", "DequantizeLinear", "Cast"]
    (y,) = ReferenceEvaluator(wide).run(None, {"x": X})
    assert y.dtype == np.float64


def test_random_numbers_are_drawn_in_float32() -> None:
    wide = to_float64(
        parse("g (float[7] x) => (float[7] y) { r = RandomNormal <shape = [7], seed = 1.0> () y = Add (x, r) }")
    )
    assert [n.op_type for n in wide.graph.node] == ["RandomNormal", "Cast", "Add"]
    onnx.checker.check_model(wide, full_check=True)


def test_local_functions_and_the_types_they_take_as_parameters() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[7] x, int64 i) => (float[7] y) { c = local.To <kind = 1> (i) y = local.Third (x, c) }
        <domain: "local", opset_import: ["" : 18]>
        To <kind> (a) => (b) { b = Cast <to: int = @kind> (a) }
        <domain: "local", opset_import: ["" : 18]>
        Third (a, c) => (b) { k = Constant <value = float {0.1}> () t = Mul (a, k) b = Div (t, c) }"""
    )
    wide = to_float64(model)
    feeds = {"x": X, "i": np.int64(3)}
    assert narrow_values(wide, feeds) == []
    (y,) = ReferenceEvaluator(wide).run(None, feeds)
    np.testing.assert_allclose(y, X * float(np.float32(0.1)) / 3, rtol=1e-14)


def test_what_cannot_be_converted_is_refused() -> None:
    sparse = parse("g (float[7] x) => (float[7] y) { y = Neg (x) }")
    values = onnx.numpy_helper.from_array(np.ones(1, np.float32), "c")
    indices = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "i")
    sparse.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [7]))
    with pytest.raises(Unsupported, match="sparse"):
        to_float64(sparse)
    outside = parse("g (float[7] x) => (float[7] y) <float[7] w = {1,2,3,4,5,6,7}> { y = Add (x, w) }")
    outside.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.ones(7, np.float32), "w"))
    onnx.external_data_helper.set_external_data(outside.graph.initializer[0], location="w.bin")
    with pytest.raises(Unsupported, match="another file"):
        to_float64(outside)


def constants(text: str) -> list[tuple[str, str | None, float]]:
    return [(c.value_of, c.attribute, c.weight) for c in float_constants(to_float64(parse(text)))]


def test_constants_that_float32_rounded() -> None:
    text = """g (float[7] x) => (float[7] y)
        <float a = {0.1}, float b = {0.5}, float[1] c = {100}, float[2] d = {0.1, 0.2}> {
        e = Constant <value_float = 0.3> ()
        f = LeakyRelu <alpha = 0.2> (x)
        h = LeakyRelu (f)
        i = Elu <alpha = 1.5> (h)
        j = Selu (i)
        y = Mul (j, a)
    }"""
    assert constants(text) == [
        ("a", None, 1.0),
        ("e", None, 1.0),
        ("f", "alpha", 0.5),
        ("h", "alpha", 0.5),
        ("j", "alpha", 0.5),
        ("j", "gamma", 0.5),
    ]


def test_a_float64_number_that_is_no_float32_is_not_rounded() -> None:
    assert constants("g (double[7] x) => (double[7] y) <double a = {0.1}> { y = Mul (x, a) }") == []


def test_constants_in_subgraphs_and_functions_are_found_and_moved() -> None:
    text, _ = CASES["loop"]
    wide = to_float64(parse(f"g (float[7] x) => (float[7] y) {text}"))
    (ref,) = float_constants(wide)
    assert ref.graph == ("y:body",)
    plain, moved = (ReferenceEvaluator(m).run(None, {"x": X})[0] for m in (wide, nudged(wide, ref, 1)))
    half = np.spacing(np.float32(0.1)) / 2
    np.testing.assert_allclose((moved - plain)[-1] / plain[-1], 3 * half / 0.1, rtol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_tensor_moves_by_half_an_ulp_and_an_attribute_by_a_whole_one(sign: int) -> None:
    wide = to_float64(
        parse("g (float[7] x) => (float[7] y) <float c = {0.1}> { t = LeakyRelu <alpha = 0.2> (x) y = Mul (t, c) }")
    )
    tensor, attribute = float_constants(wide)
    (plain,) = ReferenceEvaluator(wide).run(None, {"x": X})
    for ref in (tensor, attribute):
        (moved,) = ReferenceEvaluator(nudged(wide, ref, sign)).run(None, {"x": X})
        ulp = float(np.spacing(np.float32(ref.value)))
        relative = (moved - plain)[0] / plain[0] * ref.weight
        assert relative == pytest.approx(sign * ulp / 2 / ref.value, rel=1e-6)


def test_a_default_that_nobody_wrote_moves_too() -> None:
    wide = to_float64(parse("g (float[7] x) => (float[7] y) { y = LeakyRelu (x) }"))
    (ref,) = float_constants(wide)
    (plain,), (moved,) = (ReferenceEvaluator(m).run(None, {"x": X}) for m in (wide, nudged(wide, ref, 1)))
    assert moved[0] != plain[0]


def test_the_response_covers_what_float32_did_to_the_constant() -> None:
    """The point of it all: source with 0.2 in float64, graph with 0.2 in float32."""
    wide = to_float64(parse("g (float[7] x) => (float[7] y) { y = LeakyRelu <alpha = 0.2> (x) }"))
    (plain,) = ReferenceEvaluator(wide).run(None, {"x": X})
    source = np.where(X < 0, 0.2 * X, X)
    bound = np.zeros_like(X)
    for ref in float_constants(wide):
        moved = [ReferenceEvaluator(nudged(wide, ref, s)).run(None, {"x": X})[0] for s in (1, -1)]
        bound += np.max(np.abs(np.stack(moved) - plain), axis=0) * ref.weight
    assert np.all(np.abs(plain - source) <= bound + 1e-16)
    assert np.any(np.abs(plain - source) > 1e-13), "without the response the faithful graph would be blamed"
    assert not np.all(np.abs(plain - np.where(X < 0, 0.2000001 * X, X)) <= bound), "a wrong slope stays outside"


def test_nudging_what_is_not_there_raises() -> None:
    model = parse("g (float[7] x) => (float[7] y) <float c = {0.1}> { y = Mul (x, c) }")
    (ref,) = float_constants(model)
    with pytest.raises(ValueError, match="convert"):
        nudged(model, ref, 1)
    with pytest.raises(ValueError, match="no constant"):
        nudged(to_float64(parse("g (float[7] x) => (float[7] y) { y = Neg (x) }")), ref, 1)


def test_computed_initializers() -> None:
    text = """g (float[3] x) => (float[3] y) <float[3] kept = {0.1, 0.2, 0.7}, float[3] folded = {0.1, 0.2, 0.8},
        float[3] ones = {1, 1, 1}, float[1] single = {0.1}, int64[2] shape = {1, 3}> {
        c = Constant <value = float[2] {0.3, 0.9}> ()
        y = Add (x, kept)
    }"""
    source = np.array([[0.7], [0.1], [0.2]])
    assert computed_initializers(parse(text), [source]) == ("folded", "c")
    assert computed_initializers(parse(text), [source, np.array([0.9, 0.3], np.float32)]) == ("folded",)
    assert computed_initializers(to_float64(parse(text)), [source]) == ("folded", "c")
    changed = parse(text.replace("{0.1, 0.2, 0.7}", "{0.1, 0.2, 0.70001}"))
    assert "kept" in computed_initializers(changed, [source])
