"""Triangulation: the edges between the parties of a case, which of them part, and whose step that is.

The parties are chosen so that neighbours differ in one step; where they part *is* the answer.  But an edge has two
ends, and which end is wrong no edge can say alone: a runtime's fault may hide an exporter's, an optimizer may repair a
kernel.  So blame is read from all parties of a graph at once, with the native run, float64 and the case's definition as
arbiters (:func:`blame`).  No tolerance is chosen here: what two parties may differ by is the sum of what each is
allowed against its own definition.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from onnx_triangulate.cases import layout
from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.numerics.compare import Comparison, compare
from onnx_triangulate.ops.bounds import allowance
from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Bound, Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, LargestDifference

# ONNX (and IEEE 754, for sums) leaves the sign of a zero result open in these.
ZERO_SIGN_OPEN = operators_where(lambda op: op.zero_sign_open)
# ONNX does not say what these make of a NaN.
NAN_OPEN = operators_where(lambda op: op.nan_open)
PLACES = frozenset(("ArgMax", "ArgMin", "TopK"))  # those of them that give a place
_HALF_THE_DIGITS = 2.0**-12  # of float32's 24 bits
_FLUSHED = 4 * float(np.finfo(np.float32).tiny)
_ROWS = 3  # axes of an output whose last one may be a row of scores
_GONE = ("crashed", "timeout", "memory")


class Parties:
    """The runs of one case, with what each is allowed, and comparisons between any two of them."""

    def __init__(
        self,
        runs: Mapping[str, Run],
        graphs: Mapping[str, GraphFacts],
        *,
        one_meaning: bool = True,
        nan_fed: bool = True,
    ) -> None:
        """``one_meaning``: the case defines one truth for every framework, so that truths differ in parameters only.

        ``nan_fed``: an input holds a NaN, and what becomes of it may be open.
        """
        self.runs = runs
        self._nan_fed = nan_fed
        self.one_meaning = one_meaning
        operators = {op for facts in graphs.values() for op in facts.ops}
        self._zero_sign_open = bool(operators & ZERO_SIGN_OPEN)
        self._graphs = graphs
        self._values: Callable[[str], dict[str, Array | Absent]] = cache(self._load)
        self._allowed: Callable[[str, bool], dict[str, Array | None]] = cache(self._allowances)

    def replacing(self, name: str, run: Run) -> Parties:
        """The same parties with another run in one's place."""
        other = {**self.runs, name: run}
        return Parties(other, self._graphs, one_meaning=self.one_meaning, nan_fed=self._nan_fed)

    def truth_of(self, framework: str) -> str:
        """The name of the definition that ``framework`` is judged against."""
        return f"truth@{framework}" if f"truth@{framework}" in self.runs else "truth"

    def _load(self, name: str) -> dict[str, Array | Absent]:
        outputs = self.runs[name].outputs or {}
        return {key: value if isinstance(value, Absent) else value.load() for key, value in outputs.items()}

    def _allowances(self, name: str, across: bool) -> dict[str, Array | None]:
        """By output, what the party may differ by from its definition; None where nothing is known.

        ``across``: a run in float64 that is held against another framework, or a definition that is held against one.
        """
        run = self.runs[name]
        truth = self.runs.get(self.truth_of(run.party.framework))
        outputs = run.outputs or {}
        if run.party.framework == "truth":
            return self._roundings(name) if across else {key: np.zeros(()) for key in outputs}
        allowed: dict[str, Array | None] = {}
        for key, value in outputs.items():
            if isinstance(value, Absent):
                continue
            defined = truth.outputs.get(key) if truth is not None and truth.outputs else None
            if truth is None or defined is None or isinstance(defined, Absent):
                allowed[key] = None
                continue
            bound = truth.bounds.get(key)
            if bound is None and truth.derived:
                allowed[key] = None if np.dtype(value.dtype).kind == "f" else np.zeros(())
                continue
            # What nobody could measure may be anything that float32 is allowed.
            known = not (across and run.party.double and run.bounds.get(key) == Bound())
            own = allowance(bound, value.dtype if known else "float32")
            for slack in self._slack(run, key, across):
                extra = allowance(slack, value.dtype)
                own = (
                    own + extra if np.shape(extra) in ((), value.shape) and np.shape(own) in ((), value.shape) else own
                )
            allowed[key] = own if np.shape(own) in ((), value.shape) else None
        return allowed

    def _slack(self, run: Run, key: str, across: bool) -> list[Bound]:
        """What a run in float64 may be off by for constants in float32: a graph's own, and those that its source has.

        A source held against its own graph is exact; ``across`` frameworks its constants are the other's affair too.
        """
        if not run.party.double or not (run.party.runtime or across):
            return []
        source = self.runs.get(f"{run.party.framework}@64")
        bounds = [source.bounds.get(key) if source is not None else None]
        bounds += [run.bounds.get(key)] if run.party.runtime else []
        return [bound for bound in bounds if bound is not None]

    def _roundings(self, name: str) -> dict[str, Array | None]:
        """By output, how far a definition, itself computed in float64, may be from what it means."""
        run = self.runs[name]
        return {key: allowance(run.bounds.get(key), "float64") for key in run.outputs or {}}

    def between(self, left: str, right: str) -> Comparison:
        """The comparison of two parties that both have an answer."""
        sides = [self.runs[name].party for name in (left, right)]
        both = all(party.framework == "truth" for party in sides)
        # Frameworks keep some of their own constants in float32 whatever they compute in (TensorFlow's attributes):
        # what these may make is measured (``perturbed_runs.constants_slack``), and all else rounds in float64.
        across = _across(*sides)
        mine, theirs = (self._roundings(n) if both else self._allowed(n, across) for n in (left, right))
        allowed: dict[str, Array | None] = {}
        for key in set(mine) & set(theirs):
            a, b = mine[key], theirs[key]
            summed = None if a is None or b is None or (a.shape and b.shape and a.shape != b.shape) else a + b
            allowed[key] = summed
        idle = self._decides_nothing(left, right, allowed)
        definition = self.runs[left].party.framework == "truth" or self.runs[right].party.framework == "truth"
        swapped = self.runs[right].party.framework == "truth" and self.runs[left].party.framework != "truth"
        first, second = (right, left) if swapped else (left, right)
        judged = self.runs[second].party
        # A definition in float64 may stand for any float type: which one is meant, the framework itself says.
        asked = definition and judged.framework in self.runs and not judged.double
        against = judged.framework if asked else first
        kept = any(getattr(value, "meant", "") for value in (self.runs[against].outputs or {}).values())
        if odd := _other_types(self, against, second) if asked or (kept and not judged.double) else ():
            own, seen = (self.runs[name].outputs or {} for name in (against, second))
            types = [getattr(of[odd[0]], "party_dtype", "") for of in (own, seen)]
            says = f"{odd[0]} is {types[0]} in {against}, {types[1]} in {second}"
            return Comparison("diverges", output=odd[0], problem=says)
        found = compare(
            self._beside(first, second),
            self._beside(second, first),
            {**allowed, **idle},
            definition=definition,
            zero_sign_open=self._zero_sign_open,
            sides=self._sides(left, right),
        )
        if found.outcome == "missing" and found.output in idle and found.compared:
            return replace(found, problem=f"{found.problem}: the one that the case declares leaves no digit of it")
        return found

    def _sides(self, left: str, right: str) -> dict[str, Array]:
        """By output, how far whole numbers may be apart that rounding puts on either side of a jump.

        On which side exact inputs come is part of what a model means, so between two runs in the model's own types
        nothing is open; a run in float64 rounds elsewhere.
        """
        parties = [self.runs[name].party for name in (left, right)]
        if not any(party.double or party.framework == "truth" for party in parties):
            return {}
        found: dict[str, Array] = {}
        for party in parties:
            held = [self.runs.get(self.truth_of(party.framework)), self.runs.get(f"{party.framework}@64")]
            for run in held if party.framework != "truth" else [self.runs[str(party)]]:
                for key, bound in (run.bounds if run is not None else {}).items():
                    if bound.integer_jumps is not None:
                        found[key] = found.get(key, np.zeros(())) + bound.integer_jumps.load().astype(np.float64)
        return found

    def _beside(self, name: str, other: str) -> dict[str, Array | Absent]:
        """The values of a party as they stand beside another's: of the wider type in which the other's are kept."""
        mine, theirs = (self.runs[each].outputs or {} for each in (name, other))
        values = dict(self._values(name))
        for key, held in mine.items():
            against, value = theirs.get(key), values[key]
            if isinstance(held, Absent) or isinstance(value, Absent) or not isinstance(against, ArrayFile):
                continue
            if held.party_dtype == against.party_dtype and held.dtype != against.dtype:
                values[key] = value.astype(np.float32)
        return values

    def _decides_nothing(self, left: str, right: str, allowed: Mapping[str, Array | None]) -> dict[str, Array]:
        """The bounds of outputs without what, as the case declares it, is larger than all that either side has.

        One that only lets subnormal numbers be flushed to zero says what it means, however small the numbers are.
        """
        for party in (self.runs[left].party, self.runs[right].party):
            truth = self.runs.get(str(party) if party.framework == "truth" else self.truth_of(party.framework))
            if truth is None or truth.derived:
                return {}
        found: dict[str, Array] = {}
        mine, theirs = self._values(left), self._values(right)
        for key, limit in allowed.items():
            sides = [side.get(key) for side in (mine, theirs)]
            arrays = [side for side in sides if side is not None and not isinstance(side, Absent)]
            if limit is None or len(arrays) < 2 or any(array.dtype.kind != "f" for array in arrays):
                continue
            top = max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in arrays)
            if top > 0 and np.any(limit > max(top, _FLUSHED)):
                found[key] = np.where(limit > max(top, _FLUSHED), np.inf, limit)
        return found

    def other_in_double(self, framework: str) -> bool:
        """Whether a framework's float64 run is further from a definition of the case than float32 may be, where its
        float32 run is not: then it is another program (numbers that overflow in float32 alone)."""
        truth, double = self.runs.get(self.truth_of(framework)), self.runs.get(f"{framework}@64")
        if truth is None or truth.derived or truth.outputs is None or double is None or double.outputs is None:
            return False
        if self.runs[framework].outputs is None or not self.diff(str(truth.party), framework, "native").agrees:
            return False
        due, wide = self._values(str(truth.party)), self._values(str(double.party))
        for key, limit in self._allowed(framework, False).items():
            one, other = due.get(key), wide.get(key)
            if limit is None or not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
                continue
            if one.shape != other.shape or one.dtype.kind != "f" or other.dtype.kind != "f":
                continue
            with np.errstate(all="ignore"):
                room = np.maximum(limit, 2.0**-23 * np.abs(one.astype(np.float64)))
                apart = np.abs(one.astype(np.float64) - other) > room
            if bool(np.any(apart | (np.isfinite(one) != np.isfinite(other)))):
                return True
        return False

    def without_digits(self, framework: str) -> str | None:
        """Why float arithmetic leaves nothing of a result, where that is so: a comparison would always pass.

        Asked of definitions that were derived from the model itself: their bound grows with what the model amplifies.
        It is the bound that says so: all of the result lies below it, or a run that it allows has lost half of its
        digits.  A run beyond its bound has left its definition, however far that is.
        """
        truth, name = self.runs.get(self.truth_of(framework)), framework
        if truth is None or not truth.derived or truth.outputs is None or self.runs[name].outputs is None:
            return None
        if not all(run.deterministic for run in self.runs.values() if run.party.framework == framework):
            return None
        values, own = self._values(str(truth.party)), self._values(name)
        for key, limit in self._allowed(name, False).items():
            value, mine = values.get(key), own.get(key)
            if limit is None or isinstance(value, Absent) or isinstance(mine, Absent) or value is None or mine is None:
                continue
            finite = np.isfinite(value) & np.isfinite(mine) if value.shape == mine.shape else np.zeros(0, bool)
            if value.dtype.kind != "f" or not finite.any() or not np.isfinite(limit).all():
                continue
            top = float(np.abs(value[finite]).max())
            apart = float(np.abs(value[finite] - mine[finite]).max())
            allowed = np.broadcast_to(limit, value.shape)
            inside = bool((np.abs(value[finite] - mine[finite]) <= allowed[finite]).all())
            if top > 0 and (top <= float(np.min(limit)) or (inside and apart > _HALF_THE_DIGITS * top)):
                bound = float(np.max(allowed[finite]))
                left = "no digit is left" if top <= float(np.min(limit)) else "half of the digits are gone"
                return f"{left}: {key} is at most {top:.3g}, float64 is {apart:.3g} away, the bound is {bound:.3g}"
        return None

    def diff(self, left: str, right: str, isolates: str) -> Diff:
        """The edge between two parties, whatever became of them."""
        for name in (left, right):
            error = self.runs[name].error
            if error is not None:
                return Diff(
                    left, right, isolates, "missing", problem=f"{name} has no value: {error.kind}: {error.message}"
                )
        for name in (left, right):
            if not self.runs[name].deterministic:
                problem = f"{name} gave two answers to one question"
                return Diff(left, right, isolates, "nondeterministic", problem=problem)
        found = self.between(left, right)
        return Diff(
            left,
            right,
            isolates,
            found.outcome,
            found.compared,
            found.max_abs,
            found.ratio,
            found.output,
            found.index,
            found.values,
            found.differing,
            found.nan_only,
            found.problem,
            found.explanation,
            empty=found.empty,
        )


def pairs(parties: Parties, graphs: Sequence[str], runtimes: Mapping[str, Runtime]) -> Iterator[tuple[str, str, str]]:
    """(left, right, the steps it isolates) of every edge between parties that were run."""
    runs = parties.runs
    frameworks = sorted({run.party.framework for run in runs.values() if run.party.native})
    truths = sorted(n for n, run in runs.items() if n.startswith("truth@") and not run.derived)
    for left, right in itertools.pairwise(_truth_path(truths)):
        same = parties.one_meaning or runs[left].party.meaning == runs[right].party.meaning
        yield left, right, "parameters" if same else "semantics"
    for framework in frameworks:
        truth = parties.truth_of(framework)
        for name in (framework, f"{framework}@64"):
            if truth in runs and name in runs and not _itself(runs, truth, name):
                yield truth, name, "native"
    for left, right in itertools.combinations(frameworks, 2):
        yield left, right, "semantics"
        if f"{left}@64" in runs and f"{right}@64" in runs:
            yield f"{left}@64", f"{right}@64", "semantics"
    for graph in graphs:
        framework = graph.partition(":")[0]
        for runtime in runtimes.values():
            before, party = f"{graph}>{runtime.after}", f"{graph}>{runtime.name}"
            there = {name for name in (before, party) if name in runs and not _lacks(parties, name, runtimes)}
            if runtime.after and {before, party} <= there:
                yield before, party, runtime.step
            if party in there and framework in runs:
                yield framework, party, _steps(runtime, runtimes)
            if f"{party}@64" in runs and f"{framework}@64" in runs:
                yield f"{framework}@64", f"{party}@64", _steps(runtime, runtimes)
        for runtime in runtimes.values():
            before, after = f"{framework}:raw>{runtime.name}@64", f"{framework}>{runtime.name}@64"
            if graph == framework and before in runs and after in runs:
                yield before, after, "folding"


def _across(left: Party, right: Party) -> bool:
    """Whether a float64 run is held against another framework's, or against a definition that the case gives."""
    natives = all(party.native or party.framework == "truth" for party in (left, right))
    return natives and left.framework != right.framework and (left.double or right.double)


def constants_asked(edges: Sequence[Diff]) -> tuple[str, ...]:
    """The frameworks' float64 runs that part from another's: whether constants in float32 are why is to be measured."""
    parted = [(Party.parse(e.left), Party.parse(e.right)) for e in edges if e.outcome == "diverges"]
    return tuple(sorted({str(p) for pair in parted if _across(*pair) for p in pair if p.double}))


def _itself(runs: Mapping[str, Run], truth: str, name: str) -> bool:
    """Whether a derived definition is this very run, so that agreement between the two would say nothing."""
    return bool(runs[truth].derived) and runs[truth].outputs is not None and runs[truth].outputs == runs[name].outputs


def _truth_path(truths: Sequence[str]) -> list[str]:
    """The definitions in an order in which neighbours differ in one thing."""
    parties = [Party.parse(name) for name in truths]
    plain = [p for p in parties if not p.parameters]
    mixed = [p for p in parties if p.parameters]
    if not mixed:
        return [str(p) for p in plain]
    middle = mixed[0]  # its meaning is the one neighbour's, its parameters are the other's
    start = [p for p in plain if p.meaning == middle.meaning]
    return [str(p) for p in [*start, middle, *[p for p in plain if p.meaning == middle.parameters]]]


def _steps(runtime: Runtime, runtimes: Mapping[str, Runtime]) -> str:
    """The steps between the native run and this runtime, in order: ``export+kernel+optimizer``."""
    steps = [runtime.step]
    while runtime.after in runtimes:
        runtime = runtimes[runtime.after]
        steps.insert(0, runtime.step)
    return "+".join(steps)


def edges_of(parties: Parties, graphs: Sequence[str], runtimes: Mapping[str, Runtime]) -> tuple[Diff, ...]:
    """Every edge of the case, compared."""
    return tuple(parties.diff(*pair) for pair in pairs(parties, graphs, runtimes))


def groups_of(parties: Parties, *others: Parties) -> tuple[tuple[str, ...], ...]:
    """The largest sets of parties (in the case's own precision) in which every pair agrees, largest first.

    Agreement within a bound is not transitive, so sets may overlap.  ``others`` are the same parties at other sizes:
    a pair agrees where it agrees at every size.
    """
    names = [
        n for n, r in parties.runs.items() if r.outputs is not None and not r.party.double and not r.party.parameters
    ]
    steady = [n for n in names if parties.runs[n].deterministic]
    # What defines a model out of its own run defines nothing where that run is one of several.
    names = [n for n in steady if not parties.runs[n].derived or parties.runs[n].party.meaning in steady]
    agree = {name: {name} for name in names}
    for left, right in itertools.combinations(names, 2):
        if all(_agree(each, left, right) for each in (parties, *others)):
            agree[left].add(right)
            agree[right].add(left)
    cliques = list(_cliques(frozenset(), frozenset(names), frozenset(), agree))
    place = {name: i for i, name in enumerate(names)}
    ordered = [tuple(sorted(clique, key=place.__getitem__)) for clique in cliques]
    return tuple(sorted(ordered, key=lambda group: (-len(group), [place[n] for n in group])))


def apart(parties: Parties, edges: Sequence[Diff]) -> LargestDifference | None:
    """The largest difference, for the size of its output, on the edges that agree in the case's own precision."""
    found: list[LargestDifference] = []
    for edge in edges:
        sides = [parties.runs[name].party for name in (edge.left, edge.right)]
        if edge.outcome != "rounding" or any(side.double for side in sides):
            continue
        mine, theirs = parties._values(edge.left), parties._values(edge.right)
        for name, left in mine.items():
            right = theirs.get(name)
            if right is None or isinstance(left, Absent) or isinstance(right, Absent) or left.shape != right.shape:
                continue
            if left.dtype.kind != "f" or right.dtype.kind != "f" or not left.size:
                continue
            one, other = left.astype(np.float64), right.astype(np.float64)
            both = np.isfinite(one) & np.isfinite(other)
            most = float(np.abs(one[both] - other[both]).max(initial=0.0))
            top = float(max(np.abs(one[both]).max(initial=0.0), np.abs(other[both]).max(initial=0.0)))
            if most <= 0:
                continue
            digits = max(0, int(np.floor(np.log10(top) - np.log10(most))))
            rows = left.size // left.shape[-1] if 1 <= left.ndim <= _ROWS and left.shape[-1] > 1 else 0
            moved = int(np.sum(one.argmax(-1) != other.argmax(-1))) if rows else 0
            found.append(LargestDifference(edge.left, edge.right, name, most, top, digits, rows, moved, edge.size))
    return max(found, key=lambda each: (each.max_abs / each.top, each.moved), default=None)


def _agree(parties: Parties, left: str, right: str) -> bool:
    """Whether two parties agree; so do two that both have no answer here, as a graph that lacks this size has none."""
    runs = [parties.runs[name] for name in (left, right) if name in parties.runs]
    answered = [run for run in runs if run.outputs is not None]
    if len(answered) < 2 or not all(run.deterministic for run in answered):
        return not answered
    return parties.between(left, right).outcome in ("equal", "rounding")


def _cliques(
    chosen: frozenset[str], open_: frozenset[str], closed: frozenset[str], agree: Mapping[str, set[str]]
) -> Iterator[frozenset[str]]:
    """Bron and Kerbosch's maximal cliques, with a pivot."""
    if not open_ and not closed:
        if chosen:
            yield chosen
        return
    pivot = max(open_ | closed, key=lambda n: len(open_ & agree[n]))
    for name in sorted(open_ - (agree[pivot] - {pivot})):
        near = frozenset(agree[name] - {name})
        yield from _cliques(chosen | {name}, open_ & near, closed & near, agree)
        open_, closed = open_ - {name}, closed | {name}


def blame(
    parties: Parties,
    models: Mapping[str, Model],
    edges: Sequence[Diff],
    runtimes: Mapping[str, Runtime],
    checks: Mapping[str, Failure | None],
    *,
    different_weights: Sequence[str] = (),
) -> tuple[Blame, ...]:
    """Whose steps part.

    ``checks`` is what the onnx checker said of each graph; ``different_weights`` names weights that one framework's
    model has and the other's has not, for cases that define no truth to tell parameters from meaning.
    """
    seen = {(edge.left, edge.right): edge for edge in edges}
    found: list[Blame] = []
    for name, run in parties.runs.items():
        if run.error is not None and run.error.kind in _GONE:
            found.append(Blame("crashed", name, _edge_to(name, seen), op=run.error.op, message=run.error.message))
        if run.outputs is not None and not run.deterministic:
            says = run.nondeterminism or f"{name} gave two different answers to the same inputs"
            found.append(Blame("nondeterministic", name, _edge_to(name, seen), message=says))
    natives = sorted(n for n, r in parties.runs.items() if r.party.native and not r.party.double)
    for framework in natives:
        found += _native_blame(parties, seen, framework)
    for graph, model in models.items():
        found += _graph_blame(parties, seen, graph, model, runtimes, checks.get(graph))
        found += _chance_blame(parties, graph, runtimes)
    found += _meaning_blame(parties, seen, natives, found, different_weights)
    return tuple(dict.fromkeys(found))


def _edge_to(name: str, seen: Mapping[tuple[str, str], Diff]) -> tuple[str, str]:
    """The edge at which a party is first held against another."""
    return next((pair for pair in seen if pair[1] == name), next((pair for pair in seen if name in pair), (name, name)))


def _native_blame(parties: Parties, seen: Mapping[tuple[str, str], Diff], framework: str) -> list[Blame]:
    run = parties.runs[framework]
    truth = parties.truth_of(framework)
    if run.error is not None:
        if run.error.kind == "refused":
            says = f"{framework} itself gives no answer to these inputs: {run.error.message}"
            return [Blame("unsupported", framework, (truth, framework), op=run.error.op, message=says)]
        return []
    if lost := parties.without_digits(framework):
        says = f"{framework} amplifies rounding until {lost}"
        return [Blame("conditioning", framework, (truth, framework), message=says)]
    for name in (framework, f"{framework}@64"):
        edge = seen.get((truth, name))
        if edge is not None and edge.outcome == "diverges":
            says = f"{name} parts from the definition{_where(edge)}"
            given = parties.runs[truth]
            if edge.output is not None and edge.output not in given.bounds and not given.derived:
                says += " (a plain array is an exact definition, to the bit; Rounded allows for rounding)"
            return [Blame("native", name, (truth, name), message=says)]
    return []


def _where(edge: Diff) -> str:
    if edge.problem:
        return f": {edge.problem}"
    if edge.values is None or edge.index is None:
        return ""
    return f" at {edge.output}{list(edge.index)}: {edge.values[0]:.6g} against {edge.values[1]:.6g}"


NOBODY_ACCEPTS = "not a model that anything accepts: "


def _graph_blame(
    parties: Parties,
    seen: Mapping[tuple[str, str], Diff],
    graph: str,
    model: Model,
    runtimes: Mapping[str, Runtime],
    check: Failure | None,
) -> list[Blame]:
    """The exporter's, the kernels', the optimizer's and the reference's part in one graph."""
    framework = graph.partition(":")[0]
    if check is not None and check.kind in _GONE:
        gone = Blame(
            "crashed", f"{graph}>check", (framework, f"{graph}>check"), message=f"onnx.checker: {check.message}"
        )
        return [gone, *_graph_blame(parties, seen, graph, model, runtimes, None)]
    source = parties.runs.get(framework)
    silent = source is not None and source.error is not None
    if silent and model.error is not None:
        return []  # what the framework itself does not run, no exporter can be blamed for refusing
    if silent and source is not None and source.error is not None and source.error.kind not in _GONE:
        truth = parties.runs.get(parties.truth_of(framework))
        if truth is None or truth.outputs is None or truth.derived:
            return []  # nobody says what the answer to these inputs is, and a runtime may refuse them as well
    if model.error is not None:
        kind = "crashed" if model.error.kind in _GONE else "export-failed"
        if model.error.kind == "builder":
            return []
        return [Blame(kind, graph, (framework, f"{graph}>*"), op=model.error.op, message=model.error.message)]
    names = [f"{graph}>{name}" for name in runtimes if f"{graph}>{name}" in parties.runs]
    failures = {n: e for n in names if (e := parties.runs[n].error) is not None}
    refused = {n: e for n, e in failures.items() if e.kind not in _GONE}
    if check is not None or (names and len(refused) == len(names) and not _valid(parties, graph, runtimes, refused)):
        error = next((e for e in [check, *refused.values()] if e is not None and e.op), None)
        error = error or check or next(iter(refused.values()))
        says = f"{NOBODY_ACCEPTS}{error.message}"
        nodes = (error.node,) if error.node else ()
        return [Blame("export-failed", graph, (framework, f"{graph}>*"), op=error.op, nodes=nodes, message=says)]
    found = []
    for n, e in refused.items():
        if _lacks(parties, n, runtimes):
            continue
        pair = _other_setting(parties, graph, n, runtimes)
        kind = runtimes[n.partition(">")[2]].step if pair is not None else "unsupported"
        says = f"{pair[0]} runs this and {n} does not: {e.message}" if pair is not None else e.message
        nodes = (e.node,) if e.node else ()
        found.append(Blame(kind, n, pair or _edge_to(n, seen), op=e.op, nodes=nodes, message=says))
    judged = {n: _right(parties, seen, framework, n) for n in names if n not in failures}
    right = {n: verdict for n, verdict in judged.items() if verdict is not None}
    if right:
        found += _step_blame(parties, seen, graph, framework, right, runtimes, given=model.external)
    elif sharp := _sharply_parted(parties, seen, graph, framework, runtimes):  # nobody bounds the runs in float32
        says = (
            f"{_written(seen, graph, framework, model.external)} means something else than the model{_where(sharp[0])}"
        )
        found.append(Blame("export", graph, (sharp[0].left, sharp[0].right), message=says))
    return found + _chain_blame(parties, seen, graph, right, runtimes)


def _valid(parties: Parties, graph: str, runtimes: Mapping[str, Runtime], refused: Mapping[str, Failure]) -> bool:
    """Whether a graph that no runtime runs is a model all the same.

    It is where its evaluation in float64, by the definitions of ONNX's operators, gives an answer, and where nobody has
    more against it than that an operator is not implemented.
    """
    doubles = [f"{graph}>{runtime.name}@64" for runtime in runtimes.values() if runtime.double]
    answered = any(name in parties.runs and parties.runs[name].outputs is not None for name in doubles)
    return answered or all(error.kind == "unsupported" for error in refused.values())


def _lacks(parties: Parties, name: str, runtimes: Mapping[str, Runtime]) -> bool:
    """Whether a witness does not run what others run.

    A runtime that comes after no other is an evaluation of the definition that nobody ships: what it lacks says nothing
    of the graph.  It has no answer, and the report says so.
    """
    run = parties.runs[name]
    runtime = runtimes.get(run.party.runtime)
    if runtime is None or runtime.after or run.party.double or run.error is None or run.error.kind in _GONE:
        return False
    others = [f"{run.party.graph}>{other.name}" for other in runtimes.values() if other.after]
    return any(other in parties.runs and parties.runs[other].outputs is not None for other in others)


def _other_setting(parties: Parties, graph: str, name: str, runtimes: Mapping[str, Runtime]) -> tuple[str, str] | None:
    """The edge to the same runtime at another setting, where that one runs what ``name`` refuses.

    What is implemented there is implemented here: the step between the two has made it unusable.
    """
    runtime = runtimes[name.partition(">")[2]]
    before = runtimes.get(runtime.after)
    if before is None or before.distribution != runtime.distribution:
        return None
    run = parties.runs.get(f"{graph}>{before.name}")
    return (f"{graph}>{before.name}", name) if run is not None and run.outputs is not None else None


def _right(parties: Parties, seen: Mapping[tuple[str, str], Diff], framework: str, name: str) -> bool | None:
    """Whether a runtime's answer is what the source means: the native run's or, where that is wrong, the definition's.

    None where neither can be had or compared.
    """
    source = parties.runs.get(framework)
    if source is not None and not source.deterministic:
        return None  # nobody can be held against a source that does not agree with itself
    edge = seen.get((framework, name))
    truth = parties.truth_of(framework)
    truth_edge = seen.get((truth, framework))
    absent = source is None or source.outputs is None
    native_fails = absent or (truth_edge is not None and not truth_edge.agrees)
    if edge is not None and edge.agrees:
        return True
    if edge is not None and edge.outcome == "diverges" and _other_types(parties, framework, name):
        return False  # a definition in float64 may stand for any float type: the source says which is meant
    if native_fails and truth in parties.runs and parties.runs[truth].outputs is not None:
        if not parties.runs[name].deterministic:
            return None
        outcome = parties.between(truth, name).outcome
        if outcome in ("equal", "rounding"):
            return True
        if outcome == "diverges" and (edge is None or edge.outcome in ("missing", "nondeterministic")):
            return False
    if edge is None or edge.outcome in ("missing", "nondeterministic"):
        return False if edge is not None and _lost_output(parties, edge) else None
    return False


def _other_types(parties: Parties, left: str, right: str) -> tuple[str, ...]:
    """The outputs that are of another type on either side."""
    mine, theirs = (
        {n: v.party_dtype for n, v in (parties.runs[name].outputs or {}).items() if not isinstance(v, Absent)}
        for name in (left, right)
    )
    return tuple(name for name in mine if name in theirs and mine[name] != theirs[name])


def _lost_output(parties: Parties, edge: Diff) -> bool:
    """Both sides answered, but one lacks an output."""
    left, right = parties.runs[edge.left].outputs, parties.runs[edge.right].outputs
    return left is not None and right is not None and set(left) != set(right)


def _step_blame(
    parties: Parties,
    seen: Mapping[tuple[str, str], Diff],
    graph: str,
    framework: str,
    right: Mapping[str, bool],
    runtimes: Mapping[str, Runtime],
    *,
    given: bool = False,
) -> list[Blame]:
    parts = _sharply_parted(parties, seen, graph, framework, runtimes)
    wrong = [name for name, fine in right.items() if not fine]
    nan_open = _nan_open(parties, graph)
    first = next(iter(right))
    others_right = len(right) > 1 and all(fine for name, fine in right.items() if name != first)
    facts = parties._graphs.get(graph)
    # Runtimes that leave a rounding of the graph out do not show that the evaluator, which does it, is wrong.
    reference_only = wrong == [first] and others_right and not (parts and facts is not None and facts.narrows)
    if (len(wrong) == len(right)) or (parts and not reference_only):
        read = [e for name in wrong if (e := seen.get((framework, name)))] if len(wrong) == len(right) else parts
        apart = next(iter(read), None) or parties.diff(parties.truth_of(framework), wrong[0], "export")
        says = f"{_written(seen, graph, framework, given)} means something else than the model{_where(apart)}"
        kind = "unspecified" if nan_open and read and all(_by_nan(parties, graph, e) for e in read) else "export"
        blames = [Blame(kind, graph, (apart.left, apart.right), message=says)]
        if read and all(_by_order(parties, graph, e) for e in read):
            blames = [_order_open(parties, graph, blames[0])]
        if len(wrong) == len(right):
            return blames
    else:
        blames = []
    for name in wrong:
        runtime = runtimes[name.partition(">")[2]]
        before = f"{graph}>{runtime.after}" if runtime.after else ""
        if blames and not runtime.after:
            continue  # inherited from the graph
        meant = _as_specified(graph, runtime, right, runtimes) or before
        if meant in right and not right[meant]:
            edge = seen.get((meant, name)) if meant == before else parties.diff(meant, name, runtime.step)
            if edge is None or edge.agrees:
                continue  # inherited from the runtime before it
        kind = "reference" if not runtime.after else runtime.step
        pair = (before if before in right else framework, name)
        edge = seen.get(pair) or seen.get((framework, name))
        if edge is not None and nan_open and _by_nan(parties, graph, edge):
            kind = "unspecified"
        says = f"{name} parts from {pair[0]}{_where(edge) if edge else ''}"
        blamed = Blame(kind, name, pair, message=says)
        ordered = edge is None or not _by_order(parties, graph, edge)
        blames.append(blamed if ordered else _order_open(parties, graph, blamed))
    return blames


def _as_specified(graph: str, runtime: Runtime, right: Mapping[str, bool], runtimes: Mapping[str, Runtime]) -> str:
    """What stands beside the runtime that this one comes after because that has an operator wrong; nothing for most."""
    beside = [r.name for r in runtimes.values() if runtime.after and getattr(r, "beside", "") == runtime.after]
    return next((f"{graph}>{name}" for name in beside if f"{graph}>{name}" in right), "")


def _sharply_parted(
    parties: Parties,
    seen: Mapping[tuple[str, str], Diff],
    graph: str,
    framework: str,
    runtimes: Mapping[str, Runtime],
) -> list[Diff]:
    """The edges in float64 at which a graph leaves its source, which is not the one that is wrong."""
    doubles = [f"{graph}>{r.name}@64" for r in runtimes.values() if r.double]
    sharp = [e for d in doubles if (e := seen.get((f"{framework}@64", d))) is not None]
    return [e for e in sharp if e.outcome == "diverges" and not _means_the_definition(parties, seen, framework, e)]


def _written(seen: Mapping[tuple[str, str], Diff], graph: str, framework: str, given: bool) -> str:
    """The graph, and who wrote it."""
    folded = seen.get((f"{framework}:raw>reference@64", f"{framework}>reference@64"))
    where = "its optimizer" if graph == framework and folded is not None and folded.outcome == "diverges" else "it"
    return "the given graph" if given else f"the graph that {where} wrote"


def _chain_blame(
    parties: Parties,
    seen: Mapping[tuple[str, str], Diff],
    graph: str,
    right: Mapping[str, bool],
    runtimes: Mapping[str, Runtime],
) -> list[Blame]:
    """The steps between runtimes that part although neither side was found wrong.

    Agreement is not transitive: both may be near enough to the source and too far from each other; or the source is
    wrong, one of them agrees with it and the other with the definition.
    """
    nan_open = _nan_open(parties, graph)
    blames = []
    for runtime in runtimes.values():
        edge = seen.get((f"{graph}>{runtime.after}", f"{graph}>{runtime.name}"))
        if edge is None or edge.outcome != "diverges":
            continue
        if not (right.get(edge.left, True) and right.get(edge.right, True)):
            continue  # a wrong side was judged, or inherits from one that was
        kind = "unspecified" if nan_open and _by_nan(parties, graph, edge) else runtime.step
        says = f"{edge.right} parts from {edge.left}{_where(edge)}"
        blamed = Blame(kind, edge.right, (edge.left, edge.right), message=says)
        blames.append(_order_open(parties, graph, blamed) if _by_order(parties, graph, edge) else blamed)
    return blames


def _chance_blame(parties: Parties, graph: str, runtimes: Mapping[str, Runtime]) -> list[Blame]:
    """The optimizers that take out of a graph what draws random numbers: no numbers can be compared to show that.

    A runtime that answers otherwise each time although nothing in the graph draws is at fault itself.
    """
    facts = parties._graphs.get(graph)
    if facts is None or not facts.draws:
        return []
    blames = []
    for runtime in runtimes.values():
        pair = f"{graph}>{runtime.after}", f"{graph}>{runtime.name}"
        runs = [parties.runs.get(name) for name in pair]
        before = runtimes.get(runtime.after)
        if before is None or before.distribution != runtime.distribution:
            continue
        answered = [run for run in runs if run is not None and run.outputs is not None]
        if [run.deterministic for run in answered] != [False, True]:
            continue
        says = f"{pair[0]} draws anew each time, as the graph says, and {pair[1]} does not: what draws was taken out"
        blames.append(Blame(runtime.step, pair[1], pair, nodes=facts.draws, message=says))
    return blames


def _means_the_definition(parties: Parties, seen: Mapping[tuple[str, str], Diff], framework: str, edge: Diff) -> bool:
    """Whether a graph leaves its source in float64 only because the source is wrong and the graph is not."""
    truth = parties.truth_of(framework)
    native = seen.get((truth, edge.left))
    return native is not None and native.outcome == "diverges" and parties.diff(truth, edge.right, "export").agrees


def _nan_open(parties: Parties, graph: str) -> bool:
    """Whether a NaN went in or comes out of the source, and ONNX does not say what an operator here makes of it."""
    facts = parties._graphs.get(graph)
    if facts is None or not NAN_OPEN & set(facts.ops):
        return False
    source = graph.partition(":")[0]
    natives = parties._values(source).values() if source in parties.runs else ()
    return parties._nan_fed or any(
        not isinstance(v, Absent) and v.dtype.kind == "f" and bool(np.isnan(v).any()) for v in natives
    )


def _by_nan(parties: Parties, graph: str, edge: Diff) -> bool:
    """Whether all that differs on an edge may be what an operator makes of a NaN: the NaN itself, or its place.

    Where a NaN was fed, the place that an arg-reduction gives is as open as the value that the reduction gives.
    """
    if edge.nan_only:
        return True
    facts, outputs = parties._graphs.get(graph), parties.runs[edge.right].outputs or {}
    output = outputs.get(edge.output or "")
    places = isinstance(output, ArrayFile) and np.dtype(output.dtype).kind in "iu"
    return parties._nan_fed and places and facts is not None and not PLACES.isdisjoint(facts.ops)


def _by_order(parties: Parties, graph: str, edge: Diff) -> bool:
    """Whether a node may give its results in any order, and nothing but their order along one axis differs."""
    facts = parties._graphs.get(graph)
    if facts is None or not facts.unordered or edge.outcome != "diverges":
        return False
    mine, theirs = parties._values(edge.left), parties._values(edge.right)
    near = [parties._allowed(name, False) for name in (edge.left, edge.right)]
    return set(mine) == set(theirs) and all(
        _reordered(value, theirs[name], [each.get(name) for each in near]) for name, value in mine.items()
    )


def _reordered(one: Array | Absent, other: Array | Absent, allowed: Sequence[Array | None]) -> bool:
    """Whether two arrays hold the same along some axis, in any order, within the largest of what each is allowed."""
    if isinstance(one, Absent) or isinstance(other, Absent):
        return isinstance(one, Absent) and isinstance(other, Absent)
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind or one.dtype.kind not in "biuf":
        return False
    if one.dtype.kind != "f":
        return any(np.array_equal(np.sort(one, axis), np.sort(other, axis)) for axis in range(one.ndim))
    near = sum(float(np.max(each, initial=0.0)) for each in allowed if each is not None)
    with np.errstate(invalid="ignore"):
        return any(
            bool(np.all(np.abs(np.sort(one, axis).astype(np.float64) - np.sort(other, axis)) <= near))
            for axis in range(one.ndim)
        )


def _order_open(parties: Parties, graph: str, blamed: Blame) -> Blame:
    """The blame where only an order differs that ONNX leaves open."""
    nodes = parties._graphs[graph].unordered
    says = f"{blamed.message}; the same in another order, which ONNX leaves open where TopK is not sorted (sorted=0)"
    return replace(blamed, blame="unspecified", op="TopK", nodes=nodes, message=says)


def _meaning_blame(
    parties: Parties,
    seen: Mapping[tuple[str, str], Diff],
    natives: Sequence[str],
    found: Sequence[Blame],
    different_weights: Sequence[str],
) -> list[Blame]:
    """What parts the frameworks: their meanings, their parameters, or both."""
    blames: list[Blame] = []
    path = [edge for edge in seen.values() if edge.left.startswith("truth@") and edge.right.startswith("truth@")]
    for left, right in itertools.combinations(natives, 2):
        edge = seen.get((left, right))
        sharp = seen.get((f"{left}@64", f"{right}@64"))
        edge = next((e for e in (edge, sharp) if e is not None and e.outcome == "diverges"), None)
        if edge is None:
            continue
        steps = sorted({e.isolates for e in path if e.outcome == "diverges"})
        if not steps and (any(b.blame == "native" and b.party in (left, right) for b in found) and _defined(parties)):
            continue
        if not steps:
            steps = ["parameters"] if different_weights else ["semantics"]
        for step in steps:
            reason = {
                "semantics": f"{left} and {right} mean different things",
                "parameters": f"{left} and {right} were given different parameters",
            }[step]
            if different_weights and step == "parameters":
                reason += f" ({', '.join(different_weights[:3])})"
            says = reason + _where(edge)
            if different_weights and step == "parameters":
                says += "; whether they mean the same cannot be seen from the outputs alone"
            blames.append(Blame(step, f"{left}|{right}", (left, right), message=says))
    return blames


def undeclared(
    parties: Parties, edge: Diff, declared: Collection[str], layouts: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    """Of an edge between two frameworks that diverges: the outputs of no declared axes, if they are all that parts.

    Each framework gives such an output in its own order, and ``layouts`` are the usual orders by framework: turned from
    one into the other the two must agree.  Each is told with the axes to declare; nothing where anything else parts.
    """
    frameworks = [parties.runs[name].party.framework for name in (edge.left, edge.right)]
    mine, theirs = parties._values(edge.left), parties._values(edge.right)
    near, far = parties._allowed(edge.left, False), parties._allowed(edge.right, False)
    told = []
    for name in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(name), theirs.get(name)
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
            return ()
        if _within(one, other, near.get(name), far.get(name), None):
            continue
        found = None
        for axes in (
            () if name in declared else sorted({a for o in layouts.values() for a in o if a.startswith("n c ")})
        ):
            left, right = (layouts.get(framework, {}).get(axes, axes) for framework in frameworks)
            turned = layout.permutation(right, left)
            if len(turned) == one.ndim and _within(one, other, near.get(name), far.get(name), turned):
                found = axes
                break
        if found is None:
            return ()
        shapes = " and ".join(f"{f} gives {v.shape}" for f, v in zip(frameworks, (one, other), strict=True))
        says = f"{name} has no declared axes, and is the same in each framework's own order of them ({shapes})"
        told.append(f'{says}: declare outputs={{"{name}": Tensor("{found}")}}')
    return tuple(told)


def _within(one: Array, other: Array, near: Array | None, far: Array | None, turned: tuple[int, ...] | None) -> bool:
    """Whether two arrays agree within what both are allowed, the second and its allowance turned."""
    if turned is not None:
        other = np.transpose(other, turned)
        far = np.transpose(far, turned) if far is not None and far.ndim == len(turned) else far
    if one.shape != other.shape:
        return False
    limit = np.zeros(()) if near is None or far is None else near + far
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return bool(np.all((one == other) | (apart <= limit)))


def _defined(parties: Parties) -> bool:
    """Whether the case itself defines what is right."""
    truths = [run for name, run in parties.runs.items() if name.startswith("truth")]
    return bool(truths) and not any(run.derived for run in truths)
