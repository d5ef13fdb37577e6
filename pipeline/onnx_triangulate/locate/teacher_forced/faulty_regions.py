"""Which nodes of a region are faulty that ends in a value which must be another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from onnx_triangulate.locate.teacher_forced.bound import away, judge, one_in_float32
from onnx_triangulate.locate.teacher_forced.realignment import NEAR, Found, candidates, follow, plainest
from onnx_triangulate.locate.teacher_forced.reference import exact_digest, one_line
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, Judgement, above
from onnx_triangulate.numerics.compare import equal_elements, same_values
from onnx_triangulate.numerics.float64_evaluation import Step
from onnx_triangulate.onnxgraph.dataflow import Orientation, Pair
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import DifferingConstant, Fault


def blame(state: AlignmentState, found: Found) -> tuple[list[Fault], int]:
    """Which nodes of the region that ends in ``name`` are faulty; every value that this settles is assumed from now on.

    Where the region has A's operators one by one, each is judged on A's values alone; otherwise it is faulty as a
    whole, under the name of its last node.
    """
    name, left, orientation = upstream(state, found)
    steps, _ = state.of_b.region(name)
    if not steps:
        judged = judge(state, name, left, orientation) if name in state.own else Judgement(np.inf)
        state.join(Pair(left, name, orientation, "assumed"))
        return [Fault(name, "", name, judged.ratio, judged.max_abs, counterpart=left)], len(state.b.steps)
    others, _ = state.of_a.region(left)
    if state.b.is_constant(name):
        state.loosen(name)
        if not state.a.is_constant(left):
            state.live.add(name)
    return _in_region(state, (name, left, orientation), steps, others), steps[0].index


def _in_region(state: AlignmentState, due: Found, steps: Sequence[Step], others: Sequence[Step]) -> list[Fault]:
    """The faulty steps of a region of B, which stands where A has ``others``."""
    name, left, orientation = due
    if one_in_float32(state, name, left, orientation):
        state.forced[name] = (left, orientation)
        return []
    odd = Counter(s.op for s in steps) - Counter(s.op for s in others)
    if len(steps) == len(others) > 1 and odd.total() <= 1:
        faults = one_by_one(state, steps, others, due)
        if faults:
            return faults
    near = first_near(state, steps)
    return near if near is not None else _as_a_whole(state, due, steps, others)


def _as_a_whole(state: AlignmentState, due: Found, steps: Sequence[Step], others: Sequence[Step]) -> list[Fault]:
    """The fault of a region whose steps cannot be told apart, under the name of its last node."""
    name, left, orientation = due
    if orientation == Orientation():
        # Numbers may be written in another shape or layout; then the numbers are reported, not the shape.  Where only
        # the shape or the order is wrong, that is.
        other = plainest(state, name, left)
        if other != orientation and judge(state, name, left, other).ratio > 1:
            orientation = other
    state.forced[name] = (left, orientation)
    judged = judge(state, name, left, orientation)
    if judged.ratio <= 1:  # apart from the designated value only in what it was compared to
        return []
    unknown = next((state.unsupported[s.name] for s in steps if s.name in state.unsupported), None)
    if unknown is not None and judged.max_abs is None:
        state.unjudged[name] = unknown
        return []
    last, counterpart = departing(state, steps, left), None
    if last is None:
        last, counterpart = within(state, steps[-1], left)
    if counterpart is not None and last is not steps[-1]:
        return [constant_part(state, last, counterpart, judged)]
    last = behind_identities(state, last)
    error = next((state.errors[s.index] for s in steps if s.index in state.errors), None)
    judged = replace(judged, problem=judged.problem or error)
    nodes = tuple(s.name for s in steps) if last in steps else ()
    return [fault_of(last, name, left, judged, others, tuple(other_numbers(state, steps, others)), nodes)]


def fault_of(
    step: Step,
    output: str,
    left: str,
    judged: Judgement,
    others: Sequence[Step],
    constants: tuple[DifferingConstant, ...],
    nodes: tuple[str, ...] = (),
) -> Fault:
    """A step of B as it was judged at ``output``, with A's steps in its place."""
    return Fault(
        step.name,
        step.said,
        output,
        judged.ratio,
        judged.max_abs,
        index=judged.index,
        expected=judged.expected,
        actual=judged.actual,
        nodes=nodes or (step.name,),
        counterpart=left,
        against=tuple(other.name for other in others),
        constants=constants,
        problem=judged.problem,
    )


def constant_part(state: AlignmentState, step: Step, counterpart: Step, judged: Judgement) -> Fault:
    """A faulty step that computes a constant, beside its counterpart; the ratio is that of what the constant does."""
    made, due = step.makes[0], counterpart.makes[0]
    one, other = state.have.get(due), state.env.get(made)
    shown = Judgement(judged.ratio)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.shape == other.shape and one.size:
        with np.errstate(all="ignore"):
            far = np.where(one == other, 0.0, np.abs(one.astype(np.float64) - other.astype(np.float64)))
            far = np.nan_to_num(far, nan=np.inf)
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(far)), far.shape))
        shown = Judgement(judged.ratio, float(far[index]), index, float(one[index]), float(other[index]))
    return fault_of(step, made, due, shown, [counterpart], tuple(other_numbers(state, [step], [counterpart])))


def other_numbers(state: AlignmentState, steps: Sequence[Step], others: Sequence[Step]) -> Iterator[DifferingConstant]:
    """The constants that a region reads in A's place with other numbers."""
    mine, theirs = ([s for s in side if s.op not in ("Constant", "Identity")] for side in (steps, others))
    if [s.op for s in mine] != [s.op for s in theirs]:
        return
    for step, counterpart in zip(mine, theirs, strict=True):
        if len(step.node.input) != len(counterpart.node.input):
            continue
        for b, a in zip(step.node.input, counterpart.node.input, strict=True):
            if b and a and state.b.is_constant(b) and state.a.is_constant(a):
                differing = _differing(state.b.aliases.get(b, b), state.have.get(a), state.env.get(b))
                yield from [differing] if differing is not None else []


def _differing(name: str, expected: object, actual: object) -> DifferingConstant | None:
    """Where two constants of one type and shape hold other numbers."""
    if not isinstance(expected, np.ndarray) or not isinstance(actual, np.ndarray):
        return None
    if expected.shape != actual.shape or expected.dtype != actual.dtype or expected.dtype.kind not in "fiu":
        return None
    odd = ~equal_elements(expected, actual)
    if not odd.any():
        return None
    place = int(np.argmax(odd.reshape(-1)))
    due, made = float(expected.reshape(-1)[place]), float(actual.reshape(-1)[place])
    return DifferingConstant(name, due, made, int(odd.sum()), odd.size)


def upstream(state: AlignmentState, found: Found) -> Found:
    """The operand behind a value that must be another, where that operand is what is wrong.

    B computes twice what A computes once, and A's other value is nobody's: the second computation, which has the same
    operator as A's, read the wrong value, not its consumer.
    """
    name, left, _ = found
    step, due = state.b.producer.get(name), state.a.producer.get(left)
    if step is None or due is None or step.op != due.op or len(step.node.input) != len(due.node.input):
        return found
    for mine, theirs in zip(step.node.input, due.node.input, strict=True):
        pair, made, counterpart = state.pairs.get(mine), state.b.producer.get(mine), state.a.producer.get(theirs)
        if pair is None or made is None or counterpart is None or made.op != counterpart.op or theirs in state.uses:
            continue
        apart = theirs in state.have and state.classes[mine] != state.known.classes[theirs]
        if apart and state.uses[pair.left] > 1 and mine not in state.outputs and not followed(state, mine):
            state.part(mine)
            return upstream(state, (mine, theirs, Orientation()))
    return found


def followed(state: AlignmentState, name: str) -> bool:
    """Whether a consumer of a value of B makes of it what A makes, and no other value of B is that already."""
    for step in state.b.consumers.get(name, ()):
        for made, digest in follow(step, state, {}).items():
            left = state.known.first.get(digest)
            if left is None:
                continue
            pair = state.pairs.get(made)
            if state.uses[left] - (pair is not None and pair.left == left) <= 0:
                return True
    return False


def within(state: AlignmentState, step: Step, left: str) -> tuple[Step, Step | None]:
    """The step behind a faulty step that computes a constant for it which is not A's, of constants that are, with its
    counterpart in A, if it has one."""
    due = state.a.producer.get(left)
    while due is not None and due.op == step.op and len(due.node.input) == len(step.node.input):
        for mine, theirs in zip(step.node.input, due.node.input, strict=True):
            made, counterpart = state.b.producer.get(mine), state.a.producer.get(theirs)
            fixed = bool(mine and theirs) and state.is_constant(mine) and state.a.is_constant(theirs)
            apart = fixed and state.classes.get(mine) not in state.known.constants
            if apart and made is not None and counterpart is not None and made.op == counterpart.op != "Constant":
                step, due = made, counterpart
                break
        else:
            return step, due
    return inside(state, step), None


def behind_identities(state: AlignmentState, step: Step) -> Step:
    """The step behind those that by definition hand on what they read; the step itself where nothing is behind them.

    A Cast of floats is no such step: to fewer digits and back it rounds, whatever float64 makes of it.
    """
    found = step
    while found.op in ("Identity", "Cast") and len(found.reads) == 1:
        read, made = state.env.get(found.reads[0]), state.own.get(found.makes[0], state.env.get(found.makes[0]))
        held = isinstance(read, np.ndarray) and isinstance(made, np.ndarray)
        whole = held and read.dtype == made.dtype and read.dtype.kind in "biu"  # type: ignore[union-attr]
        before = state.b.producer.get(found.reads[0])
        if not (whole or found.op == "Identity"):
            return found
        if before is None:
            return step
        found = before
    return found


def departing(state: AlignmentState, steps: Sequence[Step], left: str) -> Step | None:
    """Of steps that A does without, the first that does not hand on what it was given."""
    _, start = state.of_b.region(steps[-1].makes[0])
    if not any(n in state.pairs and state.pairs[n].left == left for n in start):
        return None
    due = np.asarray(state.have[left])
    for step in steps:
        made = state.own.get(step.makes[0])
        if made is None or not same_values(made, due):
            return step
    return None


def first_near(state: AlignmentState, steps: Sequence[Step]) -> list[Fault] | None:
    """The first step of a region, but the last, that makes nearly, and not quite, what its counterpart makes."""
    for step in steps[:-1]:
        for output in step.makes:
            for counterpart in candidates(state, output):
                near = _nearly(state.have[counterpart], state.own.get(output))
                if near and (judged := judge(state, output, counterpart, Orientation())).ratio > 1:
                    state.forced[output] = (counterpart, Orientation())
                    against = [state.a.producer[counterpart]]
                    return [_of_step(state, step, (output, counterpart), judged, against)]
    return None


def _nearly(due: object, value: object) -> bool:
    if not isinstance(value, np.ndarray) or not isinstance(due, np.ndarray) or value.shape != due.shape:
        return False
    return 0 < away(due, value) < NEAR


def _of_step(
    state: AlignmentState, step: Step, pair: tuple[str, str], judged: Judgement, against: Sequence[Step]
) -> Fault:
    """The fault of one step at a value of B and A's, or of the constant that it reads."""
    output, counterpart = pair
    faulty, due = within(state, step, counterpart)
    if due is not None and faulty is not step:
        return constant_part(state, faulty, due, judged)
    made = [state.a.producer[counterpart]] if counterpart in state.a.producer else []
    return fault_of(faulty, output, counterpart, judged, made, tuple(other_numbers(state, [step], against)))


def inside(state: AlignmentState, step: Step) -> Step:
    """The faulty step behind a faulty step: where an operand of it is computed of constants (a shape, a turned weight),
    the first step there that makes something else than its counterpart in A makes of the same constants.

    A may hold the operand folded, without anything on the way to it: then no step on the way has a counterpart, and
    what makes the one operand that is no constant of A's is faulty.  Where A has no such operator at all, its constants
    say nothing of the operand.
    """
    chain = _computing_constants(state, step)
    if not chain:
        return step
    due = _made_of_constants(state)
    for each in chain:
        if each.op == "Constant" or not all(n in state.env for n in (*each.reads, *each.makes)):
            continue
        expected = due.get((each.op, *(exact_digest(state.env[n]).hex() for n in each.reads)))
        if expected is not None and not {exact_digest(state.env[n]) for n in each.makes} <= expected:
            return each
    odd = _odd_operands(state, step)
    told = len(odd) == 1 and not state.is_folded(step) and any(other.op == step.op for other in state.a.steps)
    return odd[0] if told else step


def _computing_constants(state: AlignmentState, step: Step) -> list[Step]:
    """The steps that compute of constants what a step reads, in order."""
    made = above(state.b, step.reads, lambda name, _: state.is_constant(name))
    return sorted({each.index: each for each in made.values()}.values(), key=lambda each: each.index)


def _made_of_constants(state: AlignmentState) -> dict[tuple[str, ...], set[bytes]]:
    """What A's steps make of constants, by operator and operands."""
    due: dict[tuple[str, ...], set[bytes]] = {}
    for other in state.a.steps:
        if other.index in state.a.folded and all(n in state.have for n in (*other.reads, *other.makes)):
            key = (other.op, *(exact_digest(state.have[n]).hex() for n in other.reads))
            due.setdefault(key, set()).update(exact_digest(state.have[n]) for n in other.makes)
    return due


def _odd_operands(state: AlignmentState, step: Step) -> list[Step]:
    """The steps that compute constants which a step reads and A does not have."""
    folded = [name for other in state.a.steps if other.index in state.a.folded for name in other.makes]
    known = {exact_digest(state.have[n]) for n in (*state.a.constants, *folded) if n in state.have}
    odd: dict[int, Step] = {}
    for name in step.reads:
        made = state.b.producer.get(name) if state.is_constant(name) and name in state.env else None
        if made is not None and made.op != "Constant" and exact_digest(state.env[name]) not in known:
            odd[made.index] = made
    return list(odd.values())


def one_by_one(state: AlignmentState, steps: Sequence[Step], others: Sequence[Step], due: Found) -> list[Fault]:
    """Judge each step of a region on the values of its partner; nothing where one has no partner."""
    before = state.kept()
    free = list(others)
    faults: list[Fault] = []
    for step in steps:
        partner = partner_of(state, step, free, due[1] if due[0] in step.makes else None)
        found = None if partner is None else _beside_partner(state, step, partner, due)
        if partner is None or found is None:
            state.back(before)
            return []
        free.remove(partner)
        faults += found
    return faults


def _beside_partner(state: AlignmentState, step: Step, partner: Step, due: Found) -> list[Fault] | None:
    """A step of B judged by its partner in A, whose values take the place of B's; None where A lacks one."""
    name, left, orientation = due
    if len(partner.makes) < len(step.makes):
        return None
    made, problem = _run(state, step)
    faults = []
    for slot, output in enumerate(step.makes):
        state.own.pop(output, None)
        if output in made:
            state.own[output] = made[output]
        counterpart = left if output == name else partner.makes[slot]
        if counterpart not in state.have:
            return None
        way = orientation if output == name else plainest(state, output, counterpart)
        judged = judge(state, output, counterpart, way)
        state.forced[output] = (counterpart, way)
        state.env[output] = way.apply(state.have[counterpart])
        state.join(Pair(counterpart, output, way, "assumed"))
        if judged.ratio > 1:
            judged = replace(judged, problem=judged.problem or problem)
            faults.append(_of_step(state, step, (output, counterpart), judged, [partner]))
    return faults


def _run(state: AlignmentState, step: Step) -> tuple[Mapping[str, Array], str | None]:
    """What a step makes of the values that stand for what it reads, and why it makes nothing."""
    if not all(n in state.env for n in step.reads):
        return {}, None
    try:
        return state.b.run(step, state.env), None
    except Exception as error:  # an operator's numpy raises whatever numpy raises
        return {}, one_line(error)


def partner_of(state: AlignmentState, step: Step, others: Sequence[Step], left: str | None) -> Step | None:
    """The step of A's region that reads the same data, of one operator if there is one; the last makes ``left``."""
    if left is not None:
        return next((other for other in others if left in other.makes), None)
    reads = [n for n in step.reads if not state.is_constant(n)]
    if any(n not in state.pairs for n in reads):
        return None
    wanted = sorted(state.known.classes.get(state.pairs[n].left, b"") for n in reads)
    fitting = [
        other
        for other in others
        if sorted(state.known.classes.get(n, b"") for n in other.reads if not state.a.is_constant(n)) == wanted
    ]
    return next((o for o in fitting if o.op == step.op), fitting[0] if len(fitting) == 1 else None)
