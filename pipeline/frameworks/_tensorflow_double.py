"""A TensorFlow function in float64, for models that hold variables in float32 and cannot be built otherwise.

The function is frozen exactly as tf2onnx freezes it (``tf2onnx.tf_loader.from_function``), every float32 in the graph
definition becomes float64, and the graph is imported and pruned to its inputs and outputs.  Operators that TensorFlow
has in float32 only (FusedBatchNormV3, the resizing ones) refuse, as they should.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.data import Array


def double(concrete: Any, *, moved: Callable[[Array], Array] | None = None) -> Callable[[Sequence[Any]], list[Any]]:
    """A concrete function as a float64 function of its inputs in order.

    ``moved`` is applied to every float constant of more than one element: the weights.
    """
    import tensorflow as tf
    from tf2onnx import tf_loader

    inputs = [tensor.name for tensor in concrete.inputs if tensor.dtype != tf.dtypes.resource]
    outputs = [tensor.name for tensor in concrete.outputs if tensor.dtype != tf.dtypes.resource]
    definition = tf_loader.from_function(concrete, inputs, outputs)
    for node in [*definition.node, *[n for function in definition.library.function for n in function.node_def]]:
        for attribute in node.attr.values():
            _widen(attribute, moved)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    pruned = wrapped.prune([wrapped.graph.get_tensor_by_name(name) for name in inputs], outputs)

    def run(arguments: Sequence[Any]) -> list[Any]:
        return list(pruned(*arguments))

    return run


def _widen(attribute: Any, moved: Callable[[Array], Array] | None) -> None:
    """Turn float32 into float64 in one attribute of a node, in place."""
    import tensorflow as tf

    single, wide = tf.float32.as_datatype_enum, tf.float64.as_datatype_enum
    kind = attribute.WhichOneof("value")
    if kind == "type" and attribute.type == single:
        attribute.type = wide
    elif kind == "list":
        for index, value in enumerate(attribute.list.type):
            if value == single:
                attribute.list.type[index] = wide
    elif kind == "tensor" and attribute.tensor.dtype == single:
        value = np.asarray(tf.make_ndarray(attribute.tensor)).astype(np.float64)
        value = moved(value) if moved is not None and value.size > 1 else value
        attribute.tensor.CopyFrom(tf.make_tensor_proto(value, dtype=tf.float64, shape=value.shape))
