"""ONNX's reference evaluator with operators by their definitions: what it lacks, gets wrong, or computes in float32.

Design note.  The evaluator takes further operators (``new_ops``).  Those that are given to it here are the ones whose
record says so (``stock`` of ``ops.operator``): some are slow there, some it computes in float32 whatever it is given,
some it does not run, or departs in from what ONNX specifies, for some shape, attribute or opset
(:func:`as_specified`): what a sweep over operators and opsets found in onnx 1.23.  And some are ONNX Runtime's own.
An operator has one definition, its record's: a value of its own, or that of the bound.  Three are the evaluator's,
mended: Loop, Resize and RoiAlign.

The stock evaluator is one of the parties and is given none of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto

from onnx_triangulate.ops.calls import NodeCall, NotCovered
from onnx_triangulate.ops.elementary import elementary, measured
from onnx_triangulate.ops.enclosures import Enclosure, Format
from onnx_triangulate.ops.operator import Operator
from onnx_triangulate.ops.registry import operators
from onnx_triangulate.records.arrays import Array


def _mended() -> Mapping[str, Any]:
    """Operators of the evaluator that are right but for one thing."""
    from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_25
    from onnx.reference.ops.op_loop import Loop as StockLoop
    from onnx.reference.ops.op_resize import Resize as StockResize
    from onnx.reference.ops.op_roi_align import RoiAlign as StockRoiAlign

    class Loop(StockLoop):  # type: ignore[misc]
        """Its scan outputs have an axis for the iterations; the evaluator's run them together (seen in onnx 1.23)."""

        op_domain = ""

        def _run(self, M: Array | None, cond: Array | None, *initial: Any, **more: Any) -> tuple[Any, ...]:
            return _looped(self, M, cond, initial, more.get("context") or {}, more.get("attributes"))

    class RoiAlign(StockRoiAlign):  # type: ignore[misc]
        """Before opset 16 there was no such attribute, and no half pixel was taken off."""

        op_domain = ""

        def _run(self, *given: Array, **settings: Any) -> tuple[Array]:
            if _opset(self) < 16:
                settings["coordinate_transformation_mode"] = "output_half_pixel"
            return tuple(super()._run(*given, **settings))

    class Resize(StockResize):  # type: ignore[misc]
        """By its bound, and what that does not cover (antialiasing) with taps that are not rounded to float32."""

        op_domain = ""

        def _run(self, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
            try:
                return _defined(operators()["Resize"], self, given, settings)
            except NotImplementedError:
                if settings.get("cubic_coeff_a") is not None:
                    # numpy computes in float32 what is made of a float32 scalar and Python's numbers
                    settings["cubic_coeff_a"] = float(settings["cubic_coeff_a"])
                return tuple(super()._run(*given, **settings))

    class DequantizeLinear(DequantizeLinear_25):  # type: ignore[misc]
        """By its bound, but for blocks and types of few bits."""

        op_domain = ""

        def _run(self, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
            try:
                return _defined(operators()["DequantizeLinear"], self, given, settings)
            except NotImplementedError:
                return tuple(super()._run(*given, **settings))

    return {made.__name__: made for made in (DequantizeLinear, Loop, Resize, RoiAlign)}


def _looped(
    loop: Any, most: Array | None, go: Array | None, initial: Sequence[Any], context: Mapping[str, Any], attributes: Any
) -> tuple[Any, ...]:
    """ONNX's Loop: states carried from one iteration to the next, then what each iteration gave, stacked in front."""
    body = loop.body
    number, condition, *states = body.input_names
    carried = list(initial)
    gathered: list[list[Array]] = [[] for _ in body.output_names[1 + len(carried) :]]
    going, iteration = go is None or bool(np.asarray(go).all()), 0
    while going and (most is None or iteration < int(np.asarray(most).reshape(()))):
        feeds = {**context, number: np.array(iteration, np.int64), condition: np.array(True)}
        feeds |= dict(zip(states, carried, strict=True))
        given, *made = loop._run_body(feeds, attributes=attributes)
        going, iteration = bool(np.asarray(given).all()), iteration + 1
        carried = list(made[: len(carried)])
        for rows, row in zip(gathered, made[len(carried) :], strict=True):
            rows.append(np.asarray(row))
    if iteration == 0 and gathered:
        raise NotImplementedError("the scan outputs of a Loop that never ran have no known shape")
    return (*carried, *(np.stack(rows) for rows in gathered))


def _generated(op: Operator) -> Any:
    """An operator of the evaluator that computes what a record defines."""
    from onnx.reference.op_run import OpRun

    def run(self: Any, *given: Array | None, **settings: Any) -> tuple[Array, ...]:
        return _defined(op, self, given, settings)

    return type(op.name.rpartition(".")[2], (OpRun,), {"op_domain": op.domain, "_run": run})


@cache
def in_float64() -> tuple[Any, ...]:
    """Operators by their definitions, in the type they are given, as classes for the evaluator's ``new_ops``."""
    mended = _mended()
    replaced = [op for op in operators().values() if op.stock != "right" and op.name not in mended]
    return (*map(_generated, replaced), *mended.values())


@cache
def as_specified() -> tuple[Any, ...]:
    """The operators of :func:`in_float64` that the evaluator of onnx 1.23 lacks or has otherwise than specified."""
    slow = {op.name for op in operators().values() if op.stock == "slow"}
    return tuple(op for op in in_float64() if op.op_domain == "" and op.__name__ not in slow)


def _opset(node: Any) -> int:
    """The version of ONNX's own operators that an operator of the evaluator stands in."""
    return int(node.run_params["opsets"].get("", 1))


def _call(node: Any, given: Sequence[Array | None], settings: Mapping[str, Any]) -> NodeCall:
    """A call of an operator of the evaluator, its attributes those that are written or come from a function's call."""
    proto = NodeProto()
    proto.CopyFrom(node.onnx_node)
    for position, attribute in enumerate(proto.attribute):
        if attribute.ref_attr_name:
            proto.attribute[position].CopyFrom(onnx.helper.make_attribute(attribute.name, settings[attribute.name]))
    form = Format.of("float64", elementary(min(measured()["runtimes"])))  # of bounds, which nobody asks for here
    return NodeCall(proto, _opset(node), tuple(given), (None,) * len(proto.output), (), form, evaluate)


def _defined(op: Operator, node: Any, given: Sequence[Array | None], settings: Mapping[str, Any]) -> tuple[Array, ...]:
    """What a record defines of a node's outputs: by its own value, else by the bound's, in the first float's type.

    Raises ``NotImplementedError`` where it does not cover the node.
    """
    count = len(node.onnx_node.output)
    if op.name == "BatchNormalization" and _opset(node) < 14 and count > 1:
        raise NotImplementedError("the training statistics of an old BatchNormalization")
    define = op.value or op.bound
    assert define is not None, f"{op.name} has neither a value nor a bound"
    try:
        outputs = define(_call(node, given, settings))[:count]
    except NotCovered as error:
        raise NotImplementedError(f"{op.name}: {error}") from error
    floats = (value.dtype for value in given if value is not None)
    kind = next((dtype for dtype in floats if dtype.kind == "f" or dtype.name == "bfloat16"), None)
    found = []
    for output in outputs:
        if output is None:
            raise NotImplementedError(f"{op.name}: an output that nobody defines")
        value = np.asarray(output if isinstance(output, np.ndarray) else output.value)
        wide = isinstance(output, Enclosure) or getattr(output, "dtype", "") == "float64"
        found.append(value.astype(kind) if wide and kind is not None and value.dtype.kind == "f" else value)
    return tuple(found)


@lru_cache(maxsize=1024)
def _of_one_node(node: bytes, opset: int) -> Any:
    from onnx.reference import ReferenceEvaluator

    proto = NodeProto.FromString(node)
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(n for n in proto.input if n)]
    outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
    graph = onnx.helper.make_graph([proto], "node", inputs, outputs)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model, new_ops=list(as_specified()))


def evaluate(node: NodeProto, opset: int, consumed: Sequence[Array | None]) -> list[Array]:
    """The outputs of a node, in order, absent ones left out; raises whatever the operator's numpy raises."""
    short = NodeProto()
    short.CopyFrom(node)
    short.ClearField("doc_string")
    short.ClearField("metadata_props")
    evaluator = _of_one_node(short.SerializeToString(), opset)
    feeds = {name: value for name, value in zip(node.input, consumed, strict=False) if name}
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in evaluator.run(None, feeds)]
