"""One exported graph of a case with everything that ran it: who refused it, and whose answer is right.

Rule: an edge has two ends, and which end is wrong no edge can say alone.  So every run of a graph is held
against what the source means: the native run or, where that one is wrong, the case's definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.records.verdict import Blame
from onnx_triangulate.verification.edges import GONE, lacks
from onnx_triangulate.verification.left_open import unless_open
from onnx_triangulate.verification.parties import Parties

Edges = Mapping[tuple[str, str], Diff]


@dataclass(frozen=True)
class GraphAnswers:
    """``check`` is what the onnx checker has against the graph."""

    parties: Parties
    edges: Edges
    model: Model
    runtimes: Mapping[str, Runtime]
    check: Failure | None = None

    @property
    def graph(self) -> str:
        return self.model.graph

    @property
    def framework(self) -> str:
        return self.model.party.framework

    @property
    def truth(self) -> str:
        return self.parties.truth_of(self.framework)

    @property
    def source(self) -> Run | None:
        """The native run."""
        return self.parties.runs.get(self.framework)

    @property
    def runs(self) -> dict[str, Run]:
        """In the case's own precision, by party in the order of the runtimes."""
        names = (self.name(runtime) for runtime in self.runtimes)
        return {name: self.parties.runs[name] for name in names if name in self.parties.runs}

    @property
    def refused(self) -> dict[str, Failure]:
        """Why a runtime does not run the graph; a process that ended says nothing of it."""
        return {n: r.error for n, r in self.runs.items() if r.error is not None and r.error.kind not in GONE}

    @cached_property
    def right(self) -> dict[str, bool]:
        """Whether a runtime's answer is what the source means, for those of which that can be said."""
        judged = {name: self._is_right(name) for name, run in self.runs.items() if run.error is None}
        return {name: verdict for name, verdict in judged.items() if verdict is not None}

    @property
    def wrong(self) -> list[str]:
        return [name for name, fine in self.right.items() if not fine]

    @property
    def all_wrong(self) -> bool:
        return len(self.wrong) == len(self.right)

    @property
    def stands_alone(self) -> bool:
        """Whether a file's definition has everybody against it: runtimes that know nothing of each other agree."""
        if not self.model.party.is_own_source or not self.right or not self.all_wrong:
            return False
        if len({self.runtime(name).distribution for name in self.wrong}) < 2:
            return False
        edges = [self.edges.get((self.before(name), name)) for name in self.wrong if self.before(name)]
        return all(edge is not None and edge.agrees for edge in edges)

    @cached_property
    def sharp(self) -> list[Diff]:
        """The edges in float64 at which the graph leaves its source, which is not the one that is wrong."""
        source = str(Party(self.framework, double=True))
        doubles = (self.name(r.name, double=True) for r in self.runtimes.values() if r.double)
        edges = [edge for name in doubles if (edge := self.edges.get((source, name))) is not None]
        return [edge for edge in edges if edge.diverges and not self._means_the_definition(edge)]

    @property
    def only_reference_wrong(self) -> bool:
        """Whether the evaluator alone is wrong.  Runtimes that leave a rounding of the graph out do not show that the
        evaluator, which does it, is."""
        first = next(iter(self.right), None)
        facts = self.parties.graphs.get(self.graph)
        narrows = bool(self.sharp) and facts is not None and bool(facts.narrows)
        return self.wrong == [first] and len(self.right) > 1 and not narrows

    def name(self, runtime: str, *, double: bool = False) -> str:
        return str(self.model.party.on(runtime, double=double))

    def runtime(self, name: str) -> Runtime:
        return self.runtimes[Party.parse(name).runtime]

    def before(self, name: str) -> str:
        """The run that a run is held against for its runtime's step; nothing for one that comes after no other."""
        after = self.runtime(name).after
        return self.name(after) if after else ""

    def other_setting(self, name: str) -> tuple[str, str] | None:
        """The edge to the same runtime at another setting, where that one runs what ``name`` refuses.

        What is implemented there is implemented here: the step between the two has made it unusable.
        """
        before = self.runtimes.get(self.runtime(name).after)
        if before is None or before.distribution != self.runtime(name).distribution:
            return None
        return (self.before(name), name) if self.parties.answered(self.before(name)) else None

    def is_rejected(self) -> bool:
        """Whether the graph is no model: the checker or every runtime has something against it.

        One that no runtime runs is a model all the same where its evaluation in float64, by the definitions of ONNX's
        operators, gives an answer, and where nobody has more against it than that an operator is not implemented.
        """
        if self.check is not None:
            return True
        if not self.runs or len(self.refused) < len(self.runs):
            return False
        doubles = [self.name(runtime.name, double=True) for runtime in self.runtimes.values() if runtime.double]
        doubles += [str(Party(self.framework, double=True))] if self.model.party.is_own_source else []
        valid = any(self.parties.answered(name) for name in doubles)
        return not valid and any(error.kind != "unsupported" for error in self.refused.values())

    def lacks(self, name: str) -> bool:
        return lacks(self.parties, name, self.runtimes)

    def unless_open(self, blamed: Blame, *edges: Diff) -> Blame:
        return unless_open(self.parties, self.graph, blamed, edges)

    def _is_right(self, name: str) -> bool | None:
        """Whether a runtime's answer is what the source means; None where neither the native run nor, where that is
        wrong, the definition can be had or compared."""
        if self.source is not None and not self.source.deterministic:
            return None  # nobody can be held against a source that does not agree with itself
        edge = self.edges.get((self.framework, name))
        if edge is not None and edge.agrees:
            return True
        parted = edge is not None and edge.diverges
        if parted and self.parties.other_types(self.framework, name):
            return False  # a definition in float64 may stand for any float type: the source says which is meant
        outcome = self._outcome_by_definition(name)
        if outcome in ("equal", "rounding"):
            return True
        if outcome == "nondeterministic":
            return None
        return False if parted or outcome == "diverges" or (edge is not None and self._lost_output(edge)) else None

    def _outcome_by_definition(self, name: str) -> str:
        """What a run comes to beside the definition, where the native run has no answer, or one that leaves the
        definition or cannot be held against it; nothing otherwise."""
        edge = self.edges.get((self.truth, self.framework))
        source_fails = not self.parties.answered(self.framework) or (edge is not None and not edge.agrees)
        if not source_fails or not self.parties.answered(self.truth):
            return ""
        answer = self.parties.runs[name]
        return self.parties.between(self.truth, name).outcome if answer.deterministic else "nondeterministic"

    def _lost_output(self, edge: Diff) -> bool:
        """Both sides answered, but one lacks an output."""
        left, right = self.parties.runs[edge.left].outputs, self.parties.runs[edge.right].outputs
        return left is not None and right is not None and set(left) != set(right)

    def _means_the_definition(self, edge: Diff) -> bool:
        """Whether a graph leaves its source in float64 only because the source is wrong and the graph is not."""
        native = self.edges.get((self.truth, edge.left))
        return native is not None and native.diverges and self.parties.diff(self.truth, edge.right, "export").agrees
