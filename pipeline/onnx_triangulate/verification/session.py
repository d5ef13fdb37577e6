"""What is known about one case at one size: who runs what in which worker, and a failure where a value is missing.

Design note.  A case is seen once at its declared shapes, where its exports are made or a given file is taken in their
place, and once more at each other size of its dynamic axes, where the same graphs run on other arrays: an export that
has frozen a size shows only there.  Nothing is judged here.

A limit that was reached is remembered: what hung, or outgrew its memory, is not asked again in this case, at no other
size and for no other reason, because it would be waited for again each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onnx_triangulate.cases import catalogue, inputs
from onnx_triangulate.engines import running
from onnx_triangulate.engines.frameworks import adapters
from onnx_triangulate.engines.protocols import Runtime
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.engines.workers import Workers, died
from onnx_triangulate.records.arrays import ArrayFile
from onnx_triangulate.records.case import Case, CaseRef, Tensor
from onnx_triangulate.records.graphs import GraphFacts
from onnx_triangulate.records.party import Party
from onnx_triangulate.records.runs import Diff, Failure, Model, Run
from onnx_triangulate.verification import external_models, perturbed_runs, tasks, triangulate
from onnx_triangulate.verification.localization import RUNTIME_WORKER

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Options:
    """How to run.

    ``parties`` are globs of the ONNX parties to run, all of them if there are none (``("torch>ort.*",)``); natives,
    definitions, float64 and the runtimes that one is held against are always there.  ``timeout`` is seconds per call
    into an engine, ``memory`` bytes of resident size per worker.  ``inputs`` is an ``.npz`` in place of the cases' own
    inputs, ``onnx`` files to be judged in place of fresh exports, by party (``(("torch", Path("model.onnx")),)``).
    """

    seed: int = 0
    jobs: int = 1
    require: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    out: Path | None = None
    timeout: float = 120.0
    memory: int = 8 * 2**30
    inputs: Path | None = None
    onnx: tuple[tuple[str, Path], ...] = ()


_LIMITS = ("timeout", "memory")
_ENOUGH = 2  # items of one graph that reached a limit; of the others as much is to be expected
_Key = tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """Who works, on what terms, and who is absent.

    For one case, ``deaths`` are sentences about processes that were killed and whose work another one then did, and
    ``spent`` is what reached a limit.
    """

    workers: Workers
    options: Options
    absent: Sequence[str] = ()
    deaths: list[str] = field(default_factory=list)
    spent: dict[_Key, Failure] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Bytes that the weights of one model may take in a worker that holds more than these."""
        return int(0.9 * self.options.memory)

    def call(self, kind: str, function: Callable[..., Any], *arguments: Any) -> Any:
        key = _key(kind, function, arguments)
        if key in self.spent:
            return self.spent[key]
        answer = self.workers.ask(kind, function, arguments, deaths=self.deaths)
        if isinstance(answer, Failure):
            self._remember(key, answer)
        return answer

    def each(
        self,
        kind: str,
        function: Callable[..., Any],
        arguments: Callable[[Sequence[Item]], Sequence[Any]],
        items: Sequence[Item],
        failed: Callable[[Item, Failure], Result],
    ) -> list[Result]:
        """A batch in one call; if its process dies, each item in a call of its own, so that only the guilty one is
        lost.  ``arguments(ITEMS)`` are those of the call."""
        keys = {place: _key(kind, function, arguments([item])) for place, item in enumerate(items)}
        lost = {place: failure for place, key in keys.items() if (failure := self._reached(kind, function, key))}
        left = [place for place in keys if place not in lost]
        answer = self._batch(kind, function, arguments([items[place] for place in left]), len(left))
        if not isinstance(answer, Failure):
            found = dict(zip(left, answer, strict=True))
        elif len(left) == 1 or (answer.kind in _LIMITS and _native_key(kind) in self.spent):
            found, lost = {}, {**lost, **dict.fromkeys(left, answer)}
        else:
            found = {}
            for place in left:
                if failure := self._reached(kind, function, keys[place]):
                    lost[place] = failure
                    continue
                reached = [failure for failure in lost.values() if failure.kind in _LIMITS]
                if len(reached) >= _ENOUGH:
                    lost[place] = replace(
                        reached[-1], message=f"not asked, for {len(reached)} others: {reached[-1].message}"
                    )
                    continue
                one = self.workers.ask(kind, function, arguments([items[place]]), again=False)
                if isinstance(one, Failure):
                    lost[place] = one
                    self._remember(keys[place], one)
                else:
                    found[place] = one[0]
            if answer.kind == "crashed" and not any(failure.kind == "crashed" for failure in lost.values()):
                self.deaths.append(died(kind, function, answer))
        for place, failure in lost.items():
            self._remember(keys[place], failure)
        return [found[place] if place in found else failed(items[place], lost[place]) for place in keys]

    def _remember(self, key: _Key, failure: Failure) -> None:
        if failure.kind in _LIMITS:
            self.spent.setdefault(key, failure)

    def _reached(self, kind: str, function: Callable[..., Any], key: _Key) -> Failure | None:
        """The limit that this reached before; float64 takes no less time and memory than what reached one without."""
        single = self.spent.get(_native_key(kind)) if function is running.run_native else None
        return self.spent.get(key) or single

    def _batch(self, kind: str, function: Callable[..., Any], arguments: Sequence[Any], count: int) -> Any:
        if not count:
            return []
        return self.workers.ask(kind, function, arguments, deaths=self.deaths, again=count == 1)


def _key(kind: str, function: Callable[..., Any], arguments: Sequence[Any]) -> _Key:
    """What is asked of whom, at whatever size."""
    about = [
        a.graph if isinstance(a, Model) else repr(a) for a in arguments if isinstance(a, (Model, str, list, tuple))
    ]
    return (kind, function.__name__, *about)


def _native_key(kind: str) -> _Key:
    """What is remembered of a framework that did not run the case in its own precision."""
    return _key(kind, running.run_native, [kind, [False]])


@dataclass(frozen=True)
class Seen:
    """Everything that ran of a case at one size, and what was seen between the parties."""

    ref: CaseRef
    case: Case
    folder: Path
    runs: Mapping[str, Run] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    graphs: Mapping[str, GraphFacts] = field(default_factory=dict)
    checks: Mapping[str, Failure | None] = field(default_factory=dict)
    edges: tuple[Diff, ...] = ()

    def parties(self, seed: int) -> triangulate.Parties:
        one_meaning = not isinstance(self.case.truth, Mapping)
        nan_fed = inputs.nan_fed(self.case, self.ref.name, seed)
        return triangulate.Parties(self.runs, self.graphs, one_meaning=one_meaning, nan_fed=nan_fed)


def survey(work: Work, ref: CaseRef, given: Mapping[str, Path | Failure], folder: Path) -> Seen:
    """The case at its declared shapes.  ``given`` are files to be judged in place of a framework's fresh exports, or
    why one cannot be read."""
    case = catalogue.load(ref)
    folder.mkdir(parents=True, exist_ok=True)
    engines = {n: adapter for n, adapter in adapters().items() if n in case.builders and n not in work.absent}
    taken = {Party.parse(graph).framework for graph in given}
    graphs = [Party(n, e).graph for n, engine in engines.items() if n not in taken for e in engine.exporters]
    graphs += [graph for graph in given if Party.parse(graph).framework in engines]
    asked = [graph for graph in graphs if items(work, graph)]
    runs, models = _sources(
        work, ref, sorted(engines), [g for g in asked if g not in given], _sharp(work, graphs), folder
    )
    for graph in asked:
        if graph in given:
            file = given[graph]
            if isinstance(file, Failure):
                models[graph] = Model(graph, error=file)
            else:
                models[graph] = _adopted(work, ref, graph, file, runs, folder)
    models = {name: models[name] for name in sorted(models)}
    seen = Seen(ref, case, folder, runs, models, _facts(work, models))
    return _sharpened(work, _finished(work, _through_runtimes(work, seen, models, check=True)))


def resized(work: Work, seen: Seen, sizes: tuple[tuple[str, int], ...]) -> Seen:
    """The same graphs, fed and judged at other sizes; a graph that has no other size is left out (:func:`frozen`)."""
    ran = [m for g, m in seen.models.items() if m.error is None and not frozen(seen, g)]
    return _elsewhere(work, seen, replace(seen.ref, sizes=sizes), ran)


def asked_otherwise(seen: Seen) -> tuple[str, ...]:
    """The other inputs than the case's own on which a graph is to be judged (:data:`inputs.DRAWN`)."""
    return inputs.redrawn(catalogue.declared(seen.ref), seen.case) if _conditional(seen) else ()


def redrawn(work: Work, seen: Seen, drawn: str) -> Seen:
    """The graphs that may be right for some inputs only, fed with others than the case's own."""
    return _elsewhere(work, seen, replace(seen.ref, drawn_inputs=(drawn, work.options.seed)), _conditional(seen))


def _conditional(seen: Seen) -> list[Model]:
    """Files that somebody else exported, and exports whose tracer says that it took a value for a constant."""
    return [
        model for model in seen.models.values() if model.error is None and (model.external or model.traced_constants)
    ]


def fed_with(work: Work, seen: Seen, given: Model, fresh: Model, says: str, file: Path) -> Seen | None:
    """A given file on inputs that were sought; None where the fresh export ``fresh`` leaves the source there as well,
    or where the source has no answer: such inputs say nothing of the file."""
    globs = work.options.parties
    asked = replace(work, options=replace(work.options, parties=(*globs, f"{fresh.graph}>*") if globs else ()))
    ref = replace(seen.ref, drawn_inputs=(says, work.options.seed), inputs_file=file)
    other = _elsewhere(asked, seen, ref, [given, fresh])
    framework = given.graph.partition(":")[0]
    present = {name: r for name, r in runtimes().items() if r.distribution not in work.absent}
    blames = triangulate.blame(other.parties(work.options.seed), other.models, other.edges, present, other.checks)
    native = other.runs.get(framework)
    leaves = any(b.party == fresh.graph and b.blame in ("export", "export-failed") for b in blames)
    if native is None or native.outputs is None or leaves:
        return None
    gone = {name for name, run in other.runs.items() if run.party.graph == fresh.graph}
    runs = {name: run for name, run in other.runs.items() if name not in gone}
    edges = tuple(edge for edge in other.edges if edge.left not in gone and edge.right not in gone)
    return replace(other, runs=runs, edges=edges, models={given.graph: other.models[given.graph]})


def _elsewhere(work: Work, seen: Seen, ref: CaseRef, ran: Sequence[Model]) -> Seen:
    case = catalogue.load(ref)
    ref = replace(ref, numbers=inputs.fingerprint(case, ref.name, work.options.seed))
    folder = seen.folder / f"at {ref.size}".replace(", ", " ")
    folder.mkdir(parents=True, exist_ok=True)
    given = {model.graph.partition(":")[0] for model in ran}
    frameworks = sorted(n for n, r in seen.runs.items() if r.party.native and not r.party.double and not r.error)
    frameworks = [name for name in frameworks if not ref.drawn_inputs or name in given]
    runs, _ = _sources(work, ref, frameworks, [], _sharp(work, [model.graph for model in ran]), folder)
    other = Seen(ref, case, folder, runs, {model.graph: model for model in ran}, seen.graphs)
    ran_through = _through_runtimes(work, other, seen.models, check=False, declared=seen.runs)
    return _sharpened(work, _finished(work, ran_through))


def frozen(seen: Seen, graph: str) -> str | None:
    """Which input of a graph has a fixed size where the case declares a dynamic axis, in words."""
    model, facts = seen.models[graph], seen.graphs.get(graph)
    if not seen.case.dynamic or model.error is not None or facts is None:
        return None
    for name, border in model.inputs.items():
        tensor, declared = seen.case.inputs[name], facts.inputs.get(border, "")
        axes = model.axes.get(name, tensor.axes).split()
        sizes = declared.partition("[")[2].rstrip("]").split(",")
        for axis, size in zip(axes, sizes, strict=False):
            if axis in seen.case.dynamic and size.isdigit():
                return f"input {name} has {axis} fixed at {size}, which the case declares dynamic"
    return None


def _finished(work: Work, seen: Seen) -> Seen:
    """With definitions and edges; slack is measured for the float64 runs on the edges that part without it."""
    seed = work.options.seed
    seen = replace(seen, runs={**_truths(work, seen), **seen.runs})
    present = {name: r for name, r in runtimes().items() if r.distribution not in work.absent}
    edges = triangulate.edges_of(seen.parties(seed), list(seen.models), present)
    aside = _another_program(work, seen, edges)
    if aside is not None:
        seen = aside
        edges = triangulate.edges_of(seen.parties(seed), list(seen.models), present)
    ends = {end for edge in edges if edge.outcome == "diverges" for end in (edge.left, edge.right)}
    wanted = [n for n in sorted(ends) if seen.runs[n].party.double and seen.runs[n].party.runtime]
    frameworks = {seen.runs[name].party.framework for name in (*wanted, *triangulate.constants_asked(edges))}
    if frameworks:
        runs, models = dict(seen.runs), dict(seen.models)
        for framework in sorted(frameworks):
            if f"{framework}@64" in runs:
                source = runs[f"{framework}@64"]
                answer = work.call(
                    framework, perturbed_runs.constants_slack, seen.ref, framework, source, seed, seen.folder
                )
                measured = not isinstance(answer, Failure)
                runs[f"{framework}@64"] = answer if measured else perturbed_runs.unmeasured(source, answer.says)
        for name in wanted:
            graph = runs[name].party.graph
            sources = sources_of(work, seen, models[graph])
            models[graph] = replace(models[graph], weights=next(iter(sources), None))
            arguments = (seen.ref, models[graph], runs[name], sources, seed, seen.folder, work.room)
            answer = work.call(RUNTIME_WORKER, tasks.with_slack, *arguments)
            runs[name] = replace(runs[name], outputs=None, error=answer) if isinstance(answer, Failure) else answer
        seen = replace(seen, runs=runs, models=models)
        edges = triangulate.edges_of(seen.parties(seed), list(seen.models), present)
    return replace(seen, edges=tuple(replace(edge, size=seen.ref.size) for edge in edges))


def _sharpened(work: Work, seen: Seen) -> Seen:
    """With every edge from a source to its own graph in float64 on the bound that is derived of the model.

    What a case declares of its definition says how far float arithmetic may lie from that, generously or not; it is no
    leave for a graph to mean something else.  Deriving takes perturbations, so it is done where the declared bound
    passes a difference that is not of float64's own size.
    """
    if seen.case.truth is None:
        return seen
    passed = [edge for edge in seen.edges if _in_double(edge) and edge.outcome in ("rounding", "missing")]
    large = [edge for edge in passed if (edge.max_abs or 0.0) > _OWN_SIZE * _top(seen.runs[edge.left])]
    if not large:
        return seen
    bare = {name: run for name, run in seen.runs.items() if run.party.framework != "truth"}
    folder = seen.folder / "undeclared"
    other = _finished(work, replace(seen, case=replace(seen.case, truth=None), runs=bare, folder=folder))
    sharp = {(edge.left, edge.right): edge for edge in other.edges if _in_double(edge) and edge.outcome != "missing"}
    return replace(seen, edges=tuple(sharp.get((edge.left, edge.right), edge) for edge in seen.edges))


_OWN_SIZE = 2.0**-40  # of float64's 52 bits: no more than a question of whether to look


def _in_double(edge: Diff) -> bool:
    left, right = Party.parse(edge.left), Party.parse(edge.right)
    return left.double and right.double and left.framework == right.framework


def _top(run: Run) -> float:
    """The largest number of a run's outputs, by size."""
    outputs = [value.load() for value in (run.outputs or {}).values() if isinstance(value, ArrayFile)]
    sizes = [np.abs(array.astype(np.float64)) for array in outputs if array.dtype.kind in "fiu"]
    return max((float(size[np.isfinite(size)].max(initial=0.0)) for size in sizes), default=0.0)


def _another_program(work: Work, seen: Seen, edges: Sequence[Diff]) -> Seen | None:
    """Without the float64 runs of frameworks whose code is another program in float64, where that is so.

    Code that asks the type for its limits (``finfo(x.dtype).min``, ``nan_to_num``) means other numbers there.  It shows
    by this: the float64 run stands alone, and every other path, in float32 and in float64, agrees with every other.
    And what overflows in float32 alone is another program where the case's own definition has it overflow.
    """
    parted = {(e.left, e.right) for e in edges if e.outcome in ("diverges", "missing")}
    found = None
    for framework in sorted({run.party.framework for run in seen.runs.values() if run.party.native}):
        name = str(Party("truth", meaning=framework))
        truth, double = seen.runs.get(name), seen.runs.get(f"{framework}@64")
        if seen.parties(work.options.seed).other_in_double(framework):
            own = seen.runs[framework]
            own = replace(own, notes=(*own.notes, "in float64 it is another program, further off than float32 may be"))
            kept = {n: r for n, r in seen.runs.items() if not (r.party.double and r.party.framework == framework)}
            seen = found = replace(seen, runs=kept | {framework: own})
            continue
        if (name, framework) not in parted or truth is None or not truth.derived or double is None:
            continue
        if double.outputs is None or seen.runs[framework].outputs is None:
            continue
        graphs = [r for r in seen.runs.values() if r.party.framework == framework and r.party.runtime]
        graphs = [run for run in graphs if run.outputs is not None]
        chosen = next((run for run in graphs if run.party.double), None)
        if chosen is None or all(run.party.double for run in graphs):
            continue
        model = seen.models[chosen.party.graph]
        arguments = (seen.ref, model, chosen, work.options.seed, seen.folder, work.room)
        answer = work.call(RUNTIME_WORKER, tasks.graph_definition, *arguments)
        if not isinstance(answer, Run) or answer.outputs is None:
            continue
        runs = {n: run for n, run in seen.runs.items() if n != f"{framework}@64"} | {name: answer}
        other = replace(seen, runs=runs)
        parties = other.parties(work.options.seed)
        if all(parties.diff(name, str(run.party), "native").agrees for run in [seen.runs[framework], *graphs]):
            seen = found = other
    return found


def sources_of(work: Work, seen: Seen, model: Model) -> tuple[Path, ...]:
    """Where the weights of a graph's source are; what is none of them, its exporter has computed."""
    if model.weights is not None:
        return (model.weights,)
    framework = model.graph.partition(":")[0]
    file = work.call(framework, tasks.source_weights, seen.ref, framework, work.options.seed, seen.folder)
    return () if file is None or isinstance(file, Failure) else (file,)


def _sources(
    work: Work, ref: CaseRef, frameworks: Sequence[str], graphs: Sequence[str], doubles: Sequence[bool], folder: Path
) -> tuple[dict[str, Run], dict[str, Model]]:
    """The native runs, and the exports ``graphs``; the frameworks work side by side."""
    seed = work.options.seed

    def source(name: str) -> tuple[list[Run], list[Model]]:
        native = work.each(
            name,
            running.run_native,
            lambda chosen: (ref, name, chosen, seed, folder),
            doubles,
            lambda double, failure: Run(Party(name, double=double), error=failure),
        )
        exported = work.each(
            name,
            tasks.export,
            lambda exporters: (ref, name, exporters, seed, folder),
            [Party.parse(graph).exporter for graph in graphs if Party.parse(graph).framework == name],
            lambda exporter, failure: Model(Party(name, exporter).graph, error=failure),
        )
        return native, exported

    runs: dict[str, Run] = {}
    models: dict[str, Model] = {}
    with ThreadPoolExecutor(max_workers=max(1, len(frameworks))) as side_by_side:
        for native, exported in side_by_side.map(source, sorted(frameworks, reverse=True)):
            runs |= {str(run.party): run for run in native}
            models |= {model.graph: model for model in exported}
    return runs, models


def _adopted(work: Work, ref: CaseRef, graph: str, file: Path, runs: Mapping[str, Run], folder: Path) -> Model:
    """A given file as the export ``graph``, with the weights of the framework that it is held against."""
    framework, seed = Party.parse(graph).framework, work.options.seed
    weights = work.call(framework, tasks.source_weights, ref, framework, seed, folder)
    weights = None if isinstance(weights, Failure) else weights
    model = work.call(RUNTIME_WORKER, external_models.adopt, ref, graph, file, runs[framework], weights, seed)
    return Model(graph, file=None, error=model) if isinstance(model, Failure) else model


def _through_runtimes(
    work: Work, seen: Seen, models: Mapping[str, Model], *, check: bool, declared: Mapping[str, Run] | None = None
) -> Seen:
    """Every graph in every runtime and, at the declared shapes, past the checker; ``declared`` ran at these."""
    runs, checks = dict(seen.runs), dict(seen.checks)
    for graph, model in seen.models.items():
        if model.error is None:
            answered = _run_graph(work, seen.ref, model, check and "onnx" not in work.absent, seen.folder)
            answered |= _beside(work, seen, model, answered, declared)
            if running.CHECK in answered:
                checks[graph] = answered.pop(running.CHECK).error
            runs |= {str(run.party): run for run in answered.values()}
    return replace(seen, runs=runs, checks=checks)


def _run_graph(work: Work, ref: CaseRef, model: Model, check: bool, folder: Path) -> dict[str, Run]:
    """One graph in every runtime and past the checker, by item."""
    return _answers(work, ref, model, [*([running.CHECK] if check else []), *items(work, model.graph)], folder)


def _answers(work: Work, ref: CaseRef, model: Model, asked: Sequence[str], folder: Path) -> dict[str, Run]:
    framework, _, exporter = model.graph.partition(":")
    answers = work.each(
        RUNTIME_WORKER,
        running.run_graph,
        lambda chosen: (ref, model, chosen, work.options.seed, folder, work.room),
        asked,
        lambda item, failure: Run(
            Party(framework, exporter, item.removesuffix("@64"), item.endswith("@64")), error=failure
        ),
    )
    return dict(zip(asked, answers, strict=True))


def _beside(
    work: Work, seen: Seen, model: Model, answered: Mapping[str, Run], declared: Mapping[str, Run] | None
) -> dict[str, Run]:
    """The graph in runtimes that stand beside another one, where that has no answer or is known to have it wrong.

    At other sizes than the declared ones it is in those that it was in there.
    """
    facts, globs = seen.graphs.get(model.graph), work.options.parties
    asked = []
    for runtime in runtimes().values():
        other = answered.get(besides(runtime))
        if other is None or runtime.distribution in work.absent:
            continue
        if declared is not None:
            asked += [runtime.name] if f"{model.graph}>{runtime.name}" in declared else []
            continue
        lacks = other.error is not None and other.error.kind == "unsupported"
        if lacks or f"{model.graph}>{runtime.name}" in globs or (facts is not None and wanted(runtime, facts)):
            asked.append(runtime.name)
    return _answers(work, seen.ref, model, asked, seen.folder)


def wanted(runtime: Runtime, facts: GraphFacts) -> bool:
    """Whether a runtime that stands beside another one has something to say of a graph."""
    asked = getattr(runtime, "wanted", None)
    return bool(asked is not None and asked(facts))


def besides(runtime: Runtime) -> str:
    """The runtime that another one is only run beside; nothing for most."""
    return str(getattr(runtime, "beside", ""))


def chosen(party: str, globs: Sequence[str]) -> bool:
    """Whether an ONNX party is among those asked for."""
    return not globs or any(fnmatchcase(party, glob) for glob in globs)


def items(work: Work, graph: str) -> list[str]:
    """The runtimes, in either precision, that are asked to run a graph."""
    globs = work.options.parties
    present: list[Runtime] = [r for r in runtimes().values() if r.distribution not in work.absent]
    asked = {besides(r) or r.name for r in present if chosen(f"{graph}>{r.name}", globs)}
    for runtime in reversed(present):  # a step can be told apart only beside what it is held against
        if runtime.name in asked:
            asked.add(runtime.after)
    sharp = [r.name for r in present if r.double and (asked or chosen(f"{graph}>{r.name}@64", globs))]
    doubles = [f"{name}@64" for name in sharp]  # float64 shows what float32's bound hides: it comes with the rest
    return [*[r.name for r in present if r.name in asked], *doubles]


def _sharp(work: Work, graphs: Sequence[str]) -> tuple[bool, ...]:
    """The precisions in which a source is run: float64 is wanted where a graph is run in it."""
    return (False, True) if any(i.endswith("@64") for graph in graphs for i in items(work, graph)) else (False,)


def _facts(work: Work, models: Mapping[str, Model]) -> dict[str, GraphFacts]:
    graphs = {}
    for name, model in models.items():
        if model.file is not None:
            facts = work.call(RUNTIME_WORKER, tasks.read_facts, model)
            if isinstance(facts, GraphFacts):
                graphs[name] = facts
    return graphs


def _truths(work: Work, seen: Seen) -> dict[str, Run]:
    """The case's definitions; where it gives none, each framework itself with a bound by perturbation."""
    ref, seed, folder = seen.ref, work.options.seed, seen.folder
    if seen.case.truth is not None:
        answer = work.call(RUNTIME_WORKER, tasks.run_truth, ref, seed, folder)
        answer = [Run(Party("truth"), error=answer)] if isinstance(answer, Failure) else answer
        return {str(run.party): run for run in answer}
    truths: dict[str, Run] = {}
    for run in seen.runs.values():
        if not run.party.native or run.party.double:
            continue
        framework = run.party.framework
        double = seen.runs.get(f"{framework}@64")
        source = double if double is not None and double.outputs is not None else run
        counted = [m for g, m in seen.models.items() if g.partition(":")[0] == framework and m.file is not None]
        shapes = (
            {border: _shape(seen.case.inputs[n], counted[0].axes.get(n)) for n, border in counted[0].inputs.items()}
            if counted
            else {}
        )
        roundings = work.call(RUNTIME_WORKER, tasks.count_roundings, counted[0].file, shapes) if counted else None
        roundings = None if isinstance(roundings, Failure) else roundings
        answer = work.call(framework, perturbed_runs.derive_bounds, ref, framework, roundings, source, seed, folder)
        party = Party("truth", meaning=framework)
        truths[str(party)] = Run(party, error=answer, derived=framework) if isinstance(answer, Failure) else answer
    return truths


def _shape(tensor: Tensor, border: str | None) -> tuple[int, ...] | None:
    """An input's shape in the order of axes at a graph's border."""
    if tensor.shape is None:
        return None
    sizes = dict(zip(tensor.axes.split(), tensor.shape, strict=True))
    return tuple(sizes[axis] for axis in (border or tensor.axes).split())
