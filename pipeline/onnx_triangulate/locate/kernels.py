"""The faulty kernels: every node of a run judged on what it consumed there.

Design note.  A node's value is held against the node in float64 on the very inputs that it had in the run, over the
bound of its operator (``numerics.replay``).  Where ``unspecified`` is the blame, the faulty nodes are those
that differ where ONNX says nothing.  Values are asked for in the order of the nodes and let go when
their last consumer was judged, so a run may hand them over in parts.  A sequence is none of the arrays that a run
returns: it is made here of what was returned, and what is taken out of it is judged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace

import onnx

from onnx_triangulate.locate.export_nodes import Held, error_of, last_uses
from onnx_triangulate.numerics.evaluate import runner
from onnx_triangulate.numerics.noise_floor import FLOOR, Run, noise_floor
from onnx_triangulate.numerics.reduced_precision import reduced_precision
from onnx_triangulate.numerics.replay import NodeCheck, judge, replay
from onnx_triangulate.onnxgraph.nodes import node_name, opset
from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.ops.calls import ExpectedOutput
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault, Localization
from onnx_triangulate.transform.cut import reads
from onnx_triangulate.transform.float64 import to_float64


def kernels(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    produced: MutableMapping[str, Array],
    *,
    graph: str,
    party: str,
    blame: str,
    constants_of: str = "onnxruntime",
    weights: Mapping[str, Array] | None = None,
) -> Localization:
    """Judge every node on what it consumed in one run.

    ``produced`` gives the run's values by name; they are taken out of it as they are done with.  ``constants_of`` names
    the runtime whose measured constants bound the elementary functions.  ``weights`` are the initializers, the model's
    own unless it comes without.
    """
    started = time.perf_counter()
    version = opset(model) or 1
    fixed = Weights(model) if weights is None else weights
    last = last_uses(model)
    wide = _Wide(model)
    faulty, uncompared, every, without_rule = [], [], [], set()
    made_here: dict[str, Array] = {}
    judged, held = 0, Held()
    for index, node in enumerate(model.graph.node):
        name = node_name(node, index)
        consumed = [_found(n, feeds, produced, made_here, fixed) for n in node.input]
        results = [_found(n, produced) for n in node.output]
        for n, value in [*zip(node.input, consumed, strict=True), *zip(node.output, results, strict=True)]:
            if value is not None and n not in fixed:
                held.add(n, value.nbytes)
        lacking = [n for n, v in zip(node.input, consumed, strict=True) if n and v is None]
        if lacking:
            says = f"the run did not return what it consumed ({lacking[0]})"
            uncompared.append(Fault(name, node.op_type, node.output[0] if node.output else "", problem=says))
        else:
            held.also(sum(3 * v.size * 8 for v in (*consumed, *results) if v is not None))  # in float64, and bounds
            boxes = any(n in made_here for n in node.input)
            checks = () if boxes else replay(node, version, consumed, results, runtime=constants_of)
            if boxes or any(c.outcome == "uncompared by bound" and c.rule is None for c in checks):
                values = {n: v for n in reads(node) if (v := _found(n, feeds, produced, made_here, fixed)) is not None}
                answers = wide.noise_floor(index, name, values)
                if isinstance(answers, str):
                    checks = tuple(replace(check, problem=f"{check.problem}, and {answers}") for check in checks)
                else:
                    without_rule.add(name)
                    named = {n: a.value for n, a in zip(node.output, answers, strict=True) if n and a is not None}
                    made_here |= {n: value for n, value in named.items() if value.dtype == object}
                    checks = tuple(_by_floor(node, answers, results))
            left_open = blame == "unspecified"
            told = any(c.outcome != "uncompared by bound" or (c.unsaid and left_open) for c in checks)
            judged += told or (name in without_rule and not checks)
            for check in checks:
                error = error_of(name, node.op_type, check)
                result = _found(check.output, produced)
                if check.faulty:
                    shorter = reduced_precision(node, version, consumed, results, runtime=constants_of)
                    faulty.append(replace(error, precision=shorter))
                elif check.unsaid and left_open:
                    faulty.append(replace(error, introduced=None))
                elif check.outcome == "uncompared by bound" and (result is None or result.size):
                    uncompared.append(error)
                else:
                    every.append(error)
        for gone in last.get(index, ()):
            held.drop(gone)
            produced.pop(gone, None)
            made_here.pop(gone, None)
    notes = (f"{len(without_rule)} nodes without a rule judged by perturbation",) if without_rule else ()
    return Localization(
        graph,
        party,
        blame,
        tuple(faulty),
        judged,
        len(model.graph.node),
        tuple(uncompared),
        peak=held.peak,
        precision="float32",
        seconds=time.perf_counter() - started,
        notes=notes,
        within=tuple(every),
    )


class _Wide:
    """The graph in float64, for the few nodes that hold graphs of their own; made when the first one is met."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._run: Run | None = None
        self._nodes: dict[str, onnx.NodeProto] = {}

    def noise_floor(
        self, index: int, name: str, values: Mapping[str, Array]
    ) -> tuple[ExpectedOutput | None, ...] | str:
        if self._run is None:
            wide = to_float64(self._model)
            self._run = runner(wide)
            self._nodes = {output: node for node in wide.graph.node for output in node.output if output}
        first = next((output for output in self._model.graph.node[index].output if output), "")
        if first not in self._nodes or self._nodes[first].op_type != self._model.graph.node[index].op_type:
            return "float64 has another operator in its place"
        return noise_floor(self._run, self._nodes[first], index, name, values)


def _by_floor(
    node: onnx.NodeProto, answers: Sequence[ExpectedOutput | None], results: Sequence[Array | None]
) -> list[NodeCheck]:
    """Checks against a noise floor: inside it is rounding, outside of it nobody can say."""
    checks = []
    for name, answer, result in zip(node.output, answers, results, strict=True):
        if not name or answer is None or result is None:
            continue
        value = answer.value.astype(result.dtype) if answer.value.dtype.kind != "f" else answer.value
        check = judge(name, ExpectedOutput(value, result.dtype.name, answer.error, answer.flips), result)
        if check.faulty:
            says = check.problem or f"beyond {FLOOR}, {check.ratio or 0:.3g} times, which is no bound"
            check = NodeCheck(name, "uncompared by bound", max_abs=check.max_abs, index=check.index, problem=says)
        checks.append(check)
    return checks


def _found(name: str, *places: Mapping[str, Array]) -> Array | None:
    return next((place[name] for place in places if name in place), None) if name else None
