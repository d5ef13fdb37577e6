"""What a file says of padding beyond one node's numbers: unknown sizes, Pads in front, fused and quantized nodes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.facts import reach
from onnx_triangulate.facts.pads import pads
from onnx_triangulate.facts.view import View
from onnx_triangulate.records.graphs import Pads

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def sliding(model: onnx.ModelProto) -> Pads:
    """The one row that is not a Pad node's."""
    (found,) = [p for p in pads(model) if p.op != "Pad"]
    return found


def one(text: str) -> Pads:
    return sliding(parse(text))


def _in_onnxruntime(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


# What depends on sizes that nothing declares.


def conv(held: str, x: str = "float[1,1,H,W] x", w: str = "float[1,1,3,3] w") -> Pads:
    return one(f"g ({x}, {w}) => (float[A,B,C,D] y) {{ y = Conv <{held}> (x, w) }}")


def test_same_over_an_unknown_size_is_a_condition_on_it() -> None:
    found = conv('auto_pad = "SAME_UPPER", strides = [2, 2]')
    assert (found.begin, found.end, found.torch) == (None, None, None)
    assert found.condition == "height even: (0, 1), odd: (1, 1); width even: (0, 1), odd: (1, 1)"
    assert found.keras == "padding='same'"


def test_a_condition_by_residues_and_one_by_a_formula() -> None:
    found = conv('auto_pad = "SAME_LOWER", strides = [3, 20], kernel_shape = [4, 21]', w="float[1,1,4,21] w")
    assert found.condition == (
        "height ≡ 0 (mod 3): (1, 0), ≡ 1: (2, 1), ≡ 2: (1, 1); "
        "width: max(0, 1 + (-width mod 20)) in all, the odd one before"
    )
    assert found.keras is None


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("stride", [2, 3, 5])
@pytest.mark.parametrize("span", [1, 2, 3, 4, 7])
def test_what_same_pads_depends_on_the_size_modulo_the_stride_only(span: int, stride: int, upper: bool) -> None:
    """The ground that the conditions stand on; from a size of one on."""
    for size in range(1, 30):
        assert reach.same(size, stride, span, upper) == reach.same(size % stride or stride, stride, span, upper)
        if span == 1:
            assert reach.same(None, stride, span, upper) == reach.same(size, stride, span, upper)


def test_the_condition_holds_a_size_that_is_known() -> None:
    found = conv('auto_pad = "SAME_UPPER", strides = [2, 2]', x="float[1,1,7,W] x")
    assert found.condition == "height 7: (1, 1); width even: (0, 1), odd: (1, 1)"


def test_a_kernel_of_one_needs_no_size() -> None:
    found = conv('auto_pad = "SAME_UPPER", strides = [2, 2]', w="float[1,1,1,1] w")
    assert (found.begin, found.end, found.keras) == ((0, 0), (0, 0), "padding='valid'")


def test_what_is_never_read_is_a_condition_too() -> None:
    found = conv("pads = [1, 1, 1, 1], strides = [2, 2]", x="float[1,1,6,W] x")
    assert found.unread == (1, None)
    assert found.condition == "never read at the end: width even: 1, odd: 0"
    assert found.offset == (0.0, 0.0)
    assert found.torch == "padding=1"
    assert found.keras == "ZeroPadding2D(((1, 1), (1, 1))), padding='valid'"


def test_an_output_shape_over_an_unknown_size_is_a_condition_on_it() -> None:
    found = one(
        "g (float[1,1,N] x, float[1,1,3] w) => (float[1,1,10] y) "
        "{ y = ConvTranspose <strides = [2], output_shape = [10]> (x, w) }"
    )
    assert found.begin is None
    assert found.condition == ("cut, nothing where that is negative, the odd one before: length: 2 * length - 9 in all")


def test_amounts_that_are_an_input_or_computed_are_depended_on() -> None:
    model = parse(
        "g (float[1,2,6,6] x, int64[8] p) => (float[A,B,C,D] y) "
        "{ [first] z = Pad (x, p) [double] q = Add (p, p) [second] y = Pad (z, q) }"
    )
    first, second = pads(model)
    assert (first.begin, first.condition) == (None, "depends on the input p")
    assert (second.begin, second.condition) == (None, "depends on q, which double computes")


def test_amounts_in_another_file_are_not_taken_for_an_input() -> None:
    model = parse("g (float[1,2,6,6] x) => (float[A,B,C,D] y) { y = Pad (x, p) }")
    tensor = onnx.numpy_helper.from_array(np.zeros(8, np.int64), "p")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    model.graph.initializer.append(tensor)
    for rows in (pads(model), View(model).pads):
        assert "depends on p, whose numbers" in rows[0].condition


# Pad nodes.


def test_a_pad_node_over_all_its_axes() -> None:
    (found,) = pads(
        parse(
            "g (float[1,2,6,6] x) => (float[1,2,A,B] y) <int64[4] p = {1,0,1,2}, int64[2] a = {-2,3}, float v = {0}> "
            "{ y = Pad (x, p, v, a) }"
        )
    )
    assert (found.begin, found.end, found.symmetric) == ((0, 0, 1, 0), (0, 0, 1, 2), False)
    assert found.note == "mode constant; axes -2 3"
    assert found.torch == "F.pad(x, (0, 2, 1, 1))"
    assert found.keras == "keras.ops.pad(x, ((0, 0), (0, 0), (1, 1), (0, 2)))"


def test_a_pad_by_axes_of_a_value_of_unknown_rank() -> None:
    model = parse(
        "g (float[1,2,6,6] x, int64[N] s) => (float[A,B,C,D] y) <int64[2] p = {1,2}, int64[1] a = {-1}, float v = {0}> "
        "{ r = Reshape (x, s) y = Pad (r, p, v, a) }"
    )
    del model.graph.value_info[:]
    (found,) = pads(model)
    assert found.begin is None
    assert found.condition == "axes -1 of a value whose rank is not known: 1 before, 2 after"


def pad_before(op: str, pad: str, amounts: str = "{0,0,0,1,0,0,1,2}", held: str = "") -> onnx.ModelProto:
    weight, inputs = (", float[1,1,3,3] w", "z, w") if op == "Conv" else ("", "z")
    held = ", ".join(h for h in ("kernel_shape = [3, 3]", held) if h)
    return parse(
        f"g (float[1,1,6,7] x{weight}) => (float[A,B,C,D] y) <int64[8] p = {amounts}, float v = {{{pad}}}> "
        f"{{ [pad] z = Pad (x, p, v) y = {op} <{held}> ({inputs}) }}"
    )


def test_a_pad_is_folded_where_it_fills_in_what_the_window_would() -> None:
    both = ((0, 1), (1, 2))
    low = pad_before("MaxPool", "0")
    low.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "v"))
    assert sliding(low).with_pad == both
    assert sliding(low).torch == "F.pad(x, (1, 2, 0, 1), value=float('-inf')), padding=0"
    assert sliding(pad_before("Conv", "0")).with_pad == both
    assert sliding(pad_before("Conv", "0")).torch == "F.pad(x, (1, 2, 0, 1)), padding=0"
    assert sliding(pad_before("AveragePool", "0")).with_pad == both
    assert sliding(pad_before("AveragePool", "0")).keras == "ZeroPadding2D(((0, 1), (1, 2))), padding='valid'"
    assert sliding(pad_before("AveragePool", "0", held="count_include_pad = 1, pads = [1,1,1,1]")).with_pad == (
        (1, 2),
        (2, 3),
    )


def test_a_pad_that_fills_in_something_else_is_only_noted() -> None:
    for model in (
        pad_before("Conv", "1"),
        pad_before("MaxPool", "0"),
        pad_before("AveragePool", "0", held="pads = [1,1,1,1]"),
        pad_before("Conv", "0", "{0,1,0,1,0,0,1,2}"),
    ):
        found = sliding(model)
        assert found.with_pad is None
        assert "a Pad (pad) feeds it" in found.note
        assert found.torch in ("padding=0", "padding=1, count_include_pad=False")


def test_a_pad_is_found_behind_a_transpose_and_an_identity() -> None:
    found = sliding(
        parse(
            "g (float[1,6,7,2] x, float[3,2,3,3] w) => (float[1,3,A,B] y) <int64[8] p = {0,0,1,0,0,1,2,0}> "
            "{ [pad] z = Pad (x, p) t = Transpose <perm = [0, 3, 1, 2]> (z) i = Identity (t) y = Conv (i, w) }"
        )
    )
    assert found.with_pad == ((0, 1), (1, 2))


@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool"])
def test_a_folded_pad_gives_the_same_numbers(op: str) -> None:
    """The node with the padding in all and no Pad in front is the Pad and the node."""
    model = pad_before(op, "0", held="strides = [2, 2]")
    if op == "MaxPool":
        model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.array(-np.inf, np.float32), "v"))
    found = sliding(model)
    assert found.with_pad is not None
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    del alone.graph.node[0]
    (node,) = alone.graph.node
    node.input[0] = "x"
    node.attribute.append(onnx.helper.make_attribute("pads", [*found.with_pad[0], *found.with_pad[1]]))
    if op == "AveragePool":
        node.attribute.append(onnx.helper.make_attribute("count_include_pad", 1))
    rng = np.random.default_rng(4)
    feeds = {"x": rng.standard_normal((1, 1, 6, 7)).astype(np.float32) - 3}
    if op == "Conv":
        feeds["w"] = rng.standard_normal((1, 1, 3, 3)).astype(np.float32)
    left, right = _in_onnxruntime(model, feeds), _in_onnxruntime(alone, feeds)
    assert left.shape == right.shape
    assert np.allclose(left, right, rtol=1e-5, atol=1e-5)


# Quantized and fused.


def test_a_quantized_graph_is_read_through_its_dequantizations() -> None:
    """The weight's shape through DequantizeLinear, and the Pad in front of the activation's quantization."""
    model = parse(
        "g (float[1,1,6,6] x) => (float[A,B,C,D] y) <int8[1,1,3,3] q = {1,2,3,4,5,6,7,8,9}, float s = {0.5}, "
        "int8 z = {3}, int8 n = {0}, int64[8] p = {0,0,0,0,0,0,1,1}> { [pad] a = Pad (x, p) "
        "b = QuantizeLinear (a, s, z) c = DequantizeLinear (b, s, z) w = DequantizeLinear (q, s, n) "
        'y = Conv <auto_pad = "VALID", strides = [2, 2]> (c, w) }'
    )
    found = sliding(model)
    assert found.with_pad == ((0, 0), (1, 1))
    assert found.keras == "padding='same'"
    assert found.offset == (1.0, 1.0)
    other = parse(
        onnx.printer.to_text(model).split(">", 1)[1].replace("DequantizeLinear (b, s, z)", "DequantizeLinear (b, s, n)")
    )
    assert sliding(other).with_pad is None


FUSED = '<ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1, "com.microsoft.nchwc" : 1]>'


@pytest.mark.parametrize(
    ("call", "begin", "end"),
    [
        (
            'com.microsoft.FusedConv <auto_pad = "SAME_UPPER", strides = [2, 2], activation = "Relu"> (x, w)',
            (0, 1),
            (1, 1),
        ),
        ('com.microsoft.NhwcFusedConv <auto_pad = "SAME_UPPER", strides = [2, 2]> (h, w)', (0, 1), (1, 1)),
        (
            'com.microsoft.NhwcMaxPool <auto_pad = "SAME_UPPER", strides = [2, 2], kernel_shape = [3, 3]> (h)',
            (0, 1),
            (1, 1),
        ),
        ('com.microsoft.nchwc.Conv <auto_pad = "SAME_LOWER", strides = [2, 2]> (x, w)', (1, 1), (0, 1)),
        ("com.microsoft.nchwc.MaxPool <pads = [0, 1, 1, 0], kernel_shape = [3, 3]> (x)", (0, 1), (1, 0)),
        (
            'com.microsoft.QLinearAveragePool <auto_pad = "SAME_UPPER", strides = [2, 2], kernel_shape = [3, 3], '
            "channels_last = 1> (h)",
            (0, 1),
            (1, 1),
        ),
        ("com.microsoft.ConvTransposeWithDynamicPads <strides = [2, 2]> (x, w, p)", (1, 0), (1, 1)),
    ],
)
def test_fused_forms_are_read_like_what_they_fuse(call: str, begin: Any, end: Any) -> None:
    model = onnx.parser.parse_model(
        f"{FUSED} g (float[1,4,6,7] x, float[1,6,7,4] h, float[4,4,3,3] w) => (float[A,B,C,D] y) "
        f"<int64[4] p = {{1,0,1,1}}> {{ y = {call} }}"
    )
    (found,) = pads(model)
    assert (found.begin, found.end) == (begin, end)


def test_what_onnxruntime_makes_of_a_graph_is_read_as_the_graph(tmp_path: Any) -> None:
    """Its optimizer resolves nothing and moves no padding: the fused nodes pad what the plain ones did."""
    import onnxruntime

    model = parse(
        "g (float[1,8,9,9] x, float[1,8,9,9] u) => (float[A,B,C,D] y) "
        '{ a = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w) r = Relu (a) '
        "m = MaxPool <kernel_shape = [2, 2], pads = [0, 1, 1, 0]> (r) "
        "p = AveragePool <kernel_shape = [3, 3], pads = [1, 0, 0, 1]> (m) y = Conv <pads = [0, 1, 1, 2]> (p, w) }"
    )
    rng = np.random.default_rng(5)
    w = rng.standard_normal((8, 8, 3, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    made = onnx.load(tmp_path / "optimized.onnx")
    assert any(n.domain.startswith("com.microsoft") for n in made.graph.node)
    plain, fused = pads(model), pads(made)
    assert [(p.begin, p.end) for p in plain] == [(p.begin, p.end) for p in fused]


# Spellings of what a file says that no runtime agrees on, and hostile files.


def test_what_runtimes_do_not_agree_on_has_no_spelling() -> None:
    dilated = one(
        "g (float[1,1,8] x) => (float[1,1,L] y) "
        '{ y = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [3], dilations = [2]> (x) }'
    )
    rounded = one(
        "g (float[1,1,7] x) => (float[1,1,L] y) "
        '{ y = MaxPool <auto_pad = "VALID", kernel_shape = [2], strides = [2], ceil_mode = 1> (x) }'
    )
    small = one(
        "g (float[1,1,6] x) => (float[1,1,L] y) "
        '{ y = MaxPool <auto_pad = "SAME_UPPER", kernel_shape = [1], strides = [3]> (x) }'
    )
    for found in (dilated, rounded, small):
        assert (found.torch, found.keras) == (None, None)
        assert found.note
    assert rounded.unread == (None,)
    assert small.begin is None


@pytest.mark.parametrize(
    "call",
    [
        "Conv <kernel_shape = [-3]> (x, w)",
        "Conv <kernel_shape = [0]> (x, w)",
        "Conv <strides = [4611686018427387904], dilations = [4611686018427387904]> (x, w)",
        "Conv <pads = [-4611686018427387904, 4611686018427387904]> (x, w)",
        'Conv <auto_pad = "SAME_UPPER", strides = [4611686018427387904]> (u, w)',
        "Conv <auto_pad = 1> (x, w)",
        "Conv (x)",
        "Conv ()",
        "MaxPool <ceil_mode = 1.5> (x)",
        "MaxPool <ceil_mode = 1, kernel_shape = [9], strides = [3]> (x)",
        "AveragePool <count_include_pad = [1]> (x)",
        "ConvTranspose <output_shape = [-7], strides = [3]> (x, w)",
        "ConvTranspose <output_shape = [1, 2, 3, 4]> (x, w)",
        "MaxUnpool <kernel_shape = [2]> (x)",
        "DeformConv <offset_group = 0> (x, w)",
        "Pad ()",
        "Pad (x)",
        "Pad (x, x)",
        "Pad (x, w, x, w)",
        "Pad <pads = [1]> (x)",
        "Pad <pads = [1, 2, 3, 4, 5]> (x)",
        'Pad <pads = "1"> (x)',
        "Pad <mode = 3> (x, i)",
        "Pad (x, i, x, i)",
        'Pad <mode = "nonsense"> (x, i)',
    ],
)
def test_nothing_that_a_file_says_is_a_crash(call: str) -> None:
    model = parse(
        f"g (float[1,1,6] x, float[N,1,M] u, float[1,1,3] w) => (float[A,B,C] y) "
        f"<int64[6] i = {{4611686018427387904,0,-9,0,0,4611686018427387904}}> {{ y = {call} }}"
    )
    assert len(pads(model)) == 1
    assert len(View(model).pads) == 1


@pytest.mark.parametrize(("count", "followed"), [(3, True), (1000, False)])
def test_pads_in_a_row_are_added_up_all_or_none(count: int, followed: bool) -> None:
    calls = " ".join(f"v{i + 1} = Pad (v{i}, p)" for i in range(count))
    model = parse(
        f"g (float[1,1,6] v0, float[1,1,3] w) => (float[A,B,C] y) <int64[6] p = {{0,0,1,0,0,0}}> "
        f"{{ {calls} y = Conv (v{count}, w) }}"
    )
    found = pads(model)[-1]
    assert found.op == "Conv"
    assert found.with_pad == (((count,), (0,)) if followed else None)
    assert ("more Pads feed it than are followed" in found.note) != followed
