"""Every intermediate value of the frozen graph that tf2onnx converts, in runs of a bounded size.

The function is frozen exactly as tf2onnx freezes it, imported, and pruned to its tensors, as many at a time as fit into
a budget of bytes: TensorFlow holds all that a run returns.  A value of the ONNX graph is the tensor of its own name,
with exceptions that tf2onnx's handlers make: where one operator becomes a chain, the first link keeps the name and the
others are called NAME__N (Rsqrt becomes Sqrt named Rsqrt, and Reciprocal) or read a constant called NAME_const…__N (the
gradient of a convolution is a ConvTranspose that is cut to its size afterwards), so a name whose value is consumed by
such a node is not the tensor's.  The graph's outputs match by position.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from onnx_triangulate.records.arrays import Array

_count = itertools.count()
_MERGED = re.compile(r"(?:Conv|ConvTranspose)__\d+:0")


@dataclass(frozen=True, eq=False)
class FrozenGraph:
    """A graph definition, the names of its inputs and outputs, and the values of inputs that the function captured."""

    definition: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    captured: Mapping[str, Array]

    def arguments(
        self, own: Sequence[Any], *, double: bool, moved: Callable[[Array], Array] | None = None
    ) -> list[Any]:
        """All inputs in order: the function's ``own``, and what it captured; ``moved`` is applied to the latter."""
        import tensorflow as tf

        waiting = iter(own)
        fed = []
        for name in self.inputs:
            if name not in self.captured:
                fed.append(next(waiting))
                continue
            value = self.captured[name]
            value = value.astype(np.float64) if double and value.dtype == np.float32 else value
            fed.append(tf.constant(moved(value) if moved is not None and value.size > 1 else value))
        return fed


def freeze(concrete: Any) -> FrozenGraph:
    """The frozen graph.  A tensor that the function captured is a constant there, or an input whose value is known."""
    import tensorflow as tf
    from tf2onnx import tf_loader

    inputs = [tensor.name for tensor in concrete.inputs if tensor.dtype != tf.dtypes.resource]
    outputs = [tensor.name for tensor in concrete.outputs if tensor.dtype != tf.dtypes.resource]
    captured = {
        inner.name: np.asarray(outer.numpy())
        for outer, inner in concrete.graph.captures
        if outer.dtype != tf.dtypes.resource
    }
    definition = tf_loader.from_function(concrete, inputs, outputs)
    fed = {f"{node.name}:0" for node in definition.node if node.op in ("Placeholder", "PlaceholderWithDefault")}
    kept = tuple(name for name in inputs if name in fed or name not in captured)
    return FrozenGraph(definition, kept, tuple(outputs), {name: captured[name] for name in kept if name in captured})


def in_precision(definition: Any, *, double: bool) -> Any:
    """A copy of a graph definition, in float64 if asked, whose functions have names that nobody has."""
    import tensorflow as tf

    copy = type(definition)()
    copy.CopyFrom(definition)
    if double:
        for node in all_nodes(copy):
            for attribute in node.attr.values():
                widen(attribute)
        for function in copy.library.function:
            for argument in [*function.signature.input_arg, *function.signature.output_arg]:
                if argument.type == tf.float32.as_datatype_enum:
                    argument.type = tf.float64.as_datatype_enum
    rename_functions(copy)
    return copy


def all_nodes(definition: Any) -> list[Any]:
    """The nodes of a graph definition, those of the functions in it too."""
    return [*definition.node, *[node for function in definition.library.function for node in function.node_def]]


def imported(definition: Any) -> Any:
    """A graph definition as a function that can be pruned to any of its tensors."""
    import tensorflow as tf

    return tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])


def rename_functions(definition: Any) -> None:
    """Give the graph's functions names that nobody has.

    Freezing leaves others of the same names in TensorFlow's context, which refuses a second one."""
    names = {
        function.signature.name: f"{function.signature.name}_{next(_count)}_seen"
        for function in definition.library.function
    }
    for function in definition.library.function:
        function.signature.name = names[function.signature.name]
    for gradient in definition.library.gradient:
        gradient.function_name = names.get(gradient.function_name, gradient.function_name)
        gradient.gradient_func = names.get(gradient.gradient_func, gradient.gradient_func)
    for node in all_nodes(definition):
        node.op = names.get(node.op, node.op)
        for attribute in node.attr.values():
            for called in (*([attribute.func] if attribute.func.name else []), *attribute.list.func):
                called.name = names.get(called.name, called.name)


def intermediates(
    frozen: FrozenGraph,
    arguments: Sequence[Any],
    wanted: Mapping[str, str],
    take: Callable[[str, Array], None],
    *,
    double: bool,
) -> None:
    """Hand over the tensors ``wanted`` (the ONNX graph's name to the tensor's), in runs of about :data:`BUDGET` bytes.

    ``arguments`` are the inputs that the function did not capture, in order.  Names that the graph does not have,
    constants and inputs are left out.
    """
    import tensorflow as tf

    definition, outputs = in_precision(frozen.definition, double=double), frozen.outputs
    fed = frozen.arguments(arguments, double=double)
    wrapped = imported(definition)
    there = _computed(wrapped.graph, outputs)
    users: dict[str, list[str]] = {}
    for name, tensor in wanted.items():
        if tensor in there:
            users.setdefault(tensor, []).append(name)
    inputs = [wrapped.graph.get_tensor_by_name(name) for name in frozen.inputs]
    chunks = list(_chunks([tensor for tensor in there if tensor in users], there))
    needs = _needs(wrapped.graph, chunks)
    held: dict[str, Array] = {}
    for number, (chosen, before) in enumerate(zip(chunks, needs, strict=True)):
        feeds = [*inputs, *[wrapped.graph.get_tensor_by_name(name) for name in before]]
        results = wrapped.prune(feeds, chosen)(*fed, *[tf.constant(held[name]) for name in before])
        for tensor, value in zip(chosen, results, strict=True):
            held[tensor] = np.asarray(value.numpy())
            for name in users[tensor]:
                take(name, held[tensor])
        still = {name for later in needs[number + 1 :] for name in later}
        held = {name: value for name, value in held.items() if name in still}


def _computed(graph: Any, outputs: Sequence[str]) -> dict[str, int]:
    """The tensors that a graph computes, with their sizes in bytes, and its outputs, whatever makes them."""
    import tensorflow as tf

    operations = [
        op
        for op in graph.get_operations()
        if op.type not in ("Const", "Placeholder", "NoOp") or any(tensor.name in outputs for tensor in op.outputs)
    ]
    numbers = (t for op in operations for t in op.outputs if t.dtype not in (tf.variant, tf.resource, tf.string))
    return {tensor.name: _size(tensor) for tensor in numbers}


def _needs(graph: Any, chunks: Sequence[Sequence[str]]) -> list[list[str]]:
    """By chunk, the tensors of earlier chunks that it is computed from.

    They are fed, not computed again: another run may fuse other operators, and a value and what was made of it would be
    of two computations that differ by a rounding.
    """
    needs, done = [], set[str]()
    for chosen in chunks:
        found: dict[str, None] = {}
        waiting = [graph.get_tensor_by_name(name).op for name in chosen]
        seen = set()
        while waiting:
            operation = waiting.pop()
            if operation.name in seen:
                continue
            seen.add(operation.name)
            for tensor in operation.inputs:
                if tensor.name in done:
                    found[tensor.name] = None
                else:
                    waiting.append(tensor.op)
        needs.append(list(found))
        done.update(chosen)
    return needs


BUDGET = 2**25


def _size(tensor: Any) -> int:
    """The bytes of a tensor; one whose shape is not known counts as many."""
    count = tensor.shape.num_elements()
    return BUDGET // 8 if count is None else int(count) * tensor.dtype.size


def _chunks(names: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    chunk: list[str] = []
    held = 0
    for name in names:
        if chunk and held + sizes[name] > BUDGET:
            yield chunk
            chunk, held = [], 0
        chunk.append(name)
        held += sizes[name]
    if chunk:
        yield chunk


def matched(
    proto: onnx.ModelProto, returned: Sequence[str], outputs: Sequence[str], definition: Any = None
) -> dict[str, str]:
    """By the ONNX graph's names, those of the tensors that they are; not all of these need to be there.

    tf2onnx merges a convolution with the sum that adds its bias and calls both Conv__N; the bias keeps the name that it
    has in the frozen graph ``definition``, and where one sum reads it there, that sum is the value.
    """
    sums: dict[str, list[str]] = {}
    for node in definition.node if definition is not None else ():
        if node.op in ("AddV2", "Add", "BiasAdd"):
            for read in node.input:
                sums.setdefault(read.partition(":")[0], []).append(node.name)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found: dict[str, str] = {}
    for node in proto.graph.node:
        whole = [n for n in node.output if n and not _begins_chain(n.rpartition(":")[0], readers.get(n, ()))]
        found |= dict(zip(whole, whole, strict=True))
        if node.op_type in ("Conv", "ConvTranspose") and len(node.input) > 2 and _MERGED.fullmatch(node.output[0]):
            adding = sums.get(node.input[2].partition(":")[0], [])
            if len(adding) == 1:
                found[node.output[0]] = f"{adding[0]}:0"
    return found | dict(zip(outputs, returned, strict=True))


def _begins_chain(operator: str, readers: Sequence[onnx.NodeProto]) -> bool:
    """Whether a value of an operator's name is only the first step of what tf2onnx made of the operator."""
    return any(
        reader.name.startswith(f"{operator}__") or any(other.startswith(f"{operator}_const") for other in reader.input)
        for reader in readers
    )


def widen(attribute: Any) -> None:
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
        attribute.tensor.CopyFrom(tf.make_tensor_proto(value, dtype=tf.float64, shape=value.shape))
