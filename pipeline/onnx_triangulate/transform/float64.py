"""A graph in float64, and the constants in it that float32 has rounded.

Design note.  In float64 an exporter's fault stands out from 1e-13 of rounding, if two things are taken care of.
First, everything float32 must move together: initializers, borders, tensor attributes, Constants, Cast targets, in
subgraphs and local functions too.  An operator that wants float32 (Resize's ``scales``, quantization) keeps it behind
Casts; an operator whose formula knows no type (Celu, RotaryEmbedding), which only ONNX's type lists confine to float32,
simply receives float64, so the result is for evaluating, not for a strict checker.  float16 and bfloat16 stay.

Second, ONNX stores float attributes in float32 fields, and exporters write Python scalars as float32 tensors, where the
source keeps them in float64: leaky_relu's 0.2 is 9e-9 off.  That is no fault of the exporter's, so the answer's
response to one rounding of each such constant belongs into the bound.  One rounding is half an ulp at most.  A tensor
of the float64 graph is moved by exactly that (``weight`` 1).  An attribute is a float32 field even in the float64 graph
and can only be moved to its float32 neighbour, a whole ulp; its ``weight`` of 0.5 scales the response back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, numpy_helper

from onnx_triangulate.numerics.perturbation import moved, neighbour
from onnx_triangulate.onnxgraph.graph import places
from onnx_triangulate.onnxgraph.inference import with_inferred_shapes
from onnx_triangulate.onnxgraph.inlining import with_bodies_of
from onnx_triangulate.onnxgraph.nodes import (
    array,
    constant_tensor,
    elements,
    in_onnx,
    node_name,
    operator,
    opset,
    printable,
    subgraphs,
    text,
)
from onnx_triangulate.ops.random_draws import DRAWS
from onnx_triangulate.ops.registry import operators, operators_where
from onnx_triangulate.records.errors import Unsupported

_FLOAT, _DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE

# RandomNormal and its kin are absent on purpose: their numbers are drawn in the type they name, so it stays and a Cast
# follows.
_TYPE_ATTRIBUTES = {name: op.result_type for name, op in operators().items() if op.result_type}
_FLOAT_BY_DEFAULT = operators_where(lambda op: op.float_by_default)
_ANY_TYPE = operators_where(lambda op: op.any_float)
_WITHIN = {"sequence_type": "elem_type", "optional_type": "elem_type", "map_type": "value_type"}


@dataclass
class _Conversion:
    """What the conversion of one model needs to know everywhere in it."""

    version: int | None
    types: dict[str, int]
    kept: frozenset[str]
    taken: set[str]
    parameters: dict[tuple[str, str], set[str]]

    def fresh(self, name: str) -> str:
        candidate, count = f"{name}__float32", 2
        while candidate in self.taken:
            candidate, count = f"{name}__float32_{count}", count + 1
        self.taken.add(candidate)
        return candidate


def _schema(node: NodeProto, version: int | None) -> Any:
    op = text(node.op_type)
    if version is None or not in_onnx(node) or not onnx.defs.has(op, version, ""):
        return None
    return onnx.defs.get_schema(op, version, "")


def _float32_slots(node: NodeProto, version: int | None) -> tuple[set[int], set[int]]:
    """The inputs and outputs of a node that ONNX allows in float32 but not in float64."""
    schema = None if node.op_type in _ANY_TYPE else _schema(node, version)
    if schema is None:
        return set(), set()
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}

    def confined(parameters: Any, count: int) -> set[int]:
        kinds = [parameters[min(slot, len(parameters) - 1)].type_str for slot in range(count if parameters else 0)]
        types = [allowed.get(kind, {kind}) for kind in kinds]
        return {slot for slot, each in enumerate(types) if "tensor(float)" in each and "tensor(double)" not in each}

    return confined(schema.inputs, len(node.input)), confined(schema.outputs, len(node.output))


def _refuse(what: str, node: NodeProto | None = None, index: int = 0) -> Unsupported:
    if node is None:
        return Unsupported(f"float64: {what}")
    name = node_name(node, index)
    return Unsupported(f"float64: {what} ({operator(node)} {printable(name)})", op=operator(node), node=name)


def _to_double(tensor: TensorProto) -> None:
    if tensor.data_type != _FLOAT:
        return
    if tensor.data_location == TensorProto.EXTERNAL:
        raise _refuse(f"the data of {printable(tensor.name)!r} is in another file and was not loaded")
    values = array(tensor)
    if values is None:
        raise _refuse(f"{printable(tensor.name)!r} does not hold the numbers that its shape promises")
    tensor.ClearField("float_data")
    tensor.raw_data = values.astype("<f8").tobytes()
    tensor.data_type = _DOUBLE


def _type_to_double(kind: TypeProto) -> None:
    which = kind.WhichOneof("value") or ""
    if which in _WITHIN:
        _type_to_double(getattr(getattr(kind, which), _WITHIN[which]))
    elif which == "sparse_tensor_type" and kind.sparse_tensor_type.elem_type == _FLOAT:
        raise _refuse("sparse tensors are not converted")
    elif which == "tensor_type" and kind.tensor_type.elem_type == _FLOAT:
        kind.tensor_type.elem_type = _DOUBLE


def _set_attribute(node: NodeProto, name: str, value: Any) -> None:
    for position, attribute in enumerate(node.attribute):
        if attribute.name == name:
            del node.attribute[position]
            break
    node.attribute.append(onnx.helper.make_attribute(name, value))


def _convert_node(node: NodeProto, index: int, how: _Conversion) -> None:
    """Everything inside a node: tensors, types, graphs, and the attributes that name a type."""
    named = _type_names(node, how.parameters)
    if in_onnx(node) and node.op_type == "BitCast":
        raise _refuse("reinterpreting bits has no meaning in another type", node, index)
    if any(a.type in (AttributeProto.SPARSE_TENSOR, AttributeProto.SPARSE_TENSORS) for a in node.attribute):
        raise _refuse("sparse tensors are not converted", node, index)
    for attribute in node.attribute:
        _convert_attribute(attribute, named)
    for _, graph in subgraphs(node):
        _convert_graph(graph, how)
    if in_onnx(node):
        _write_default(node, how.version)


def _type_names(node: NodeProto, parameters: Mapping[tuple[str, str], set[str]]) -> set[str]:
    """The attributes of a node that name the type of a result, there or inside of the function that it calls."""
    own = _TYPE_ATTRIBUTES.get(node.op_type) if in_onnx(node) else None
    return ({own} if own else set()) | parameters.get((text(node.domain), text(node.op_type)), set())


def _convert_attribute(attribute: AttributeProto, named: set[str]) -> None:
    """A tensor, a type, or a number that names one (``named``)."""
    if attribute.type == AttributeProto.TENSOR:
        _to_double(attribute.t)
    elif attribute.type == AttributeProto.TENSORS:
        for tensor in attribute.tensors:
            _to_double(tensor)
    elif attribute.type == AttributeProto.TYPE_PROTO:
        _type_to_double(attribute.tp)
    elif attribute.type == AttributeProto.INT and attribute.name in named and attribute.i == _FLOAT:
        attribute.i = _DOUBLE


def _write_default(node: NodeProto, version: int | None) -> None:
    """Float64 where a node means float32 because nothing, or a float attribute, is written."""
    present = {a.name: a for a in node.attribute}
    type_attribute = _TYPE_ATTRIBUTES.get(node.op_type)
    if node.op_type == "Constant":
        written = [present[name] for name in ("value_float", "value_floats") if name in present]
        if written and not written[0].ref_attr_name:
            held = written[0].f if written[0].name == "value_float" else list(written[0].floats)
            tensor = numpy_helper.from_array(np.asarray(held, np.float64), node.output[0])
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("value", tensor))
    elif node.op_type == "ConstantOfShape" and "value" not in present:
        _set_attribute(node, "value", numpy_helper.from_array(np.zeros(1, np.float64)))
    elif type_attribute is not None and type_attribute not in present and _means_float32(node, version):
        _set_attribute(node, type_attribute, _DOUBLE)


def _means_float32(node: NodeProto, version: int | None) -> bool:
    """Whether a node computes in float32 because the attribute that would name its type is not written."""
    stashes = node.op_type == "GroupNormalization" and version is not None and version >= 21
    return stashes or node.op_type in _FLOAT_BY_DEFAULT


def _draws_float32(node: NodeProto) -> bool:
    if not in_onnx(node) or node.op_type not in DRAWS:
        return False
    written = [a.i for a in node.attribute if a.name == "dtype"]
    return written[0] == _FLOAT if written else node.op_type in _FLOAT_BY_DEFAULT


def _convert_nodes(graph: GraphProto | FunctionProto, how: _Conversion) -> None:
    result: list[NodeProto] = []
    for index, node in enumerate(graph.node):
        if in_onnx(node) and node.op_type == "Constant" and node.output and node.output[0] in how.kept:
            result.append(node)
            continue
        _convert_node(node, index, how)
        inputs, outputs = _float32_slots(node, how.version)
        before = _narrowed(node.input, inputs, how, how.kept)
        after = _narrowed(node.output, {0} if _draws_float32(node) else outputs, how, ())
        result += [onnx.helper.make_node("Cast", [name], [narrow], to=_FLOAT) for name, narrow in before]
        result += [node, *(onnx.helper.make_node("Cast", [narrow], [name], to=_DOUBLE) for name, narrow in after)]
    if len(result) != len(graph.node):
        kept = [NodeProto.FromString(n.SerializeToString()) for n in result]
        del graph.node[:]
        graph.node.extend(kept)


def _narrowed(names: Any, slots: Iterable[int], how: _Conversion, kept: Collection[str]) -> list[tuple[str, str]]:
    """The inputs or outputs of a node in some slots that are float32 in the file, each with the new name that it has
    there from now on."""
    found = []
    for slot in sorted(slots):
        name = names[slot]
        if name and name not in kept and how.types.get(name, _FLOAT) == _FLOAT:
            names[slot] = how.fresh(name)
            found.append((name, names[slot]))
    return found


def _convert_graph(graph: GraphProto, how: _Conversion) -> None:
    if graph.sparse_initializer:
        raise _refuse("sparse initializers are not converted")
    del graph.value_info[:]
    for tensor in graph.initializer:
        if tensor.name not in how.kept:
            _to_double(tensor)
    for value in (*graph.input, *graph.output):
        if value.name not in how.kept:
            _type_to_double(value.type)
    _convert_nodes(graph, how)


def _type_parameters(model: ModelProto) -> dict[tuple[str, str], set[str]]:
    """The attributes of each local function that, somewhere inside, name the type of a result."""
    found: dict[tuple[str, str], set[str]] = {(text(f.domain), text(f.name)): set() for f in model.functions}
    changed = True
    while changed:
        changed = False
        for function in model.functions:
            mine = found[text(function.domain), text(function.name)]
            for node in function.node:
                names = _type_names(node, found)
                new = {a.ref_attr_name for a in node.attribute if a.ref_attr_name and a.name in names} - mine
                mine |= new
                changed |= bool(new)
    return found


def _kept(model: ModelProto, version: int | None) -> frozenset[str]:
    """Float32 constants that nobody reads but slots which want float32: they stay as they are."""
    constants, elsewhere, wanted = set(), set(), set()
    for _, graph in _graphs(model.graph, ()):
        constants |= {t.name for t in graph.initializer if t.data_type == _FLOAT}
        elsewhere |= {o.name for o in graph.output}
        for node in graph.node:
            if in_onnx(node) and node.op_type == "Constant" and node.output:
                constants.add(node.output[0])
            inputs, _ = _float32_slots(node, version)
            wanted |= {name for slot, name in enumerate(node.input) if slot in inputs}
            elsewhere |= {name for slot, name in enumerate(node.input) if slot not in inputs}
    fed = {i.name for i in model.graph.input}
    return frozenset((constants & wanted) - elsewhere - fed)


def to_float64(model: ModelProto) -> ModelProto:
    """The same graph in float64; ``model`` is left as it is.

    Converted: initializers, inputs, outputs, tensor attributes, Constants, Cast targets and other attributes that name
    the type of a result, in subgraphs and local functions too; value_info is dropped.  Kept: float16 and bfloat16,
    ``stash_type`` of LayerNormalization, and float32 where an operator takes nothing else, with
    Casts around it.  Raises ``records.errors.Unsupported`` for sparse tensors, BitCast, and data that is in other
    files and was not loaded.
    """
    version = opset(model)
    inferred = with_inferred_shapes(model)
    types: dict[str, int] = {}
    seen: set[int] = set()
    for place in places(inferred if inferred is not None else model):
        if id(place.graph) not in seen:
            seen.add(id(place.graph))
            types.update(place.graph.types)
    taken = set(types)
    for place in places(model):
        taken.update(place.inputs, place.outputs)
    how = _Conversion(version, types, _kept(model, version), taken, _type_parameters(model))
    converted = ModelProto()
    converted.CopyFrom(model)
    del converted.training_info[:]
    _convert_graph(converted.graph, how)
    for function in converted.functions:
        del function.value_info[:]
        names = how.parameters[text(function.domain), text(function.name)]
        for attribute in function.attribute_proto:
            if attribute.type == AttributeProto.INT and attribute.name in names and attribute.i == _FLOAT:
                attribute.i = _DOUBLE
        _convert_nodes(function, how)
    return converted


@dataclass(frozen=True)
class ConstantRef:
    """A constant that float32 has rounded, found again by what it is called, not by where it stands.

    ``graph`` is the way to its graph by the first outputs of the nodes that hold it; ``value_of`` the initializer, or
    the first output of the node; ``attribute`` and ``index`` say which of the node's numbers, ``None`` for a tensor.
    ``weight`` scales the response to :func:`nudged` down to one float32 rounding.
    """

    graph: tuple[str, ...]
    value_of: str
    op: str
    attribute: str | None
    index: int | None
    value: float
    weight: float


def _plain(value: float) -> bool:
    """Whether a number has at most 12 significant bits (or is no number): whoever wrote it lost nothing to float32."""
    if not np.isfinite(value) or value == 0:
        return True
    mantissa, _ = np.frexp(np.float64(value))
    return bool(float(mantissa * 4096).is_integer())


def _rounded(value: float) -> bool:
    """Whether a number is a float32 that may be the rounding of something else."""
    with np.errstate(over="ignore"):
        return bool(np.float64(np.float32(value)) == value) and not _plain(value)


def _graphs(graph: GraphProto | FunctionProto, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield way, graph
    for node in graph.node:
        for attribute, inner in subgraphs(node):
            yield from _graphs(inner, (*way, f"{node.output[0] if node.output else ''}:{attribute}"))


def _all_graphs(model: ModelProto) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield from _graphs(model.graph, ())
    for function in model.functions:
        yield from _graphs(function, (f"function:{text(function.domain)}:{text(function.name)}",))


def _single(tensor: TensorProto) -> float | None:
    if tensor.data_type not in (_FLOAT, _DOUBLE) or elements(tensor) != 1:
        return None
    held = array(tensor)
    return None if held is None or held.size != 1 else float(held.reshape(-1)[0])


def _attribute_constants(way: tuple[str, ...], node: NodeProto, version: int | None) -> Iterator[ConstantRef]:
    if not node.output:
        return
    numbers: list[tuple[str, int | None, float]] = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            continue
        if attribute.type == AttributeProto.FLOAT:
            numbers.append((attribute.name, None, attribute.f))
        elif attribute.type == AttributeProto.FLOATS:
            numbers += [(attribute.name, i, v) for i, v in enumerate(attribute.floats)]
    schema = _schema(node, version)
    written = {a.name for a in node.attribute}
    for name, declared in sorted(schema.attributes.items()) if schema is not None else ():
        if name not in written and declared.default_value.type == AttributeProto.FLOAT:
            numbers.append((name, None, declared.default_value.f))
    for name, index, value in numbers:
        if _rounded(value):
            yield ConstantRef(way, node.output[0], operator(node), name, index, float(value), 0.5)


def float_constants(model: ModelProto) -> tuple[ConstantRef, ...]:
    """Every constant of the (float64 or float32) model that stands where the source may hold a float64 scalar.

    Float attributes, also those that take ONNX's default because nothing is written, and float initializers and
    Constants of one element.  Left out: values of at most 12 significant bits (0.5, 3, −100), which carry no rounding,
    and float64 values that are not float32 numbers, which nobody has rounded.
    """
    version = opset(model)
    found: list[ConstantRef] = []
    for way, graph in _all_graphs(model):
        for tensor in getattr(graph, "initializer", ()):
            value = _single(tensor)
            if value is not None and _rounded(value):
                found.append(ConstantRef(way, tensor.name, "", None, None, value, 1.0))
        for node in graph.node:
            constant = constant_tensor(node)
            if constant is None:
                found += _attribute_constants(way, node, version)
            elif node.output:
                value = _single(constant)
                if value is not None and _rounded(value):
                    found.append(ConstantRef(way, node.output[0], "Constant", None, None, value, 1.0))
    return tuple(found)


def with_bodies(model: ModelProto) -> ModelProto:
    """The model with each operator written out that ONNX defines by a body with constants that float32 has rounded.

    HardSwish has no attribute, and yet its sixth is a float32.
    """
    version = opset(model)
    found = set()
    for _, graph in _all_graphs(model):
        for node in graph.node:
            schema = _schema(node, version)
            body = schema.function_body if schema is not None and schema.has_function else None
            if body is not None and any(True for inner in body.node for _ in _attribute_constants((), inner, version)):
                found.add((text(node.domain), text(node.op_type)))
    if not found:
        return model
    return with_bodies_of(model, found)


def nudged(model: ModelProto, ref: ConstantRef, sign: int) -> ModelProto:
    """The float64 model with one constant moved up (``sign`` > 0) or down; ``model`` is left as it is.

    A tensor moves by half a float32 ulp, an attribute to its float32 neighbour (see ``ref.weight``).  Raises
    ``ValueError`` where the constant is not there, or is a float32 tensor, which cannot hold half an ulp.
    """
    nudged_model = ModelProto()
    nudged_model.CopyFrom(model)
    for way, graph in _all_graphs(nudged_model):
        if way != ref.graph:
            continue
        if ref.attribute is not None:
            for node in graph.node:
                if node.output and node.output[0] == ref.value_of:
                    _move_attribute(node, ref, sign)
                    return nudged_model
        for name, tensor in _tensors(graph):
            if name == ref.value_of:
                _move_tensor(tensor, ref, sign)
                return nudged_model
    raise ValueError(f"no constant {printable(ref.value_of)!r} in this model")


def shaken(model: ModelProto, names: Iterable[str], seed: int) -> ModelProto:
    """The float64 model with every element of the constants ``names`` moved by one unit roundoff of float32.

    The signs are random, seeded by ``seed``; ``model`` is left as it is.
    """
    shaken_model = ModelProto()
    shaken_model.CopyFrom(model)
    wanted, generator = set(names), np.random.default_rng(seed)
    for _, graph in _all_graphs(shaken_model):
        for name, tensor in _tensors(graph):
            if text(name) in wanted and tensor.data_type == _DOUBLE:
                values = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(moved(values, generator, draw=np.int64), tensor.name))
    return shaken_model


def _tensors(graph: GraphProto | FunctionProto) -> Iterator[tuple[str, TensorProto]]:
    """The constants of a graph by name: its initializers, and what its Constant nodes make."""
    for tensor in getattr(graph, "initializer", ()):
        yield tensor.name, tensor
    for node in graph.node:
        tensor = constant_tensor(node)
        if tensor is not None and node.output:
            yield node.output[0], tensor


def _move_attribute(node: NodeProto, ref: ConstantRef, sign: int) -> None:
    value = neighbour(ref.value, sign)
    if ref.index is None:
        _set_attribute(node, str(ref.attribute), value)
        return
    for attribute in node.attribute:
        if attribute.name == ref.attribute:
            attribute.floats[ref.index] = value


def _move_tensor(tensor: TensorProto, ref: ConstantRef, sign: int) -> None:
    if tensor.data_type != _DOUBLE:
        raise ValueError(f"constant {printable(ref.value_of)!r} is not float64: nudge the converted model")
    half = float(np.spacing(np.float32(abs(ref.value)))) / 2
    values = numpy_helper.to_array(tensor) + (half if sign > 0 else -half)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values, np.float64), tensor.name))


_MIXERS = ((0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9), (0xD6E8FEB86659FD93, 0x94D049BB133111EB))
_CHUNK = 2**20


def _fingerprint(values: NDArray[Any]) -> tuple[int, ...]:
    """Equal for arrays that hold the same float32 numbers in any order and shape: their count, and two sums of hashes.

    A sort would say the same and take ten times as long for a model of real size.
    """
    flat = np.asarray(values).reshape(-1)
    sums = [0, 0]
    for start in range(0, flat.size, _CHUNK):
        with np.errstate(over="ignore"):
            single = np.ascontiguousarray(flat[start : start + _CHUNK], dtype=np.float32)
            bits = single.view(np.uint32).astype(np.uint64)
            for which, (first, second) in enumerate(_MIXERS):
                mixed = (bits + np.uint64(which + 1)) * np.uint64(first)
                mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(second)
                sums[which] += int((mixed ^ (mixed >> np.uint64(32))).sum())
    return (flat.size, *(total % 2**64 for total in sums))


def computed_initializers(
    model: ModelProto, sources: Iterable[NDArray[Any]], beside: Mapping[str, NDArray[Any]] | None = None
) -> tuple[str, ...]:
    """Float constants of more than one element that are none of ``sources``, whatever the order of their elements.

    What an exporter computed (folded) while exporting, in float32: a float64 comparison sees its rounding.  Arrays of
    numbers that carry no rounding (zeros, ones, small integers) are left out; so are those whose data was not loaded.
    ``beside`` are constants that are not in the model itself (``transform.skeleton``).
    """
    known = {_fingerprint(source) for source in sources}
    found = []
    for name, values in [*_constants(model), *(beside or {}).items()]:
        if values.dtype.kind != "f" or values.size < 2 or _fingerprint(values) in known:
            continue
        flat = values.reshape(-1)
        if _carries_rounding(flat[:1024]) or _carries_rounding(flat):
            found.append(text(name))
    return tuple(found)


def _carries_rounding(values: NDArray[Any]) -> bool:
    mantissas = np.frexp(values[np.isfinite(values)].astype(np.float64))[0] * 4096
    return not np.array_equal(mantissas, np.rint(mantissas))


def _constants(model: ModelProto) -> Iterator[tuple[str, NDArray[Any]]]:
    for _, graph in _all_graphs(model):
        for name, tensor in _tensors(graph):
            floats = tensor.data_type in (_FLOAT, _DOUBLE) and elements(tensor) > 1
            if floats and (values := array(tensor)) is not None:
                yield name, values
