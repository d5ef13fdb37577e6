"""What a worker does for ``compare``: reads the files, evaluates in float64, runs in float32, and judges each node.

What cannot be used raises :class:`~pipeline.data.UnusableInput` in the worker and, from there, in the supervisor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import Array, GuiltyNode, UnusableInput
from pipeline.graph.align import Orientation
from pipeline.numerics.forced import Forced, Known
from pipeline.numerics.node64 import Graph
from pipeline.runtimes import runtimes

RUNTIME = "ort.off"


@dataclass(frozen=True)
class Port:
    """An input or output as a file declares it: numpy's name of its type, each axis a size, a name or nothing."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Border:
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """A graph's own run in float32: where its outputs lie, the nodes beyond their bounds, how many were judged."""

    outputs: Mapping[str, Path] = field(default_factory=dict)
    guilty: tuple[GuiltyNode, ...] = ()
    judged: int = 0
    unbounded: int = 0
    problem: str | None = None


def read_border(file: Path) -> Border:
    """What a file takes and gives.  Raises :class:`UnusableInput` where it cannot be used."""
    from pipeline.graph.facts import unknown_operators
    from pipeline.graph.walk import printable

    model = _model(file)
    held = {t.name for t in model.graph.initializer}
    border = Border(
        tuple(_port(v) for v in model.graph.input if v.name not in held), tuple(_port(v) for v in model.graph.output)
    )
    who = printable(str(file))
    if not border.outputs:
        raise UnusableInput(f"{who}: the graph has no outputs, so there is nothing to compare")
    unknown = unknown_operators(model)
    if unknown:
        node, op = unknown[0]
        raise UnusableInput(f"{who}: {printable(op)} ({printable(node)}) is no operator of ONNX at this opset")
    return border


def compare_in_float64(
    left: Path,
    right: Path,
    feeds: Path,
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
) -> Forced:
    """Judge ``right`` by ``left`` in float64 on the arrays in ``feeds``, which are named as the left's inputs."""
    return judged(taken(_inlined(left)), taken(_inlined(right)), _arrays(feeds), inputs, outputs)


@dataclass(frozen=True, eq=False)
class Taken:
    """A model (local functions inlined), the same in float64, and that taken apart."""

    model: Any
    double: Any
    graph: Graph


def taken(model: Any) -> Taken:
    """A model made ready to be judged; for a graph that is compared with many, once.

    Raises :class:`~pipeline.data.Unsupported` or ``ValueError`` where it cannot be had in float64.
    """
    from pipeline.graph.float64 import to_float64
    from pipeline.numerics.node64 import take_apart

    double = to_float64(model)
    return Taken(model, double, take_apart(double, _names(model)))


def judged(
    a: Taken,
    b: Taken,
    given: Mapping[str, Array],
    inputs: Mapping[str, tuple[str, Orientation]],
    outputs: Mapping[str, tuple[str, Orientation]],
    *,
    known: Known | None = None,
) -> Forced:
    """Judge ``b`` by ``a`` on arrays named as ``a``'s inputs; ``known`` is what ``know`` made of these, if it is there
    already."""
    from pipeline.graph.roundings import roundings
    from pipeline.graph.walk import elements
    from pipeline.numerics.forced import compare_graphs, know

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
    )


def in_double(given: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays as a float64 graph takes them."""
    return {n: v.astype(np.float64) if v.dtype == np.float32 else v for n, v in given.items()}


def replay_nodes(file: Path, side: str, feeds: Path, folder: Path) -> Replayed:
    """Run a graph with every value as an output and hold each node against its own bound.

    ``feeds`` holds arrays named as this graph's own inputs.  All values of the graph are held at once.
    """
    import onnx

    from pipeline.graph.walk import opset
    from pipeline.numerics.node64 import take_apart
    from pipeline.numerics.replay import replay

    model = _inlined(file)
    graph = take_apart(model, _names(model))
    given = _arrays(feeds)
    wanted = list(dict.fromkeys(name for step in graph.steps for name in step.makes))
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    declared = {o.name for o in opened.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in declared)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{side}.onnx"
    try:
        onnx.save(opened, place)
    except ValueError:  # protobuf's 2 GiB
        return Replayed(problem="too large to be run with every value as an output")
    try:
        run = runtimes()[RUNTIME].open(place)
        made = dict(zip(wanted, run(given, wanted), strict=True))
    except Exception as error:  # a runtime's refusal, whatever its type
        says = " ".join(str(error).split())[:300]
        return Replayed(problem=f"{RUNTIME} does not run {side}: {says}")
    finally:
        place.unlink(missing_ok=True)
    values = {**graph.constants, **given, **made}
    version = opset(model) or 1
    guilty, judged, unbounded = [], 0, 0
    for step in graph.steps:
        slots = [values.get(name) if name else None for name in step.node.input]
        checks = replay(step.node, version, slots, [values.get(n) if n else None for n in step.node.output])
        for check in checks:
            judged += check.outcome != "uncompared by bound"
            unbounded += check.outcome == "uncompared by bound" and check.problem is not None
            if check.guilty:
                guilty.append(
                    GuiltyNode(
                        step.name,
                        step.op,
                        check.output,
                        float(check.ratio if check.ratio is not None else np.inf),
                        f"{side}>{RUNTIME}",
                        check.max_abs,
                        check.index,
                        check.values,
                        problem=check.problem,
                    )
                )
    outputs = {}
    for number, name in enumerate(dict.fromkeys(o.name for o in model.graph.output)):
        if name in values:
            outputs[name] = folder / f"{side}-{number}.npy"
            np.save(outputs[name], values[name], allow_pickle=False)
    return Replayed(outputs, tuple(guilty), judged, unbounded)


@lru_cache(maxsize=2)
def _model(file: Path) -> Any:
    """A model with its external data.  Raises :class:`UnusableInput`, in one line, where it cannot be had whole."""
    import onnx

    from pipeline.graph.facts import load
    from pipeline.graph.walk import printable

    model = load(file)
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(file.parent))
    except Exception as error:  # missing, outside of the folder, too short: each raises a type of its own
        says = printable(" ".join(str(error).split()), 200)
        raise UnusableInput(f"{printable(str(file))}: its external data cannot be had: {says}") from None
    return model


def _inlined(file: Path) -> Any:
    import onnx.inliner

    model = _model(file)
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _sized(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """The model with the sizes that its inputs have in this run."""
    import onnx

    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for value in sized.graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, kind, list(shapes[value.name])))
    return sized


def _names(model: Any) -> dict[str, str]:
    """The file's name of the node that makes each value."""
    from pipeline.graph.walk import node_name

    return {output: node_name(node, i) for i, node in enumerate(model.graph.node) for output in node.output if output}


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


def _arrays(file: Path) -> dict[str, Array]:
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


__all__: Sequence[str] = ("Border", "Port", "Replayed", "compare_in_float64", "read_border", "replay_nodes")
