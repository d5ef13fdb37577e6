"""Every Transpose of a graph, its permutation read as a change of layout where it is one.

Design note.  A permutation of four or five axes names its layouts by itself; (3, 2, 0, 1) does so only where the
result is a convolution's weight, and (0, 2, 1) only near a convolution or a pool, because it is as well the matrix
transpose of a batch.  "Near" is decided by following values through operators that keep the layout.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from pipeline.data import Transpose
from pipeline.graph.walk import Place, Scope, attributes, in_onnx, places, refers, with_inferred_shapes

_DATA = {
    (0, 3, 1, 2): "NHWC->NCHW",
    (0, 2, 3, 1): "NCHW->NHWC",
    (0, 4, 1, 2, 3): "NDHWC->NCDHW",
    (0, 2, 3, 4, 1): "NCDHW->NDHWC",
    (1, 0): "matrix",
}
_WEIGHT = {
    "Conv": {(2, 1, 0): "WIO->OIW", (3, 2, 0, 1): "HWIO->OIHW", (4, 3, 0, 1, 2): "DHWIO->OIDHW"},
    "ConvTranspose": {(2, 1, 0): "WOI->IOW", (3, 2, 0, 1): "HWOI->IOHW", (4, 3, 0, 1, 2): "DHWOI->IODHW"},
}
_BACK = {(2, 3, 1, 0): "OIHW->HWIO", (2, 3, 4, 1, 0): "OIDHW->DHWIO"}
_SPATIAL = frozenset(
    "Conv ConvTranspose MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool BatchNormalization "
    "InstanceNormalization".split()
)
_KEEPS = frozenset(
    "Add Sub Mul Div Relu LeakyRelu PRelu Elu Selu Clip Sigmoid Tanh Softplus HardSwish HardSigmoid Gelu Mish Identity "
    "Cast Pad Max Min Dropout Neg Abs Exp Sqrt Squeeze Unsqueeze".split()
)
_FAR = 64


def _reaches(scope: Scope, name: str, forward: bool) -> bool:
    """Whether a value flows into (or comes out of) a spatial operator through operators that keep the layout."""
    seen: set[str] = set()
    waiting = [name]
    while waiting and len(seen) < _FAR:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        nodes: list[NodeProto]
        if forward:
            nodes = [n for n, slot in scope.consumers.get(value, ()) if slot == 0 or n.op_type in _KEEPS]
        else:
            made_by = scope.producer(value)
            nodes = [made_by] if made_by is not None else []
        for node in nodes:
            if not in_onnx(node):
                continue
            if node.op_type in _SPATIAL:
                return True
            if node.op_type in _KEEPS:
                waiting += [n for n in (node.output if forward else node.input) if n]
    return False


def _kind(place: Place, perm: tuple[int, ...]) -> str:
    if perm == tuple(range(len(perm))):
        return "identity"
    result = place.node.output[0] if place.node.output else ""
    source = place.node.input[0] if place.node.input else ""
    for node, slot in place.scope.consumers.get(result, ()):
        if slot == 1 and in_onnx(node) and perm in _WEIGHT.get(node.op_type, {}):
            return _WEIGHT[node.op_type][perm]
    if perm == (0, 2, 1):
        forward, backward = _reaches(place.scope, result, True), _reaches(place.scope, source, False)
        if forward != backward:
            return "NWC->NCW" if forward else "NCW->NWC"
        return "batch of matrices" if not forward else "other"
    return _DATA.get(perm) or _BACK.get(perm) or "other"


def _read(place: Place) -> Transpose:
    held = attributes(place.node)
    if refers(place.node, "perm"):
        return Transpose(place.name, (), "unknown")
    if "perm" in held:
        perm = held["perm"] if isinstance(held["perm"], tuple) else ()
        valid = perm and all(isinstance(p, int) for p in perm) and sorted(perm) == list(range(len(perm)))
        return Transpose(place.name, perm, _kind(place, perm) if valid else "invalid")
    shape = place.scope.shape(place.node.input[0]) if place.node.input else None
    if shape is None:
        return Transpose(place.name, (), "unknown")
    perm = tuple(reversed(range(len(shape))))
    return Transpose(place.name, perm, _kind(place, perm))


def transposes(model: ModelProto) -> tuple[Transpose, ...]:
    """Every Transpose of the model, in the file's order.

    ``kind``: ``NHWC->NCHW`` and its relatives, ``HWIO->OIHW`` where it feeds a convolution's weight, ``matrix``,
    ``batch of matrices``, ``identity``, ``other``; ``unknown`` (with an empty permutation) where it has none written
    and the rank is not known; ``invalid`` where what is written is no permutation.
    """
    found = tuple(_read(p) for p in places(model) if p.op == "Transpose")
    if all(t.kind != "unknown" for t in found):
        return found
    inferred = with_inferred_shapes(model)
    return found if inferred is None else tuple(_read(p) for p in places(inferred) if p.op == "Transpose")
