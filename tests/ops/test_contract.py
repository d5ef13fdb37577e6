"""What a record says of its operator holds: every claim of every record, on the record's own examples.

Healthy results are ONNX Runtime's, with its optimizations off.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.numerics import replay
from onnx_triangulate.numerics.reference_evaluator import evaluate
from onnx_triangulate.onnxgraph.folding import FOLDS
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.nodes import whole_slots
from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.axis_propagation import ANY, AxisRule, Linked
from onnx_triangulate.ops.enclosures import Format
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.graph_node import GraphNode
from onnx_triangulate.ops.operator import Operator
from onnx_triangulate.ops.registry import collect, operators, operators_where
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.plugins import BrokenPlugin
from tests.one_node import FINE, faulty, judged, model_of, run, session

# A bound covers every way to compute; a count is the longest path of one of them.  By how much the bound says more:
BOUND_SAYS_MORE = {
    "AveragePool": 1,  # the window's sum from zero on
    "BatchNormalization": 2,  # x a + (b - m a) at the size of its parts
    "Gemm": 2,  # both scales on either side of the product
}
# A count is of floats; on these examples nothing rounds: whole numbers, a remainder, a type that holds them all.
NOTHING_ROUNDS = {"Add(x, z)", "Mod<fmod=1>(x, z)", "Mod(x, z)", "Cast<to=11>(x)", "Range(a, b, d)"}
# Whose elements have an order along an axis: nothing is claimed of a permutation.
IN_ORDER = {"CumSum": 2, "CumProd": 2}

EXAMPLES = [
    pytest.param(op, example, id=f"{op.name}: {example.node} {i}")
    for op in operators().values()
    for i, example in enumerate(op.examples)
]
BOUNDED = [param for param in EXAMPLES if param.values[0].bound is not None]


def of(holds: Any) -> list[Any]:
    """The examples of the operators of which something holds."""
    chosen = [param for param in EXAMPLES if holds(param.values[0])]
    assert chosen, "nothing is checked"
    return chosen


def defined(example: Example, feeds: Mapping[str, Array]) -> list[Array]:
    """What the reference evaluator makes of an example by the operators' definitions."""
    node = example.proto(example.node)
    return evaluate(node, example.opset, [feeds[n] if n else None for n in node.input])


def graph_node(example: Example, feeds: Mapping[str, Array]) -> GraphNode:
    """The example's node in a graph that holds its whole numbers as constants."""
    node = example.proto(example.node)
    model = model_of(node, example.opset, feeds)
    held = {n: v for n, v in feeds.items() if v.dtype.kind in "iub"}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in held.items())
    kept = [value for value in model.graph.input if value.name not in held]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    made = run(node, example.opset, feeds)
    ranks = [feeds[n].ndim if n else None for n in node.input]
    outs = [None if value is None else value.ndim for value in made]
    place = places(with_inferred_shapes(model) or model)[0]
    return GraphNode(place, example.opset, ranks, outs, [n in held for n in node.input])


@pytest.mark.parametrize(("op", "example"), BOUNDED)
def test_a_healthy_node_passes(op: Operator, example: Example) -> None:
    feeds = example.arrays()
    checks = judged(example, feeds, run(example.proto(example.node), example.opset, feeds))
    assert checks
    for check in checks:
        assert check.outcome in FINE, check
        assert check.compared > 0
        assert check.rule == op.rule


@pytest.mark.parametrize(("op", "example"), BOUNDED)
def test_a_planted_fault_fails(op: Operator, example: Example) -> None:
    feeds = example.arrays()
    checks = judged(example, feeds, faulty(example, feeds))
    assert any(check.faulty for check in checks), checks


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("op", "example"), BOUNDED)
def test_a_healthy_node_passes_whatever_the_size_of_its_inputs(
    op: Operator, example: Example, scale: float, seed: int
) -> None:
    feeds = example.arrays(seed)
    for name, wanted in example.inputs.items():
        if isinstance(wanted, str) and wanted.startswith(("float", "positive")):
            feeds[name] = (feeds[name] * np.float32(scale)).astype(np.float32)
    if example.node == "Sigmoid(x)":  # ONNX Runtime's is not healthy far out: see test_families
        feeds["x"] = np.maximum(feeds["x"], -10)
    checks = judged(example, feeds, run(example.proto(example.node), example.opset, feeds))
    assert [c for c in checks if c.faulty] == []


@pytest.mark.parametrize(("op", "example"), BOUNDED)
def test_a_count_is_as_large_as_the_bound_takes_it(
    op: Operator, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    gamma = Format.gamma
    monkeypatch.setattr(Format, "gamma", lambda self, k: (taken.append(k), gamma(self, k))[1])
    feeds, node = example.arrays(), example.proto(example.node)
    consumed = [feeds[n] if n else None for n in node.input]
    outputs = replay.expected(node, example.opset, consumed, run(node, example.opset, feeds))
    assert not isinstance(outputs, str), outputs
    rounds = outputs[0] is not None and bool(np.any(outputs[0].limit()))
    count = op.roundings
    if callable(count):
        count = count(graph_node(example, feeds))
    if count is None:
        pytest.skip("nobody counted it")
    assert count + BOUND_SAYS_MORE.get(op.name, 0) >= max(taken, default=0)
    assert bool(count) == rounds or (count and example.node in NOTHING_ROUNDS)


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.fold))
def test_what_is_folded_is_the_value(op: Operator, example: Example) -> None:
    feeds, node = example.arrays(), example.proto(example.node)
    held = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert op.fold is not None
    try:
        with np.errstate(all="ignore"):
            made = op.fold(held, [feeds[n] if n else None for n in node.input])
    except Exception:  # its way to say that it does not fold these: they round, say
        pytest.skip("not folded")
    (due, *_) = run(node, example.opset, feeds)
    assert due is not None
    assert np.asarray(made).dtype == due.dtype
    assert np.array_equal(made, due)


def test_what_is_folded_is_known() -> None:
    assert set(FOLDS) <= set(operators())


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.value and op.bound))
def test_a_definition_is_the_bounds_value(op: Operator, example: Example) -> None:
    feeds, node = example.arrays(), example.proto(example.node)
    checks = replay.replay(node, example.opset, [feeds[n] if n else None for n in node.input], defined(example, feeds))
    assert checks
    assert all(check.outcome in FINE for check in checks), checks


def turned(op: Operator, rule: AxisRule, example: Example) -> Iterator[tuple[int, bool]]:
    """By axis of the output, whether it follows when the elements along the linked axes of the inputs are turned."""
    feeds, node = example.arrays(), example.proto(example.node)
    floats = [n for n in node.input if n and feeds[n].dtype.kind == "f"]
    if rule is links.elementwise:
        shape = np.broadcast_shapes(*(v.shape for v in feeds.values()))
        feeds = {n: np.ascontiguousarray(np.broadcast_to(v, shape)) for n, v in feeds.items()}
        floats = list(feeds)
    made = run(node, example.opset, feeds)[0]
    found = [link for link in rule(graph_node(example, feeds)).links if link.target == 0]
    assert made is not None
    for axis in range(made.ndim):
        sources = {
            node.input[link.source]: place
            for link in found
            if (link.only is None or link.only[axis] == ANY)
            and (place := axis if link.axes is None else link.axes[axis]) is not None
        }
        if not sources or any(n not in sources and feeds[n].ndim for n in floats) or IN_ORDER.get(op.name) == axis:
            continue
        moved = {n: np.roll(v, 1, sources[n]) if n in sources else v for n, v in feeds.items()}
        due, seen = np.roll(made, 1, axis), run(node, example.opset, moved)[0]
        assert seen is not None
        yield axis, seen.shape == due.shape and bool(np.allclose(due, seen, rtol=1e-5, atol=1e-6, equal_nan=True))


LINKED = of(lambda op: op.axes not in (None, links.same_order))


@pytest.mark.parametrize(("op", "example"), LINKED)
def test_an_axis_goes_where_its_links_say(op: Operator, example: Example) -> None:
    assert op.axes is not None
    assert [axis for axis, follows in turned(op, op.axes, example) if not follows] == []


def test_most_links_are_checked() -> None:
    checked = {op.name for op, example in (p.values for p in LINKED) if any(True for _ in turned(op, op.axes, example))}
    assert len(checked) > 80


@pytest.mark.parametrize("name", ["Transpose", "Concat", "ReduceMax", "Softmax", "Unsqueeze", "Add"])
def test_a_wrong_link_is_found_out(name: str) -> None:
    op = operators()[name]
    right = op.axes
    assert right is not None

    def wrong(node: GraphNode) -> Linked:
        found, rank = right(node), node.outs[0] or 0
        turned = [k._replace(axes=tuple(reversed(k.axes or range(rank))), only=None) for k in found.links]
        return found._replace(links=tuple(turned))

    followed = [follows for example in op.examples for _, follows in turned(op, wrong, example)]
    assert not all(followed)


def swapped(example: Example) -> bool:
    """Whether the first two inputs may stand in either order."""
    feeds, node = example.arrays(), example.proto(example.node)
    one = run(node, example.opset, feeds)[0]
    node.input[0], node.input[1] = node.input[1], node.input[0]
    try:
        two = run(node, example.opset, feeds)[0]
    except Exception:  # a broadcast in one direction only
        return False
    return one is not None and two is not None and np.array_equal(one, two)


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.axes is links.elementwise))
def test_what_commutes_gives_the_same_in_either_order(op: Operator, example: Example) -> None:
    node = example.proto(example.node)
    if len(node.input) > 1 and node.input[0] != node.input[1] and not whole_slots(node, example.opset):
        assert swapped(example) == op.commutes


def test_only_elementwise_operators_commute() -> None:
    assert all(operators()[name].axes is links.elementwise for name in operators_where(lambda op: op.commutes))


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.draws or op.bound))
def test_what_draws_gives_something_else_each_time(op: Operator, example: Example) -> None:
    feeds = example.arrays()
    opened = session(model_of(example.proto(example.node), example.opset, feeds))
    one, two = (np.asarray(opened.run(None, {i.name: feeds[i.name] for i in opened.get_inputs()})[0]) for _ in range(2))
    inference = op.name == "Dropout"  # which draws in training only: see test_random_draws
    assert np.array_equal(one, two, equal_nan=one.dtype.kind == "f") == (not op.draws or inference)


def test_every_operator_that_draws_is_run() -> None:
    assert {op.name for op, _ in (p.values for p in EXAMPLES) if op.draws} == operators_where(lambda op: op.draws)


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.moves))
def test_what_moves_keeps_every_element(op: Operator, example: Example) -> None:
    feeds = example.arrays()
    made = defined(example, feeds)[0]
    assert np.array_equal(np.sort(made, axis=None), np.sort(feeds["x"], axis=None))


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.linear and op.rule != "interpolation"))
def test_what_is_linear_doubles_with_its_input(op: Operator, example: Example) -> None:
    feeds = {n: v for n, v in example.arrays().items() if n != "b"}
    node = example.proto(example.node)
    while node.input and node.input[-1] == "b":
        del node.input[-1]
    one, two = (run(node, example.opset, feeds | {"x": feeds["x"] * s})[0] for s in (1, 2))
    assert one is not None
    assert two is not None
    assert np.array_equal(2 * one, two)


@pytest.mark.parametrize(("op", "example"), of(lambda op: op.jumps == "to steps" and op.name != "Mod"))
def test_what_jumps_to_steps_is_constant_between_them(op: Operator, example: Example) -> None:
    feeds = example.arrays()
    x = feeds["x"].astype(np.float64)
    x[x == np.round(x)] += 0.3
    one, two = (defined(example, {"x": x * (1 + d)})[0] for d in (0, 1e-12))
    assert one.dtype.kind == "f"
    assert np.array_equal(one, two)


def test_there_are_enough_bounds() -> None:
    assert len(operators_where(lambda op: op.bound)) >= 120


def _module(name: str, held: object) -> ModuleType:
    module = ModuleType(name)
    module.OPERATORS = held  # type: ignore[attr-defined]
    return module


def test_a_second_record_of_an_operator_raises() -> None:
    conv = operators()["Conv"]
    with pytest.raises(BrokenPlugin, match="b: a second 'Conv' among the operators, after a"):
        collect([_module("a", (conv,)), _module("b", (replace(conv, rule="another"),))])


def test_an_empty_registry_raises() -> None:
    with pytest.raises(BrokenPlugin, match="no operators"):
        collect([])


@pytest.mark.parametrize("held", [None, (), ("operator",)])
def test_a_module_without_operators_raises(held: object) -> None:
    with pytest.raises(BrokenPlugin, match="a: expected OPERATORS to be"):
        collect([_module("a", held)])


@pytest.mark.parametrize("change", [{"examples": ()}, {"name": "MatMul"}])
def test_a_bound_without_an_example_raises(change: dict[str, Any]) -> None:
    with pytest.raises(BrokenPlugin, match="has a bound and no example"):
        collect([_module("a", (replace(operators()["Conv"], **change),))])


NEW = """
import numpy as np
from onnx_triangulate.ops import axis_propagation as links
from onnx_triangulate.ops.operator import Operator, WindowForm

OPERATORS = (
    Operator(
        "mine.Twice", value=lambda call: [2 * call.array(0)], stock="wrong", roundings=3, axes=links.same,
        commutes=True, draws=True, jumps="to steps", linear=True, window=WindowForm("Conv", 1),
    ),
)
"""
VIEWS = """
import numpy as np, onnx.parser
from onnx_triangulate.numerics import reference_evaluator, rounding_response
from onnx_triangulate.ops import random_draws, roundings, window_nodes
from onnx_triangulate.facts.model_view import ModelView
text = '<ir_version: 8, opset_import: ["" : 17, "mine" : 1]> g (float[1,2,6,6] x) => (float[1,2,6,6] y) '
model = onnx.parser.parse_model(text + "{ a = Conv <kernel_shape = [1, 1]> (x, w) y = mine.Twice (a) }")
model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w"))
node = model.graph.node[1]
assert "mine.Twice" in random_draws.DRAWS & rounding_response.STEPS & rounding_response._SUMS
assert roundings.roundings(model).count == 3 + 3
assert window_nodes.form_of(node).like == "Conv"
assert "Twice" in {op.__name__ for op in reference_evaluator.in_float64() if op.op_domain == "mine"}
from onnx.reference import ReferenceEvaluator
x = np.ones((1, 2, 6, 6))
assert (ReferenceEvaluator(model, new_ops=list(reference_evaluator.in_float64())).run(None, {"x": x})[0] == 4).all()
flow = ModelView(model).flow
assert [len(found) for found in flow.links] == [0, 1]
"""


def test_adding_an_operator_is_adding_a_record(tmp_path: Path) -> None:
    package = Path(replay.__file__).parents[1]
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / package.name / "ops" / "families" / "mine.py").write_text(NEW)
    done = subprocess.run(
        [sys.executable, "-c", VIEWS],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
