"""Effective pads are right when a node that spells them out gives the same bits as the node that left them open."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from onnx_triangulate.facts import pads as pads_module
from onnx_triangulate.facts import receptive_field
from onnx_triangulate.facts.pads import pads, windows
from onnx_triangulate.records.graphs import Pads

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'
READ = ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "MaxPool", "AveragePool", "LpPool")

Make = Callable[[onnx.ModelProto], onnx.ModelProto]


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"{HEAD} {text}")


def one(text: str) -> Pads:
    """The one row that is not a Pad node's."""
    return sliding(parse(text))


def sliding(model: onnx.ModelProto) -> Pads:
    (found,) = [p for p in pads(model) if p.op != "Pad"]
    return found


def spelled_out(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its one sliding window's padding written as explicit pads (and output_padding)."""
    explicit = onnx.ModelProto()
    explicit.CopyFrom(model)
    (node,) = explicit.graph.node
    (read,), (window,) = pads(model), windows(model)
    assert read.begin is not None
    assert read.end is not None
    kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads", "output_shape", "output_padding")]
    kept.append(onnx.helper.make_attribute("pads", [*read.begin, *read.end]))
    if window.extra is not None:
        kept.append(onnx.helper.make_attribute("output_padding", list(window.extra)))
    del node.attribute[:]
    node.attribute.extend(kept)
    return explicit


def max_pooled(model: onnx.ModelProto, x: Any, shape: tuple[int, ...]) -> Any:
    """MaxPool by its definition with the padding read: the evaluator takes explicit pads in another order."""
    (window,) = windows(model)
    assert window.begin is not None
    assert window.kernel is not None
    assert window.strides is not None
    assert window.dilations is not None
    y = np.zeros(shape, x.dtype)
    for place in itertools.product(*(range(n) for n in shape[2:])):
        rows = []
        for axis, out in enumerate(place):
            start = out * window.strides[axis] - window.begin[axis]
            steps = range(start, start + window.kernel[axis] * window.dilations[axis], window.dilations[axis])
            rows.append([i for i in steps if 0 <= i < x.shape[2 + axis]])
        index = np.ix_(range(shape[0]), range(shape[1]), *rows)
        y[(slice(None), slice(None), *place)] = x[index].max(axis=tuple(range(2, x.ndim)))
    return y


def _in_onnxruntime(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    """The evaluator's MaxPool rounds SAME_LOWER's shape down, and fails on auto_pad in one dimension."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def parts(model: onnx.ModelProto, feeds: dict[str, Any], make: Make = spelled_out, wanted: Any = None) -> str:
    """Why the padding read does not give the same bits; empty where it does."""
    (window,) = windows(model)
    if wanted is not None:
        left = wanted
    elif window.op == "MaxPool":
        left = _in_onnxruntime(model, feeds)
    else:
        left = ReferenceEvaluator(model).run(None, feeds)[0]
    if window.op == "MaxPool":
        if window.output != left.shape[2:] and not any(a.name == "ceil_mode" for a in model.graph.node[0].attribute):
            return f"shapes {left.shape[2:]} and {window.output}"
        right = max_pooled(model, feeds[model.graph.input[0].name], left.shape)
    else:
        right = ReferenceEvaluator(make(model)).run(None, feeds)[0]
    if left.shape != right.shape:
        return f"shapes {left.shape} and {right.shape}"
    return "" if left.tobytes() == right.tobytes() else "values"


@pytest.mark.slow
def test_every_node_test_of_onnx(node_tests: list[Any]) -> None:
    tests = [t for t in node_tests if len(t.model.graph.node) == 1 and t.model.graph.node[0].op_type in READ]
    assert len(tests) >= 50
    assert {t.model.graph.node[0].op_type for t in tests} == set(READ)
    seen = {}
    for test in tests:
        for inputs, outputs in test.data_sets:
            feeds = dict(zip([i.name for i in test.model.graph.input], inputs, strict=True))
            pools = test.model.graph.node[0].op_type == "MaxPool"
            seen[test.name] = parts(test.model, feeds, wanted=outputs[0] if pools else None)
    assert {name: why for name, why in seen.items() if why} == {}


CONV = ("Conv", "ConvTranspose")


def _sweep(op: str) -> Iterator[tuple[onnx.ModelProto, dict[str, Any], str]]:
    """Nodes with auto_pad over sizes, kernels, strides and dilations, with unique-valued inputs."""
    rng = np.random.default_rng(7)
    # The evaluator and ONNX Runtime both leave the dilation of a pool out of auto_pad, against the specification.
    dilations = (1, 2) if op in CONV else (1,)
    for auto, size, kernel, stride, dilation in itertools.product(
        ("SAME_UPPER", "SAME_LOWER", "VALID"), (5, 6, 7, 8), (1, 2, 3, 4, 5), (1, 2, 3), dilations
    ):
        span = (kernel - 1) * dilation + 1
        if span > size or (op != "Conv" and stride > span):
            continue
        held = f'auto_pad = "{auto}", kernel_shape = [{kernel}], strides = [{stride}]'
        if dilation > 1:
            held += f", dilations = [{dilation}]"
        x = rng.permutation(np.arange(-size, size, dtype=np.float32) + 0.5).reshape(1, 2, size)
        feeds = {"x": x}
        border = f"float[1,2,{size}] x"
        call = f"y = {op} <{held}> (x)"
        if op == "MaxPool":
            wide = f'auto_pad = "{auto}", kernel_shape = [{kernel}, 2], strides = [{stride}, 2]'
            x = rng.permutation(np.arange(-size, 2 * size, dtype=np.float32) + 0.5).reshape(1, 1, size, 3)
            feeds = {"x": x}
            border, call, held = f"float[1,1,{size},3] x", f"y = MaxPool <{wide}> (x)", wide
        if op in CONV:
            feeds["w"] = rng.permutation(np.arange(1, 4 * kernel + 1, dtype=np.float32)).reshape(2, 2, kernel)
            border += f", float[2,2,{kernel}] w"
            call = f"y = {op} <{held}> (x, w)"
        rank = "N,M,L,K" if op == "MaxPool" else "N,M,L"
        yield parse(f"g ({border}) => (float[{rank}] y) {{ {call} }}"), feeds, held


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"])
def test_auto_pad_over_sizes_kernels_strides(op: str) -> None:
    cases = list(_sweep(op))
    assert len(cases) > 60
    assert [(held, why) for model, feeds, held in cases if (why := parts(model, feeds))] == []


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose", "MaxPool", "AveragePool"])
def test_the_check_sees_upper_and_lower_swapped(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = receptive_field.split_pads
    for module in (receptive_field, pads_module):
        monkeypatch.setattr(module, "split_pads", lambda total, upper: right(total, not upper))
    assert any(parts(model, feeds) for model, feeds, _ in _sweep(op))


def test_the_check_sees_a_forgotten_dilation(monkeypatch: pytest.MonkeyPatch) -> None:
    right = receptive_field.same
    monkeypatch.setattr(pads_module, "same", lambda size, s, span, upper, pool: right(size, s, min(span, 3), upper))
    assert any(parts(model, feeds) for model, feeds, _ in _sweep("Conv"))


def test_the_check_sees_the_output_padding_forgotten() -> None:
    def forgetful(model: onnx.ModelProto) -> onnx.ModelProto:
        made = spelled_out(model)
        kept = [a for a in made.graph.node[0].attribute if a.name != "output_padding"]
        del made.graph.node[0].attribute[:]
        made.graph.node[0].attribute.extend(kept)
        return made

    model = _output_shape("SAME_UPPER", 20, 1)
    feeds = _deconv_feeds()
    assert parts(model, feeds) == ""
    assert parts(model, feeds, forgetful)


def _output_shape(auto: str, length: int, adds: int) -> onnx.ModelProto:
    held = f'auto_pad = "{auto}", ' if auto else ""
    return parse(
        f"g (float[1,1,10] x, float[1,1,5] w) => (float[1,1,L] y) {{ y = ConvTranspose "
        f"<{held}strides = [2], output_shape = [{length}], output_padding = [{adds}]> (x, w) }}"
    )


def _deconv_feeds() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {
        "x": rng.permutation(np.arange(1, 11, dtype=np.float32)).reshape(1, 1, 10),
        "w": np.array([1, 10, 100, 1000, 7], np.float32).reshape(1, 1, 5),
    }


@pytest.mark.parametrize("length", [17, 18, 19, 20, 21, 22, 23])
@pytest.mark.parametrize("adds", [0, 1])
@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_output_shape_with_auto_pad(auto: str, length: int, adds: int) -> None:
    assert parts(_output_shape(auto, length, adds), _deconv_feeds()) == ""


@pytest.mark.parametrize("length", [17, 18, 20, 23])
@pytest.mark.parametrize("adds", [0, 1])
def test_output_shape_alone_splits_as_same_lower(length: int, adds: int) -> None:
    """The specification says "else": the evaluator does so for SAME_LOWER only, so that is what is held against."""
    explicit = spelled_out(_output_shape("", length, adds))
    (found,) = ReferenceEvaluator(explicit).run(None, _deconv_feeds())
    (wanted,) = ReferenceEvaluator(_output_shape("SAME_LOWER", length, adds)).run(None, _deconv_feeds())
    assert found.tobytes() == wanted.tobytes()


def test_output_shape_larger_than_the_windows_reach() -> None:
    found = one(
        "g (float[1,1,3] x, float[1,1,3] w) => (float[1,1,10] y) "
        "{ y = ConvTranspose <strides = [3], output_shape = [10]> (x, w) }"
    )
    assert (found.begin, found.end) == ((0,), (0,))
    assert "rows are added after" in found.note


def test_an_impulse_shows_where_the_kernel_begins() -> None:
    """SAME on an even input with stride 2 pads 0 before: the first output reads inputs 0, 1, 2."""
    model = parse(
        "g (float[1,1,6] x, float[1,1,3] w) => (float[1,1,3] y) "
        '{ y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w) }'
    )
    (found,) = pads(model)
    assert found == Pads(
        "Conv_0",
        "Conv",
        (0,),
        (1,),
        "SAME_UPPER",
        False,
        unread=(0,),
        offset=(1.0,),
        torch="F.pad(x, (0, 1)), padding=0",
        keras="padding='same'",
    )
    x = np.zeros((1, 1, 6), np.float32)
    x[0, 0, 2] = 1
    (y,) = ReferenceEvaluator(model).run(None, {"x": x, "w": np.array([[[1, 2, 4]]], np.float32)})
    start = 0 * 2 - found.begin[0] if found.begin else None
    assert start is not None
    assert y[0, 0, 0] == np.array([1, 2, 4], np.float32)[2 - start]


def test_the_kernel_comes_from_the_weight() -> None:
    found = one(
        "g (float[1,1,6,5] x) => (float[1,1,3,3] y) <float[1,1,3,1] w = {1, 1, 1}> "
        '{ y = Conv <auto_pad = "SAME_LOWER", strides = [2, 2]> (x, w) }'
    )
    assert (found.begin, found.end, found.symmetric) == ((1, 0), (0, 0), False)


def test_the_kernel_comes_from_a_constant_node() -> None:
    found = one(
        "g (float[1,1,6] x) => (float[1,1,3] y) "
        '{ w = Constant <value = float[1,1,3] {1, 1, 1}> () y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w) }'
    )
    assert (found.begin, found.end) == ((0,), (1,))


def test_stride_one_needs_no_shape() -> None:
    found = one(
        'g (float[N,C,H,W] x, float[3,C,4,3] w) => (float[N,M,H,W] y) { y = Conv <auto_pad = "SAME_UPPER"> (x, w) }'
    )
    assert (found.begin, found.end) == ((1, 1), (2, 1))


@pytest.mark.parametrize(
    ("border", "held", "says"),
    [
        ("float[1,1,N] x, float[1,1,3] w", 'auto_pad = "SAME_UPPER", strides = [2]', "input's size is not known"),
        ("float[1,1,6] x, float[1,1,K] w", 'auto_pad = "SAME_UPPER"', "kernel's size is not known"),
        ("float[1,1,6] x, float[1,1,3] w", "pads = [1]", "pads has 1 values for 1 spatial axes"),
        ("float[1,1,6] x, float[1,1,3] w", "strides = [0]", "must be positive"),
        ("float[1,1,6] x, float[1,1,3] w", 'auto_pad = "SAME"', "not one that ONNX defines"),
        ("float[1,1,6] x, float[1,1,3] w", "strides = [1, 1]", "strides has 2 values for 1"),
    ],
)
def test_what_is_not_known_is_none_with_a_reason(border: str, held: str, says: str) -> None:
    found = one(f"g ({border}) => (float[A,B,C] y) {{ y = Conv <{held}> (x, w) }}")
    assert (found.begin, found.end, found.symmetric) == (None, None, None)
    assert says in found.note


def test_shapes_are_inferred_where_the_file_does_not_say_them() -> None:
    found = one(
        "g (float[1,1,12] x, float[1,1,3] w) => (float[A,B,C] y) <int64[3] s = {1, 1, 6}, int64[1] b = {0}, "
        "int64[1] e = {6}, int64[1] a = {2}> "
        '{ z = Slice (x, b, e, a) r = Reshape (z, s) y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (r, w) }'
    )
    assert (found.begin, found.end) == ((0,), (1,))


def test_inference_that_fails_leaves_the_shape_unknown() -> None:
    found = one(
        "g (float[1,1,12] x, float[1,1,3] w) => (float[A,B,C] y) <int64[1] s = {5}> "
        '{ r = Reshape (x, s) q = Conv (r, r) y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (q, w) }'.replace(
            "q = Conv (r, r)", "q = Nonsense (r)"
        )
    )
    assert found.begin is None


def test_a_large_initializer_is_not_copied_for_inference() -> None:
    model = parse(
        "g (float[1,64,12] x) => (float[A,B,C] y) <float[64,64,3] w> "
        '{ r = Relu (x) y = Conv <auto_pad = "SAME_UPPER", strides = [2]> (r, w) }'
    )
    del model.graph.value_info[:]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((64, 64, 3), np.float32), "w"))
    (found,) = pads(model)
    assert (found.begin, found.end) == ((0,), (1,))


def test_a_pad_in_front_is_noted_and_counted() -> None:
    model = parse(
        "g (float[1,2,6,6] x, float[3,2,3,3] w) => (float[1,3,A,B] y) <int64[8] p = {0,0,0,0,0,0,1,1}> "
        "{ [pad] z = Pad (x, p) y = Conv <strides = [2, 2]> (z, w) }"
    )
    found, (window,) = sliding(model), windows(model)
    assert (found.begin, found.end, found.symmetric) == ((0, 0), (0, 0), True)
    assert found.with_pad == ((0, 0), (1, 1))
    assert found.note == "a Pad (pad) feeds it: 0 0 before, 1 1 after"
    assert window.before == ((0, 0), (1, 1))
    assert window.output == (3, 3)


def test_a_pad_by_axes_and_a_reflecting_one() -> None:
    by_axes = parse(
        "g (float[1,2,6,6] x, float[3,2,3,3] w, float v) => (float[1,3,A,B] y) "
        "<int64[4] p = {1,0,0,2}, int64[2] a = {-2,3}> { [pad] z = Pad (x, p, v, a) y = Conv (z, w) }"
    )
    assert sliding(by_axes).note == "a Pad (pad) feeds it: 1 0 before, 0 2 after"
    reflecting = parse(
        "g (float[1,2,6,6] x, float[3,2,3,3] w) => (float[1,3,A,B] y) <int64[8] p = {0,0,0,0,0,0,1,1}> "
        '{ [pad] z = Pad <mode = "reflect"> (x, p) y = Conv (z, w) }'
    )
    assert "reflect" in sliding(reflecting).note
    assert windows(reflecting)[0].before is None


def test_a_pad_of_unknown_amounts_is_noted() -> None:
    found = one(
        "g (float[1,2,6,6] x, float[3,2,3,3] w, int64[8] p) => (float[1,3,A,B] y) "
        "{ [pad] z = Pad (x, p) y = Conv (z, w) }"
    )
    assert "not constant" in found.note


def test_ceil_mode_says_how_far_the_last_window_reaches() -> None:
    found = one(
        "g (float[1,1,6,7] x) => (float[1,1,A,B] y) "
        "{ y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1> (x) }"
    )
    assert (found.begin, found.end) == ((0, 0), (0, 0))
    assert found.note == "ceil_mode: the last window reaches 1 0 beyond the end"


def test_nodes_in_subgraphs_and_functions_are_read_under_their_path() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[1,1,6] x, float[1,1,3] w, bool c) => (float[1,1,3] y) {
            [choose] z = If (c) <
                then_branch = yes () => (float[1,1,3] t) {
                    [inner] t = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w)
                },
                else_branch = no () => (float[1,1,3] e) { e = Conv <pads = [1, 0], strides = [2]> (x, w) }
            >
            y = local.Twice (z, w)
        }
        <domain: "local", opset_import: ["" : 18]>
        Twice (a, b) => (d) { [body] d = Conv <pads = [1, 1]> (a, b) }"""
    )
    found = pads(model)
    assert [p.node for p in found] == ["choose/then_branch/inner", "choose/else_branch/Conv_0", "Twice/body"]
    assert [(p.begin, p.end) for p in found] == [((0,), (1,)), ((1,), (0,)), ((1,), (1,))]


def test_a_loop_body_is_outer_inner() -> None:
    model = parse(
        """g (float[1,1,6] x, float[1,1,3] w, int64 n, bool c) => (float[1,1,6] y) {
            [loop] y = Loop (n, c, x) <
                body = b (int64 i, bool k, float[1,1,6] h) => (bool k2, float[1,1,6] h2) {
                    k2 = Identity (k)
                    [inner] h2 = Conv <auto_pad = "SAME_UPPER"> (h, w)
                }
            >
        }"""
    )
    assert [(p.node, p.begin) for p in pads(model)] == [("loop/inner", (1,))]


def test_a_name_hidden_by_a_subgraph_keeps_its_own_shape() -> None:
    """The body's ``x`` is not the outer ``x``: taking the outer shape would be a guess."""
    model = parse(
        """g (float[1,1,6] x, float[1,1,3] w, int64 n, bool c) => (float[1,1,L] y) {
            [loop] y = Loop (n, c, x) <
                body = b (int64 i, bool k, float[1,1,M] x) => (bool k2, float[1,1,M] h2) {
                    k2 = Identity (k)
                    [inner] h2 = Conv <auto_pad = "SAME_UPPER", strides = [2]> (x, w)
                }
            >
        }"""
    )
    (found,) = pads(model)
    assert found.begin is None


def test_an_attribute_that_a_function_takes_as_parameter_is_not_guessed() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "local" : 1]>
        g (float[1,1,6] x, float[1,1,3] w) => (float[1,1,3] y) { y = local.P <p = [1, 1]> (x, w) }
        <domain: "local", opset_import: ["" : 18]>
        P <p> (a, b) => (d) { [body] d = Conv <pads: ints = @p> (a, b) }"""
    )
    (found,) = pads(model)
    assert found.begin is None
    assert "parameter of the function" in found.note


def test_a_dilated_pool_with_auto_pad_follows_the_specification_and_says_that_runtimes_do_not() -> None:
    held = 'auto_pad = "SAME_UPPER", kernel_shape = [3], dilations = [2], strides = [1]'
    found = one(f"g (float[1,1,8] x) => (float[1,1,8] y) {{ y = MaxPool <{held}> (x) }}")
    assert (found.begin, found.end) == ((2,), (2,))
    assert "leave the dilation of a pool out" in found.note


def test_an_attribute_of_another_type_is_no_crash() -> None:
    model = parse("g (float[1,1,6] x, float[1,1,3] w) => (float[1,1,4] y) { y = Conv <pads = 1.5> (x, w) }")
    (found,) = pads(model)
    assert (found.begin, found.note) == (None, "pads is not of the type that ONNX gives it")


def test_operators_outside_onnx_are_not_read() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18, "other" : 1]> '
        "g (float[1,1,6] x, float[1,1,3] w) => (float[1,1,4] y) { y = other.Conv (x, w) }"
    )
    assert pads(model) == ()


def test_amounts_that_are_computed_of_constants_are_known() -> None:
    """As TorchScript's exporter writes F.pad: padded with zeros, reshaped, turned round, transposed, cast."""
    amounts = """
        z = ConstantOfShape <value = int64[1] {0}> (four) c = Concat <axis = 0> (pairs, z) r = Reshape (c, two)
        s = Slice (r, last, first, zero, back) t = Transpose <perm = [1,0]> (s) f = Reshape (t, all)
        amounts = Cast <to = 7> (f) p = Pad (x, amounts) y = Conv (p, w)"""
    constants = """<int64[4] pairs = {0,1,2,3}, int64[1] four = {4}, int64[2] two = {-1,2}, int64[1] last = {-1},
        int64[1] first = {-9223372036854775807}, int64[1] zero = {0}, int64[1] back = {-1}, int64[1] all = {-1},
        float[2,3,3,3] w>"""
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,9,9] x, int64[4] given) => (y)'
    pad, conv = pads(onnx.parser.parse_model(f"{head} {constants} {{ {amounts} }}"))
    assert (pad.begin, pad.end) == ((0, 0, 2, 0), (0, 0, 3, 1))
    assert conv.with_pad == ((2, 0), (3, 1))
    asked = amounts.replace("(pairs, z)", "(given, z)")  # what is fed is not known
    pad, conv = pads(onnx.parser.parse_model(f"{head} {constants} {{ {asked} }}"))
    assert (pad.begin, conv.with_pad) == (None, None)


@pytest.mark.parametrize(("group", "spelled"), [(1, True), (3, False)])
def test_keras_has_no_groups_in_a_transposed_convolution(group: int, spelled: bool) -> None:
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,9,9] x) => (y) <float[3,1,3,3] w>'
    (row,) = pads(onnx.parser.parse_model(f"{head} {{ y = ConvTranspose <group = {group}, pads = [1,1,1,1]> (x, w) }}"))
    assert row.torch == "padding=1"
    assert (row.keras is not None) == spelled


@pytest.mark.parametrize("quantize", ["QuantizeLinear (p, s, z)", "DynamicQuantizeLinear (p)"])
def test_a_pad_behind_a_quantization_is_told(quantize: str) -> None:
    outputs = "q, t, u" if quantize.startswith("Dynamic") else "q"
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1,3,9,9] x) => (y) '
        "<uint8[2,3,3,3] w, float s = {0.1}, uint8 z = {3}, int64[8] a = {0,0,1,1,0,0,1,1}> "
        f'{{ p = Pad <mode = "reflect"> (x, a) {outputs} = {quantize} y = ConvInteger (q, w) }}'
    )
    row = pads(model)[-1]
    assert (row.begin, row.with_pad) == ((0, 0), None)
    assert "1 1 before, 1 1 after (reflect)" in row.note


ONES = "g (float[1,2,9] x, float[3,2,1,3] w, float[3,2,3] v) => (y) <int64[6] p = {0,0,4,0,0,1}, int64[8] q = {%s}>"


@pytest.mark.parametrize(
    ("body", "amounts"),
    [
        ("a = Pad (x, p) b = Unsqueeze (a, two) y = Conv (b, w)", ((0, 4), (0, 1))),
        ("a = Pad (x, p) b = Unsqueeze (a, back) y = Conv (b, w)", ((0, 4), (0, 1))),
        (
            "t = Transpose <perm = [0,2,1]> (x) a = Pad (t, r) b = Unsqueeze (a, one) "
            "c = Transpose <perm = [0,3,1,2]> (b) y = Conv (c, w)",
            ((0, 4), (0, 1)),
        ),
        ("u = Unsqueeze (x, two) a = Pad (u, q) b = Squeeze (a, two) y = Conv (b, v)", ((4,), (1,))),
        ("u = Unsqueeze (x, two) a = Pad (u, q) b = Squeeze (a) y = Conv (b, v)", None),  # which axes, it does not say
    ],
)
def test_a_pad_in_front_of_an_axis_of_one(body: str, amounts: Any) -> None:
    constants = ", int64[6] r = {0,4,0,0,1,0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] back = {-2}>"
    text = ONES.replace("}>", "}" + constants) % "0,0,0,4,0,0,0,1"
    found = sliding(parse(f"{text} {{ {body} }}"))
    assert found.with_pad == amounts
    assert (found.begin, found.end) in {((0, 0), (0, 0)), ((0,), (0,))}


def test_a_pad_of_an_axis_that_is_gone_is_told_and_not_counted_in() -> None:
    text = ONES.replace("}>", "}, int64[1] two = {2}>") % "0,0,0,4,0,0,0,1"
    body = "u = Unsqueeze (x, two) a = Pad (u, q) b = Squeeze (a, two) y = Conv (b, v)"
    assert sliding(parse(f"{text} {{ {body} }}")).with_pad == ((4,), (1,))
    padded = text.replace("{0,0,0,4,0,0,0,1}", "{0,0,1,4,0,0,-1,1}")
    found = sliding(parse(f"{padded} {{ {body} }}"))
    assert found.with_pad is None
    assert "feeds it: 4 before, 1 after" in found.note
