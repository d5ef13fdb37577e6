"""Two graphs of one model at one size: where one leaves a size open that the other fixes, it is taken at that size.

Design note.  An export with dynamic axes computes its shapes while it runs, one without has them as constants; node by
node they have little in common, and at the size that both can take they may be the same.  Static sizes of inputs are
therefore written into the other graph, wherever its sizes have the same names, and inference and folding do the rest.
Nothing is written where that may be no question of sizes alone: ranks or static sizes that differ, three axes and more
of which no size is the same on both sides (an input in another layout, say), one name that would have to be two
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto, TensorShapeProto, ValueInfoProto

from onnx_triangulate.diff.matching import match_values
from onnx_triangulate.facts.model_view import ModelView
from onnx_triangulate.onnxgraph.nodes import named_dims, printable, text

Dim = int | str | None


def at_one_size(left: ModelView, right: ModelView) -> tuple[ModelView, ModelView, tuple[str, ...]]:
    """Both graphs at one size, and what there is to say about that."""
    views = left, right
    inputs = [_inputs(view.model) for view in views]
    taken: tuple[dict[str, int], dict[str, int]] = ({}, {})  # sizes by name
    fixed: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})  # all sizes of an input, by its name
    notes = []
    for a, b in match_values(*inputs):
        pair = inputs[0][a], inputs[1][b]
        one, two = (_dims(value) for value in pair)
        if one is None or two is None or len(one) != len(two) or one == two:
            continue
        if _contradict(one, two):
            return left, right, ()
        which = _open_side(one, two)
        if which is None:
            continue
        own, sizes = (one, two) if which == 0 else (two, one)
        fixed[which][pair[which].name] = numbers = [d for d in sizes if isinstance(d, int)]
        named = [(dim, size) for dim, size in zip(own, numbers, strict=True) if isinstance(dim, str)]
        if any(taken[which].setdefault(dim, size) != size for dim, size in named):
            return left, right, ()
        name = printable(pair[0].name, 60)
        notes.append(f"input {name}: {_said(one)} on the left, {_said(two)} on the right: compared at that size")
    made = [
        ModelView(_sized(view.model, taken[which], fixed[which]), view.file) if fixed[which] else view
        for which, view in enumerate(views)
    ]
    return made[0], made[1], tuple(notes)


def _contradict(one: Sequence[Dim], two: Sequence[Dim]) -> bool:
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(one, two, strict=True))


def _open_side(one: Sequence[Dim], two: Sequence[Dim]) -> int | None:
    """The side that leaves sizes open which the other one fixes, all of them; ``None`` where that is not so, or where
    nothing but the rank says that the two are one input."""
    whole = [all(isinstance(d, int) for d in dims) for dims in (one, two)]
    common = any(isinstance(a, int) and isinstance(b, int) for a, b in zip(one, two, strict=True))
    if not any(whole) or (len(one) > 2 and not common):
        return None
    return 1 if whole[0] else 0


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    stored = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in stored]


def _shape(value: ValueInfoProto) -> TensorShapeProto | None:
    kind = value.type.tensor_type
    return kind.shape if value.type.HasField("tensor_type") and kind.HasField("shape") else None


def _dims(value: ValueInfoProto) -> list[Dim] | None:
    dims = named_dims(value)
    return None if dims is None else [None if isinstance(d, int) and d < 0 else d for d in dims]


def _said(dims: Sequence[Dim]) -> str:
    return "[" + ",".join("?" if d is None else printable(str(d), 20) for d in dims) + "]"


def _sized(model: ModelProto, taken: dict[str, int], fixed: dict[str, list[int]]) -> ModelProto:
    """A copy of a model with sizes in place of their names; what is said of values between is left to inference."""
    copy = ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = _shape(value)
        sizes = fixed.get(value.name)
        for axis, dim in enumerate(shape.dim if shape is not None else ()):
            name = text(dim.dim_param)
            size = taken.get(name) if sizes is None else sizes[axis]
            if size is not None:
                dim.dim_value = size
            elif name:
                dim.ClearField("dim_param")
    return copy
