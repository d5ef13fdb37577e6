"""Runs of one graph in float32: each node against its own bound, and how far roundings may move its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from onnx_triangulate.engines.running import MOST_GUESSED
from onnx_triangulate.engines.runtimes import runtimes
from onnx_triangulate.locate.float64_comparison import prepare, sized_model
from onnx_triangulate.locate.kernel_runs import judged_kernels
from onnx_triangulate.locate.model_interface import read_inlined
from onnx_triangulate.numerics.float64_evaluation import coarsest_unit, widened
from onnx_triangulate.numerics.rounding_response import inner_scale
from onnx_triangulate.onnxgraph.nodes import message
from onnx_triangulate.ops.bounds import gamma
from onnx_triangulate.ops.roundings import roundings
from onnx_triangulate.records import npz
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.faults import Fault

RUNTIME = "ort.off"
GraphRun = Callable[[Mapping[str, Array]], dict[str, Any]]


def opened(file: Path, names: Sequence[str]) -> GraphRun:
    """A graph as the runtime runs it, some of its values by name.  Raises what the runtime refuses with."""
    run = runtimes()[RUNTIME].open(file)
    return lambda arrays: dict(zip(names, run(arrays, list(names)), strict=True))


def output_names(model: Any) -> list[str]:
    """The outputs of a model, each once: a file may name one twice."""
    return list(dict.fromkeys(output.name for output in model.graph.output))


def save_outputs(made: Mapping[str, Array], folder: Path, side: str) -> dict[str, Path]:
    """The outputs of one graph in files of a folder, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, (name, value) in enumerate(made.items()):
        files[name] = folder / f"{side}-{number}.npy"
        value = value.astype(np.str_) if value.dtype.hasobject else value
        bits = f"u{value.dtype.itemsize}"  # a type that numpy lacks (float8) has no file of its own
        np.save(files[name], value.view(bits) if value.dtype.isbuiltin == 2 else value, allow_pickle=False)
    return files


@dataclass(frozen=True)
class NodeReplay:
    """A graph's own run in float32: where its outputs lie, the nodes beyond their bounds, how many were judged, and the
    bytes of arrays that were held at most."""

    outputs: Mapping[str, Path] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    judged: int = 0
    unbounded: int = 0
    problem: str | None = None
    held: int = 0


def float32_room(
    file: Path, feeds: Path, outputs: Sequence[str], also: int, folder: Path, fused: bool = False
) -> dict[str, tuple[Path, Path, Path]]:
    """How far a graph's float outputs may be off in float32, what they are exactly, and how far they may be off by the
    last rounding and those of constants alone, by output, in files.

    gamma_k times the response to roundings inside the graph (``numerics.rounding_response``), where sums are moved by
    their terms; k is the number of roundings on its longest path, or ``also`` if that is larger, and u that of the
    coarsest type in the graph; ``fused`` asks for functions of several steps in one kernel alone.  Empty where that
    cannot be had, or would mean nothing (an operator without a count in a large model, more roundings than sixteen bits
    have digits for).
    """
    given = npz.load(feeds)
    model = read_inlined(file)
    try:
        graph = prepare(model).graph
        unit = coarsest_unit(graph, given)
        wide, fed = widened(graph), {n: _wide(v) for n, v in given.items()}
        inner = inner_scale(wide, fed, outputs, sums=True, fused=fused)
        constant = inner_scale(wide, fed, outputs, folded=True)
    except Exception:  # whatever the evaluation raises
        return {}
    # Inference loses the shapes behind an operator outside of ONNX; here they were seen.
    counted = roundings(sized_model(model, {n: v.shape for n, v in given.items()}, inner.shapes))
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
    found = roundings(sized_model(read_inlined(file), {n: v.shape for n, v in npz.load(feeds).items()}))
    return None if found is None or found.unknown else found.count


def _wide(value: Array) -> Array:
    return value.astype(np.float64) if value.dtype.kind == "f" or value.dtype.name == "bfloat16" else value


def replay_nodes(file: Path, side: str, feeds: Path, folder: Path) -> NodeReplay:
    """Run a graph as it stands, and part by part with every value shown: each node is held against its own bound.

    ``feeds`` holds arrays named as this graph's own inputs.
    """
    model = read_inlined(file)
    given = npz.load(feeds)
    names = output_names(model)
    try:
        made = opened(file, names)(given)
    except Exception as error:  # a runtime's refusal, whatever its type
        return NodeReplay(problem=f"{RUNTIME} does not run {side}: {message(error, 300)}")
    for name, value in made.items():
        if not isinstance(value, np.ndarray):
            return NodeReplay(problem=f"output {name} of {side} is a {type(value).__name__}, which is not compared")
    outputs = save_outputs(made, folder, side)
    found = judged_kernels(model, given, graph=side, party=f":{side.lower()}>{RUNTIME}", blame="kernel")
    faulty = tuple(
        replace(fault, ratio=np.inf if fault.ratio is None else fault.ratio, precision=None, party=f"{side}>{RUNTIME}")
        for fault in found.faults
    )
    return NodeReplay(outputs, faulty, found.judged, len(found.uncompared), found.problem, found.peak)
