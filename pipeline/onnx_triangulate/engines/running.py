"""Runs of one case by one engine: what a worker process does for every stage that asks for numbers."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from onnx_triangulate.cases import catalogue, inputs, layout
from onnx_triangulate.engines.frameworks import _model_state, adapter
from onnx_triangulate.engines.frameworks._results import BuilderError
from onnx_triangulate.engines.protocols import Evaluate
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.numerics.compare import same_bits
from onnx_triangulate.records.arrays import Array, ArrayFile
from onnx_triangulate.records.case import Absent, Case, CaseRef, Tensor
from onnx_triangulate.records.errors import InvalidGraph, Unsupported, UnusableInput, one_line
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Failure, Model, Run

CHECK = "check"

_NAMED = 3

_DRAWN_AGAIN = 30  # a Dropout of one element in two gives the same as often as once in 2^30
_DRAWN_SECONDS = 2.0  # a graph that takes longer draws more numbers than can be the same twice
MOST_GUESSED = 2**14  # roundings; beyond, gamma_k leaves a float32 less than three digits, and a bound says nothing


@cache
def warm(framework: str) -> Failure | None:
    """Import a framework once per process; an import that fails is a value of everything asked of it.

    The worker of the runtimes has nothing to import beforehand.
    """
    if framework not in catalogue.frameworks():
        return None
    try:
        adapter(framework).warm()
    except Exception as error:  # a broken installation raises anything
        return Failure("refused", f"importing {framework} raised {type(error).__name__}: {one_line(error)}")
    return None


def run_native(ref: CaseRef, framework: str, doubles: Sequence[bool], seed: int, folder: Path) -> list[Run]:
    """The case natively, in the case's own precision and (``True`` in ``doubles``) in float64, twice each."""
    engine, parties = adapter(framework), [Party(framework, double=double) for double in doubles]
    failure = warm(framework)
    if failure:
        return [Run(party, error=failure) for party in parties]

    def native(party: Party) -> Run:
        def once() -> Mapping[str, Any]:
            case, values = values_of(ref, framework, seed)
            return engine.native(case, values, double=party.double, seed=seed)

        run = _native_run(party, catalogue.load(ref), engine.layouts, once, folder)
        return run if party.double or run.outputs is None else _asked_again(run, ref, framework, seed)

    return [native(party) for party in parties]


def _asked_again(run: Run, ref: CaseRef, framework: str, seed: int) -> Run:
    """A native run with what is known of the model's memory and of its chance.

    The run itself builds the model anew and seeds it for each of its calls, so that both are out of its sight.  So one
    instance is asked three times: the case's inputs, others, and the case's again under another seed.  A model that
    fills a table at its first call answers as before; so does one whose batch statistics move.  Where its state has
    moved, a fresh instance must give the others' answer too, or what it remembers is in its answers.
    """
    case, values = values_of(ref, framework, seed)
    if case.gradient is not None:  # traced as a function of what it is given
        return run
    try:
        memory = _memory_of(case, values, values_of(ref, framework, seed, example=True)[1], framework, seed)
    except Exception as error:  # what answers once and not again has been changed by its first call
        says = f"answers these inputs once and then raises {type(error).__name__}: {one_line(error)}"
        return replace(run, deterministic=False, nondeterminism=f"{framework} {says}")
    moved = memory.moved
    named = f" ({', '.join(moved[:_NAMED])}{', …' if len(moved) > _NAMED else ''})" if moved else ""
    if not memory.steady and memory.draws:
        says = f"draws random numbers: under another seed it answers the same inputs otherwise{named}; "
        says += "what a graph holds of them is one draw"
    elif not memory.steady or memory.answers:
        how = "what it answers depends on the inputs that it was asked before"
        how = how if memory.steady else "asked again it answers the same inputs otherwise"
        says = f"remembers its calls{named}: {how}; a graph has no memory, and holds what one call left"
    else:
        says = f"each call changes {', '.join(memory.kept[:_NAMED])}, on which no output here depends; "
        says += "a graph keeps none of it"
        return replace(run, notes=(*run.notes, says)) if memory.kept else run
    return replace(run, deterministic=False, nondeterminism=f"{framework} {says}")


@dataclass(frozen=True)
class _Memory:
    """What a model shows that is asked again: the names of what its calls changed, and of that what it had before;
    whether it answers the same, draws random numbers, and has what it was asked in its answers."""

    moved: tuple[str, ...]
    kept: tuple[str, ...]
    steady: bool
    draws: bool
    answers: bool


def _memory_of(case: Case, values: Mapping[str, Any], others: Mapping[str, Any], framework: str, seed: int) -> _Memory:
    engine = adapter(framework)
    instance: _model_state.Instance = engine.instance(case, values, seed=seed)
    before = instance.state()
    first = instance(values, seed=seed)
    moved = _model_state.changed(before, instance.state())
    between = _answer_or_none(instance, others, seed)
    steady = _alike(first, instance(values, seed=seed + 1))
    draws = not steady and _alike(first, instance(values, seed=seed))
    draws = draws or any("seed_generator" in name for name in moved)  # Keras keeps the state of its chance so
    fresh = engine.instance(case, values, seed=seed) if steady and moved and between is not None else None
    answers = fresh is not None and not _alike(between or {}, _answer_or_none(fresh, others, seed))
    return _Memory(moved, tuple(name for name in moved if name in before), steady, draws, answers)


def _answer_or_none(instance: _model_state.Instance, values: Mapping[str, Any], seed: int) -> Mapping[str, Any] | None:
    """What a model answers to inputs that are not the case's own, and need not be its to answer."""
    try:
        return instance(values, seed=seed)
    except Exception:
        return None


def _alike(first: Mapping[str, Any], second: Mapping[str, Any] | None) -> bool:
    return second is not None and set(first) == set(second) and all(_same(first[name], second[name]) for name in first)


def run_graph(
    ref: CaseRef, model: Model, items: Sequence[str], seed: int, folder: Path, memory: int | None = None
) -> list[Run]:
    """One graph in each of ``items``: names of runtimes, ``reference@64``, or :data:`CHECK`, the onnx checker.

    ``memory`` is the most bytes that a float64 run may need.
    """
    case = loaded(ref, seed)
    assert model.file is not None
    feeds = feeds_of(ref, case, model, seed)
    runs = []
    for item in items:
        party = Party.parse(f"{model.graph}>{item}")
        started = time.perf_counter()
        try:
            if item == CHECK:
                runs.append(Run(party, outputs={}, notes=_check(model.file)))
                continue
            runs.append(
                _double_run(party, case, model, feeds, memory, folder)
                if party.double
                else graph_run(party, case, model, feeds, folder)
            )
        except Exception as error:  # a runtime's refusal, whatever its type
            runs.append(Run(party, error=_named_op(refusal(error, model.file), model.file)))
        runs[-1] = replace(runs[-1], seconds=time.perf_counter() - started)
        if model.file.with_name(f"{model.file.name}.data").is_file():
            gc.collect()  # an evaluator is a ring of references, and a large model's weights hang on it
    return runs


def feeds_of(ref: CaseRef, case: Case, model: Model, seed: int) -> dict[str, Array]:
    """The case's inputs by the graph's names, in the order of axes at its border."""
    drawn = inputs.inputs_of(case, ref.name, seed)
    return {
        graph_name: layout.permute(drawn[name], case.inputs[name].axes, model.axes.get(name, case.inputs[name].axes))
        for name, graph_name in model.inputs.items()
    }


def loaded(ref: CaseRef, seed: int) -> Case:
    """The case of a reference.

    Raises :class:`UnusableInput` where its numbers are not those that the supervisor saw: each worker loads the file
    for itself, and a file that draws numbers without a seed means something else every time.
    """
    case = catalogue.load(ref)
    if ref.numbers and inputs.fingerprint(case, ref.name, seed) != ref.numbers:
        raise UnusableInput(
            f"{ref.name}: its values change each time {ref.file.name} is loaded; seed its random numbers"
        )
    return case


def values_of(ref: CaseRef, framework: str, seed: int, *, example: bool = False) -> tuple[Case, dict[str, Any]]:
    """The case and its inputs and parameters in the framework's order of axes.

    ``example``: other inputs of the same shapes and types, for an exporter to trace with: what it freezes of them into
    the graph then shows when the graph is run on the case's own.
    """
    case = loaded(ref, seed)
    layouts = adapter(framework).layouts
    fed = inputs.examples_of(case, ref.name, seed) if example else inputs.inputs_of(case, ref.name, seed)
    values = {**fed, **inputs.parameters_of(case, ref.name, framework, seed)}
    for name, spec in {**case.inputs, **inputs.specs_of(case, framework)}.items():
        if isinstance(spec, Tensor):
            values[name] = layout.permute(values[name], spec.axes, layout.order(spec, framework, layouts))
    return case, values


def _native_run(
    party: Party, case: Case, layouts: Mapping[str, str], once: Callable[[], Mapping[str, Any]], folder: Path
) -> Run:
    started = time.perf_counter()
    try:
        first, second = (results_in_case_axes(case, party.framework, layouts, once()) for _ in range(2))
    except (BuilderError, UnusableInput) as error:
        return Run(party, error=Failure("builder", str(error)))
    except Unsupported as error:  # an operator of a file that nobody here defines
        return Run(party, error=Failure("unsupported", str(error), op=error.op, node=error.node))
    except Exception as error:  # whatever the framework raises: it refuses to run this
        return Run(party, error=Failure("refused", f"{type(error).__name__}: {one_line(error)}", op=_native_op(error)))
    outputs: dict[str, Any] = {}
    for name, value in first.items():
        promised = case.outputs.get(name)
        if failure := _unusable(party, name, value, promised):
            return Run(party, error=failure)
        outputs[name] = promised if value is None else _saved(folder, party, name, value, promised)
    same = all(_same(first[name], second.get(name)) for name in first) and set(first) == set(second)
    notes = tuple(note for name, value in first.items() if (note := _says_little(name, value)))
    varies = "" if same else f"two models that {party.framework} built under one seed answer the same inputs otherwise"
    return Run(
        party,
        outputs=outputs,
        deterministic=same,
        seconds=time.perf_counter() - started,
        notes=notes,
        nondeterminism=varies,
    )


def _says_little(name: str, value: Array | None) -> str | None:
    """Why agreement on a result is worth little: many a wrong model gives the same."""
    if value is not None and not value.size:
        return f"{name} has no element, so nothing of it is compared here"
    if value is None or value.size < 2 or value.dtype.kind not in "biufc":
        return None
    if value.dtype.kind in "fc" and not np.isfinite(value).any():
        return f"no element of {name} is finite, so agreement on it says little"
    if (value == value.reshape(-1)[0]).all():
        return f"{name} is {value.reshape(-1)[0]} everywhere, so agreement on it says little"
    return None


def _saved(folder: Path, party: Party, name: str, value: Array, promised: Tensor | Absent | None) -> ArrayFile:
    """An output in a file; numpy has no bfloat16, so such numbers are kept in float32."""
    axes = promised.axes if isinstance(promised, Tensor) else None
    if value.dtype.name != "bfloat16":
        return save(folder, party, name, value, axes)
    return replace(save(folder, party, name, value.astype(np.float32), axes), original_dtype="bfloat16")


def _unusable(party: Party, name: str, value: Array | None, promised: Tensor | Absent | None) -> Failure | None:
    """Why an output of a native run is none that can be compared."""
    if value is None:
        return None if isinstance(promised, Absent) else Failure("refused", f"{party.framework} gives no {name}")
    if party.double and value.dtype in (np.float32, np.float16):
        return Failure("refused", f"{party.framework} gives {name} in {value.dtype} all the same")
    broken = _broken_promise(party, name, value, promised)
    return Failure("builder", broken) if broken else None


def _broken_promise(party: Party, name: str, value: Array, promised: Tensor | Absent | None) -> str | None:
    if not isinstance(promised, Tensor):
        return None
    if value.ndim != len(promised.axes.split()) or (
        promised.shape is not None and value.shape != tuple(promised.shape)
    ):
        wanted = tuple(promised.shape) if promised.shape is not None else f"axes {promised.axes!r}"
        return f"{party}: output {name} has shape {value.shape}, the case promises {wanted}"
    if not party.double and value.dtype != np.dtype(promised.dtype):
        return f"{party}: output {name} is {value.dtype}, the case promises {promised.dtype}"
    return None


def results_in_case_axes(
    case: Case, framework: str, layouts: Mapping[str, str], results: Mapping[str, Any]
) -> dict[str, Any]:
    turned: dict[str, Any] = {}
    for name, value in results.items():
        promised = case.outputs.get(name)
        if value is None or not isinstance(promised, Tensor) or value.ndim != len(promised.axes.split()):
            turned[name] = value
        else:
            turned[name] = layout.permute(value, layout.order(promised, framework, layouts), promised.axes)
    return turned


def graph_run(
    party: Party,
    case: Case,
    model: Model,
    feeds: Mapping[str, Array],
    folder: Path,
    run: Evaluate | None = None,
) -> Run:
    """Run a graph twice in one runtime (or as ``run`` does) and bring its outputs to the case's axes.

    A graph that may draw is run until it answers otherwise, or for a while: two draws of a few elements can be equal.
    """
    assert model.file is not None
    run = run or runtimes()[party.runtime].open(model.file, double=party.double)
    names = list(model.outputs.values())
    first, second = run(feeds, names), run(feeds, names)
    if _same_values(first, second) and _draws(model.file):
        until = time.monotonic() + _DRAWN_SECONDS
        repeated = (run(feeds, names) for _ in range(_DRAWN_AGAIN) if time.monotonic() < until)
        second = next((values for values in repeated if not _same_values(first, values)), second)
    outputs: dict[str, Any] = {
        n: t for n, t in case.outputs.items() if isinstance(t, Absent) and n not in model.outputs
    }
    if len(first) > len(names):
        raise RuntimeError(f"{len(first)} values for the {len(names)} outputs that were asked for")
    for name, value in zip(model.outputs, first, strict=False):  # one too few is a missing output, and compared as such
        promised = case.outputs.get(name)
        axes = promised.axes if isinstance(promised, Tensor) else None
        outputs[name] = save(folder, party, name, in_case_axes(case, model, name, value), axes)
    return Run(party, outputs=outputs, deterministic=_same_values(first, second))


def _same_values(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return len(first) == len(second) and all(map(same_bits, first, second))


@cache
def _draws(file: Path) -> bool:
    """Whether a node of a file may draw random numbers."""
    import onnx

    from onnx_triangulate.ops.random_draws import draws_in

    return draws_in(onnx.load(file, load_external_data=False)) if file.exists() else False


def in_case_axes(case: Case, model: Model, name: str, value: Array) -> Array:
    """An output of a graph, turned from the order of axes at the graph's border to the case's."""
    promised, border = case.outputs.get(name), model.axes.get(name)
    if border is None or not isinstance(promised, Tensor) or value.ndim != len(promised.axes.split()):
        return value
    return layout.permute(value, border, promised.axes)


def _double_run(
    party: Party, case: Case, model: Model, feeds: Mapping[str, Array], memory: int | None, folder: Path
) -> Run:
    """Run the graph in float64, its weights beside it.  ``constant_rounding`` says what it may be off by."""
    from onnx_triangulate.transform.skeleton import in_float64, skeleton

    assert model.file is not None
    from onnx_triangulate.numerics.reference_evaluator import in_float64 as ours
    from onnx_triangulate.onnxgraph.graph import places

    double = in_float64(skeleton(model.file, memory=memory))
    file = written(double.model, folder / f"{party.slug}.onnx")
    fed = {**double.weights, **feeds_in_float64(feeds)}
    run = graph_run(party, case, replace(model, file=file), fed, folder)
    known = {op.__name__ if not op.op_domain else f"{op.op_domain}.{op.__name__}" for op in ours()}
    taken = sorted({place.op for place in places(double.model)} & known)
    note = f"by ONNX's definitions, not by the evaluator's own operators: {', '.join(taken)}"
    return replace(run, notes=(*run.notes, note) if taken else run.notes)


def feeds_in_float64(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The feeds of a graph in float64."""
    return {name: value.astype(np.float64) if value.dtype == np.float32 else value for name, value in feeds.items()}


def arrays_of(file: Path) -> Iterator[Array]:
    """The arrays of an ``.npz`` file, or the constants of an ONNX file, one at a time."""
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                yield archive[name]
        return
    from onnx_triangulate.onnxgraph.weights import read_model

    model, weights = read_model(file)
    yield from weights.values()
    yield from (weights.read(a.t) for node in model.graph.node for a in node.attribute if a.t.ByteSize())


def written(proto: Any, file: Path) -> Path:
    import onnx

    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, file)
    return file


def _check(file: Path) -> tuple[str, ...]:
    """ONNX's full check; what it finds is an :class:`InvalidGraph`, what it cannot find out is said.

    The plain check is of the file, with its data outside; the inference that belongs to the full one may die or never
    end on a graph that is valid, and that is nobody's fault.
    """
    import onnx

    from onnx_triangulate.onnxgraph.loading import load
    from onnx_triangulate.onnxgraph.sandboxed_check import full_check, named_by_checker

    try:
        onnx.checker.check_model(str(file), full_check=False)
    except Exception as error:  # ValidationError, or whatever protobuf raises
        op, node = named_by_checker(str(error))
        raise InvalidGraph(f"onnx.checker: {one_line(error)}", op=op, node=node) from error
    found = full_check(load(file))
    if isinstance(found, Failure):
        return (f"ONNX's full check gives no answer: {found.message}",)
    if found is not None:
        raise InvalidGraph(found.message, op=found.op, node=found.node)
    return ()


def refusal(error: Exception, file: Path) -> Failure:
    """What a runtime raised, as a failure that does not say where this run keeps its files."""
    if isinstance(error, (Unsupported, InvalidGraph)):
        kind = "unsupported" if isinstance(error, Unsupported) else "invalid"
        return Failure(kind, str(error).replace(f"{file.parent}{os.sep}", ""), op=error.op, node=error.node)
    says = f"{type(error).__name__}: {one_line(error)}"
    at = re.search(r"running (\w+) node\. Name:'([^']*)'", says)  # ONNX Runtime's words
    op, node = (at[1], at[2] or None) if at else (None, None)
    return Failure("refused", says.replace(f"{file.parent}{os.sep}", ""), op=op, node=node)


def _named_op(failure: Failure, file: Path) -> Failure:
    """The failure with the operator that ONNX does not know, if the graph holds one: messages rarely name it well."""
    from onnx_triangulate.facts.file import load, unknown_operators

    try:
        unknown = unknown_operators(load(file))
    except UnusableInput:
        return failure
    return replace(failure, op=unknown[0][1], node=unknown[0][0]) if unknown else failure


def _native_op(error: BaseException) -> str | None:
    """The operator a framework's own refusal names: TensorFlow writes ``{{function_node …}}`` and ``[Op:Conv2D…]``."""
    found = re.search(r"\[Op:(\w+)\]", str(error)) or re.search(r"aten(?:\.|::)(\w+)", str(error))
    return found[1] if found else None


def save(folder: Path, party: Party, name: str, value: Any, axes: str | None = None, *, kind: str = "") -> ArrayFile:
    """Write one array through a temporary name.

    Output names may hold anything: they are quoted, and what is long or would be told apart by its case only gets a
    name of its own. ``kind`` keeps what belongs to an output (its bound's scale) out of the outputs' way.
    """
    array = np.asarray(value)
    dtype = array.dtype.name
    if array.dtype.kind not in "biufcSU":
        array = array.view(np.dtype(f"uint{array.dtype.itemsize * 8}"))
    place = folder / party.slug / kind
    place.mkdir(parents=True, exist_ok=True)
    quoted = quote(name, safe="")
    if len(quoted) > 100 or quoted != quoted.lower():
        quoted = f"{quoted[:100]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    file = place / f"{quoted}.npy"
    temporary = file.with_name(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            np.save(stream, array, allow_pickle=False)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return ArrayFile(file, tuple(array.shape), dtype, axes)


def _same(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is None and second is None
    return same_bits(np.asarray(first), np.asarray(second))
