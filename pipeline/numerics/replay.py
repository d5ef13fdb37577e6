"""Was it rounding?  One node of a run, judged on the inputs that it actually consumed.

Design note.  The error that a node *introduces* is the distance between what it produced and what it should have made,
evaluated in float64, of the inputs it was given; what it inherited from nodes before it is in those inputs and does not
count.  The rule of its operator (:mod:`pipeline.numerics.rules`) says what it should have made and how far rounding
may move it; the ratio of the distance to that bound is the answer: at most 1 is rounding, above 1 is not rounding of
this arithmetic.  Type and shape come before values, NaN equals only NaN and an infinity only itself, integers are
compared exactly; nothing compared is never a pass, and an operator without a rule is said to be uncompared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx

from pipeline.data import Array
from pipeline.numerics.rules import FLOATS, Answer, Asked, Format, Near, NoRule, Rule, elementary, rules

NodeOutcome = Literal["equal", "rounding", "flip within rounding", "uncompared by bound", "diverges"]


@dataclass(frozen=True)
class NodeCheck:
    """One output of one node.

    ``ratio`` is the largest distance over its bound (infinite where nothing is allowed), ``max_abs`` the largest
    distance, ``index`` and ``values`` the worst element's (float64's value, the run's value), ``compared`` how many
    elements were compared, ``bound`` the worst element's bound, ``rule`` the rule's name, ``problem`` why not
    everything could be compared or what is wrong before any value is.
    """

    output: str
    outcome: NodeOutcome
    ratio: float | None = None
    max_abs: float | None = None
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    bound: float | None = None
    compared: int = 0
    differing: int = 0
    rule: str | None = None
    problem: str | None = None

    @property
    def guilty(self) -> bool:
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
    rule = _rule(node)
    if isinstance(answers, str):
        return _uncompared(names, rule, answers)
    assert rule is not None
    checks = []
    for index, name in enumerate(node.output):
        if not name:
            continue
        seen = produced[index] if index < len(produced) else None
        answer = answers[index] if index < len(answers) else None
        if seen is None:
            checks.append(NodeCheck(name, "uncompared by bound", rule=rule.name, problem="the run did not return it"))
        elif answer is None:
            says = f"{rule.name} does not cover output {index} of {node.op_type}"
            checks.append(NodeCheck(name, "uncompared by bound", rule=rule.name, problem=says))
        else:
            checks.append(dataclasses.replace(judge(name, answer, seen), rule=rule.name))
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
) -> tuple[Answer | None, ...] | str:
    """What each output of a node should be and how far off rounding may move it, or why nobody can say.

    Arguments as :func:`replay`'s; ``produced`` is asked for by the few rules whose answer has a choice.
    """
    table = elementary(runtime)
    rule = _rule(node)
    if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
        return f"{node.op_type} holds a subgraph, which has no rule of its own"
    if rule is None:
        return f"there is no rule for {node.op_type}"
    asked = Asked(
        node, opset, tuple(consumed), tuple(produced), tuple(slack), Format.of(_float_type(consumed), table, unit)
    )
    try:
        with np.errstate(all="ignore"):
            return tuple(None if answer is None else _answer(answer) for answer in rule.bound(asked))
    except NoRule as error:
        return f"{rule.name} does not cover {error}"
    except Exception as error:  # an operator's numpy raises whatever numpy raises on what a faulty node consumed
        says = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return f"this {node.op_type} could not be evaluated in float64: {says}"


def judge(name: str, answer: Answer, seen: Array) -> NodeCheck:
    """One output against what it should be."""
    with np.errstate(all="ignore"):
        return _check(name, answer, np.asarray(seen))


def _rule(node: onnx.NodeProto) -> Rule | None:
    return rules().get(node.op_type) if node.domain in ("", "ai.onnx") else None


def _uncompared(names: Sequence[str], rule: Rule | None, problem: str) -> tuple[NodeCheck, ...]:
    held = rule.name if rule is not None else None
    return tuple(NodeCheck(name, "uncompared by bound", rule=held, problem=problem) for name in names)


def _float_type(consumed: Sequence[Array | None]) -> str:
    """The type whose arithmetic a node uses: its first float input's, float32 where it has none."""
    kinds = (v.dtype.name for v in consumed if v is not None)
    return next((kind for kind in kinds if kind in FLOATS), "float32")


def _answer(answer: Answer | Near | Array) -> Answer:
    if isinstance(answer, Near):
        return Answer(answer.value, answer.format.dtype, answer.error)
    if isinstance(answer, Answer):
        return answer
    return Answer(answer, answer.dtype.name, signed_zeros=True)


def _check(name: str, answer: Answer, seen: Array) -> NodeCheck:
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


def _discrete(name: str, answer: Answer, seen: Array) -> NodeCheck:
    apart = np.asarray(answer.value != seen)
    if not apart.any():
        return NodeCheck(name, "equal", ratio=0.0, max_abs=0.0, compared=seen.size)
    spread = np.ones(int(apart.sum()))
    if seen.dtype.kind in "iub":
        spread = np.abs(answer.value[apart].astype(object) - seen[apart].astype(object)).astype(np.float64)
    return _judged(name, answer, seen, apart, spread, np.full(spread.shape, np.inf), np.zeros(spread.shape, bool))


def _floats(name: str, answer: Answer, seen: Array) -> NodeCheck:
    """Elements whose bits are those of the rounded float64 value are done with; the others are judged."""
    stored = np.asarray(answer.value if answer.value.dtype == seen.dtype else answer.value.astype(seen.dtype))
    same = np.asarray((stored == seen) | (np.isnan(stored) & np.isnan(seen)))
    if answer.signed_zeros:
        same &= (np.signbit(stored) == np.signbit(seen)) | np.isnan(seen)
    if same.all():
        return NodeCheck(name, "equal", ratio=0.0, max_abs=0.0, compared=seen.size)
    apart = np.asarray(~same)
    due, got, kept = (np.asarray(v)[apart].astype(np.float64) for v in (answer.value, seen, stored))
    error = _error(answer, seen.shape)[apart]
    edge = float(np.finfo(seen.dtype).max) if seen.dtype.kind == "f" else 3.39e38
    # Beyond the largest number of the type, an infinity of the same sign is that number's own rounding.
    beyond = np.isinf(got) & np.isfinite(due) & (np.sign(got) == np.sign(due)) & (np.abs(due) + error >= edge)
    beyond |= np.isinf(kept) & np.isfinite(due) & np.isfinite(got) & (np.abs(due) - error <= edge)
    beyond &= np.isfinite(error)
    distance = np.where(beyond, 0.0, np.abs(due - got))
    strict = ~beyond & ~(np.isfinite(due) & np.isfinite(got))
    unknown = ~beyond & ~np.isfinite(error)
    ratio = np.where(distance > 0, distance / error, 0.0)
    ratio = np.where(strict | ((due == 0) & (got == 0) & (error == 0)), np.inf, np.where(unknown, 0.0, ratio))
    return _judged(name, answer, seen, apart, distance, ratio, unknown)


def _error(answer: Answer, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.asarray(answer.error, dtype=np.float64), shape)


def _judged(
    name: str, answer: Answer, seen: Array, apart: Array, distance: Array, ratio: Array, unknown: Array
) -> NodeCheck:
    """The check of an output whose elements ``apart`` differ, at those distances and ratios (one per such element)."""
    flips, unsaid = (
        np.zeros(distance.shape, bool) if mask is None else np.broadcast_to(mask, seen.shape)[apart]
        for mask in (answer.flips, answer.unsaid)
    )
    unknown = (unknown | unsaid) & ~flips
    judged = np.where(flips | unknown, 0.0, ratio)
    problem = None
    outcome: NodeOutcome = "rounding"
    worst = int(np.argmax(np.where(judged == judged.max(), np.nan_to_num(distance, nan=np.inf), -1.0)))
    if (judged > 1).any():
        outcome = "diverges"
    elif unknown.any():
        outcome, worst = "uncompared by bound", int(np.argmax(unknown))
        why = "ONNX does not say what they are" if unsaid.any() else "the bound is infinite"
        problem = f"{int(unknown.sum())} of {seen.size} elements differ and {why}"
    elif flips.any():
        outcome, worst = "flip within rounding", int(np.argmax(flips))
    index = tuple(int(i) for i in np.unravel_index(int(np.flatnonzero(apart)[worst]), seen.shape))
    return NodeCheck(
        name,
        outcome,
        ratio=float(judged[worst]) if outcome in ("rounding", "diverges") else None,
        max_abs=float(distance.max()),
        index=index,
        values=(float(answer.value[index]), float(seen[index])) if seen.dtype.kind not in "OUST" else None,
        bound=float(_error(answer, seen.shape)[index]),
        compared=int(seen.size - unknown.sum()),
        differing=int(apart.sum()),
        problem=problem,
    )


def _shape(array: Array) -> str:
    return f"({', '.join(map(str, array.shape))})"
