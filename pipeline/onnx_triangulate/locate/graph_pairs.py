"""What a worker does for ``compare``: reads the files, evaluates in float64, runs in float32, and judges each node.

What cannot be used raises ``UnusableInput`` in the worker and, from there, in the supervisor.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.feeds import ENDLESS, Landmarks, Port
from onnx_triangulate.locate.teacher_forced import Forced, Known
from onnx_triangulate.numerics.evaluate import Graph, Step
from onnx_triangulate.onnxgraph.dataflow import Orientation
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported, UnusableInput
from onnx_triangulate.records.faults import Fault

RUNTIME = "ort.off"
MOVERS = frozenset("Cast Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())
_JUMPS = frozenset(
    "ArgMax ArgMin Ceil Equal Floor Greater GreaterOrEqual Hardmax Less LessOrEqual Mod NonMaxSuppression NonZero Not "
    "QuantizeLinear DynamicQuantizeLinear Round Sign ThresholdedRelu TopK Unique Where Shrink GridSample".split()
)
_PLACED = frozenset("Gather GatherElements GatherND ScatterElements ScatterND".split())  # -s to s - 1, in slot 1
_FEW, _MOST_MARKS = 8, 48  # numbers of a constant, and of a file, that are worth a feed of their own
_AT_ANY_OPSET = frozenset({"LayerNormalization"})  # ONNX Runtime's optimizer writes it before ONNX has it
BUDGET = 2**28  # bytes of A's values that are held; the others are mapped from files


@dataclass(frozen=True)
class Border:
    """What a graph takes and gives; ``drawn`` says which node's random numbers an output depends on.

    ``marks`` are numbers and lengths at which it may do something else; ``jumps`` says that it holds an operator whose
    answer does not move smoothly with what it is given.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    drawn: str | None = None
    marks: Landmarks = field(default_factory=Landmarks)
    jumps: bool = False


@dataclass(frozen=True)
class Replayed:
    """A graph's own run in float32: where its outputs lie, the nodes beyond their bounds, how many were judged, and the
    bytes of arrays that were held at most."""

    outputs: Mapping[str, Path] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    judged: int = 0
    unbounded: int = 0
    problem: str | None = None
    held: int = 0


def staged(file: Path, place: Path) -> Path:
    """A file, or a copy of it where its numbers lie behind links; see ``onnxgraph.external_data``."""
    from onnx_triangulate.onnxgraph.external_data import staged as as_it_may_be_read

    return as_it_may_be_read(file, place)


def read_border(file: Path) -> Border:
    """What a file takes and gives.  Raises :class:`UnusableInput` where it cannot be used."""
    from onnx_triangulate.facts.file import unknown_operators
    from onnx_triangulate.onnxgraph.nodes import printable

    model = _model(file)
    _refuse(model, printable(str(file)))
    held = {t.name for t in model.graph.initializer}
    taken = [_port(v) for v in model.graph.input if v.name not in held]
    tables, divisors = _tables(model), _divisors(model)
    border = Border(
        tuple(
            replace(_taken_for(model, port), below=tables.get(port.name), divides=port.whole and port.name in divisors)
            for port in taken
        ),
        tuple(_port(v) for v in model.graph.output),
        _drawn(model),
        _marks(model),
        any(inner.op_type in _JUMPS for node in model.graph.node for inner in (node, *_inner(node))),
    )
    who = printable(str(file))
    if not border.outputs:
        raise UnusableInput(f"{who}: the graph has no outputs, so there is nothing to compare")
    unknown = [(node, op) for node, op in unknown_operators(model) if op not in _AT_ANY_OPSET]
    if unknown:
        node, op = unknown[0]
        raise UnusableInput(f"{who}: {printable(op)} ({printable(node)}) is no operator of ONNX at this opset")
    return border


def _refuse(model: Any, who: str) -> None:
    """Raise :class:`UnusableInput` where a graph cannot be named or followed at all."""
    from onnx_triangulate.onnxgraph.nodes import printable
    from onnx_triangulate.onnxgraph.shapes import endless

    graphs = [model.graph, *model.functions]
    names = [n for g in graphs for node in g.node for n in (*node.input, *node.output, node.name, node.op_type)]
    named = (model.graph.input, model.graph.output, model.graph.initializer, model.graph.value_info)
    names += [value.name for values in named for value in values]
    odd = next((name for name in names if isinstance(name, bytes)), None)
    if odd is not None:
        raise UnusableInput(f"{who}: the name {printable(odd)} is not UTF-8, which every engine refuses")
    for what, values in (("inputs", model.graph.input), ("outputs", model.graph.output)):
        twice = [name for name, times in Counter(value.name for value in values).items() if times > 1]
        if twice:
            raise UnusableInput(f"{who}: two {what} are named {printable(twice[0])}; no engine can tell them apart")
    if refusal := endless(model):
        raise UnusableInput(f"{who}: {refusal}")
    keys = Counter((f.domain, f.name, f.overload) for f in model.functions)
    if twice := [name for (_, name, _), times in keys.items() if times > 1]:
        raise UnusableInput(f"{who}: two local functions are named {printable(twice[0])}")


def _tables(model: Any) -> dict[str, int]:
    """By value, the length of the shortest table of numbers in the file that it picks from, moved about or not."""
    from onnx_triangulate.onnxgraph.nodes import attributes, constant_tensor

    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    shapes |= {
        n.output[0]: tuple(t.dims) for n in model.graph.node if n.output and (t := constant_tensor(n)) is not None
    }
    found: dict[str, int] = {}
    for node in reversed(model.graph.node):
        if node.op_type == "Gather" and len(node.input) == 2 and node.input[0] in shapes:
            shape, axis = shapes[node.input[0]], attributes(node).get("axis", 0)
            if -len(shape) <= axis < len(shape):
                found[node.input[1]] = min(found.get(node.input[1], shape[axis]), shape[axis])
        elif node.op_type in MOVERS and node.input and node.output and node.output[0] in found:
            found[node.input[0]] = min(found.get(node.input[0], 2**31), found[node.output[0]])
    return found


def _divisors(model: Any) -> set[str]:
    """What something is divided by, moved about on its way or not."""
    found: set[str] = set()
    for node in reversed([inner for outer in model.graph.node for inner in (outer, *_inner(outer))]):
        if node.op_type in ("Div", "Mod") and len(node.input) == 2:
            found.add(node.input[1])
        elif node.op_type not in (*MOVERS, "Expand", "Abs", "Neg"):
            continue
        elif node.input and node.output and node.output[0] in found:
            found.add(node.input[0])
    return found


def _marks(model: Any) -> Landmarks:
    """The numbers of short constants and of attributes, inner graphs included, and the lengths of tables."""
    from onnx_triangulate.facts.limits import limits
    from onnx_triangulate.onnxgraph.nodes import array, attributes, constant_tensor

    tensors = list(model.graph.initializer)
    numbers: dict[float, None] = {}
    whole: dict[int, None] = {}
    for node in [n for outer in model.graph.node for n in (outer, *_inner(outer))]:
        tensor = constant_tensor(node)
        tensors += [] if tensor is None else [tensor]
        held = attributes(node)
        numbers |= dict.fromkeys(v for v in held.values() if isinstance(v, float) and abs(v) < ENDLESS)
        for name, value in held.items():
            if isinstance(value, tuple) and name in ("starts", "ends", "shape", "kernel_shape"):
                whole |= dict.fromkeys(int(v) for v in value)
    lengths = {int(d) for t in tensors for d in t.dims}
    for tensor in tensors:
        value = array(tensor) if 0 < int(np.prod(list(tensor.dims), dtype=object)) <= _FEW else None
        if value is not None and value.dtype.kind == "f":
            numbers |= dict.fromkeys(float(v) for v in value.reshape(-1) if abs(float(v)) < ENDLESS)
        elif value is not None and value.dtype.kind in "iu":
            whole |= dict.fromkeys(int(v) for v in value.reshape(-1))
    lengths |= {v for v in whole if v > 0}
    kept = sorted(n for n in lengths if n > 1)[:_MOST_MARKS]
    return Landmarks(tuple(numbers)[:_MOST_MARKS], tuple(whole)[:_MOST_MARKS], tuple(kept), limits(model)[:_MOST_MARKS])


def _taken_for(model: Any, port: Port) -> Port:
    """An input with what it may hold: nothing takes it, or what is made of it, for a place or a size (``free``), or for
    no more than a place that may be counted from the end (``ended``).

    ONNX takes those in whole numbers only, where numbers to compute with may be of any type; Range has its sizes in the
    type of what it gives.  What a subgraph or an operator outside of ONNX does with a value nobody knows.
    """
    from onnx_triangulate.onnxgraph.nodes import in_onnx, opset, whole_slots
    from onnx_triangulate.transform.cut import reads

    made = {port.name}
    free = True
    for node in model.graph.node:
        if made.isdisjoint(reads(node)):
            continue
        if not in_onnx(node) or any(True for _ in _inner(node)) or node.op_type == "Range":
            return port
        places = [slot for slot in whole_slots(node, opset(model)) if node.input[slot] in made]
        if places and not (node.op_type in _PLACED and places == [1]):
            return port
        free = free and not places
        if not places or node.input[0] in made:
            made.update(node.output)
    return replace(port, free=free, ended=True)


def _drawn(model: Any) -> str | None:
    """A node that draws random numbers and that an output depends on, in words; None where there is none."""
    from onnx_triangulate.onnxgraph.inlining import inlined_model
    from onnx_triangulate.onnxgraph.nodes import node_name, opset, printable
    from onnx_triangulate.ops.random_draws import draws, stored
    from onnx_triangulate.transform.cut import reads

    model = inlined_model(model) or model
    value, version = stored(model), opset(model)
    wanted = {o.name for o in model.graph.output}
    for index, node in reversed(list(enumerate(model.graph.node))):
        if wanted.intersection(node.output):
            wanted.update(reads(node))
            drawing = [n for n in (node, *_inner(node)) if draws(n, value, version)]
            if drawing:
                return f"{printable(node_name(node, index))} ({printable(drawing[0].op_type)})"
    return None


def _inner(node: Any) -> Iterator[Any]:
    from onnx_triangulate.onnxgraph.nodes import subgraphs

    for _, graph in subgraphs(node):
        for each in graph.node:
            yield each
            yield from _inner(each)


def float32_room(
    file: Path, feeds: Path, outputs: Sequence[str], also: int, folder: Path, fused: bool = False
) -> dict[str, tuple[Path, Path, Path]]:
    """How far a graph's float outputs may be off in float32, what they are exactly, and how far they may be off by the
    last rounding and those of constants alone, by output, in files.

    gamma_k times the response to roundings inside the graph (``numerics.response``), where sums are moved by
    their terms; k is the number of roundings on its longest path, or ``also`` if that is larger, and u that of the
    coarsest type in the graph; ``fused`` asks for functions of several steps in one kernel alone.  Empty where that
    cannot be had, or would mean nothing (an operator without a count in a large model, more roundings than sixteen bits
    have digits for).
    """
    from onnx_triangulate.engines.running import MOST_GUESSED
    from onnx_triangulate.numerics.evaluate import coarsest_unit, widened
    from onnx_triangulate.numerics.response import inner_scale
    from onnx_triangulate.ops.bounds import gamma
    from onnx_triangulate.ops.roundings import roundings

    given = arrays_of(feeds)
    model = whole(file)
    try:
        graph = taken(model).graph
        unit = coarsest_unit(graph, given)
        wide, fed = widened(graph), {n: _wide(v) for n, v in given.items()}
        inner = inner_scale(wide, fed, outputs, sums=True, fused=fused)
        constant = inner_scale(wide, fed, outputs, folded=True)
    except Exception:  # whatever the evaluation raises
        return {}
    # Inference loses the shapes behind an operator outside of ONNX; here they were seen.
    counted = roundings(_sized(model, {n: v.shape for n, v in given.items()}, inner.shapes))
    if counted is None or (counted.unknown and counted.count > MOST_GUESSED):
        return {}
    allowed = gamma(max(counted.count, also), unit)
    if not np.isfinite(allowed):
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, (name, size) in enumerate(inner.scale.items()):
        last = unit * np.abs(inner.centre[name]) + allowed * constant.scale[name]
        files = room, exact, own = [folder / f"{what}-{number}.npy" for what in ("room", "exact", "own")]
        found[name] = room, exact, own
        for place, values in zip(files, (allowed * size, inner.centre[name], last), strict=True):
            np.save(place, values, allow_pickle=False)
    return found


def count_roundings(file: Path, feeds: Path) -> int | None:
    """The roundings on a graph's longest path at the shapes of ``feeds``; None where an operator has no count."""
    from onnx_triangulate.ops.roundings import roundings

    found = roundings(_sized(whole(file), {n: v.shape for n, v in arrays_of(feeds).items()}))
    return None if found is None or found.unknown else found.count


def compare_in_float64(
    left: Path,
    right: Path,
    feeds: Path,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    watched: Sequence[tuple[str, str]] = (),
) -> Forced:
    """Judge ``right`` by ``left`` in float64 on the arrays in ``feeds``, which are named as the left's inputs.

    What A's values are beyond :data:`BUDGET` lies in files beside ``feeds``.
    """
    from onnx_triangulate.locate.teacher_forced import Shelf, know

    a, given = taken(whole(left)), arrays_of(feeds)
    with tempfile.TemporaryDirectory(dir=feeds.parent) as folder:
        known = know(a.graph, in_double(given), Shelf(Path(folder), BUDGET))
        return judged(a, taken(whole(right)), given, inputs, outputs, known=known, watched=watched)


@dataclass(frozen=True, eq=False)
class Taken:
    """A model (local functions inlined), the same in float64, and that taken apart."""

    model: Any
    double: Any
    graph: Graph


def taken(model: Any) -> Taken:
    """A model made ready to be judged; for a graph that is compared with many, once.

    Raises ``records.errors.Unsupported`` or ``ValueError`` where it cannot be had in float64.
    """
    from onnx_triangulate.numerics.evaluate import take_apart
    from onnx_triangulate.ops.random_draws import draws
    from onnx_triangulate.transform.float64 import to_float64

    _require_axes(model)
    double = to_float64(model)
    graph = take_apart(double, _names(model))

    def run(step: Step, values: Mapping[str, Array]) -> dict[str, Array]:
        if draws(step.node, values.get, graph.version):
            raise Unsupported(f"{step.op} draws random numbers", op=step.op, node=step.name)
        return graph.run(step, values)

    return Taken(model, double, replace(graph, run=run, single=not _has_doubles(model)))


def _has_doubles(model: Any) -> bool:
    """Whether something in a model is of float64: a border, a constant, what it is cast to."""
    from onnx import AttributeProto, TensorProto

    double = TensorProto.DOUBLE
    every = [n for node in model.graph.node for n in (node, *_inner(node))]
    held = [a for n in every for a in n.attribute]
    return (
        any(v.type.tensor_type.elem_type == double for v in (*model.graph.input, *model.graph.output))
        or any(t.data_type == double for t in model.graph.initializer)
        or any(a.t.data_type == double for a in held if a.type == AttributeProto.TENSOR)
        or any(n.op_type == "Cast" and a.name == "to" and a.i == double for n in every for a in n.attribute)
    )


def _require_axes(model: Any) -> None:
    """Raises ``records.errors.Unsupported`` for a layout that ONNX does not have: its axes are not those that the
    shapes say, so that nothing could be aligned by them."""
    from onnx_triangulate.onnxgraph.nodes import node_name, printable

    for index, node in enumerate(model.graph.node):
        if node.domain == "com.microsoft.nchwc":
            name = node_name(node, index)
            says = (
                f"{printable(name)} is {printable(node.op_type)} of com.microsoft.nchwc, the blocked layout of the "
                "machine that saved the file; save it with graph_optimization_level = ORT_ENABLE_EXTENDED and compare "
                "that"
            )
            raise Unsupported(says, op=node.op_type, node=name)


def judged(
    a: Taken,
    b: Taken,
    given: Mapping[str, Array],
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    *,
    known: Known | None = None,
    watched: Sequence[tuple[str, str]] = (),
) -> Forced:
    """Judge ``b`` by ``a`` on arrays named as ``a``'s inputs; ``known`` is what ``know`` made of these, if it is there
    already."""
    from onnx_triangulate.locate.teacher_forced import compare_graphs, know
    from onnx_triangulate.onnxgraph.nodes import elements
    from onnx_triangulate.ops.roundings import roundings

    held = [{n: v.shape for n, v in given.items()}, {}]
    held[1] = {n: way.apply(given[source]).shape for n, (source, way) in inputs.items() if source in given}
    models = (a.model, b.model)
    counted = [roundings(_sized(model, shapes)) for model, shapes in zip(models, held, strict=True)]
    unknown = sum(elements(t) for model in models for t in model.graph.initializer)  # one for each number, if need be
    return compare_graphs(
        known if known is not None else know(a.graph, in_double(given)),
        b.graph,
        inputs,
        outputs,
        roundings=sum(unknown if found is None else found.count for found in counted),
        watched=watched,
    )


def evaluated(file: Path, given: Mapping[str, Array]) -> dict[str, Array]:
    """A graph's outputs in float64, those that can be had."""
    from onnx_triangulate.locate.teacher_forced import evaluate

    graph = taken(whole(file)).graph
    values, _ = evaluate(graph, in_double(given))
    return {name: values[name] for name in graph.outputs if isinstance(values.get(name), np.ndarray)}


def _wide(value: Array) -> Array:
    return value.astype(np.float64) if value.dtype.kind == "f" or value.dtype.name == "bfloat16" else value


def in_double(given: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays as a float64 graph takes them."""
    return {n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in given.items()}


def replay_nodes(file: Path, side: str, feeds: Path, folder: Path) -> Replayed:
    """Run a graph as it stands, and part by part with every value shown: each node is held against its own bound.

    ``feeds`` holds arrays named as this graph's own inputs.
    """
    from onnx_triangulate.locate.kernel_tasks import judged_kernels

    model = whole(file)
    given = arrays_of(feeds)
    names = list(dict.fromkeys(o.name for o in model.graph.output))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made: Sequence[Any] = runtimes()[RUNTIME].open(file)(given, names)
    except Exception as error:  # a runtime's refusal, whatever its type
        return Replayed(problem=f"{RUNTIME} does not run {side}: {message(error, 300)}")
    outputs = {}
    for number, (name, value) in enumerate(zip(names, made, strict=True)):
        if not isinstance(value, np.ndarray):
            return Replayed(problem=f"output {name} of {side} is a {type(value).__name__}, which is not compared")
        value = value.astype(np.str_) if value.dtype.hasobject else value
        outputs[name] = folder / f"{side}-{number}.npy"
        bits = f"u{value.dtype.itemsize}"  # a type that numpy lacks (float8) has no file of its own
        np.save(outputs[name], value.view(bits) if value.dtype.isbuiltin == 2 else value, allow_pickle=False)
    found = judged_kernels(model, given, graph=side, party=f":{side.lower()}>{RUNTIME}", blame="kernel")
    faulty = tuple(
        replace(fault, ratio=np.inf if fault.ratio is None else fault.ratio, precision=None, party=f"{side}>{RUNTIME}")
        for fault in found.faults
    )
    return Replayed(outputs, faulty, found.judged, len(found.uncompared), found.problem, found.peak)


@lru_cache(maxsize=2)
def _model(file: Path) -> Any:
    """A model with its external data.  Raises :class:`UnusableInput`, in one line, where it cannot be had whole."""
    import onnx

    from onnx_triangulate.facts.file import load
    from onnx_triangulate.onnxgraph.nodes import printable

    model = load(file)
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(file.parent))
    except Exception as error:  # missing, outside of the folder, too short: each raises a type of its own
        says = printable(" ".join(str(error).split()), 200)
        raise UnusableInput(f"{printable(str(file))}: its external data cannot be had: {says}") from None
    return model


def whole(file: Path) -> Any:
    """A model with its external data, its local functions inlined."""
    from onnx_triangulate.onnxgraph.inlining import inlined

    return inlined(_model(file))


def _sized(model: Any, shapes: Mapping[str, tuple[int, ...]], seen: Mapping[str, tuple[int, ...]] | None = None) -> Any:
    """The model with the sizes that its inputs have in this run, and those of values that were ``seen`` in it."""
    import onnx

    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for value in sized.graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, list(shapes[value.name])))
    if seen:
        foreign = {n for node in model.graph.node if node.domain not in ("", "ai.onnx") for n in node.output}
        declared = [v for v in sized.graph.value_info if v.name not in foreign]
        del sized.graph.value_info[:]
        sized.graph.value_info.extend(declared)
        for name in sorted(foreign & set(seen)):
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(seen[name]))
            sized.graph.value_info.append(value)
    return sized


def _names(model: Any) -> dict[str, tuple[str, str]]:
    """The file's name and operator of the node that makes each value."""
    from onnx_triangulate.onnxgraph.nodes import node_name, operator

    return {
        output: (node_name(node, i), operator(node))
        for i, node in enumerate(model.graph.node)
        for output in node.output
        if output
    }


def _port(value: Any) -> Port:
    import onnx

    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return Port(value.name, value.type.WhichOneof("value") or "nothing", None)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    except (KeyError, TypeError, ValueError):
        dtype = f"type {kind.elem_type}"
    if not kind.HasField("shape"):
        return Port(value.name, dtype, None)
    shape = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in kind.shape.dim)
    return Port(value.name, dtype, shape)


def arrays_of(file: Path) -> dict[str, Array]:
    return npz.load(file)


__all__: Sequence[str] = ("Border", "Port", "Replayed", "compare_in_float64", "read_border", "replay_nodes")
