"""What workers do to find the faulty nodes of a graph: the source's values, the runs, the judging.

Design note.  Values go from the framework's worker to the runtimes' through one file each, and are mapped where they
are used.  Runs are made in parts under a budget (``transform.cut``), the whole graph is run only when somebody
is faulty, and then for the faulty values alone.  What is held at most is counted: arrays of the source in use, float64
values, bounds, and what goes into and comes out of the runtime; weights are not.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.cases import catalogue, layout
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.running import feeds_of, one_line, refusal, values_of, warm
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate import export_nodes, output_attribution
from onnx_triangulate.locate.kernel_runs import budget, judged_kernels, run_part
from onnx_triangulate.locate.teacher_forced import TeacherForcedResult
from onnx_triangulate.numerics.perturbation import UNIT, at_least_mean
from onnx_triangulate.onnxgraph.nodes import node_name
from onnx_triangulate.onnxgraph.weights import Weights, read_model, without_weights
from onnx_triangulate.ops.elementary import measured
from onnx_triangulate.ops.rounding_counts import TRANSCENDENTAL
from onnx_triangulate.ops.roundings import roundings
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import CaseRef, Tensor
from onnx_triangulate.records.faults import Contribution, Fault, Localization, SourceValues
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run
from onnx_triangulate.transform import cut

FOLLOWED = 64  # faulty values for which a whole run says how far off they are there


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


def localize_nodes(
    ref: CaseRef,
    model: Model,
    blame: str,
    party: str,
    values: SourceValues | None,
    sources: Sequence[Path],
    native: Run | None,
    seed: int,
    attribute: bool = True,
    innocent: Collection[str] = (),
) -> Localization:
    """The faulty nodes of one graph: of the export in the cut view, of a runtime on what its nodes consumed.

    ``party`` is whose step is blamed (``torch`` or ``torch>ort.off``), ``sources`` as in
    ``engines.running.run_graph``, ``native`` the native run that the captured program should repeat.  ``attribute``:
    where nobody is faulty, say which nodes contribute most to the difference.  ``innocent`` as for
    :func:`judged_export`.
    """
    from onnx_triangulate.locate.self_check import require_sound

    require_sound()
    assert model.file is not None
    try:
        proto, weights = read_model(model.file)
    except Exception as error:  # whatever protobuf raises
        return Localization(model.graph, party, blame, problem=refusal(error, model.file).message)
    feeds = feeds_of(ref, catalogue.load(ref), model, seed)
    only = only_node(proto, weights)
    if blame != "export":
        found = judged_kernels(proto, feeds, graph=model.graph, party=party, blame=blame, weights=weights)
        return replace(found, only=only)
    assert values is not None
    if values.error is not None or not values.names:
        says = f"the source gives no intermediate values: {values.error.message if values.error else 'no values'}"
        return Localization(model.graph, party, blame, only=only, problem=says)
    computed = computed_constants(proto, weights, sources)
    found = judged_export(
        proto, feeds, values, party=party, computed=computed, weights=weights, attribute=attribute, innocent=innocent
    )
    return replace(found, captured=_captured(model, values, native), only=only)


def only_node(proto: Any, weights: Collection[str]) -> Fault | None:
    """The only node that makes something of the inputs which an output needs, if there is only one."""
    fixed, needed = export_nodes.fixed_values(proto, weights), {output.name for output in proto.graph.output}
    between = []
    for index, node in reversed(list(enumerate(proto.graph.node))):
        if needed.isdisjoint(node.output) or fixed.issuperset(name for name in node.output if name):
            continue
        needed.update(cut.reads(node))
        between.append(Fault(node_name(node, index), node.op_type, next(n for n in node.output if n)))
    return between[0] if len(between) == 1 else None


def localize_against(
    ref: CaseRef, model: Model, trusted: Model, party: str, seed: int, folder: Path
) -> Localization | Failure:
    """The faulty nodes of an export that keeps no names of the source's values, held in float64 against one that is
    right: another export of the same model, whose step nobody blames."""
    found = held_against(ref, trusted, model, seed, folder)
    if isinstance(found, Failure):
        return found
    import onnx

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
    from onnx_triangulate.locate.float64_comparison import compare_in_float64
    from onnx_triangulate.onnxgraph.dataflow import Orientation

    assert right.file is not None
    assert other.file is not None
    case = catalogue.load(ref)

    def way(name: str) -> Orientation:
        tensor = case.inputs.get(name) or case.outputs.get(name)
        if not isinstance(tensor, Tensor):
            return Orientation()
        have, want = (model.axes.get(name, tensor.axes) for model in (right, other))
        return Orientation() if have.split() == want.split() else Orientation(perm=layout.permutation(have, want))

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
    inputs = {border: (names[name], way(name)) for name, border in other.inputs.items()}
    outputs = {other.outputs[n]: (right.outputs[n], way(n)) for n in right.outputs if n in other.outputs}
    try:
        return compare_in_float64(right.file, other.file, feeds, inputs, outputs)
    except Exception as error:  # the conversion to float64 refuses some graphs
        return refusal(error, other.file)


def judged_export(
    proto: Any,
    feeds: Mapping[str, Array],
    source: SourceValues,
    *,
    party: str,
    computed: Sequence[str] = (),
    weights: Weights | None = None,
    runtime: str = "ort.off",
    attribute: bool = False,
    innocent: Collection[str] = (),
) -> Localization:
    """Every node of an exported graph on the source's values: in float64; in float32 where that accuses nobody; and
    what a runtime makes of the cut model, where float32 alone shows it.

    ``weights`` are the initializers, the model's own unless it comes without.  ``innocent`` are values whose nodes were
    judged in float64 before and are right: a distance that their float32 has from it is the source's own kernel's.
    """
    weights, bare = Weights(proto) if weights is None else weights, without_weights(proto)
    engine = Party.parse(party).framework
    found, judge = None, None
    for double in (True, False):
        stored = source.double if double else source.single
        if stored is None or (found is not None and found.faults):
            continue
        again = export_nodes.Exported(
            bare,
            feeds,
            source,
            stored.load,
            party=party,
            double=double,
            computed=computed,
            weights=weights,
            constants_of=engine if engine in measured()["runtimes"] else "onnxruntime",
        )
        later = again.localization()
        cleared = {*innocent, *(error.output for error in found.within)} if found is not None else set(innocent)
        later = replace(later, faults=tuple(e for e in later.faults if e.problem or e.output not in cleared))
        if found is None or later.faults:
            found, judge = replace(later, peak=max(later.peak, found.peak if found else 0)), again
    assert found is not None
    assert judge is not None
    found = _with_float32(found, judge, bare, weights, feeds, source, runtime)
    if found.faults:
        return _with_propagated(found, judge, bare, weights, feeds, source, runtime)
    if attribute and source.single is not None:
        found = _with_contributions(found, judge, weights, feeds, source, runtime)
        found = _with_unstable(found, judge, bare, weights, feeds, source, runtime)
        return _with_propagated(found, judge, bare, weights, feeds, source, runtime) if found.faults else found
    return found


def _with_float32(
    found: Localization,
    judge: export_nodes.Exported,
    bare: Any,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: SourceValues,
    runtime: str,
) -> Localization:
    """The nodes whose value is not finite in float32 where the source's is, by the cut model in parts."""
    given = {name for name in judge.fits if name in source.names}
    sizes = cut.array_sizes(bare)
    sizes |= {name: judge.sizes[name] // (2 if judge.double else 1) for name in given}
    planned = cut.parts(bare, weights, sizes, budget(sizes), given) if given else []

    def fetch(name: str) -> Array | None:
        return feeds[name] if name in feeds else judge.standing(name, source.narrow(name))

    known = {error.output for error in found.faults}
    lost, notes, peak = [], list(found.notes), found.peak
    for part in cut.run_parts(bare, weights, planned, fetch, functools.partial(run_part, runtime), given):
        peak = max(peak, part.held)
        if part.error and not any(note.startswith("not all of the cut model") for note in notes):
            notes.append(f"not all of the cut model could be run: {part.error}")
        for name, array in part.arrays.items():
            if name not in given or name in known or array.dtype.kind != "f" or np.isfinite(array).all():
                continue
            due = fetch(name)
            assert due is not None
            nodes = judge.stretch(name)
            error = Fault(nodes[-1] if nodes else name, judge.operator(name), name, nodes=nodes)
            error = export_nodes.not_finite(error, due, array)
            if error.ratio is not None:
                lost.append(replace(error, origin=source.origins.get(name)))
    faulty = tuple(sorted((*found.faults, *lost), key=lambda error: judge.maker[error.output]))
    return replace(found, faults=faulty, notes=tuple(notes), peak=peak)


def _with_propagated(
    found: Localization,
    judge: export_nodes.Exported,
    bare: Any,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: SourceValues,
    runtime: str,
) -> Localization:
    """How far the faulty values are from the source's in a whole run, a few at a time."""
    names = [error.output for error in found.faults if error.output in source.names][:FOLLOWED]
    far: dict[str, float | None] = {}
    notes, peak = list(found.notes), found.peak
    try:
        model, given = cut.named_weights(cut.with_outputs(bare, names), weights)
        run = runtimes()[runtime].part(model.SerializeToString(), {name: weights[name] for name in given})
        for name in names:
            (seen,) = run(feeds, [name])
            due = judge.standing(name, source.narrow(name))
            far[name] = export_nodes.farthest(due, seen) if due is not None else None
            peak = max(peak, 3 * seen.nbytes)
    except Exception as error:  # a runtime's refusal, whatever its type
        notes.append(f"no whole run: {one_line(error)[:160]}")
    faulty = tuple(replace(error, propagated=far.get(error.output)) for error in found.faults)
    return replace(found, faults=faulty, notes=tuple(notes), peak=peak)


def _with_contributions(
    found: Localization,
    judge: export_nodes.Exported,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: SourceValues,
    runtime: str,
) -> Localization:
    """Where the differences of the outputs arise, if nobody is faulty of them."""
    known = {name for name in judge.fits if name in source.names}

    def value(name: str) -> Array | None:
        return judge.standing(name, source.narrow(name))

    several: list[Contribution] = []
    notes = list(found.notes)
    for output in dict.fromkeys(o.name for o in judge.model.graph.output if o.name in known):
        try:
            run = functools.partial(run_part, runtime)
            several += output_attribution.contributions(judge, weights, feeds, value, known, output, run)
        except Exception as error:  # a runtime's refusal, whatever its type
            notes.append(f"{output} is not attributed: {one_line(error)[:160]}")
    return replace(found, contributions=tuple(several), notes=tuple(notes))


def _with_unstable(
    found: Localization,
    judge: export_nodes.Exported,
    bare: Any,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: SourceValues,
    runtime: str,
) -> Localization:
    """The nodes that together stand for one operator of the source and lose in float32 what it keeps.

    Each is inside its own bound, for none adds more than its rounding; but what log(x + 1) rounds away, log1p keeps.
    What several nodes may lose is what their roundings may, each acting like one of what the first of them reads or of
    the result (``perturbed_runs.derive_bounds`` holds a whole model against the same).  Only where much of an
    output's difference arises is anybody looked at.
    """
    total: dict[str, float] = {}
    for part in found.contributions:
        total[part.output] = total.get(part.output, 0.0) + abs(part.difference)
    large = {n for c in found.contributions if abs(c.difference) > _MUCH * total[c.output] for n in c.nodes}
    lost = []
    for name in sorted(judge.fits & set(source.names), key=judge.maker.__getitem__):
        nodes = judge.stretch(name)
        due = judge.standing(name, source.narrow(name))
        if len(nodes) < 2 or large.isdisjoint(nodes) or due is None or due.dtype != np.float32:
            continue
        made = _made_of_given(judge, bare, weights, feeds, source, name, runtime)
        spread = judge.given_spread(name)
        if made is None or spread is None or made[0].shape != due.shape or spread[0].shape != due.shape:
            continue
        (seen, count), (centre, response) = made, spread
        with np.errstate(all="ignore"):
            bound = (count + TRANSCENDENTAL) * (at_least_mean(response) + UNIT * np.abs(centre) + export_nodes.TINY)
            wide, own = seen.astype(np.float64), due.astype(np.float64)
            far = np.nan_to_num(np.fmin(np.abs(wide - own), np.abs(wide - centre)))
            ratio = np.nan_to_num(far / bound)
        if not ratio.size or ratio.max() <= 1:
            continue
        index = tuple(int(i) for i in np.unravel_index(int(ratio.argmax()), ratio.shape))
        error = Fault(
            nodes[-1],
            judge.operator(name),
            name,
            float(ratio[index]),
            float(far[index]),
            index=index,
            expected=float(own[index]),
            actual=float(wide[index]),
            nodes=nodes,
            origin=source.origins.get(name),
            problem="in float32 these nodes together lose what the source's one operator keeps",
        )
        lost.append(error)
    return replace(found, faults=(*found.faults, *lost))


_MUCH = 0.1  # of an output's difference: no more than a question of where to look


def _made_of_given(
    judge: export_nodes.Exported,
    bare: Any,
    weights: Weights,
    feeds: Mapping[str, Array],
    source: SourceValues,
    name: str,
    runtime: str,
) -> tuple[Array, int] | None:
    """A value as a runtime makes it of the source's values before it, and how many roundings are on the way."""
    wanted, inside, needed = {name}, set[str](), []
    for index, node in reversed(list(enumerate(bare.graph.node))):
        if wanted.isdisjoint(node.output) or (
            name not in node.output and not judge.given.keys().isdisjoint(node.output)
        ):
            continue
        needed.append(index)
        inside.update(node.output)
        wanted.update(cut.reads(node))
    held = {tensor.name for tensor in bare.graph.initializer}
    arrays = {}
    for read in sorted(wanted - inside - held - set(weights)):
        array = feeds[read] if read in feeds else judge.standing(read, source.narrow(read))
        if array is None:
            return None
        arrays[read] = array
    handed = tuple(n for n in wanted if n in weights and n not in held)
    part = cut.Part(tuple(sorted(needed)), tuple(arrays), (name,), handed)
    model = cut.part_model(bare, part, weights, {read: array.dtype for read, array in arrays.items()})
    try:
        (seen,) = run_part(runtime, model.SerializeToString(), {n: weights[n] for n in handed}, arrays, [name])
    except Exception:  # a runtime's refusal, whatever its type: then nobody is accused by it
        return None
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for size in arrays[value.name].shape:
            dims.add().dim_value = size
        value.type.tensor_type.shape.SetInParent()
    counted = roundings(model)
    return None if counted is None or counted.unknown else (seen, counted.count)


def computed_constants(proto: Any, weights: Weights, sources: Sequence[Path]) -> tuple[str, ...]:
    """The constants that the exporter computed itself, if it is known what it was given."""
    from onnx_triangulate.transform.float64 import computed_initializers

    if not sources:
        return ()
    known = (array for file in sources for array in _each(file))
    return tuple(computed_initializers(proto, known, weights))


def _each(file: Path) -> Iterator[Array]:
    """The arrays of an ``.npz`` file, or the constants of an ONNX file, one after another."""
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                yield archive[name]
        return
    import onnx

    proto, weights = read_model(file)
    yield from weights.values()
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.t.ByteSize():
                yield onnx.numpy_helper.to_array(attribute.t)


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
            far = export_nodes.farthest(own, np.asarray(theirs))
            apart = f"by up to {far:.3g} " if far is not None and np.isfinite(far) else ""
            return f"{name} differs {apart}from the native run there"
    return ""
