"""What an external file has otherwise than a fresh export of its source, where that one is faithful.

Design note.  Other weights make every node that reads them look faulty, a file in half precision all of them, and
a Cast at the end makes none: each is one thing, and a search by node takes it apart or misses it.  So before anybody
looks for a node, a blamed file is laid beside a fresh export of its source, which has to agree on the edge of the
blame, by its own bounds: then what the two have differently, and nothing else, makes the edge part, and that is run and
not guessed.  Where all of it is weights of many nodes, or number types, no node is searched for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from onnx_triangulate.locate import semantics
from onnx_triangulate.records.inspection import Difference
from onnx_triangulate.records.runs import Model
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import fresh_exports
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.diagnosis.search import (
    SHOWN,
    Diagnosis,
    agrees_beside,
    blamed_export,
    listed,
    of_each,
)
from onnx_triangulate.verification.session import Session

WEIGHTS = "other-weights"
TYPES = "other-number-types"
OTHERWISE = "other-than-fresh-export"
CAUSES = (WEIGHTS, TYPES, OTHERWISE)
_FEW = 2  # nodes whose weights differ: those are looked at one by one as well
_SEPARATED = ("; ", "; {} more")
_MOST = 12


@dataclass(frozen=True)
class _Comparison:
    """A fresh export, what the external file has otherwise, and the operators of both by node."""

    export: Model
    differences: tuple[Difference, ...]
    ops: Mapping[str, str]

    @property
    def cause(self) -> str:
        kinds = {difference.kind for difference in self.differences}
        if kinds == {"weights"}:
            return WEIGHTS
        casts = [d for d in self.differences if d.kind == "only"]
        if kinds <= {"type", "only"} and "type" in kinds and all({d.left, d.right} == {"none", "Cast"} for d in casts):
            return TYPES
        return OTHERWISE

    @property
    def most(self) -> int:
        """How many differences are one statement still: two files with more other things are two programs."""
        return _MOST + sum(d.kind in ("weights", "type") for d in self.differences)

    @property
    def is_all(self) -> bool:
        """Whether nothing else is to be looked for behind the blame."""
        return self.cause == TYPES or (self.cause == WEIGHTS and len(self.nodes) > _FEW)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The file's nodes at which something differs."""
        there = (name for d in self.differences for name in d.right_nodes if name in self.ops)
        return tuple(dict.fromkeys(there))


@of_each
def name_external(session: Session, case_run: CaseRun, blamed: Blame) -> Diagnosis | None:
    """The blame of an external file, with what a fresh export of the source has otherwise and, where it is left open,
    the fresh export that agrees."""
    model = blamed_export(case_run, blamed)
    found = _compared(session, case_run, model, blamed) if model is not None and model.external else None
    if found is None:
        return None
    findings = (_finding(found, blamed),) if 0 < len(found.differences) <= found.most else ()
    faithful = {blamed.party: found.export}
    if not found.is_all:
        return Diagnosis((blamed,), findings, faithful=faithful)
    ops = sorted({found.ops[node] for node in found.nodes})
    return Diagnosis((), findings, (replace(blamed, nodes=found.nodes, op=", ".join(ops) or None),), faithful)


def unshown(session: Session, case_run: CaseRun, pair: fresh_exports.Pair) -> str:
    """What an external file holds otherwise than a fresh export, in words, and nothing that was asked of the model
    shows.

    Where the model has no float64 to tell of it, weights that are not the model's are enough; anything else that the
    two have differently may come to the same, and only says why they part.
    """
    says = fresh_exports.unshown(session, case_run, pair)
    if fresh_exports.is_sharp(case_run, pair.external.graph):
        return says
    differences, _ = session.value(((), {}), semantics.structure, pair.graphs.left, pair.graphs.right)
    found = [d for d in differences if not d.message.startswith("rounding") and (says or d.kind == "weights")]
    if not found:
        return says
    differs = f"the file differs from a fresh export: {listed([_words(d) for d in found], *_SEPARATED)}"
    return "; ".join(filter(None, (says, differs)))


def _compared(session: Session, case_run: CaseRun, model: Model, blamed: Blame) -> _Comparison | None:
    """The fresh export that the file is nearest to, where it agrees on the edge of the blame."""
    found: list[_Comparison] = []
    for export in fresh_exports.exports(session, case_run, model.party.framework):
        if not agrees_beside(session, case_run, export, blamed):
            continue
        found.append(_Comparison(export, *session.value(((), {}), semantics.structure, export.file, model.file)))
        if found[-1].cause != OTHERWISE:
            break
    return min(found, key=lambda each: (each.cause == OTHERWISE, len(each.differences)), default=None)


def _finding(comparison: _Comparison, blamed: Blame) -> Finding:
    what, said, edit = _STATEMENTS[comparison.cause](comparison.differences)
    agrees = f"with a fresh export in the file's place {blamed.edge[0]} | {blamed.edge[1]} agrees"
    says = f"{what}: {listed(said, *_SEPARATED)}; {agrees}"
    return Finding(comparison.cause, blamed.blame, blamed.party, comparison.nodes, says, proved=True, edit=edit)


_Statement = tuple[str, list[str], str | None]  # what differs, each difference, and the edit that mends it


def _weights_statement(differences: Sequence[Difference]) -> _Statement:
    edit = "export the file from this model again, or give the model the weights of the file"
    said = [_words(difference) for difference in differences]
    return f"{_count(len(said), 'weight')} not the model's, and nothing else differs", said, edit


def _types_statement(differences: Sequence[Difference]) -> _Statement:
    casts = [name for d in differences if d.kind == "only" for name in d.right_nodes]
    stored = any(d.kind == "type" and d.what != "output" for d in differences)
    alone = casts and len(casts) <= _FEW and not stored
    edit = f"leave out Cast {' and '.join(casts)}" if alone else "export the file in the model's own number types"
    return "the file differs from a fresh export in its number types alone", _types(differences), edit


def _other_statement(differences: Sequence[Difference]) -> _Statement:
    first, *more = differences
    edit = None
    if not more and first.kind in ("attribute", "pads") and first.right_nodes:
        edit = f"set {first.what} of {first.right_nodes[0]} to {first.left}"
    what = f"the file differs from a fresh export in {len(differences)} thing{'s' * bool(more)}"
    return what, [_words(difference) for difference in differences], edit


_STATEMENTS: Mapping[str, Callable[[Sequence[Difference]], _Statement]] = {
    WEIGHTS: _weights_statement,
    TYPES: _types_statement,
    OTHERWISE: _other_statement,
}


def _count(number: int, noun: str) -> str:
    return f"one {noun} is" if number == 1 else f"{number} {noun}s are"


def _types(differences: Sequence[Difference]) -> list[str]:
    """Number types of stored values together, those of outputs and the Casts one by one."""
    stored: dict[tuple[str, str], int] = {}
    others = []
    for d in differences:
        if d.kind == "type" and d.what != "output":
            stored[d.left, d.right] = stored.get((d.left, d.right), 0) + 1
        else:
            others.append(_words(d))
    many = [f"{_count(n, 'weight')} {right} where the model has {left}" for (left, right), n in stored.items()]
    return [*many, *others]


def _words(difference: Difference) -> str:
    """What the file has, where the model has something else."""
    nodes = difference.right_nodes
    if difference.kind == "only":
        which, ops = ("the file", difference.right) if nodes else ("the fresh export", difference.left)
        return f"{ops} ({', '.join((nodes or difference.left_nodes)[:SHOWN])}) stands in {which} alone"
    where = f"{'' if difference.what == 'output' else ' of'} {nodes[0]}" if nodes else ""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    said = f" ({difference.message})" if difference.message else ""
    return f"{difference.what}{where}{more}: {difference.right} where the model has {difference.left}{said}"
