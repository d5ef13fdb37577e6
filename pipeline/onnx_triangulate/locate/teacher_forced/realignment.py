"""Where B computes A's values again behind a difference: by structure first, by numbers where the structure differs.

By structure: what the consumers of an unaligned value of B read besides it says which value of A they expect in its
place (:attr:`Reference.contexts`).  Of several, the one counts behind which most values of B are A's again.
"""

from __future__ import annotations

import heapq
import itertools
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.locate.teacher_forced.bound import away
from onnx_triangulate.locate.teacher_forced.reference import context_hash, moments, sorted_digest
from onnx_triangulate.locate.teacher_forced.state import AlignmentState, above, below
from onnx_triangulate.numerics.compare import equal_elements, same_values
from onnx_triangulate.numerics.float64_evaluation import Step
from onnx_triangulate.numerics.perturbation import UNIT, signs
from onnx_triangulate.onnxgraph.dataflow import Orientation, orientations
from onnx_triangulate.records.arrays import Array

Found = tuple[str, str, Orientation]
# None of these makes a verdict: they choose which value of A is tried in which place, and in what order; whether B's is
# that value is for the bound.  A wrong choice names a node further down, or more nodes than need be.
_LIKE = 1e-5  # of the largest number: alike enough in float64 that the same bits were meant
_UNLIKE = 0.5  # of the largest number: no value that was meant to be another
NEAR = 0.05  # of the largest number: a value that was meant to be another, and is nearly
_DEPTH = 8  # layers behind a value
_REACH = 64  # values behind a value that are counted
_STRONG = 3  # values of A's behind it that are no chance
_JUMP = 1e-4  # of the largest number: what one rounding moves by so much answers by a step, not by rounding
_ROOM = 400  # times what one rounding does: folded weights move by some roundings, not by one
_CANDIDATES = 24  # values that are looked at in one place
_END = 2.0**-6  # of the largest number: a mask may be scaled; what is said of it rests on the outputs being the same


def resume(state: AlignmentState, bad: Sequence[str]) -> Found | None:
    """Which value of B must be which of A for the graphs to meet again, the first one."""
    for name, left in movers(state, bad):
        if confirmed(state, name, left, Orientation()):
            return name, left, Orientation()
    open_values = open_above(state, bad)
    found = _by_structure_above(state, open_values) or _by_hypotheses(state, open_values)
    if found is not None:
        return found
    for name in open_values:
        counterpart = None if state.is_constant(name) else next(iter(candidates(state, name)), None)
        if counterpart is not None:
            return name, counterpart, plainest(state, name, counterpart)
    remaining = [name for name in bad if name not in open_values]  # made by nothing: an input or a constant of B
    return (remaining[0], *state.outputs[remaining[0]]) if remaining else None


def _by_structure_above(state: AlignmentState, open_values: Sequence[str]) -> Found | None:
    """The first open value that A's structure names another for, or an output that is made of A's values."""
    for name in open_values:
        if name in state.outputs:
            if all(n in state.pairs or state.is_constant(n) for n in state.b.producer[name].reads):
                return (name, *state.outputs[name])
            continue
        due = by_structure(state, name)
        if due is not None and not by_shape_alone(state, name, due):
            return name, due, Orientation()
    return None


def _by_hypotheses(state: AlignmentState, open_values: Sequence[str]) -> Found | None:
    """The first open value that is an output, or in whose place one of A's makes B A's again."""
    for name in open_values:
        if name in state.outputs:
            return (name, *state.outputs[name])
        if state.is_constant(name):
            continue
        proposed = list(hypotheses(state, name))
        near = [proposal for proposal in proposed if is_near(state, name, *proposal)]
        others = [(counterpart, Orientation()) for counterpart in candidates(state, name)]
        found = next((p for p in near if confirmed(state, name, *p)), None)
        if found is None:  # its consumer is at fault too
            found = next((p for p in near if p in others), None)
        if found is None:
            found = next((p for p in proposed if p not in near and confirmed(state, name, *p)), None)
        if found is not None:
            return (name, *found)
    return None


def by_shape_alone(state: AlignmentState, name: str, left: str) -> bool:
    """Whether nothing but a shape that both are written in says that a value of B stands where one of A does, while
    their numbers have nothing in common: two layouts have that in common where axes are of one length."""
    readers = state.b.consumers.get(name, ())
    if any([n for n in step.reads if not state.is_constant(n)] != [name] for step in readers):
        return False
    if any(step.op not in ("Reshape", "Flatten", "Squeeze", "Unsqueeze") for step in readers):
        return False
    value, held = state.own.get(name), state.have[left]
    if not isinstance(value, np.ndarray) or not isinstance(held, np.ndarray) or value.dtype.kind != "f":
        return False
    return value.size == held.size and _unlike(plainest(state, name, left).apply(held), value) > _UNLIKE


def hidden(state: AlignmentState) -> Found | None:
    """A difference that these feeds let vanish again (a Relu holds it at zero): an operator that does not make what
    its counterpart makes of the same values, while its consumers would take the counterpart's value for their own.

    What stands for an infinity is none: a mask of the lowest number that the type has says what one of infinities says,
    until nothing else is left beside it.  That is kept to be said.
    """
    for step in state.b.steps:
        for name in step.makes if not state.is_folded(step) else ():
            if name in state.pairs or name not in state.own or name in state.outputs:
                continue
            for counterpart in candidates(state, name):
                held = state.have[counterpart]
                alike = isinstance(held, np.ndarray) and held.shape == np.shape(state.own[name])
                if said := _endless(held, state.own[name]):
                    state.ends.setdefault(step.name, said)
                    continue
                if (
                    alike
                    and not _same_either_way(state, name, counterpart)
                    and (reach(state, name, counterpart) or confirmed(state, name, counterpart, Orientation()))
                ):
                    return name, counterpart, Orientation()
    return None


def _endless(due: Any, made: Any) -> tuple[float, float] | None:
    """Where two arrays are one but for infinities in the one and numbers of their sign at the end of the type in the
    other: a pair of these, A's and B's."""
    if not isinstance(due, np.ndarray) or not isinstance(made, np.ndarray):
        return None
    if due.dtype != made.dtype or due.dtype.kind != "f" or due.shape != made.shape:
        return None
    end = _END * float(np.finfo(np.float32 if due.dtype == np.float64 else due.dtype).max)
    odd = ~equal_elements(due, made)
    with np.errstate(all="ignore"):
        far = (np.abs(due) >= end) & (np.abs(made) >= end) & (np.sign(due) == np.sign(made))
        one = np.isinf(due) != np.isinf(made)
        if not odd.any() or not (far & one)[odd].all():
            return None
    place = int(np.argmax(odd.reshape(-1)))
    return float(due.reshape(-1)[place]), float(made.reshape(-1)[place])


def _same_either_way(state: AlignmentState, name: str, counterpart: str) -> bool:
    """Whether what is made of a value is A's because either value makes it (a square of a difference, whichever way
    round), not because the feeds hold it where nothing answers: it answers wherever the two are not one."""
    own, held = np.asarray(state.own[name]), np.asarray(state.have[counterpart])
    readers = state.b.consumers.get(name, ())
    if own.dtype.kind != "f" or not readers:
        return False
    odd = own != held
    moved = {**state.env, name: np.where(odd, own * (1 + 1e-3), own)}
    for step in readers:
        if not all(n in state.pairs for n in step.makes):
            return False
        made = state.made(step, moved)
        if made is None:
            return False
        for output, value in made.items():
            before = state.env.get(output)
            if not isinstance(before, np.ndarray) or before.shape != odd.shape or np.shape(value) != odd.shape:
                return False
            if not bool(((value != before) | ~odd).all()):
                return False
    return True


def suspect(state: AlignmentState, step: Step) -> Found | None:
    """A value that is nobody's though all it is made of is A's, where A's structure goes on behind it with another.

    So is one that is A's in another order only, as everything is that a wrong ``perm`` makes.  To go on from there at
    once is what keeps the search linear; that B is not A's again further down, as behind a factor that was moved
    through a few operators, or where one layout ends, is looked at first.
    """
    if state.is_folded(step) or any(n not in state.pairs and not state.is_constant(n) for n in step.reads):
        return None
    nobody = [n for n in step.makes if not _settled(state, n)]
    if not nobody:
        return None
    doubtful = _by_numbers_above(state, step)
    also = {state.pairs[n].left for n in doubtful}
    for name in (*_odd_constants(state, step), *doubtful, *nobody):
        if name in state.outputs or name in state.cleared:
            continue
        left = _another(state, name, also)
        if left is None:
            continue
        if _is_cleared(state, name, left, nobody):
            state.cleared.add(name)
            continue
        return name, left, Orientation()
    return None


def _another(state: AlignmentState, name: str, also: Collection[str]) -> str | None:
    """The value of A that structure says stands in a value's place, if that is another and no chance."""
    left = by_structure(state, name, also)
    pair = state.pairs.get(name)
    if left is None or (pair is not None and pair.left == left and pair.orientation == Orientation()):
        return None
    return left if reach(state, name, left) >= _STRONG else None


def _is_cleared(state: AlignmentState, name: str, left: str, nobody: Sequence[str]) -> bool:
    """Whether a suspected value only stands for an infinity, or B is A's again behind it all the same."""
    made = state.b.producer.get(name)
    if made is not None and (said := _endless(state.have.get(left), state.own.get(name, state.env.get(name)))):
        state.ends.setdefault(made.name, said)
        return True
    # Whole numbers that are no values (a shape, axes) count by what is made of them, and cannot be moved a little.
    whole = state.is_constant(name) and getattr(state.env.get(name), "dtype", np.dtype(float)).kind in "iub"
    return any(n in state.own and rejoins(state, n) for n in (nobody if whole else [name]))


def _settled(state: AlignmentState, name: str) -> bool:
    pair = state.pairs.get(name)
    return pair is not None and (pair.how != "numbers" or pair.orientation == Orientation())


def _odd_constants(state: AlignmentState, step: Step) -> list[str]:
    """What is computed of constants for a step, and no constant of A's; the first first."""

    def odd(name: str, _: Step) -> bool:
        return state.is_constant(name) and state.classes.get(name) not in state.known.constants

    return _in_order(above(state.b, step.reads, odd, _CANDIDATES))


def _by_numbers_above(state: AlignmentState, step: Step) -> list[str]:
    """What a step is made of that is A's by numbers only, which may be another value's by chance; the first first."""

    def aligned(name: str, _: Step) -> bool:
        return name in state.pairs and state.pairs[name].how in ("numbers", "structure")

    found = _in_order(above(state.b, step.reads, aligned, _CANDIDATES))
    return [name for name in found if state.pairs[name].how == "numbers"]


def _in_order(found: Mapping[str, Step]) -> list[str]:
    """Values in the order of the steps that make them."""
    return sorted(found, key=lambda name: found[name].index)


def rejoins(state: AlignmentState, name: str) -> bool:
    """Whether B makes a value of A again of a value that is none: nearly, as far as one rounding of it moves that."""
    start: Any = state.own[name]
    if not isinstance(start, np.ndarray):
        return True
    rounds = start.dtype.kind == "f"
    values: dict[str, Array] = {name: start}
    moved: dict[str, Array] = {name: np.roll(start.reshape(-1), 1).reshape(start.shape)}
    if rounds:
        moved[name] = start * (1 + UNIT * signs(np.random.default_rng(0), start.shape, draw=np.int64))
    classes: dict[str, bytes] = {}
    rest: dict[str, Array] = {}
    for step in state.b.steps[state.b.producer[name].index + 1 :]:
        if not any(n in values for n in step.reads):
            beside = {} if state.is_folded(step) else follow(step, state, classes)
            classes |= beside
            rest |= {n: state.have[w] for n, c in beside.items() if (w := state.known.first.get(c)) is not None}
            continue
        held = {n: rest.get(n, state.env.get(n)) for n in step.reads if n not in values}
        others = {n: v for n, v in held.items() if v is not None}
        plain, other = (state.made(step, {**others, **own}) for own in (values, moved))
        if plain is None or other is None:
            continue  # what else it reads is nobody's either, or it takes no value of this shape
        values |= plain
        moved |= other
        if any(_is_nearly(state, output, value, other[output], rounds) for output, value in plain.items()):
            return True
    return False


def _is_nearly(state: AlignmentState, output: str, value: Any, moved: Array, rounds: bool) -> bool:
    """Whether a value is one of A that is still free, as far as ``moved`` shows what rounding does to it.

    What does not move at all shows nothing: it hardly depends on what was moved.
    """
    if not isinstance(value, np.ndarray):
        return False
    due = state.outputs.get(output)
    if due is not None and same_values(due[1].apply(state.have[due[0]]), value):
        return True
    if value.dtype.kind != "f" or value.shape != np.shape(moved) or same_values(value, moved):
        return False
    with np.errstate(all="ignore"):
        largest = float(np.abs(value).max())
        moves = float(np.nan_to_num(np.abs(moved - value)).max(initial=0))
    if moves > _JUMP * largest:  # a step of Floor or of a comparison says nothing of rounding
        return False
    room = rounds * _ROOM * moves + 1e-12 * largest
    mean, rms = moments(value)
    for left, m, r in state.known.index.get(value.size, ()):
        held = state.have[left]
        if left in state.uses or abs(m - mean) > room or abs(r - rms) > room or held.dtype != value.dtype:
            continue
        with np.errstate(all="ignore"):
            if held.shape == value.shape and np.nan_to_num(np.abs(held - value), nan=np.inf).max() <= room:
                return True
    return False


def by_structure(state: AlignmentState, name: str, also: Collection[str] = ()) -> str | None:
    """The value of A that stands, in A, where B's consumers read this value of B."""
    keys = (context_hash(step, name, state.namer, state.classes) for step in state.b.consumers.get(name, ()))
    held = dict.fromkeys(left for key in keys if key is not None for left in state.known.contexts.get(key, ()))
    if not held:
        return None
    step = state.b.producer[name]
    _, start = state.of_b.region(step.makes[0])
    before = {state.pairs[n].left for n in start if n in state.pairs}
    others = set(candidates(state, name)) if not state.is_constant(name) else set()
    own = state.own.get(name, state.env.get(name))

    def rank(left: str) -> tuple[int, bool, bool, bool, float]:
        made = state.a.producer.get(left)
        value = state.have.get(left)
        arrays = isinstance(value, np.ndarray) and isinstance(own, np.ndarray)
        far = away(value, own) if arrays else np.inf  # type: ignore[arg-type]  # both are arrays then
        other_operator = made is None or made.op != step.op
        return -reach(state, name, left), left not in others, left not in before, other_operator, far

    def broadcast(left: str) -> bool:
        """A number that its reader spreads is no array that data reaches, of another shape, whoever reads that in A."""
        one = state.is_constant(name) and np.size(own) == 1  # type: ignore[arg-type]
        return one and not state.a.is_constant(left) and np.size(state.have[left]) != 1

    mine = {state.pairs[name].left} if name in state.pairs else set()
    known = [left for left in held if left in state.have and not broadcast(left)]
    free = [left for left in known if left not in state.uses or left in before | mine or left in also]
    ranked = sorted((rank(left), left) for left in free[: 4 * _CANDIDATES])
    return ranked[0][1] if ranked and ranked[0][0][0] < 0 else None


def reach(state: AlignmentState, name: str, left: str) -> int:
    """How many values of B behind ``name`` would be A's by structure, were it ``left``."""
    base = state.known.classes.get(left)
    if base is None:
        return 0
    held, count = {name: base}, 0
    waiting = [step.index for step in state.b.consumers.get(name, ())]
    heapq.heapify(waiting)
    last = -1
    while waiting and count < _REACH:
        index = heapq.heappop(waiting)
        if index == last:
            continue
        last = index
        step = state.b.steps[index]
        if state.is_folded(step) and not any(n in held for n in step.reads):
            continue
        classes = follow(step, state, held)
        for made, digest in classes.items():
            due = state.outputs.get(made)
            if due is not None:
                count += 4 * (digest == state.known.classes.get(due[0]))
            elif digest in state.known.first or digest in state.known.constants:
                held[made] = digest
                count += 1
                for follower in state.b.consumers.get(made, ()):
                    heapq.heappush(waiting, follower.index)
    return count


def follow(step: Step, state: AlignmentState, held: dict[str, bytes]) -> dict[str, bytes]:
    """As :func:`classes_of`, under the hypothesis, and whether data reaches the step or not."""
    reads = {n: held.get(n) or state.classes.get(n, b"") for n in step.reads}
    if not all(reads.values()):
        return {}
    operands = [(held.get(n) or state.classes.get(n, b"")) if n else b"" for n in step.node.input]
    made = state.namer.of_node(step.node, operands, reads)
    return {name: state.known.folds.get(digest, digest) for name, digest in made.items()}


def is_near(state: AlignmentState, name: str, left: str, orientation: Orientation) -> bool:
    value = state.own.get(name)
    if not isinstance(value, np.ndarray) or not isinstance(state.have[left], np.ndarray):
        return False
    try:
        return away(orientation.apply(state.have[left]), value) < NEAR
    except ValueError:  # shapes that do not fit
        return False


def movers(state: AlignmentState, bad: Sequence[str]) -> list[tuple[str, str]]:
    """Steps that put numbers elsewhere than their counterparts do, and these, behind values aligned in another order.

    What a wrong ``perm`` disorders stays A's value in another order through every operator that does not care, up to
    the one that does.
    """

    def turned(name: str, _: Step) -> bool:
        pair = state.pairs.get(name)
        plain = pair is not None and (pair.how == "assumed" or pair.orientation == Orientation())
        return not plain and not state.is_constant(name)

    found = []
    for name, step in above(state.b, bad, turned).items():
        if name in state.pairs or name not in state.own or name in state.outputs:
            continue
        mine = sorted_digest(state.own[name])
        moves = any(n in state.env and sorted_digest(state.env[n]) == mine for n in step.reads)
        counterpart = next(candidates(state, name), None) if moves else None
        if counterpart is not None:
            found.append((name, counterpart))
    return sorted(found, key=lambda item: state.b.producer[item[0]].index)


def open_above(state: AlignmentState, bad: Sequence[str]) -> list[str]:
    """Values without a counterpart from which an output that is wrong is made, in order.

    A constant that is none of A's is one of them: there A may compute of the inputs what B holds fixed.
    """

    def is_open(name: str, _: Step) -> bool:
        known = state.is_constant(name) and state.classes.get(name) in state.known.constants
        return name not in state.pairs and (name in state.outputs or not known)

    return _in_order(above(state.b, bad, is_open))


def plainest(state: AlignmentState, name: str, left: str) -> Orientation:
    """The way in which a value of A is one of B: the plainest, unless they are far apart in it and near in another.

    Two frameworks have two layouts, and a value that is not quite A's stands in its own: judged in A's order of axes,
    nearly all of it would be wrong, and everything behind it.
    """
    value, held = state.own.get(name), state.have[left]
    if not isinstance(value, np.ndarray) or not isinstance(held, np.ndarray):
        return Orientation()
    ways = list(itertools.islice(orientations(held.shape, value.shape), _CANDIDATES))
    if len(ways) < 2 or value.dtype.kind != "f" or held.dtype.kind != "f":
        return ways[0] if ways else Orientation()
    apart = [_unlike(way.apply(held), value) for way in ways]
    best = min(range(len(ways)), key=apart.__getitem__)
    return ways[best] if 2 * apart[best] < apart[0] else ways[0]


def _unlike(one: Array, other: Array) -> float:
    """0 for arrays that are one up to a factor and a summand, about 1 for unrelated ones."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(one) & np.isfinite(other)
        mine, theirs = (side[finite].astype(np.float64) for side in (one, other))
        if not mine.size or not mine.std() or not theirs.std():
            return 1.0
        return float(1 - np.corrcoef(mine, theirs)[0, 1])


def candidates(state: AlignmentState, name: str) -> Iterator[str]:
    """Values of A that an operator of the same kind makes of the same values."""
    step = state.b.producer[name]
    slot = step.makes.index(name)
    reads = [n for n in step.reads if not state.is_constant(n)]
    if not reads or any(n not in state.pairs for n in reads):
        return
    wanted = sorted(state.known.classes.get(state.pairs[n].left, b"").hex() for n in reads)
    for other in state.known.same_operator.get((step.op, *wanted), ()):
        left = other.makes[slot] if slot < len(other.makes) else ""
        if left in state.have and left not in state.uses:
            yield left


def hypotheses(state: AlignmentState, name: str) -> Iterator[tuple[str, Orientation]]:
    """What a value of B might have been: candidates, near values, what it was made of, what is left of its size."""
    seen: set[tuple[str, Orientation]] = set()
    for proposal in _proposals(state, name):
        if proposal not in seen and proposal[0] in state.have:
            seen.add(proposal)
            yield proposal


def _proposals(state: AlignmentState, name: str) -> Iterator[tuple[str, Orientation]]:
    value, step = state.own.get(name), state.b.producer[name]
    for left in candidates(state, name):
        yield left, plainest(state, name, left)
        yield left, Orientation()
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        free = (s.makes[0] for s in state.a.steps if s.op == step.op and s.makes[0] not in state.uses)
        yield from ((left, Orientation()) for left in free)
        return
    reads = [state.pairs[n] for n in step.reads if n in state.pairs]
    for left in _of_its_size(state, value, step):
        yield left, plainest(state, name, left)
        for orientation in list(orientations(state.have[left].shape, value.shape))[:8]:
            yield left, orientation
    for pair in reads:
        yield pair.left, pair.orientation
    for other in state.a.steps:
        if other.op == step.op:
            free = (left for left in other.makes if left not in state.uses and left in state.have)
            yield from ((left, Orientation()) for left in free)


def _of_its_size(state: AlignmentState, value: Array, step: Step) -> list[str]:
    """Values of A with as many elements: free ones of the same operator first, then those with the nearest moments."""
    mean, rms = moments(value)
    ranked = []
    for left, m, r in state.known.index.get(value.size, ()):
        away = (abs(m - mean) + abs(r - rms)) / max(r, rms, 1e-300)
        made = state.a.producer.get(left)
        if left not in state.uses or away < 0.1:
            ranked.append((left in state.uses, made is None or made.op != step.op, away, left))
    return [left for _, _, _, left in sorted(ranked)[:_CANDIDATES]]


def confirmed(state: AlignmentState, name: str, left: str, orientation: Orientation) -> bool:
    """Whether B's consumers make A's values again when A's value takes the place of a value of B."""
    try:
        held = {name: orientation.apply(state.have[left])}
    except ValueError:
        return False
    mine = sorted_digest(state.have[left])
    behind = (n for step in below(state.a, [left], state.a.folded) for n in step.makes)
    among = {n for n in behind if n not in state.have or sorted_digest(state.have[n]) != mine}
    values, layer = ChainMap(held, state.env), {name}
    for _ in range(_DEPTH):
        steps = {s.index: s for n in layer for s in state.b.consumers.get(n, ()) if not state.is_folded(s)}
        layer = set()
        for _, step in sorted(steps.items()):
            if any(n not in values for n in step.reads):
                continue
            made = state.made(step, values)
            if made is None:
                return False
            if any(is_one_of(state, output, value, among) for output, value in made.items()):
                return True
            held |= made
            layer.update(made)
    return False


def is_one_of(state: AlignmentState, output: str, value: Array, among: set[str]) -> bool:
    if not isinstance(value, np.ndarray) or value.size == 0 or (value.size > 1 and np.all(value == value.flat[0])):
        return False
    if output in state.outputs:
        among = among & {state.outputs[output][0]}
    same_size = [state.have[left] for left, *_ in state.known.index.get(value.size, ()) if left in among]
    return any(
        away(way.apply(held), value) <= _LIKE
        for held in same_size
        if held.dtype.kind == value.dtype.kind
        for way in orientations(held.shape, value.shape)
    )
