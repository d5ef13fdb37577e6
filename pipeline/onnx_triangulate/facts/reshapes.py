"""Reshapes that concern the layout: those that act as a Transpose, and those that only look like it.

Design note.  A Reshape never moves data.  It acts as a Transpose where only axes of size one change places; that is
read off the dims alone.  Where it merges or splits axes with more than one element, the order of these axes is what the
weights after it were trained to.  The order that the source had is not in the file; the border's is, and so is who
brought the value into its order: an operator that is bound to a layout (the engine's order) or a Transpose (the model's
own).  Only an order that is the engine's and not the border's is worth a warning; whether the weights were reordered to
go with it cannot be seen in any file, and the sentence says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from onnx_triangulate.facts.layouts import Flow, Names, word
from onnx_triangulate.facts.transposes import Cone, downstream, upstream
from onnx_triangulate.onnxgraph.nodes import Dims
from onnx_triangulate.ops.axis_propagation import Group, group, reshaped, target_dims
from onnx_triangulate.records.inspection import LayoutReshape

_SPATIAL = "DHW"


def singleton_permutation(dims: Dims, made: Dims) -> tuple[int, ...] | None:
    """The permutation that a Reshape acts as by moving axes of size one; ``None`` where it does not."""
    if len(dims) != len(made) or tuple(dims) == tuple(made):
        return None
    groups = group(dims, made)
    if groups is None or any(len(old) != 1 or len(new) != 1 for old, new in groups):
        return None
    perm = [-1] * len(made)
    for (old,), (new,) in groups:
        perm[new] = old
    found = tuple(perm)
    return found if sorted(found) == list(range(len(made))) and found != tuple(range(len(made))) else None


def _border_order(flow: Flow) -> str:
    """``"NCDHW"`` or ``"NDHWC"``, as all inputs of the graph (its outputs, if no input has a layout) have it."""
    for border in (flow.graph_inputs, flow.graph_outputs):
        orders = set()
        for value in border:
            said = flow.layout(value)
            if len(said) < 3 or not {"N", "C"} <= set(said) <= set("NCDHW"):
                continue  # a weight, or a value without axes of its own for height and width
            spatial = said.replace("N", "").replace("C", "")
            usual = (f"NC{spatial}", f"N{spatial}C") if list(spatial) == sorted(spatial) else ()
            orders.add(dict(zip(usual, ("NCDHW", "NDHWC"), strict=False)).get(said, ""))
        if orders:
            return orders.pop() if len(orders) == 1 else ""
    return ""


def _in_order(letters: Sequence[str], order: str) -> bool:
    places = [order.index(n) for n in letters]
    return places == sorted(places)


def _letters(names: Names, axes: Sequence[int], dims: Dims) -> tuple[list[str], list[str]] | None:
    """The single axes in a group in their order: those of more than one element, and those that may be such."""
    sure: list[str] = []
    possible: list[str] = []
    for axis in axes:
        if dims[axis] == 1:
            continue
        name = names[axis]
        if not name or not set(name) <= set("NCDHW"):
            return None
        possible += name
        if dims[axis] is not None:
            sure += name
    return sure, possible


def _differs(names: Names, axes: Sequence[int], dims: Dims, order: str) -> bool | None:
    """Whether a group of axes lies in another order than the border's; ``None``: not known, or there is no order."""
    letters = _letters(names, axes, dims)
    if letters is None:
        return None
    sure, possible = letters
    if len(possible) < 2:
        return None
    if not {"C"} < set(possible) - {"N"}:
        # What is merged with the batch, or of height and width alone, is no order of channels.
        return False if _in_order(possible, order) else None
    if _in_order(possible, order):
        return False
    return True if len(sure) > 1 and not _in_order(sure, order) else None


def _whose(flow: Flow, cone: Cone) -> str:
    """Who is at the far end of a value: ``"operators"`` bound to a layout, ``"transposes"``, or ``""`` for both or
    others."""
    if cone.cut or cone.open:
        return ""
    # What comes straight from the border is in the border's order already, whoever else adds to it.
    kinds = {"operators" if n in flow.bound else "transposes" if flow.ops[n] == "Transpose" else "" for n in cone.ends}
    return kinds.pop() if len(kinds) == 1 else ""


def _product(axes: Sequence[str]) -> str:
    return "·".join(axes)


def _plainly(index: int, flow: Flow) -> bool:
    """Whether the layout of a value is that of the node's input: not for a Transpose or a Reshape."""
    return index not in flow.bound and flow.ops[index] not in ("Transpose", "Reshape", "Flatten")


def _ordered(flow: Flow, index: int, order: str) -> LayoutReshape | None:
    """What a Reshape or Flatten that merges or splits axes does to their order."""
    dims, made, groups = _sides(flow, index)
    if dims is None or made is None or groups is None:
        return None
    for side, own in enumerate((dims, made)):
        names = flow.names_of(flow.source(index) if side == 0 else flow.result(index))
        if names is None or len(names) != len(own):
            continue
        merged = [g[side] for g in groups if len(g[side]) > 1]
        differs = [_differs(names, axes, own, order) for axes in merged]
        if True in differs:
            letters = [names[a] for a in merged[differs.index(True)] if own[a] != 1]
            return _disordered(flow, index, side, letters, order)
        if merged and None not in differs:
            letters = [names[a] for a in merged[0] if own[a] != 1]
            says = f"it {'merges' if side == 0 else 'splits'} {_product(letters)}, the order that the border has too"
            return LayoutReshape(flow.places[index].name, "keeps", None, says)
    return None


def _disordered(flow: Flow, index: int, side: int, letters: Sequence[str], order: str) -> LayoutReshape | None:
    """A Reshape that merges (``side`` 0) or splits (1) axes, ``letters``, in another order than the border's."""
    if side == 0:
        cone = upstream(flow, flow.inputs[index][0], lambda n: _plainly(n, flow))
        verb, other = "merges", "comes from"
    else:
        cone = downstream(flow, flow.outputs[index][0], lambda n: _plainly(n, flow))
        verb, other = "splits into", "goes to"
    whose, name = _whose(flow, cone), flow.places[index].name
    wanted = _product(sorted("".join(letters), key=order.index))
    if not whose:
        return None
    if whose == "transposes":
        says = (
            f"it {verb} {_product(letters)} where the border's order is {wanted}; the value {other} a Transpose, so "
            "the graph asks for this order itself"
        )
        return LayoutReshape(name, "permuted", None, says)
    ends = ", ".join(sorted({flow.ops[n] for n in cone.ends})[:3])
    says = (
        f"it {verb} {_product(letters)}, the order of {ends}, with no Transpose in between, where the border's order "
        f"is {wanted}: weights on the other side that are not reordered meet the wrong elements; whether they were "
        "reordered, or the source transposes here itself, cannot be seen in the file"
    )
    return LayoutReshape(name, "scrambles", None, says)


def _sides(flow: Flow, index: int) -> tuple[Dims | None, Dims | None, list[Group] | None]:
    """A Reshape's or Flatten's dims before and after, and its axes in groups."""
    node = flow.view(index)
    dims = node.shape(0)
    if flow.ops[index] == "Reshape":
        return dims, target_dims(node), reshaped(node)
    made = node.made()
    axis = node.integer("axis", 1)
    if dims is None or not -len(dims) <= axis <= len(dims):
        return dims, made, None
    axis += len(dims) if axis < 0 else 0
    if made is None or len(made) != 2:
        made = (None, None)
    return dims, made, [(tuple(range(axis)), (0,)), (tuple(range(axis, len(dims))), (1,))]


def _as_transpose(names: Names, dims: Dims, made: Dims) -> tuple[int, ...] | None:
    """The change of layout whose shape a Reshape has although it moves no data: channels to the end or to the front."""
    rank = len(dims)
    inner = [d for d in dims[1:] if d is not None]
    if rank < 3 or len(made) != rank or len(names) != rank or len(inner) != rank - 1 or min(inner) < 1:
        return None
    if len("".join(names)) != rank or not set(names) <= set("NCDHW") or names[0] != "N" or "C" not in names:
        return None
    last = tuple(range(2, rank))
    perm = {1: (0, *last, 1), rank - 1: (0, rank - 1, *range(1, rank - 1))}.get(names.index("C"))
    if perm is None or dims == made or any(dims[p] != m for p, m in zip(perm[1:], made[1:], strict=True)):
        return None
    return perm if prod(inner) > max(inner) else None


def _squeezed(flow: Flow, index: int) -> tuple[Dims | None, Dims | None]:
    """The dims before a Squeeze and after the Unsqueeze that follows it at once."""
    source = flow.source(index)
    before = flow.maker[source] if source >= 0 else -1
    if before < 0 or flow.ops[before] != "Squeeze" or flow.source(before) < 0:
        return None, None
    return flow.view(before).shape(0), flow.view(index).made()


def reshapes_of(flow: Flow) -> tuple[LayoutReshape, ...]:
    """Every Reshape, Flatten, or Squeeze with Unsqueeze that concerns the layout, in the file's order."""
    order = _border_order(flow)
    found = []
    for index, place in enumerate(flow.places):
        if flow.ops[index] not in ("Reshape", "Flatten", "Unsqueeze"):
            continue
        if min(flow.source(index), flow.result(index)) < 0:
            continue
        if place.op == "Unsqueeze":
            dims, made = _squeezed(flow, index)
        else:
            dims, made, _ = _sides(flow, index)
        if dims is None or made is None:
            continue
        perm = singleton_permutation(dims, made)
        if perm is not None:
            found.append(LayoutReshape(place.name, "transposes", perm, _moved(flow, flow.source(index), perm)))
        elif place.op != "Unsqueeze":
            said = _disguised(flow, index, dims, made) or (_ordered(flow, index, order) if order else None)
            if said is not None:
                found.append(said)
    return tuple(found)


def _moved(flow: Flow, source: int, perm: tuple[int, ...]) -> str:
    names, change = flow.names_of(source), ""
    if names and all(names) and len(names) == len(perm):
        change = f", {word(names)} to {word(tuple(names[p] for p in perm))}"
    return f"it moves axes of size one only, as a Transpose by {' '.join(map(str, perm))} would{change}"


def _disguised(flow: Flow, index: int, dims: Dims, made: Dims) -> LayoutReshape | None:
    source = flow.source(index)
    names = flow.names_of(source) or ()
    perm = _as_transpose(names, dims, made) if flow.ops[index] == "Reshape" else None
    if perm is None or flow.constant[source]:
        return None
    says = (
        f"from {word(names)} it makes the shape that a Transpose by {' '.join(map(str, perm))} would make, "
        "but a Reshape moves no data: the elements of different channels are mixed"
    )
    return LayoutReshape(flow.places[index].name, "scrambles", None, says)
