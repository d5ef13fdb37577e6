"""Outputs of which the case declares no axes, so that each framework gives them in its own order.

Rule: two frameworks that part only by the order of such an output's axes do not part; the case is told what to declare.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np

from onnx_triangulate.cases import layout
from onnx_triangulate.records.arrays import Array
from onnx_triangulate.records.runs import Diff
from onnx_triangulate.verification.parties import Parties

Layouts = Mapping[str, Mapping[str, str]]  # by framework, its own order of axes by the case's


def undeclared(parties: Parties, edge: Diff, declared: Collection[str], layouts: Layouts) -> tuple[str, ...]:
    """Of an edge between two frameworks that diverges: the outputs of no ``declared`` axes, if they are all that parts.

    Turned from the one framework's order into the other's the two must agree.  Each is told with the axes to declare;
    nothing where anything else parts.
    """
    mine, theirs = parties.values(edge.left), parties.values(edge.right)
    told = []
    for name in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(name), theirs.get(name)
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
            return ()
        if _agree(parties, edge, name, ()):
            continue
        axes = None if name in declared else _axes(parties, edge, name, layouts)
        if axes is None:
            return ()
        shapes = " and ".join(
            f"{end.framework} gives {v.shape}" for end, v in zip(edge.ends, (one, other), strict=True)
        )
        says = f"{name} has no declared axes, and is the same in each framework's own order of them ({shapes})"
        told.append(f'{says}: declare outputs={{"{name}": Tensor("{axes}")}}')
    return tuple(told)


def to_declare(parties: Parties, edge: Diff, declared: Collection[str], layouts: Layouts) -> str:
    """Of an edge between two frameworks that diverges: what to declare of outputs whose shapes are one another's, each
    in its framework's own order of axes; ``""`` where there is none.  Until then their elements cannot be compared."""
    mine, theirs = parties.values(edge.left), parties.values(edge.right)
    told = []
    for name in sorted((mine.keys() & theirs.keys()) - set(declared)):
        one, other = (getattr(values[name], "shape", ()) for values in (mine, theirs))  # an absent one has none
        for axes, turned in _orders(edge, layouts):
            if one != other and len(turned) == len(other) and one == tuple(other[axis] for axis in turned):
                told.append(f'"{name}": Tensor("{axes}")')
                break
    return f"declare outputs={{{', '.join(told)}}}, so that elements can be compared" if told else ""


def _orders(edge: Diff, layouts: Layouts) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Axes of which the frameworks of an edge have orders of their own, and how the right one's is turned."""
    for axes in sorted({a for orders in layouts.values() for a in orders if a.startswith("n c ")}):
        left, right = (layouts.get(end.framework, {}).get(axes, axes) for end in edge.ends)
        yield axes, layout.permutation(right, left)


def _axes(parties: Parties, edge: Diff, name: str, layouts: Layouts) -> str | None:
    """The axes by which an output of two frameworks agrees, each in its own order of them."""
    return next((axes for axes, turned in _orders(edge, layouts) if _agree(parties, edge, name, turned)), None)


def _agree(parties: Parties, edge: Diff, name: str, turned: tuple[int, ...]) -> bool:
    """Whether an output agrees within what both sides are allowed, the right one and its allowance turned."""
    one, other = (np.asarray(parties.values(side)[name]) for side in (edge.left, edge.right))
    near, far = (parties.allowed(side, False).get(name) for side in (edge.left, edge.right))
    if turned:
        if len(turned) != one.ndim or len(turned) != other.ndim:
            return False
        other, far = np.transpose(other, turned), _turned(far, turned)
    if one.shape != other.shape:
        return False
    limit = np.zeros(()) if near is None or far is None else near + far
    with np.errstate(invalid="ignore"):
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return bool(np.all((one == other) | (apart <= limit)))


def _turned(array: Array | None, perm: tuple[int, ...]) -> Array | None:
    return np.transpose(array, perm) if array is not None and array.ndim == len(perm) else array
