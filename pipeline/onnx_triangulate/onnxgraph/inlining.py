"""A model with its local functions in place of their calls.

Design note.  Functions may call one another so that few lines stand for more nodes than fit anywhere: the size is
counted first, without building anything.  What is not entered (the inliner leaves a function alone that imports another
opset than the model) is still told apart by its body: :func:`written_bodies` is what that says, names left aside.
Everybody inlines here: onnx's own inliner (1.23) forgets the defaults of a function's attributes, and whoever called
it bare would judge another model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import onnx
import onnx.inliner
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

from onnx_triangulate.onnxgraph.dataflow import digest
from onnx_triangulate.onnxgraph.nodes import domain_of, every_tensor, nodes_within, subgraphs, text

_MOST_INLINED = 50_000
Key = tuple[str, str, str]  # domain, name and overload of a function


def expanded_size(model: ModelProto, *, calls: bool) -> int | None:
    """How many nodes there are, those of subgraphs included, once every call of a local function is followed; the calls
    themselves count if ``calls``.  Nothing is built.  ``None`` where functions call one another in a circle."""
    bodies = {key_of_function(f): Counter(called_in(f)) for f in model.functions}
    sizes: dict[Key, int] = {}

    def size(called: Mapping[Key, int]) -> int:
        return sum(times * (calls + sizes[key] if key in sizes else 1) for key, times in called.items())

    for first in bodies:
        waiting, above = [first], set[Key]()
        while waiting:
            key = waiting[-1]
            missing = [inner for inner in bodies[key] if inner in bodies and inner not in sizes]
            if key in sizes or not missing:
                sizes.setdefault(key, size(bodies[key]))
                waiting.pop()
                continue
            if key in above:
                return None
            above.add(key)
            waiting += missing
    return size(Counter(called_in(model.graph)))


def inlined_model(model: ModelProto) -> ModelProto | None:
    """The model with its functions in place of their calls; None where that is too much or does not go."""
    try:
        return inlined(model)
    except ValueError:
        return None


def inlined(model: ModelProto) -> ModelProto:
    """The model with its functions in place of their calls; itself where it has none.

    Raises ``ValueError`` where that is too much or does not go.
    """
    if not model.functions:
        return model
    size = expanded_size(model, calls=False)
    if size is None:
        raise ValueError("its functions call one another in a circle")
    if size > _MOST_INLINED:
        raise ValueError(f"its functions stand for {size:,} nodes, more than {_MOST_INLINED:,}")
    try:
        made: ModelProto = onnx.inliner.inline_local_functions(_with_defaults(model))
    except Exception as error:  # it fails in many ways on files that somebody else wrote
        says = " ".join(str(error).split())[:200]
        raise ValueError(f"its functions cannot be put in place of their calls: {says}") from None
    return made


def _with_defaults(model: ModelProto) -> ModelProto:
    """The calls of functions with the defaults of their attributes written out: the inliner forgets them."""
    defaults = {key_of_function(f): f.attribute_proto for f in model.functions if f.attribute_proto}
    if not defaults:
        return model
    made = ModelProto()
    made.CopyFrom(model)
    for node in nodes_within(made.graph, *made.functions):
        given = {a.name for a in node.attribute}
        node.attribute.extend(a for a in defaults.get(key_of(node), ()) if a.name not in given)
    return made


def key_of(node: NodeProto) -> Key:
    """Which function a node would call."""
    return domain_of(node), text(node.op_type), text(node.overload)


def key_of_function(function: FunctionProto) -> Key:
    """Under which key nodes call a function."""
    return domain_of(function), text(function.name), text(function.overload)


def written_bodies(model: ModelProto, folder: str) -> Mapping[Key, str]:
    """Of every function a digest of what it and those that it calls say; names of values and nodes are not part of it.
    ``folder`` is where numbers lie that the file does not hold."""
    bodies: dict[Key, list[bytes]] = {}
    calls: dict[Key, list[Key]] = {}
    for function in model.functions:
        key = key_of_function(function)
        said = bodies.setdefault(key, [])
        said.append(_nameless(function).SerializeToString(deterministic=True))
        if _outside(function):
            said.append(folder.encode("utf-8", "surrogateescape"))
        calls.setdefault(key, []).extend(called_in(function))
    made: dict[Key, str] = {}
    for first in bodies:
        stack, open_ = [(first, iter(calls[first]))], {first}
        while stack:
            key, rest = stack[-1]
            missing = next((c for c in rest if c in bodies and c not in made), None)
            if missing is None:
                made[key] = digest(*bodies[key], *(made[c] for c in calls[key] if c in made)).hex()
                open_.discard(stack.pop()[0])
            elif missing in open_:  # a circle: all that there is says together what each does
                whole = digest(*(part for parts in bodies.values() for part in parts)).hex()
                return dict.fromkeys(bodies, whole)
            else:
                open_.add(missing)
                stack.append((missing, iter(calls[missing])))
    return made


def _outside(function: FunctionProto) -> bool:
    """Whether numbers of its body lie in other files."""
    return any(tensor.data_location == TensorProto.EXTERNAL for tensor in every_tensor(function))


def called_in(body: GraphProto | FunctionProto) -> list[Key]:
    """What the nodes of a graph, and those of its subgraphs, would call."""
    return [key_of(node) for node in nodes_within(body)]


def _nameless(function: FunctionProto) -> FunctionProto:
    """A copy without anything that only names: values are numbered as they come."""
    made = FunctionProto()
    made.CopyFrom(function)
    for field in ("name", "domain", "overload", "doc_string", "value_info", "metadata_props"):
        made.ClearField(field)
    imports = sorted(made.opset_import, key=lambda entry: (text(entry.domain), entry.version))
    made.ClearField("opset_import")
    made.opset_import.extend(imports)
    numbers: dict[str, str] = {"": ""}

    def renamed(names: Iterable[str]) -> list[str]:
        return [numbers.setdefault(name, str(len(numbers))) for name in names]

    made.input[:] = renamed(made.input)
    waiting: list[FunctionProto | GraphProto] = [made]
    while waiting:
        body = waiting.pop()
        for node in body.node:
            node.input[:], node.output[:] = renamed(node.input), renamed(node.output)
            for field in ("name", "doc_string", "metadata_props"):
                node.ClearField(field)
            for _, graph in subgraphs(node):
                for field in ("name", "doc_string", "value_info", "metadata_props"):
                    graph.ClearField(field)
                stored = [*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]
                for value in (*graph.input, *stored):
                    (value.name,) = renamed([value.name])
                waiting.append(graph)
        if isinstance(body, GraphProto):
            for value in body.output:
                (value.name,) = renamed([value.name])
    made.output[:] = renamed(made.output)
    return made


def with_bodies_of(model: ModelProto, operators: Iterable[tuple[str, str]]) -> ModelProto:
    """The model with ONNX's own function bodies in place of its calls of ``operators`` (domain, name)."""
    return onnx.inliner.inline_selected_functions(model, sorted(operators), False, True)
