"""One mutant: made, held against the original in float64 to see whether it means something else, and looked for.

Looked for twice: ``compare`` judges it by the graph that it was made of, and ``localize`` by the framework's own
values.  What is visible at no output, on any of three feeds, is equivalent; what no runtime loads is invalid.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from faults.graphs import Kept, drawn, session
from faults.kinds import KINDS
from faults.site import CONTROL, Accepted, Site
from onnx_triangulate.diff.operators import COMMUTATIVE
from onnx_triangulate.locate import node_search
from onnx_triangulate.locate.export_nodes import Export
from onnx_triangulate.locate.float64_comparison import PreparedGraph, judge_graphs, prepare, to_float64_arrays
from onnx_triangulate.locate.teacher_forced import Reference, evaluate_reference
from onnx_triangulate.numerics.float64_evaluation import Graph
from onnx_triangulate.onnxgraph.dataflow import Namer, Orientation
from onnx_triangulate.onnxgraph.graph import reads
from onnx_triangulate.onnxgraph.nodes import opset
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.transform.float64 import computed_initializers

_ROUNDING = 1e-10  # of the largest number of an output: what float64 itself may do
FEEDS = ("native", "random", "integers")


@dataclass(frozen=True)
class Fault:
    """A kind of edit at a node, and which of its random variants."""

    kind: str
    node: str
    variant: int


@dataclass(frozen=True)
class Trial:
    """What is to be tried: one fault, two, or a control."""

    graph: str
    faults: tuple[Fault, ...]
    feeds: int = 0

    @property
    def key(self) -> str:
        return "|".join([self.graph, *(f"{f.kind}@{f.node}@{f.variant}" for f in self.faults), str(self.feeds)])

    @property
    def stratum(self) -> str:
        return KINDS[self.faults[0].kind].stratum


@dataclass(frozen=True)
class Named:
    """Whom a search accuses: nodes in its order, and for each the nodes it was not told apart from."""

    nodes: tuple[str, ...] = ()
    regions: tuple[tuple[str, ...], ...] = ()
    ratios: tuple[float, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Record:
    """What became of a trial.

    ``status`` is ``counted``, ``equivalent``, ``invalid`` or ``float32`` (only float32 shows it); ``seen`` are the
    feeds on which an output of it differs in float64; ``far`` is by how much of the output's largest number, at most.
    """

    key: str
    stratum: str
    status: str
    accepted: tuple[Accepted, ...] = ()
    seen: tuple[str, ...] = ()
    far: float = 0.0
    graph: Named = Named()
    native: Named = Named()
    given: Named = Named()
    says: str = ""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Original:
    kept: Kept
    taken: PreparedGraph
    feeds: Mapping[str, Mapping[str, Array]]
    evaluated: Mapping[str, Reference]
    digests: Mapping[bytes, str]
    border: tuple[Mapping[str, tuple[str, Orientation]], Mapping[str, tuple[str, Orientation]]]


@lru_cache(maxsize=16)
def _original(name: str, folder: Path, number: int) -> _Original:
    kept = Kept(name, folder / name)
    taken = prepare(kept.proto)
    feeds = {"native": kept.feeds} if not number else {}
    for kind in FEEDS[1:]:
        random = np.random.default_rng([number, kind == "integers"])
        feeds[kind] = {n: drawn(a, random, n, kept.about, whole=kind == "integers") for n, a in kept.feeds.items()}
    evaluated = {kind: evaluate_reference(taken.graph, to_float64_arrays(given)) for kind, given in feeds.items()}
    digests: dict[bytes, str] = {}
    for value, digest in _classes(taken.double, kept.feeds).items():
        digests.setdefault(digest, value)
    border = ({n: (n, Orientation()) for n in kept.feeds}, {n: (n, Orientation()) for n in taken.graph.outputs})
    return _Original(kept, taken, feeds, evaluated, digests, border)


def _classes(model: onnx.ModelProto, inputs: Iterable[str]) -> dict[str, bytes]:
    """The class of every value of the main graph: values of one class are one function of the inputs."""
    namer = Namer(opset(model), COMMUTATIVE)
    found = {name: namer.of_input(name) for name in inputs}
    found |= {t.name: namer.of_constant(onnx.numpy_helper.to_array(t)) for t in model.graph.initializer}
    for node in model.graph.node:
        operands = [found.get(name, namer.unknown(name)) if name else b"" for name in node.input]
        found |= namer.of_node(node, operands, {name: found[name] for name in reads(node) if name in found})
    return found


def edited(kept: Kept, faults: Iterable[Fault]) -> tuple[Site, tuple[Accepted, ...]] | None:
    """The graph's copy with its faults and the nodes that each may be named by; None where one does not apply."""
    site = Site(kept.base)
    accepted = []
    for fault in faults:
        seed = int.from_bytes(hashlib.blake2b(f"{kept.name}{fault}".encode(), digest_size=8).digest())
        try:
            node = site.node(fault.node)
        except StopIteration:
            return None
        found = KINDS[fault.kind].plant(site, node, np.random.default_rng(seed))
        if found is None:
            return None
        accepted.append(tuple(dict.fromkeys(found)))
    return site, tuple(accepted)


def planted(kept: Kept, faults: Iterable[Fault]) -> tuple[onnx.ModelProto, tuple[Accepted, ...]] | None:
    """As :func:`edited`, the graph as a model."""
    made = edited(kept, faults)
    return (made[0].whole(), made[1]) if made is not None else None


def run(trial: Trial, folder: Path) -> Record:
    """Make a mutant and look for its faults."""
    started = time.perf_counter()
    original = _original(trial.graph, folder, trial.feeds)
    try:
        made = planted(original.kept, trial.faults)
        if made is None:
            return Record(trial.key, trial.stratum, "invalid", says="does not apply")
        model, accepted = made
        status, seen, far, says = _looked_at(original, model)
    except Exception as error:  # a mutant may be anything
        return Record(trial.key, trial.stratum, "invalid", says=_one_line(error))
    if len(trial.faults) > 1 and status == "counted":
        status = _both_count(original, trial, model, status)
    if trial.stratum == CONTROL:
        status = "counted" if status == "equivalent" else status
    found = {}
    if status in ("counted", "float32"):
        found["graph"] = _by_graph(original, model)
        if trial.feeds == 0 and all(KINDS[f.kind].keeps_names for f in trial.faults):
            found["native"] = _by_native(original, model)
            found["given"] = _as_given(original, model, found["native"])
    seconds = round(time.perf_counter() - started, 3)
    return Record(trial.key, trial.stratum, status, accepted, seen, far, **found, says=says, seconds=seconds)


def _looked_at(original: _Original, model: onnx.ModelProto) -> tuple[str, tuple[str, ...], float, str]:
    """Whether a mutant is a model at all, and on which feeds it means something else."""
    feeds = next(iter(original.feeds.values()))
    try:
        wanted = [o.name for o in model.graph.output]
        answers = session(model).run(wanted, dict(feeds))
    except Exception as error:  # whatever a runtime raises
        return "invalid", (), 0.0, _one_line(error)
    mutant = prepare(model)
    seen, far = [], 0.0
    for kind in original.feeds:
        away = distance(original, mutant, kind)
        if away > _ROUNDING:
            seen.append(kind)
            far = max(far, away)
    if seen:
        return "counted", tuple(seen), far, ""
    due = session(original.kept.proto).run(wanted, dict(feeds))
    if any((np.isfinite(a) != np.isfinite(b)).any() for a, b in zip(due, answers, strict=True) if a.dtype.kind == "f"):
        return "float32", (), 0.0, ""
    return "equivalent", (), 0.0, ""


def distance(original: _Original, mutant: PreparedGraph, kind: str) -> float:
    """How far an output in float64 is from the original's, as a part of its largest number."""
    have = original.evaluated[kind].values
    made = _outputs(original, mutant, kind)
    return max((_apart(have[name], made.get(name)) for name in mutant.graph.outputs), default=0.0)


def _outputs(original: _Original, mutant: PreparedGraph, kind: str) -> dict[str, Array]:
    """All values of a mutant; what is the same function of the same inputs is not computed again."""
    have = original.evaluated[kind].values
    graph: Graph = mutant.graph
    same = _classes(mutant.double, original.kept.feeds)
    values: dict[str, Array] = {**graph.constants, **to_float64_arrays(original.feeds[kind])}
    for step in graph.steps:
        known = [original.digests.get(same.get(name, b"")) for name in step.makes]
        if all(k is not None and k in have for k in known):
            values |= {n: have[k] for n, k in zip(step.makes, known, strict=True) if k is not None}
        else:
            values |= graph.run(step, values)
    return values


def _apart(due: Array, seen: Array | None) -> float:
    if seen is None or seen.shape != due.shape or seen.dtype != due.dtype:
        return np.inf
    if due.dtype.kind != "f":
        return np.inf if (due != seen).any() else 0.0
    with np.errstate(all="ignore"):
        same = (due == seen) | (np.isnan(due) & np.isnan(seen))
        if same.all():
            return 0.0
        away = np.where(same, 0.0, np.abs(due - seen))
        if not np.isfinite(away).all():
            return np.inf
        return float(away.max() / np.abs(due[np.isfinite(due)]).max(initial=1e-300))


def _both_count(original: _Original, trial: Trial, model: onnx.ModelProto, status: str) -> str:
    """Two faults are two only if each shows beside the other."""
    both = prepare(model)
    for fault in trial.faults:
        made = planted(original.kept, [fault])
        assert made is not None
        single = prepare(made[0])
        away = [
            max(_apart(_outputs(original, single, kind).get(n, np.zeros(0)), v) for n, v in outputs.items())
            for kind in original.feeds
            if (outputs := {n: _outputs(original, both, kind)[n] for n in both.graph.outputs})
        ]
        if max(away) <= _ROUNDING:
            return "equivalent"
    return status


def _by_graph(original: _Original, model: onnx.ModelProto) -> Named:
    """``compare``, with the original's values as they are kept: the first feed that shows a fault counts."""
    try:
        mutant = prepare(model)
        for kind in FEEDS[1:]:
            given = original.feeds[kind]
            found = judge_graphs(original.taken, mutant, given, *original.border, known=original.evaluated[kind])
            if found.faults or found.unjudged:
                return Named(
                    tuple(p.node for p in found.faults),
                    tuple(p.nodes for p in found.faults),
                    tuple(p.severity for p in found.faults),
                    "; ".join(found.unjudged)[:300] or None,
                )
    except Exception as error:  # a crash of the search is a miss, and is said
        return Named(problem=_one_line(error))
    return Named()


def _by_native(original: _Original, model: onnx.ModelProto) -> Named:
    """``localize`` on the framework's own values, as ``verify`` calls it for an export."""
    kept = original.kept
    changed = computed_initializers(model, kept.base.weights.values())  # as verify finds what the source does not hold
    computed = (*kept.about["computed"], *changed)
    try:
        found = node_search.judged_export(
            Export.of(model, kept.feeds, kept.source, party=kept.about["graph"], computed=computed)
        )
    except Exception as error:  # as above
        return Named(problem=_one_line(error))
    problem = "; ".join(f"{e.node}: {e.problem}" for e in found.uncompared)[:300] if not found.faults else ""
    return Named(
        tuple(e.node for e in found.faults),
        tuple(e.others for e in found.faults),
        tuple(e.severity for e in found.faults),
        problem or found.problem or None,
    )


def _as_given(original: _Original, model: onnx.ModelProto, native: Named) -> Named:
    """As ``verify`` does with a given file: where the source has no values between its nodes, a fresh export of it has
    (``verification.diagnosis.localization.localized``), which is the graph that the mutant was made of."""
    if not any(native.regions):
        return native
    try:
        mutant, given = prepare(model), original.feeds["native"]
        found = judge_graphs(original.taken, mutant, given, *original.border, known=original.evaluated["native"])
    except Exception as error:  # as above
        return Named(problem=_one_line(error))
    nodes, regions = tuple(p.node for p in found.faults), tuple(p.nodes for p in found.faults)
    fewer = len({*nodes, *(n for r in regions for n in r)}) < len(
        {*native.nodes, *(n for r in native.regions for n in r)}
    )
    return Named(nodes, regions, tuple(p.severity for p in found.faults)) if nodes and fewer else native


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


__all__: Sequence[str] = ("Fault", "Named", "Record", "Trial", "planted", "run")
