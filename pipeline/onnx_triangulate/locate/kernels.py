"""The faulty kernels of a run: every node judged on the inputs that it consumed there.

Design note.  A node's output is compared with the node evaluated in float64 on the same inputs, within the bound of its
operator (``numerics.replay``).  Where ``unspecified`` is the blame, those nodes are named that differ where ONNX
specifies nothing.  Values are asked for in the order of the nodes and released after their last consumer was judged, so
a run may deliver them in parts.  No run returns a sequence: sequences are rebuilt here from the arrays that were
returned, and the arrays taken out of them are judged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import cached_property

import onnx

from onnx_triangulate.locate.export_nodes import HeldBytes, error_of, last_uses
from onnx_triangulate.numerics.float64_evaluation import runner
from onnx_triangulate.numerics.noise_floor import FLOOR, Run, noise_floor
from onnx_triangulate.numerics.reduced_precision import reduced_precision
from onnx_triangulate.numerics.replay import NodeCheck, judge, replay
from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.onnxgraph.nodes import node_name, opset
from onnx_triangulate.onnxgraph.weights import Weights
from onnx_triangulate.ops.calls import ExpectedOutput
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault, Localization
from onnx_triangulate.transform.float64 import to_float64


def kernels(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    produced: MutableMapping[str, Array],
    *,
    graph: str,
    party: str,
    blame: str,
    weights: Mapping[str, Array] | None = None,
) -> Localization:
    """Judge every node on what it consumed in one run.

    ``produced`` gives the run's values by name; they are taken out of it as they are done with.  ``weights`` are the
    initializers, the model's own unless it comes without.
    """
    started = time.perf_counter()
    judge_all = _KernelJudge(model, feeds, produced, Weights(model) if weights is None else weights, blame)
    last = last_uses(model)
    for index in range(len(model.graph.node)):
        judge_all.judge(index)
        judge_all.drop(last.get(index, ()))
    found = judge_all.found
    return replace(found, graph=graph, party=party, seconds=time.perf_counter() - started)


class _KernelJudge:
    """The nodes of one run, judged in their order."""

    def __init__(
        self,
        model: onnx.ModelProto,
        feeds: Mapping[str, Array],
        produced: MutableMapping[str, Array],
        weights: Mapping[str, Array],
        blame: str,
    ) -> None:
        self._model, self._feeds, self._produced, self._weights, self._blame = model, feeds, produced, weights, blame
        self._version = opset(model) or 1
        self._made_here: dict[str, Array] = {}  # what no run returns: sequences
        self._faults: list[Fault] = []
        self._uncompared: list[Fault] = []
        self._within: list[Fault] = []
        self._without_rule: set[str] = set()
        self._judged, self._held = 0, HeldBytes()

    @property
    def found(self) -> Localization:
        few = len(self._without_rule)
        return Localization(
            "",
            "",
            self._blame,
            tuple(self._faults),
            self._judged,
            len(self._model.graph.node),
            tuple(self._uncompared),
            peak=self._held.peak,
            precision="float32",
            notes=(f"{few} nodes without a rule judged by perturbation",) if few else (),
            within=tuple(self._within),
        )

    def judge(self, index: int) -> None:
        """Judge one node."""
        node = self._model.graph.node[index]
        name = node_name(node, index)
        consumed = [self._value(n) for n in node.input]
        results = [_found(n, self._produced) for n in node.output]
        self._hold(node, consumed, results)
        lacking = [n for n, v in zip(node.input, consumed, strict=True) if n and v is None]
        if lacking:
            says = f"the run did not return what it consumed ({lacking[0]})"
            output = node.output[0] if node.output else ""
            self._uncompared.append(Fault(name, node.op_type, output, problem=says))
            return
        checks = self._checks(index, name, consumed, results)
        left_open = self._blame == "unspecified"
        told = any(c.outcome != "uncompared by bound" or (c.unsaid and left_open) for c in checks)
        self._judged += told or (name in self._without_rule and not checks)
        for check in checks:
            fault = error_of(name, node.op_type, check)
            result = _found(check.output, self._produced)
            if check.faulty:
                shorter = reduced_precision(node, self._version, consumed, results)
                self._faults.append(replace(fault, precision=shorter))
            elif check.unsaid and left_open:
                self._faults.append(replace(fault, introduced=None))
            elif check.outcome == "uncompared by bound" and (result is None or result.size):
                self._uncompared.append(fault)
            else:
                self._within.append(fault)

    def drop(self, names: Sequence[str]) -> None:
        """Let values go that nobody needs any more."""
        for name in names:
            self._held.drop(name)
            self._produced.pop(name, None)
            self._made_here.pop(name, None)

    def _value(self, name: str) -> Array | None:
        return _found(name, self._feeds, self._produced, self._made_here, self._weights)

    def _hold(self, node: onnx.NodeProto, consumed: Sequence[Array | None], results: Sequence[Array | None]) -> None:
        for name, value in zip([*node.input, *node.output], [*consumed, *results], strict=True):
            if value is not None and name not in self._weights:
                self._held.add(name, value.nbytes)

    def _checks(
        self, index: int, name: str, consumed: Sequence[Array | None], results: Sequence[Array | None]
    ) -> tuple[NodeCheck, ...]:
        """A node's outputs against the bound of its operator or, where it has no rule, against its noise floor."""
        node = self._model.graph.node[index]
        self._held.also(sum(3 * v.size * 8 for v in (*consumed, *results) if v is not None))  # in float64, and bounds
        boxes = any(n in self._made_here for n in node.input)
        checks = () if boxes else replay(node, self._version, consumed, results)
        if not boxes and not any(c.outcome == "uncompared by bound" and c.rule is None for c in checks):
            return checks
        values = {n: v for n in reads(node) if (v := self._value(n)) is not None}
        answers = self._noise_floor(index, name, values)
        if isinstance(answers, str):
            return tuple(replace(check, problem=f"{check.problem}, and {answers}") for check in checks)
        self._without_rule.add(name)
        named = {n: a.value for n, a in zip(node.output, answers, strict=True) if n and a is not None}
        self._made_here |= {n: value for n, value in named.items() if value.dtype == object}
        return tuple(_by_floor(node, answers, results))

    @cached_property
    def _wide(self) -> tuple[Run, dict[str, onnx.NodeProto]]:
        """The graph in float64 and its nodes by their outputs, for the few nodes that hold graphs of their own."""
        wide = to_float64(self._model)
        return runner(wide), {output: node for node in wide.graph.node for output in node.output if output}

    def _noise_floor(
        self, index: int, name: str, values: Mapping[str, Array]
    ) -> tuple[ExpectedOutput | None, ...] | str:
        run, nodes = self._wide
        node = self._model.graph.node[index]
        same = nodes.get(next((output for output in node.output if output), ""))
        if same is None or same.op_type != node.op_type:
            return "float64 has another operator in its place"
        return noise_floor(run, same, index, name, values)


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
