"""Effective pads are right when a node that spells them out gives the same bits as the node that left them open."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from pipeline.data import Pads
from pipeline.graph import pads as pads_module
from pipeline.graph import reach
from pipeline.graph.pads import pads, windows
from pipeline.graph.view import View

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


@pytest.fixture(scope="module")
def node_tests() -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = load_model_tests(kind="node")
    return [t for t in tests if len(t.model.graph.node) == 1 and t.model.graph.node[0].op_type in READ]


def test_every_node_test_of_onnx(node_tests: list[Any]) -> None:
    assert len(node_tests) >= 50
    assert {t.model.graph.node[0].op_type for t in node_tests} == set(READ)
    seen = {}
    for test in node_tests:
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
    right = reach.split
    for module in (reach, pads_module):
        monkeypatch.setattr(module, "split", lambda total, upper: right(total, not upper))
    assert any(parts(model, feeds) for model, feeds, _ in _sweep(op))


def test_the_check_sees_a_forgotten_dilation(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reach.same
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


def test_a_thousand_pads_in_a_row_are_looked_through_a_few_at_a_time() -> None:
    calls = " ".join(f"v{i + 1} = Pad (v{i}, p)" for i in range(1000))
    model = parse(
        f"g (float[1,1,6] v0, float[1,1,3] w) => (float[A,B,C] y) <int64[6] p = {{0,0,1,0,0,0}}> "
        f"{{ {calls} y = Conv (v1000, w) }}"
    )
    found = pads(model)[-1]
    assert found.op == "Conv"
    assert found.with_pad is not None
