"""ONNX Runtime is never above a bound: on ONNX's node tests, long reductions and windows of random geometry.

That a bound passes what is healthy and catches what is faulty is held by ``test_contract``.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.numerics.replay import NodeCheck, replay
from onnx_triangulate.ops.elementary import elementary, measured
from onnx_triangulate.ops.enclosures import erf, phi
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.families.transcendental import FUNCTIONS
from onnx_triangulate.ops.registry import operator_of, operators
from tests.one_node import FINE, judged, run, session

ROOT = Path(__file__).resolve().parents[2]
# ONNX's node tests in which ONNX Runtime or the rule's own source is known to be wrong.  None of them is forgiven
# unless it still fails.
KNOWN: Mapping[str, str] = {}


@pytest.mark.parametrize(("x", "faulty"), [(-5.0, False), (-10.0, False), (-17.0, True), (-20.0, True), (-60.0, True)])
def test_a_kernel_that_loses_every_digit_of_a_small_result_is_faulty(x: float, faulty: bool) -> None:
    """ONNX Runtime's Sigmoid errs by 2 units of 1 everywhere: nothing is left of 2e-9, which it makes 0."""
    example = next(e for e in operators()["Sigmoid"].examples if e.node == "Sigmoid(x)")
    feeds = {"x": np.linspace(x - 0.5, x + 0.5, 64, dtype=np.float32)}
    checks = judged(example, feeds, run(example.proto(example.node), example.opset, feeds))
    assert [c.faulty for c in checks] == [faulty]


LONG = [
    Example("MatMul(x, z)", {"x": "float[3,4096]", "z": "float[4096,5]"}, ""),
    Example("Gemm(x, z, b)", {"x": "float[3,2048]", "z": "float[2048,5]", "b": "float[5]"}, ""),
    Example("Conv<pads=[1,1,1,1]>(x, w, b)", {"x": "float[1,256,9,8]", "w": "float[16,256,3,3]", "b": "float[16]"}, ""),
    Example("Conv<strides=[2,2],pads=[3,3,3,3]>(x, w)", {"x": "float[1,3,64,63]", "w": "float[16,3,7,7]"}, ""),
    Example("Conv<group=64>(x, w)", {"x": "float[1,64,19,17]", "w": "float[64,1,5,5]"}, ""),
    Example("Conv(x, w)", {"x": "float[2,8,300]", "w": "float[4,8,5]"}, ""),
    Example("Conv(x, w)", {"x": "float[1,3,5,6,7]", "w": "float[4,3,2,3,2]"}, ""),
    Example("ConvTranspose<strides=[2,2]>(x, w)", {"x": "float[1,128,9,8]", "w": "float[128,5,3,3]"}, ""),
    Example("ReduceSum(x, a)", {"x": "float[3,4096]", "a": [1]}, ""),
    Example("ReduceMean(x, a)", {"x": "float[3,4096]", "a": [1]}, ""),
    Example("ReduceL2(x, a)", {"x": "float[3,4096]", "a": [1]}, ""),
    Example("ReduceLogSumExp(x, a)", {"x": "float[3,4096]", "a": [1]}, ""),
    Example("Softmax(x)", {"x": "float[3,4096]"}, ""),
    Example("LogSoftmax(x)", {"x": "float[3,4096]"}, ""),
    Example("LayerNormalization(x, s, b)", {"x": "float[3,768]", "s": "float[768]", "b": "float[768]"}, ""),
    Example("InstanceNormalization(x, s, b)", {"x": "float[2,3,40,40]", "s": "float[3]", "b": "float[3]"}, ""),
    Example("CumSum(x, a)", {"x": "float[3,4096]", "a": np.int64(1)}, ""),
    Example("GlobalAveragePool(x)", {"x": "float[2,8,56,56]"}, ""),
    Example("Attention(q, k, v)", dict.fromkeys("qkv", "float[1,4,128,64]"), "", opset=23),
    Example(
        "LSTM<hidden_size=32>(x, w, r, b)",
        {"x": "float[60,2,24]", "w": "float[1,128,24]", "r": "float[1,128,32]", "b": "float[1,256]"},
        "",
        outputs="y, h, c",
    ),
    Example(
        'GRU<hidden_size=32,direction="bidirectional",linear_before_reset=1>(x, w, r, b)',
        {"x": "float[60,2,24]", "w": "float[2,96,24]", "r": "float[2,96,32]", "b": "float[2,192]"},
        "",
        outputs="y, h",
    ),
    Example(
        'LSTM<hidden_size=8,direction="reverse">(x, w, r)',
        {"x": "float[12,2,5]", "w": "float[1,32,5]", "r": "float[1,32,8]"},
        "",
        outputs="y",
    ),
    *(Example(f"{op}(x)", {"x": "float[20000]"}, "") for op in ("Exp", "Tanh", "Sigmoid", "Erf", "Softplus", "Mish")),
    Example("Gelu(x)", {"x": "float[20000]"}, "", opset=20),
    Example('Gelu<approximate="tanh">(x)', {"x": "float[20000]"}, "", opset=20),
]


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("example", LONG, ids=lambda e: f"{e.node} {e.inputs.get('x', '')}")
def test_long_reductions_stay_inside_their_bound(example: Example, scale: float) -> None:
    feeds = {n: (v * np.float32(scale) if v.dtype == np.float32 else v) for n, v in example.arrays(3).items()}
    if example.node == "Sigmoid(x)":
        feeds["x"] = np.maximum(feeds["x"], -10)
    checks = judged(example, feeds, run(example.proto(example.node), example.opset, feeds))
    assert all(check.outcome in FINE for check in checks), checks


@pytest.mark.parametrize("op", ["LayerNormalization", "InstanceNormalization", "GroupNormalization"])
def test_a_mean_far_from_zero_is_amplified_until_nothing_is_known(op: str) -> None:
    texts = {
        "GroupNormalization": "GroupNormalization<num_groups=2>",
        "LayerNormalization": "LayerNormalization<axis=1>",
    }
    shape = "float[4,32]" if op == "LayerNormalization" else "float[4]"
    example = Example(f"{texts.get(op, op)}(x, s, b)", {"x": "float[2,4,32]", "s": shape, "b": shape}, "", opset=21)
    bounds = []
    for offset in (0.0, 10.0, 1000.0):
        feeds = example.arrays(5)
        feeds["x"] = feeds["x"] + np.float32(offset)
        (check,) = judged(example, feeds, run(example.proto(example.node), example.opset, feeds))
        bounds.append(check.bound or 0.0)
        assert check.outcome in (FINE if offset < 100 else ("uncompared by bound",)), check
    assert bounds[0] < bounds[1] < bounds[2] == np.inf


def _window(random: np.random.Generator, op: str, rank: int) -> Example:
    """A convolution or a pooling of random geometry, or a Resize to a random size, that its operator allows."""
    sizes = [int(v) for v in random.integers(7, 13, rank)]
    kernel = [int(v) for v in random.integers(1, 4, rank)]
    held = {"strides": random.integers(1, 4, rank).tolist(), "dilations": random.integers(1, 3, rank).tolist()}
    same = random.random() < 0.25
    if same:
        held["dilations"] = [1] * rank
    pads = [int(random.integers(0, k)) for k in kernel * 2]
    group, per, out = int(random.integers(1, 4)), int(random.integers(1, 4)), int(random.integers(1, 4))
    weight = [group * out, per, *kernel]
    if op == "ConvTranspose":
        held["output_padding"] = [int(random.integers(0, s)) for s in held["strides"]]
        weight = [group * per, out, *kernel]
    if op == "ConvTranspose" and any(k < s for k, s in zip(kernel, held["strides"], strict=True)):
        same = False  # ONNX Runtime's output is then smaller than input times stride, which is what ONNX says
    words = [f"{name}=[{','.join(map(str, v))}]" for name, v in held.items()]
    words.append(
        f'auto_pad="{random.choice(["SAME_UPPER", "SAME_LOWER"])}"' if same else f"pads=[{','.join(map(str, pads))}]"
    )
    shape = ",".join(map(str, [2, group * per, *sizes]))
    if op.startswith("Conv"):
        words.append(f"group={group}")
        weights = f"float[{','.join(map(str, weight))}]"
        return Example(f"{op}<{', '.join(words)}>(x, w)", {"x": f"float[{shape}]", "w": weights}, "", opset=22)
    words.append(f"kernel_shape=[{','.join(map(str, kernel))}]")
    if not same:
        words.append(f"ceil_mode={random.integers(0, 2)}")
    if op == "AveragePool":
        words.append(f"count_include_pad={random.integers(0, 2)}")
    return Example(f"{op}<{', '.join(words)}>(x)", {"x": f"float[{shape}]"}, "", opset=22)


@pytest.mark.parametrize("op", ["AveragePool", "Conv", "ConvTranspose", "LpPool", "MaxPool"])
def test_random_windows_stay_inside_their_bound(op: str) -> None:
    wrong, judged_nodes = [], 0
    for seed in range(120):
        random = np.random.default_rng([seed, 7])
        example = _window(random, op, int(random.integers(1, 4)))
        feeds = example.arrays(seed)
        try:
            produced = run(example.proto(example.node), example.opset, feeds)
        except Exception:  # a geometry that ONNX Runtime refuses
            continue
        judged_nodes += 1
        checks = judged(example, feeds, produced)
        wrong += [(example, c) for c in checks if c.outcome not in FINE and "negative padding" not in (c.problem or "")]
    assert wrong == []
    assert judged_nodes > 40


MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_random_resizes_stay_inside_their_bound(mode: str) -> None:
    wrong, judged_nodes = [], {False: 0, True: 0}
    for seed in range(120):
        random = np.random.default_rng([seed, 8])
        how, near = MODES[seed % 5], random.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
        size = [int(v) for v in random.integers(3, 9, 2)]
        factors = random.choice([0.5, 0.6, 1.0, 1.3, 1.7, 2.0, 3.0, 4.0], 2).astype(np.float32)
        text = f'Resize<mode="{mode}",coordinate_transformation_mode="{how}",nearest_mode="{near}">'
        inputs = {"x": f"float[1,2,{size[0]},{size[1]}]", "r": np.zeros(0, np.float32)}
        by_size = bool(seed % 2)
        sizes = np.array([1, 2, *(max(1, int(s * f)) for s, f in zip(size, factors, strict=True))])
        more = {"s": sizes} if by_size else {"s": np.array([1, 1, *factors], np.float32)}
        operands = "(x, r, , s)" if by_size else "(x, r, s)"
        example = Example(text + operands, inputs | more, "", opset=19)
        feeds = example.arrays(seed)
        try:
            produced = run(example.proto(example.node), example.opset, feeds)
        except Exception:  # a mode that ONNX Runtime refuses
            continue
        judged_nodes[by_size] += 1
        wrong += [(example, check) for check in judged(example, feeds, produced) if check.outcome not in FINE]
    assert wrong == []
    assert min(judged_nodes.values()) > 20


def test_no_node_test_of_onnx_is_above_its_bound_in_onnxruntime(node_tests: list[Any]) -> None:
    """All of them that have one node, a rule and a kernel."""
    faulty: dict[str, list[NodeCheck]] = {}
    judged_ops: set[str] = set()
    for test in node_tests:
        (first, *more) = test.model.graph.node
        if more or (op := operator_of(first)) is None or op.bound is None:
            continue
        opset = next(o.version for o in test.model.opset_import if o.domain in ("", "ai.onnx"))
        names = [value.name for value in test.model.graph.input]
        feeds = dict(zip(names, map(np.asarray, test.data_sets[0][0]), strict=True))
        try:
            loaded = session(test.model)
            found = loaded.run(None, {value.name: feeds[value.name] for value in loaded.get_inputs()})
        except Exception:  # no kernel, or no such type: nothing to judge
            continue
        produced = dict(zip((v.name for v in test.model.graph.output), map(np.asarray, found), strict=True))
        consumed = [feeds[n] if n else None for n in first.input]
        checks = replay(first, opset, consumed, [produced.get(n) for n in first.output])
        wrong = [check for check in checks if check.faulty]
        if wrong:
            faulty[test.name] = wrong
        if any(check.outcome in FINE for check in checks):
            judged_ops.add(first.op_type)
    assert {name: checks for name, checks in faulty.items() if name not in KNOWN} == {}
    assert sorted(set(KNOWN) - set(faulty)) == [], "these are right by now: take them off the list"
    assert len(judged_ops) > 120


def test_every_constant_says_what_it_was_measured_of() -> None:
    for name, entry in measured()["runtimes"].items():
        assert set(elementary(name)) == {*FUNCTIONS, "Gelu", "Pow"}
        here = [m for m in entry["measurements"] if m["version"] == entry["version"]]
        assert all(m["date"] > "2026" and m["processor"] for m in here)
        for op, (c, floor) in entry["constants"].items():
            seen = [m["measured"][op] for m in here if op in m["measured"]]
            most_c, most_floor = max(c for c, _ in seen), max(f for _, f in seen)
            assert most_c <= c <= max(most_c + 1, 1), "rounded up to a whole unit, not enlarged"
            assert most_floor <= floor <= 1.1 * most_floor
    with pytest.raises(KeyError):
        elementary("nobody")


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("measure", ROOT / "scripts" / "measure_transcendentals.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow", "torch"])
def test_an_installed_engine_keeps_the_recorded_constants(engine: str) -> None:
    pytest.importorskip(engine)
    if engine != "onnxruntime":
        adapter(engine).warm()  # which says how many threads an engine uses, before it is used
    script = _script()
    points = script.grid(16411)
    beyond = {op: script.excess(engine, op, points) for op in FUNCTIONS}
    beyond["Gelu"] = script.excess_of_gelu(engine, points)
    beyond["Pow"] = script.excess_of_power(engine, 2**17)
    assert {op: worst for op, worst in beyond.items() if worst > 1} == {}, "measure again, and look at what changed"


def test_a_function_that_is_worse_than_recorded_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    script = _script()
    healthy = script.RUNTIMES["onnxruntime"]
    worse = {"onnxruntime": lambda op, inputs=1: lambda *a: healthy(op, inputs)(*a) * np.float32(1 + 1e-6)}
    monkeypatch.setattr(script, "RUNTIMES", worse)
    assert script.excess("onnxruntime", "Exp", script.grid(65537)) > 1
    assert script.excess_of_gelu("onnxruntime", script.grid(65537)) > 1
    assert script.excess_of_power("onnxruntime", 2**12) > 1


def test_the_error_function_in_double_precision() -> None:
    import math

    x = np.concatenate([np.linspace(-7, 7, 2001), [0.0, np.inf, -np.inf]])
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=1e-14, atol=0)
    tail = np.linspace(-30, 5, 801)
    np.testing.assert_allclose(phi(tail), [math.erfc(-v / math.sqrt(2)) / 2 for v in tail], rtol=1e-12, atol=0)
    assert np.isnan(erf(np.array([np.nan]))).all()


@pytest.mark.parametrize(("size", "outcome"), [(5, "fault"), (4, "fine")])
def test_a_resize_whose_coordinates_are_exact_has_a_sharp_bound(size: int, outcome: str) -> None:
    """From 9 to 5 every second number is one of the input's; from 9 to 4 the step of 8/3 is rounded."""
    text = 'Resize<mode="linear",coordinate_transformation_mode="align_corners">(x, , , s)'
    inputs: dict[str, Any] = {"x": "float[1,1,9]", "s": np.array([1, 1, size])}
    example = Example(text, inputs, "", opset=19)
    x = np.float32([[[0, 0, 1, 0, 0, 0, 0, 0, 0]]])
    feeds = {"x": x, "s": inputs["s"]}
    (y,) = run(example.proto(example.node), example.opset, feeds)
    moved = np.array(y)
    moved[..., 1] += np.float32(40 * 2.0**-24)
    checks = judged(example, feeds, [moved])
    assert ({"fault"} if any(check.outcome not in FINE for check in checks) else {"fine"}) == {outcome}
