"""What this project knows of an operator: one record, which every table elsewhere is a view of.

Design note.  The families (``ops.families``) hold the records, ``ops.registry`` collects them.  What a record leaves
out is not known of its operator: without a bound it is not judged, without a count of roundings none is assumed,
without axis links no axis is followed.  Two things are said of an operator elsewhere, because what is below this room
asks for them: how it is folded on constants (``onnxgraph.folding``, :attr:`Operator.fold`), and which inputs take whole
numbers only (ONNX's own schema, ``onnxgraph.nodes.whole_slots``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

from onnx_triangulate.onnxgraph.folding import FOLDS, Fold
from onnx_triangulate.ops.axis_propagation import AxisRule
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall
from onnx_triangulate.ops.enclosures import Enclosure
from onnx_triangulate.ops.examples import Example
from onnx_triangulate.ops.rounding_counts import Count
from onnx_triangulate.records.arrays import Array

Bound = Callable[[NodeCall], Sequence[ExpectedOutput | Enclosure | Array | None]]
Value = Callable[[NodeCall], Sequence[Array]]


@dataclass(frozen=True)
class WindowForm:
    """An operator that slides a window as ONNX's ``like`` does.

    ``weight`` is the input whose shape holds the kernel's, ``zero`` the input that says what zero is, ``amounts`` the
    input that holds the pads; ``last`` says that channels are the last axis, ``None`` that an attribute does.
    """

    like: str
    weight: int | None = None
    zero: int | None = None
    last: bool | None = False
    amounts: int | None = None


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator.  ``name`` is as in ``onnxgraph.nodes.operator``: ``Conv``, ``com.microsoft.FusedConv``.

    ``bound(call)`` returns per output an :class:`ExpectedOutput`, an :class:`Enclosure`, an array (exact to the bit),
    or ``None`` where it bounds nothing; it raises :class:`NotCovered` where the formula does not cover the node.
    ``rule`` is what reports call it; operators may share one.  ``examples`` are its proofs: a healthy node passes, the
    fault fails, and whatever else the record says holds of them.

    ``stock`` is what ONNX's reference evaluator makes of the operator: it lacks it or departs from its definition
    (``wrong``), or is slow or in float32 inside (``slow``).  What is not ``right`` is replaced by ``value``, the
    definition in the type that is given, or by the bound's value.

    ``roundings`` counts how often a result is rounded at most; ``steps`` how often besides in sums, where one kernel
    computes a function whose formula has several steps (a number, or a function of what the node
    consumes).  ``axes`` says where each axis goes.

    ``commutes``: the order of inputs is of no account.  ``draws``: random numbers.  ``jumps``: the result does not move
    smoothly with the inputs: it is constant between jumps, in floats (``to steps``), or jumps at some (``at places``).
    ``moves``: the first input's elements, each once, in another shape or order.  ``picks``: one of many elements, by
    their order.  ``linear``: in each input that is no shape or position, the others as they are.  ``nan_open``: ONNX
    does not say what becomes of a NaN.  ``zero_sign_open``: nor which zero comes out.  ``limits``: inputs that may
    hold a limit or a threshold.  ``images``: inputs and outputs, by slot, of axes (N, C, spatial ...).  ``kernel``:
    the input that is a kernel, and its first two axes.  ``matrices``: the two inputs that are multiplied.
    ``channels_last``: the default of the attribute of that name.  ``result_type``: the attribute that names the type of
    the result; ``float_by_default``: which is float32 where nothing is written.  ``any_float``: the formula works in
    any float type, though ONNX lists some only.  ``sequences``: the result is no array.
    """

    name: str
    rule: str = ""
    bound: Bound | None = None
    examples: tuple[Example, ...] = ()
    _: KW_ONLY
    value: Value | None = None
    stock: Literal["right", "wrong", "slow"] = "right"
    roundings: int | Count | None = None
    steps: int | Callable[[Sequence[Any]], int] = 0
    axes: AxisRule | None = None
    commutes: bool = False
    draws: bool = False
    jumps: Literal["", "to steps", "at places"] = ""
    moves: bool = False
    picks: bool = False
    linear: bool = False
    nan_open: bool = False
    zero_sign_open: bool = False
    limits: tuple[int, ...] = ()
    window: WindowForm | None = None
    images: tuple[int, ...] = ()
    kernel: tuple[int, str] | None = None
    matrices: tuple[int, int] | None = None
    channels_last: int | None = None
    result_type: str = ""
    float_by_default: bool = False
    any_float: bool = False
    sequences: bool = False

    @property
    def domain(self) -> str:
        """``""`` for ONNX's own operators."""
        return self.name.rpartition(".")[0]

    @property
    def fold(self) -> Fold | None:
        """How its result is computed exactly where every input is a constant."""
        return FOLDS.get(self.name)


def bounded(rule: str, bound: Bound, *examples: Example, **facts: Any) -> Operator:
    """The record of the operator that the examples are of."""
    return Operator(examples[0].op, rule, bound, examples, **facts)


def alike(*operators: Operator, **facts: Any) -> tuple[Operator, ...]:
    """Records that have these fields in common."""
    return tuple(replace(op, **facts) for op in operators)
