"""Where an external file parts from a fresh export of its source: inputs on which the model itself is then asked.

Design note.  An external file may be the model's on every ordinary input and not be the model's: weights behind units
that are saturated or dead, a limit, a threshold, one row of a table, what becomes of NaN.  ``compare`` finds such
places between two graphs, and the source has a graph, its fresh export.  So that one is made as well, and where
structure does not prove the two the same both run on the further feeds of ``locate.feeds``.  What parts there is no
verdict, for the fresh export may be the one that is wrong: it is a set of inputs (:class:`FurtherInputs`), on which the
case is run and judged like on any other (``verification.case_execution.on_inputs_of``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.cases import inputs
from onnx_triangulate.diff.equivalence import Proof
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.locate import float64_comparison, model_interface
from onnx_triangulate.locate.feed_sweep import Row, boundaries, in_parts, sweep
from onnx_triangulate.locate.feeds import JUDGED, KINDS, REACHING, Feed, Landmarks, ValueInfo, drawn_kinds
from onnx_triangulate.locate.graph_pair import GraphPair, axes_between, prove_pair, ways_between
from onnx_triangulate.locate.model_interface import Interface
from onnx_triangulate.locate.silent_differences import SilentDifferences
from onnx_triangulate.locate.special_values import confirmed
from onnx_triangulate.locate.teacher_forced import Ways
from onnx_triangulate.locate.unexercised_constants import any_number, few_others, find_unexercised
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import UnusableInput
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model
from onnx_triangulate.verification import worker_tasks
from onnx_triangulate.verification.case_run import CaseRun
from onnx_triangulate.verification.session import Session

FRESH = "fresh"  # in place of an exporter's name: it is no party of the case
_EXPORTERS = ("raw", "")  # by preference: nothing was folded in a raw export
_SECONDS = 8.0
_EACH = 2  # feeds of a kind on which the file is judged in float64
_MOST = 4  # sets of inputs of one file: the model runs on each


@dataclass(frozen=True)
class FurtherInputs:
    """Inputs by the case's names, in a file, and what they are in words."""

    message: str
    file: Path


def exports(session: Session, case_run: CaseRun, framework: str) -> Iterator[Model]:
    """The source's own exports as ``FRAMEWORK:fresh``, those that the case has made before those made for this."""
    own = [g for g, m in case_run.models.items() if m.party.framework == framework and m.file and not m.external]
    for graph in sorted(own):
        yield replace(case_run.models[graph], graph=Party(framework, FRESH).graph)
    for exporter in _EXPORTERS:
        if exporter not in adapters()[framework].exporters or Party(framework, exporter).graph in own:
            continue
        folder = case_run.folder / FRESH / (exporter or "plain")
        folder.mkdir(parents=True, exist_ok=True)
        arguments = (case_run.ref, framework, [exporter], case_run.seed, folder)
        made: list[Model] = session.value([], worker_tasks.export, *arguments, kind=framework)
        yield from (replace(model, graph=Party(framework, FRESH).graph) for model in made if model.usable)


@dataclass(frozen=True)
class Pair:
    """An external file and the fresh export that it is held against, which structure does not prove the same.

    ``graphs`` has the fresh export as A and the file as B; ``names`` are the case's names of A's inputs.
    """

    external: Model
    fresh: Model
    graphs: GraphPair
    a: Interface
    proof: Proof
    names: Mapping[str, str]
    feeds: tuple[Feed, ...]

    def own_inputs(self, case_run: CaseRun) -> dict[str, Array]:
        """The case's own inputs by A's names, in A's orders of axes."""
        own = inputs.inputs_of(case_run.case, case_run.ref.name, case_run.seed)
        names = {port.name: self.names[port.name] for port in self.a.inputs}
        return {border: self._turned(case_run, name).apply(own[name]) for border, name in names.items()}

    def by_case(self, case_run: CaseRun, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs of A by the case's names, in the case's orders of axes."""
        named = {self.names[border]: value for border, value in arrays.items()}
        turned = {name: _back(self._turned(case_run, name)).apply(value) for name, value in named.items()}
        return {name: np.asarray(value, order="C") for name, value in turned.items()}

    def _turned(self, case_run: CaseRun, name: str) -> Orientation:
        """How an input in the case's own axes comes to stand at A's border."""
        return axes_between(case_run.case, None, self.fresh, name)


def paired(session: Session, case_run: CaseRun, external: Model) -> Pair | None:
    """An external file with the fresh export; None where they are proved the same, or nothing can be drawn for the
    two."""
    fresh = next(exports(session, case_run, external.party.framework), None)
    if fresh is None or fresh.file is None or external.file is None:
        return None
    taken = ways_between(case_run.case, fresh, external, fresh.inputs, external.inputs)
    ends = ways_between(case_run.case, fresh, external, fresh.outputs, external.outputs)
    graphs = GraphPair(fresh.file.absolute(), external.file.absolute(), (), taken, ends, Landmarks(), case_run.seed)
    read = _read(session, graphs)
    if read is None:
        return None
    proof, a, b = read
    a = replace(a, inputs=_joined(a.inputs, b.inputs, taken))
    names = {border: name for name, border in fresh.inputs.items()}
    if a.drawn or b.drawn or not names.keys() >= {port.name for port in a.inputs}:
        return None
    graphs = replace(graphs, ports=a.inputs, landmarks=a.landmarks.joined(b.landmarks))
    pair = Pair(external, fresh, graphs, a, proof, names, ())
    shapes = {name: array.shape for name, array in pair.own_inputs(case_run).items()}
    feeds = (*[Feed(kind, shapes) for kind in KINDS], *drawn_kinds(a.inputs, shapes, graphs.landmarks))
    return replace(pair, feeds=feeds)


def _read(session: Session, graphs: GraphPair) -> tuple[Proof, Interface, Interface] | None:
    """What structure proves of two graphs, and the interfaces of both; None where they are proved the same."""
    proof = _asked(session, prove_pair, graphs)
    a, b = (_asked(session, model_interface.read_interface, file) for file in (graphs.left, graphs.right))
    known = isinstance(proof, Proof) and isinstance(a, Interface) and isinstance(b, Interface)
    return (proof, a, b) if known and not proof.same else None


def _joined(ports: Sequence[ValueInfo], others: Sequence[ValueInfo], ways: Ways) -> tuple[ValueInfo, ...]:
    """Inputs with what either graph says of the places that they are: a fresh export may compute its tables."""
    theirs = {ways[port.name][0]: port for port in others if port.name in ways}
    joined = []
    for port in ports:
        other = theirs.get(port.name, port)
        below = min((n for n in (port.below, other.below) if n is not None), default=None)
        joined.append(replace(port, below=below, free=port.free and other.free))
    return tuple(joined)


def further_inputs(session: Session, case_run: CaseRun, pair: Pair) -> list[FurtherInputs]:
    """The inputs on which an external file parts from the fresh export, those first that tell most."""
    seed, folder, who = case_run.seed, case_run.folder / FRESH, pair.external.graph.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)

    def swept(some: Sequence[Feed], part: int, seconds: float) -> Any:
        return _asked(session, sweep, pair.graphs, some, folder / f"{who}-{part}", seconds)

    rows, _ = in_parts(swept, pair.feeds, _SECONDS)
    if any(p.dtype == "bool" or p.whole for p in pair.a.outputs) and not any(r.state == "apart" for r in rows):
        usual = [row.feed for row in rows if row.state in ("equal", "close") and row.feed.kind not in JUDGED]
        walked = _asked(session, boundaries, pair.graphs, usual[:24], folder / f"{who}-walks", _SECONDS)
        rows += [] if isinstance(walked, Failure) else walked[1]
    own = inputs.inputs_of(case_run.case, case_run.ref.name, seed)
    found: list[FurtherInputs] = []
    for row in _telling(rows):
        if row.arrays is None or not _is_confirmed(session, pair, row):
            continue
        fed = own | pair.by_case(case_run, npz.load(row.arrays))
        found.append(FurtherInputs(_said(row, fed), npz.save(folder / f"{who}-{len(found)}.npz", fed)))
        if len(found) == _MOST:
            break
    return found


def _is_confirmed(session: Session, pair: Pair, row: Row) -> bool:
    """Whether what parts on a feed counts: feeds of some kinds are judged by rules of their own."""
    judged = JUDGED.get(row.feed.kind)
    if not judged:
        return True
    if judged == "nan" and pair.proof.nan_is_open:
        return False  # where NaN stands among numbers ONNX does not say
    says = _asked(session, confirmed, pair.graphs, row, judged)
    return bool(says) and not isinstance(says, Failure)


def unshown(session: Session, case_run: CaseRun, pair: Pair) -> str:
    """What an external file holds otherwise than a fresh export, where nothing that was asked of the model decides it.

    Whatever stands there, the model would seem to agree; so that it does says nothing of it.
    """
    parted, silent = _in_float64(session, case_run, pair)
    if parted:
        return f"{parted}; nothing that the model was asked says which of the two is right"
    constants = _any_number(session, case_run, pair)
    if constants or not silent:
        return constants or _few_others(session, pair)
    more = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
    says = silent[0].replace(" of B ", " of the file ").replace("not A's", "not those of a fresh export")
    return f"{says}{more}"


def _in_float64(session: Session, case_run: CaseRun, pair: Pair) -> tuple[str, list[str]]:
    """Where the file parts from a fresh export in float64, on the case's own inputs and a few others, and what it
    holds otherwise that none of these shows.

    Where the model agrees in float64 on its own inputs, that counts for more than what a node inside makes there.
    """
    folder, found = case_run.folder / FRESH, SilentDifferences()
    started, graphs = time.monotonic(), pair.graphs
    drawn = [feed for kind in (*KINDS, *REACHING) for feed in [f for f in pair.feeds if f.kind == kind][:_EACH]]
    sharp = is_sharp(case_run, pair.external.graph)
    for place, feed in enumerate((None, *drawn)):
        asked = not found.unseen() and (sharp or place > len(KINDS))
        if feed is not None and (asked or time.monotonic() - started > _SECONDS):
            break
        arrays = pair.own_inputs(case_run) if feed is None else graphs.draw(feed)
        file = npz.save(folder / f"judged-{place}.npz", arrays)
        watched = tuple(found.unseen().values())
        arguments = (graphs.left, graphs.right, file, graphs.inputs, graphs.outputs, watched)
        forced = _asked(session, float64_comparison.compare_in_float64, *arguments)
        if isinstance(forced, Failure):
            continue
        forced = found.without_cancelled(forced)
        if not forced.faults:
            found.add(forced)
        elif feed is not None or not sharp:
            part = forced.faults[0]
            where = "" if feed is None else f" on further inputs ({feed.kind})"
            return f"in float64 the file parts from a fresh export at {part.node} ({part.op}){where}", []
    return "", sorted(found.unseen())


def is_sharp(case_run: CaseRun, graph: str) -> bool:
    """Whether the source in float64 agrees with the graph in float64."""
    here = (e for e in case_run.edges if e.isolates.startswith("export") and e.right.startswith(f"{graph}>"))
    return any(edge.agrees for edge in here if all(end.double for end in edge.ends))


def _any_number(session: Session, case_run: CaseRun, pair: Pair) -> str:
    """The constants of an external file that are none of the fresh export's, where no input shows them, in words."""
    feeds = [feed for feed in pair.feeds if feed.kind not in JUDGED or feed.kind == "nan"]
    quiet = []
    for side, unproved in (("B", pair.proof.right), ("A", pair.proof.left)):
        place = case_run.folder / FRESH
        arguments = (pair.graphs, side, unproved, feeds, place, _SECONDS / 2)
        answer = _asked(session, find_unexercised, *arguments) if unproved.constants else ([], [])
        said = [] if isinstance(answer, Failure) else answer[0]
        quiet.append([name for name in unproved.constants if any_number(name, side) in said])
        if not quiet[-1]:
            return ""
    theirs, own = (", ".join(names[:3]) + (" …" if len(names) > 3 else "") for names in quiet)
    return f"not shown by any input: {theirs} of the file could be any number; a fresh export has others there ({own})"


def _few_others(session: Session, pair: Pair) -> str:
    """Some numbers of a table or a weight that are not the fresh export's, and that nothing asked has shown."""
    found = _asked(session, few_others, pair.graphs, pair.proof)
    return "" if isinstance(found, Failure) or not found else f"{'; '.join(found[:2])}, and no input shows it"


def _telling(rows: Sequence[Row]) -> list[Row]:
    """Of every kind of feed the one that parts the furthest; those that are judged by rules of their own come last."""
    parted = [row for row in rows if row.state == "apart" and row.arrays is not None]
    parted.sort(key=lambda row: (row.feed.kind in JUDGED, -row.score))
    best: dict[str, Row] = {}
    for row in parted:
        best.setdefault(row.feed.kind, row)
    return list(best.values())


def _said(row: Row, fed: Mapping[str, Array]) -> str:
    """What is fed, in words: a kind, and between which numbers."""
    parts = []
    for name, value in fed.items():
        if value.dtype.kind not in "fiu" or not value.size:
            continue
        held = value[np.isfinite(value)] if value.dtype.kind == "f" else value
        odd = [w for w, there in (("NaN", np.isnan(value)), ("infinities", np.isinf(value))) if there.any()]
        ends = (
            [f"{v:.5g}" if value.dtype.kind == "f" else str(v) for v in (held.min(), held.max())] if held.size else []
        )
        parts.append(f"{name} {' and '.join([*odd, *([' to '.join(dict.fromkeys(ends))] if ends else [])])}")
    return f"further inputs ({row.feed.kind}" + (f": {'; '.join(parts)})" if 0 < len(parts) <= 2 else ")")


def _back(way: Orientation) -> Orientation:
    return way if way.perm is None else Orientation(perm=tuple(int(i) for i in np.argsort(way.perm)))


def _asked(session: Session, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in the runtimes' worker; a :class:`Failure` where a runtime or an evaluator refuses."""
    try:
        return session.call_runtimes(function, *arguments)
    except UnusableInput as error:
        return Failure("refused", str(error))
    except Exception as error:  # of no common type
        return Failure("refused", " ".join(str(error).split())[:200])
