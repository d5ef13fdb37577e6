"""Was it rounding?  One node of a run, judged on the inputs that it actually consumed.

Design note.  The error that a node *introduces* is the distance between what it produced and what it should have made,
evaluated in float64, of the inputs it was given; what it inherited from nodes before it is in those inputs and does not
count.  The bound of its operator (``ops.families``) says what it should have made and how far rounding
may move it; the ratio of the distance to that bound is the answer: at most 1 is rounding, above 1 is not rounding of
this arithmetic.  Type and shape come before values, NaN equals only NaN and an infinity only itself, integers are
compared exactly; nothing compared is never a pass, and an operator without a rule is said to be uncompared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx

from onnx_triangulate.numerics.reference_evaluator import evaluate
from onnx_triangulate.ops.calls import ExpectedOutput, NodeCall, NotCovered
from onnx_triangulate.ops.elementary import elementary
from onnx_triangulate.ops.enclosures import FLOATS, Enclosure, Format
from onnx_triangulate.ops.operator import Operator
from onnx_triangulate.ops.registry import operator_of
from onnx_triangulate.records.arrays import Array

NodeOutcome = Literal["equal", "rounding", "flip within rounding", "uncompared by bound", "diverges"]


@dataclass(frozen=True)
class NodeCheck:
    """One output of one node.

    ``ratio`` is the largest distance over its bound (infinite where nothing is allowed), ``max_abs`` the largest
    distance, ``index``, ``expected`` (float64's value) and ``actual`` the worst element's, ``compared`` how many
    elements were compared, ``bound`` the worst element's bound, ``rule`` the rule's name, ``problem`` why not
    everything could be compared or what is wrong before any value is, ``unsaid`` that what differs is what ONNX leaves
    open.
    """

    output: str
    outcome: NodeOutcome
    ratio: float | None = None
    max_abs: float | None = None
    index: tuple[int, ...] | None = None
    expected: float | None = None
    actual: float | None = None
    bound: float | None = None
    compared: int = 0
    differing: int = 0
    rule: str | None = None
    problem: str | None = None
    unsaid: bool = False

    @property
    def faulty(self) -> bool:
        return self.outcome == "diverges"


def replay(
    node: onnx.NodeProto,
    opset: int,
    consumed: Sequence[Array | None],
    produced: Sequence[Array | None],
    *,
    runtime: str = "onnxruntime",
    slack: Sequence[Array | None] = (),
    unit: float | None = None,
) -> tuple[NodeCheck, ...]:
    """Judge every named output of a node.

    ``consumed`` and ``produced`` are in the node's order, ``None`` for an absent optional one.  ``slack`` gives the
    inputs' own bounds (absolute, broadcastable; in float64), which only let discontinuous operators flip: 0 by default.
    ``runtime`` chooses the measured constants of elementary functions.  ``unit`` replaces the unit roundoff of the
    node's type: what passes with 2^-11 only (TF32) is a class, "reduced precision", and no pass.

    Raises ``KeyError`` for a runtime without measured constants.  Whatever else goes wrong is said in the checks.
    """
    names = [name for name in node.output if name]
    answers = expected(node, opset, consumed, produced, runtime=runtime, slack=slack, unit=unit)
    op = _bounded(node)
    if isinstance(answers, str):
        return _uncompared(names, op, answers)
    assert op is not None
    checks = []
    for index, name in enumerate(node.output):
        if not name:
            continue
        seen = produced[index] if index < len(produced) else None
        answer = answers[index] if index < len(answers) else None
        if seen is None:
            checks.append(NodeCheck(name, "uncompared by bound", rule=op.rule, problem="the run did not return it"))
        elif answer is None:
            says = f"{op.rule} does not cover output {index} of {node.op_type}"
            checks.append(NodeCheck(name, "uncompared by bound", rule=op.rule, problem=says))
        else:
            checks.append(dataclasses.replace(judge(name, answer, seen), rule=op.rule))
    return tuple(checks)


def expected(
    node: onnx.NodeProto,
    opset: int,
    consumed: Sequence[Array | None],
    produced: Sequence[Array | None] = (),
    *,
    runtime: str = "onnxruntime",
    slack: Sequence[Array | None] = (),
    unit: float | None = None,
) -> tuple[ExpectedOutput | None, ...] | str:
    """What each output of a node should be and how far off rounding may move it, or why nobody can say.

    Arguments as :func:`replay`'s; ``produced`` is asked for by the few rules whose answer has a choice.
    """
    table = elementary(runtime)
    op = _bounded(node)
    if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
        return f"{node.op_type} holds a subgraph, which has no rule of its own"
    if op is None or op.bound is None:
        return f"there is no rule for {node.op_type}"
    call = NodeCall(
        node,
        opset,
        tuple(consumed),
        tuple(produced),
        tuple(slack),
        Format.of(_float_type(consumed), table, unit),
        evaluate,
    )
    try:
        with np.errstate(all="ignore"):
            return tuple(None if answer is None else _answer(answer) for answer in op.bound(call))
    except NotCovered as error:
        return f"{op.rule} does not cover {error}"
    except Exception as error:  # an operator's numpy raises whatever numpy raises on what a faulty node consumed
        says = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return f"this {node.op_type} could not be evaluated in float64: {says}"


def judge(name: str, answer: ExpectedOutput, seen: Array) -> NodeCheck:
    """One output against what it should be."""
    with np.errstate(all="ignore"):
        return _check(name, answer, np.asarray(seen))


def _bounded(node: onnx.NodeProto) -> Operator | None:
    """The record of a node's operator, where that has a bound."""
    known = operator_of(node)
    return known if known is not None and known.bound is not None else None


def _uncompared(names: Sequence[str], op: Operator | None, problem: str) -> tuple[NodeCheck, ...]:
    held = op.rule if op is not None else None
    return tuple(NodeCheck(name, "uncompared by bound", rule=held, problem=problem) for name in names)


def _float_type(consumed: Sequence[Array | None]) -> str:
    """The type whose arithmetic a node uses: its first float input's, float32 where it has none."""
    kinds = (v.dtype.name for v in consumed if v is not None)
    return next((kind for kind in kinds if kind in FLOATS), "float32")


def _answer(answer: ExpectedOutput | Enclosure | Array) -> ExpectedOutput:
    if isinstance(answer, Enclosure):
        return ExpectedOutput(answer.value, answer.format.dtype, answer.error)
    if isinstance(answer, ExpectedOutput):
        return answer
    return ExpectedOutput(answer, answer.dtype.name, signed_zeros=True)


def _check(name: str, answer: ExpectedOutput, seen: Array) -> NodeCheck:
    if seen.dtype.name != answer.dtype and {seen.dtype.kind, np.dtype(answer.value.dtype).kind} - set("OUST"):
        return NodeCheck(name, "diverges", ratio=np.inf, problem=f"is {seen.dtype} where {answer.dtype} is due")
    if seen.shape != answer.value.shape:
        says = f"has shape {_shape(seen)} where {_shape(answer.value)} is due"
        return NodeCheck(name, "diverges", ratio=np.inf, problem=says)
    if seen.size == 0:
        return NodeCheck(name, "uncompared by bound", problem="nothing to compare: it has no element")
    if seen.dtype.kind in "OUST" or seen.dtype.kind == "b" or seen.dtype.kind in "iu":
        return _discrete(name, answer, seen)
    return _floats(name, answer, seen)


def _discrete(name: str, answer: ExpectedOutput, seen: Array) -> NodeCheck:
    apart = np.asarray(answer.value != seen)
    tally = _Tally(answer, seen)
    if apart.any():
        spread = np.ones(int(apart.sum()))
        if seen.dtype.kind in "iub":
            spread = np.abs(answer.value[apart].astype(object) - seen[apart].astype(object)).astype(np.float64)
        tally.add(np.flatnonzero(apart), spread, np.full(spread.shape, np.inf), np.zeros(spread.shape, bool))
    return tally.check(name)


def _floats(name: str, answer: ExpectedOutput, seen: Array) -> NodeCheck:
    """Elements whose bits are those of the rounded float64 value are done with, and so are those inside the part of
    the bound that costs nothing (``answer.relative``); the whole bound is made for the others only.

    Block by block: nothing as large as the arrays is made besides the bound.
    """
    tally = _Tally(answer, seen)
    value, got = np.ascontiguousarray(answer.value).reshape(-1), np.ascontiguousarray(seen).reshape(-1)
    cheap = callable(answer.error)
    for start in range(0, got.size, _BLOCK):
        b, s = value[start : start + _BLOCK], got[start : start + _BLOCK]
        stored = b if b.dtype == s.dtype else b.astype(s.dtype)
        same = stored == s
        if answer.signed_zeros:
            same &= np.signbit(stored) == np.signbit(s)
        if same.all():
            continue
        due, had = b.astype(np.float64, copy=False), s.astype(np.float64, copy=False)
        distance = np.abs(due - had)
        limit = answer.relative * np.abs(due) if cheap else tally.error(start, start + b.size)
        ratio = distance / limit
        ratio[same] = 0.0
        inside = ratio <= 1
        if not cheap:
            inside &= np.isfinite(limit) | same
        if inside.all():
            tally.rounded(ratio, distance, start, int(b.size - np.count_nonzero(same)))
            continue
        inside &= ~same
        if inside.any():
            place = np.flatnonzero(inside)
            tally.rounded(ratio[place], distance[place], start + place, place.size)
        place = np.flatnonzero(~inside & ~same & ~(np.isnan(stored) & np.isnan(s)))
        if place.size:
            error = tally.error(start + place)
            tally.add(start + place, *_judged(answer, due[place], had[place], stored[place], error))
    return tally.check(name)


def _judged(answer: ExpectedOutput, due: Array, got: Array, kept: Array, error: Array) -> tuple[Array, Array, Array]:
    """Distance, ratio and whether the bound says nothing, of elements that are not the rounded value."""
    kept = kept.astype(np.float64)
    kind = np.dtype(answer.dtype) if answer.dtype in ("float16", "float32", "float64") else None
    edge = float(np.finfo(kind).max) if kind is not None else 3.39e38
    # Beyond the largest number of the type, an infinity of the same sign is that number's own rounding.
    beyond = np.isinf(got) & np.isfinite(due) & (np.sign(got) == np.sign(due)) & (np.abs(due) + error >= edge)
    beyond |= np.isinf(kept) & np.isfinite(due) & np.isfinite(got) & (np.abs(due) - error <= edge)
    beyond &= np.isfinite(error)
    distance = np.where(beyond, 0.0, np.abs(due - got))
    strict = ~beyond & ~(np.isfinite(due) & np.isfinite(got))
    unknown = ~beyond & ~np.isfinite(error)
    ratio = np.where(distance > 0, distance / error, 0.0)
    ratio = np.where(strict | ((due == 0) & (got == 0) & (error == 0)), np.inf, np.where(unknown, 0.0, ratio))
    return distance, ratio, unknown


class _Tally:
    """What the check of one output has come to so far."""

    def __init__(self, answer: ExpectedOutput, seen: Array) -> None:
        self.answer, self.seen = answer, seen
        self.flips, self.unsaid = (
            None if mask is None else np.broadcast_to(mask, seen.shape).reshape(-1)
            for mask in (answer.flips, answer.unsaid)
        )
        self.bound: Array | None = None
        self.made = False
        self.differing = self.unknown = 0
        self.far = 0.0
        self.worst: tuple[float, float, int] | None = None  # ratio, distance, place
        self.unknown_at: int | None = None
        self.flipped_at: int | None = None
        self.left_open = False

    def error(self, start: Any, stop: int | None = None) -> Array:
        """The bound at flat places, or from one to another."""
        if stop is None and self.answer.at is not None:
            self.made = True
            return self.answer.at(np.asarray(start))
        self.made = True
        if self.bound is None:
            error = self.answer.error
            made = np.asarray(error() if callable(error) else error, dtype=np.float64)
            self.bound = np.broadcast_to(made, self.seen.shape) if made.size == 1 else _flat(made, self.seen.shape)
        if self.bound.ndim != 1 or self.bound.size != self.seen.size:
            number = float(self.bound.flat[0])
            return np.full((stop - start) if stop is not None else np.shape(start), number)
        return np.asarray(self.bound[start:stop] if stop is not None else self.bound[start])

    def rounded(self, ratio: Array, distance: Array, places: Any, differing: int) -> None:
        """Elements inside their bound; ``places`` are theirs, or the first one's."""
        self.differing += differing
        at = int(ratio.argmax())
        self._worst(float(ratio[at]), float(distance[at]), int(places[at]) if np.ndim(places) else int(places) + at)
        self.far = float(np.maximum(self.far, distance.max()))

    def add(self, places: Array, distance: Array, ratio: Array, unknown: Array) -> None:
        """Elements that differ, at those distances and ratios."""
        none = np.zeros(places.shape, bool)
        flips = none if self.flips is None else self.flips[places]
        unsaid = none if self.unsaid is None else self.unsaid[places]
        unknown = (unknown | unsaid) & ~flips
        judged = np.where(flips | unknown, 0.0, ratio)
        self.differing += places.size
        self.unknown += int(unknown.sum())
        self.left_open |= bool(unsaid.any())
        self.far = float(np.maximum(self.far, distance.max()))
        if unknown.any() and self.unknown_at is None:
            self.unknown_at = int(places[int(np.argmax(unknown))])
        if flips.any() and self.flipped_at is None:
            self.flipped_at = int(places[int(np.argmax(flips))])
        at = int(np.argmax(np.where(judged == judged.max(), np.nan_to_num(distance, nan=np.inf), -1.0)))
        self._worst(float(judged[at]), float(np.nan_to_num(distance[at], nan=np.inf)), int(places[at]))

    def _worst(self, ratio: float, distance: float, place: int) -> None:
        if self.worst is None or (ratio, distance) > self.worst[:2]:
            self.worst = (ratio, distance, place)

    def check(self, name: str) -> NodeCheck:
        if self.worst is None:
            return NodeCheck(name, "equal", ratio=0.0, max_abs=0.0, compared=self.seen.size)
        ratio, _, place = self.worst
        outcome: NodeOutcome = "rounding"
        problem = None
        if ratio > 1:
            outcome = "diverges"
        elif self.unknown_at is not None:
            outcome, place = "uncompared by bound", self.unknown_at
            why = "ONNX does not say what they are" if self.left_open else "the bound is infinite"
            problem = f"{self.unknown} of {self.seen.size} elements differ and {why}"
        elif self.flipped_at is not None:
            outcome, place = "flip within rounding", self.flipped_at
        index = tuple(int(i) for i in np.unravel_index(place, self.seen.shape))
        numbers = self.seen.dtype.kind not in "OUST"
        cheap = not self.made and callable(self.answer.error)
        due = float(self.answer.value[index]) if numbers else 0.0
        return NodeCheck(
            name,
            outcome,
            ratio=ratio if outcome in ("rounding", "diverges") else None,
            max_abs=self.far,
            index=index,
            expected=due if numbers else None,
            actual=float(self.seen[index]) if numbers else None,
            bound=self.answer.relative * abs(due) if cheap else float(self.error(np.asarray([place]))[0]),
            compared=int(self.seen.size - self.unknown),
            differing=self.differing,
            problem=problem,
            unsaid=self.left_open and outcome == "uncompared by bound",
        )


_BLOCK = 2**15


def _flat(error: Array, shape: tuple[int, ...]) -> Array:
    return np.ascontiguousarray(np.broadcast_to(error, shape)).reshape(-1)


def _shape(array: Array) -> str:
    return f"({', '.join(map(str, array.shape))})"
