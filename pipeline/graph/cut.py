"""Two edits that let one run show every node: all values as outputs, and the cut model.

Design note.  In the *cut* model every value that the source also has becomes an input, fed with the source's tensor,
and what the graph itself computes for it becomes an output under another name; so in one session and one run each node
(or each stretch of nodes between two such values) answers on the source's own inputs, and its error is seen alone.
Sequences and optionals are no arrays and are left out of the outputs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TypeProto, ValueInfoProto, helper, numpy_helper

from pipeline.graph.walk import with_inferred_shapes

_NO_ARRAYS = frozenset(
    "SplitToSequence SequenceConstruct SequenceInsert SequenceErase SequenceEmpty SequenceMap Optional".split()
)
SEEN = "__seen"


def array_values(model: ModelProto) -> tuple[str, ...]:
    """The names of all values of the main graph that nodes make and that are arrays, in order."""
    inferred = with_inferred_shapes(model)
    types = {} if inferred is None else {v.name: v.type for v in [*inferred.graph.value_info, *inferred.graph.output]}
    found = []
    for node in model.graph.node:
        for name in node.output:
            kind = types[name].WhichOneof("value") if name in types else None
            if name and node.op_type not in _NO_ARRAYS and kind in (None, "tensor_type"):
                found.append(name)
    return tuple(found)


def all_outputs(model: ModelProto) -> tuple[ModelProto, tuple[str, ...]]:
    """A copy of the model that returns every array, and their names.  Types are left to the runtime's inference."""
    copy = ModelProto()
    copy.CopyFrom(model)
    already = {output.name for output in copy.graph.output}
    names = array_values(model)
    copy.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in already)
    return copy, names


def cut(model: ModelProto, given: Mapping[str, str], wanted: Collection[str]) -> ModelProto:
    """The cut model: values of ``given`` (name to numpy type) become inputs, and NAME + :data:`SEEN` an output each.

    ``wanted`` are the values of ``given`` whose own computation is asked for; the others stay inputs only.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name in given:
                node.output[index] = name + SEEN
    have = {value.name for value in graph.input}
    for name, dtype in given.items():
        if name not in have:
            number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            kind = TypeProto(tensor_type=TypeProto.Tensor(elem_type=number))
            graph.input.append(ValueInfoProto(name=name, type=kind))
    del graph.output[:]
    graph.output.extend(ValueInfoProto(name=name + SEEN) for name in wanted if name in given)
    del graph.value_info[:]
    return copy


def constants(model: ModelProto) -> dict[str, NDArray[Any]]:
    """The initializers as arrays; raises ``ValueError`` where data is in another file and was not loaded."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
