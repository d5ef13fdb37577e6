"""The faulty nodes of graphs into which faults were planted, and of graphs that are as their exporter wrote them."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnx_triangulate.cases import inputs, layout
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.frameworks._stored_values import ValueWriter
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate import export_nodes
from onnx_triangulate.locate.export_nodes import Export
from onnx_triangulate.locate.kernel_runs import judged_kernels
from onnx_triangulate.locate.kernels import kernels
from onnx_triangulate.locate.node_search import judged_export, only_node
from onnx_triangulate.numerics.replay import expected
from onnx_triangulate.onnxgraph.nodes import node_name
from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.ops.elementary import elementary
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Case, Tensor
from onnx_triangulate.records.faults import Localization, Origin, SourceValues
from onnx_triangulate.records.runs import Model
from onnx_triangulate.transform.cut import all_outputs, parts, run_parts
from onnx_triangulate.transform.float64 import computed_initializers
from onnx_triangulate.verification.diagnosis.nodes import name_nodes
from tests.planting import copied, edits

NAME = "localize/networks"


def image(axes: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(axes, shape, low=-1, high=1, integers=False)


def torch_networks(torch: Any) -> Any:
    """A convolutional network, a transformer block and an LSTM side by side."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(12), nn.LayerNorm(12)
            self.mixed, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
            self.up, self.down = nn.Linear(12, 20), nn.Linear(20, 12)

        def forward(self, x: Any) -> Any:
            q, k, v = self.mixed(self.before(x)).reshape(2, 5, 3, 3, 4).permute(2, 0, 3, 1, 4).unbind(0)
            weights = torch.softmax(q @ k.transpose(-1, -2) / 2, -1)
            x = x + self.out((weights @ v).transpose(1, 2).reshape(2, 5, 12))
            return x + self.down(nn.functional.gelu(self.up(self.after(x))))

    class Networks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(3, 5, 3, padding=1, stride=2), nn.BatchNorm2d(5)
            self.second, self.pool, self.head = nn.Conv2d(5, 6, 3, padding=1), nn.MaxPool2d(2), nn.Linear(24, 6)
            for tensor, low in ((self.norm.running_mean, -1), (self.norm.running_var, 0.5), (self.norm.weight, 0.5)):
                tensor.data.uniform_(low, 2)
            self.block, self.recurrent, self.last = Block(), nn.LSTM(7, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, x: Any, t: Any, s: Any) -> Any:
            y = torch.relu(self.norm(self.first(x)))
            y = self.pool(nn.functional.leaky_relu(self.second(y), 0.2))
            z = self.last(nn.functional.elu(self.recurrent(s)[0]))
            return torch.tanh(self.head(torch.flatten(y, 1))), self.block(t), torch.log_softmax(z, -1)

    return Networks()


def tensorflow_network(tf: Any) -> Any:
    layers = tf.keras.layers
    start = tf.keras.Input((9, 8, 3))
    y = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(start)  # captured, not variables
    y = layers.BatchNormalization()(layers.Conv2D(5, 3, padding="same", strides=2)(y))
    y = layers.MaxPool2D(2)(layers.DepthwiseConv2D(3)(layers.ReLU()(y)))
    y = layers.Reshape((2, 3))(layers.Dense(6, activation="tanh")(layers.Flatten()(y)))
    y = layers.LayerNormalization()(layers.LSTM(4, return_sequences=True)(y))
    y = layers.MultiHeadAttention(2, 4)(y, y)
    return tf.keras.Model(start, layers.Dense(3, activation="softmax")(y))


CASES = {
    "torch": Case(
        "networks",
        inputs={
            "x": image("n c h w", (2, 3, 9, 8)),
            "t": image("n s d", (2, 5, 12)),
            "s": image("n s d", (2, 5, 7)),
        },
        builders={"torch": torch_networks},
    ),
    "tensorflow": Case(
        "networks", inputs={"x": image("n h w c", (2, 9, 8, 3))}, builders={"tensorflow": tensorflow_network}
    ),
}


@dataclass(frozen=True, eq=False)
class Exported:
    """One exported graph with the source's values for it."""

    model: Model
    proto: onnx.ModelProto
    feeds: Mapping[str, Array]
    source: SourceValues
    folder: Path
    computed: tuple[str, ...]

    def run(self, proto: onnx.ModelProto, names: list[str], feeds: Mapping[str, Array] | None = None) -> list[Array]:
        file = self.folder / "edited.onnx"
        onnx.save(proto, file)
        return list(runtimes()["ort.off"].open(file)(feeds or self.feeds, names))

    def outputs(self, proto: onnx.ModelProto) -> list[Array]:
        return self.run(proto, [output.name for output in self.proto.graph.output])

    def localized(self, proto: onnx.ModelProto, *, double: bool = True) -> Localization:
        return export_nodes.exported(
            Export.of(proto, self.feeds, self.source, party=self.model.graph, computed=self.computed),
            partial(self.source.array, double=double),
            double=double,
        )

    def judged(self, proto: onnx.ModelProto) -> Localization:
        """As `verify` does it, runs included."""
        return judged_export(Export.of(proto, self.feeds, self.source, party=self.model.graph, computed=self.computed))


@pytest.fixture(scope="session", params=["torch:raw", "torch", "tensorflow", "tensorflow:nchw"])
def exported(request: pytest.FixtureRequest, networks: Callable[[str], dict[str, Exported]]) -> Exported:
    return networks(request.param.partition(":")[0])[request.param]


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Exported]]:
    made: dict[str, dict[str, Exported]] = {}

    def make(framework: str) -> dict[str, Exported]:
        if framework not in made:
            made[framework] = {e.model.graph: e for e in _exported(framework, tmp_path_factory.mktemp(framework))}
        return made[framework]

    return make


def _exported(framework: str, folder: Path) -> Iterator[Exported]:
    engine, case = adapter(framework), CASES[framework]
    engine.warm()
    values = dict(inputs.inputs_of(case, NAME, 0))
    models = {m.graph: m for m in engine.export(case, values, engine.exporters[:2], folder, seed=0)}
    for model in models.values():
        assert model.error is None
        assert model.file is not None
        proto = onnx.load(model.file)
        source = engine.values(case, values, model, folder, seed=0)
        assert source.error is None
        given = models["torch:raw"].file if model.graph == "torch" else model.weights
        known: list[Array] = []
        if given is not None and given.suffix == ".npz":
            with np.load(given) as archive:
                known = [archive[name] for name in archive.files]
        elif given is not None:
            known = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(given).graph.initializer]
        feeds = {
            graph: layout.permute(values[name], case.inputs[name].axes, model.axes.get(name, case.inputs[name].axes))
            for name, graph in model.inputs.items()
        }
        computed = computed_initializers(proto, known) if known else ()
        yield Exported(model, proto, feeds, source, folder, tuple(computed))


def changes(first: list[Array], second: list[Array]) -> bool:
    """Whether a fault shows at the outputs at all, beyond float32."""
    return any(
        a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=1e-6) for a, b in zip(first, second, strict=True)
    )


@cache
def faults(graph: Exported) -> tuple[tuple[int, str, onnx.ModelProto], ...]:
    """One fault of each kind for each operator that shows at an output: the node's index, the kind, the graph."""
    seen, found = set(), []
    healthy = graph.outputs(graph.proto)
    for index, node in enumerate(graph.proto.graph.node):
        for kind, edited in edits(graph.proto, index):
            if (node.op_type, kind) in seen:
                continue
            try:
                answers = graph.outputs(edited)
            except Exception:  # no model any more
                continue
            if changes(healthy, answers):
                seen.add((node.op_type, kind))
                found.append((index, kind, edited))
    return tuple(found)


@pytest.mark.parametrize("double", [True, False])
def test_a_healthy_graph_has_no_faulty_node(exported: Exported, double: bool) -> None:
    found = exported.localized(exported.proto, double=double)
    assert found.faults == ()
    assert found.uncompared == ()
    assert found.judged > 40
    assert found.mapped > 30
    assert 0 < found.peak < 100_000


def test_a_single_fault_is_found_and_nobody_else_is_accused(exported: Exported) -> None:
    exact, through, wrong = [], [], []
    for index, kind, edited in faults(exported):
        name = node_name(exported.proto.graph.node[index], index)
        found = exported.localized(edited)
        faulty = {error.node for error in found.faults}
        together = {node for error in found.faults for node in error.others}
        place = exact if faulty == {name} else through if len(faulty) == 1 and name in together else wrong
        place.append((name, kind, sorted(faulty)))
    assert wrong == []
    assert len(exact) >= 10
    assert len(exact) + len(through) >= 15
    assert len(exact) > len(through)


def test_two_faults_are_told_apart(exported: Exported) -> None:
    alone = {}
    for index, kind, edited in faults(exported):
        name = node_name(exported.proto.graph.node[index], index)
        if {error.node for error in exported.localized(edited).faults} == {name}:
            alone.setdefault(name, (index, kind))
    names = [name for name, (_, kind) in alone.items() if kind in ("weight", "alpha", "epsilon", "operator")]
    assert len(names) >= 4
    for first, second in itertools.pairwise(names[:9]):
        once = dict(edits(exported.proto, alone[first][0]))[alone[first][1]]
        twice = dict(edits(once, alone[second][0]))[alone[second][1]]
        assert {error.node for error in exported.localized(twice).faults} == {first, second}


def test_a_faulty_node_says_where_it_comes_from(networks: Callable[[str], dict[str, Exported]]) -> None:
    graph = networks("torch")["torch:raw"]
    index = next(i for i, node in enumerate(graph.proto.graph.node) if node.op_type == "LeakyRelu")
    edited = dict(edits(graph.proto, index))["alpha"]
    (faulty,) = graph.judged(edited).faults
    assert (faulty.node, faulty.op) == (graph.proto.graph.node[index].name, "LeakyRelu")
    assert faulty.origin is not None
    assert faulty.origin.value == "leaky_relu"
    line = next(i for i, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "leaky_relu(self" in text)
    assert faulty.origin.line == f"test_export_nodes.py:{line}"
    assert faulty.propagated == pytest.approx(faulty.introduced, rel=1e-3)
    assert faulty.ratio is not None
    assert faulty.ratio > 1e3


def test_the_module_of_a_faulty_node_is_named(networks: Callable[[str], dict[str, Exported]]) -> None:
    graph = networks("torch")["torch:raw"]
    index = next(i for i, node in enumerate(graph.proto.graph.node) if node.op_type == "LayerNormalization")
    (faulty,) = graph.localized(dict(edits(graph.proto, index))["epsilon"]).faults
    assert faulty.origin is not None
    assert faulty.origin.module == "block.before"


def test_values_without_the_source_are_counted(exported: Exported) -> None:
    found = exported.localized(exported.proto)
    made = {name for node in exported.proto.graph.node for name in node.output if name}
    assert 0 < found.unmapped < len(made)
    assert found.mapped <= len(exported.source.names)


def written(folder: Path, arrays: Mapping[str, Array]) -> SourceValues:
    """Values of a source in both precisions."""
    stored = []
    for dtype in (np.float32, np.float64):
        with ValueWriter(folder / np.dtype(dtype).name) as values:
            for name, array in arrays.items():
                values.write(name, array.astype(dtype))
        stored.append(values.stored())
    return SourceValues("torch", *stored)


def test_what_only_float32_loses_is_seen_in_the_cut_model(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) { s = Sigmoid (x) y = Log (s) }'
    proto = onnx.parser.parse_model(text)
    feeds = {"x": np.array([1, -120], np.float32)}
    due = np.log(1 / (1 + np.exp(-np.array([1.0, -120.0]))))
    found = judged_export(Export.of(proto, feeds, written(tmp_path, {"y": due}), party="torch"))
    assert [(e.op, e.index, e.others) for e in found.faults] == [("Log", (1,), ("Sigmoid_0",))]
    assert found.faults[0].problem == "in float32 it is not finite where the source's value is"
    assert (
        export_nodes.exported(
            Export.of(proto, feeds, SourceValues("torch"), party="torch"), {"y": due}.get, double=True
        ).faults
        == ()
    )


def test_the_cut_model_shows_each_node_alone(tmp_path: Path) -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 18]> g (float[3] x) => (float[3] z) { y = Add (x, x) w = Neg (y) '
        "z = Mul (w, y) }"
    )
    proto = onnx.parser.parse_model(text)
    arrays = {"x": np.array([1, 2, 3], np.float32), "y": np.array([5, 7, 11], np.float32), "z": np.zeros(3, np.float32)}
    given, seen = ("y", "z"), {}
    for budget in (1, 10**6):
        planned = parts(proto, Weights(proto), dict.fromkeys("ywz", 12), budget, given)
        assert len(planned) == (1 if budget > 1 else 3)
        for part in run_parts(proto, Weights(proto), planned, arrays.get, run_part, given):
            assert part.error is None
            seen |= {name: array.tolist() for name, array in part.arrays.items() if name in given}
        assert seen == {"y": [2, 4, 6], "z": [-25, -49, -121]}


def run_part(model: bytes, weights: Mapping[str, Array], feeds: Mapping[str, Array], outputs: list[str]) -> list[Array]:
    return list(runtimes()["ort.off"].part(model, weights)(feeds, outputs))


def test_kernels_are_judged_on_what_they_consumed(exported: Exported) -> None:
    model, names = all_outputs(exported.proto)
    produced = dict(zip(names, exported.run(model, list(names)), strict=True))
    arguments = {"graph": exported.model.graph, "party": f"{exported.model.graph}>ort.off", "blame": "kernel"}
    found = kernels(exported.proto, exported.feeds, dict(produced), **arguments)
    assert found.faults == ()
    assert found.judged == found.nodes
    wrong = [
        (node_name(node, i), node.output[0])
        for i, node in enumerate(exported.proto.graph.node)
        if node.op_type in ("Conv", "MatMul", "Softmax", "Relu")
    ]
    assert len(wrong) >= 4
    for name, output in wrong:
        value = produced[output].copy()
        value.flat[value.size // 2] += 0.01
        # Only this value is changed: what its consumers made of the right one is not what they make of this one.
        found = kernels(exported.proto, exported.feeds, {**produced, output: value}, **arguments)
        readers = {node_name(n, i) for i, n in enumerate(exported.proto.graph.node) if output in n.input}
        assert name in {error.node for error in found.faults} <= {name, *readers}


def test_an_operator_without_a_rule_is_uncompared_and_ends_there() -> None:
    text = (
        '<ir_version: 8, opset_import: ["" : 18, "other" : 1]> g (float[3] x) => (float[3] z) '
        "{ y = other.Strange (x) z = Neg (y) }"
    )
    proto = onnx.parser.parse_model(text)
    values = {"y": np.array([5.0, 7.0, 11.0]), "z": np.array([-5.0, -7.0, -12.0])}
    source = SourceValues("torch")
    feeds = {"x": np.ones(3, np.float32)}
    found = export_nodes.exported(Export.of(proto, feeds, source, party="torch"), values.get, double=True)
    assert [(e.op, e.output) for e in found.uncompared] == [("Strange", "y")]
    assert [e.op for e in found.faults] == ["Neg"]


def test_editing_leaves_the_model_as_it_is(exported: Exported) -> None:
    before = copied(exported.proto)
    all_outputs(exported.proto)
    exported.localized(exported.proto)
    assert before.SerializeToString() == exported.proto.SerializeToString()


def test_what_nobody_is_faulty_of_is_attributed_and_adds_up(tmp_path: Path) -> None:
    """A sum that cancels, amplified: the source's rounding is the other way, every node is inside its bound."""
    text = (
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1,64] x) => (float[1,3] z) '
        "<float[64,3] w> { a = Relu (x) b = MatMul (a, w) c = Mul (b, b) d = Tanh (c) z = Exp (d) }"
    )
    proto = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)
    x, half = random.uniform(0, 1, (1, 64)).astype(np.float32), random.normal(size=(32, 3))
    w = np.concatenate([half, -half * x[0, :32, None] / x[0, 32:, None]]).astype(np.float32) * 300
    w[0] += 0.01
    proto.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    exact = x.astype(np.float64) @ w
    b = np.float32(0)
    for k in range(63, -1, -1):  # another order of summation
        b = np.asarray(b + x[:, k, None] * w[k], np.float32)
    values = {"a": x, "b": b, "c": b * b}
    values["d"] = np.tanh(values["c"])
    values["z"] = np.exp(values["d"])
    with ValueWriter(tmp_path / "single") as single:
        for name, array in values.items():
            single.write(name, np.asarray(array, np.float32))
    source = SourceValues("torch", single.stored())
    found = judged_export(Export.of(proto, {"x": x}, source, party="torch"), attribute=True)
    assert found.faults == ()
    assert found.contributions
    top, *_, rest = found.contributions
    assert top.nodes == ("MatMul_1",)
    assert top.condition is not None
    assert top.condition == pytest.approx(float(np.median(np.abs(x) @ np.abs(w) / np.abs(exact))), rel=0.02)
    assert rest.nodes == ()
    (mine,) = run_part(proto.SerializeToString(), {}, {"x": x}, ["z"])
    difference = float(mine[top.index]) - float(values["z"][top.index])
    assert sum(c.difference for c in found.contributions) == pytest.approx(difference, rel=1e-9)
    assert abs(difference) == np.abs(mine - values["z"]).max() > 0
    _, (finding,) = name_nodes([], [found])
    assert finding.cause == "conditioning"
    assert "MatMul_1" in finding.message
    assert "condition" in finding.message


def test_what_is_held_at_most_is_counted_and_true(tmp_path: Path) -> None:
    """A chain whose values are many times what any two of its nodes need."""
    count, size = 60, 40_000
    text = "; ".join(f"v{i + 1} = {'Relu' if i % 3 else 'Neg'} (v{i})" for i in range(count)).replace(";", "")
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> g (float[{size}] v0) => (float[{size}] v{count}) {{ {text} }}'
    )
    feeds = {"v0": np.random.default_rng(0).normal(size=size).astype(np.float32)}
    values, v = {}, feeds["v0"].astype(np.float64)
    for i in range(count):
        v = np.maximum(v, 0) if i % 3 else -v
        values[f"v{i + 1}"] = v
    source = written(tmp_path, values)
    everything = count * size * 4
    judged_export(Export.of(proto, feeds, source, party="torch"))  # imports and caches
    for run in (
        lambda: judged_export(Export.of(proto, feeds, source, party="torch")),
        lambda: judged_kernels(proto, feeds, graph="torch", party="torch>ort.off", blame="kernel"),
    ):
        tracemalloc.start()
        found = run()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.faults == ()
        assert found.judged == count
        assert peak <= 1.5 * everything
        assert 0.2 * peak <= found.peak <= 1.5 * everything


def test_an_output_in_another_form_or_held_fixed_is_faulty() -> None:
    head = '<ir_version: 8, opset_import: ["" : 18]>'
    held = "float[1,2,3,4] held = {" + ", ".join(map(str, range(24))) + "}"
    right = f"{head} g (float[1,2,3,4] x) => (float[a,b,c,d] y) {{ t = Neg (x) y = Transpose <perm=[0,2,3,1]> (t) }}"
    perm = right.replace("[0,2,3,1]", "[0,3,1,2]")
    fixed = right.replace(" y) {", f" y) <{held}> {{").replace("(t)", "(held)")
    x = np.random.default_rng(0).uniform(-1, 1, (1, 2, 3, 4)).astype(np.float32)
    due = -x.transpose(0, 2, 3, 1).astype(np.float64)
    for text, faulty in ((right, []), (perm, ["Transpose"]), (fixed, ["Transpose"])):
        proto = onnx.parser.parse_model(text)
        source = SourceValues("tensorflow", permuted=True)
        found = export_nodes.exported(
            Export.of(proto, {"x": x}, source, party="tensorflow"), {"y": due}.get, double=True
        )
        assert [error.op for error in found.faults] == faulty


def test_a_scalar_is_as_noisy_in_a_constant_node_as_among_the_initializers() -> None:
    head = '<ir_version: 8, opset_import: ["" : 18]> g (float[3] x) => (float[3] y)'
    inside = f"{head} {{ k = Constant <value = float {{0.1}}> () t = Mul (x, k) y = Neg (t) }}"
    beside = f"{head} <float k = {{0.1}}> {{ t = Mul (x, k) y = Neg (t) }}"
    x = np.array([1, 2, -3], np.float32)
    source = SourceValues("torch")
    for text in (inside, beside):
        for factor, faulty in ((0.1, 0), (0.1001, 1)):
            values = {"y": -x.astype(np.float64) * factor}
            proto = onnx.parser.parse_model(text)
            found = export_nodes.exported(Export.of(proto, {"x": x}, source, party="torch"), values.get, double=True)
            assert len(found.faults) == faulty


def test_the_sources_own_kernel_is_not_the_exports_fault(tmp_path: Path) -> None:
    """A sigmoid written out, and a source whose float32 kernel is worse than that: right in float64 is right."""
    head = '<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] y) <float one = {1}>'
    right = f"{head} {{ a = Neg (x) b = Exp (a) c = Add (b, one) y = Reciprocal (c) }}"
    wrong = right.replace("{1}", "{1.0001}")
    x = np.array([-2, -0.5, 0.25, 3], np.float32)
    y = 1 / (1 + np.exp(-x.astype(np.float64)))
    kernel = (y * (1 + 40 * 2.0**-24)).astype(np.float32)
    stored = {}
    for name, value in (("single", kernel), ("double", y)):
        with ValueWriter(tmp_path / name) as file:
            file.write("y", value)
        stored[name] = file.stored()
    both, alone = SourceValues("torch", **stored), SourceValues("torch", single=stored["single"])
    for text, source, faulty in ((right, both, 0), (right, alone, 1), (wrong, both, 1)):
        found = judged_export(Export.of(onnx.parser.parse_model(text), {"x": x}, source, party="torch"))
        assert len(found.faults) == faulty
        assert found.judged == 4
    cleared = judged_export(Export.of(onnx.parser.parse_model(right), {"x": x}, alone, party="torch"), innocent=("y",))
    assert cleared.faults == ()


def test_a_function_the_source_has_in_one_piece_brings_the_error_of_its_own_kernel(tmp_path: Path) -> None:
    """TensorFlow's Sigmoid in float32 alone, and a graph that writes it out: what its kernel may err is right."""
    head = '<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[4] y) <float one = {1}>'
    right = f"{head} {{ a = Neg (x) b = Exp (a) c = Add (b, one) y = Reciprocal (c) }}"
    x = np.array([-2, -0.5, 0.25, 3], np.float32)
    y = 1 / (1 + np.exp(-x.astype(np.float64)))
    c, _ = elementary("tensorflow")["Sigmoid"]
    for times, op, text, faulty in (
        (c, "Sigmoid", right, 0),
        (c, "", right, 1),  # nobody knows what made it
        (40 * c, "Sigmoid", right, 1),
        (0, "Sigmoid", right.replace("{1}", "{1.0001}"), 1),
    ):
        with ValueWriter(tmp_path / f"{times}{op}{faulty}") as file:
            file.write("y", (y * (1 + times * 2.0**-24)).astype(np.float32))
        source = SourceValues("tensorflow", single=file.stored(), origins={"y": Origin("sigmoid", op=op)})
        found = judged_export(Export.of(onnx.parser.parse_model(text), {"x": x}, source, party="tensorflow"))
        assert len(found.faults) == faulty, (times, op, text)


def test_of_nodes_not_told_apart_the_one_with_other_numbers_is_named() -> None:
    head = '<ir_version: 8, opset_import: ["" : 18]> g (float[2,2] x) => (float[2,2] y)'
    text = (
        f"{head} <float[2,2] w = {{1.1, 2, 3, 4}}, float[2] b = {{0.5, 0.25}}> {{ a = MatMul (x, w) y = Add (a, b) }}"
    )
    x = np.array([[1, -2], [3, 0.5]], np.float32)
    values = {"y": x.astype(np.float64) @ np.array([[1, 2], [3, 4]]) + np.array([0.5, 0.25])}
    for computed, named, other in (((), "Add_1", "MatMul_0"), (("w",), "MatMul_0", "Add_1")):
        proto, source = onnx.parser.parse_model(text), SourceValues("torch")
        found = export_nodes.exported(
            Export.of(proto, {"x": x}, source, party="torch", computed=computed), values.get, double=True
        )
        (error,) = found.faults
        assert (error.node, error.others, error.output) == (named, (other,), "y")


NAN = np.array([[1.0, np.nan, 2.0]], np.float32)
OPEN = "g (float[1,3] x) => (float[1,1] y) <int64[1] a = {1}> { s = Abs(x)  t = ReduceMax(s, a)  y = Sqrt(t) }"


@pytest.mark.parametrize("blame", ["unspecified", "kernel"])
@pytest.mark.parametrize("keeps", [True, False])
def test_what_onnx_leaves_open_is_one_nodes_doing_where_that_is_the_blame(blame: str, keeps: bool) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {OPEN}')
    top = np.array([[np.nan if keeps else 2.0]], np.float32)
    produced = {"s": NAN, "t": top, "y": np.sqrt(top)}
    found = kernels(model, {"x": NAN}, produced, graph="torch", party="torch>ort.off", blame=blame)
    assert [error.op for error in found.faults] == (["ReduceMax"] if blame == "unspecified" and not keeps else [])


@pytest.mark.parametrize(
    ("graph", "op"),
    [
        ("g (float[3] x) => (float[3] y) <float[1] w = {2.0}> { v = Sqrt(w)  y = Mul(x, v) }", "Mul"),
        ("g (float[3] x) => (float[3] y) { dead = Exp(x)  y = Sin(x) }", "Sin"),
        ("g (float[3] x) => (float[3] y) { v = Exp(x)  y = Sin(v) }", None),
        ("g (float[3] x) => (float[3] y) <float[3] w = {2.0, 3.0, 4.0}> { y = Sin(w) }", None),
    ],
)
def test_the_only_node_between_the_inputs_and_the_outputs(graph: str, op: str | None) -> None:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {graph}')
    found = only_node(model, ())
    assert (found.op if found is not None else None) == op


SMALL, USUAL = [1e-5, -3e-6, 2e-4, 7e-8], [0.5, -0.3, 2.0, 1.25]
LARGE = [10001.0, 9999.5, 10000.25, 10002.0]


def _softmax(x: Array) -> Array:
    return np.asarray(np.exp(x) / np.exp(x).sum())


@pytest.mark.parametrize(
    ("body", "function", "x", "op"),
    [
        ("a = Add (x, one) y = Log (a)", np.log1p, SMALL, "Log"),
        ("a = Add (x, one) y = Log (a)", np.log1p, USUAL, None),
        ("a = Exp (x) y = Sub (a, one)", np.expm1, SMALL, "Sub"),
        ("a = Exp (x) y = Sub (a, one)", np.expm1, USUAL[2:] * 2, None),
        ("a = Cos (x) y = Sub (one, a)", lambda x: 2 * np.sin(x / 2) ** 2, SMALL, "Sub"),
        ("d = Add (x, x) e = Exp (d) a = Sub (e, one) b = Add (e, one) y = Div (a, b)", np.tanh, SMALL, "Div"),
        ("d = Add (x, x) e = Exp (d) a = Sub (e, one) b = Add (e, one) y = Div (a, b)", np.tanh, USUAL[2:] * 2, None),
        ("a = Neg (x) b = Exp (a) c = Add (b, one) y = Reciprocal (c)", lambda x: 1 / (1 + np.exp(-x)), USUAL, None),
        ("e = Exp (x) s = ReduceSum (e) y = Div (e, s)", _softmax, USUAL, None),
        ("m = ReduceMean (x) d = Sub (x, m) s = Mul (d, d) y = ReduceMean (s)", lambda x: x.var()[None], LARGE, None),
        (
            "m = ReduceMean (x) n = Mul (m, m) q = Mul (x, x) s = ReduceMean (q) y = Sub (s, n)",
            lambda x: x.var()[None],
            LARGE,
            "Sub",
        ),
    ],
)
def test_nodes_that_lose_what_the_sources_one_operator_keeps(
    tmp_path: Path, body: str, function: Any, x: list[float], op: str | None
) -> None:
    head = f'<ir_version: 8, opset_import: ["" : 18]> g (float[4] x) => (float[{1 if "ReduceMean" in body else 4}] y)'
    proto = onnx.parser.parse_model(f"{head} <float one = {{1}}> {{ {body} }}")
    fed = np.array(x, np.float32)
    with ValueWriter(tmp_path / "single") as file:
        file.write("y", np.asarray(function(fed.astype(np.float64)), np.float32))
    source = SourceValues("torch", single=file.stored(), origins={"y": Origin("one_operator")})
    found = judged_export(Export.of(proto, {"x": fed}, source, party="torch"), attribute=True)
    assert [error.op for error in found.faults] == ([op] if op is not None else [])
    if op is not None:
        (error,) = found.faults
        assert (error.ratio or 0) > 10
        assert len(error.others) == len(proto.graph.node) - 1
        _, (finding,) = name_nodes([], [found])
        assert "these nodes together lose what the source's one operator keeps" in finding.message


@pytest.mark.parametrize(("computed", "times"), [(("w",), 3.0), ((), 1.0)])
def test_a_sum_with_computed_weights_has_thrice_its_bound_and_no_more(computed: tuple[str, ...], times: float) -> None:
    """Four roundings of every weight are 4 / (k + 1) of the bound of a sum of k products, so at most twice."""
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[1,3] x) => (float[1,2] y)
    <float[3,2] w = {0.3, -0.7, 0.11, 0.9, -0.13, 0.5}> { y = MatMul (x, w) }"""
    proto, x = onnx.parser.parse_model(text), np.array([[0.25, -1.5, 3.0]], np.float32)
    wide = [x.astype(np.float64), onnx.numpy_helper.to_array(proto.graph.initializer[0]).astype(np.float64)]
    answers = expected(proto.graph.node[0], 18, wide, unit=2.0**-24)
    assert not isinstance(answers, str)
    assert answers[0] is not None
    for factor, named in ((0.99 * times, []), (1.01 * times, ["MatMul"])):
        y = np.asarray(answers[0].value) + factor * np.asarray(answers[0].limit())
        export = Export.of(proto, {"x": x}, SourceValues("torch"), party="torch", computed=computed)
        found = export_nodes.exported(export, {"y": y}.get, double=True)
        assert [fault.op for fault in found.faults] == named
