"""Files that somebody else wrote, checked in a child: what ONNX's inference and its checker say of them.

Design note.  Both are native code that takes the graph at its word: a function that calls the one before it twice,
forty times over, is expanded for ever; an output count of 2**40 is allocated.  So what can be counted is counted first
(:func:`endless`), both run in a child (``onnxgraph.sandbox``), where they may die, and both are given a copy without
numbers: a tensor of more than a few elements keeps its type and its dims.  The checker would miss the numbers; for it
such a tensor is an empty one, and whether tensors hold what their dims promise is looked at here.  Data in other files
is never opened.

What ONNX's full check refuses (an operator on a type that it is not defined for, an axis that is not there) is asked of
strict inference, in a task of its own: its death says nothing of the graph.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice

import onnx
from google.protobuf.message import Message
from onnx import ModelProto, NodeProto, SparseTensorProto, TensorProto

from onnx_triangulate.onnxgraph.inference import Refusal, endless, infer, only_node, refusals
from onnx_triangulate.onnxgraph.nodes import elements, nodes_within, printable
from onnx_triangulate.onnxgraph.sandbox import Sandbox
from onnx_triangulate.records.runs import Failure

_SMALL = 1024  # elements that a tensor may have and keep its numbers: those that inference reads are fewer
_SMALL_NODE = 512  # bytes of a node that is copied as it is
_SECONDS = 0.5
_SECONDS_PER_NODE = 1e-4
_MEMORY = 256 << 20
_MEMORY_PER_NODE = 16 << 10
_BITS = {
    **dict.fromkeys(("FLOAT", "INT32", "UINT32"), 32),
    **dict.fromkeys(("DOUBLE", "INT64", "UINT64", "COMPLEX64"), 64),
    **dict.fromkeys(("FLOAT16", "BFLOAT16", "INT16", "UINT16"), 16),
    **dict.fromkeys(("INT8", "UINT8", "BOOL", "FLOAT8E4M3FN", "FLOAT8E5M2"), 8),
    "COMPLEX128": 128,
}
_WIDTH = {TensorProto.DataType.Value(name): bits for name, bits in _BITS.items()}
_FIELD = {  # where a type's numbers are that are not bytes; the others' are in int32_data
    TensorProto.FLOAT: "float_data",
    TensorProto.COMPLEX64: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.COMPLEX128: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}

_MAY_BE_LARGE = frozenset(
    "GraphProto FunctionProto NodeProto AttributeProto TensorProto SparseTensorProto TrainingInfoProto".split()
)
_SAYINGS = ("doc_string", "metadata_props")


class SandboxedCheck:
    """What ONNX's inference and its checker have to say; both begin to work at once, and are waited for when asked.

    What cannot be found out is added to ``problems``, once it was asked for.
    """

    def __init__(self, model: ModelProto, problems: list[str]) -> None:
        self.problems = problems
        self._refusal = endless(model)
        tasks: list[Callable[[], bytes]] = [lambda: _check(model)]
        if not self._refusal:
            tasks = [lambda: _infer(model), *tasks, lambda: _strictly(model)]
        self._sandbox = _sandbox(tasks, model)

    @cached_property
    def shaped(self) -> ModelProto | None:
        """A copy of the model without numbers, with all shapes that could be found."""
        instead = "shapes are those that the file gives"
        if self._refusal:
            self.problems.append(f"{self._refusal}: {instead}")
            return None
        answer = self._sandbox.answer(0)
        if isinstance(answer, Failure):
            self.problems.append(f"ONNX's shape inference gives no answer ({_line(answer.message)}): {instead}")
            return None
        shaped = ModelProto()
        shaped.ParseFromString(answer)
        return shaped

    @cached_property
    def invalid(self) -> Refusal | None:
        """What the full check has against the model, or which tensor holds too little, in one line."""
        answer = self._sandbox.answer(0 if self._refusal else 1)
        if isinstance(answer, Failure):
            self.problems.append(f"ONNX's checker gives no answer: {_line(answer.message)}")
        elif answer:
            return Refusal(*json.loads(answer))
        strict = b"" if self._refusal else self._sandbox.answer(2)
        if isinstance(strict, Failure):
            self.problems.append(f"ONNX's full check gives no answer: {_line(strict.message)}")
            return None
        return Refusal(*json.loads(strict)) if strict else None


def _sandbox(tasks: Sequence[Callable[[], bytes]], model: ModelProto) -> Sandbox:
    """The tasks in a child with the time and memory that a model of this size may take."""
    size = sum(1 for _ in nodes_within(model.graph, *model.functions))
    onnx.defs.has("Relu")  # reads all schemas, once and here, not in every child
    return Sandbox(tasks, seconds=_SECONDS + _SECONDS_PER_NODE * size, memory=_MEMORY + _MEMORY_PER_NODE * size)


def full_check(model: ModelProto) -> Refusal | Failure | None:
    """What ONNX's full check has against a model besides the plain check, which see; a failure where it dies."""
    if endless(model):
        return None
    answer = _sandbox([lambda: _strictly(model)], model).answer(0)
    if isinstance(answer, Failure):
        return answer
    return Refusal(*json.loads(answer)) if answer else None


def _line(says: str) -> str:
    return printable(" ".join(says.split()), 300)


def _infer(model: ModelProto) -> bytes:
    return bytes(infer(numberless(model)).SerializeToString())


def _packed(found: Sequence[Refusal]) -> bytes:
    """All that was found in one line, by the first one's operator and node; nothing if nothing was."""
    if not found:
        return b""
    said = "; ".join(each.message for each in found[:3]) + ("; …" if len(found) > 3 else "")
    return json.dumps([said, found[0].op, found[0].node]).encode()


def _check(model: ModelProto) -> bytes:
    """What the checker and a look at the size of the tensors have against the model."""
    found = []
    try:
        onnx.checker.check_model(numberless(model, empty=True))
    except onnx.checker.ValidationError as error:
        op, node = named_by_checker(str(error))
        node = node or (only_node(op, model) if op else None)
        found.append(Refusal(f"ONNX's checker says: {_line(str(error))}", op, node))
    found += [Refusal(short) for short in islice(_short_tensors(model), 1)]
    return _packed(found)


def _strictly(model: ModelProto) -> bytes:
    """What strict inference of types and shapes has against the model."""
    found = refusals(numberless(model))
    return _packed([replace(each, message=f"ONNX's full check says: {_line(each.message)}") for each in found[:4]])


def named_by_checker(says: str) -> tuple[str | None, str | None]:
    """The operator and the node that the words of ONNX's checker name."""
    op = re.search(r"No Op registered for (\w+)", says) or re.search(r"OpType: (\w+)", says)
    node = re.search(r"\b[Nn]ode[.:]\s+[Nn]ame: (.+?) OpType:", says)
    return op[1] if op else None, node[1] if node else None


def _short_tensors(model: ModelProto) -> Iterator[str]:
    """Tensors of the main graph that hold fewer numbers than their dims promise."""
    held = [*model.graph.initializer]
    held += [a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.HasField("t")]
    for tensor in held:
        bits = _WIDTH.get(tensor.data_type)
        if bits is None or tensor.data_location == TensorProto.EXTERNAL:
            continue
        if tensor.HasField("raw_data"):
            promised, there, unit = elements(tensor) * bits // 8, len(tensor.raw_data), "bytes"
        else:
            field = _FIELD.get(tensor.data_type, "int32_data")
            times = 2 if tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128) else 1
            promised, there, unit = elements(tensor) * times, len(getattr(tensor, field)), "numbers"
        if there < promised:
            yield f"tensor {printable(tensor.name)}: its dims promise {promised} {unit}, it holds {there}"


def numberless(model: ModelProto, empty: bool = False) -> ModelProto:
    """A copy in which tensors of more than a few elements have no numbers; where ``empty``, no elements either.

    Documentation and metadata are left out, too: exporters write whole stack traces there.
    """
    copy = ModelProto()
    _copy(model, copy, empty)
    return copy


def _copy(message: Message, copy: Message, empty: bool) -> None:
    """Field by field, those that are set: to set one to nothing is not the same to the checker."""
    if isinstance(message, TensorProto):
        _copy_tensor(message, copy, empty and _is_large(message))
        return
    if isinstance(message, SparseTensorProto):  # its parts must fit one another: none is emptied alone
        both = (message.values, copy.values), (message.indices, copy.indices)
        large = any(_is_large(tensor) for tensor, _ in both)
        copy.dims.extend(message.dims)
        for tensor, into in both:
            _copy_tensor(tensor, into, empty and large)
        return
    for field, value in message.ListFields():
        if field.name in _SAYINGS:
            continue
        into = getattr(copy, field.name)
        repeated = isinstance(into, Sequence) and not isinstance(into, str | bytes)
        if field.message_type is None or field.message_type.name not in _MAY_BE_LARGE:
            if repeated:
                into.extend(value)
            elif field.message_type is None:
                setattr(copy, field.name, value)
            else:
                into.CopyFrom(value)
        elif not repeated:
            into.SetInParent()
            _copy(value, into, empty)
        else:
            for one in value:
                if isinstance(one, NodeProto) and one.ByteSize() <= _SMALL_NODE:
                    into.append(one)
                else:
                    _copy(one, into.add(), empty)


def _is_large(tensor: TensorProto) -> bool:
    external = tensor.data_location == TensorProto.EXTERNAL
    return external or elements(tensor) > _SMALL or tensor.ByteSize() > 16 * _SMALL + 4096


def _copy_tensor(tensor: TensorProto, copy: TensorProto, empty: bool) -> None:
    """``empty``: without elements; a large one is in any case without numbers."""
    if not empty and not _is_large(tensor):
        copy.CopyFrom(tensor)
        return
    copy.name, copy.data_type = tensor.name, tensor.data_type
    copy.dims.extend([0] if empty and 0 < elements(tensor) < 1 << 63 else list(tensor.dims))
