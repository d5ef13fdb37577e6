"""A TensorFlow function in float64, for models that hold variables in float32 and cannot be built otherwise.

The function is frozen exactly as tf2onnx freezes it (``tf2onnx.tf_loader.from_function``), every float32 in the graph
definition becomes float64, and the graph is imported and pruned to its inputs and outputs.  Operators that TensorFlow
has in float32 only (FusedBatchNormV3, the resizing ones) refuse, as they should.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnx_triangulate.engines.frameworks._tensorflow_values import (
    all_nodes,
    freeze,
    imported,
    in_precision,
    rename_functions,
)
from onnx_triangulate.records.arrays import Array

Run = Callable[[Sequence[Any], Callable[[Array], Array] | None], list[Any]]


def double(concrete: Any, computed: Sequence[tuple[Array, Array]] = ()) -> Run:
    """A concrete function as a float64 function of its inputs in order, frozen and imported once.

    Its second argument is applied to every float constant of more than one element, the weights, for this run alone.
    ``computed`` are weights in float32, each with what takes its place in float64 (``_built_weights``).
    """
    import tensorflow as tf

    frozen = freeze(concrete)
    definition, inputs, outputs = in_precision(frozen.definition, double=True), frozen.inputs, frozen.outputs
    if computed:
        known = {(single.shape, single.tobytes()): value for single, value in computed}
        _move(definition, lambda value: known.get((value.shape, value.astype(np.float32).tobytes()), value))
    inner = [node for function in definition.library.function for node in function.node_def]
    wrapped = imported(definition)
    feeds = [wrapped.graph.get_tensor_by_name(name) for name in inputs]
    plain = wrapped.prune(feeds, list(outputs))
    held = {
        f"{node.name}:0": tf.make_ndarray(node.attr["value"].tensor)
        for node in definition.node
        if node.op == "Const" and node.attr["dtype"].type == tf.float64.as_datatype_enum
    }
    held = {name: value for name, value in held.items() if value.size > 1}
    movable = wrapped.prune([*feeds, *[wrapped.graph.get_tensor_by_name(name) for name in held]], list(outputs))
    inside = any(_weight(attribute) is not None for node in inner for attribute in node.attr.values())

    def run(arguments: Sequence[Any], moved: Callable[[Array], Array] | None = None) -> list[Any]:
        fed = frozen.arguments(arguments, double=True, moved=moved)
        if moved is None:
            return list(plain(*fed))
        if not inside:
            return list(movable(*fed, *[tf.constant(moved(value)) for value in held.values()]))
        return list(_with_constants(definition, moved, inputs, outputs)(*fed))  # a loop's body cannot be fed

    return run


def _with_constants(
    definition: Any, moved: Callable[[Array], Array], inputs: Sequence[str], outputs: Sequence[str]
) -> Any:
    """A float64 graph definition with its weights moved, those in its functions too, imported anew."""
    copy = type(definition)()
    copy.CopyFrom(definition)
    _move(copy, moved)
    rename_functions(copy)
    wrapped = imported(copy)
    return wrapped.prune([wrapped.graph.get_tensor_by_name(name) for name in inputs], list(outputs))


def _move(definition: Any, moved: Callable[[Array], Array]) -> None:
    """Move the weights of a float64 graph definition, those in its functions too."""
    import tensorflow as tf

    for node in all_nodes(definition):
        for attribute in node.attr.values():
            value = _weight(attribute)
            if value is not None:
                value = moved(value)
                attribute.tensor.CopyFrom(tf.make_tensor_proto(value, dtype=tf.float64, shape=value.shape))


def _weight(attribute: Any) -> Array | None:
    """The float64 array of more than one element that an attribute holds."""
    import tensorflow as tf

    if attribute.WhichOneof("value") != "tensor" or attribute.tensor.dtype != tf.float64.as_datatype_enum:
        return None
    value = np.asarray(tf.make_ndarray(attribute.tensor))
    return value if value.size > 1 else None
