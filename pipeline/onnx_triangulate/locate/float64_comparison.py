"""What a worker does to judge one graph by another in float64: the files made ready, evaluated and compared."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from onnx_triangulate.locate.model_interface import read_inlined
from onnx_triangulate.locate.teacher_forced import (
    Reference,
    SpillStore,
    TeacherForcedResult,
    Ways,
    compare_graphs,
    evaluate,
    evaluate_reference,
)
from onnx_triangulate.numerics.float64_evaluation import Graph, Step, take_apart
from onnx_triangulate.onnxgraph.nodes import elements, node_name, nodes_within, operator, printable
from onnx_triangulate.ops.random_draws import draws
from onnx_triangulate.ops.roundings import roundings
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported
from onnx_triangulate.transform.float64 import to_float64

BUDGET = 2**28  # bytes of A's values that are held; the others are mapped from files


def compare_in_float64(
    left: Path,
    right: Path,
    feeds: Path,
    inputs: Ways,
    outputs: Ways,
    watched: Sequence[tuple[str, str]] = (),
) -> TeacherForcedResult:
    """Judge ``right`` by ``left`` in float64 on the arrays in ``feeds``, which are named as the left's inputs.

    What A's values are beyond :data:`BUDGET` lies in files beside ``feeds``.
    """
    a, given = prepare(read_inlined(left)), npz.load(feeds)
    with tempfile.TemporaryDirectory(dir=feeds.parent) as folder:
        known = evaluate_reference(a.graph, to_float64_arrays(given), SpillStore(Path(folder), BUDGET))
        return judge_graphs(a, prepare(read_inlined(right)), given, inputs, outputs, known=known, watched=watched)


@dataclass(frozen=True, eq=False)
class PreparedGraph:
    """A model (local functions inlined), the same in float64, and that taken apart."""

    model: Any
    double: Any
    graph: Graph


def prepare(model: Any) -> PreparedGraph:
    """A model made ready to be judged; for a graph that is compared with many, once.

    Raises ``records.errors.Unsupported`` or ``ValueError`` where it cannot be had in float64.
    """
    _require_axes(model)
    double = to_float64(model)
    graph = take_apart(double, _names(model))

    def run(step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
        if draws(step.node, values.get, graph.version):
            raise Unsupported(f"{step.op} draws random numbers", op=step.op, node=step.name)
        return graph.run(step, values)

    return PreparedGraph(model, double, replace(graph, run=run, single=not _has_doubles(model)))


def _has_doubles(model: Any) -> bool:
    """Whether something in a model is of float64: an input or output, a constant, what it is cast to."""
    double = TensorProto.DOUBLE
    values = (v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output))
    stored = (t.data_type for t in model.graph.initializer)
    held = [(node.op_type, a) for node in nodes_within(model.graph) for a in node.attribute]
    tensors = (a.t.data_type for _, a in held if a.type == AttributeProto.TENSOR)
    casts = (a.i for op, a in held if op == "Cast" and a.name == "to")
    return double in itertools.chain(values, stored, tensors, casts)


def _require_axes(model: Any) -> None:
    """Raises ``records.errors.Unsupported`` for a layout that ONNX does not have: its axes are not those that the
    shapes say, so that nothing could be aligned by them."""
    for index, node in enumerate(model.graph.node):
        if node.domain == "com.microsoft.nchwc":
            name = node_name(node, index)
            says = (
                f"{printable(name)} is {printable(node.op_type)} of com.microsoft.nchwc, the blocked layout of the "
                "machine that saved the file; save it with graph_optimization_level = ORT_ENABLE_EXTENDED and compare "
                "that"
            )
            raise Unsupported(says, op=node.op_type, node=name)


def judge_graphs(
    a: PreparedGraph,
    b: PreparedGraph,
    given: Mapping[str, Array],
    inputs: Ways,
    outputs: Ways,
    *,
    known: Reference | None = None,
    watched: Sequence[tuple[str, str]] = (),
) -> TeacherForcedResult:
    """Judge ``b`` by ``a`` on arrays named as ``a``'s inputs; ``known`` is what ``know`` made of these, if it is there
    already."""
    held = [{n: v.shape for n, v in given.items()}, {}]
    held[1] = {n: way.apply(given[source]).shape for n, (source, way) in inputs.items() if source in given}
    models = (a.model, b.model)
    counted = [roundings(sized_model(model, shapes)) for model, shapes in zip(models, held, strict=True)]
    unknown = sum(elements(t) for model in models for t in model.graph.initializer)  # one for each number, if need be
    return compare_graphs(
        known if known is not None else evaluate_reference(a.graph, to_float64_arrays(given)),
        b.graph,
        inputs,
        outputs,
        roundings=sum(unknown if found is None else found.count for found in counted),
        watched=watched,
    )


def float64_outputs(file: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    """A graph's outputs in float64, those that can be had."""
    graph = prepare(read_inlined(file)).graph
    values, _ = evaluate(graph, to_float64_arrays(given))
    return {name: values[name] for name in graph.outputs if isinstance(values.get(name), np.ndarray)}


def to_float64_arrays(given: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays as a float64 graph takes them."""
    return {n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in given.items()}


def sized_model(
    model: Any, shapes: Mapping[str, tuple[int, ...]], seen: Mapping[str, tuple[int, ...]] | None = None
) -> Any:
    """The model with the sizes that its inputs have in this run, and those of values that were ``seen`` in it."""
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for value in sized.graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, list(shapes[value.name])))
    if seen:
        foreign = {n for node in model.graph.node if node.domain not in ("", "ai.onnx") for n in node.output}
        declared = [v for v in sized.graph.value_info if v.name not in foreign]
        del sized.graph.value_info[:]
        sized.graph.value_info.extend(declared)
        for name in sorted(foreign & set(seen)):
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(seen[name]))
            sized.graph.value_info.append(value)
    return sized


def _names(model: Any) -> dict[str, tuple[str, str]]:
    """The file's name and operator of the node that makes each value."""
    return {
        output: (node_name(node, i), operator(node))
        for i, node in enumerate(model.graph.node)
        for output in node.output
        if output
    }
