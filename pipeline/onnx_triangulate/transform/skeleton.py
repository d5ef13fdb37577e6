"""A graph without its weights, and the weights beside it: how large models are turned, moved and evaluated.

Design note.  A copy of a model costs what its weights cost, and what is asked of a model in float64 (a constant moved
by one rounding, thirty times over) touches a few of its bytes.  So the large constants become inputs of a graph that is
small whatever the model's size, and travel as arrays that are read one at a time and shared by every evaluation.  An
initializer in another file is read from there; a model of any size is never a protobuf of its size in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnx_triangulate.numerics.perturbation import moved
from onnx_triangulate.onnxgraph.graph import Graph
from onnx_triangulate.onnxgraph.nodes import elements
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.errors import Unsupported
from onnx_triangulate.transform.float64 import shaken as shake
from onnx_triangulate.transform.float64 import to_float64

LARGE = 1024  # elements; what is smaller stays in the graph, shapes and axes among it


@dataclass(frozen=True)
class Skeleton:
    """``model`` wants ``weights`` as inputs, by name, besides its own."""

    model: ModelProto
    weights: dict[str, Array]


def skeleton(file: Path, *, memory: int | None = None, large: int = LARGE) -> Skeleton:
    """Read a model with every constant of at least ``large`` elements of its main graph beside it.

    Raises ``records.errors.Unsupported`` where its weights in float64 would take more than ``memory`` bytes, and
    what ``onnx`` raises for data in another file that is not there or lies outside of the model's folder.
    """
    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    constants = Graph(graph).tensors.items()
    tensors = {n: t for n, t in constants if elements(t) >= large and t.data_type != TensorProto.STRING}
    _refuse_large(tensors, file, memory)
    declared = {value.name for value in graph.input}
    weights: dict[str, Array] = {}
    borders: list[ValueInfoProto] = []
    for name, tensor in tensors.items():
        weights[name] = numpy_helper.to_array(tensor, str(file.parent))
        if name not in declared:
            borders.append(helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
        tensor.ClearField("raw_data")  # at once: one weight, not all of them, is held twice
    slim = _without(model)
    slim.graph.initializer.extend(t for t in graph.initializer if t.name not in weights)
    slim.graph.node.extend(n for n in graph.node if weights.keys().isdisjoint(n.output[:1]))
    slim.graph.input.extend(borders)
    for tensor in slim.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(file.parent))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return Skeleton(slim, weights)


def _refuse_large(tensors: dict[str, TensorProto], file: Path, memory: int | None) -> None:
    """Raise :class:`Unsupported` where weights in float64 would take more than ``memory`` bytes."""
    need = sum(8 * elements(t) for t in tensors.values())
    need += 4 * max((elements(t) for t in tensors.values()), default=0) + file.stat().st_size
    if memory is not None and need > memory:
        raise Unsupported(
            f"its weights in float64 need {need / 2**30:.1f} GiB, the limit is {memory / 2**30:.1f} GiB: raise --memory"
        )


def _without(model: ModelProto) -> ModelProto:
    """The model without the nodes and initializers of its main graph."""
    bare = ModelProto(ir_version=model.ir_version, producer_name=model.producer_name)
    bare.opset_import.extend(model.opset_import)
    bare.functions.extend(model.functions)
    bare.graph.name = model.graph.name or "g"
    for part in ("input", "output", "value_info", "sparse_initializer"):
        getattr(bare.graph, part).extend(getattr(model.graph, part))
    return bare


def in_float64(slim: Skeleton) -> Skeleton:
    """The same in float64: every weight whose border the conversion turned, and the graph around it.

    The weights are taken out of ``slim`` one at a time, so that they are not all held in both precisions.
    """
    double = to_float64(slim.model)
    wide = {value.name for value in double.graph.input if value.type.tensor_type.elem_type == TensorProto.DOUBLE}
    weights: dict[str, Array] = {}
    for name in tuple(slim.weights):
        value = slim.weights.pop(name)
        weights[name] = value.astype(np.float64) if name in wide and value.dtype == np.float32 else value
    return Skeleton(double, weights)


def shaken(slim: Skeleton, names: frozenset[str], seed: int) -> Skeleton:
    """Every element of the float64 constants ``names`` moved by one unit roundoff of float32, signs at random."""
    generator = np.random.default_rng([seed, 1])
    weights = dict(slim.weights)
    for name in sorted(names & set(weights)):
        value = weights[name]
        if value.dtype == np.float64:
            weights[name] = moved(value, generator)
    small = names - set(weights)
    return replace(slim, model=shake(slim.model, small, seed) if small else slim.model, weights=weights)
