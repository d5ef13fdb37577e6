"""What the supervisor asks worker processes for: exports, definitions, what a graph holds, weights, causes.

Each takes and returns records.  A task is a batch of items of one engine (native in both precisions, the exporters, the
runtimes of one graph); an engine's refusal of an item is that item's value.  If the process dies in the middle, the
supervisor sends the items again one by one, so a death costs the item that caused it and no other.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines.frameworks import adapter
from onnx_triangulate.engines.frameworks._results import BuilderError
from onnx_triangulate.engines.running import (
    arrays_of,
    feeds_in_float64,
    feeds_of,
    in_case_axes,
    loaded,
    save,
    values_of,
    warm,
    written,
)
from onnx_triangulate.ops.rounding_counts import SUBNORMAL
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.case import Absent, Case, CaseRef, Rounded, Tensor
from onnx_triangulate.records.errors import UnusableInput, one_line
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Bound, Failure, Model, Roundings, Run
from onnx_triangulate.records.verdict import Evidence, Finding

MOST_OUTSIDE = 2**30  # bytes of weights in other files with which a graph is read whole


def graph_definition(ref: CaseRef, model: Model, run: Run, seed: int, folder: Path, memory: int | None = None) -> Run:
    """A definition from an export's own float64 ``run``, for a source that is another program in float64.

    Its bound is the response to roundings inside the graph, for as many as lie on its longest path.
    """
    from onnx_triangulate.numerics.float64_evaluation import take_apart
    from onnx_triangulate.numerics.rounding_response import inner_scale
    from onnx_triangulate.onnxgraph.inlining import inlined
    from onnx_triangulate.transform.skeleton import in_float64, skeleton

    assert model.file is not None
    party = Party("truth", meaning=run.party.framework)
    label = f"{run.party}, for {run.party.framework} itself is another program in float64"
    try:
        case = loaded(ref, seed)
        fed = feeds_of(ref, case, model, seed)
        counted = count_roundings(model.file, {name: value.shape for name, value in fed.items()})
        slim = skeleton(model.file, memory=memory)
        slim = replace(slim, model=inlined(slim.model))
        double = in_float64(slim)
        names = {own: model.outputs[own] for own in run.arrays("f")}
        graph = take_apart(double.model, {})
        found = inner_scale(graph, {**double.weights, **feeds_in_float64(fed)}, list(names.values()))
    except Exception as error:  # whatever an evaluation raises
        return Run(party, error=Failure("refused", f"perturbation: {one_line(error)}"), derived=label)
    if counted is None or counted.unknown:
        return Run(party, outputs=run.outputs, derived=f"{label}; no bound: there is no count of its roundings")
    bounds = {}
    for own, border in names.items():
        scale = in_case_axes(case, model, own, found.scale[border])
        bounds[own] = scaled_bound(folder, party, own, scale, counted.count)
    how = f"scale from the roundings inside {model.graph}, k = {counted.count}"
    return Run(party, outputs=run.outputs, bounds=bounds, derived=f"{label}; {how}")


def scaled_bound(folder: Path, party: Party, name: str, scale: Array, roundings: int) -> Bound:
    """A bound of so many roundings of numbers of the size of ``scale``, which is written to a file."""
    return Bound(save(folder, party, name, scale, kind="scale"), roundings, floor=roundings * SUBNORMAL)


def export(ref: CaseRef, framework: str, exporters: Sequence[str], seed: int, folder: Path) -> list[Model]:
    """The case through each of the framework's ``exporters``."""
    engine = adapter(framework)
    graphs = [Party(framework, exporter).graph for exporter in exporters]
    failure = warm(framework)
    if failure is None:
        try:
            case, values = values_of(ref, framework, seed, example=True)
            models = list(engine.export(case, values, exporters, folder, seed=seed))
            refused = [Party.parse(model.graph).exporter for model in models if model.error is not None]
            if refused and not _runs(case, framework, values, seed):
                again = {model.graph: model for model in _traced_with_its_own(ref, framework, refused, seed, folder)}
                models = [again.get(model.graph, model) for model in models]
            _freeze()
            return models
        except (BuilderError, UnusableInput) as error:
            failure = Failure("builder", str(error))
    return [Model(graph, error=failure) for graph in graphs]


def _runs(case: Case, framework: str, values: Mapping[str, Any], seed: int) -> bool:
    """Whether the model itself runs on inputs that nobody gave it."""
    try:
        adapter(framework).native(case, values, double=False, seed=seed)
    except Exception:  # whatever the framework raises
        return False
    return True


def _traced_with_its_own(
    ref: CaseRef, framework: str, exporters: Sequence[str], seed: int, folder: Path
) -> list[Model]:
    """Exports traced with the case's own inputs, where the model refuses others of the same shapes and types.

    A length that is larger than what it is the length of says nothing of an exporter.
    """
    case, values = values_of(ref, framework, seed)
    note = "traced with the case's own inputs, for the model refuses others of their shapes"
    found = adapter(framework).export(case, values, exporters, folder, seed=seed)
    return [replace(model, notes=(*model.notes, note)) for model in found]


@cache
def _freeze() -> None:
    """Once, when everything an exporter keeps is there: take it out of the garbage collector's sight.

    Half a million objects that never die are looked at again and again otherwise, a quarter of an export's time.
    """
    gc.collect()
    gc.freeze()


def run_truth(ref: CaseRef, seed: int, folder: Path) -> list[Run]:
    """The case's definition, per framework's semantics and per set of parameters where these differ.

    The parties walk from one framework to the other one change at a time: what torch means with torch's parameters,
    what torch means with TensorFlow's parameters, what TensorFlow means with its own.
    """
    case = catalogue.load(ref)
    if case.truth is None:
        return []
    frameworks, fed = sorted(case.builders), inputs.inputs_of(case, ref.name, seed)
    several = isinstance(case.truth, Mapping)
    if not several and not inputs.differing(case):
        plan = [(Party("truth"), frameworks[0], frameworks[0])]
    else:
        plan = [(Party("truth", meaning=f), f, f) for f in frameworks]
        if several and inputs.differing(case):
            first, *others = reversed(frameworks)
            plan += [(Party("truth", meaning=first, parameters=other), first, other) for other in others]
    runs = []
    for party, meaning, given in plan:
        try:
            returned = _returned(case, meaning, {**fed, **inputs.parameters_of(case, ref.name, given, seed)})
            runs.append(_definition_run(case, party, returned, folder))
        except BuilderError as error:
            runs.append(Run(party, error=Failure("builder", f"the truth of {ref.name} {error}")))
        except Exception as error:  # what the case's own code returned cannot be made an array with a bound
            says = f"the truth of {ref.name} returned nothing usable: {type(error).__name__}: {one_line(error)}"
            runs.append(Run(party, error=Failure("builder", says)))
    return runs


def read_facts(model: Model) -> GraphFacts | None:
    """What the exported graph holds; None where it cannot be read."""
    from onnx_triangulate.facts.file import read_facts as read

    assert model.file is not None
    try:
        return read(model.file)
    except UnusableInput:
        return None


def count_roundings(file: Path, shapes: Mapping[str, Sequence[int] | None] | None = None) -> Roundings | None:
    """How many float roundings lie on the longest path of a graph, fed with ``shapes`` by input."""
    from onnx_triangulate.ops.roundings import roundings
    from onnx_triangulate.transform.shape_folding import settled_at

    return roundings(settled_at(file, shapes or {}))


def maker(model: Model, output: str) -> tuple[str, str] | None:
    """The node that makes one of the case's outputs, and its operator; an Identity is asked for what it hands on."""
    from onnx_triangulate.onnxgraph.loading import load
    from onnx_triangulate.onnxgraph.nodes import node_name, operator

    assert model.file is not None
    try:
        nodes = load(model.file).graph.node
    except UnusableInput:
        return None
    makers = {made: index for index, node in enumerate(nodes) for made in node.output}
    index = makers.get(model.outputs.get(output, output))
    while index is not None and nodes[index].op_type == "Identity":
        index = makers.get(nodes[index].input[0])
    return None if index is None else (node_name(nodes[index], index), operator(nodes[index]))


def in_inference(model: Model, folder: Path) -> tuple[Model, dict[str, str]] | None:
    """A graph with the nodes that train put into inference, and these; None where there are none, or too large."""
    import onnx

    from onnx_triangulate.facts.training import in_inference as inferring
    from onnx_triangulate.facts.training import training_nodes
    from onnx_triangulate.onnxgraph.loading import load

    assert model.file is not None
    try:
        proto = load(model.file)
        changed = inferring(proto)
        if changed is None:
            return None
        onnx.load_external_data_for_model(changed, str(model.file.parent))
        return replace(model, file=written(changed, folder / model.file.name)), training_nodes(proto)
    except Exception:  # data that is not there, weights beyond what one file holds: then nodes are searched for
        return None


def source_weights(ref: CaseRef, framework: str, seed: int, folder: Path) -> Path | None:
    """The weights of the case's model in an ``.npz``; None where it cannot be built."""
    if warm(framework) is not None:
        return None
    try:
        case, values = values_of(ref, framework, seed)
        return adapter(framework).weights(case, values, folder, seed=seed)
    except Exception:  # whatever the framework raises; its native run says so
        return None


def different_weights(left: Model, right: Model) -> tuple[str, ...]:
    """The constants of ``left`` that are none of ``right``'s, up to the order of their axes."""
    from onnx_triangulate.transform.float64 import computed_initializers
    from onnx_triangulate.transform.skeleton import skeleton

    assert left.file is not None
    assert right.file is not None
    try:
        slim = skeleton(left.file)
        return tuple(computed_initializers(slim.model, arrays_of(right.weights or right.file), slim.weights))
    except Exception:  # data in another file that is not there: such a graph is blamed for that
        return ()


def _model(file: Path) -> Any:
    """A graph with its weights; without those in another file that is missing or too large to be held here."""
    import onnx

    proto = onnx.load(file, load_external_data=False)
    outside = [e for t in proto.graph.initializer for e in t.external_data if e.key == "length" and e.value.isdigit()]
    if sum(int(entry.value) for entry in outside) <= MOST_OUTSIDE:
        try:
            onnx.load_external_data_for_model(proto, str(file.parent))
        except Exception:  # onnx has an error of its own for every reason
            return onnx.load(file, load_external_data=False)
    return proto


def explain(evidence: Evidence) -> tuple[Finding, ...]:
    """Look for causes in what was seen."""
    from onnx_triangulate.causes import find_causes

    @cache
    def load(graph: str) -> Any:
        model = evidence.models.get(graph)
        return _model(model.file) if model is not None and model.file is not None else None

    return find_causes(evidence, load)


def _returned(case: Case, meaning: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the case's definition gives, by output.  Raises :class:`BuilderError` where it does not."""
    truth = case.truth[meaning] if isinstance(case.truth, Mapping) else case.truth
    assert truth is not None
    given = {name: _in_float64(value) for name, value in arguments.items()}
    try:
        with np.errstate(all="ignore"):
            returned = inputs.defined(truth, given)
    except Exception as error:  # the case's own code
        raise BuilderError(f"raised {type(error).__name__}: {one_line(error)}") from error
    if isinstance(returned, Mapping):
        return returned
    present = [name for name, tensor in case.outputs.items() if isinstance(tensor, Tensor)]
    if len(present) > 1:
        raise BuilderError(f"returned one array for {present}")
    return {(present or ["y"])[0]: returned}


def _definition_run(case: Case, party: Party, returned: Mapping[str, Any], folder: Path) -> Run:
    """The values of a definition, with their bounds."""
    outputs: dict[str, Any] = {n: t for n, t in case.outputs.items() if isinstance(t, Absent)}
    bounds: dict[str, Bound] = {}
    for name, value in returned.items():
        promised = case.outputs.get(name)
        axes = promised.axes if isinstance(promised, Tensor) else None
        array = np.asarray(value.value if isinstance(value, Rounded) else value)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"{name} is {array.dtype}, expected numbers")
        meant = promised.dtype if isinstance(promised, Tensor) else array.dtype
        array = array.astype(np.float64) if "f" in (array.dtype.kind, np.dtype(meant).kind) else array
        if isinstance(value, Rounded):
            bounds[name] = Bound()
            if value.scale is not None:
                scale = np.broadcast_to(np.asarray(value.scale, dtype=np.float64), array.shape)
                bounds[name] = Bound(save(folder, party, name, scale, axes, kind="scale"), value.roundings, value.floor)
        outputs[name] = save(folder, party, name, array, axes)
    lacking = set(case.outputs) ^ set(outputs) if case.outputs else set()
    if lacking:
        raise BuilderError(f"and its outputs differ in {sorted(lacking)}")
    return Run(party, outputs=outputs, bounds=bounds)


def _in_float64(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
