"""The parties of one case: their runs, what each may differ by from its definition, and comparisons between any two.

Rule: no tolerance is chosen.  What two parties may differ by is the sum of what each is allowed
against its own definition: gamma_k times a scale in the party's own type, where the case declares these or they are
derived by perturbation; and, for a graph in float64, an allowance for the constants that it keeps in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from onnx_triangulate.numerics.compare import Comparison, compare
from onnx_triangulate.ops.bounds import allowance
from onnx_triangulate.ops.registry import operators_where
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Absent
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Bound, Diff, Run

# ONNX (and IEEE 754, for sums) leaves the sign of a zero result open in these.
ZERO_SIGN_OPEN = operators_where(lambda op: op.zero_sign_open)
_HALF_THE_DIGITS = 2.0**-12  # of float32's 24 bits
_FLUSHED = 4 * float(np.finfo(np.float32).tiny)


class Parties:
    """The runs of one case by party, what the graphs hold, and comparisons."""

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
        self.runs, self.graphs, self.one_meaning, self.nan_fed = runs, graphs, one_meaning, nan_fed
        operators = {op for facts in graphs.values() for op in facts.ops}
        self._zero_sign_open = bool(operators & ZERO_SIGN_OPEN)
        self.values: Callable[[str], dict[str, Array | Absent]] = cache(self._values)
        self.allowed: Callable[[str, bool], dict[str, Array | None]] = cache(self._allowances)

    def replacing(self, name: str, run: Run) -> Parties:
        """The same parties with another run in one's place."""
        runs = {**self.runs, name: run}
        return Parties(runs, self.graphs, one_meaning=self.one_meaning, nan_fed=self.nan_fed)

    @property
    def natives(self) -> list[Run]:
        """The native runs in the case's own precision."""
        return [run for run in self.runs.values() if run.party.native and not run.party.double]

    def answered(self, name: str) -> bool:
        return name in self.runs and self.runs[name].outputs is not None

    def truth_of(self, framework: str) -> str:
        """The name of the definition that ``framework`` is judged against."""
        own = str(Party("truth", meaning=framework))
        return own if own in self.runs else "truth"

    def float_outputs(self, left: str, right: str) -> Iterator[tuple[str, Array, Array]]:
        """The outputs that are floats of one shape on both sides, with both arrays."""
        mine, theirs = self.values(left), self.values(right)
        for name, one in mine.items():
            other = theirs.get(name)
            if other is None or isinstance(one, Absent) or isinstance(other, Absent) or one.shape != other.shape:
                continue
            if one.dtype.kind == other.dtype.kind == "f":
                yield name, one, other

    def diff(self, left: str, right: str, isolates: str) -> Diff:
        """The edge between two parties, whatever became of them."""
        for name in (left, right):
            error = self.runs[name].error
            if error is not None:
                problem = f"{name} has no value: {error.kind}: {error.message}"
                return Diff(left, right, isolates, "missing", problem=problem)
        for name in (left, right):
            if not self.runs[name].deterministic:
                problem = f"{name} gave two answers to one question"
                return Diff(left, right, isolates, "nondeterministic", problem=problem)
        return Diff(left, right, isolates, **vars(self.between(left, right)))

    def between(self, left: str, right: str) -> Comparison:
        """The comparison of two parties that both have an answer."""
        sides = [self.runs[name].party for name in (left, right)]
        first, second = (right, left) if sides[1].is_truth and not sides[0].is_truth else (left, right)
        if odd := self._another_type(first, second):
            return odd
        allowed = self._allowed_between(left, right)
        meaningless = self._meaningless(left, right, allowed)
        found = compare(
            self._beside(first, second),
            self._beside(second, first),
            {**allowed, **meaningless},
            definition=any(party.is_truth for party in sides),
            zero_sign_open=self._zero_sign_open,
            sides=self._sides(left, right),
        )
        if found.outcome == "missing" and found.output in meaningless and found.compared:
            whose = self._whose_bound(sides, found.output)
            return replace(found, problem=f"{found.problem}: the one that {whose} leaves no digit of it")
        return found

    def faithful(self, graph: str) -> bool:
        """Whether a runtime ran an export and gave the framework's answer."""
        source = Party.parse(graph).framework
        return self.answered(source) and any(self.diff(source, str(p), "export").agrees for p in self.ran(graph))

    def ran(self, graph: str) -> list[Party]:
        """The runtimes that ran an export in its own precision."""
        answered = [run.party for run in self.runs.values() if run.party.graph == graph and run.outputs is not None]
        return [party for party in answered if party.runtime and not party.double]

    def other_types(self, left: str, right: str) -> dict[str, tuple[str, str]]:
        """The outputs that are of another number type on either side, with both types."""
        mine, theirs = (
            {n: v.party_dtype for n, v in (self.runs[name].outputs or {}).items() if not isinstance(v, Absent)}
            for name in (left, right)
        )
        return {name: (due, theirs[name]) for name, due in mine.items() if theirs.get(name, due) != due}

    def other_in_double(self, framework: str) -> bool:
        """Whether a framework's float64 run is further from a definition of the case than float32 may be, where its
        float32 run is not: then it is another program (numbers that overflow in float32 alone)."""
        truth, double = self.truth_of(framework), str(Party(framework, double=True))
        if not self.answered(truth) or self.runs[truth].derived or not self.answered(double):
            return False
        if not self.answered(framework) or not self.diff(truth, framework, "native").agrees:
            return False
        limits = self.allowed(framework, False)
        for key, one, other in self.float_outputs(truth, double):
            if (limit := limits.get(key)) is None:
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
        truth = self.truth_of(framework)
        if not self.answered(truth) or not self.runs[truth].derived or not self.answered(framework):
            return None
        if not all(run.deterministic for run in self.runs.values() if run.party.framework == framework):
            return None
        lost = (
            _lost_digits(key, mine, value, self.allowed(name, False).get(key))
            for name in self._in_float32(framework)
            for key, mine, value in self.float_outputs(name, truth)
        )
        return next(filter(None, lost), None)

    def _in_float32(self, framework: str) -> list[str]:
        """The runs that show what float arithmetic makes of a model: a file's own is its definition, rounded once."""
        runs = [run.party for run in self.runs.values() if run.party.framework == framework and not run.party.double]
        return [
            str(party) for party in runs if self.answered(str(party)) and party.is_own_source == bool(party.runtime)
        ]

    def _values(self, name: str) -> dict[str, Array | Absent]:
        outputs = self.runs[name].outputs or {}
        return {key: value if isinstance(value, Absent) else value.load() for key, value in outputs.items()}

    def _allowances(self, name: str, across: bool) -> dict[str, Array | None]:
        """By output, what the party may differ by from its definition; None where nothing is known.

        ``across``: a run in float64 that is held against another framework, or a definition that is held against one.
        """
        run = self.runs[name]
        outputs = run.outputs or {}
        if run.party.is_truth:
            return self._roundings(name) if across else {key: np.zeros(()) for key in outputs}
        arrays = {key: value for key, value in outputs.items() if not isinstance(value, Absent)}
        return {key: self._allowance(run, key, value, across) for key, value in arrays.items()}

    def _allowance(self, run: Run, key: str, value: ArrayFile, across: bool) -> Array | None:
        """What one output may differ by from its definition; None where nothing is known."""
        truth = self.runs.get(self.truth_of(run.party.framework))
        defined = truth.outputs.get(key) if truth is not None and truth.outputs else None
        if truth is None or defined is None or isinstance(defined, Absent):
            return None
        bound = truth.bounds.get(key)
        if bound == Bound() or (bound is None and truth.derived):
            return None if np.dtype(value.dtype).kind == "f" else np.zeros(())
        # What nobody could measure may be anything that float32 is allowed.
        known = not (across and run.party.double and run.bounds.get(key) == Bound())
        own = allowance(bound, value.dtype if known else "float32")
        for more in self._constant_rounding(run, key, across):
            extra = allowance(more, value.dtype)
            own = own + extra if {np.shape(extra), np.shape(own)} <= {(), value.shape} else own
        return own if np.shape(own) in ((), value.shape) else None

    def _constant_rounding(self, run: Run, key: str, across: bool) -> list[Bound]:
        """What a run in float64 may be off by for constants in float32: a graph's own, and those that its source has.

        A source held against its own graph is exact; ``across`` frameworks its constants are the other's affair too.
        """
        if not run.party.double or not (run.party.runtime or across):
            return []
        source = self.runs.get(str(run.party.source))
        bounds = [source.bounds.get(key) if source is not None else None]
        bounds += [run.bounds.get(key)] if run.party.runtime else []
        return [bound for bound in bounds if bound is not None]

    def _roundings(self, name: str) -> dict[str, Array | None]:
        """By output, how far a definition, itself computed in float64, may be from what it means."""
        run = self.runs[name]
        return {key: allowance(run.bounds.get(key), "float64") for key in run.outputs or {}}

    def _allowed_between(self, left: str, right: str) -> dict[str, Array | None]:
        """By output, the sum of what both are allowed; None where one of the two is not known.

        Frameworks keep some of their own constants in float32 whatever they compute in (TensorFlow's attributes): what
        these may make is measured (``perturbed_runs``), and all else rounds in float64.
        """
        sides = [self.runs[name].party for name in (left, right)]
        both, across = all(party.is_truth for party in sides), across_frameworks(*sides)
        mine, theirs = (self._roundings(n) if both else self.allowed(n, across) for n in (left, right))
        allowed: dict[str, Array | None] = {}
        for key in set(mine) & set(theirs):
            a, b = mine[key], theirs[key]
            allowed[key] = None if a is None or b is None or (a.shape and b.shape and a.shape != b.shape) else a + b
        return allowed

    def _another_type(self, first: str, second: str) -> Comparison | None:
        """That an output has another number type, where that is seen before any number is.

        A definition in float64 may stand for any float type: which one is meant, the framework itself says.
        """
        judged = self.runs[second].party
        if judged.double:
            return None
        definition = any(self.runs[name].party.is_truth for name in (first, second))
        asked = definition and judged.framework in self.runs
        against = judged.framework if asked else first
        outputs = (self.runs[against].outputs or {}).values()
        wider = any(isinstance(value, ArrayFile) and value.original_dtype for value in outputs)
        odd = self.other_types(against, second) if asked or wider else {}
        if not odd:
            return None
        name, (due, seen) = next(iter(odd.items()))
        return Comparison("diverges", output=name, problem=f"{name} is {due} in {against}, {seen} in {second}")

    def _sides(self, left: str, right: str) -> dict[str, Array]:
        """By output, how far whole numbers may be apart that rounding puts on either side of a jump.

        On which side exact inputs come is part of what a model means, so between two runs in the model's own types
        nothing is open; a run in float64 rounds elsewhere.
        """
        parties = [self.runs[name].party for name in (left, right)]
        if not any(party.double or party.is_truth for party in parties):
            return {}
        found: dict[str, Array] = {}
        for party in parties:
            own = (self.truth_of(party.framework), str(party.source.in_float64))
            for name in (str(party),) if party.is_truth else own:
                for key, bound in self.runs[name].bounds.items() if name in self.runs else ():
                    if bound.integer_jumps is not None:
                        found[key] = found.get(key, np.zeros(())) + bound.integer_jumps.load().astype(np.float64)
        return found

    def _beside(self, name: str, other: str) -> dict[str, Array | Absent]:
        """The values of a party as they stand beside another's: of the wider type in which the other's are kept."""
        mine, theirs = (self.runs[each].outputs or {} for each in (name, other))
        values = dict(self.values(name))
        for key, own in mine.items():
            against, value = theirs.get(key), values[key]
            if isinstance(own, Absent) or isinstance(value, Absent) or not isinstance(against, ArrayFile):
                continue
            if own.party_dtype == against.party_dtype and own.dtype != against.dtype:
                values[key] = value.astype(np.float32)
        return values

    def _whose_bound(self, sides: Sequence[Party], output: str) -> str:
        """Where the bound of an output comes from, in words."""
        truths = [str(p) if p.is_truth else self.truth_of(p.framework) for p in sides]
        bounds = (self.runs[name].bounds.get(output) for name in truths if name in self.runs)
        derived = next((bound.derived for bound in bounds if bound is not None and bound.derived), "")
        return f"was derived of {derived}" if derived else "the case declares"

    def _meaningless(self, left: str, right: str, allowed: Mapping[str, Array | None]) -> dict[str, Array]:
        """The bounds of outputs without what, as the case declares it, is larger than all that either side has.

        One that only lets subnormal numbers be flushed to zero says what it means, however small the numbers are.
        """
        for party in (self.runs[left].party, self.runs[right].party):
            truth = self.runs.get(str(party) if party.is_truth else self.truth_of(party.framework))
            if truth is None or truth.derived:
                return {}
        found: dict[str, Array] = {}
        for key, one, other in self.float_outputs(left, right):
            limit = allowed.get(key)
            top = max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in (one, other))
            most = max(top, _FLUSHED)
            if limit is not None and top > 0 and np.any(limit > most):
                found[key] = np.where(limit > most, np.inf, limit)
        return found


def across_frameworks(left: Party, right: Party) -> bool:
    """Whether a float64 run is held against another framework's, or against a definition that the case gives."""
    natives = all(party.native or party.is_truth for party in (left, right))
    return natives and left.framework != right.framework and (left.double or right.double)


def _lost_digits(name: str, mine: Array, value: Array, limit: Array | None) -> str:
    """What is lost of an output's digits, of which ``value`` is the definition's, in words; nothing where they are
    there."""
    finite = np.isfinite(value) & np.isfinite(mine)
    if limit is None or not finite.any() or not np.isfinite(limit).all():
        return ""
    distance, allowed = np.abs(value[finite] - mine[finite]), np.broadcast_to(limit, value.shape)[finite]
    top, apart = float(np.abs(value[finite]).max()), float(distance.max())
    inside, below = bool((distance <= allowed).all()), top <= float(np.min(limit))
    if top <= 0 or not (below or (inside and apart > _HALF_THE_DIGITS * top)):
        return ""
    left, bound = "no digit is left" if below else "half of the digits are gone", float(np.max(allowed))
    return f"{left}: {name} is at most {top:.3g}, float64 is {apart:.3g} away, the bound is {bound:.3g}"
