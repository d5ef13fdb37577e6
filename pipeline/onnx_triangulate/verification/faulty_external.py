"""What a given file has otherwise than a fresh export of its source, where that one is faithful.

Design note.  Other weights make every node that reads them guilty, a file in half precision makes all of them so, and
a Cast at the end makes none: each is one thing, and a search by node takes it apart or misses it.  So before anybody
looks for a node, a blamed file is laid beside a fresh export of its source, which has to agree on the edge of the
blame, by its own bounds: then what the two have differently, and nothing else, makes the edge part, and that is run and
not guessed.  Where all of it is weights of many nodes, or number types, no node is searched for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx_triangulate.engines import running
from onnx_triangulate.locate import semantics
from onnx_triangulate.records.inspection import Difference
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.records.verdict import Blame, Finding
from onnx_triangulate.verification import fresh_exports
from onnx_triangulate.verification.localization import RUNTIME_WORKER
from onnx_triangulate.verification.session import Seen, Work
from onnx_triangulate.verification.triangulate import Parties

WEIGHTS = "other-weights"
TYPES = "other-number-types"
OTHERWISE = "other-than-fresh-export"
CAUSES = (WEIGHTS, TYPES, OTHERWISE)
_FEW = 2  # nodes whose weights differ: those are looked at one by one as well
_SHOWN = 3
_MOST = 12


@dataclass(frozen=True)
class _Beside:
    """A fresh export, what the given file has otherwise, and the operators of both by node."""

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
    def nodes(self) -> tuple[str, ...]:
        """The file's nodes at which something differs."""
        there = (name for d in self.differences for name in d.right_nodes if name in self.ops)
        return tuple(dict.fromkeys(there))


@dataclass(frozen=True)
class Given:
    """What is known of blamed files by laying each beside a fresh export of its source.

    ``settled`` are those blames behind which there is nothing else, ``open`` the others, with the nodes at which
    something differs; ``faithful`` are the fresh exports that agree where the file, by its graph's name, does not.
    """

    settled: tuple[Blame, ...]
    open: tuple[Blame, ...]
    findings: tuple[Finding, ...]
    faithful: Mapping[str, Model]


def name_given(work: Work, seen: Seen, blames: Sequence[Blame]) -> Given:
    """The blames of given files, with what a fresh export of the source has otherwise."""
    parties = seen.parties(work.options.seed)
    settled: list[Blame] = []
    left: list[Blame] = []
    findings: list[Finding] = []
    faithful: dict[str, Model] = {}
    for blamed in blames:
        model = seen.models.get(blamed.party)
        asked = blamed.blame == "export" and model is not None and bool(model.external and model.file)
        beside = _beside(work, seen, model, blamed, parties) if asked and model is not None else None
        if beside is None:
            left.append(blamed)
            continue
        faithful[blamed.party] = beside.export
        findings += [_finding(beside, blamed)] if 0 < len(beside.differences) <= beside.most else []
        if beside.cause == TYPES or (beside.cause == WEIGHTS and len(beside.nodes) > _FEW):
            ops = sorted({beside.ops[node] for node in beside.nodes})
            settled.append(replace(blamed, nodes=beside.nodes, op=", ".join(ops) or None))
        else:
            left.append(blamed)
    return Given(tuple(settled), tuple(left), tuple(findings), faithful)


def unshown(work: Work, seen: Seen, pair: fresh_exports.Pair) -> str:
    """What a given file holds otherwise than a fresh export, in words, and nothing that was asked of the model shows.

    Where the model has no float64 to tell of it, weights that are not the model's are enough; anything else that the
    two have differently may come to the same, and only says why they part.
    """
    says = fresh_exports.unshown(work, seen, pair)
    if fresh_exports.is_sharp(seen, pair.given.graph):
        return says
    answer = work.call(RUNTIME_WORKER, semantics.structure, pair.left, pair.right)
    found = [] if isinstance(answer, Failure) else [d for d in answer[0] if not d.says.startswith("rounding")]
    found = found if says else [d for d in found if d.kind == "weights"]
    if not found:
        return says
    more = f"; {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    listed = f"the file differs from a fresh export: {'; '.join(_words(d) for d in found[:_SHOWN])}{more}"
    return "; ".join(filter(None, (says, listed)))


def _beside(work: Work, seen: Seen, model: Model, blamed: Blame, parties: Parties) -> _Beside | None:
    """The fresh export that the file is nearest to, where it agrees on the edge of the blame."""
    found: list[_Beside] = []
    for export in fresh_exports.exports(work, seen, Party.parse(model.graph).framework):
        assert export.file is not None
        assert model.file is not None
        if not agrees(work, seen, export, blamed, parties):
            continue
        answer = work.call(RUNTIME_WORKER, semantics.structure, export.file, model.file)
        found.append(_Beside(export, *(((), {}) if isinstance(answer, Failure) else answer)))
        if found[-1].cause != OTHERWISE:
            break
    return min(found, key=lambda each: (each.cause == OTHERWISE, len(each.differences)), default=None)


def agrees(work: Work, seen: Seen, export: Model, blamed: Blame, parties: Parties) -> bool:
    """Whether the edge of a blame agrees with another graph in the blamed one's place."""
    left, right = blamed.edge
    if right not in parties.runs or parties.diff(left, right, "export").agrees:
        return False
    party = Party.parse(right)
    item = f"{party.runtime}{'@64' if party.double else ''}"
    folder = seen.folder / fresh_exports.FRESH / "beside"
    runs = work.call(RUNTIME_WORKER, running.run_graph, seen.ref, export, [item], work.options.seed, folder)
    run = Run(party, error=runs) if isinstance(runs, Failure) else replace(runs[0], party=party)
    return parties.replacing(right, run).diff(left, right, "export").agrees


def _finding(beside: _Beside, blamed: Blame) -> Finding:
    said = _types(beside.differences) if beside.cause == TYPES else [_words(d) for d in beside.differences]
    listed = "; ".join(said[:_SHOWN]) + (f"; {len(said) - _SHOWN} more" if len(said) > _SHOWN else "")
    held = f"with a fresh export in the file's place {blamed.edge[0]} | {blamed.edge[1]} agrees"
    first = beside.differences[0]
    edit: str | None
    if beside.cause == WEIGHTS:
        says = f"{_count(len(said), 'weight')} not the model's, and nothing else differs: {listed}"
        edit = "export the file from this model again, or give the model the weights of the file"
    elif beside.cause == TYPES:
        says = f"the file differs from a fresh export in its number types alone: {listed}"
        casts = [name for d in beside.differences if d.kind == "only" for name in d.right_nodes]
        held_types = any(d.kind == "type" and d.what != "output" for d in beside.differences)
        alone = casts and len(casts) <= _FEW and not held_types
        edit = f"leave out Cast {' and '.join(casts)}" if alone else "export the file in the model's own number types"
    else:
        says = f"the file differs from a fresh export in {len(said)} thing{'s' * (len(said) > 1)}: {listed}"
        alone = len(said) == 1 and first.kind in ("attribute", "pads") and bool(first.right_nodes)
        edit = f"set {first.what} of {first.right_nodes[0]} to {first.left}" if alone else None
    return Finding(beside.cause, blamed.blame, blamed.party, beside.nodes, f"{says}; {held}", proved=True, edit=edit)


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
    if difference.kind == "only":
        which = "the file" if difference.right_nodes else "the fresh export"
        ops, nodes = (
            (difference.right, difference.right_nodes)
            if difference.right_nodes
            else (difference.left, difference.left_nodes)
        )
        return f"{ops} ({', '.join(nodes[:_SHOWN])}) stands in {which} alone"
    where = f" of {difference.right_nodes[0]}" if difference.right_nodes and difference.what != "output" else ""
    where = f" {difference.right_nodes[0]}" if difference.right_nodes and difference.what == "output" else where
    more = f" and {len(difference.right_nodes) - 1} more" if len(difference.right_nodes) > 1 else ""
    said = f" ({difference.message})" if difference.message else ""
    return f"{difference.what}{where}{more}: {difference.right} where the model has {difference.left}{said}"
