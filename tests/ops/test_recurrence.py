"""RNN, GRU and LSTM against ONNX Runtime, against each other where one option differs, and what nobody defines."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from onnx.reference import ReferenceEvaluator

from onnx_triangulate.comparison.options import Options
from onnx_triangulate.comparison.run import compare_files
from onnx_triangulate.numerics.float64_evaluation import take_apart
from onnx_triangulate.numerics.reference_evaluator import as_specified, evaluate, in_float64
from onnx_triangulate.numerics.replay import replay
from onnx_triangulate.ops.recurrence import ACTIVATIONS, DEFAULTS, GATES, taken_apart
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported

DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
SLOTS = "xwrblhcp"
STEPS, BATCH, SIZE, HIDDEN = 5, 3, 2, 4
OUTPUTS = {"RNN": ("y", "last"), "GRU": ("y", "last"), "LSTM": ("y", "last", "cell")}


def node(op: str, given: str, attributes: Mapping[str, Any], outputs: Sequence[str] | None = None) -> onnx.NodeProto:
    """A node with those optional inputs (letters of :data:`SLOTS`)."""
    inputs = [letter if letter in "xwr" + given else "" for letter in SLOTS[: 8 if op == "LSTM" else 6]]
    while not inputs[-1]:
        inputs.pop()
    return onnx.helper.make_node(op, inputs, outputs or OUTPUTS[op], name="cell", **attributes)


def arrays(op: str, ways: int, lengths: Sequence[int] = (5, 2, 3)) -> dict[str, Array]:
    random = np.random.default_rng(1)
    gates = GATES[op] * HIDDEN
    shapes = {
        "x": (STEPS, BATCH, SIZE),
        "w": (ways, gates, SIZE),
        "r": (ways, gates, HIDDEN),
        "b": (ways, 2 * gates),
        "h": (ways, BATCH, HIDDEN),
        "c": (ways, BATCH, HIDDEN),
        "p": (ways, 3 * HIDDEN),
    }
    made = {name: random.normal(size=shape).astype(np.float32) * np.float32(0.4) for name, shape in shapes.items()}
    return made | {"l": np.array(lengths, np.int32)}


def model(made: onnx.NodeProto, feeds: Mapping[str, Array], opset: int = 17) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(feeds[n].dtype), feeds[n].shape)
        for n in made.input
        if n
    ]
    outputs = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in made.output if n]
    graph = onnx.helper.make_graph([made], "g", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)


def fed(made: onnx.NodeProto, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {name: feeds[name] for name in made.input if name}


def by_onnxruntime(made: onnx.NodeProto, feeds: Mapping[str, Array]) -> list[Array]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model(made, feeds).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, fed(made, feeds))]


def wide(feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {name: value.astype(np.float64) if value.dtype.kind == "f" else value for name, value in feeds.items()}


def evaluated(made: onnx.NodeProto, feeds: Mapping[str, Array], *, double: bool = True, opset: int = 17) -> list[Array]:
    operators = in_float64() if double else as_specified()
    values = fed(made, wide(feeds) if double else feeds)
    evaluator = ReferenceEvaluator(model(made, feeds, opset), new_ops=list(operators))
    return [np.asarray(value) for value in evaluator.run(None, values)]


def functions(op: str, ways: int, name: str) -> dict[str, Any]:
    """That activation everywhere, with another alpha and beta in each place."""
    count = len(DEFAULTS[op]) * ways
    held: dict[str, Any] = {"activations": [name] * count}
    for slot, attribute in enumerate(("activation_alpha", "activation_beta")):
        if len(ACTIVATIONS[name]) > slot:
            held[attribute] = [0.3 + 0.05 * slot + 0.03 * i for i in range(count)]
    return held


def mixed(op: str, ways: int) -> dict[str, Any]:
    """Functions of which some take an alpha and one a beta: consumed by those, in order."""
    names = ["Elu", "ScaledTanh", "LeakyRelu"][-len(DEFAULTS[op]) :]
    takers = sum(name == "ScaledTanh" for name in names)
    betas = {"activation_beta": [0.7 + 0.1 * i for i in range(takers * ways)]} if takers else {}
    return {
        "activations": names * ways,
        "activation_alpha": [0.5 + 0.1 * i for i in range(len(names) * ways)],
        **betas,
    }


PLAIN: dict[str, tuple[str, str, Mapping[str, Any]]] = {  # the operators that have it, optional inputs, attributes
    "nothing": ("RNN GRU LSTM", "", {}),
    "biases": ("RNN GRU LSTM", "b", {}),
    "lengths": ("RNN GRU LSTM", "bl", {}),
    "an initial state": ("RNN GRU LSTM", "bh", {}),
    "initial states": ("LSTM", "hc", {}),
    "a cell state alone": ("LSTM", "bc", {}),
    "peepholes": ("LSTM", "bp", {}),
    "everything": ("LSTM", "blhcp", {}),
    "lengths and a state": ("RNN GRU", "blh", {}),
    "clip": ("RNN GRU", "blh", {"clip": 0.3}),
    "clip that no cell state reaches": ("LSTM", "bl", {"clip": 0.9}),
    "coupled gates": ("LSTM", "blhcp", {"input_forget": 1}),
    "a late reset": ("GRU", "blh", {"linear_before_reset": 1}),
    "a late reset and clip": ("GRU", "bh", {"linear_before_reset": 1, "clip": 0.4}),
    "names in small letters": ("GRU", "b", {"activations": ["sigmoid", "relu"]}),
}
CASES = [
    *(
        pytest.param(op, direction, given, held, id=f"{op} {direction} {name}")
        for name, (ops, given, held) in PLAIN.items()
        for op in ops.split()
        for direction, ways in DIRECTIONS.items()
        if ways == 1 or "activations" not in held
    ),
    *(
        pytest.param(op, direction, "bl", functions(op, ways, name), id=f"{op} {direction} {name}")
        for name in ACTIVATIONS
        for op in GATES
        for direction, ways in DIRECTIONS.items()
    ),
    *(
        pytest.param(op, direction, "bl", mixed(op, ways), id=f"{op} {direction} mixed")
        for op in GATES
        for direction, ways in DIRECTIONS.items()
    ),
    *(
        pytest.param(op, "forward", "b", {"activations": [name] * len(DEFAULTS[op])}, id=f"{op} {name} by default")
        for name in ("LeakyRelu", "HardSigmoid", "Elu")
        for op in GATES
    ),
]


@pytest.mark.parametrize(("op", "direction", "given", "held"), CASES)
def test_what_is_evaluated_is_onnxruntimes(op: str, direction: str, given: str, held: Mapping[str, Any]) -> None:
    """To float32's rounding, in float64 and in float32; the rule that bounds the rounding says so, too."""
    made = node(op, given, {"hidden_size": HIDDEN, "direction": direction, **held})
    feeds = arrays(op, DIRECTIONS[direction])
    due = by_onnxruntime(made, feeds)
    for double in (True, False):
        seen = evaluated(made, feeds, double=double)
        assert [value.dtype.name for value in seen] == ["float64" if double else "float32"] * len(due)
        for expected, computed in zip(due, seen, strict=True):
            assert computed.shape == expected.shape
            np.testing.assert_allclose(computed, expected, rtol=2e-6, atol=2e-6)
    checks = replay(made, 17, [feeds[name] if name else None for name in made.input], due)
    assert {check.outcome for check in checks} <= {"equal", "rounding"}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("op", GATES)
def test_a_batch_in_front_is_the_same_turned(op: str, direction: str) -> None:
    """ONNX Runtime has no ``layout`` 1."""
    given = "blhcp" if op == "LSTM" else "blh"
    feeds = arrays(op, DIRECTIONS[direction])
    held = {"hidden_size": HIDDEN, "direction": direction}
    y, *states = evaluated(node(op, given, held), feeds)
    turned = feeds | {name: np.swapaxes(feeds[name], 0, 1) for name in "xhc"}
    y_turned, *states_turned = evaluated(node(op, given, {**held, "layout": 1}), turned)
    assert np.array_equal(y_turned, np.transpose(y, (2, 0, 1, 3)))
    assert all(np.array_equal(b, np.swapaxes(a, 0, 1)) for a, b in zip(states, states_turned, strict=True))


@pytest.mark.parametrize("opset", [1, 7, 14, 22])
@pytest.mark.parametrize("op", GATES)
def test_every_version_and_any_outputs(op: str, opset: int) -> None:
    feeds = arrays(op, 1)
    held: dict[str, Any] = {"hidden_size": HIDDEN}
    y, last, *_ = by_onnxruntime(node(op, "b", held), feeds)
    if opset == 1:
        held["output_sequence"] = 1
    (seen,) = evaluated(node(op, "b", held, ["", "last"]), feeds, opset=opset)
    np.testing.assert_allclose(seen, last, rtol=2e-6, atol=2e-6)
    (seen,) = evaluated(node(op, "b", held, ["y"]), feeds, opset=opset)
    np.testing.assert_allclose(seen, y, rtol=2e-6, atol=2e-6)


def test_lengths_by_hand() -> None:
    """h = x + h: a row is the running sum of its own steps, from its own end in reverse; what is beyond is zero."""
    x = np.array([[1, 10], [2, 20], [4, np.nan]]).reshape(3, 2, 1)
    one = np.ones((2, 1, 1))
    held = {"direction": "bidirectional", "activations": ["Affine"] * 2}
    held |= {"activation_alpha": [1.0, 1.0], "activation_beta": [0.0, 0.0]}
    feeds = {"x": x, "w": one, "r": one, "l": np.array([3, 2], np.int32)}
    made = onnx.helper.make_node("RNN", ["x", "w", "r", "", "l"], ["y", "last"], hidden_size=1, **held)
    y, last = evaluate(made, 17, [feeds.get(name) for name in made.input])
    assert y[:, 0, :, 0].tolist() == [[1, 10], [3, 30], [7, 0]]
    assert y[:, 1, :, 0].tolist() == [[7, 30], [6, 20], [4, 0]]
    assert last[:, :, 0].tolist() == [[7, 30], [7, 30]]


def test_defaults_of_activations_are_their_operators() -> None:
    """Where ONNX Runtime 1.32 departs: its ThresholdedRelu has alpha 0 by default, ONNX's operator 1."""
    x, one = np.array([0.5, 1.5], np.float32).reshape(1, 2, 1), np.ones((1, 1, 1), np.float32)
    made = onnx.helper.make_node("RNN", ["x", "w", "r"], ["y"], activations=["ThresholdedRelu"], hidden_size=1)
    feeds = {"x": x, "w": one, "r": one}
    assert evaluated(made, feeds)[0].ravel().tolist() == [0, 1.5]
    assert by_onnxruntime(made, feeds)[0].ravel().tolist() == [0.5, 1.5]


def test_a_cell_state_beyond_the_clip_is_refused() -> None:
    """ONNX Runtime 1.32 puts it into Ht = ot (.) h(Ct) as it is; by the specification's words it is clipped there.

    Weights of zero: every gate is 1/2 and the new cell state is half the initial one.
    """
    feeds = {
        name: np.zeros(shape, np.float32) for name, shape in (("x", (1, 1, 1)), ("w", (1, 4, 1)), ("r", (1, 4, 1)))
    }
    feeds |= {"h": np.zeros((1, 1, 1), np.float32), "c": np.full((1, 1, 1), 3, np.float32)}
    made = node("LSTM", "hc", {"clip": 0.5, "hidden_size": 1})
    with pytest.raises(NotImplementedError, match="cell state beyond it"):
        evaluated(made, feeds)
    assert by_onnxruntime(made, feeds)[0].item() == pytest.approx(np.tanh(1.5) / 2, rel=1e-6)
    wide = node("LSTM", "hc", {"clip": 1.6, "hidden_size": 1})
    y, _, cell = evaluated(wide, feeds)
    assert cell.item() == 1.5, "the state itself is not clipped"
    assert y.item() == pytest.approx(np.tanh(1.5) / 2, rel=1e-12)


UNDEFINED: dict[str, tuple[str, str, Mapping[str, Any], Mapping[str, Array], str]] = {
    "an unknown function": ("GRU", "b", {"activations": ["Sigmoid", "Gelu"]}, {}, "activations Sigmoid, Gelu"),
    "too few functions": ("LSTM", "b", {"activations": ["Sigmoid", "Tanh"]}, {}, "2 activations where 3"),
    "too many functions": ("RNN", "b", {"activations": ["Relu", "Tanh"]}, {}, "2 activations where 1"),
    "an Affine of nothing": ("RNN", "b", {"activations": ["Affine"]}, {}, "Affine without activation_alpha"),
    "values of one or another": (
        "GRU",
        "b",
        {"activations": ["Sigmoid", "LeakyRelu"], "activation_alpha": [0.1, 0.2]},
        {},
        "2 values of activation_alpha for 1 of 2",
    ),
    "too few values": (
        "GRU",
        "b",
        {"activations": ["Elu", "LeakyRelu"], "activation_alpha": [0.1]},
        {},
        "1 values of activation_alpha for 2 of 2",
    ),
    "a strange attribute": ("GRU", "b", {"input_forget": 1}, {}, "input_forget"),
    "a strange direction": ("GRU", "b", {"direction": "sideways"}, {}, "direction 'sideways'"),
    "a strange layout": ("LSTM", "b", {"layout": 2}, {}, "layout 2"),
    "a negative clip": ("RNN", "b", {"clip": -1.0}, {}, "clip -1"),
    "another size": ("RNN", "b", {"hidden_size": 3}, {}, "hidden_size"),
    "directions that are not there": ("LSTM", "b", {"direction": "bidirectional"}, {}, "W of shape"),
    "biases of another size": ("LSTM", "b", {}, {"b": np.zeros((1, 16), np.float32)}, "B of shape"),
    "lengths beyond the steps": ("GRU", "bl", {}, {"l": np.array([5, 6, 1], np.int32)}, "outside of 0 .. 5"),
    "one length for all": ("GRU", "bl", {}, {"l": np.array([5], np.int32)}, "sequence_lens of shape"),
    # ONNX Runtime gives zeros; the state that the row came with is as good.
    "a row of no steps": ("LSTM", "blc", {}, {"l": np.array([5, 0, 1], np.int32)}, "row of no steps"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_what_nobody_defines_is_not_evaluated(name: str) -> None:
    """By no way of evaluating it: neither the evaluator's operator nor the rule that stands in for it."""
    op, given, held, other, says = UNDEFINED[name]
    made = node(op, given, {"hidden_size": HIDDEN, **held})
    feeds = arrays(op, 1) | other
    with pytest.raises(NotImplementedError, match=says):
        evaluate(made, 17, [feeds.get(n) for n in made.input])
    graph = take_apart(model(made, feeds), {})
    with pytest.raises(Unsupported, match=says):
        graph.run(graph.steps[0], fed(made, wide(feeds)))
    produced = [np.zeros(1, np.float32)] * len(made.output)
    checks = replay(made, 17, [feeds[n] if n else None for n in made.input], produced)
    assert all(check.outcome == "uncompared by bound" and says in (check.problem or "") for check in checks)


@pytest.mark.parametrize(
    ("values", "due"), [([0.2], 0.2), ([0.2, 0.2], 0.2), (None, 0.01)], ids=["one each", "one a place", "none"]
)
def test_values_whose_function_is_clear(values: list[float] | None, due: float) -> None:
    made = {"activations": ["Relu", "LeakyRelu"], "activation_alpha": values}
    plain = {"activations": ["Relu", "LeakyRelu"], "activation_alpha": [np.float32(due)]}
    feeds = wide(arrays("GRU", 1))
    ours, clear = (taken_apart("GRU", [feeds[n] for n in "xwrb"], held).activations[0][1] for held in (made, plain))
    assert ours.parameters == pytest.approx(clear.parameters, rel=1e-7)


def test_the_evaluators_own_is_still_wrong() -> None:
    """When this fails, look whether these operators can go."""
    feeds = wide(arrays("GRU", 1))
    plain, other = (node("GRU", "b", {"hidden_size": HIDDEN, **held}) for held in ({}, {"clip": 0.1}))
    seen = [ReferenceEvaluator(model(made, feeds)).run(None, fed(made, feeds))[0] for made in (plain, other)]
    assert np.array_equal(*seen)


def functions_of(*names: str, **held: Any) -> dict[str, Any]:
    return {"activations": list(names), **held}


PLANTED: dict[str, tuple[str, str, Mapping[str, Any], Mapping[str, Any]]] = {  # operator, inputs, attributes of A, of B
    "a function": ("GRU", "b", {}, functions_of("Sigmoid", "Softsign")),
    "a function of an LSTM": ("LSTM", "b", {}, functions_of("Sigmoid", "Tanh", "Softsign")),
    "a little of a function": (
        "GRU",
        "b",
        {},
        functions_of("Sigmoid", "ScaledTanh", activation_alpha=[1.00002], activation_beta=[1.0]),
    ),
    "a little of a function of an LSTM": (
        "LSTM",
        "b",
        {},
        functions_of("Sigmoid", "Tanh", "ScaledTanh", activation_alpha=[1.00002], activation_beta=[1.0]),
    ),
    "alpha": (
        "RNN",
        "b",
        functions_of("LeakyRelu", activation_alpha=[0.2]),
        functions_of("LeakyRelu", activation_alpha=[0.2001]),
    ),
    "clip of an RNN": ("RNN", "b", {}, {"clip": 0.3}),
    "clip of a GRU": ("GRU", "b", {}, {"clip": 0.3}),
    "clip of an LSTM": ("LSTM", "b", {}, {"clip": 0.3}),
    "coupled gates": ("LSTM", "b", {}, {"input_forget": 1}),
    "a late reset": ("GRU", "b", {}, {"linear_before_reset": 1}),
    "a direction": ("LSTM", "b", {}, {"direction": "reverse"}),
}


def held_graph(op: str, given: str, held: Mapping[str, Any], lengths: Sequence[int] = (5, 2, 3)) -> onnx.ModelProto:
    """A node between two others, its weights in the file."""
    feeds = arrays(op, 1, lengths)
    made = model(node(op, given, {"hidden_size": HIDDEN, **held}, ["y"]), feeds)
    graph = made.graph
    graph.initializer.extend(
        onnx.numpy_helper.from_array(feeds[n], n) for n in graph.node[0].input if n not in ("", "x")
    )
    del graph.input[1:]
    graph.node.insert(0, onnx.helper.make_node("Sin", ["x"], ["s"], name="front"))
    graph.node.append(onnx.helper.make_node("Sin", ["y"], ["z"], name="back"))
    graph.node[1].input[0] = "s"
    graph.output[0].name = "z"
    return made


def told(folder: Path, a: onnx.ModelProto, b: onnx.ModelProto) -> tuple[str, list[tuple[str, str | None]]]:
    for proto, name in ((a, "a.onnx"), (b, "b.onnx")):
        onnx.save(proto, folder / name)
    found = compare_files(folder / "a.onnx", folder / "b.onnx", Options())
    assert found.compared > 0
    return found.outcome, [(str(one.node), one.party) for one in found.faults]


@pytest.mark.parametrize("name", PLANTED)
def test_the_node_with_another_option_is_named(tmp_path: Path, name: str) -> None:
    op, given, left, right = PLANTED[name]
    assert told(tmp_path, held_graph(op, given, left), held_graph(op, given, right)) == ("differs", [("cell", "B")])


@pytest.mark.parametrize("op", GATES)
def test_the_node_with_other_lengths_is_named(tmp_path: Path, op: str) -> None:
    plain, short = held_graph(op, "b", {}), held_graph(op, "bl", {})
    assert told(tmp_path, plain, short) == ("differs", [("cell", "B")])
    assert told(tmp_path, held_graph(op, "bl", {}, (5, 2, 2)), short) == ("differs", [("cell", "B")])
    assert told(tmp_path, plain, held_graph(op, "bl", {}, (5, 5, 5))) == ("same", [])


@pytest.mark.parametrize("op", GATES)
def test_a_default_that_is_written_out_is_no_difference(tmp_path: Path, op: str) -> None:
    written = {"activations": list(DEFAULTS[op]), "direction": "forward", "clip": 1e6}
    assert told(tmp_path, held_graph(op, "b", {}), held_graph(op, "b", written)) == ("same", [])


@pytest.mark.parametrize("alpha", [0.1, 0.10001, 0.4])
def test_what_nobody_defines_is_the_same_by_structure_only(tmp_path: Path, alpha: float) -> None:
    """Which alpha is LeakyRelu's is left open: ONNX Runtime takes the first, others the second."""
    left, right = (
        held_graph("GRU", "b", functions_of("Sigmoid", "LeakyRelu", activation_alpha=[first, 0.2]))
        for first in (0.1, alpha)
    )
    for proto, name in ((left, "a.onnx"), (right, "b.onnx")):
        onnx.save(proto, tmp_path / name)
    found = compare_files(tmp_path / "a.onnx", tmp_path / "b.onnx", Options())
    # What stands twice is the same whatever it means; that is proved, and nothing is evaluated for it.
    proved = alpha == 0.1
    assert (found.outcome, found.proved) == ("same" if proved else "uncompared", proved)
    assert (found.compared, found.faults) == (0, ())
