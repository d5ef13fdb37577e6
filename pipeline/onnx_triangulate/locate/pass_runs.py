"""What a worker does for the search of faulty passes: one run at other settings, and a look at what was rewritten.

Each is one call, so a session that kills its process at some setting costs that answer and no other.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser

from onnx_triangulate.cases import catalogue
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.protocols import Optimizing, OptimizingFramework, Passes
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.node_search import held_against
from onnx_triangulate.locate.pass_search import search
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.transform.cut import all_outputs, with_outputs
from onnx_triangulate.transform.optimizer_changes import Counted, Region, counted, regions


@dataclass(frozen=True)
class Setting:
    """How a graph is run: passes switched ``off``, at another ``level``, and values ``held`` as further outputs."""

    off: tuple[str, ...] = ()
    level: str | None = None
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rewriting:
    """What some passes made of a graph, and what marking every value as an output makes of the whole optimization.

    ``exported`` counts the nodes as written, ``usual`` as they are run, ``watched`` as they are run when every value is
    an output; ``values`` are those values.  The counts are None where the runtime would not say."""

    regions: tuple[Region, ...] = ()
    exported: Counted | None = None
    usual: Counted | None = None
    watched: Counted | None = None
    values: tuple[str, ...] = ()
    problem: str | None = None


def list_passes(file: Path, runtime: str) -> Passes | None:
    """The passes of a runtime for a graph; None where it has none that can be switched off."""
    engine = runtimes()[runtime]
    return engine.passes(file) if isinstance(engine, Optimizing) else None


def run_with(ref: CaseRef, model: Model, party: str, setting: Setting, seed: int, folder: Path) -> Run:
    """One graph in one runtime at a setting, twice, as ``engines.running.run_graph`` runs it."""
    who = Party.parse(party)
    assert model.file is not None
    started = time.perf_counter()
    file = model.file
    try:
        case = catalogue.load(ref)
        if setting.held:
            file = running.written(with_outputs(onnx.load(model.file), setting.held), folder / "held.onnx")
        run = _optimizing(who.runtime).open_without(file, setting.off, setting.level)
        feeds = running.feeds_of(ref, case, model, seed)
        answer = running.graph_run(who, case, model, feeds, folder, run=run)
    except Exception as error:  # a runtime's refusal, whatever its type
        answer = Run(who, error=running.refusal(error, file))
    return replace(answer, seconds=time.perf_counter() - started)


def look(model: Model, runtime: str, names: Sequence[str], on: Sequence[str], folder: Path) -> Rewriting:
    """What the passes ``on`` alone, of all ``names``, make of a graph; and the observer effect of all of them."""
    assert model.file is not None
    folder.mkdir(parents=True, exist_ok=True)
    exported = onnx.load(model.file, load_external_data=False)
    found = Rewriting(exported=counted(exported))
    try:
        if on:
            plain = _saved(model.file, runtime, names, folder)
            changed = _saved(model.file, runtime, [n for n in names if n not in on], folder)
            found = replace(found, regions=regions(exported, plain, changed))
        found = replace(found, usual=counted(_saved(model.file, runtime, (), folder)))
        whole, values = all_outputs(onnx.load(model.file))
        file = running.written(whole, folder / "watched.onnx")
        return replace(found, watched=counted(_saved(file, runtime, (), folder)), values=values)
    except Exception as error:  # a runtime's refusal, or protobuf's two gigabytes
        return replace(found, problem=running.refusal(error, model.file).message)


@cache
def self_check(runtime: str) -> str | None:
    """Whether the search names a pass that is known and clears a graph that is healthy; else what it said instead.

    In the one the divergence is planted: a graph "diverges" while the optimizer still takes its Identity away, so the
    engine, its off-switches and the search have to work together.  The other one is compared with itself unoptimized.
    """
    engine = _optimizing(runtime)
    with tempfile.TemporaryDirectory() as folder:
        file = running.written(onnx.parser.parse_model(_KNOWN), Path(folder) / "known.onnx")
        known = engine.passes(file)
        x = np.array([1.5, -2.0, 0.0], np.float32)

        def loses_identity(off: frozenset[str], level: str | None) -> bool:
            place = Path(folder) / "optimized.onnx"
            engine.open_without(file, sorted(off), level, saved=place)
            return all(node.op_type != "Identity" for node in onnx.load(place).graph.node)

        def answers_wrong(off: frozenset[str], level: str | None) -> bool:
            (y,) = engine.open_without(file, sorted(off), level)({"x": x}, ["y"])
            return y.tobytes() != (x + x).tobytes()

        planted = search(known.names, loses_identity, groups=known.groups, levels=known.levels)
        if planted.off != (_PLANTED,):
            return f"{_PLANTED} was planted, {planted.off or planted.problem} was found"
        healthy = search(known.names, answers_wrong, groups=known.groups, levels=known.levels)
        return None if healthy.off == () and healthy.sessions == 1 else f"a healthy graph: {healthy.off} was found"


_PLANTED = "EliminateIdentity"
_KNOWN = """<ir_version: 8, opset_import: ["" : 17]> known (float[3] x) => (float[3] y) {
    same = Identity (x)
    y = Add (same, x)
}"""


def _optimizing(runtime: str) -> Optimizing:
    engine = runtimes()[runtime]
    assert isinstance(engine, Optimizing)
    return engine


def _saved(file: Path, runtime: str, off: Sequence[str], folder: Path) -> Any:
    place = folder / "optimized.onnx"
    _optimizing(runtime).open_without(file, off, saved=place)
    try:
        return onnx.load(place, load_external_data=False)
    finally:
        place.unlink(missing_ok=True)


def exporter_passes(framework: str) -> tuple[str, ...] | None:
    """The passes of an exporter's optimizer; None where it has none that can be run one by one."""
    engine = adapter(framework)
    if running.warm(framework) is not None or not isinstance(engine, OptimizingFramework):
        return None
    return tuple(engine.passes())


def optimize_without(framework: str, raw: Path, off: Sequence[str], place: Path) -> Path | Failure:
    """The raw graph after the exporter's passes but those in ``off``, or what one of them raised."""
    engine = adapter(framework)
    assert isinstance(engine, OptimizingFramework)
    try:
        return engine.optimized(raw, off, place)
    except Exception as error:  # whatever a pass raises
        return running.refusal(error, raw)


def parted_nodes(ref: CaseRef, raw: Model, optimized: Model, seed: int, folder: Path) -> tuple[Region, ...] | Failure:
    """Where the optimized graph does not make what the raw one makes of the same values, in float64.

    Each region has the optimized graph's nodes, and the raw one's in ``into``."""
    found = held_against(ref, raw, optimized, seed, folder)
    if isinstance(found, Failure):
        return found
    return tuple(Region(part.nodes or (part.node,), (part.op,), part.against, ()) for part in found.faults)
