"""What ONNX's schemas say of an operator: defaults of its attributes, names and kinds of its inputs.

Design note.  A constant input is an attribute where its type says nothing of the result: a type that no output has is
one of indices, sizes or flags (starts of a Slice), where int32 and int64 are two ways to write a number.  A zero point
or the values of a OneHot give the result its type, so their type is part of what they say.  What a schema tells in
prose only (the activations of an LSTM that names none) is written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto

from onnx_triangulate.diff.ir import plain
from onnx_triangulate.onnxgraph.nodes import attributes, in_onnx, operator, text
from onnx_triangulate.ops.recurrence import DEFAULTS

# Whose ``axis`` or ``axes`` are those of the result, not those of the first operand.
BY_RESULT = frozenset(("Unsqueeze", "OneHot", "ConcatFromSequence"))


@dataclass(frozen=True)
class Described:
    """Defaults and types of attributes by name; inputs by place: the name, where there may be no more than one of it
    ("" elsewhere), and whether that can be said as an attribute."""

    defaults: Mapping[str, Any]
    types: Mapping[str, int]
    inputs: tuple[str, ...]
    indirect: frozenset[str]


_DESCRIBED: dict[tuple[str, str, int | None], Described | None] = {}


def described(node: NodeProto, version: int | None) -> Described | None:
    """None for an operator that is not ONNX's."""
    key = (text(node.domain), text(node.op_type), version)
    if key not in _DESCRIBED:
        _DESCRIBED[key] = None
        if in_onnx(node) and version is not None and onnx.defs.has(key[1], version, ""):
            schema = onnx.defs.get_schema(key[1], version, "")
            defaults: dict[str, Any] = {}
            for name, declared in schema.attributes.items():
                if declared.default_value.type != AttributeProto.UNDEFINED:
                    one = NodeProto()
                    one.attribute.add().CopyFrom(declared.default_value)
                    one.attribute[0].name = name
                    defaults |= attributes(one)
            variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
            made = {o.type_str for o in schema.outputs if not o.type_str.startswith("tensor(")}
            names = tuple("" if i.option == variadic else i.name for i in schema.inputs)
            indirect = frozenset(i.name for i in schema.inputs if i.type_str not in made)
            types = {name: int(a.type.value) for name, a in schema.attributes.items()}
            _DESCRIBED[key] = Described(defaults, types, names, indirect)
    return _DESCRIBED[key]


# What operators did before they had an attribute that says so, where its default is something else.
_BEFORE: Mapping[str, Mapping[str, Any]] = {
    "Resize": {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "RoiAlign": {"coordinate_transformation_mode": "output_half_pixel"},
}


def defaults(node: NodeProto, version: int | None) -> dict[str, Any]:
    """What the attributes are that a node does not write, by its schema and by what that says in prose."""
    known = described(node, version)
    if known is None:
        return {}
    made = dict(known.defaults)
    before = _BEFORE.get(operator(node), {})
    if not any(name in made for name in before):
        made |= before
    op = operator(node)
    if op in DEFAULTS:
        both = attributes(node).get("direction") == "bidirectional"
        made["activations"] = DEFAULTS[op] * (2 if both else 1)
    if op == "ConstantOfShape":
        made["value"] = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    return made


def mistyped(node: NodeProto, version: int | None) -> bool:
    """Whether an attribute is of another type than its operator gives it."""
    known = described(node, version) if node.attribute else None
    return known is not None and any(known.types.get(a.name, a.type) != a.type for a in node.attribute)


def is_default(op: str, version: int | None, name: str, value: Any) -> bool:
    """Whether an attribute that an opset has holds what it is where nobody writes it."""
    known = described(NodeProto(op_type=op), version) if "." not in op else None
    return known is not None and name in known.defaults and plain({name: known.defaults[name]})[name] == value
