"""Folded shapes: a graph whose inputs have known sizes, with the sizes that it computes of them worked out.

Design note.  An export with open axes computes its shapes while it runs (``Shape``, ``Gather``, ``Concat``) and ONNX's
inference gives up where it is to follow that, so that nothing is known of what is behind.  Once the inputs' sizes are
written in, a ``Shape`` is a constant, what is made of constants is folded (``onnxgraph.folding``), and
inference goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from onnx_triangulate.onnxgraph.folding import fold, fold_shape
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.nodes import Dims, array, attributes, constant_tensor, dims_of, elements, in_onnx
from onnx_triangulate.records.arrays import Array

_SMALL = 1024  # elements
_ROUNDS = 12  # a chain of shapes made of shapes; each round settles all that was known before it


def settled_at(file: Path, shapes: Mapping[str, Sequence[int] | None]) -> ModelProto:
    """A file's graph, its weights in other files left there, fed with ``shapes`` by input and settled."""
    model = onnx.load(file, load_external_data=False)
    open_ = False
    for value in model.graph.input:
        sizes, dims = shapes.get(value.name), value.type.tensor_type.shape.dim
        if sizes is not None and len(dims) == len(sizes):
            open_ |= not all(dim.HasField("dim_value") for dim in dims)
            for dim, size in zip(dims, sizes, strict=True):
                dim.dim_value = size
    if open_:
        del model.graph.value_info[:]  # what an exporter wrote of a dynamic graph names its axes only
    return settle(model)


def settle(model: ModelProto) -> ModelProto:
    """The model itself, nodes of its main graph whose results are known turned into initializers."""
    for _ in range(_ROUNDS):
        inferred = with_inferred_shapes(model)
        if inferred is None:
            break
        made = _made(model.graph, _sizes(inferred.graph))
        if not made:
            break
        kept = [node for node in model.graph.node if not (node.output and node.output[0] in made)]
        del model.graph.node[:]
        model.graph.node.extend(kept)
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in made.items())
    return model


def _sizes(graph: GraphProto) -> dict[str, Dims]:
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = dims_of(value)
        if dims is not None:
            found[value.name] = dims
    return found


def _made(graph: GraphProto, sizes: dict[str, Dims]) -> dict[str, Array]:
    """By name, the results that are known and are not constants already."""
    fed = {value.name for value in graph.input}
    given = {value.name for value in graph.output}
    known = {t.name: v for t in graph.initializer if t.name not in fed and (v := _small(t)) is not None}
    made: dict[str, Array] = {}
    for node in graph.node:
        if not in_onnx(node) or len(node.output) != 1 or node.output[0] in given:
            continue
        constant = constant_tensor(node)
        result = _result(node, known, sizes) if constant is None else _small(constant)
        if result is None or result.size > _SMALL:
            continue
        known[node.output[0]] = np.asarray(result)
        if constant is None:
            made[node.output[0]] = known[node.output[0]]
    return made


def _small(tensor: TensorProto) -> Array | None:
    return array(tensor) if elements(tensor) <= _SMALL else None


def _result(node: NodeProto, known: dict[str, Array], sizes: dict[str, Dims]) -> Array | None:
    """What a node makes of sizes and constants; None where that is not known."""
    held = attributes(node)
    if node.op_type == "Shape":
        return fold_shape(held, sizes.get(node.input[0]))
    inputs = [known.get(name) if name else None for name in node.input]
    whole = all(value is not None or not name for value, name in zip(inputs, node.input, strict=True))
    return fold(node.op_type, held, inputs) if whole and inputs else None
