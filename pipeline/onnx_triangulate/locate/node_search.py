"""The search for the faulty nodes of a graph, in workers: the source's values, the runs, the judging.

Design note.  Values go from the framework's worker to the runtimes' through one file each, and are mapped where they
are used.  Runs are made in parts under a budget (``transform.cut``), the whole graph is run only when somebody
is faulty, and then for the faulty values alone.  What is held at most is counted: arrays of the source in use, float64
values, bounds, and what goes into and comes out of the runtime; weights are not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.cases import catalogue
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.running import arrays_of, feeds_of, refusal, values_of, warm
from onnx_triangulate.locate.export_nodes import Export, ExportJudge, farthest, fixed_values
from onnx_triangulate.locate.export_runs import ExportRun
from onnx_triangulate.locate.float64_comparison import compare_in_float64
from onnx_triangulate.locate.graph_pair import ways_between
from onnx_triangulate.locate.kernel_runs import judged_kernels
from onnx_triangulate.locate.self_check import require_sound
from onnx_triangulate.locate.teacher_forced import TeacherForcedResult
from onnx_triangulate.onnxgraph.nodes import node_name
from onnx_triangulate.onnxgraph.weights import Weights, read_model
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import CaseRef
from onnx_triangulate.records.errors import one_line
from onnx_triangulate.records.faults import Fault, Localization, SourceValues
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.transform import cut
from onnx_triangulate.transform.float64 import computed_initializers


def source_values(
    ref: CaseRef, framework: str, model: Model, doubles: Sequence[bool], seed: int, folder: Path
) -> SourceValues:
    """The source's values for one of its exported graphs, in its own precision (``False``) and in float64."""
    failure = warm(framework)
    if failure is not None:
        return SourceValues(model.graph, error=failure)
    try:
        case, values = values_of(ref, framework, seed)
        assert model.file is not None
        proto, _ = read_model(model.file)
        return adapter(framework).values(case, values, model, folder, seed=seed, doubles=doubles, proto=proto)
    except Exception as error:  # whatever a framework raises: localization does without the source
        return SourceValues(model.graph, error=Failure("refused", f"{type(error).__name__}: {one_line(error)}"))


@dataclass(frozen=True)
class BlamedGraph:
    """One graph of a case whose step ``blame`` is about.

    ``party`` is whose step that is (``torch`` or ``torch>ort.off``), ``sources`` as in ``engines.running.run_graph``,
    ``native`` the native run that the captured program should repeat.  ``attribute``: where no node is faulty, say
    which nodes contribute most to the difference.
    """

    ref: CaseRef
    model: Model
    blame: str
    party: str
    seed: int
    sources: tuple[Path, ...] = ()
    native: Run | None = None
    attribute: bool = True


def localize_nodes(
    blamed: BlamedGraph, values: SourceValues | None = None, innocent: Collection[str] = ()
) -> Localization:
    """The faulty nodes of one graph: of the export on its source's ``values``, of a runtime on what its nodes consumed.

    ``innocent`` as for :func:`judged_export`.
    """
    require_sound()
    model, party, blame = blamed.model, blamed.party, blamed.blame
    assert model.file is not None
    try:
        proto, weights = read_model(model.file)
    except Exception as error:  # whatever protobuf raises
        return Localization(model.graph, party, blame, problem=refusal(error, model.file).message)
    feeds = feeds_of(blamed.ref, catalogue.load(blamed.ref), model, blamed.seed)
    only = only_node(proto, weights)
    if blame != "export":
        found = judged_kernels(proto, feeds, graph=model.graph, party=party, blame=blame, weights=weights)
        return replace(found, only=only)
    assert values is not None
    if values.error is not None or not values.names:
        says = f"the source gives no intermediate values: {values.error.message if values.error else 'no values'}"
        return Localization(model.graph, party, blame, only=only, problem=says)
    computed = computed_constants(proto, weights, blamed.sources)
    export = Export.of(proto, feeds, values, party=party, computed=computed, weights=weights)
    found = judged_export(export, attribute=blamed.attribute, innocent=innocent)
    return replace(found, captured=_captured(model, values, blamed.native), only=only)


def only_node(proto: Any, weights: Collection[str]) -> Fault | None:
    """The only node that makes something of the inputs which an output needs, if there is only one."""
    fixed, outputs = fixed_values(proto, weights), {output.name for output in proto.graph.output}
    between, _ = cut.behind(proto, outputs, lambda _, node: not fixed.issuperset(filter(None, node.output)))
    if len(between) != 1:
        return None
    node = proto.graph.node[between[0]]
    return Fault(node_name(node, between[0]), node.op_type, next(n for n in node.output if n))


def localize_against(
    ref: CaseRef, model: Model, trusted: Model, party: str, seed: int, folder: Path
) -> Localization | Failure:
    """The faulty nodes of an export that keeps no names of the source's values, held in float64 against one that is
    right: another export of the same model, whose step nobody blames."""
    found = held_against(ref, trusted, model, seed, folder)
    if isinstance(found, Failure):
        return found
    assert model.file is not None
    graph = onnx.load(model.file, load_external_data=False).graph
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    aligned = {pair.right for pair in found.alignment.pairs}
    judged = sum(any(name in aligned for name in node.output) for node in nodes) if found.unjudged else len(nodes)
    errors = tuple(
        replace(fault, counterpart=None, against=(), constants=())
        for fault in found.faults  # they are the other graph's
    )
    return Localization(
        model.graph,
        party,
        "export",
        errors,
        judged,
        len(nodes),
        unmapped=len(found.alignment.only_right),
        mapped=len(found.alignment.pairs),
        peak=found.held,
        precision="float64",
        notes=(f"held against {trusted.graph}, for it keeps no names of the source's values", *found.unjudged[:1]),
    )


def held_against(ref: CaseRef, right: Model, other: Model, seed: int, folder: Path) -> TeacherForcedResult | Failure:
    """What ``locate.float64_comparison`` says in float64 of ``other`` beside ``right``, two exports of one case, on the
    case's inputs.  Borders are matched by the case's names, and turned where they have other orders of axes."""
    assert right.file is not None
    assert other.file is not None
    case = catalogue.load(ref)

    folder.mkdir(parents=True, exist_ok=True)
    feeds = folder / "feeds.npz"
    fed = feeds_of(ref, case, right, seed)
    names = dict(right.inputs)
    lacking = {name: border for name, border in other.inputs.items() if name not in names}
    for name, array in feeds_of(ref, case, replace(other, inputs=lacking, axes={}), seed).items():
        own = next(n for n, border in lacking.items() if border == name)
        names[own] = f"only the other: {own}"  # what one graph does not read, the other may
        fed[names[own]] = array
    np.savez(feeds, **fed)  # type: ignore[arg-type]  # numpy's stub
    inputs = ways_between(case, right, other, names, other.inputs)
    outputs = ways_between(case, right, other, right.outputs, other.outputs)
    try:
        return compare_in_float64(right.file, other.file, feeds, inputs, outputs)
    except Exception as error:  # the conversion to float64 refuses some graphs
        return refusal(error, other.file)


def judged_export(export: Export, *, attribute: bool = False, innocent: Collection[str] = ()) -> Localization:
    """Every node of an exported graph on the source's values: in float64; in float32 where that accuses nobody; and
    what a runtime makes of the cut model, where float32 alone shows it.

    ``innocent`` are values whose nodes were judged in float64 before and are right: a distance that their float32 has
    from it is the source's own kernel's.
    """
    found, judge = _by_bounds(export, innocent)
    run = ExportRun(export, judge)
    found = run.with_float32(found)
    if not found.faults and attribute and export.source.single is not None:
        found = run.with_unstable(run.with_contributions(found))
    return run.with_propagated(found) if found.faults else found


def _by_bounds(export: Export, innocent: Collection[str]) -> tuple[Localization, ExportJudge]:
    """The nodes beyond their bounds, and the judge that found them, or that looked last."""
    found, judge = None, None
    cleared = set(innocent)
    for double, stored in ((True, export.source.double), (False, export.source.single)):
        if stored is None or (found is not None and found.faults):
            continue
        again = ExportJudge(export, stored.load, double=double)
        later = again.localization()
        later = replace(later, faults=tuple(e for e in later.faults if e.problem or e.output not in cleared))
        cleared.update(error.output for error in later.within)
        if found is None or later.faults:
            found, judge = replace(later, peak=max(later.peak, found.peak if found else 0)), again
    assert found is not None
    assert judge is not None
    return found, judge


def computed_constants(proto: Any, weights: Weights, sources: Sequence[Path]) -> tuple[str, ...]:
    """The constants that the exporter computed itself, if it is known what it was given."""
    if not sources:
        return ()
    known = (array for file in sources for array in arrays_of(file))
    return tuple(computed_initializers(proto, known, weights))


def _captured(model: Model, values: SourceValues, native: Run | None) -> str:
    """Where the program that the exporter captured parts from the native run, in words."""
    if native is None or native.outputs is None or values.permuted:
        return ""
    for name, graph_name in model.outputs.items():
        mine, theirs = native.outputs.get(name), values.array(graph_name)
        if not isinstance(mine, ArrayFile) or theirs is None:
            continue
        own = mine.load()
        if own.shape != theirs.shape or own.dtype != theirs.dtype:
            return f"{name} has another shape or type there than in the native run"
        if not np.array_equal(own, theirs, equal_nan=own.dtype.kind == "f"):
            far = farthest(own, np.asarray(theirs))
            apart = f"by up to {far:.3g} " if far is not None and np.isfinite(far) else ""
            return f"{name} differs {apart}from the native run there"
    return ""
